//! The folder that SAELens (version 6) loads as it is: `cfg.json` and `sae_weights.safetensors`, plus our `card.md` and
//! `lapidary.json`, which is written last.
//!
//! Read here: the SAEs and transcoders that `architecture.rs` knows, of version 6 or older. What would change the arithmetic
//! and is not ours (another architecture, a normalisation of the input, an unknown tensor) is refused by name; an input bias
//! is folded away. Written are JumpReLU, TopK and gated.
//! SAELens and Gemma Scope apply a ReLU before the jump, so for θ < 0 they drop the negative values that we keep: a folder
//! without our `lapidary.json` is read with max(θ, 0), which is the same function.

use crate::architecture::{self, Architecture, Encoder, Options};
use crate::error::invalid;
use crate::layout::{self, Shape, transposed};
use crate::meta::{self, FORMAT_VERSION, Meta};
use crate::{Activation, Dictionary, DictionaryError, hooks};
use half::bf16;
use lapidary_files::tensors::{self, Dtype, Tensor, TensorFile};
use lapidary_files::{self as files};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

pub(crate) const CFG: &str = "cfg.json";
const WEIGHTS: &str = "sae_weights.safetensors";
pub(crate) const SHEET: &str = "lapidary.json";
pub(crate) const CARD: &str = "card.md";
/// Longest `cfg.json` that is read, bytes.
const MAX_CFG: u64 = 1 << 20;
/// Longest `card.md`, bytes.
pub(crate) const MAX_CARD: u64 = 16 << 20;
/// The SAELens version whose format is written. Without it SAELens takes a folder for one of version 5.
const SAE_LENS_VERSION: &str = "6.54.12";

/// Writes a release folder (created if missing). `card` is the text of `card.md`. Each file appears whole or not at all;
/// `lapidary.json` comes last and holds the hash of the weights.
pub fn save_sae_lens(
    dir: &Path,
    dictionary: &Dictionary,
    meta: &Meta,
    card: &str,
) -> Result<(), DictionaryError> {
    layout::check_parameters(dir, dictionary)?;
    meta::to_json(&dir.join(SHEET), meta, String::new())?; // say no before the first byte is written
    meta.probe.check_shape(dir, dictionary)?;
    let cfg = cfg_json(dictionary, meta)?;
    files::create_dir(dir)?;
    files::publish(&dir.join(CFG), format!("{cfg:#}\n").as_bytes())?;
    write_weights(&dir.join(WEIGHTS), dictionary, written_as(dictionary, meta), meta)?;
    files::publish(&dir.join(CARD), card.as_bytes())?;
    let hash = files::hash::file(&dir.join(WEIGHTS))?;
    let path = dir.join(SHEET);
    files::publish(&path, meta::to_json(&path, meta, hash)?.as_bytes())?;
    Ok(())
}

/// A dictionary that writes where it reads is an SAE, unless it has a skip.
fn written_as(dictionary: &Dictionary, meta: &Meta) -> Architecture {
    Architecture::of(dictionary, meta.site != meta.site_out || dictionary.d_in != dictionary.d_out)
}

