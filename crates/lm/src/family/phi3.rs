//! Phi-3 and Phi-4 (`model_type` "phi3"): Llama with q, k and v in one matrix, gate and up in another, a part of each head that
//! turns (Phi-4-mini), a window in every layer (Phi-3-mini) and LongRoPE. Report: <https://arxiv.org/abs/2404.14219>.
//!
//! Defaults are those of `Phi3Config` in transformers, where `original_max_position_embeddings` is at the top and has one.

use super::llama::{self, Defaults};
use super::shared::{Names, Qkv, Up, one_window};
use crate::config::Config;
use crate::error::LmError;
use crate::rope_config::Around;
use crate::spec::{Activation, Family, Rope, Spec};

pub(super) const NAMES: Names =
    Names { qkv: Qkv::Joined("self_attn.qkv_proj"), mlp: Up::Joined("mlp.gate_up_proj"), ..llama::NAMES };

const DEFAULTS: Defaults = Defaults {
    vocab: Some(32_064),
    context: 4096,
    norm_eps: 1e-5,
    eos: &[32_000],
    pad: &[32_000],
    ..llama::DEFAULTS
};

/// Keys of Phi-4-mini that transformers does not read.
pub(super) const HARMLESS: &[&str] = &["full_attn_mod", "interpolate_factor"];

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let spec = llama::base(c, Family::Phi3, &DEFAULTS)?;
    let window = c.size_or("sliding_window", None)?;
    Ok(Spec {
        activation: c.activation("hidden_act", Activation::Silu)?,
        windows: one_window(c, spec.n_layers, window)?,
        rope: Some(rope(c, &spec)?),
        ..spec
    })
}

fn rope(c: &mut Config, spec: &Spec) -> Result<Rope, LmError> {
    let around = Around {
        context: spec.context,
        d_head: spec.d_head,
        theta: c.number_or("rope_theta", None)?.unwrap_or(10_000.0),
        partial: c.number_or("partial_rotary_factor", None)?.unwrap_or(1.0),
        original: Some(c.number_or("original_max_position_embeddings", None)?.unwrap_or(4096.0)),
    };
    c.rope_around(around)
}
