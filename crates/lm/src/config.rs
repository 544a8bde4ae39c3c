//! `config.json`, read without trust: every key is taken by name and checked; what nobody took is an error, unless it is
//! known to leave the maths alone.
//!
//! Families differ in defaults, so a missing key takes the default of the family's class in Hugging Face transformers;
//! `null` means "off". Old files (v4: `rope_theta`, `rope_scaling`, `torch_dtype`) and new ones (v5: `rope_parameters`,
//! `dtype`) are read alike.

use crate::error::LmError;
use crate::harmless::is_harmless;
use crate::instead;
use crate::spec::{Activation, RopeScaling};
use lapidary_files::FileError;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Longest `config.json` that is read, bytes.
const MAX_BYTES: u64 = 16 << 20;
/// No width, length or count in a config is larger.
const MAX_SIZE: u64 = 1 << 31;

/// Keys that are harmless as long as they are false.
const MUST_BE_FALSE: &[&str] =
    &["add_cross_attention", "is_encoder_decoder", "rope_interleaved", "use_bidirectional_attention"];

/// Where files say that their weights are quantised: transformers, MLX, compressed-tensors.
const QUANTISED: &[&str] = &["quantization_config", "quantization", "compression_config"];

/// A JSON object whose keys are taken one by one.
#[derive(Debug)]
pub(crate) struct Config {
    path: PathBuf,
    parent: String, // "rope_scaling." inside that object
    keys: Map<String, Value>,
    understood: BTreeSet<String>, // keys that were asked for, there or not
    ignored: Vec<String>,         // keys that the user vouches for
}

