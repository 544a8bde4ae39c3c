//! What a folder holds that has no weights to read: people's models come in many formats, and each has its own way out.

use lapidary_files::FileError;
use serde_json::Value;
use std::path::Path;

/// Longest `adapter_config.json` that is read, bytes.
const MAX_ADAPTER: u64 = 1 << 20;

/// An error about what the folder holds in place of `expected`; `None` if nothing in it is known.
pub(crate) fn error(dir: &Path, expected: &str) -> Option<FileError> {
    adapter(dir).or_else(|| {
        let names = names(dir);
        let (found, next) = other_weights(&names)?;
        Some(FileError::invalid(dir, expected, found, next))
    })
}

/// An error if the folder is that of an adapter: the weights of its base model alone would be another model.
pub(crate) fn adapter(dir: &Path) -> Option<FileError> {
    let path = dir.join("adapter_config.json");
    if !path.exists() {
        return None;
    }
    let text = lapidary_files::read_string(&path, MAX_ADAPTER).unwrap_or_default();
    let config: Value = serde_json::from_str(&text).unwrap_or_default();
    let base = config["base_model_name_or_path"].as_str().map(|base| format!(" to {base}"));
    let found = format!("an adapter{} (adapter_config.json)", base.unwrap_or_default());
    let next =
        "merge it with peft's `merge_and_unload()`, save that with `save_pretrained` and name the new folder";
    Some(FileError::invalid(dir, "a whole model", found, next))
}

/// Names of the folder's files, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = dir.read_dir().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// What was found and what to do, for the first format that `names` has files of.
fn other_weights(names: &[String]) -> Option<(String, &'static str)> {
    const CONVERT: &str = "load the folder with transformers, save it with `save_pretrained`, which writes safetensors, and name the new folder";
    let first = |fits: &dyn Fn(&str) -> bool| names.iter().find(|name| fits(name)).map(String::as_str);
    let ends = |end: &'static str| first(&|name| name.ends_with(end));
    if let Some(shard) = first(&|name| name.starts_with("model-") && name.ends_with(".safetensors")) {
        let found = format!("shards without their index ({shard})");
        return Some((found, "fetch model.safetensors.index.json of the same model"));
    }
    if let Some(other) = ends(".safetensors") {
        let next = "if it is the whole model under Hugging Face's tensor names, rename it model.safetensors";
        return Some((format!("another safetensors file ({other})"), next));
    }
    [
        (".gguf", "a GGUF file", "name the file itself"),
        (".bin", "PyTorch's pickled weights", CONVERT),
        (
            ".pth",
            "weights in their first owner's format",
            "convert them with transformers' script for the family",
        ),
        (".pt", "PyTorch's pickled weights", CONVERT),
        (".h5", "TensorFlow's weights", CONVERT),
        (".msgpack", "Flax's weights", CONVERT),
        (".onnx", "an ONNX graph", "fetch the model's safetensors"),
        (".npz", "NumPy's arrays", "fetch the model's safetensors"),
    ]
    .into_iter()
    .find_map(|(end, what, next)| Some((format!("{what} ({})", ends(end)?), next)))
}
