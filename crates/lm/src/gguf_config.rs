//! The keys of a GGUF file as the `config.json` that a folder of the same model would have.

use crate::config::Config;
use crate::error::LmError;
use lapidary_files::FileError;
use lapidary_gguf::{GgufFile, Value};
use serde_json::{Map, json};

/// The embedding, and the factors on RoPE's wave lengths that Llama 3 has in place of keys.
const EMBED: &str = "token_embd.weight";
pub(crate) const ROPE: &str = "rope_freqs.weight";

/// Architectures that are read, by llama.cpp's names, and their `model_type`.
const ARCHITECTURES: [(&str, &str); 7] = [
    ("gemma", "gemma"),
    ("gemma2", "gemma2"),
    ("gemma3", "gemma3_text"),
    ("gpt2", "gpt2"),
    ("llama", "llama"),
    ("qwen2", "qwen2"),
    ("qwen3", "qwen3"),
];

/// Keys of an architecture, and what `config.json` calls them.
const KEYS: [(&str, &str); 14] = [
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.sliding_window", "sliding_window"),
    ("attention.sliding_window_pattern", "sliding_window_pattern"),
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("block_count", "num_hidden_layers"),
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("feed_forward_length", "intermediate_size"),
    ("final_logit_softcapping", "final_logit_softcapping"),
    ("rope.freq_base", "rope_theta"),
    ("rope.freq_base_swa", "rope_local_base_freq"),
];

/// The same for GPT-2.
const GPT_2: [(&str, &str); 6] = [
    ("attention.head_count", "n_head"),
    ("attention.layer_norm_epsilon", "layer_norm_epsilon"),
    ("block_count", "n_layer"),
    ("context_length", "n_positions"),
    ("embedding_length", "n_embd"),
    ("feed_forward_length", "n_inner"),
];

/// Keys without which nothing can be said.
const NEEDED: [&str; 5] =
    ["attention.head_count", "block_count", "context_length", "embedding_length", "feed_forward_length"];

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

const NO_WEIGHTS: &str = "the file holds a vocabulary or an adapter alone: fetch the model's";

/// The config; `ignored` as for a folder's.
pub(crate) fn config(file: &GgufFile, ignored: &[String]) -> Result<Config, LmError> {
    let architecture = file.text("general.architecture")?.unwrap_or("(none)");
    let Some((_, family)) = ARCHITECTURES.iter().find(|(known, _)| *known == architecture) else {
        let supported = ARCHITECTURES.map(|(known, _)| known).join(", ");
        let path = file.path().to_path_buf();
        return Err(LmError::Family { path, found: architecture.to_string(), supported });
    };
    let mut keys = Keys { file, architecture, all: Map::new() };
    keys.own()?;
    keys.set("model_type", json!(family));
    keys.tensors()?;
    keys.ids()?;
    if architecture != "gpt2" {
        keys.heads()?;
        keys.rope()?;
    }
    Ok(Config::of(file.path(), keys.all, ignored))
}

/// The config's keys so far.
struct Keys<'a> {
    file: &'a GgufFile,
    architecture: &'a str,
    all: Map<String, serde_json::Value>,
}

