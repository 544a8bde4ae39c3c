//! Qwen 3 (`model_type` "qwen3", the dense models): Llama with an RMSNorm of each head's query and key. Report:
//! <https://arxiv.org/abs/2505.09388>.
//!
//! Defaults are those of `Qwen3Config` in transformers; windows are as in Qwen 2.

use super::llama::{self, Defaults};
use super::qwen2::{self, upper_windows};
use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Activation, Family, QkNorm, Spec};

const DEFAULTS: Defaults = Defaults { d_head: Some(128), ..qwen2::DEFAULTS };

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let spec = llama::base(c, Family::Qwen3, &DEFAULTS)?;
    let bias = c.switch("attention_bias", false)?;
    Ok(Spec {
        activation: c.activation("hidden_act", Activation::Silu)?,
        qk_norm: QkNorm::Head,
        windows: upper_windows(c, spec.n_layers)?,
        rope: Some(c.rope(spec.context, spec.d_head)?),
        qkv_bias: bias,
        out_bias: bias,
        ..spec
    })
}
