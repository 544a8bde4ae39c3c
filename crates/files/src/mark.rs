//! The mark of a folder that Lapidary wrote: the file `.lapidary`, which says what kind of folder it is and which names belong
//! to it. A folder with a mark and nothing else than it names may be replaced; any other is somebody's.
//!
//! Text: `lapidary-folder 1 KIND`, then a pattern per line: parts of a path, each with at most one `*`; or a name that ends in
//! `/`, a folder with a mark of its own.

use crate::FileError;
use crate::temp::is_temp;
use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Name of the file.
pub const MARK: &str = ".lapidary";
const FIRST_WORDS: &str = "lapidary-folder 1 ";
const MAX_BYTES: u64 = 1 << 16;

/// A kind of folder that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What it is called in messages and in the mark: "run", "store", …
    pub name: &'static str,
    /// Patterns of the names in it.
    pub owns: &'static [&'static str],
    /// If an unfinished one is of use: the file by which it is known even without a mark.
    pub resumed_by: Option<&'static str>,
}

impl Kind {
    /// What the mark says.
    pub(crate) fn text(&self) -> String {
        format!("{FIRST_WORDS}{}\n{}\n", self.name, self.owns.join("\n"))
    }
}

/// What is in a folder.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// It is missing, or holds nothing but perhaps a mark.
    Nothing,
    /// Only what Lapidary wrote; the kind.
    Ours(String),
    /// Something else, for example this.
    Foreign(String),
}

/// Looks into `folder`.
///
/// # Errors
/// It is no folder, or cannot be read.
pub fn content(folder: &Path) -> Result<Content, FileError> {
    let entries = entries(folder)?;
    let Some(first) = entries.first() else { return Ok(Content::Nothing) };
    let Some(mark) = Mark::read(folder) else {
        return Ok(Content::Foreign(first.file_name().display().to_string()));
    };
    Ok(match foreign(folder, Path::new(""), &mark)? {
        Some(path) => Content::Foreign(path.display().to_string()),
        None => Content::Ours(mark.kind),
    })
}

/// The kind that the mark of `folder` says, whatever else is there.
pub fn kind(folder: &Path) -> Option<String> {
    Mark::read(folder).map(|mark| mark.kind)
}

/// What a folder says of itself.
struct Mark {
    kind: String,
    owns: Vec<String>,
}

impl Mark {
    fn read(folder: &Path) -> Option<Mark> {
        let text = crate::read_string(&folder.join(MARK), MAX_BYTES).ok()?;
        let mut lines = text.lines();
        let kind = lines.next()?.strip_prefix(FIRST_WORDS)?.to_string();
        Some(Mark { kind, owns: lines.map(str::to_string).collect() })
    }

    fn owns(&self, name: &str) -> bool {
        self.owns.iter().any(|pattern| matches(pattern, name))
    }
}

/// Entries by name, without marks and temporary files; a folder that is missing has none.
fn entries(folder: &Path) -> Result<Vec<DirEntry>, FileError> {
    let entries = match folder.read_dir() {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.map_err(FileError::io(folder, "read"))?,
    };
    let mut entries: Vec<DirEntry> =
        entries.collect::<Result<_, _>>().map_err(FileError::io(folder, "read"))?;
    entries.retain(|e| e.file_name() != MARK && !is_temp(&e.file_name()));
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

/// The first thing below `folder/below` that the mark does not name.
fn foreign(folder: &Path, below: &Path, mark: &Mark) -> Result<Option<PathBuf>, FileError> {
    for entry in entries(&folder.join(below))? {
        let (path, name) = (entry.path(), below.join(entry.file_name()));
        let of = entry.file_type().map_err(FileError::io(&path, "read"))?;
        let found = if !of.is_dir() {
            (!of.is_file() || !mark.owns(&name.to_string_lossy())).then_some(name)
        } else if mark.owns.contains(&format!("{}/", name.display())) {
            match content(&path)? {
                Content::Foreign(inner) => Some(name.join(inner)),
                _ => None,
            }
        } else {
            foreign(folder, &name, mark)?
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn matches(pattern: &str, name: &str) -> bool {
    let part = |(pattern, name): (&str, &str)| match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    };
    let same_depth = pattern.matches('/').count() == name.matches('/').count();
    same_depth && pattern.split('/').zip(name.split('/')).all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_a_part_of_one_name() {
        assert!(matches("a/step-*.bin", "a/step-12.bin") && matches("*/x", "any/x") && matches("a*a", "aa"));
        assert!(!matches("a*a", "a") && !matches("*", "a/b") && !matches("a/*", "a") && !matches("a", "b"));
    }
}
