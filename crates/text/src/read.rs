//! Documents from files: the `<|endoftext|>`-separated parts of a text file, or of each file of a folder, sorted by name.
//!
//! Documents are stripped of white space (and of a byte-order mark) and empty ones dropped. In a folder, hidden files and
//! sub-folders are skipped and reported; a file that is not plain text refuses the folder, since half a corpus without a word
//! is worse than none. A file is read by blocks and documents come in groups of bounded text, so that of a corpus no more
//! than its longest document lies in memory as text, and that once.

use crate::format;
use lapidary_files::FileError;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What stands between documents.
pub(crate) const SEPARATOR: &str = "<|endoftext|>";

/// The path that is standard input.
const STANDARD_INPUT: &str = "-";

/// Text of a group, about: one more document may overshoot it.
const GROUP_BYTES: usize = 16 << 20;

/// Read at a time.
const BLOCK_BYTES: usize = 1 << 20;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// blake3 (hex) of every stripped document of `paths`, in reading order: what labels of a text name its documents by.
///
/// # Errors
/// Those of reading the files.
pub fn document_hashes(paths: &[PathBuf]) -> Result<Vec<String>, FileError> {
    let mut hashes = Vec::new();
    for_each_group(paths, |documents| {
        hashes.extend(documents.iter().map(|d| crate::document_hash(d).to_hex().to_string()));
        Ok::<(), FileError>(())
    })?;
    Ok(hashes)
}

/// Calls `group` with the stripped documents of `paths`, in order, a group at a time; returns what was skipped.
pub(crate) fn for_each_group<E: From<FileError>>(
    paths: &[PathBuf],
    mut group: impl FnMut(&[String]) -> Result<(), E>,
) -> Result<Vec<PathBuf>, E> {
    let (mut skipped, mut pending, mut bytes) = (Vec::new(), Vec::new(), 0);
    for path in paths {
        for file in if path.is_dir() { files(path, &mut skipped)? } else { vec![path.clone()] } {
            for document in Documents::open(&file)? {
                let document = document?;
                bytes += document.len();
                pending.push(document);
                if bytes >= GROUP_BYTES {
                    group(&pending)?;
                    (pending, bytes) = (Vec::new(), 0);
                }
            }
        }
    }
    group(&pending)?;
    Ok(skipped)
}

/// One text as it is, of any name, without a byte-order mark; `-` is standard input.
///
/// # Errors
/// More than `limit` bytes, an archive or another binary format, or text that is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, FileError> {
    let mut bytes = Vec::new();
    open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(FileError::io(path, "read"))?;
    if bytes.len() as u64 > limit {
        let expected = format!("at most {limit} bytes");
        return Err(FileError::invalid(path, expected, "more", "is this the right file?"));
    }
    format::refuse_binary(path, &bytes[..bytes.len().min(format::HEAD_BYTES)])?;
    let text = decode(path, 0, bytes)?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map(String::from).unwrap_or(text))
}

/// The regular, visible files of a folder, sorted by name, all of them plain text; the rest goes to `skipped`.
fn files(folder: &Path, skipped: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>, FileError> {
    format::refuse_dataset(folder)?;
    let entries = std::fs::read_dir(folder).map_err(FileError::io(folder, "read"))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(FileError::io(folder, "read"))?.path());
    }
    paths.sort();
    let is_hidden = |p: &Path| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    let (keep, skip): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|p: &PathBuf| p.is_file() && !is_hidden(p));
    keep.iter().try_for_each(|file| plain(file))?;
    if keep.is_empty() && skip.iter().any(|p| p.is_dir()) {
        let next = "name the sub-folders: a folder's files are read, not those of folders in it";
        return Err(FileError::invalid(folder, "text files", "sub-folders only", next));
    }
    skipped.extend(skip);
    Ok(keep)
}

/// Refuses a file of a folder before any other has been read.
fn plain(file: &Path) -> Result<(), FileError> {
    let mut head = Vec::new();
    let bytes = format::HEAD_BYTES as u64;
    open(file)?.take(bytes).read_to_end(&mut head).map_err(FileError::io(file, "read"))?;
    format::refuse(file, &head).map_err(|error| match error {
        FileError::Invalid { path, expected, found, next } => FileError::Invalid {
            path,
            expected,
            found,
            next: format!("{next}; then take it out of the folder"),
        },
        other => other,
    })
}

fn open(path: &Path) -> Result<Box<dyn Read>, FileError> {
    if path == Path::new(STANDARD_INPUT) {
        return Ok(Box::new(std::io::stdin()));
    }
    Ok(Box::new(File::open(path).map_err(FileError::io(path, "read"))?))
}

