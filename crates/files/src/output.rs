//! Where something may be written, looked at before anything is read: no output is an input, and some folders are never
//! replaced. How a file or a folder is then written is [`publish`](crate::publish)'s and [`OutFolder`](crate::OutFolder)'s matter.

use crate::{Content, FileError, Mode, Target, content, real_folder};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file that will be written under this name. It is not there yet, or may be replaced (`overwrite`), and is none of the
/// `inputs`, which are files or folders, under whatever name.
///
/// # Errors
/// It may not be written, as said above or by [`Target::of`].
pub fn file(path: &Path, inputs: &[&Path], overwrite: bool) -> Result<Target, FileError> {
    check_name(path)?;
    let target = Target::of(path)?;
    if let Some(old) = &target.old {
        if let Some(input) = inputs.iter().find_map(|input| same_file(input, old)) {
            let found = format!("the input {}", input.display());
            let expected = "a file apart from what is read";
            return Err(FileError::invalid(path, expected, found, "choose another name"));
        }
        if !overwrite {
            let next = "choose another name or add --overwrite";
            return Err(FileError::invalid(path, "a new file", "one", next));
        }
    }
    Ok(target)
}

/// Looks at a folder that is to be written, before [`check_folder`](crate::check_folder) does: none of the `inputs` is in one that is
/// begun, and one that is replaced holds neither the working directory nor `home`.
///
/// # Errors
/// It may not be written.
pub fn folder(path: &Path, mode: Mode, inputs: &[&Path], home: Option<&Path>) -> Result<(), FileError> {
    check_name(path)?;
    if mode != Mode::Resume {
        check_apart(path, inputs)?;
    }
    if mode == Mode::Replace {
        check_replaceable(path, home)?;
    }
    Ok(())
}

/// `-` is a habit from tools that stream; here it would be a file of that name.
fn check_name(path: &Path) -> Result<(), FileError> {
    if path == Path::new("-") {
        let found = "the sign for standard output";
        return Err(FileError::invalid(path, "a name to write to", found, "a file of that name is ./-"));
    }
    Ok(())
}

/// The file in `input` (or `input` itself) that `of` describes, under whatever name.
fn same_file(input: &Path, of: &Metadata) -> Option<PathBuf> {
    let found = input.metadata().ok()?;
    if found.is_dir() {
        let entries = input.read_dir().ok()?.flatten();
        // A link to a folder may lead in a circle; what is behind it is not looked for.
        let below = |entry: std::fs::DirEntry| {
            let of_link = entry.path().is_dir() && entry.file_type().ok()?.is_symlink();
            if of_link { None } else { same_file(&entry.path(), of) }
        };
        return entries.into_iter().find_map(below);
    }
    ((found.dev(), found.ino()) == (of.dev(), of.ino())).then(|| input.to_path_buf())
}

fn check_apart(out: &Path, inputs: &[&Path]) -> Result<(), FileError> {
    let real = real_folder(out)?;
    let inside = |input: &&&Path| input.canonicalize().is_ok_and(|input| input.starts_with(&real));
    if let Some(input) = inputs.iter().find(inside) {
        let found = format!("the input {} in it", input.display());
        return Err(FileError::invalid(out, "a folder apart from what is read", found, "choose another"));
    }
    Ok(())
}

/// Some folders are never replaced, whatever is in them.
fn check_replaceable(out: &Path, home: Option<&Path>) -> Result<(), FileError> {
    let real = real_folder(out)?;
    if content(&real).is_ok_and(|found| found == Content::Nothing) {
        return Ok(());
    }
    let kept = [("the working directory", Some(Path::new("."))), ("the home folder", home)];
    for (what, kept) in kept {
        if kept.is_some_and(|kept| kept.canonicalize().is_ok_and(|kept| kept.starts_with(&real))) {
            let found = format!("{what} or one that holds it");
            return Err(FileError::invalid(out, "a folder to replace", found, "choose another"));
        }
    }
    Ok(())
}
