//! Llama 1 to 3 (`model_type` "llama"): RMSNorm with gain w, rotary attention, SwiGLU, head tied or not. What other families
//! share with it is read here too.
//!
//! Defaults are those of `LlamaConfig` in transformers. No window, no caps.

use super::shared::{HEAD, MAX_LAYERS, Names, Qkv, Up};
use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Activation, Family, NormKind, QkNorm, Spec};

pub(super) const NAMES: Names = Names {
    prefixes: &["model."],
    unread: &["rotary_emb.inv_freq"], // RoPE's frequencies, in old files
    embed: "embed_tokens.weight",
    positions: None,
    norm: "norm",
    head: HEAD,
    layers: "layers",
    attn_norm: Some("input_layernorm"),
    qkv: Qkv::Apart(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    o: "self_attn.o_proj",
    attn_post_norm: None,
    mlp_norm: Some("post_attention_layernorm"), // after attention, but before the MLP: not a post-norm
    mlp: Up::Gated { gate: "mlp.gate_proj", up: "mlp.up_proj" },
    down: "mlp.down_proj",
    mlp_post_norm: None,
    transposed: false,
};

/// What a key stands for where it is missing; none: it must be there, or follows from others.
pub(super) struct Defaults {
    pub(super) vocab: Option<usize>,
    pub(super) context: usize,
    pub(super) heads: Option<usize>,
    /// None: as many as heads.
    pub(super) kv_heads: Option<usize>,
    /// None: D / H.
    pub(super) d_head: Option<usize>,
    pub(super) norm_eps: f64,
    pub(super) tied_head: bool,
    pub(super) bos: &'static [u32],
    pub(super) eos: &'static [u32],
    pub(super) pad: &'static [u32],
}

pub(super) const DEFAULTS: Defaults = Defaults {
    vocab: None,
    context: 2048,
    heads: None,
    kv_heads: None,
    d_head: None,
    norm_eps: 1e-6,
    tied_head: false,
    bos: &[1],
    eos: &[2],
    pad: &[],
};

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let spec = base(c, Family::Llama, &DEFAULTS)?;
    let bias = c.switch("attention_bias", false)?;
    only_full_attention(c)?;
    Ok(Spec {
        activation: c.activation("hidden_act", Activation::Silu)?,
        rope: Some(c.rope(spec.context, spec.d_head)?),
        qkv_bias: bias,
        out_bias: bias,
        mlp_bias: c.switch("mlp_bias", false)?,
        ..spec
    })
}

/// A Llama without biases, window and caps, but for what families say in keys of their own: activation and RoPE.
pub(super) fn base(c: &mut Config, family: Family, defaults: &Defaults) -> Result<Spec, LmError> {
    let (n_layers, d_model) = (c.size("num_hidden_layers", None)?, c.size("hidden_size", None)?);
    let heads = c.size("num_attention_heads", defaults.heads)?;
    let d_head = d_head(c, d_model, heads, defaults.d_head)?;
    Ok(Spec {
        family,
        n_layers,
        d_model,
        vocab: c.size("vocab_size", defaults.vocab)?,
        context: c.size("max_position_embeddings", Some(defaults.context))?,
        heads,
        kv_heads: c.size("num_key_value_heads", Some(defaults.kv_heads.unwrap_or(heads)))?,
        d_head,
        d_mlp: c.size("intermediate_size", None)?,
        norm: NormKind::Rms,
        norm_eps: c.number_or("rms_norm_eps", None)?.unwrap_or(defaults.norm_eps) as f32,
        norm_offset: 0.0,
        embed_scale: None,
        pre_norms: true,
        post_norms: false,
        parallel: false,
        gated: true,
        activation: Activation::Silu,
        qk_norm: QkNorm::None,
        attn_scale: (d_head as f64).powf(-0.5) as f32,
        attn_cap: None,
        final_cap: None,
        windows: vec![None; n_layers.min(MAX_LAYERS)],
        rope: None,
        local_rope: None,
        tied_head: c.switch("tie_word_embeddings", defaults.tied_head)?,
        qkv_bias: false,
        out_bias: false,
        mlp_bias: false,
        bos: c.tokens("bos_token_id", defaults.bos)?.first().copied(),
        eos: c.tokens("eos_token_id", defaults.eos)?,
        stops: Vec::new(), // they are in another file
        pad: c.tokens("pad_token_id", defaults.pad)?.first().copied(),
    })
}

/// A, which may be missing where the heads divide D.
fn d_head(c: &mut Config, d_model: usize, heads: usize, default: Option<usize>) -> Result<usize, LmError> {
    match c.size_or("head_dim", default)?.or(default) {
        Some(width) => Ok(width),
        None if d_model.is_multiple_of(heads) => Ok(d_model / heads),
        None => {
            let problem =
                format!("missing, and num_attention_heads = {heads} does not divide hidden_size = {d_model}");
            Err(c.error("head_dim", problem, "correct the file"))
        }
    }
}

/// No sliding window: `layer_types`, where it is written, must say so.
pub(super) fn only_full_attention(c: &mut Config) -> Result<(), LmError> {
    let types = c.texts("layer_types")?.unwrap_or_default();
    match types.iter().find(|t| *t != "full_attention") {
        Some(other) => {
            let problem = format!("expected full_attention, found {other}");
            Err(c.error("layer_types", problem, "this family has no other kind of layer"))
        }
        None => Ok(()),
    }
}
