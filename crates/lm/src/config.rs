//! `config.json`, read without trust: every key is taken by name and checked; what nobody took is an error, unless it is
//! known to leave the maths alone.
//!
//! Families differ in defaults, so a missing key takes the default of the family's class in Hugging Face transformers;
//! `null` means "off". Old files (v4: `rope_theta`, `rope_scaling`, `torch_dtype`) and new ones (v5: `rope_parameters`,
//! `dtype`) are read alike.

use crate::error::LmError;
use crate::harmless::is_harmless;
use crate::instead;
use crate::spec::Activation;
use lapidary_files::FileError;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Longest `config.json` that is read, bytes.
const MAX_BYTES: u64 = 16 << 20;
/// No width, length or count in a config is larger.
const MAX_SIZE: u64 = 1 << 31;

/// Keys that are harmless as long as they are false.
const MUST_BE_FALSE: &[&str] = &[
    "add_cross_attention",
    "attention_bias",
    "is_encoder_decoder",
    "lm_head_bias",
    "mlp_bias",
    "rope_interleaved",
    "scale_attn_by_inverse_layer_idx",
    "use_bidirectional_attention",
    "use_mrope",
];

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

    /// Keys that were found in another kind of file, under the names that they would have here.
    pub(crate) fn of(path: &Path, keys: Map<String, Value>, ignored: &[String]) -> Config {
        let (path, understood, ignored) = (path.to_path_buf(), BTreeSet::new(), ignored.to_vec());
        Config { path, parent: String::new(), keys, understood, ignored }
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

    /// A count ≥ 1 that must be there, unless the family has a default.
    pub(crate) fn size(&mut self, key: &str, default: Option<usize>) -> Result<usize, LmError> {
        let missing = self.error(key, "the key is missing", "fetch the model's own config.json");
        self.size_or(key, None)?.or(default).ok_or(missing)
    }

    /// A count that may be 0; missing and null are `default`.
    pub(crate) fn count(&mut self, key: &str, default: usize) -> Result<usize, LmError> {
        let parse = |v: &Value| v.as_u64().filter(|n| *n <= MAX_SIZE).map(|n| n as usize);
        let expected = format!("a whole number from 0 to {MAX_SIZE}");
        Ok(self.take(key, None, &expected, parse)?.unwrap_or(default))
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

    /// A list of positive numbers, if it is there.
    pub(crate) fn numbers(&mut self, key: &str) -> Result<Option<Vec<f64>>, LmError> {
        let number = |v: &Value| v.as_f64().filter(|x| x.is_finite() && *x > 0.0);
        let parse = |v: &Value| v.as_array()?.iter().map(number).collect();
        self.take(key, None, "a list of positive numbers", parse)
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

    /// The MLP's function by its Hugging Face name.
    pub(crate) fn activation(&mut self, key: &str, default: Activation) -> Result<Activation, LmError> {
        match self.text(key)?.as_deref() {
            None => Ok(default),
            Some("silu" | "swish") => Ok(Activation::Silu),
            Some("gelu") => Ok(Activation::Gelu),
            Some("gelu_pytorch_tanh" | "gelu_new" | "gelu_fast") => Ok(Activation::GeluTanh),
            Some(other) => {
                let problem = format!("expected silu, gelu or gelu_pytorch_tanh, found {other}");
                Err(self.error(key, problem, "this activation is not implemented"))
            }
        }
    }

    /// Reads the object at `key`, if there is one; what is left in it is judged with what is left here.
    pub(crate) fn within<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Config) -> Result<T, LmError>,
    ) -> Result<Option<T>, LmError> {
        let Some(keys) = self.take(key, None, "an object", |v| v.as_object().cloned())? else {
            return Ok(None);
        };
        let (path, parent) = (self.path.clone(), format!("{}{key}.", self.parent));
        let mut inner = Config { path, parent, keys, understood: BTreeSet::new(), ignored: Vec::new() };
        let result = read(&mut inner)?;
        self.keys.extend(inner.keys.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
        self.understood.extend(inner.understood.into_iter().map(|name| format!("{key}.{name}")));
        Ok(Some(result))
    }

    /// Puts the keys of the object at `key` among those at the top, which go before them.
    pub(crate) fn lift(&mut self, key: &str) -> Result<(), LmError> {
        let inner = self.take(key, None, "an object", |v| v.as_object().cloned())?.unwrap_or_default();
        for (name, value) in inner {
            self.keys.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// Is the key there, and not null?
    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|value| !value.is_null())
    }

    /// Two keys for one thing: they must not differ where both are there; one of them is then left.
    pub(crate) fn merge(&mut self, old: &str, new: &str) -> Result<(), LmError> {
        if self.has(old) && self.has(new) {
            if self.keys[old] != self.keys[new] {
                return Err(self.error(old, format!("contradicts `{new}`"), "keep one of them"));
            }
            self.keys.remove(old);
        }
        Ok(())
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
