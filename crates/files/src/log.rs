//! A file that only grows: lines are appended, and a resumed run first cuts it back to where its checkpoint stood.

use crate::publish::sync_folder_of;
use crate::target::Target;
use crate::{FileError, failpoint};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    /// Opens or creates `path` and keeps its first `length` bytes; shorter files are an error.
    pub fn open(path: &Path, length: u64) -> Result<Log, FileError> {
        let path = &Target::of(path)?.path;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(FileError::io(path, "open"))?;
        let found = file.metadata().map_err(FileError::io(path, "read"))?.len();
        if found < length {
            let expected = format!("at least {length} bytes");
            return Err(FileError::invalid(
                path,
                expected,
                format!("{found}"),
                "the log was cut: start the run anew",
            ));
        }
        file.set_len(length).map_err(FileError::io(path, "truncate"))?;
        file.seek(SeekFrom::End(0)).map_err(FileError::io(path, "seek in"))?;
        sync_folder_of(path)?; // a checkpoint that counts on this log must not outlive its name
        Ok(Log { path: path.to_path_buf(), file, length })
    }

    /// Appends `text` as it is.
    pub fn append(&mut self, text: &str) -> Result<(), FileError> {
        failpoint::step().map_err(FileError::io(&self.path, "write"))?;
        self.file.write_all(text.as_bytes()).map_err(FileError::io(&self.path, "write"))?;
        self.length += text.len() as u64;
        Ok(())
    }

    /// Makes what was appended durable; returns the length of the log in bytes.
    pub fn sync(&mut self) -> Result<u64, FileError> {
        failpoint::step().map_err(FileError::io(&self.path, "fsync"))?;
        self.file.sync_data().map_err(FileError::io(&self.path, "fsync"))?;
        Ok(self.length)
    }
}