/// The documents of a file, one after another.
struct Documents {
    path: PathBuf,
    source: Box<dyn Read>,
    /// What was read and not yet given out begins at `start`; before `searched` no separator begins.
    buffer: Vec<u8>,
    start: usize,
    searched: usize,
    /// Place of the buffer in the file.
    offset: usize,
    ended: bool,
}

impl Documents {
    fn open(path: &Path) -> Result<Documents, FileError> {
        let (source, path) = (open(path)?, path.to_path_buf());
        let (buffer, start, searched, offset) = (Vec::new(), 0, 0, 0);
        let mut documents = Documents { path, source, buffer, start, searched, offset, ended: false };
        documents.fill()?;
        let head = &documents.buffer[..documents.buffer.len().min(format::HEAD_BYTES)];
        format::refuse(&documents.path, head)?;
        Ok(documents)
    }

    /// Drops what was given out and reads a block.
    fn fill(&mut self) -> Result<(), FileError> {
        self.buffer.drain(..self.start);
        self.offset += self.start;
        self.searched -= self.start;
        self.start = 0;
        let mut block = self.source.by_ref().take(BLOCK_BYTES as u64);
        let read = block.read_to_end(&mut self.buffer).map_err(FileError::io(&self.path, "read"))?;
        self.ended = read == 0;
        Ok(())
    }

    /// The bytes up to the next separator or the end; `None` after the last.
    fn part(&mut self) -> Result<Option<(usize, Vec<u8>)>, FileError> {
        loop {
            if let Some(at) = find(&self.buffer, self.searched) {
                let part = (self.offset + self.start, self.take(at));
                self.start += SEPARATOR.len();
                self.searched = self.start;
                return Ok(Some(part));
            }
            if self.ended {
                let (at, end) = (self.offset + self.start, self.buffer.len());
                return Ok((self.start < end).then(|| (at, self.take(end))));
            }
            // A separator may stand across the end of what was read.
            self.searched = self.searched.max((self.buffer.len() + 1).saturating_sub(SEPARATOR.len()));
            self.fill()?;
        }
    }

    /// Takes the bytes before `end` out: a long document keeps the memory that it was read into.
    fn take(&mut self, end: usize) -> Vec<u8> {
        if end - self.start < BLOCK_BYTES {
            let part = self.buffer[self.start..end].to_vec();
            self.start = end;
            return part;
        }
        let rest = self.buffer.split_off(end);
        let mut part = std::mem::replace(&mut self.buffer, rest);
        part.drain(..self.start);
        self.offset += end;
        self.start = 0;
        part
    }
}

impl Iterator for Documents {
    type Item = Result<String, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (offset, bytes) = match self.part() {
                Ok(part) => part?,
                Err(error) => return Some(Err(error)),
            };
            match decode(&self.path, offset, bytes).map(strip) {
                Ok(document) if document.is_empty() => continue,
                document => return Some(document),
            }
        }
    }
}

/// Where the next separator begins, at `from` or after.
fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == SEPARATOR.as_bytes()[0])?;
        if bytes[at..].starts_with(SEPARATOR.as_bytes()) {
            return Some(at);
        }
        at += 1;
    }
}

/// The text of bytes that begin at `offset` of the file.
fn decode(path: &Path, offset: usize, bytes: Vec<u8>) -> Result<String, FileError> {
    if let Some(at) = bytes.iter().position(|&b| b == 0) {
        let found = format!("a zero byte at offset {}: it is binary, or in another encoding", offset + at);
        return Err(FileError::invalid(
            path,
            "plain text in UTF-8",
            found,
            "name a text file, or convert it to UTF-8",
        ));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = offset + e.utf8_error().valid_up_to();
        let (found, next) = match e.utf8_error().error_len() {
            None => (
                format!("half a character at offset {at}"),
                "is the file whole? it ends, or a document does, too early",
            ),
            Some(_) => (
                format!("invalid bytes at offset {at}"),
                "convert the file to UTF-8, for example `iconv -f LATIN1 -t UTF-8`",
            ),
        };
        FileError::invalid(path, "UTF-8 text", found, next)
    })
}

