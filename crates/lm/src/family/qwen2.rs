//! Qwen 2 and 2.5 (`model_type` "qwen2"): Llama with biases on q, k and v, and, where `use_sliding_window` says so, a window in
//! the layers from `max_window_layers` on. Report: <https://arxiv.org/abs/2412.15115>.
//!
//! Defaults are those of `Qwen2Config` in transformers.

use super::llama::{self, Defaults};
use super::shared::windows;
use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Activation, Family, Spec};

pub(super) const DEFAULTS: Defaults = Defaults {
    vocab: Some(151_936),
    context: 32_768,
    kv_heads: Some(32),
    bos: &[],
    eos: &[],
    ..llama::DEFAULTS
};

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let spec = llama::base(c, Family::Qwen2, &DEFAULTS)?;
    Ok(Spec {
        activation: c.activation("hidden_act", Activation::Silu)?,
        windows: upper_windows(c, spec.n_layers)?,
        rope: Some(c.rope(spec.context, spec.d_head)?),
        qkv_bias: true,
        ..spec
    })
}

/// Without `layer_types` the layers from `max_window_layers` on slide, if any do.
pub(super) fn upper_windows(c: &mut Config, n_layers: usize) -> Result<Vec<Option<usize>>, LmError> {
    let slides = c.switch("use_sliding_window", false)?;
    let (window, first) = (c.size_or("sliding_window", Some(4096))?, c.count("max_window_layers", 28)?);
    windows(c, n_layers, window.filter(|_| slides), |l| slides && window.is_some() && l >= first)
}
