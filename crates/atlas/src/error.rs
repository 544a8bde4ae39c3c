//! Why features cannot be shown.

use lapidary_files::FileError;
use lapidary_harvest::HarvestError;
use lapidary_store::SourceError;
use lapidary_text::TextError;

/// Features cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum AtlasError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model's rows cannot be made.
    #[error(transparent)]
    Harvest(#[from] HarvestError),
    /// The same.
    #[error(transparent)]
    Rows(SourceError),
    /// A token has no text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The file of rows cannot be read or written.
    #[error("{path}: {source}; build the atlas again")]
    Sql {
        /// Which file.
        path: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A dictionary is of another model or site.
    #[error(
        "{name}: expected a dictionary of {expected} inputs for {site}, found {found}; check its model and site"
    )]
    Width {
        /// The dictionary.
        name: String,
        /// What it is said to read.
        site: String,
        /// Width of that site.
        expected: usize,
        /// Inputs of the dictionary.
        found: usize,
    },
    /// Nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// What was asked cannot be answered: which part of it, expected, found, next step.
    #[error("{0}")]
    Request(String),
    /// A file or folder is not what was written, or not of this version: which one, expected, found, next step.
    #[error("{0}")]
    Damaged(String),
}

pub(crate) fn damaged(text: String) -> AtlasError {
    AtlasError::Damaged(text)
}
