//! A folder that one process writes, and that nobody loses by mistake. A new one is written where it will be, its mark first.
//! One that replaces another is written beside it, as `NAME.lapidary-new`; when it is whole, the old one becomes
//! `NAME.lapidary-old`, the new one takes its name, and the old one is removed. Killed on the way, it is resumed where it was
//! written; the old one is whole until the new one is.

use crate::lock::Lock;
use crate::mark::{Content, Kind, MARK, content, kind};
use crate::publish::{sync_folder, sync_folder_of};
use crate::target::real_folder;
use crate::{FileError, failpoint};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is to become of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The folder must be missing or empty.
    New,
    /// It may also be a folder of the same kind that Lapidary wrote: that one is replaced when the new one is whole.
    Replace,
    /// It must be a folder of this kind, and is written on.
    Resume,
}

/// A folder that is being written.
#[derive(Debug)]
pub struct OutFolder {
    /// Where it is written.
    pub path: PathBuf,
    /// What it will be called.
    name: PathBuf,
    kind: Kind,
    /// Folders that were created for it, the outermost first.
    created: Vec<PathBuf>,
    /// On what is there, and on what is written beside it.
    locks: Vec<Lock>,
    /// Is it ours to write, and not finished?
    is_open: bool,
}

/// May `path` be written as `mode` says? Writes nothing.
///
/// # Errors
/// It holds something that must stay, or nothing that can be resumed.
pub fn check_folder(path: &Path, of: &Kind, mode: Mode) -> Result<(), FileError> {
    let name = real_folder(path)?;
    let there = name.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    if !there.is_dir() {
        let found = format!("a file of the name {}", there.display());
        return Err(FileError::invalid(&name, "a folder to write", found, "choose another name"));
    }
    match mode {
        Mode::New => check_new(&name),
        Mode::Replace => check_replaceable(&name, of),
        Mode::Resume if can_resume(&name, of) || can_resume(&beside(&name, "new"), of) => Ok(()),
        Mode::Resume => Err(nothing_to_resume(&name, of)),
    }
}

fn check_new(name: &Path) -> Result<(), FileError> {
    let new = beside(name, "new");
    let (found, next) = match content(name)? {
        Content::Nothing if content(&new)? == Content::Nothing => return Ok(()),
        Content::Nothing => {
            let found = format!("{}, which was to replace it", new.display());
            (found, "continue that one with --resume, if it is a run, or add --overwrite")
        }
        Content::Ours(kind) => (format!("a {kind}"), "choose another or add --overwrite"),
        Content::Foreign(other) => (format!("`{other}` in it"), "choose another; --overwrite keeps it too"),
    };
    Err(FileError::invalid(name, "an empty or missing folder", found, next))
}

fn check_replaceable(name: &Path, of: &Kind) -> Result<(), FileError> {
    let next = "--overwrite does not replace it: move it away, or choose another folder";
    let refused = |expected: String, found: String| Err(FileError::invalid(name, expected, found, next));
    match content(name)? {
        Content::Nothing => Ok(()),
        Content::Ours(kind) if kind != of.name => {
            refused(format!("a {} to replace", of.name), format!("a {kind}"))
        }
        Content::Ours(_) if is_mount_point(name) => {
            refused("a folder that can be renamed".into(), "a mount point".into())
        }
        Content::Ours(_) => Ok(()),
        Content::Foreign(other) => {
            let expected = format!("only a {} that lapidary wrote (its {MARK} says what that is)", of.name);
            refused(expected, format!("`{other}` in it"))
        }
    }
}

fn is_mount_point(folder: &Path) -> bool {
    let device = |folder: &Path| folder.metadata().map(|m| m.dev()).ok();
    folder.parent().is_none_or(|parent| device(parent) != device(folder))
}

fn can_resume(folder: &Path, of: &Kind) -> bool {
    match kind(folder) {
        Some(found) => found == of.name,
        None => of.resumed_by.is_some_and(|file| folder.join(file).is_file()), // from before folders had marks
    }
}

fn nothing_to_resume(name: &Path, of: &Kind) -> FileError {
    let found = match content(name) {
        _ if !name.exists() => "no such folder".to_string(),
        Ok(Content::Ours(other)) => format!("a {other}"),
        Ok(Content::Nothing) => "an empty folder".to_string(),
        _ => "a folder without one".to_string(),
    };
    let expected = format!("a {} with {} in it, to resume", of.name, of.resumed_by.unwrap_or(MARK));
    FileError::invalid(name, expected, found, "check the name, or start a new one without --resume")
}

/// The folder beside `name` for what replaces it ("new") or what was replaced ("old").
fn beside(name: &Path, which: &str) -> PathBuf {
    let mut own = name.as_os_str().to_owned();
    own.push(format!(".lapidary-{which}"));
    PathBuf::from(own)
}

