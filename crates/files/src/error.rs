//! What can go wrong with a file: always its path, what was expected, what was found, what to do next.

use std::path::{Path, PathBuf};

/// An operation on a file failed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system said no (missing, unwritable, full disk, …).
    #[error("{path}: cannot {action}: {source}{}", hint(.source))]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was tried: "read", "write", "rename", …
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes are not what they should be.
    #[error("{path}: expected {expected}, found {found}; {next}")]
    Invalid {
        /// File or folder.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
        /// What to do next.
        next: String,
    },
}

fn hint(e: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match e.kind() {
        NotFound => "; check the path",
        IsADirectory => "; name a file",
        NotADirectory => "; a part of the path is a file: choose another",
        AlreadyExists => "; something else has this name: choose another",
        StorageFull => "; free some space, then run again",
        PermissionDenied | ReadOnlyFilesystem => "; choose a folder that you can write to",
        _ => "",
    }
}

impl FileError {
    /// An [`FileError::Io`] on `path`, for `map_err`.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> FileError {
        let path = path.to_path_buf();
        move |source| FileError::Io { path, action, source }
    }

    /// An [`FileError::Invalid`] on `path`.
    pub fn invalid(
        path: &Path,
        expected: impl Into<String>,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> FileError {
        FileError::Invalid {
            path: path.to_path_buf(),
            expected: expected.into(),
            found: found.into(),
            next: next.into(),
        }
    }
}