impl Config {
    /// Reads `dir/name`; the folder is known to exist. `ignored` are keys that may be there although nobody knows them.
    pub(crate) fn read(dir: &Path, name: &str, ignored: &[String]) -> Result<Config, LmError> {
        let path = dir.join(name);
        if !path.exists() {
            return Err(missing(dir, name).into());
        }
        let text = lapidary_files::read_string(&path, MAX_BYTES)?;
        let fetch = "the file is damaged: fetch it again";
        match serde_json::from_str(&text) {
            Ok(Value::Object(keys)) => {
                let (understood, ignored) = (BTreeSet::new(), ignored.to_vec());
                Ok(Config { path, parent: String::new(), keys, understood, ignored })
            }
            Ok(other) => Err(FileError::invalid(&path, "a JSON object", kind(&other), fetch).into()),
            Err(e) => Err(FileError::invalid(&path, "JSON", e.to_string(), fetch).into()),
        }
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// `model_type`, or, in very old files, the name of the class.
    pub(crate) fn model_type(&self) -> String {
        let class = || self.keys.get("architectures").and_then(|a| a.get(0));
        self.keys.get("model_type").or_else(class).and_then(Value::as_str).unwrap_or("(none)").to_string()
    }

    /// An error about `key`.
    pub(crate) fn error(&self, key: &str, problem: impl Into<String>, next: &str) -> LmError {
        let key = format!("{}{key}", self.parent);
        LmError::Config { path: self.path.clone(), key, problem: problem.into(), next: next.to_string() }
    }

    /// Takes a key: missing → `default`, null → none, anything that `parse` refuses → an error.
    fn take<T>(
        &mut self,
        key: &str,
        default: Option<T>,
        expected: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, LmError> {
        self.understood.insert(key.to_string());
        match self.keys.remove(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(value) => match parse(&value) {
                Some(parsed) => Ok(Some(parsed)),
                None => Err(self.error(
                    key,
                    format!("expected {expected}, found {}", short(&value)),
                    "correct the file",
                )),
            },
        }
    }

    /// A count ≥ 1, if it is there.
    pub(crate) fn size_or(&mut self, key: &str, default: Option<usize>) -> Result<Option<usize>, LmError> {
        let range = 1..=MAX_SIZE;
        let parse = |v: &Value| v.as_u64().filter(|n| range.contains(n)).map(|n| n as usize);
        self.take(key, default, &format!("a whole number from 1 to {MAX_SIZE}"), parse)
    }

    /// A count ≥ 1 that must be there.
    pub(crate) fn size(&mut self, key: &str) -> Result<usize, LmError> {
        let missing = self.error(key, "the key is missing", "fetch the model's own config.json");
        self.size_or(key, None)?.ok_or(missing)
    }

    /// A finite positive number, if it is there and not null.
    pub(crate) fn number_or(&mut self, key: &str, default: Option<f64>) -> Result<Option<f64>, LmError> {
        let parse = |v: &Value| v.as_f64().filter(|x| x.is_finite() && *x > 0.0);
        self.take(key, default, "a positive number", parse)
    }

    /// A positive number that must be there.
    pub(crate) fn number(&mut self, key: &str) -> Result<f64, LmError> {
        let missing = self.error(key, "the key is missing", "fetch the model's own config.json");
        self.number_or(key, None)?.ok_or(missing)
    }

    /// true or false; missing and null are `default`.
    pub(crate) fn switch(&mut self, key: &str, default: bool) -> Result<bool, LmError> {
        Ok(self.take(key, None, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// A text, if it is there.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>, LmError> {
        self.take(key, None, "a text", |v| v.as_str().map(str::to_string))
    }

    /// A list of texts, if it is there.
    pub(crate) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, LmError> {
        let parse = |v: &Value| v.as_array()?.iter().map(|t| t.as_str().map(str::to_string)).collect();
        self.take(key, None, "a list of texts", parse)
    }

    /// One token id or a list; missing → `default`, null and −1 → none.
    pub(crate) fn tokens(&mut self, key: &str, default: &[u32]) -> Result<Vec<u32>, LmError> {
        let one = |v: &Value| match v.as_i64()? {
            -1 => Some(Vec::new()),
            id => u32::try_from(id).ok().map(|id| vec![id]),
        };
        let parse = |v: &Value| match v {
            Value::Array(ids) => Some(ids.iter().map(one).collect::<Option<Vec<_>>>()?.concat()),
            single => one(single),
        };
        Ok(self.take(key, Some(default.to_vec()), "a token id", parse)?.unwrap_or_default())
    }

    /// The gate's function by its Hugging Face name.
    pub(crate) fn activation(&mut self, key: &str, default: Activation) -> Result<Activation, LmError> {
        match self.text(key)?.as_deref() {
            None => Ok(default),
            Some("silu" | "swish") => Ok(Activation::Silu),
            Some("gelu_pytorch_tanh" | "gelu_new") => Ok(Activation::GeluTanh),
            Some(other) => {
                let problem = format!("expected silu or gelu_pytorch_tanh, found {other}");
                Err(self.error(key, problem, "this activation is not implemented"))
            }
        }
    }

    /// RoPE's base and scaling, in the old style (`rope_theta`, `rope_scaling`) or the new one (`rope_parameters`). A value
    /// inside the object goes before one at the top, as in transformers.
    pub(crate) fn rope(&mut self, context: usize) -> Result<(f64, RopeScaling), LmError> {
        let top = self.number_or("rope_theta", None)?.unwrap_or(10_000.0);
        let partial = self.number_or("partial_rotary_factor", None)?;
        self.must_be_whole("partial_rotary_factor", partial)?;
        let object = |v: &Value| v.as_object().cloned();
        let old = self.take("rope_scaling", None, "an object", object)?;
        let new = self.take("rope_parameters", None, "an object", object)?;
        let (name, keys) = match (old, new) {
            (Some(old), Some(new)) if old != new => {
                return Err(self.error("rope_scaling", "contradicts `rope_parameters`", "keep one of them"));
            }
            (Some(old), _) => ("rope_scaling.", old),
            (None, Some(new)) => ("rope_parameters.", new),
            (None, None) => return Ok((top, RopeScaling::None)),
        };
        let (path, parent) = (self.path.clone(), name.to_string());
        let mut object = Config { path, parent, keys, understood: BTreeSet::new(), ignored: Vec::new() };
        let rope = object.rope_object(top, context)?;
        // What is left in the object is judged with what is left at the top.
        self.keys.extend(object.keys.into_iter().map(|(key, value)| (format!("{name}{key}"), value)));
        self.understood.extend(object.understood.into_iter().map(|key| format!("{name}{key}")));
        Ok(rope)
    }

    fn rope_object(&mut self, top: f64, context: usize) -> Result<(f64, RopeScaling), LmError> {
        let theta = self.number_or("rope_theta", None)?.unwrap_or(top);
        let partial = self.number_or("partial_rotary_factor", None)?;
        self.must_be_whole("partial_rotary_factor", partial)?;
        let (old, new) = (self.text("type")?, self.text("rope_type")?);
        let kind = new.or(old).unwrap_or_else(|| "default".to_string());
        let scaling = match kind.as_str() {
            "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: self.number("factor")? },
            "llama3" => {
                let original = self.number_or("original_max_position_embeddings", None)?;
                RopeScaling::Llama3 {
                    factor: self.number("factor")?,
                    low_freq_factor: self.number("low_freq_factor")?,
                    high_freq_factor: self.number("high_freq_factor")?,
                    original_context: original.unwrap_or(context as f64),
                }
            }
            other => {
                let problem = format!("expected default, linear or llama3, found {other}");
                return Err(self.error("rope_type", problem, "this scaling is not implemented"));
            }
        };
        Ok((theta, scaling))
    }

    fn must_be_whole(&self, key: &str, value: Option<f64>) -> Result<(), LmError> {
        match value.filter(|&v| v != 1.0) {
            Some(v) => {
                Err(self.error(key, format!("expected 1, found {v}"), "partial rotation is not implemented"))
            }
            None => Ok(()),
        }
    }

    /// Everything that can change the maths has been taken: the rest must be harmless, for every model, for this family
    /// (`more`), or by the user's word.
    ///
    /// # Errors
    /// Names every key that is not.
    pub(crate) fn finish(mut self, more: &[&str]) -> Result<(), LmError> {
        for key in MUST_BE_FALSE {
            if self.switch(key, false)? {
                return Err(self.error(key, "expected false, found true", "this is not implemented"));
            }
        }
        if let Some(key) = self.ignored.iter().find(|key| self.understood.contains(*key)) {
            return Err(self.error(key, "a key that counts cannot be ignored", "leave it out of the list"));
        }
        let harmless =
            |key: &str| is_harmless(key) || more.contains(&key) || self.ignored.iter().any(|k| k == key);
        self.keys.retain(|key, value| !harmless(key) && !is_empty(value));
        if let Some((key, value)) = QUANTISED.iter().find_map(|key| self.keys.get_key_value(*key)) {
            return Err(self.quantised(key, value));
        }
        match self.keys.is_empty() {
            true => Ok(()),
            false => Err(self.unknown()),
        }
    }

    fn quantised(&self, key: &str, value: &Value) -> LmError {
        let method = value.get("quant_method").and_then(Value::as_str);
        let problem =
            format!("the weights are quantised{}", method.map_or(String::new(), |m| format!(" ({m})")));
        let next = format!(
            "name the folder of the model before it was quantised; if these weights were made whole again, add \
             `--ignore-config-keys {key}`"
        );
        self.error(key, problem, &next)
    }

    fn unknown(&self) -> LmError {
        let found: Vec<_> =
            self.keys.iter().map(|(key, value)| format!("`{key}` ({})", short(value))).collect();
        let keys = self.keys.keys().cloned().collect();
        LmError::UnknownKeys { path: self.path.clone(), keys, found: found.join(", ") }
    }
}

/// What to say about a folder without its config.
fn missing(dir: &Path, name: &str) -> FileError {
    let expected = format!("a file {name} in it");
    if let Some(error) = instead::error(dir, &expected) {
        return error;
    }
    if dir.join("snapshots").is_dir() {
        let next = "name the folder below its snapshots/ that holds config.json";
        return FileError::invalid(dir, expected, "a model in the Hub's cache", next);
    }
    let next =
        "name the folder of a Hugging Face model, with config.json, model.safetensors and tokenizer.json";
    FileError::invalid(dir, expected, "none", next)
}

/// Nothing is said by null or by an object without keys.
fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value for a message: one line, not long.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
