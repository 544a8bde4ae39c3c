//! Is a release, a run's folder or a dictionary what it says that it is? Every file of a release against its manifest, its files
//! against one another, then each dictionary against what it says of itself. Numbers are measured again in [`crate::recompute`].

use crate::ReleaseError;
use crate::agreement::agreement;
use crate::error::invalid;
use crate::release::RELEASE;
use lapidary_files::inventory::{self, Entry};
use lapidary_files::{FileError, folder_kind};
use lapidary_kernels::Device;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Something that was looked at.
#[derive(Debug)]
pub struct Check {
    /// The file, or the folder.
    pub path: PathBuf,
    /// What about it.
    pub what: String,
    /// Is it so?
    pub outcome: Outcome,
}

/// How a look ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Good,
    /// What is wrong, in one line.
    Failed(String),
    /// Why it could not be looked at, and what would help.
    Skipped(String),
}

impl Check {
    pub(crate) fn new(path: PathBuf, what: &str, result: Result<(), impl Display>) -> Check {
        let outcome = match result {
            Ok(()) => Outcome::Good,
            Err(e) => Outcome::Failed(e.to_string().replace('\n', " ")),
        };
        Check { path, what: what.into(), outcome }
    }

    /// Is something wrong?
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

/// How deep dictionaries lie below a folder, at most: those of Gemma Scope are `layer_12/width_16k/average_l0_71/params.npz`.
const DEPTH: usize = 4;

/// The dictionaries that `path` is or holds, by name.
///
/// # Errors
/// It cannot be read, or is neither a dictionary nor a folder of them nor a release.
pub fn dictionaries(path: &Path) -> Result<Vec<PathBuf>, ReleaseError> {
    if is_dictionary(path) {
        return Ok(vec![path.to_path_buf()]);
    }
    let within = [path.join("dictionaries"), path.to_path_buf()].into_iter().find(|dir| dir.is_dir());
    let mut found = Vec::new();
    below(&within.unwrap_or(path.to_path_buf()), DEPTH, &mut found)?;
    found.sort();
    if found.is_empty() && !is_release(path) {
        invalid!(
            "{}: expected a release or a dictionary, found neither; name the folder of one",
            path.display()
        );
    }
    Ok(found)
}

/// The folders of dictionaries below a folder; hidden ones say nothing about it.
fn below(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), ReleaseError> {
    let entries = folder.read_dir().map_err(FileError::io(folder, "read"))?;
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let real = |path: &PathBuf| path.is_dir() && !path.is_symlink() && !hidden(path);
    for path in entries.flatten().map(|e| e.path()).filter(real) {
        match is_dictionary(&path) {
            true => found.push(path),
            false if depth > 1 => below(&path, depth - 1, found)?,
            false => {}
        }
    }
    Ok(())
}

/// Looks at the files of `path`, if it is a release, and at these dictionaries in it.
pub fn verify(path: &Path, dictionaries: &[PathBuf], device: Device) -> Vec<Check> {
    let mut checks = if is_release(path) { files(path) } else { Vec::new() };
    if is_release(path) && ["plan.json", "evaluation.json"].iter().all(|name| path.join(name).is_file()) {
        checks.extend(agreement(path));
    }
    for dictionary in dictionaries {
        let of_dictionary = lapidary_dictionary::verify(dictionary, device);
        checks
            .extend(of_dictionary.into_iter().map(|check| Check::new(check.path, check.what, check.result)));
    }
    checks
}

fn is_dictionary(path: &Path) -> bool {
    path.is_file() || path.join("cfg.json").is_file() || path.join("params.npz").is_file()
}

/// A release says so itself, also if it was cut short, or holds what a release holds; a run has its dictionaries in a folder of
/// their own.
fn is_release(path: &Path) -> bool {
    let run = path.join("dictionaries").is_dir();
    let begun = folder_kind(path).is_some_and(|kind| kind == RELEASE.name);
    let holds = || [inventory::FILE_NAME, "plan.json"].iter().any(|name| path.join(name).is_file());
    !is_dictionary(path) && !run && (begun || holds())
}

/// Every file of a release against its manifest.
fn files(folder: &Path) -> Vec<Check> {
    let path = folder.join(inventory::FILE_NAME);
    match inventory::compare(folder) {
        Ok(entries) => std::iter::once(Check::new(path, "lists the files", Ok::<_, FileError>(())))
            .chain(entries.into_iter().map(|entry| file(folder, entry)))
            .collect(),
        Err(error) => vec![Check::new(path, "lists the files", Err(error))],
    }
}

fn file(folder: &Path, entry: Entry) -> Check {
    let path = folder.join(&entry.name);
    let next = "release or fetch the folder again";
    let result = match (entry.expected, entry.found) {
        (Some(expected), Some(found)) if expected == found => Ok(()),
        (Some(expected), found) => {
            let found = found.unwrap_or("no such file".into());
            Err(FileError::invalid(&path, format!("a file with blake3 {expected}"), found, next))
        }
        (None, _) => {
            Err(FileError::invalid(&path, "no such file in the manifest's list", "one", "take it out"))
        }
    };
    Check::new(path, "blake3", result)
}
