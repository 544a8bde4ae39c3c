//! A model's folder, or its GGUF file, opened in two steps: first its config and the headers of its tensor files, which cost
//! nothing and say whether the two fit; then, when somebody wants to compute, the weights.

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::error::LmError;
use crate::family;
use crate::gguf;
use crate::model::Model;
use crate::spec::Spec;
use crate::values::{Precision, Values};
use crate::weights::{self, Weights};
use lapidary_files::{FileError, foreign};
use lapidary_gguf::{GgufFile, is_gguf};
use lapidary_kernels::Device;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Config and headers, read and found to fit; no weight has been read.
#[derive(Debug)]
pub struct ModelFolder {
    /// What the weights mean. `tied_head` says what the files hold, which may not be what the config says.
    pub spec: Spec,
    /// The config ties the head to the embedding, but the files hold another: that one is the head.
    pub own_head_against_config: bool,
    stored: Stored,
}

/// Where the weights are.
#[derive(Debug)]
enum Stored {
    Folder(Checkpoint),
    Gguf(gguf::Stored),
}

impl ModelFolder {
    /// Opens a Hugging Face folder, `config.json` and `model.safetensors` or `model.safetensors.index.json` with shards, or a
    /// GGUF file. `ignored` names keys of the config that change nothing although nobody here knows them.
    ///
    /// # Errors
    /// A missing or damaged file, an unknown family, a config key that may change the maths, a tensor that is missing,
    /// not float, of a wrong shape, or one too many.
    pub fn open(dir: &Path, ignored: &[String]) -> Result<ModelFolder, LmError> {
        if is_gguf(dir) {
            let (spec, stored) = gguf::open(dir, ignored)?;
            return Ok(ModelFolder { own_head_against_config: false, spec, stored: Stored::Gguf(stored) });
        }
        let mut spec = load_spec(dir, ignored)?;
        let (tied, names) = (spec.tied_head, family::names(spec.family));
        let mut checkpoint = Checkpoint::open(dir, names)?;
        spec.tied_head = tied && checkpoint.tie_head(names.embed, spec.vocab, spec.d_model)?;
        let mut needed = Vec::new();
        weights::build(&spec, &mut |name, shape| {
            checkpoint.check(name, shape)?;
            needed.push(name.to_string());
            Ok(Values::default())
        })?;
        checkpoint.check_nothing_else(&needed, &spec)?;
        let stored = Stored::Folder(checkpoint);
        Ok(ModelFolder { own_head_against_config: tied && !spec.tied_head, spec, stored })
    }

    /// Number of parameters, by the shapes; a tied head counts once.
    pub fn parameters(&self) -> usize {
        weights::count(&self.spec)
    }

    /// Reads the weights, for products of this precision.
    ///
    /// # Errors
    /// A file cannot be read, or holds a weight that is not finite.
    pub fn load(&self, device: Device, precision: Precision) -> Result<Model, LmError> {
        let weights = match &self.stored {
            Stored::Folder(checkpoint) => Weights::read(&self.spec, checkpoint)?,
            Stored::Gguf(stored) => stored.read(&self.spec)?,
        };
        let weights = match precision {
            Precision::F32 => weights,
            Precision::Bf16 => weights.rounded(),
        };
        Ok(Model { spec: self.spec.clone(), weights, device, precision })
    }
}

impl Model {
    /// Opens a Hugging Face folder and reads its weights at once, for products of f32.
    ///
    /// # Errors
    /// As [`ModelFolder::open`] and [`ModelFolder::load`].
    pub fn load(dir: &Path, device: Device) -> Result<Model, LmError> {
        ModelFolder::open(dir, &[])?.load(device, Precision::F32)
    }
}

/// The spec of a model folder by its `config.json` and `generation_config.json`, or of a GGUF file by its keys; a folder's
/// weights need not be there.
///
/// # Errors
/// No such folder, a damaged file, an unknown family, a config key that may change the maths.
pub fn load_spec(dir: &Path, ignored: &[String]) -> Result<Spec, LmError> {
    if is_gguf(dir) {
        return gguf::spec(&GgufFile::open(dir)?, ignored);
    }
    if !dir.is_dir() {
        return Err(LmError::NoFolder { path: dir.to_path_buf(), next: next_for(dir) });
    }
    let spec = family::spec(Config::read(dir, "config.json", ignored)?)?;
    let stops = stops(dir, &spec.eos)?;
    Ok(Spec { stops, ..spec })
}

/// Ids that end a generation: those of `generation_config.json`, which transformers lets go before the config's `eos`.
fn stops(dir: &Path, eos: &[u32]) -> Result<Vec<u32>, LmError> {
    let name = "generation_config.json";
    if !dir.join(name).exists() {
        return Ok(eos.to_vec());
    }
    let stops = Config::read(dir, name, &[])?.tokens("eos_token_id", &[])?;
    Ok(if stops.is_empty() { eos.to_vec() } else { stops })
}

/// What to do about a folder that is not there: it may be the name of a model on the Hub, or one of the folder's files.
fn next_for(dir: &Path) -> String {
    let text = dir.display().to_string();
    let parts: Vec<&str> = text.split('/').collect();
    if dir.is_file() {
        return match beginning(dir).ok().and_then(|start| foreign::recognise(&start)) {
            Some(it) => format!("it is {}: {}", it.what, it.next),
            None => "it is a file: name the folder that holds it".to_string(),
        };
    }
    let of_an_id = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = |p: &&str| !p.is_empty() && *p != "." && *p != ".." && p.chars().all(of_an_id);
    if parts.len() == 2 && parts.iter().all(is_name) {
        return format!(
            "if it is a Hugging Face id, fetch it with `hf download {text} --local-dir DIR` and name DIR"
        );
    }
    "name the folder of a Hugging Face model, with config.json, model.safetensors and tokenizer.json"
        .to_string()
}

fn beginning(file: &Path) -> Result<Vec<u8>, FileError> {
    let mut start = Vec::new();
    let read = File::open(file).and_then(|f| f.take(foreign::START as u64).read_to_end(&mut start));
    read.map_err(FileError::io(file, "read"))?;
    Ok(start)
}
