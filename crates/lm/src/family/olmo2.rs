//! OLMo 2 (`model_type` "olmo2"): Llama with its norms after attention and MLP instead of before them, and an RMSNorm of the
//! whole query and the whole key. Report: <https://arxiv.org/abs/2501.00656>.
//!
//! Defaults are those of `Olmo2Config` in transformers. There is no `mlp-in`: the MLP reads the stream as it is.

use super::llama::{self, Defaults, only_full_attention};
use super::shared::Names;
use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Activation, Family, QkNorm, Spec};

pub(super) const NAMES: Names = Names {
    attn_norm: None,
    attn_post_norm: Some("post_attention_layernorm"),
    mlp_norm: None,
    mlp_post_norm: Some("post_feedforward_layernorm"),
    ..llama::NAMES
};

const DEFAULTS: Defaults =
    Defaults { vocab: Some(50_304), norm_eps: 1e-5, bos: &[], eos: &[50_279], pad: &[1], ..llama::DEFAULTS };

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let spec = llama::base(c, Family::Olmo2, &DEFAULTS)?;
    let bias = c.switch("attention_bias", false)?;
    only_full_attention(c)?;
    Ok(Spec {
        pre_norms: false,
        post_norms: true,
        activation: c.activation("hidden_act", Activation::Silu)?,
        qk_norm: QkNorm::Whole,
        rope: Some(c.rope(spec.context, spec.d_head)?),
        qkv_bias: bias,
        out_bias: bias,
        ..spec
    })
}
