//! What the program carries: the organism (a small Gemma 2 that learned the ground-truth language), its chat model and its
//! suite of dictionaries. They are unpacked when first named, into a cache folder that their content names.

use crate::CatalogError;
use lapidary_files as files;
use std::path::{Path, PathBuf};

/// Every file of `models/` that is not a model's card or a script: path below `models/`, bytes.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Names under which the folders are found, wherever a model or a run is asked for.
pub const NAMES: [&str; 3] = ["organism", "organism-chat", "organism-suite"];

/// Says outright that what follows is the name of something embedded.
pub const SCHEME: &str = "embedded:";

/// The embedded folder that `name` begins with, and the rest of it.
fn split(name: &Path) -> Option<(&'static str, PathBuf)> {
    let mut parts = name.components();
    let first = parts.next()?.as_os_str();
    let known = NAMES.into_iter().find(|known| first == *known)?;
    Some((known, parts.as_path().to_path_buf()))
}

/// Is there something embedded that `name` would mean?
pub fn carries(name: &Path) -> bool {
    let below = |(folder, rest): (&'static str, PathBuf)| Path::new(folder).join(rest);
    split(name)
        .map(below)
        .is_some_and(|path| FILES.iter().any(|(file, _)| Path::new(file).starts_with(&path)))
}

/// The file or folder of an embedded name, `organism-suite` or `organism-suite/DICT`, unpacked if it is not there yet; `None`
/// if nothing of that name is embedded.
///
/// # Errors
/// The cache cannot be written.
pub fn unpack(name: &Path, cache: &Path) -> Result<Option<PathBuf>, CatalogError> {
    let Some((name, rest)) = split(name).filter(|_| carries(name)) else { return Ok(None) };
    let prefix = format!("{name}/");
    let own: Vec<_> =
        FILES.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?, *bytes))).collect();
    let folder = cache.join(content(&own)).join(name);
    for (path, bytes) in own {
        let path = folder.join(path);
        let here = path.metadata().is_ok_and(|meta| meta.len() == bytes.len() as u64);
        if !here {
            files::create_dir(path.parent().expect("it is below the folder"))?;
            files::publish(&path, bytes)?;
        }
    }
    Ok(Some(folder.join(rest)))
}

/// Short name of the content.
fn content(files: &[(&str, &[u8])]) -> String {
    let lines: String =
        files.iter().map(|(path, bytes)| format!("{path} {}\n", files::hash::bytes(bytes))).collect();
    files::hash::bytes(lines.as_bytes())[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_is_unpacked_once_and_repaired() {
        let cache = tempfile::tempdir().unwrap();
        let folder = unpack(Path::new("organism"), cache.path()).unwrap().expect("the organism is embedded");
        let weights = folder.join("model.safetensors");
        let bytes = std::fs::read(&weights).unwrap();
        std::fs::write(&weights, &bytes[..100]).unwrap();
        assert_eq!(unpack(Path::new("organism"), cache.path()).unwrap(), Some(folder));
        assert_eq!(std::fs::read(&weights).unwrap(), bytes);
        assert_eq!(unpack(Path::new("organisms"), cache.path()).unwrap(), None);
    }

    #[test]
    fn names_go_into_what_is_embedded() {
        let cache = tempfile::tempdir().unwrap();
        let unpack = |name: &str| unpack(Path::new(name), cache.path()).unwrap();
        let suite = unpack("organism-suite").unwrap();
        let one = unpack("organism-suite/2.res-width1024-lambda0.002/").unwrap();
        assert_eq!(one, suite.join("2.res-width1024-lambda0.002"));
        assert!(one.join("cfg.json").is_file());
        assert_eq!(unpack("organism-suite/2.re"), None);
        assert_eq!(unpack("organism-suite/../organism"), None);
    }
}
