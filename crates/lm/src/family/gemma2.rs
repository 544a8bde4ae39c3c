//! Gemma 2 (`model_type` "gemma2"): RMSNorm with gain 1 + w, embedding times √D, norms before and after each half of a
//! layer, GeGLU, soft-caps, and a sliding window in every other layer. Report: <https://arxiv.org/abs/2408.00118>.
//!
//! Defaults are those of `Gemma2Config` in transformers, where a missing cap is not "no cap" (that is `null`). The
//! embedding's factor is √D in the dtype that computes, here f32. `hidden_act` and `sliding_window_size` (9B,
//! 27B) are ignored, as there: `hidden_activation` and `sliding_window` count.

use super::shared::{Names, check};
use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Activation, Family, Spec};

pub(super) const NAMES: Names = Names {
    embed: "embed_tokens.weight",
    norm: "norm.weight",
    attn_norm: "input_layernorm",
    attn_post_norm: Some("post_attention_layernorm"),
    mlp_norm: "pre_feedforward_layernorm",
    mlp_post_norm: Some("post_feedforward_layernorm"),
};

pub(super) fn spec(mut c: Config) -> Result<Spec, LmError> {
    let (n_layers, d_model) = (c.size("num_hidden_layers")?, c.size("hidden_size")?);
    let context = c.size_or("max_position_embeddings", None)?.unwrap_or(8192);
    let (rope_theta, rope_scaling) = c.rope(context)?;
    let query_scalar = c.number_or("query_pre_attn_scalar", None)?.unwrap_or(256.0);
    let spec = Spec {
        family: Family::Gemma2,
        n_layers,
        d_model,
        vocab: c.size("vocab_size")?,
        context,
        heads: c.size("num_attention_heads")?,
        kv_heads: c.size_or("num_key_value_heads", None)?.unwrap_or(4),
        d_head: c.size_or("head_dim", None)?.unwrap_or(256),
        d_mlp: c.size("intermediate_size")?,
        norm_eps: c.number_or("rms_norm_eps", None)?.unwrap_or(1e-6) as f32,
        norm_offset: 1.0,
        embed_scale: Some((d_model as f64).sqrt() as f32),
        post_norms: true,
        activation: c.activation("hidden_activation", Activation::GeluTanh)?,
        attn_scale: query_scalar.powf(-0.5) as f32,
        attn_cap: c.number_or("attn_logit_softcapping", Some(50.0))?.map(|cap| cap as f32),
        final_cap: c.number_or("final_logit_softcapping", Some(30.0))?.map(|cap| cap as f32),
        windows: windows(&mut c, n_layers)?,
        rope_theta,
        rope_scaling,
        tied_head: c.switch("tie_word_embeddings", true)?,
        attn_bias: c.switch("attention_bias", false)?,
        mlp_bias: false,
        bos: c.tokens("bos_token_id", &[2])?.first().copied(),
        eos: c.tokens("eos_token_id", &[1])?,
        stops: Vec::new(), // they are in another file
        pad: c.tokens("pad_token_id", &[0])?.first().copied(),
    };
    check(&c, &spec)?;
    c.finish(&["hidden_act", "sliding_window_size"])?;
    Ok(spec)
}

/// The window of each layer: by `layer_types`, or, where that is missing, every other layer from the first.
fn windows(c: &mut Config, n_layers: usize) -> Result<Vec<Option<usize>>, LmError> {
    let window = c.size_or("sliding_window", Some(4096))?;
    let slides: Vec<bool> = match c.texts("layer_types")? {
        None => (0..n_layers.min(10_000)).map(|l| l % 2 == 0).collect(),
        Some(types) if types.len() != n_layers => {
            let problem = format!("expected {n_layers} entries, one per layer, found {}", types.len());
            return Err(c.error("layer_types", problem, "correct the file"));
        }
        Some(types) => types.iter().map(|t| slides(c, t)).collect::<Result<_, _>>()?,
    };
    if window.is_none() && slides.contains(&true) {
        return Err(c.error("sliding_window", "null, but some layers slide", "give the window in tokens"));
    }
    Ok(slides.into_iter().map(|slides| window.filter(|_| slides)).collect())
}

fn slides(c: &Config, layer_type: &str) -> Result<bool, LmError> {
    match layer_type {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => {
            let problem = format!("expected sliding_attention or full_attention, found {other}");
            Err(c.error("layer_types", problem, "this kind of layer is not implemented"))
        }
    }
}
