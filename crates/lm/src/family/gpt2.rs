//! GPT-2 (`model_type` "gpt2"): learned positions, LayerNorm, a plain MLP with GELU, biases everywhere, matrices stored
//! `[in, out]`, head tied. Report: <https://openai.com/index/better-language-models/>.
//!
//! Defaults are those of `GPT2Config` in transformers. `n_ctx` is what old files call `n_positions` a second time.

use super::shared::{HEAD, MAX_LAYERS, Names, Qkv, Up};
use crate::config::Config;
use crate::error::LmError;
use crate::spec::{Activation, Family, NormKind, QkNorm, Spec};

pub(super) const NAMES: Names = Names {
    prefixes: &["transformer."],
    unread: &[".attn.bias", ".attn.masked_bias"], // the causal mask, in old files
    embed: "wte.weight",
    positions: Some("wpe.weight"),
    norm: "ln_f",
    head: HEAD,
    layers: "h",
    attn_norm: Some("ln_1"),
    qkv: Qkv::Joined("attn.c_attn"),
    o: "attn.c_proj",
    attn_post_norm: None,
    mlp_norm: Some("ln_2"),
    mlp: Up::Plain("mlp.c_fc"),
    down: "mlp.c_proj",
    mlp_post_norm: None,
    transposed: true,
};

/// Of heads that a language model does not have, how scores are computed in half precision, and what the first files held.
pub(super) const HARMLESS: &[&str] = &[
    "n_ctx",
    "n_special",
    "output_past",
    "predict_special_tokens",
    "reorder_and_upcast_attn",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
];

pub(super) fn spec(c: &mut Config) -> Result<Spec, LmError> {
    let (n_layers, d_model) = (c.size("n_layer", Some(12))?, c.size("n_embd", Some(768))?);
    let heads = c.size("n_head", Some(12))?;
    if !d_model.is_multiple_of(heads) {
        return Err(c.error(
            "n_head",
            format!("{heads} does not divide n_embd = {d_model}"),
            "correct the file",
        ));
    }
    let d_head = d_model / heads;
    let scaled = c.switch("scale_attn_weights", true)?;
    Ok(Spec {
        family: Family::Gpt2,
        n_layers,
        d_model,
        vocab: c.size("vocab_size", Some(50_257))?,
        context: c.size("n_positions", Some(1024))?,
        heads,
        kv_heads: heads,
        d_head,
        d_mlp: c.size("n_inner", Some(4 * d_model))?,
        norm: NormKind::Layer,
        norm_eps: c.number_or("layer_norm_epsilon", None)?.unwrap_or(1e-5) as f32,
        norm_offset: 0.0,
        embed_scale: None,
        pre_norms: true,
        post_norms: false,
        parallel: false,
        gated: false,
        activation: c.activation("activation_function", Activation::GeluTanh)?,
        qk_norm: QkNorm::None,
        attn_scale: if scaled { (d_head as f64).powf(-0.5) as f32 } else { 1.0 },
        attn_cap: None,
        final_cap: None,
        windows: vec![None; n_layers.min(MAX_LAYERS)],
        rope: None,
        local_rope: None,
        tied_head: c.switch("tie_word_embeddings", true)?,
        qkv_bias: true,
        out_bias: true,
        mlp_bias: true,
        bos: c.tokens("bos_token_id", &[50_256])?.first().copied(),
        eos: c.tokens("eos_token_id", &[50_256])?,
        stops: Vec::new(), // they are in another file
        pad: c.tokens("pad_token_id", &[])?.first().copied(),
    })
}
