//! A model in one GGUF file: its tensors under the names, in the row order and in the orientation that a Hugging Face folder
//! has, so that a family is described once (`gguf_config.rs` does the same for its keys).
//!
//! What llama.cpp's converter changes is undone here: Llama's query and key rows, which it reorders for another form of RoPE;
//! GPT-2's matrices, which it transposes; and Gemma's gains, which it stores with their 1 (so the offset is 0: the stored number
//! is the gain, to the bit).

use crate::error::LmError;
use crate::family;
use crate::gguf_config::{self, ROPE};
use crate::spec::{Family, Spec};
use crate::values::Values;
use crate::weights::{self, Weights};
use lapidary_files::FileError;
use lapidary_gguf::GgufFile;
use std::collections::BTreeSet;
use std::path::Path;

/// A file whose header fits the model that its keys describe.
#[derive(Debug)]
pub(crate) struct Stored {
    file: GgufFile,
}

/// Opens a file: what it describes, and what it holds.
pub(crate) fn open(path: &Path, ignored: &[String]) -> Result<(Spec, Stored), LmError> {
    let stored = Stored { file: GgufFile::open(path)? };
    let spec = spec(&stored.file, ignored)?;
    let mut needed = BTreeSet::from([ROPE.to_string()]);
    weights::build(&spec, &mut |name, shape| {
        let Place { name, shape, .. } = Place::of(name, shape, &spec);
        stored.file.check(&name, &shape)?;
        needed.insert(name);
        Ok(Values::default())
    })?;
    stored.check_nothing_else(&needed, &spec)?;
    Ok((spec, stored))
}

/// What the keys describe.
pub(crate) fn spec(file: &GgufFile, ignored: &[String]) -> Result<Spec, LmError> {
    let spec = family::spec(gguf_config::config(file, ignored)?)?;
    let mut stops = spec.eos.clone();
    for end in ["eot", "eom"].map(|end| file.integer(&format!("tokenizer.ggml.{end}_token_id"))) {
        stops.extend(end?.and_then(|id| u32::try_from(id).ok()).filter(|id| !spec.eos.contains(id)));
    }
    Ok(Spec { stops, norm_offset: 0.0, ..spec })
}

impl Stored {
    /// All weights, widened to f32 where they are not bf16.
    pub(crate) fn read(&self, spec: &Spec) -> Result<Weights, LmError> {
        weights::build(spec, &mut |name, shape| {
            let Place { name, shape, order } = Place::of(name, shape, spec);
            let values = self.file.read_f32(&name, &shape)?;
            if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
                let next = "the file is damaged, or was quantised wrongly: fetch another";
                return Err(self.invalid("finite weights", format!("{bad} in `{name}`"), next));
            }
            Ok(Values::from(match order {
                Order::Same => values,
                Order::Transposed => transposed(&values, shape[1]),
                Order::Pairs { heads } => halves_apart(&values, heads, spec.d_head),
            }))
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

/// Where the file has a tensor, and how.
struct Place {
    name: String,
    shape: Vec<usize>,
    order: Order,
}

/// How a file has a tensor's elements.
enum Order {
    /// As a folder has them.
    Same,
    /// A matrix the other way round.
    Transposed,
    /// Rows of each head in pairs: the first half's first and the second half's first, and so on.
    Pairs { heads: usize },
}

impl Place {
    /// Of what `weights.rs` asks for by `name` and `shape`.
    fn of(name: &str, shape: &[usize], spec: &Spec) -> Place {
        let names = family::names(spec.family);
        let layer = name.strip_prefix(names.layers).and_then(|rest| rest.strip_prefix('.')?.split_once('.'));
        let (prefix, inner) = match layer {
            Some((layer, inner)) => (format!("blk.{layer}."), inner),
            None => (String::new(), name),
        };
        let (place, end) = inner.rsplit_once('.').unwrap_or((inner, "weight"));
        let heads = match place {
            "self_attn.q_proj" if spec.family == Family::Llama => Some(spec.heads),
            "self_attn.k_proj" if spec.family == Family::Llama => Some(spec.kv_heads),
            _ => None,
        };
        let turned = layer.is_some() && names.transposed && shape.len() == 2;
        let order = match (heads, turned) {
            (Some(heads), _) => Order::Pairs { heads },
            (None, true) => Order::Transposed,
            (None, false) => Order::Same,
        };
        let shape = if turned { vec![shape[1], shape[0]] } else { shape.to_vec() };
        Place { name: format!("{prefix}{}.{end}", stored_name(place, spec)), shape, order }
    }
}

/// llama.cpp's name of a place in a model.
fn stored_name<'a>(place: &'a str, spec: &Spec) -> &'a str {
    match place {
        "embed_tokens" | "wte" => "token_embd",
        "wpe" => "position_embd",
        "norm" | "ln_f" => "output_norm",
        "lm_head" => "output",
        "input_layernorm" | "ln_1" => "attn_norm",
        "post_attention_layernorm" if spec.post_norms => "post_attention_norm",
        "post_attention_layernorm" | "pre_feedforward_layernorm" | "ln_2" => "ffn_norm",
        "post_feedforward_layernorm" => "post_ffw_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "attn.c_attn" => "attn_qkv",
        "self_attn.o_proj" | "attn.c_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" | "mlp.c_fc" => "ffn_up",
        "mlp.down_proj" | "mlp.c_proj" => "ffn_down",
        other => other,
    }
}

/// The transpose of a matrix [.., width].
fn transposed(matrix: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| matrix.iter().skip(column).step_by(width)).copied().collect()
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
