//! What can go wrong with a dictionary on disk: always the path, what was expected, what was found, what to do next.

use lapidary_files::FileError;
use std::path::{Path, PathBuf};

/// A dictionary could not be read, written or trusted.
#[derive(Debug, thiserror::Error)]
pub enum DictionaryError {
    /// A file is missing, unwritable, damaged or not what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file describes arithmetic that this version does not do.
    #[error("{path}: expected `{key}` to be {expected}, found {found}; {next}")]
    Unsupported {
        /// The file that says so.
        path: PathBuf,
        /// The key in it.
        key: &'static str,
        /// What this version can read.
        expected: &'static str,
        /// What the file says.
        found: String,
        /// What to do next.
        next: &'static str,
    },
    /// A parameter is NaN or infinite.
    #[error(
        "{path}: expected finite numbers, found {value} at `{tensor}`{index:?}; train or fetch the dictionary again"
    )]
    NotFinite {
        /// The file (or folder) with the parameters.
        path: PathBuf,
        /// Its name in the file.
        tensor: &'static str,
        /// Where in it, in the file's own layout.
        index: Vec<usize>,
        /// The value.
        value: f32,
    },
    /// A dictionary does not give what its own probe batch says.
    #[error(
        "{path}: expected the probe's {what} in row {row}, found another; the weights are not those released: fetch again"
    )]
    Probe {
        /// Where the probe came from.
        path: PathBuf,
        /// "active features" or "reconstruction".
        what: &'static str,
        /// Row of the probe batch.
        row: usize,
    },
    /// A site that has no hook name.
    #[error(
        "expected a site such as `3.res`, `3.att`, `3.mlp` or `embed`, found `{0}`; name one with --site"
    )]
    Site(String),
}

/// An [`FileError::Invalid`] as this crate's error.
pub(crate) fn invalid(
    path: &Path,
    expected: impl Into<String>,
    found: impl Into<String>,
    next: impl Into<String>,
) -> DictionaryError {
    FileError::invalid(path, expected, found, next).into()
}
