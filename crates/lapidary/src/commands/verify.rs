//! `lapidary verify`: is a release, or a dictionary, what it says that it is?

use crate::global::Global;
use crate::terminal;
use anyhow::bail;
use lapidary_dictionary::Check;
use lapidary_files::FileError;
use lapidary_files::inventory::{self, Entry};
use std::path::{Path, PathBuf};

/// Check that a release or a dictionary is what it says
///
/// A release: every file against its blake3 in manifest.json, which names a changed byte anywhere, and then each dictionary. A
/// dictionary of ours: its weights against their hash, cfg.json and the hooks against lapidary.json, its probe rows encoded
/// again and compared to the bit. Somebody else's: shapes, finite numbers, a hook that is known. One line per check; the exit
/// code is 1 if one fails.
#[derive(clap::Args)]
pub struct VerifyArgs {
    /// Release folder, run folder, or dictionary: a folder or a params.npz
    #[arg(value_name = "DIR")]
    path: PathBuf,
}

/// A check and what is wrong, if it failed.
struct Line {
    path: PathBuf,
    what: String,
    error: Option<String>,
}

impl Line {
    fn new(path: PathBuf, what: &str, result: Result<(), impl std::fmt::Display>) -> Line {
        Line { path, what: what.into(), error: result.err().map(|e| e.to_string().replace('\n', " ")) }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "path": self.path, "check": self.what, "ok": self.error.is_none(), "error": self.error })
    }
}

/// Runs the verb.
pub fn run(args: VerifyArgs, global: &Global) -> anyhow::Result<()> {
    let dictionaries = dictionaries(&args.path)?;
    if global.dry_run {
        let json = serde_json::json!({ "path": args.path, "dictionaries": dictionaries.len() });
        let (many, path) = (dictionaries.len(), args.path.display());
        return global.tell(&json, format_args!("{many} dictionaries in {path}"));
    }
    let mut lines = if is_release(&args.path) { files(&args.path) } else { Vec::new() };
    for dictionary in &dictionaries {
        lines.extend(lapidary_dictionary::verify(dictionary, global.catalog.device).into_iter().map(line));
    }
    print(&lines, global)?;
    match lines.iter().filter(|line| line.error.is_some()).count() {
        0 => Ok(()),
        failed => bail!("{}: {failed} of {} checks failed", args.path.display(), lines.len()),
    }
}

fn line(check: Check) -> Line {
    Line::new(check.path, check.what, check.result)
}

fn print(lines: &[Line], global: &Global) -> anyhow::Result<()> {
    if global.json {
        let all: Vec<_> = lines.iter().map(Line::json).collect();
        return terminal::line(serde_json::json!({ "checks": all }));
    }
    terminal::write(|out| {
        lines.iter().try_for_each(|line| match &line.error {
            None => writeln!(out, "ok      {}: {}", line.path.display(), line.what),
            Some(error) => writeln!(out, "FAILED  {error}"),
        })
    })
}

fn is_dictionary(path: &Path) -> bool {
    path.is_file() || path.join("cfg.json").is_file() || path.join("params.npz").is_file()
}

/// A release says so itself, or holds what a release holds; a run has its dictionaries in a folder of their own.
fn is_release(path: &Path) -> bool {
    let run = path.join("dictionaries").is_dir();
    !is_dictionary(path)
        && !run
        && [inventory::FILE_NAME, "plan.json"].iter().any(|name| path.join(name).is_file())
}

/// The dictionaries that `path` is or holds.
fn dictionaries(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if is_dictionary(path) {
        return Ok(vec![path.to_path_buf()]);
    }
    let within = [path.join("dictionaries"), path.to_path_buf()].into_iter().find(|dir| dir.is_dir());
    let within = within.unwrap_or(path.to_path_buf());
    let entries = within.read_dir().map_err(FileError::io(path, "read"))?;
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|dir| dir.is_dir() && is_dictionary(dir)).collect();
    found.sort();
    if found.is_empty() && !is_release(path) {
        bail!(
            "{}: expected a release or a dictionary, found neither; name the folder of one",
            path.display()
        );
    }
    Ok(found)
}

/// Every file of a release against its manifest.
fn files(folder: &Path) -> Vec<Line> {
    let path = folder.join(inventory::FILE_NAME);
    match inventory::compare(folder) {
        Ok(entries) => std::iter::once(Line::new(path, "lists the files", Ok::<_, FileError>(())))
            .chain(entries.into_iter().map(|entry| file(folder, entry)))
            .collect(),
        Err(error) => vec![Line::new(path, "lists the files", Err(error))],
    }
}

fn file(folder: &Path, entry: Entry) -> Line {
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
    Line::new(path, "blake3", result)
}
