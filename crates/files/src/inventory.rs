//! `manifest.json` of a released folder: every file in it with its blake3, the hashes of what it was made from, and one over all of
//! these, so that a changed byte anywhere is found and named. Names are sorted and there is no time in it: the same files give the same bytes.

use crate::{FileError, hash, publish, read_string};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The file's name in its folder.
pub const FILE_NAME: &str = "manifest.json";
/// The version of the layout that is written; no other is read.
const FORMAT_VERSION: u32 = 1;
/// What tells it from other files of this name.
const KIND: &str = "lapidary release";
/// Longest file that is read, bytes.
const MAX_BYTES: u64 = 64 << 20;

/// A file that the manifest or the folder has; it is as it was written iff both hashes are there and the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path below the folder, with `/`.
    pub name: String,
    /// blake3 in the manifest.
    pub expected: Option<String>,
    /// blake3 in the folder.
    pub found: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Inventory {
    format_version: u32,
    kind: String,
    /// blake3 over the lines "name hash" of `files`, and then "from name hash" of `from`.
    hash: String,
    /// Hashes of what the folder was made from, by name: `plan`, `model`, `text`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    from: BTreeMap<String, String>,
    /// blake3 by name.
    files: BTreeMap<String, String>,
}

/// Publishes the manifest of everything that is in `folder` now, with the hashes of what it was made `from`.
pub fn write(folder: &Path, from: BTreeMap<String, String>) -> Result<(), FileError> {
    let mut files = BTreeMap::new();
    for name in names(folder)? {
        let hash = hash::file(&folder.join(&name))?;
        files.insert(name, hash);
    }
    let hash = hash_of(&files, &from);
    let inventory = Inventory { format_version: FORMAT_VERSION, kind: KIND.into(), hash, from, files };
    publish(&folder.join(FILE_NAME), text(&inventory).as_bytes())
}

/// Every file of `folder` and of its manifest, by name. A manifest that is not as it was written is an error.
pub fn compare(folder: &Path) -> Result<Vec<Entry>, FileError> {
    let expected = read(&folder.join(FILE_NAME))?.files;
    let there = names(folder)?;
    let all: BTreeSet<&String> = expected.keys().chain(&there).collect();
    let entry = |name: &String| {
        let found = there.contains(name).then(|| hash::file(&folder.join(name))).transpose()?;
        Ok(Entry { name: name.clone(), expected: expected.get(name).cloned(), found })
    };
    all.into_iter().map(entry).collect()
}

/// What the manifest of `folder` says that it was made from. A manifest that is not as it was written is an error.
pub fn from(folder: &Path) -> Result<BTreeMap<String, String>, FileError> {
    Ok(read(&folder.join(FILE_NAME))?.from)
}

fn read(path: &Path) -> Result<Inventory, FileError> {
    let next = "release or fetch the folder again";
    let text_read = read_string(path, MAX_BYTES)?;
    let inventory: Inventory = serde_json::from_str(&text_read)
        .map_err(|e| FileError::invalid(path, "the manifest of a release", e.to_string(), next))?;
    if (inventory.format_version, inventory.kind.as_str()) != (FORMAT_VERSION, KIND) {
        let found = format!("a `{}`, version {}", inventory.kind, inventory.format_version);
        let expected = format!("a `{KIND}`, version {FORMAT_VERSION}");
        return Err(FileError::invalid(path, expected, found, "use the lapidary that wrote it"));
    }
    let hash = hash_of(&inventory.files, &inventory.from);
    if inventory.hash != hash || text(&inventory) != text_read {
        let expected = format!("a manifest whose files hash to {}", inventory.hash);
        return Err(FileError::invalid(path, expected, format!("{hash}: it was changed"), next));
    }
    Ok(inventory)
}

fn text(inventory: &Inventory) -> String {
    format!("{}\n", serde_json::to_string_pretty(inventory).expect("plain data"))
}

fn hash_of(files: &BTreeMap<String, String>, from: &BTreeMap<String, String>) -> String {
    let files = files.iter().map(|(name, hash)| format!("{name} {hash}\n"));
    let from = from.iter().map(|(name, hash)| format!("from {name} {hash}\n"));
    hash::bytes(files.chain(from).collect::<String>().as_bytes())
}

/// Paths of all files below `folder` but the manifest and hidden ones: those say something about the place (our mark, a clone's
/// `.git`), and a release has none. Links to folders are not followed.
fn names(folder: &Path) -> Result<BTreeSet<String>, FileError> {
    let (mut out, mut left) = (BTreeSet::new(), vec![String::new()]);
    while let Some(below) = left.pop() {
        let place = folder.join(&below);
        let listed = |e| FileError::io(&place, "list")(e);
        for entry in place.read_dir().map_err(listed)? {
            let entry = entry.map_err(|e| FileError::io(&place, "list")(e))?;
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match entry.file_type().map_err(FileError::io(&entry.path(), "read"))?.is_dir() {
                true => left.push(format!("{name}/")),
                false => drop(out.insert(name)),
            }
        }
    }
    out.remove(FILE_NAME);
    Ok(out)
}
