//! Gemma 3 (`model_type` "gemma3_text"), and the language half of its models with images ("gemma3"): Gemma 2 with RMSNorms of
//! each head's query and key in place of the soft-cap, five sliding layers to a full one, and a RoPE for each kind. Report:
//! <https://arxiv.org/abs/2503.19786>.
//!
//! Defaults are those of `Gemma3TextConfig` in transformers. Images are not read: their tensors and keys are passed over.

use super::gemma2;
use super::llama::{self, Defaults};
use super::shared::{Names, windows};
use crate::config::Config;
use crate::error::LmError;
use crate::rope_config::Around;
use crate::spec::{Activation, Family, QkNorm, Rope, RopeScaling, Spec};

pub(super) const NAMES: Names = Names {
    prefixes: &["model.language_model.", "language_model.model.", "model."],
    unread: &[
        "model.vision_tower.",
        "vision_tower.",
        "model.multi_modal_projector.",
        "multi_modal_projector.",
    ],
    ..gemma2::NAMES
};

const DEFAULTS: Defaults = Defaults {
    vocab: Some(262_208),
    context: 131_072,
    heads: Some(8),
    kv_heads: Some(4),
    d_head: Some(256),
    tied_head: true,
    bos: &[2],
    eos: &[1],
    pad: &[0],
    ..llama::DEFAULTS
};

/// The pattern is `layer_types`' in new files; the rest is of images.
pub(super) const HARMLESS: &[&str] = &[
    "boi_token_index",
    "eoi_token_index",
    "image_token_index",
    "mm_tokens_per_image",
    "sliding_window_pattern",
    "vision_config",
];

/// Of a model with images, whose class in transformers does not cap the logits whatever the text's config says.
pub(super) fn language_half(c: &mut Config) -> Result<Spec, LmError> {
    c.lift("text_config")?;
    Ok(Spec { final_cap: None, ..spec(c)? })
}

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let spec = llama::base(c, Family::Gemma3, &DEFAULTS)?;
    let bias = c.switch("attention_bias", false)?;
    let query_scalar = c.number_or("query_pre_attn_scalar", None)?.unwrap_or(256.0);
    let (window, pattern) =
        (c.size_or("sliding_window", Some(4096))?, c.size("sliding_window_pattern", Some(6))?);
    let (global, local) = ropes(c, &spec)?;
    if c.number_or("attn_logit_softcapping", None)?.is_some() {
        return Err(c.error("attn_logit_softcapping", "expected null", "Gemma 3 has no soft-cap on scores"));
    }
    Ok(Spec {
        norm_offset: 1.0,
        embed_scale: Some((spec.d_model as f64).sqrt() as f32),
        post_norms: true,
        activation: c.activation("hidden_activation", Activation::GeluTanh)?,
        qk_norm: QkNorm::Head,
        attn_scale: query_scalar.powf(-0.5) as f32,
        final_cap: c.number_or("final_logit_softcapping", None)?.map(|cap| cap as f32),
        windows: windows(c, spec.n_layers, window, |l| (l + 1) % pattern != 0)?,
        rope: Some(global),
        local_rope: Some(local),
        qkv_bias: bias,
        out_bias: bias,
        ..spec
    })
}

/// RoPE of the full layers and of the sliding ones: two objects in `rope_parameters`, or, in old files, `rope_theta` with
/// `rope_scaling` for the first and `rope_local_base_freq` for the second.
fn ropes(c: &mut Config, spec: &Spec) -> Result<(Rope, Rope), LmError> {
    let theta = c.number_or("rope_theta", None)?.unwrap_or(1_000_000.0);
    let base = c.number_or("rope_local_base_freq", None)?.unwrap_or(10_000.0);
    let (context, d_head) = (spec.context, spec.d_head);
    let around = |theta| Around { context, d_head, theta, partial: 1.0, original: None };
    c.merge("rope_scaling", "rope_parameters")?;
    let scaled = c.within("rope_scaling", |object| object.rope_object(around(theta)))?;
    let new = c.within("rope_parameters", |both| {
        let full = both.within("full_attention", |object| object.rope_object(around(theta)))?;
        Ok((full, both.within("sliding_attention", |object| object.rope_object(around(base)))?))
    })?;
    let (full, sliding) = new.unwrap_or_default();
    let plain = |theta| Rope { theta, width: d_head, scaling: RopeScaling::None };
    Ok((scaled.or(full).unwrap_or_else(|| plain(theta)), sliding.unwrap_or_else(|| plain(base))))
}
