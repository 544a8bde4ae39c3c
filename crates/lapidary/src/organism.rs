//! What the binary carries: the organism (a small Gemma 2 that learned the ground-truth language), its chat model and its
//! suite of dictionaries. They are unpacked when first named, into a cache folder that their content names.

use lapidary_files as files;
use std::path::{Path, PathBuf};

/// Every file of `models/` that is not a card or a script: path below `models/`, bytes.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/organism.rs"));

/// Names under which the folders are found, wherever a model or a run is asked for.
pub const NAMES: [&str; 3] = ["organism", "organism-chat", "organism-suite"];

/// Does the binary carry something of this name?
pub fn is_embedded(name: &str) -> bool {
    FILES.iter().any(|(path, _)| path.split('/').next() == Some(name))
}

/// The folder of an embedded name, unpacked if it is not there yet; `None` if nothing of that name is embedded.
///
/// # Errors
/// The cache cannot be written.
pub fn unpack(name: &Path, cache: &Path) -> anyhow::Result<Option<PathBuf>> {
    let Some(name) = NAMES.into_iter().find(|known| Path::new(known) == name) else { return Ok(None) };
    let prefix = format!("{name}/");
    let own: Vec<_> =
        FILES.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?, *bytes))).collect();
    if own.is_empty() {
        return Ok(None);
    }
    let folder = cache.join(content(&own)).join(name);
    for (path, bytes) in own {
        let path = folder.join(path);
        let here = path.metadata().is_ok_and(|meta| meta.len() == bytes.len() as u64);
        if !here {
            files::create_dir(path.parent().expect("it is below the folder"))?;
            files::publish(&path, bytes)?;
        }
    }
    Ok(Some(folder))
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
}