impl OutFolder {
    /// Begins to write the folder `path`, alone.
    ///
    /// # Errors
    /// Those of [`check_folder`]; another process writes it; it cannot be created.
    pub fn open(path: &Path, of: &Kind, mode: Mode) -> Result<OutFolder, FileError> {
        let name = real_folder(path)?;
        restore(&name)?;
        check_folder(&name, of, mode)?;
        let (path, created, locks) = (name.clone(), Vec::new(), Vec::new());
        let mut out = OutFolder { path, name, kind: *of, created, locks, is_open: false };
        out.lock()?;
        check_folder(&out.name, of, mode)?; // the process that held the lock may just have ended
        let new = beside(&out.name, "new");
        let replaces = match mode {
            Mode::New => false,
            Mode::Replace => {
                discard(&new)?; // a replacement that was given up
                content(&out.name)? != Content::Nothing
            }
            Mode::Resume => can_resume(&new, of),
        };
        if replaces {
            out.path = new;
            out.lock()?;
        }
        out.is_open = true;
        out.mark()?;
        Ok(out)
    }

    /// Does another folder have its name until it is whole?
    pub fn replaces(&self) -> bool {
        self.path != self.name
    }

    /// Creates the folder where it is not there, and locks it.
    fn lock(&mut self) -> Result<(), FileError> {
        self.create()?;
        self.locks.push(Lock::take(&self.path.join(MARK), &self.name)?);
        Ok(())
    }

    /// Creates the folder where it is written, and those that hold it.
    fn create(&mut self) -> Result<(), FileError> {
        let missing: Vec<&Path> = self.path.ancestors().take_while(|folder| !folder.exists()).collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => self.created.push(folder.to_path_buf()),
                Err(_) if folder.is_dir() => {}
                Err(e) => return Err(FileError::io(&self.path, "create the folder")(e)),
            }
            sync_folder_of(folder)?;
        }
        Ok(())
    }

    /// Writes the mark, if it is not there, into the file that is locked.
    fn mark(&mut self) -> Result<(), FileError> {
        if kind(&self.path).is_some() {
            return Ok(());
        }
        let path = self.path.join(MARK);
        let mut file = &self.locks.last().expect("the folder is locked").file;
        failpoint::step().map_err(FileError::io(&path, "write"))?;
        file.set_len(0).map_err(FileError::io(&path, "write"))?;
        file.write_all(self.kind.text().as_bytes()).map_err(FileError::io(&path, "write"))?;
        failpoint::step().map_err(FileError::io(&path, "fsync"))?;
        file.sync_all().map_err(FileError::io(&path, "fsync"))?;
        sync_folder(&self.path)
    }

    /// It is whole: now it takes the place of what it replaces.
    ///
    /// # Errors
    /// The old one now holds something that must stay, or cannot be moved. Then both are there.
    pub fn finish(mut self) -> Result<(), FileError> {
        self.is_open = false;
        if !self.replaces() {
            return Ok(());
        }
        let old = beside(&self.name, "old");
        check_replaceable(&self.name, &self.kind)?;
        discard(&old)?;
        rename(&self.name, &old)?;
        if let Err(error) = rename(&self.path, &self.name) {
            let _ = fs::rename(&old, &self.name); // the error that matters is the first one
            return Err(error);
        }
        sync_folder_of(&self.name)?;
        discard(&old)
    }
}

impl Drop for OutFolder {
    /// Takes back what was begun: a folder of which nothing can be used goes away again.
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let found = content(&self.path);
        let useless = matches!(found, Ok(Content::Ours(_))) && self.kind.resumed_by.is_none();
        if useless || matches!(found, Ok(Content::Nothing)) {
            let _ = empty(&self.path);
            self.created.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
        }
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    failpoint::step().map_err(FileError::io(from, "rename"))?;
    fs::rename(from, to).map_err(FileError::io(from, "rename"))
}

/// A process that was killed between its two renames left the old folder beside its name.
fn restore(name: &Path) -> Result<(), FileError> {
    let old = beside(name, "old");
    if name.exists() || !matches!(content(&old)?, Content::Ours(_)) {
        return Ok(());
    }
    let _lock = Lock::take(&old.join(MARK), name)?;
    fs::rename(&old, name).map_err(FileError::io(&old, "rename"))
}

/// Removes a folder of ours, if it is there.
fn discard(folder: &Path) -> Result<(), FileError> {
    if let Content::Foreign(other) = content(folder)? {
        return Err(FileError::invalid(folder, "only what lapidary wrote", other, "move it away"));
    }
    if folder.exists() {
        empty(folder).and_then(|()| fs::remove_dir(folder)).map_err(FileError::io(folder, "remove"))?;
    }
    Ok(())
}

/// The mark goes last: a part of the folder must still be known as ours.
fn empty(folder: &Path) -> std::io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            _ if entry.file_name() == MARK => {}
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    failpoint::step()?;
    match fs::remove_file(folder.join(MARK)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
