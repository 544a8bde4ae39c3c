//! GPT-NeoX and Pythia (`model_type` "gpt_neox"): attention and MLP beside each other, LayerNorm, a part of each head that turns,
//! q, k and v in one matrix head by head, biases. Reports: <https://arxiv.org/abs/2204.06745>, <https://arxiv.org/abs/2304.01373>.
//!
//! Defaults are those of `GPTNeoXConfig` in transformers. With `use_parallel_residual` there is no `mid`.

use super::llama::{self, Defaults};
use super::shared::{Names, Qkv, Up};
use crate::config::Config;
use crate::error::LmError;
use crate::rope_config::Around;
use crate::spec::{Activation, Family, NormKind, Rope, Spec};

pub(super) const NAMES: Names = Names {
    prefixes: &["gpt_neox."],
    // RoPE's frequencies and the causal mask, in old files.
    unread: &["rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias"],
    embed: "embed_in.weight",
    norm: "final_layer_norm",
    head: "embed_out.weight",
    qkv: Qkv::ByHead("attention.query_key_value"),
    o: "attention.dense",
    mlp: Up::Plain("mlp.dense_h_to_4h"),
    down: "mlp.dense_4h_to_h",
    ..llama::NAMES
};

const DEFAULTS: Defaults = Defaults { vocab: Some(50_432), bos: &[0], ..llama::DEFAULTS };

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let spec = llama::base(c, Family::GptNeoX, &DEFAULTS)?;
    if spec.kv_heads != spec.heads {
        return Err(c.error(
            "num_key_value_heads",
            "this family has a key for every query",
            "correct the file",
        ));
    }
    let bias = c.switch("attention_bias", true)?;
    Ok(Spec {
        norm: NormKind::Layer,
        norm_eps: c.number_or("layer_norm_eps", None)?.unwrap_or(1e-5) as f32,
        parallel: c.switch("use_parallel_residual", true)?,
        gated: false,
        activation: c.activation("hidden_act", Activation::Gelu)?,
        rope: Some(rope(c, &spec)?),
        qkv_bias: bias,
        out_bias: bias,
        mlp_bias: true,
        ..spec
    })
}

/// Base and share have names of their own in old files.
fn rope(c: &mut Config, spec: &Spec) -> Result<Rope, LmError> {
    let around = Around {
        context: spec.context,
        d_head: spec.d_head,
        theta: c.number_or("rotary_emb_base", None)?.unwrap_or(10_000.0),
        partial: c.number_or("rotary_pct", None)?.unwrap_or(0.25),
        original: None,
    };
    c.rope_around(around)
}
