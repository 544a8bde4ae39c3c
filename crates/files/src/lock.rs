//! One process at a time: a lock on a file, which the kernel releases when the process ends, however it ends.

use crate::FileError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A lock that is held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    pub(crate) file: File,
}

impl Lock {
    /// Takes the lock on the file `path`, which is created empty if it is not there. `what` is what it stands for, in errors.
    /// Where the file system knows no locks, there is none.
    ///
    /// # Errors
    /// Another process holds it; the file cannot be opened.
    pub fn take(path: &Path, what: &Path) -> Result<Lock, FileError> {
        loop {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(path);
            let file = file.map_err(FileError::io(path, "open"))?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Err(busy(what)),
                Err(TryLockError::Error(e)) if e.kind() != io::ErrorKind::Unsupported => {
                    return Err(FileError::io(path, "lock")(e));
                }
                _ if is_at(&file, path) => return Ok(Lock { file }),
                _ => {} // whoever held it moved or removed the file
            }
        }
    }
}

fn busy(what: &Path) -> FileError {
    let expected = "a folder that nobody else is writing";
    FileError::invalid(
        what,
        expected,
        "another process at work on it",
        "wait until it ends, or choose another",
    )
}

/// Does `path` still name this file?
fn is_at(file: &File, path: &Path) -> bool {
    let same = || -> io::Result<bool> {
        let (held, named) = (file.metadata()?, path.metadata()?);
        Ok((held.dev(), held.ino()) == (named.dev(), named.ino()))
    };
    same().unwrap_or(false)
}
