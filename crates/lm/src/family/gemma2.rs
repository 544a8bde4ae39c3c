//! Gemma 2 (`model_type` "gemma2"): RMSNorm with gain 1 + w, embedding times √D, norms before and after each half of a
//! layer, GeGLU, soft-caps, and a sliding window in every other layer. Report: <https://arxiv.org/abs/2408.00118>.
//!
//! Defaults are those of `Gemma2Config` in transformers, where a missing cap is not "no cap" (that is `null`). The
//! embedding's factor is √D in the dtype that computes, here f32. `hidden_act` and `sliding_window_size` (9B,
//! 27B) are ignored, as there: `hidden_activation` and `sliding_window` count.

use super::llama::{self, Defaults};
use super::shared::{Names, windows};
use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Activation, Family, Spec};

pub(super) const NAMES: Names = Names {
    attn_post_norm: Some("post_attention_layernorm"),
    mlp_norm: Some("pre_feedforward_layernorm"),
    mlp_post_norm: Some("post_feedforward_layernorm"),
    ..llama::NAMES
};

const DEFAULTS: Defaults = Defaults {
    context: 8192,
    kv_heads: Some(4),
    d_head: Some(256),
    tied_head: true,
    bos: &[2],
    eos: &[1],
    pad: &[0],
    ..llama::DEFAULTS
};

/// Keys of old files that change nothing.
pub(super) const HARMLESS: &[&str] = &["hidden_act", "sliding_window_size"];

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let spec = llama::base(c, Family::Gemma2, &DEFAULTS)?;
    let bias = c.switch("attention_bias", false)?;
    let query_scalar = c.number_or("query_pre_attn_scalar", None)?.unwrap_or(256.0);
    let window = c.size_or("sliding_window", Some(4096))?;
    Ok(Spec {
        norm_offset: 1.0,
        embed_scale: Some((spec.d_model as f64).sqrt() as f32),
        post_norms: true,
        activation: c.activation("hidden_activation", Activation::GeluTanh)?,
        attn_scale: query_scalar.powf(-0.5) as f32,
        attn_cap: c.number_or("attn_logit_softcapping", Some(50.0))?.map(|cap| cap as f32),
        final_cap: c.number_or("final_logit_softcapping", Some(30.0))?.map(|cap| cap as f32),
        // Without `layer_types` every other layer slides, from the first.
        windows: windows(c, spec.n_layers, window, |l| l % 2 == 0)?,
        rope: Some(c.rope(spec.context, spec.d_head)?),
        qkv_bias: bias,
        out_bias: bias,
        ..spec
    })
}
