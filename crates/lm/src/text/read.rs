//! Documents from files: a text file is one per `<|endoftext|>`-separated part, a folder one per file, sorted by name.
//!
//! Documents are stripped of white space and empty ones dropped. In a folder, hidden files and sub-folders are skipped and
//! reported. Documents come in groups of bounded text, so that a corpus never lies in memory as text.

use lapidary_files::{FileError, read_string};
use std::path::{Path, PathBuf};

const SEPARATOR: &str = "<|endoftext|>";

/// Text of a group, about: one more file may overshoot it.
const GROUP_BYTES: usize = 64 << 20;

/// Calls `group` with the stripped documents of `paths`, in order, a group at a time; returns what was skipped.
pub(super) fn for_each_group<E: From<FileError>>(
    paths: &[PathBuf],
    mut group: impl FnMut(&[String]) -> Result<(), E>,
) -> Result<Vec<PathBuf>, E> {
    let (mut skipped, mut pending, mut bytes) = (Vec::new(), Vec::new(), 0);
    for path in paths {
        let is_folder = path.is_dir();
        for file in if is_folder { files(path, &mut skipped)? } else { vec![path.clone()] } {
            let text = read_string(&file, u64::MAX)?;
            bytes += text.len();
            let parts = if is_folder { vec![&text[..]] } else { text.split(SEPARATOR).collect() };
            pending.extend(parts.into_iter().map(str::trim).filter(|d| !d.is_empty()).map(String::from));
            if bytes >= GROUP_BYTES {
                group(&pending)?;
                (pending, bytes) = (Vec::new(), 0);
            }
        }
    }
    group(&pending)?;
    Ok(skipped)
}

/// The regular, visible files of a folder, sorted by name; the rest goes to `skipped`.
fn files(folder: &Path, skipped: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>, FileError> {
    let entries = std::fs::read_dir(folder).map_err(FileError::io(folder, "read"))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(FileError::io(folder, "read"))?.path());
    }
    paths.sort();
    let is_hidden = |p: &Path| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    let (keep, skip) = paths.into_iter().partition(|p: &PathBuf| p.is_file() && !is_hidden(p));
    skipped.extend::<Vec<_>>(skip);
    Ok(keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(paths: &[PathBuf]) -> Result<(Vec<String>, Vec<PathBuf>), FileError> {
        let mut documents = Vec::new();
        let skipped = for_each_group(paths, |d| {
            documents.extend_from_slice(d);
            Ok::<(), FileError>(())
        })?;
        Ok((documents, skipped))
    }

    #[test]
    fn files_split_at_the_separator_and_folders_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("a.txt"), dir.path().join("folder"));
        std::fs::write(&file, " one\n<|endoftext|>\n \u{a0}\n<|endoftext|>two <|endoftext|>").unwrap();
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        std::fs::write(folder.join("b"), "b<|endoftext|>b\n").unwrap();
        std::fs::write(folder.join("a"), "a").unwrap();
        std::fs::write(folder.join("empty"), "\n").unwrap();
        std::fs::write(folder.join(".hidden"), "x").unwrap();
        let (documents, skipped) = read(&[file.clone(), folder.clone(), file]).unwrap();
        assert_eq!(documents, ["one", "two", "a", "b<|endoftext|>b", "one", "two"]);
        assert_eq!(skipped, [folder.join(".hidden"), folder.join("inner")]);
    }

    #[test]
    fn bad_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("latin1.txt");
        std::fs::write(&file, b"caf\xe9 noir").unwrap();
        let error = read(std::slice::from_ref(&file)).unwrap_err().to_string();
        assert!(
            error.contains("latin1.txt") && error.contains("offset 3") && error.contains("convert"),
            "{error}"
        );
        let error = read(&[dir.path().join("none.txt")]).unwrap_err().to_string();
        assert!(error.contains("none.txt") && error.contains("check the path"), "{error}");
    }
}