impl Keys<'_> {
    fn set(&mut self, key: &str, value: serde_json::Value) {
        self.all.insert(key.to_string(), value);
    }

    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn integer(&self, key: &str) -> Result<Option<i64>, LmError> {
        Ok(self.file.integer(&self.name(key))?)
    }

    fn value(&self, key: &str) -> Option<serde_json::Value> {
        self.file.metadata().get(&self.name(key)).map(to_json)
    }

    fn invalid(&self, expected: String, found: impl ToString, next: &str) -> LmError {
        FileError::invalid(self.file.path(), expected, found.to_string(), next).into()
    }

    /// The architecture's own keys under the config's names. What is not known keeps its name, and the config says so.
    fn own(&mut self) -> Result<(), LmError> {
        if let Some(missing) = NEEDED.iter().find(|key| self.value(key).is_none()) {
            return Err(self.file.wrong(&self.name(missing), "a number").into());
        }
        let known: &[(&str, &str)] = if self.architecture == "gpt2" { &GPT_2 } else { &KEYS };
        let prefix = self.name("");
        for (key, value) in self.file.metadata() {
            let Some(own) = key.strip_prefix(&prefix) else { continue };
            let unused = matches!(value, Value::Integer(0)) && own.starts_with("expert_");
            match known.iter().find(|(known, _)| *known == own) {
                Some((_, name)) => self.set(name, to_json(value)),
                None if PASSED.contains(&own) || unused => {}
                None => self.set(key, to_json(value)),
            }
        }
        if let Some(Value::Bools(slide)) =
            self.file.metadata().get(&self.name("attention.sliding_window_pattern"))
        {
            let kind = |&slides| if slides { "sliding_attention" } else { "full_attention" };
            self.all.remove("sliding_window_pattern");
            self.set("layer_types", slide.iter().map(kind).collect());
        }
        Ok(())
    }

    /// What the tensors say: size of the vocabulary, own head, biases.
    fn tensors(&mut self) -> Result<(), LmError> {
        let tensors = self.file.tensors();
        let Some(embed) = tensors.get(EMBED) else {
            return Err(self.invalid(format!("a tensor `{EMBED}`"), "none", NO_WEIGHTS));
        };
        self.set("vocab_size", json!(embed.shape[0]));
        self.set("tie_word_embeddings", json!(!tensors.contains_key("output.weight")));
        if ["llama", "qwen3"].contains(&self.architecture) {
            self.set("attention_bias", json!(tensors.contains_key("blk.0.attn_q.bias")));
        }
        if self.architecture == "llama" {
            self.set("mlp_bias", json!(tensors.contains_key("blk.0.ffn_gate.bias")));
        }
        Ok(())
    }

    /// BOS, EOS and padding. Without its key a SentencePiece vocabulary has 1 and 2, as llama.cpp has it.
    fn ids(&mut self) -> Result<(), LmError> {
        let pieces = self.file.text("tokenizer.ggml.model")? == Some("llama");
        for (stored, name, default) in
            [("bos", "bos", Some(1)), ("eos", "eos", Some(2)), ("padding", "pad", None)]
        {
            let id = self.file.integer(&format!("tokenizer.ggml.{stored}_token_id"))?;
            let id = id.or(default.filter(|_| pieces));
            self.set(&format!("{name}_token_id"), json!(id));
        }
        Ok(())
    }

    /// Widths of heads that the files leave out or say twice, and Gemma's scale of attention, which no key says.
    fn heads(&mut self) -> Result<(), LmError> {
        let (width, count) = (self.integer("embedding_length")?, self.integer("attention.head_count")?);
        let even = width.unwrap_or(0) / count.unwrap_or(1).max(1);
        let head = self.integer("attention.key_length")?.unwrap_or(even);
        self.set("head_dim", json!(head));
        for key in ["attention.value_length", "rope.dimension_count"] {
            if let Some(other) = self.integer(key)?.filter(|&other| other != head) {
                let expected = format!("`{}` equal to the width of a head, {head}", self.name(key));
                let next = "heads of two widths and partial rotation are not implemented";
                return Err(self.invalid(expected, other, next));
            }
        }
        // llama.cpp's rule: the largest models, of 27 B, divide by the root of the even share, the others by that of a head.
        let largest = match self.architecture {
            "gemma2" => 46,
            "gemma3" => 62,
            _ => return Ok(()),
        };
        let scalar = if self.integer("block_count")? == Some(largest) { even } else { head };
        self.set("query_pre_attn_scalar", json!(scalar));
        Ok(())
    }

    /// RoPE's scaling: by keys, or, as Llama 3 has it, by a factor for every wave length.
    fn rope(&mut self) -> Result<(), LmError> {
        let kind = self.file.text(&self.name("rope.scaling.type"))?.filter(|kind| *kind != "none");
        let old = self.value("rope.scale_linear").filter(|factor| *factor != json!(1.0));
        let mut scaling = match (kind, old) {
            (None, None) => json!({}),
            (None, Some(factor)) => json!({ "rope_type": "linear", "factor": factor }),
            (Some(kind), _) => json!({ "rope_type": kind, "factor": self.value("rope.scaling.factor") }),
        };
        let first = self.value("rope.scaling.original_context_length");
        if let Some(first) = first.filter(|_| kind.is_some_and(|kind| kind != "linear")) {
            scaling["original_max_position_embeddings"] = first;
        }
        if let Some(info) = self.file.tensors().get(ROPE) {
            scaling = self.llama3(&self.file.read_f32(ROPE, &info.shape)?)?;
        }
        if scaling != json!({}) {
            self.set("rope_scaling", scaling);
        }
        Ok(())
    }

    /// Llama 3's scaling, found again from its factors: the largest is the divisor; the other numbers are the same in all its
    /// models.
    fn llama3(&self, factors: &[f32]) -> Result<serde_json::Value, LmError> {
        const FIRST_CONTEXT: f64 = 8192.0;
        const HIGH: f64 = 4.0;
        let number = |key: &str| self.all.get(key).and_then(serde_json::Value::as_f64);
        let (base, half) =
            (number("rope_theta").unwrap_or(10_000.0), number("head_dim").unwrap_or(0.0) / 2.0);
        if factors.len() as f64 != half {
            let expected = format!("{half} factors in `{ROPE}`, half the width of a head");
            return Err(self.invalid(expected, factors.len(), "fetch the file again"));
        }
        let largest = factors.iter().fold(1.0, |a: f64, &b| a.max(f64::from(b)));
        let expected = |i: usize| {
            let wave = std::f64::consts::TAU * base.powf(i as f64 / half);
            let smooth = ((FIRST_CONTEXT / wave - 1.0) / (HIGH - 1.0)).clamp(0.0, 1.0);
            1.0 / ((1.0 - smooth) / largest + smooth)
        };
        let off = |i: usize| (f64::from(factors[i]) / expected(i) - 1.0).abs();
        if let Some(i) = (0..factors.len()).find(|&i| !(off(i) < 1e-3)) {
            let expected = format!("`{ROPE}` of Llama 3 ({} at {i})", expected(i));
            return Err(self.invalid(expected, factors[i], "this scaling of RoPE is not implemented"));
        }
        Ok(json!({
            "rope_type": "llama3", "factor": largest, "low_freq_factor": 1.0, "high_freq_factor": HIGH,
            "original_max_position_embeddings": FIRST_CONTEXT,
        }))
    }
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
