//! A model in one GGUF file: its keys become the config that a Hugging Face folder would have, its tensors get that folder's
//! names and row order. So a family is described once.
//!
//! What llama.cpp's converter changes is undone here: Llama's query and key rows, which it reorders for another form of RoPE;
//! and Gemma's gains, which it stores with their 1 (so the offset is 0: the stored number is the gain, to the bit).

use crate::config::Config;
use crate::spec::Family;
use crate::weights::{self, Weights};
use crate::{LmError, Spec, family};
use lapidary_files::FileError;
use lapidary_gguf::{GgufFile, Value};
use serde_json::{Map, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Architectures that are read, by llama.cpp's names, and the families that they are.
const ARCHITECTURES: [(&str, &str); 2] = [("gemma2", "gemma2"), ("llama", "llama")];

/// Keys of an architecture, and what `config.json` calls them.
const KEYS: [(&str, &str); 12] = [
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.sliding_window", "sliding_window"),
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("block_count", "num_hidden_layers"),
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("feed_forward_length", "intermediate_size"),
    ("final_logit_softcapping", "final_logit_softcapping"),
    ("rope.freq_base", "rope_theta"),
];

/// Keys without which nothing can be said.
const NEEDED: [&str; 6] = [
    "attention.head_count",
    "attention.layer_norm_rms_epsilon",
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
];

/// Keys that say nothing about the maths, or that are looked at elsewhere in this file.
const PASSED: [&str; 9] = [
    "attention.value_length",
    "rope.dimension_count",
    "rope.scale_linear",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "tensor_data_layout",
    "vocab_size",
];

/// The embedding, and the factors on RoPE's wave lengths that Llama 3 has in place of keys.
const EMBED: &str = "token_embd.weight";
const ROPE: &str = "rope_freqs.weight";

/// A file whose header fits the model that its keys describe.
#[derive(Debug)]
pub(crate) struct Stored {
    file: GgufFile,
}

/// Opens a file: what it describes, and what it holds.
pub(crate) fn open(path: &Path, ignored: &[String]) -> Result<(Spec, Stored), LmError> {
    let file = GgufFile::open(path)?;
    let spec = spec(&file, ignored)?;
    let stored = Stored { file };
    let mut needed = BTreeSet::from([ROPE.to_string()]);
    weights::build(&spec, &mut |name, shape| {
        let name = tensor_name(name, &spec);
        stored.file.check(&name, shape)?;
        needed.insert(name);
        Ok(Vec::new())
    })?;
    stored.check_nothing_else(&needed, &spec)?;
    Ok((spec, stored))
}

impl Stored {
    /// All weights, widened to f32.
    pub(crate) fn read(&self, spec: &Spec) -> Result<Weights, LmError> {
        weights::build(spec, &mut |name, shape| {
            let stored = tensor_name(name, spec);
            let values = self.file.read_f32(&stored, shape)?;
            if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
                let next = "the file is damaged, or was quantised wrongly: fetch another";
                return Err(self.invalid("finite weights", format!("{bad} in `{stored}`"), next));
            }
            Ok(match rotated_heads(name, spec) {
                Some(heads) => halves_apart(&values, heads, spec.d_head),
                None => values,
            })
        })
    }

    /// Nothing but `needed` may be there: it would have changed the maths.
    fn check_nothing_else(&self, needed: &BTreeSet<String>, spec: &Spec) -> Result<(), LmError> {
        let others: Vec<&String> =
            self.file.tensors().keys().filter(|name| !needed.contains(*name)).collect();
        let Some(first) = others.first() else { return Ok(()) };
        let expected = format!("only tensors that a {} model of {} layers reads", spec.family, spec.n_layers);
        let found = match others.len() {
            1 => format!("`{first}`"),
            n => format!("`{first}` and {} more", n - 1),
        };
        Err(self.invalid(&expected, found, "the model is not supported, or the file is damaged"))
    }

    fn invalid(&self, expected: &str, found: String, next: &str) -> LmError {
        FileError::invalid(self.file.path(), expected, found, next).into()
    }
}

/// What the keys describe.
pub(crate) fn spec(file: &GgufFile, ignored: &[String]) -> Result<Spec, LmError> {
    let architecture = file.text("general.architecture")?.unwrap_or("(none)");
    let Some((_, family)) = ARCHITECTURES.iter().find(|(known, _)| *known == architecture) else {
        let supported = ARCHITECTURES.map(|(known, _)| known).join(", ");
        let path = file.path().to_path_buf();
        return Err(LmError::Family { path, found: architecture.to_string(), supported });
    };
    let keys = keys(file, architecture, family)?;
    let spec = family::spec(Config::of(file.path(), keys, ignored))?;
    let ends = ["eot", "eom"].map(|end| file.integer(&format!("tokenizer.ggml.{end}_token_id")));
    let mut stops = spec.eos.clone();
    for end in ends {
        stops.extend(end?.and_then(|id| u32::try_from(id).ok()).filter(|id| !spec.eos.contains(id)));
    }
    Ok(Spec { stops, norm_offset: 0.0, ..spec })
}

