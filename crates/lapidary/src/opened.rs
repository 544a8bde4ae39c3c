//! What a name on the command line opens: a model with its tokenizer and its identity. Config, tensor headers and tokenizer
//! are read at once; the weights, and their hash, when somebody asks for them: a dry run or a mistyped site never does.

use crate::global::{Global, expand_home};
use anyhow::Context;
use lapidary_files::hash;
use lapidary_kernels::Device;
use lapidary_lm::{LmError, Model, ModelFolder, Spec, load_spec};
use lapidary_text::Tokenizer;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A model folder, opened.
pub struct Opened {
    /// Where it is.
    pub folder: PathBuf,
    /// Name of the folder: what cards and plans call the model.
    pub name: String,
    /// What its weights mean.
    pub spec: Spec,
    /// Number of its parameters.
    pub parameters: usize,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Who computes.
    pub device: Device,
    files: ModelFolder,
    model: OnceLock<Model>,
    hash: OnceLock<String>,
}

impl Opened {
    /// Opens the model that `name` says, as a path or inside `--data`. Keys of its config that the suite or the command
    /// line vouches for are `ignored`.
    pub fn open(name: &Path, ignored: &[String], global: &Global) -> anyhow::Result<Opened> {
        let name = &expand_home(name.to_path_buf())?;
        let folder = global.find(name).map_err(|missing| match load_spec(name, &[]) {
            // `owner/model` may be an id of the Hub: that error says how to fetch it.
            Err(error @ LmError::NoFolder { .. }) if name.components().count() == 2 => error.into(),
            _ => missing,
        })?;
        let files = open_folder(&folder, ignored, global)?;
        let tokenizer = Tokenizer::load(&folder)?;
        let real = folder.canonicalize().with_context(|| folder.display().to_string())?;
        let name = real.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned());
        Ok(Opened {
            folder,
            name,
            spec: files.spec.clone(),
            parameters: files.parameters(),
            tokenizer,
            device: global.device,
            files,
            model: OnceLock::new(),
            hash: OnceLock::new(),
        })
    }

    /// The model with its weights, which the first call reads.
    pub fn model(&self) -> anyhow::Result<&Model> {
        match self.model.get() {
            Some(model) => Ok(model),
            None => {
                let model = self.files.load(self.device)?;
                Ok(self.model.get_or_init(|| model))
            }
        }
    }

    /// blake3 over the hashes of `config.json` and every safetensors file, by name; the first call reads them all.
    pub fn hash(&self) -> anyhow::Result<&str> {
        match self.hash.get() {
            Some(hash) => Ok(hash),
            None => {
                let hash = model_hash(&self.folder)?;
                Ok(self.hash.get_or_init(|| hash))
            }
        }
    }
}

/// Config and headers of a folder; what the user might not expect of them is said on stderr.
pub fn open_folder(folder: &Path, ignored: &[String], global: &Global) -> anyhow::Result<ModelFolder> {
    let ignored = [ignored, &global.ignore_config_keys].concat();
    let files = ModelFolder::open(folder, &ignored)?;
    if files.own_head_against_config && !global.quiet {
        crate::terminal::note(format_args!(
            "{}: config.json ties the head to the embedding, but lm_head.weight is stored and differs: it is the head",
            folder.display()
        ));
    }
    Ok(files)
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
