//! Temporary files: a name that nobody has, in the folder of what they will become. A writer holds a lock on its own, so that
//! one whose writer was killed can be told from one that is being written, and is removed by whoever publishes there next.

use crate::FileError;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const PREFIX: &str = ".lapidary-";
const SUFFIX: &str = ".tmp";

/// A file that goes away with this, unless it was renamed.
#[derive(Debug)]
pub(crate) struct Temp {
    pub path: PathBuf,
    pub file: File,
}

impl Temp {
    /// A new, empty file in `folder`.
    pub(crate) fn create(folder: &Path) -> io::Result<Temp> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Relaxed);
            let path = folder.join(format!("{PREFIX}{}-{number}{SUFFIX}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) if is_kept(&file)? => return Ok(Temp { path, file }),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // it is gone where it was renamed
    }
}

/// Locks a new file; false: somebody took it for a left-over in between.
fn is_kept(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) if e.kind() != io::ErrorKind::Unsupported => Err(e),
        _ => Ok(file.metadata()?.nlink() > 0),
    }
}

/// Can files be made in `folder`? Makes one and removes it.
pub fn check_writable(folder: &Path) -> Result<(), FileError> {
    Temp::create(folder).map(drop).map_err(FileError::io(folder, "write a file in it"))
}

/// Is it the name of a temporary file of ours?
pub(crate) fn is_temp(name: &OsStr) -> bool {
    let number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    let inner = name.to_str().and_then(|n| n.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-'));
    inner.is_some_and(|(process, count)| number(process) && number(count))
}

/// Removes what killed writers left in `folder`. Best effort: left-overs are in nobody's way.
pub(crate) fn sweep(folder: &Path) {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    for entry in entries.filter(|e| is_temp(&e.file_name()) && e.file_type().is_ok_and(|t| t.is_file())) {
        let path = entry.path();
        // The lock is held until the name is gone: a writer that made the file just now sees either.
        if let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(&path);
        }
    }
}