/// The keys of the config that a folder of this model would have.
fn keys(
    file: &GgufFile,
    architecture: &str,
    family: &str,
) -> Result<Map<String, serde_json::Value>, LmError> {
    if let Some(missing) = NEEDED
        .map(|key| format!("{architecture}.{key}"))
        .iter()
        .find(|key| !file.metadata().contains_key(*key))
    {
        return Err(file.wrong(missing, "a number").into());
    }
    let mut keys = Map::new();
    let prefix = format!("{architecture}.");
    for (key, value) in file.metadata() {
        let Some(own) = key.strip_prefix(&prefix) else { continue };
        let unused = matches!(value, Value::Integer(0)) && own.starts_with("expert_");
        match KEYS.iter().find(|(known, _)| *known == own) {
            Some((_, name)) => keys.insert(name.to_string(), to_json(value)),
            None if PASSED.contains(&own) || unused => None,
            None => keys.insert(key.clone(), to_json(value)), // unknown: the config says so
        };
    }
    let has = |name: &str| file.tensors().contains_key(name);
    let vocab = file.tensors().get(EMBED).map(|t| t.shape[0]);
    let vocab = vocab
        .ok_or_else(|| FileError::invalid(file.path(), format!("a tensor `{EMBED}`"), "none", NO_WEIGHTS))?;
    keys.insert("model_type".into(), json!(family));
    keys.insert("vocab_size".into(), json!(vocab));
    keys.insert("tie_word_embeddings".into(), json!(!has("output.weight")));
    if family == "llama" {
        keys.insert("attention_bias".into(), json!(has("blk.0.attn_q.bias")));
        keys.insert("mlp_bias".into(), json!(has("blk.0.ffn_gate.bias")));
    }
    ids(file, &mut keys)?;
    heads(file, architecture, &mut keys)?;
    rope(file, architecture, &mut keys)?;
    Ok(keys)
}

const NO_WEIGHTS: &str = "the file holds a vocabulary or an adapter alone: fetch the model's";

/// BOS, EOS and padding. Without its key a SentencePiece vocabulary has 1 and 2, as llama.cpp has it.
fn ids(file: &GgufFile, keys: &mut Map<String, serde_json::Value>) -> Result<(), LmError> {
    let pieces = file.text("tokenizer.ggml.model")? == Some("llama");
    for (stored, name, default) in [("bos", "bos", 1), ("eos", "eos", 2), ("padding", "pad", -1)] {
        let id = file.integer(&format!("tokenizer.ggml.{stored}_token_id"))?;
        let id = id.or((pieces && default > 0).then_some(default));
        keys.insert(format!("{name}_token_id"), json!(id));
    }
    Ok(())
}

/// Widths of heads that the files leave out or say twice, and Gemma's scale of attention, which no key says.
fn heads(
    file: &GgufFile,
    architecture: &str,
    keys: &mut Map<String, serde_json::Value>,
) -> Result<(), LmError> {
    let own = |key: &str| file.integer(&format!("{architecture}.{key}"));
    let (Some(width), Some(count)) = (own("embedding_length")?, own("attention.head_count")?) else {
        return Ok(()); // not whole numbers: the config says so
    };
    let even = width / count.max(1);
    let head = own("attention.key_length")?.unwrap_or(even);
    keys.insert("head_dim".into(), json!(head));
    for key in ["attention.value_length", "rope.dimension_count"] {
        if let Some(other) = own(key)?.filter(|&other| other != head) {
            let expected = format!("`{architecture}.{key}` equal to the width of a head, {head}");
            let next = "heads of two widths and partial rotation are not implemented";
            return Err(FileError::invalid(file.path(), expected, other.to_string(), next).into());
        }
    }
    if architecture == "gemma2" {
        // llama.cpp's rule: the 27B model, which has 46 layers, divides by the root of the even share, the others by that of a head.
        let scalar = if own("block_count")? == Some(46) { even } else { head };
        keys.insert("query_pre_attn_scalar".into(), json!(scalar));
    }
    Ok(())
}

/// RoPE's scaling: by keys, or, as Llama 3 has it, by a factor for every wave length.
fn rope(
    file: &GgufFile,
    architecture: &str,
    keys: &mut Map<String, serde_json::Value>,
) -> Result<(), LmError> {
    let own = |key: &str| file.metadata().get(&format!("{architecture}.{key}"));
    let old = own("rope.scale_linear").map(to_json).filter(|factor| *factor != json!(1.0));
    let kind = file.text(&format!("{architecture}.rope.scaling.type"))?;
    let mut object = match (kind, old) {
        (None | Some("none"), None) => Map::new(),
        (None | Some("none"), Some(factor)) => {
            Map::from_iter([("rope_type".into(), json!("linear")), ("factor".into(), factor)])
        }
        (Some(kind), _) => {
            let factor = own("rope.scaling.factor").map_or(json!(null), to_json);
            Map::from_iter([("rope_type".into(), json!(kind)), ("factor".into(), factor)])
        }
    };
    if let Some(context) = own("rope.scaling.original_context_length").filter(|_| !object.is_empty()) {
        object.insert("original_max_position_embeddings".into(), to_json(context));
    }
    if let Some(info) = file.tensors().get(ROPE) {
        let factors = file.read_f32(ROPE, &info.shape)?;
        object = llama3(file, &factors, keys)?;
    }
    if !object.is_empty() {
        keys.insert("rope_scaling".into(), object.into());
    }
    Ok(())
}

