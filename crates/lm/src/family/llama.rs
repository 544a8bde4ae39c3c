//! Llama 1 to 3 (`model_type` "llama"): RMSNorm with gain w, rotary attention, SwiGLU, head tied or not.
//!
//! Defaults are those of `LlamaConfig` in transformers. No window, no caps.

use super::shared::{Names, check};
use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Activation, Family, Spec};

pub(super) const NAMES: Names = Names {
    embed: "embed_tokens.weight",
    norm: "norm.weight",
    attn_norm: "input_layernorm",
    attn_post_norm: None,
    mlp_norm: "post_attention_layernorm", // after attention, but before the MLP: not a post-norm
    mlp_post_norm: None,
};

pub(super) fn spec(mut c: Config) -> Result<Spec, LmError> {
    let (n_layers, d_model, heads) =
        (c.size("num_hidden_layers")?, c.size("hidden_size")?, c.size("num_attention_heads")?);
    let d_head = match c.size_or("head_dim", None)? {
        Some(width) => width,
        None if d_model % heads == 0 => d_model / heads,
        None => {
            let problem =
                format!("missing, and num_attention_heads = {heads} does not divide hidden_size = {d_model}");
            return Err(c.error("head_dim", problem, "correct the file"));
        }
    };
    let context = c.size_or("max_position_embeddings", Some(2048))?.unwrap_or(2048);
    let (rope_theta, rope_scaling) = c.rope(context)?;
    let spec = Spec {
        family: Family::Llama,
        n_layers,
        d_model,
        vocab: c.size("vocab_size")?,
        context,
        heads,
        kv_heads: c.size_or("num_key_value_heads", None)?.unwrap_or(heads),
        d_head,
        d_mlp: c.size("intermediate_size")?,
        norm_eps: c.number_or("rms_norm_eps", None)?.unwrap_or(1e-6) as f32,
        norm_offset: 0.0,
        embed_scale: None,
        post_norms: false,
        activation: c.activation("hidden_act", Activation::Silu)?,
        attn_scale: (d_head as f64).powf(-0.5) as f32,
        attn_cap: None,
        final_cap: None,
        windows: vec![None; n_layers.min(10_000)],
        rope_theta,
        rope_scaling,
        tied_head: c.switch("tie_word_embeddings", false)?,
        attn_bias: c.switch("attention_bias", false)?,
        mlp_bias: c.switch("mlp_bias", false)?,
        bos: c.tokens("bos_token_id", &[1])?.first().copied(),
        eos: c.tokens("eos_token_id", &[2])?,
        stops: Vec::new(), // they are in another file
        pad: c.tokens("pad_token_id", &[])?.first().copied(),
    };
    check(&c, &spec)?;
    only_full_attention(&mut c)?;
    c.finish(&[])?;
    Ok(spec)
}

/// Llama has no sliding window: `layer_types`, where it is written, must say so.
fn only_full_attention(c: &mut Config) -> Result<(), LmError> {
    let types = c.texts("layer_types")?.unwrap_or_default();
    match types.iter().find(|t| *t != "full_attention") {
        Some(other) => {
            let problem = format!("expected full_attention, found {other}");
            Err(c.error("layer_types", problem, "Llama has no other kind of layer"))
        }
        None => Ok(()),
    }
}
