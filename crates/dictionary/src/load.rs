//! One door for every format that is read: a folder that SAELens reads too, a Gemma Scope folder, or its bare npz.

use crate::error::invalid;
use crate::{Dictionary, DictionaryError, Meta, gemma_scope, sae_lens};
use lapidary_files::FileError;
use std::path::Path;

/// Loads the dictionary at `path`: a folder with `cfg.json`, a folder with `params.npz`, or an `.npz` file. The meta data
/// is there when Lapidary wrote the folder.
pub fn load(path: &Path) -> Result<(Dictionary, Option<Meta>), DictionaryError> {
    let kind = std::fs::metadata(path).map_err(FileError::io(path, "read"))?;
    if !kind.is_dir() {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz")) {
            return Ok((gemma_scope::read_npz(path)?, None));
        }
        return Err(invalid(
            path,
            "a dictionary's folder or a params.npz",
            "another file",
            "name the folder it is in",
        ));
    }
    if sae_lens::is_folder(path) {
        return sae_lens::load_sae_lens(path);
    }
    let npz = path.join(gemma_scope::FILE_NAME);
    if npz.is_file() {
        return Ok((gemma_scope::read_npz(&npz)?, None));
    }
    Err(invalid(
        path,
        "a cfg.json or a params.npz in the folder",
        "neither",
        "name the folder of one dictionary",
    ))
}
