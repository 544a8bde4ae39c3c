//! A file appears whole or not at all: temp name, write, fsync, rename, fsync the folder.

use crate::{FileError, failpoint, foreign};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Publishes `bytes` as `path`, replacing what was there.
pub fn publish(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    publish_with(path, |w| w.write_all(bytes))
}

/// Publishes what `write` writes as `path`. If any step fails, `path` is as it was before and the temp file is removed.
pub fn publish_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), FileError> {
    let temp = temp_name(path);
    let result = write_temp(&temp, write).and_then(|()| rename(&temp, path));
    if result.is_err() {
        let _ = fs::remove_file(&temp); // best effort: the error that matters is the first one
    }
    result
}

fn temp_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    path.with_file_name(name)
}

fn write_temp(
    temp: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), FileError> {
    let fail = |action| move |e| FileError::io(temp, action)(e);
    failpoint::step().map_err(fail("create"))?;
    let mut out = BufWriter::new(File::create(temp).map_err(fail("create"))?);
    failpoint::step().map_err(fail("write"))?;
    write(&mut out).and_then(|()| out.flush()).map_err(fail("write"))?;
    failpoint::step().map_err(fail("fsync"))?;
    out.get_ref().sync_all().map_err(fail("fsync"))
}

fn rename(temp: &Path, path: &Path) -> Result<(), FileError> {
    failpoint::step().map_err(FileError::io(path, "rename"))?;
    fs::rename(temp, path).map_err(FileError::io(path, "rename"))?;
    failpoint::step().map_err(FileError::io(folder_of(path), "fsync"))?;
    sync_folder_of(path)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the name `path` durable, not its contents.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), FileError> {
    let folder = folder_of(path);
    File::open(folder).and_then(|f| f.sync_all()).map_err(FileError::io(folder, "fsync"))
}

/// Creates `path` and its parents; a new name is durable.
pub fn create_dir(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(FileError::io(path, "create the folder"))?;
    sync_folder_of(path)
}

/// The bytes of a file that must not be longer than `limit`, nor a Git LFS pointer.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::io(path, "read"))?;
    let length = file.metadata().map_err(FileError::io(path, "read"))?.len();
    if length > limit {
        let expected = format!("at most {limit} bytes");
        return Err(FileError::invalid(path, expected, format!("{length}"), "is this the right file?"));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(limit).read_to_end(&mut bytes).map_err(FileError::io(path, "read"))?;
    foreign::refuse_lfs(path, &bytes)?;
    Ok(bytes)
}

/// The UTF-8 text of a file that must not be longer than `limit` bytes.
pub fn read_string(path: &Path, limit: u64) -> Result<String, FileError> {
    String::from_utf8(read(path, limit)?).map_err(|e| {
        let found = format!("invalid bytes at offset {}", e.utf8_error().valid_up_to());
        FileError::invalid(path, "UTF-8 text", found, "convert the file to UTF-8")
    })
}