/// The `cfg.json` of a dictionary.
pub(crate) fn cfg_json(dictionary: &Dictionary, meta: &Meta) -> Result<Value, DictionaryError> {
    let hook = |site: &String| {
        hooks::hook(site, hooks::Modules::Llama).ok_or_else(|| DictionaryError::Site(site.clone()))
    };
    let (reads, writes) = (hook(&meta.site)?, hook(&meta.site_out)?);
    let architecture = written_as(dictionary, meta);
    let mut cfg = json!({
        "architecture": architecture.name(),
        "d_in": dictionary.d_in,
        "d_sae": dictionary.width(),
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": false,
        "normalize_activations": "none",
        // SAELens' transcoders join no heads, whatever is said here.
        "reshape_activations": if reads.heads && !architecture.transcoder { "hook_z" } else { "none" },
        "metadata": {
            "sae_lens_version": SAE_LENS_VERSION,
            "sae_lens_training_version": null,
            "model_name": meta.model.name,
            "hook_name": reads.hook_name,
            "hook_head_index": null,
            "hf_hook_name": meta.hf_hook_name,
            "context_size": meta.context,
            "prepend_bos": meta.prepend_bos,
            "exclude_special_tokens": meta.special_tokens,
            "l0": meta.l0,
            "lapidary_format_version": FORMAT_VERSION,
            "plan_hash": meta.training.as_ref().map(|t| &t.plan_hash),
        },
    });
    if let Some(baseline) = meta.training.as_ref().and_then(|training| training.baseline) {
        cfg["metadata"]["lapidary_baseline"] = json!(baseline); // there to be beaten, not to be used
    }
    if let Activation::TopK { k } = dictionary.activation {
        cfg["k"] = json!(k);
        cfg["rescale_acts_by_decoder_norm"] = json!(false);
    }
    if architecture.transcoder {
        cfg["d_out"] = json!(dictionary.d_out);
        cfg["metadata"]["hook_name_out"] = json!(writes.hook_name);
    }
    Ok(cfg)
}

fn write_weights(
    path: &Path,
    dictionary: &Dictionary,
    architecture: Architecture,
    meta: &Meta,
) -> Result<(), DictionaryError> {
    let w_enc = transposed(&dictionary.w_enc, dictionary.width(), dictionary.d_in);
    let b_gate: Vec<f32> = dictionary.threshold.iter().map(|theta| -theta).collect();
    let (r_mag, b_mag): (&[f32], &[f32]) = match &dictionary.activation {
        Activation::Gated { r_mag, b_mag } => (r_mag, b_mag),
        Activation::JumpRelu | Activation::TopK { .. } => (&[], &[]),
    };
    let values = |name: &str| match name {
        "W_enc" => &w_enc[..],
        "W_dec" => &dictionary.w_dec,
        "b_enc" => &dictionary.b_enc,
        "b_dec" => &dictionary.b_dec,
        "threshold" => &dictionary.threshold,
        "b_gate" => &b_gate,
        "r_mag" => r_mag,
        "b_mag" => b_mag,
        "W_skip" => dictionary.w_skip.as_deref().expect("the architecture has a skip"),
        _ => unreachable!("{name} is not written"),
    };
    let arrays = architecture.arrays(Shape::of(dictionary));
    let halves: Vec<_> = arrays.iter().map(|(name, _)| exactly_bf16(values(name))).collect();
    let mut tensors: Vec<Tensor> = Vec::new();
    for ((name, shape), half) in arrays.iter().zip(&halves) {
        tensors.push(match half {
            Some(half) => Tensor::bf16(name, shape, half),
            None => Tensor::f32(name, shape, values(name)),
        });
    }
    tensors.sort_by_key(|tensor| tensor.dtype != Dtype::F32); // wider ones first, for alignment
    let mut metadata = HashMap::from([("format_version".to_string(), FORMAT_VERSION.to_string())]);
    if let Some(training) = &meta.training {
        metadata.insert("plan_hash".into(), training.plan_hash.clone());
    }
    Ok(tensors::write(path, &tensors, &metadata)?)
}

/// Values that are all bf16 numbers lose nothing in half the bytes; other people's loaders widen them again.
fn exactly_bf16(values: &[f32]) -> Option<Vec<bf16>> {
    let exact = values.iter().all(|value| value.to_bits() & 0xffff == 0);
    exact.then(|| values.iter().map(|&value| bf16::from_f32(value)).collect())
}

/// Is `dir` such a folder?
pub(crate) fn is_folder(dir: &Path) -> bool {
    dir.join(CFG).is_file()
}

