//! A file appears whole or not at all: a temporary file beside it, write, fsync, rename, fsync the folder. Links are followed,
//! permissions stay, and what is no file is not replaced.

use crate::target::{Target, folder_of};
use crate::temp::{Temp, sweep};
use crate::{FileError, failpoint, foreign};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;

/// Publishes `bytes` as `path`, replacing the file that was there.
pub fn publish(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    publish_with(path, |w| w.write_all(bytes))
}

/// Publishes what `write` writes as `path`. If any step fails, `path` is as it was before and the temporary file is removed.
///
/// # Errors
/// Those of [`Target::of`]; a step that fails.
pub fn publish_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), FileError> {
    let target = Target::of(path)?;
    let folder = folder_of(&target.path);
    let fail = |action| FileError::io(path, action);
    failpoint::step().map_err(fail("create"))?;
    let temp = Temp::create(folder).map_err(fail("create"))?;
    write_temp(&temp, path, write)?;
    if let Some(old) = &target.old {
        temp.file.set_permissions(old.permissions()).map_err(fail("keep the permissions of"))?;
    }
    failpoint::step().map_err(fail("rename"))?;
    fs::rename(&temp.path, &target.path).map_err(fail("rename"))?;
    failpoint::step().map_err(FileError::io(folder, "fsync"))?;
    sweep(folder);
    sync_folder_of(&target.path)
}

fn write_temp(
    temp: &Temp,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), FileError> {
    let fail = |action| FileError::io(path, action);
    failpoint::step().map_err(fail("write"))?;
    let mut out = BufWriter::new(&temp.file);
    write(&mut out).and_then(|()| out.flush()).map_err(fail("write"))?;
    failpoint::step().map_err(fail("fsync"))?;
    temp.file.sync_all().map_err(fail("fsync"))
}

/// Makes the name `path` durable, not its contents.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), FileError> {
    sync_folder(folder_of(path))
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), FileError> {
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
