//! What a name on the command line opens: a model with its tokenizer and its identity. Config, tensor headers and tokenizer
//! are read at once; the weights, and their hash, when somebody asks for them: a dry run or a mistyped site never does.

use crate::{Catalog, CatalogError, expand_home};
use lapidary_files::{FileError, Identity, hash};
use lapidary_kernels::Device;
use lapidary_lm::{LmError, Model, ModelFolder, Precision, Spec, load_spec};
use lapidary_text::Tokenizer;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A model's folder or GGUF file, opened.
pub struct Opened {
    /// Where it is.
    pub folder: PathBuf,
    /// Name of the folder, or of the file without its ending: what cards and plans call the model.
    pub name: String,
    /// What its weights mean.
    pub spec: Spec,
    /// Number of its parameters.
    pub parameters: usize,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Who computes.
    pub device: Device,
    /// How its products are computed.
    pub precision: Precision,
    /// Is told what a user should know.
    pub note: fn(&str),
    files: ModelFolder,
    model: OnceLock<Model>,
    hash: OnceLock<String>,
}

impl Opened {
    /// Opens the model that `name` says, as a path or inside `--data`. Keys of its config that the suite or the command
    /// line vouches for are `ignored`. `precision` is what a suite, run or dictionary says; the command line may say otherwise.
    ///
    /// # Errors
    /// Nothing of that name, no such precision, or config, tensor headers or tokenizer cannot be used.
    pub fn open(
        name: &Path,
        ignored: &[String],
        precision: Option<&str>,
        catalog: &Catalog,
    ) -> Result<Opened, CatalogError> {
        let recorded = precision.map(str::parse).transpose().map_err(CatalogError::Invalid)?;
        let name = &expand_home(name.to_path_buf(), catalog.home.as_deref())?;
        let folder = catalog.find(name).map_err(|missing| match load_spec(name, &[]) {
            // `owner/model` may be an id of the Hub: that error says how to fetch it.
            Err(error @ LmError::NoFolder { .. }) if name.components().count() == 2 => error.into(),
            _ => missing,
        })?;
        let files = open_folder(&folder, ignored, catalog)?;
        let tokenizer = Tokenizer::load(&folder)?;
        let real = folder.canonicalize().map_err(FileError::io(&folder, "find"))?;
        let name = if real.is_dir() { real.file_name() } else { real.file_stem() };
        let name = name.map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned());
        Ok(Opened {
            folder,
            name,
            spec: files.spec.clone(),
            parameters: files.parameters(),
            tokenizer,
            device: catalog.device,
            precision: catalog.precision.or(recorded).unwrap_or_default(),
            note: catalog.note,
            files,
            model: OnceLock::new(),
            hash: OnceLock::new(),
        })
    }

    /// The model with its weights, which the first call reads.
    ///
    /// # Errors
    /// A tensor is missing, cannot be read or is not what the config says.
    pub fn model(&self) -> Result<&Model, CatalogError> {
        match self.model.get() {
            Some(model) => Ok(model),
            None => {
                let model = self.files.load(self.device, self.precision)?;
                Ok(self.model.get_or_init(|| model))
            }
        }
    }

    /// What plans, stores and scores say of it; as [`Opened::hash`], the first call reads all.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn identity(&self) -> Result<Identity, CatalogError> {
        let (name, hash) = (self.name.clone(), self.hash()?.to_owned());
        Ok(Identity { name, hash, precision: self.precision.recorded() })
    }

    /// blake3 over the hashes of `config.json` and every safetensors file, by name, or of the GGUF file; the first call reads all.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn hash(&self) -> Result<&str, CatalogError> {
        match self.hash.get() {
            Some(hash) => Ok(hash),
            None => {
                let hash = model_hash(&self.folder)?;
                Ok(self.hash.get_or_init(|| hash))
            }
        }
    }
}

/// Config and headers of a folder or GGUF file; the catalog is told what the user might not expect of them.
///
/// # Errors
/// They cannot be read or followed.
pub fn open_folder(
    folder: &Path,
    ignored: &[String],
    catalog: &Catalog,
) -> Result<ModelFolder, CatalogError> {
    let ignored = [ignored, &catalog.ignore_config_keys].concat();
    let files = ModelFolder::open(folder, &ignored)?;
    if files.own_head_against_config {
        (catalog.note)(&format!(
            "{}: config.json ties the head to the embedding, but lm_head.weight is stored and differs: it is the head",
            folder.display()
        ));
    }
    Ok(files)
}

/// blake3 over "name hash" lines of `config.json` and every `*.safetensors` of a folder, sorted by name; of a GGUF file the
/// blake3 of its bytes.
///
/// # Errors
/// The folder or one of the files cannot be read.
pub fn model_hash(folder: &Path) -> Result<String, CatalogError> {
    if folder.is_file() {
        return Ok(hash::file(folder)?);
    }
    let mut names: Vec<String> = folder
        .read_dir()
        .map_err(FileError::io(folder, "list"))?
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