/// Takes white space off both ends, and a byte-order mark, which is there where files were joined.
fn strip(mut text: String) -> String {
    let unmarked = text.trim_start().trim_start_matches(BYTE_ORDER_MARK).trim_start();
    let start = text.len() - unmarked.len();
    text.truncate(text.trim_end().len().max(start));
    text.drain(..start);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(paths: &[PathBuf]) -> Result<(Vec<String>, Vec<PathBuf>), FileError> {
        let mut documents = Vec::new();
        let skipped = for_each_group(paths, |d| {
            documents.extend_from_slice(d);
            Ok::<(), FileError>(())
        })?;
        Ok((documents, skipped))
    }

    fn error(name: &str, bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let error = read(std::slice::from_ref(&file)).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        error
    }

    #[test]
    fn files_split_at_the_separator_in_folders_too() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("a.txt"), dir.path().join("folder"));
        std::fs::write(&file, " one\n<|endoftext|>\n \u{a0}\n<|endoftext|>two <|endoftext|>").unwrap();
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        std::fs::write(folder.join("b"), "b<|endoftext|>b\n").unwrap();
        std::fs::write(folder.join("a"), "a").unwrap();
        std::fs::write(folder.join("empty"), "\n").unwrap();
        std::fs::write(folder.join(".hidden"), "x").unwrap();
        let (documents, skipped) = read(&[file.clone(), folder.clone(), file]).unwrap();
        assert_eq!(documents, ["one", "two", "a", "b", "b", "one", "two"]);
        assert_eq!(skipped, [folder.join(".hidden"), folder.join("inner")]);
    }

    #[test]
    fn byte_order_marks_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        std::fs::write(&file, "\u{feff} one<|endoftext|>\u{feff}two\u{feff}<|endoftext|>\u{feff}").unwrap();
        assert_eq!(read(std::slice::from_ref(&file)).unwrap().0, ["one", "two\u{feff}"]);
        assert_eq!(read_text(&file, 1 << 20).unwrap().chars().next(), Some(' '));
    }

    #[test]
    fn a_folder_with_a_foreign_file_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.txt"), "text").unwrap();
        std::fs::write(dir.path().join("z.gz"), b"\x1f\x8b\x08").unwrap();
        let error = read(&[dir.path().to_path_buf()]).unwrap_err().to_string();
        assert!(
            error.contains("z.gz: expected plain text") && error.contains("out of the folder"),
            "{error}"
        );
        std::fs::write(dir.path().join("dataset_info.json"), "{}").unwrap();
        let error = read(&[dir.path().to_path_buf()]).unwrap_err().to_string();
        assert!(error.contains("a Hugging Face dataset"), "{error}");
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("sub")).unwrap();
        let error = read(&[outer.path().to_path_buf()]).unwrap_err().to_string();
        assert!(error.contains("sub-folders only"), "{error}");
    }

    #[test]
    fn bad_files_are_named() {
        let latin1 = error("latin1.txt", b"caf\xe9 noir");
        assert!(latin1.contains("offset 3") && latin1.contains("convert"), "{latin1}");
        let later = error("later.txt", b"good<|endoftext|>caf\xe9 noir");
        assert!(later.contains("offset 20"), "{later}");
        assert!(error("half.txt", b"\xe6\x9d\xb1\xe4\xba").contains("half a character at offset 3"));
        assert!(error("surrogate.txt", b"abc \xed\xa0\x80 def").contains("offset 4"));
        assert!(error("nul.txt", b"abc\0def ghi words here").contains("a zero byte at offset 3"));
        let dir = tempfile::tempdir().unwrap();
        let error = read(&[dir.path().join("none.txt")]).unwrap_err().to_string();
        assert!(error.contains("none.txt") && error.contains("check the path"), "{error}");
    }

    /// A source that gives few bytes at a time.
    struct Dribble(std::io::Cursor<Vec<u8>>, usize);

    impl Read for Dribble {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let bytes = out.len().min(self.1);
            self.0.read(&mut out[..bytes])
        }
    }

    fn documents_of(text: &str, step: usize) -> Vec<String> {
        let source = Box::new(Dribble(std::io::Cursor::new(text.as_bytes().to_vec()), step));
        let path = PathBuf::from("text");
        let (buffer, start, searched, offset) = (Vec::new(), 0, 0, 0);
        Documents { path, source, buffer, start, searched, offset, ended: false }
            .map(Result::unwrap)
            .collect()
    }

    proptest! {
        /// What `str::split` says of the text as a whole.
        #[test]
        fn parts_are_those_of_the_whole_text(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just("<|endoftext|>".to_string()), Just("<|endof".to_string()), Just("<".to_string()),
                    Just("\u{feff}".to_string()), "[ \n<a-c]{0,9}", Just("\u{6771}".repeat(400_000)),
                ],
                0..12,
            ),
            step in 1usize..1 << 20,
        ) {
            let text = pieces.concat();
            let expected: Vec<&str> = text
                .split(SEPARATOR)
                .map(|part| part.trim_start().trim_start_matches('\u{feff}').trim())
                .filter(|part| !part.is_empty())
                .collect();
            prop_assert_eq!(documents_of(&text, step.max(text.len() / 1_000)), expected);
        }
    }
}
