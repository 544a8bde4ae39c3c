//! What a name on the command line opens: a model with its tokenizer and its identity.

use crate::global::{Global, expand_home};
use lapidary_files::hash;
use lapidary_lm::model::load_spec;
use lapidary_lm::text::Tokenizer;
use lapidary_lm::{LmError, Model};
use std::path::{Path, PathBuf};

/// A model folder, loaded.
pub struct Opened {
    /// Where it is.
    pub folder: PathBuf,
    /// Name of the folder: what cards and plans call the model.
    pub name: String,
    /// blake3 over the hashes of `config.json` and every safetensors file, by name.
    pub hash: String,
    /// Its weights.
    pub model: Model,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

impl Opened {
    /// Loads the model that `name` says, as a path or inside `--data`.
    pub fn load(name: &Path, global: &Global) -> anyhow::Result<Opened> {
        let name = &expand_home(name.to_path_buf())?;
        let folder = global.find(name).map_err(|missing| match load_spec(name) {
            // `owner/model` may be an id of the Hub: that error says how to fetch it.
            Err(error @ LmError::NoFolder { .. }) if name.components().count() == 2 => error.into(),
            _ => missing,
        })?;
        let model = Model::load(&folder, global.device)?;
        let tokenizer = Tokenizer::load(&folder)?;
        let hash = model_hash(&folder)?;
        let real = folder.canonicalize()?;
        let name = real.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned());
        Ok(Opened { folder, name, hash, model, tokenizer })
    }
}

/// blake3 over "name hash" lines of `config.json` and every `*.safetensors` of a folder, sorted by name.
pub fn model_hash(folder: &Path) -> anyhow::Result<String> {
    let mut names: Vec<String> = folder
        .read_dir()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name == "config.json" || name.ends_with(".safetensors"))
        .collect();
    names.sort();
    let mut lines = String::new();
    for name in names {
        lines += &format!("{name} {}\n", hash::file(&folder.join(&name))?);
    }
    Ok(hash::bytes(lines.as_bytes()))
}
