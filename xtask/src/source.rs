//! The repository's files, and Rust text with its comments and strings blanked out, so that a rule about code does not
//! trip over prose. A small scanner, not a parser: it knows comments, strings, raw strings and character literals.

use anyhow::Context;
use std::path::Path;
use std::process::Command;

/// A file of the repository.
pub(crate) struct Source {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// Its text, empty if it is not UTF-8.
    pub(crate) text: String,
    pub(crate) bytes: u64,
}

/// Every file that git knows or would add, sorted; without a `.git` every file there is.
pub(crate) fn list(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut paths = if root.join(".git").exists() { git_files(root)? } else { walk(root, "")? };
    paths.sort();
    paths.dedup();
    paths.retain(|path| root.join(path).is_file()); // listed but just deleted
    let read = |path: String| {
        let bytes = std::fs::read(root.join(&path)).with_context(|| path.clone())?;
        Ok(Source { path, bytes: bytes.len() as u64, text: String::from_utf8(bytes).unwrap_or_default() })
    };
    paths.into_iter().map(read).collect()
}

fn git_files(root: &Path) -> anyhow::Result<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output().context("cannot run git")?;
    anyhow::ensure!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(names.split('\0').filter(|n| !n.is_empty()).map(str::to_string).collect())
}

fn walk(root: &Path, folder: &str) -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if !entry.file_type()?.is_dir() {
            paths.push(path);
        } else if name != "target" {
            paths.extend(walk(root, &path)?);
        }
    }
    Ok(paths)
}

/// `text` with comments, and what is inside strings and character literals, as spaces; lines keep their numbers.
pub(crate) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut word = false; // is the character before part of a name?
    while let Some(first) = rest.chars().next() {
        let blank = if word { 0 } else { raw_string(rest) };
        let blank = if blank > 0 { blank } else { blankable(rest) };
        let length = if blank > 0 { blank } else { first.len_utf8() };
        let (piece, tail) = rest.split_at(length);
        if blank > 0 {
            out.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            out.push(first);
        }
        word = blank == 0 && (first.is_alphanumeric() || first == '_');
        rest = tail;
    }
    out
}

/// Bytes of the comment, string or character literal that `rest` begins with, else 0.
fn blankable(rest: &str) -> usize {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |i| from + i);
    match rest.as_bytes() {
        [b'/', b'/', ..] => until("\n", 2),
        [b'/', b'*', ..] => (until("*/", 2) + 2).min(rest.len()),
        [b'"', ..] => quoted(rest, b'"'),
        [b'\'', b'\\', ..] => quoted(rest, b'\''),
        [b'\'', ..] => {
            let width = rest[1..].chars().next().map_or(0, char::len_utf8);
            if rest[1 + width..].starts_with('\'') { 2 + width } else { 0 } // else a lifetime
        }
        _ => 0,
    }
}

/// Bytes up to and with the closing, unescaped `quote`.
fn quoted(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    let mut end = (at + 1).min(rest.len());
    while !rest.is_char_boundary(end) {
        end += 1;
    }
    end
}

/// Bytes of the raw string that `rest` begins with, else 0.
fn raw_string(rest: &str) -> usize {
    let Some(after) = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')) else { return 0 };
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !after[hashes..].starts_with('"') {
        return 0;
    }
    let start = rest.len() - after.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    rest[start..].find(&end).map_or(rest.len(), |i| start + i + end.len())
}

/// Code without its test module: what comes before the first `#[cfg(test)]` that opens one.
pub(crate) fn without_tests(code: &str) -> &str {
    let mut at = 0;
    while let Some(i) = code[at..].find("#[cfg(test)]") {
        let start = at + i;
        at = start + "#[cfg(test)]".len();
        let item = &code[at..];
        let (opens, ends) = (item.find('{').unwrap_or(usize::MAX), item.find(';').unwrap_or(usize::MAX));
        if opens < ends && has_word(&item[..opens], "mod") {
            return &code[..start];
        }
    }
    code
}

/// Does `needle` stand in `text` with no letter, digit or underscore on either side?
pub(crate) fn has_word(text: &str, needle: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(needle)
        .any(|(i, _)| !part(text[..i].chars().next_back()) && !part(text[i + needle.len()..].chars().next()))
}
