//! Mistral (`model_type` "mistral"): Llama with a sliding window in every layer (version 0.1) or in none. Report:
//! <https://arxiv.org/abs/2310.06825>.
//!
//! Defaults are those of `MistralConfig` in transformers, where a missing window is 4,096 (`null` is none).

use super::llama::{self, Defaults};
use super::shared::one_window;
use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Activation, Family, Spec};

const DEFAULTS: Defaults =
    Defaults { vocab: Some(32_000), context: 131_072, kv_heads: Some(8), ..llama::DEFAULTS };

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let spec = llama::base(c, Family::Mistral, &DEFAULTS)?;
    let window = c.size_or("sliding_window", Some(4096))?;
    Ok(Spec {
        activation: c.activation("hidden_act", Activation::Silu)?,
        windows: one_window(c, spec.n_layers, window)?,
        rope: Some(c.rope(spec.context, spec.d_head)?),
        ..spec
    })
}