/// Reads a folder written by us (then the weights must be those that `lapidary.json` describes) or by SAELens.
pub fn load_sae_lens(dir: &Path) -> Result<(Dictionary, Option<Meta>), DictionaryError> {
    let mut cfg = read_cfg(dir)?;
    let weights = dir.join(WEIGHTS);
    let file = TensorFile::open(&weights)?;
    cfg.shape.check(&dir.join(CFG))?;
    let known: Vec<&str> = cfg.architecture.arrays(cfg.shape).iter().map(|array| array.0).collect();
    if let Some(other) = file.names().into_iter().find(|name| !known.contains(&name.as_str())) {
        let expected = format!("only {}", known.join(", "));
        return Err(invalid(&weights, expected, format!("`{other}`"), "convert it with SAELens"));
    }
    let meta = read_sheet(dir, &weights)?;
    cfg.options.relu = meta.is_none();
    let read = |name: &str, shape: &[usize]| file.read_f32(name, shape);
    let dictionary = architecture::into_dictionary(&weights, cfg.architecture, cfg.shape, cfg.options, read)?;
    if let Some(meta) = &meta {
        meta.probe.check_shape(&dir.join(SHEET), &dictionary)?;
    }
    Ok((dictionary, meta))
}

fn read_sheet(dir: &Path, weights: &Path) -> Result<Option<Meta>, DictionaryError> {
    let path = dir.join(SHEET);
    if !path.is_file() {
        return Ok(None);
    }
    let (meta, hash) = meta::read(&path)?;
    let found = files::hash::file(weights)?;
    if found != hash {
        let next = "the folder was changed or only half written: release or fetch it again";
        return Err(invalid(weights, format!("the weights with blake3 {hash}"), found, next));
    }
    Ok(Some(meta))
}

/// What `cfg.json` says that matters here.
#[derive(Clone, Debug, PartialEq)]
struct Cfg {
    architecture: Architecture,
    shape: Shape,
    options: Options,
}

pub(crate) fn read_json(path: &Path) -> Result<Value, DictionaryError> {
    let text = files::read_string(path, MAX_CFG)?;
    serde_json::from_str(&text)
        .map_err(|e| invalid(path, "JSON", e.to_string(), "the file is damaged: fetch it again"))
}

/// What a SAELens folder says of its origin, where that has a name here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Is it of an architecture that writes another site than it reads?
    pub transcoder: bool,
    /// The hook that it reads, as it names it.
    pub hook_name: Option<String>,
    /// The hook that it writes, if it names one.
    pub hook_name_out: Option<String>,
    /// The site that it reads.
    pub site: Option<String>,
    /// The site that it writes, if it names one.
    pub site_out: Option<String>,
    /// The Hugging Face module.
    pub hf_hook_name: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// T of its windows.
    pub context: Option<usize>,
    /// Did every window begin with BOS? (SAELens' default is yes.)
    pub prepend_bos: Option<bool>,
    /// Ids whose positions were left out, if it lists them.
    pub special_tokens: Vec<u32>,
}

/// Reads the provenance in the `cfg.json` of `dir`.
pub fn provenance(dir: &Path) -> Result<Provenance, DictionaryError> {
    let cfg = read_json(&dir.join(CFG))?;
    let get = |key: &str| cfg["metadata"].get(key).or(cfg.get(key)); // version 5 has them at the top
    let text = |key: &str| get(key).and_then(Value::as_str).map(str::to_string);
    let hook_name = text("hook_name").or(text("hook_point")); // as versions before 3 say it
    let hook_name_out = text("hook_name_out");
    let site = |hook: &Option<String>| hook.as_deref().and_then(hooks::site_of);
    let ids = get("exclude_special_tokens").and_then(Value::as_array).into_iter().flatten();
    let architecture = cfg["architecture"].as_str().and_then(Architecture::by_name);
    Ok(Provenance {
        transcoder: architecture.is_some_and(|a| a.transcoder),
        site: site(&hook_name),
        site_out: site(&hook_name_out),
        hook_name,
        hook_name_out,
        hf_hook_name: text("hf_hook_name"),
        model: text("model_name"),
        context: get("context_size").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()),
        prepend_bos: get("prepend_bos").and_then(Value::as_bool),
        special_tokens: ids.filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect(),
    })
}

