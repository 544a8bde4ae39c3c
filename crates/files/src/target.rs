//! Where a name leads, and whether a file may be put there: links are followed, also dangling ones; only regular files are
//! replaced, and no stream of this process is taken for a file.

use crate::FileError;
use std::fs::{FileType, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

/// Links that are followed one after another, as many as Linux follows.
const MAX_LINKS: u32 = 40;

/// The file that writing to `path` makes or replaces.
#[derive(Debug)]
pub struct Target {
    /// Its own name, behind all links.
    pub path: PathBuf,
    /// What is there now.
    pub old: Option<Metadata>,
}

impl Target {
    /// # Errors
    /// A folder that is missing; a device, pipe, socket or folder of that name; a stream such as `/dev/stdout`.
    pub fn of(path: &Path) -> Result<Target, FileError> {
        let real = follow(path)?;
        match std::fs::symlink_metadata(&real) {
            Ok(old) if old.is_file() => Ok(Target { path: real, old: Some(old) }),
            Ok(other) if other.is_dir() => Err(no_file(path, "a folder", "name a file in it")),
            Ok(other) => {
                Err(no_file(path, kind(other.file_type()), "only files are replaced: choose another name"))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Target { path: real, old: None }),
            Err(e) => Err(FileError::io(path, "read")(e)),
        }
    }
}

/// The name behind all links of `path`, whether or not something has it.
fn follow(path: &Path) -> Result<PathBuf, FileError> {
    let mut at = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Some(name) = at.file_name() else { return Err(no_file(path, "a folder", "name a file in it")) };
        let folder = folder_of(&at).canonicalize().map_err(FileError::io(path, "create"))?;
        if is_streams(&folder) {
            return Err(no_file(
                path,
                "a stream of this process",
                "name a file, and redirect by the shell what is printed",
            ));
        }
        let here = folder.join(name);
        match here.read_link() {
            Ok(to) => at = folder.join(to),
            Err(_) => return Ok(here),
        }
    }
    Err(no_file(path, "links that lead in a circle", "choose another name"))
}

/// `/dev/fd`, and what it leads to on Linux: `/proc/N/fd`.
fn is_streams(folder: &Path) -> bool {
    folder == Path::new("/dev/fd") || folder.starts_with("/proc") && folder.ends_with("fd")
}

fn no_file(path: &Path, found: &str, next: &str) -> FileError {
    FileError::invalid(path, "a file to write", found, next)
}

/// What it is that is neither a file nor a folder.
fn kind(of: FileType) -> &'static str {
    match () {
        () if of.is_fifo() => "a named pipe",
        () if of.is_socket() => "a socket",
        () => "a device",
    }
}

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `path` without links and `..`, for folders that need not be there yet.
pub fn real_folder(path: &Path) -> Result<PathBuf, FileError> {
    real(Path::new("."), path, MAX_LINKS).map_err(FileError::io(path, "find"))
}

fn real(base: &Path, path: &Path, links: u32) -> io::Result<PathBuf> {
    let mut at = base.canonicalize()?;
    for part in path.components() {
        match part {
            Component::Prefix(_) | Component::CurDir => {}
            Component::RootDir => at = PathBuf::from("/"),
            Component::ParentDir => drop(at.pop()),
            Component::Normal(name) => {
                let next = at.join(name);
                at = match (next.canonicalize(), next.read_link()) {
                    (Ok(real), _) => real,
                    (Err(e), Ok(_)) if links == 0 => return Err(e),
                    (Err(_), Ok(to)) => real(&at, &to, links - 1)?,
                    (Err(_), Err(_)) => next,
                };
            }
        }
    }
    Ok(at)
}
