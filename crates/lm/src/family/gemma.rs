//! Gemma 1 (`model_type` "gemma"): RMSNorm with gain 1 + w, embedding times √D, GeGLU. Report:
//! <https://arxiv.org/abs/2403.08295>.
//!
//! Defaults are those of `GemmaConfig` in transformers. Its first files say `hidden_act: gelu` and mean the tanh
//! approximation, as transformers reads them; later ones say so in `hidden_activation`.

use super::llama::{self, Defaults};
use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Activation, Family, Spec};

const DEFAULTS: Defaults = Defaults {
    vocab: Some(256_000),
    context: 8192,
    kv_heads: Some(16),
    d_head: Some(256),
    tied_head: true,
    bos: &[2],
    eos: &[1],
    pad: &[0],
    ..llama::DEFAULTS
};

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let spec = llama::base(c, Family::Gemma, &DEFAULTS)?;
    let bias = c.switch("attention_bias", false)?;
    let first = c.activation("hidden_act", Activation::GeluTanh)?;
    let activation = c.activation("hidden_activation", first)?;
    Ok(Spec {
        norm_offset: 1.0,
        embed_scale: Some((spec.d_model as f64).sqrt() as f32),
        activation: if activation == Activation::Gelu { Activation::GeluTanh } else { activation },
        rope: Some(c.rope(spec.context, spec.d_head)?),
        qkv_bias: bias,
        out_bias: bias,
        ..spec
    })
}