/// Keys, of any version, that say which head a dictionary reads or writes.
const HEADS: [&str; 3] = ["hook_head_index", "hook_point_head_index", "hook_head_index_out"];

/// A dictionary of a single head reads a part of a site, which no site here is.
fn check_heads(path: &Path, cfg: &Value) -> Result<(), DictionaryError> {
    for key in HEADS {
        if let Some(found) = [cfg, &cfg["metadata"]].map(|at| &at[key]).into_iter().find(|v| !v.is_null()) {
            let (path, found) = (path.to_path_buf(), found.to_string().chars().take(80).collect());
            let next = "dictionaries of single heads are not read";
            return Err(DictionaryError::Unsupported { path, key, expected: "null", found, next });
        }
    }
    Ok(())
}

fn read_cfg(dir: &Path) -> Result<Cfg, DictionaryError> {
    let path = dir.join(CFG);
    let cfg = read_json(&path)?;
    let unsupported = |key, expected, next| {
        let found = cfg.get(key).map_or("nothing".into(), |v| v.to_string().chars().take(80).collect());
        DictionaryError::Unsupported { path: path.clone(), key, expected, found, next }
    };
    let Some(architecture) = cfg["architecture"].as_str().and_then(Architecture::by_name) else {
        return Err(unsupported("architecture", architecture::NAMES, "this version reads no other"));
    };
    let transcoder = architecture.transcoder;
    // A key, the values of it that leave the arithmetic alone, and what to do about others.
    let fold = "fold the normalisation with SAELens first";
    for (key, neutral, expected, next) in [
        ("normalize_activations", [Value::Null, json!("none"), json!(false)], "`none`", fold),
        ("finetuning_scaling_factor", [Value::Null, json!(false), json!(false)], "`false`", fold),
        ("activation_fn", [Value::Null, json!("relu"), json!("relu")], "`relu`", "fetch another dictionary"),
        (
            "activation_fn_str",
            [Value::Null, json!("relu"), json!("relu")],
            "`relu`",
            "fetch another dictionary",
        ),
    ] {
        if !neutral.contains(&cfg[key]) {
            return Err(unsupported(key, expected, next));
        }
    }
    check_heads(&path, &cfg)?;
    let flag = |key: &'static str, default| match &cfg[key] {
        Value::Bool(b) => Ok(*b),
        Value::Null => Ok(default),
        _ => Err(unsupported(key, "true or false", "correct the file")),
    };
    let pre_bias = flag("apply_b_dec_to_input", !transcoder)?; // the defaults are SAELens' own
    if pre_bias && transcoder {
        return Err(unsupported("apply_b_dec_to_input", "false in a transcoder", "correct the file"));
    }
    let side = |key: &'static str| {
        let side = cfg[key].as_u64().and_then(|n| usize::try_from(n).ok());
        side.ok_or_else(|| unsupported(key, "a size", "the file is damaged: fetch it again"))
    };
    let (d_in, features) = (side("d_in")?, side("d_sae")?);
    let d_out = if transcoder { side("d_out")? } else { d_in };
    let (mut k, mut by_decoder_norm) = (0, false);
    if architecture.encoder == Encoder::TopK {
        k = side("k")?;
        by_decoder_norm = flag("rescale_acts_by_decoder_norm", false)?;
        if k == 0 || k > features {
            return Err(unsupported("k", "a number from 1 to `d_sae`", "correct the file"));
        }
    }
    let options = Options { k, by_decoder_norm, pre_bias, relu: true };
    Ok(Cfg { architecture, shape: Shape { d_in, features, d_out }, options })
}