/// Llama 3's scaling, found again from its factors: the largest is the divisor; the other numbers are the same in all its models.
fn llama3(
    file: &GgufFile,
    factors: &[f32],
    keys: &Map<String, serde_json::Value>,
) -> Result<Map<String, serde_json::Value>, LmError> {
    const FIRST_CONTEXT: f64 = 8192.0;
    const HIGH: f64 = 4.0;
    let base = keys.get("rope_theta").and_then(serde_json::Value::as_f64).unwrap_or(10_000.0);
    let half = keys.get("head_dim").and_then(serde_json::Value::as_u64).unwrap_or(0) / 2;
    if factors.len() as u64 != half {
        let expected = format!("{half} factors in `{ROPE}`, half the width of a head");
        return Err(FileError::invalid(
            file.path(),
            expected,
            factors.len().to_string(),
            "fetch the file again",
        )
        .into());
    }
    let largest = factors.iter().fold(1.0, |a: f64, &b| a.max(f64::from(b)));
    let expected = |i: usize| {
        let wave = std::f64::consts::TAU * base.powf(i as f64 / factors.len() as f64);
        let smooth = ((FIRST_CONTEXT / wave - 1.0) / (HIGH - 1.0)).clamp(0.0, 1.0);
        1.0 / ((1.0 - smooth) / largest + smooth)
    };
    let off = |i: usize| (f64::from(factors[i]) / expected(i) - 1.0).abs();
    if let Some(i) = (0..factors.len()).find(|&i| !(off(i) < 1e-3)) {
        let expected = format!("`{ROPE}` of Llama 3 ({} at {i})", expected(i));
        let next = "this scaling of RoPE is not implemented";
        return Err(FileError::invalid(file.path(), expected, factors[i].to_string(), next).into());
    }
    let object = json!({
        "rope_type": "llama3", "factor": largest, "low_freq_factor": 1.0, "high_freq_factor": HIGH,
        "original_max_position_embeddings": FIRST_CONTEXT,
    });
    Ok(object.as_object().cloned().unwrap_or_default())
}

/// A list of equal numbers, one for each layer, is one number.
fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Integer(n) => json!(n),
        Value::Float(x) => json!(x),
        Value::Bool(b) => json!(b),
        Value::Text(text) => json!(text),
        Value::Integers(all) if !all.is_empty() && all.iter().all(|n| *n == all[0]) => json!(all[0]),
        Value::Integers(all) => json!(all),
        Value::Floats(all) => json!(all),
        Value::Bools(all) => json!(all),
        Value::Texts(all) => json!(all),
    }
}

/// What the file calls the tensor that a folder calls `name`.
fn tensor_name(name: &str, spec: &Spec) -> String {
    let (layer, inner) = match name.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) {
        Some((layer, inner)) => (format!("blk.{layer}."), inner),
        None => (String::new(), name),
    };
    let (place, end) = inner.rsplit_once('.').unwrap_or((inner, "weight"));
    let place = match place {
        "embed_tokens" => "token_embd",
        "norm" => "output_norm",
        "lm_head" => "output",
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" if spec.post_norms => "post_attention_norm",
        "post_attention_layernorm" | "pre_feedforward_layernorm" => "ffn_norm",
        "post_feedforward_layernorm" => "post_ffw_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        other => other,
    };
    format!("{layer}{place}.{end}")
}

/// Heads whose rows are stored in another order: Llama's queries and keys.
fn rotated_heads(name: &str, spec: &Spec) -> Option<usize> {
    match name.rsplit('.').nth(1)? {
        "q_proj" if spec.family == Family::Llama => Some(spec.heads),
        "k_proj" if spec.family == Family::Llama => Some(spec.kv_heads),
        _ => None,
    }
}

/// Rows of each head in pairs (first half's, second half's) → the first half, then the second.
fn halves_apart(values: &[f32], heads: usize, d_head: usize) -> Vec<f32> {
    let row = values.len() / (heads * d_head);
    let mut out = Vec::with_capacity(values.len());
    for head in values.chunks_exact(d_head * row) {
        for half in 0..2 {
            head.chunks_exact(2 * row).for_each(|pair| out.extend_from_slice(&pair[half * row..][..row]));
        }
    }
    out
}
