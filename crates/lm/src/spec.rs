//! Everything about a model that is not a weight: sizes, switches of its maths, special tokens. Read from `config.json` by
//! a file per family; every field is resolved, so that the decoder asks no family.

use crate::error::LmError;
use crate::hooks::Modules;
use crate::site::{self, Site, SiteKind};
use std::fmt;

/// Families that `family/` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Gemma 2.
    Gemma2,
    /// Llama 1 to 3 and what copies its layout.
    Llama,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 2] = [Family::Gemma2, Family::Llama];
}

impl fmt::Display for Family {
    /// The name that `config.json` uses as `model_type`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Gemma2 => "gemma2",
            Family::Llama => "llama",
        })
    }
}

/// The gate's function in a gated MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x / (1 + e^{−x}).
    Silu,
    /// GELU by its tanh approximation.
    GeluTanh,
}

/// How RoPE's frequencies are stretched beyond the trained context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3: slow ones divided by `factor`, fast ones kept, a smooth passage between.
    Llama3 {
        /// The divisor of slow frequencies.
        factor: f64,
        /// `original_context / low_freq_factor` tokens: longer waves are slow.
        low_freq_factor: f64,
        /// `original_context / high_freq_factor` tokens: shorter waves are fast.
        high_freq_factor: f64,
        /// Context of the first training.
        original_context: f64,
    },
}

/// A decoder-only transformer: RMSNorm, rotary attention with grouped keys, gated MLP.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Where the spec came from.
    pub family: Family,
    /// L.
    pub n_layers: usize,
    /// D.
    pub d_model: usize,
    /// V.
    pub vocab: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    /// H, query heads.
    pub heads: usize,
    /// G, key/value heads; query head h reads h / (H / G).
    pub kv_heads: usize,
    /// A, width of a head.
    pub d_head: usize,
    /// M, width inside the MLP.
    pub d_mlp: usize,
    /// ε of every RMSNorm.
    pub norm_eps: f32,
    /// Added to every norm's stored weight to give its gain (Gemma: 1).
    pub norm_offset: f32,
    /// Factor on the token embedding (Gemma: √D).
    pub embed_scale: Option<f32>,
    /// Norms after attention and after the MLP, before the stream (Gemma).
    pub post_norms: bool,
    /// The MLP's gate.
    pub activation: Activation,
    /// Factor on q·k.
    pub attn_scale: f32,
    /// Soft-cap on q·k.
    pub attn_cap: Option<f32>,
    /// Soft-cap on the logits.
    pub final_cap: Option<f32>,
    /// Per layer: position i sees keys j with i − window < j ≤ i; none: all j ≤ i. [L]
    pub windows: Vec<Option<usize>>,
    /// Base of RoPE's frequencies.
    pub rope_theta: f64,
    /// Stretching of RoPE's frequencies.
    pub rope_scaling: RopeScaling,
    /// The head is the embedding.
    pub tied_head: bool,
    /// Biases on q, k, v and o.
    pub attn_bias: bool,
    /// Biases on gate, up and down.
    pub mlp_bias: bool,
    /// Beginning-of-sequence id.
    pub bos: Option<u32>,
    /// End-of-sequence ids.
    pub eos: Vec<u32>,
    /// Ids that end a generation: those of `generation_config.json` where it names any, else `eos`.
    pub stops: Vec<u32>,
    /// Padding id.
    pub pad: Option<u32>,
}

impl Spec {
    /// Width of the rows at a site.
    pub fn width(&self, site: Site) -> usize {
        match site.kind {
            SiteKind::Att => self.heads * self.d_head,
            _ => self.d_model,
        }
    }

    /// Is it the config's BOS, an EOS or padding? (Chat markers are ordinary.)
    pub fn is_special(&self, token: u32) -> bool {
        self.bos == Some(token) || self.pad == Some(token) || self.eos.contains(&token)
    }

    /// The sites that `patterns` names, each once, in the order in which a run meets them: `all`, or a list such as
    /// `0.res,3.mlp,*.att`, with TransformerLens's and Hugging Face's names for the same places.
    ///
    /// # Errors
    /// A name that the model does not have, with the nearest that it has.
    pub fn parse_sites(&self, patterns: &str) -> Result<Vec<Site>, LmError> {
        let modules = Modules { post_norms: self.post_norms, scaled_embedding: self.embed_scale.is_some() };
        site::parse(patterns, self.n_layers, modules)
    }

    /// Can the model read this sequence?
    ///
    /// # Errors
    /// No tokens, more than the context, or an id outside the vocabulary.
    pub fn check_tokens(&self, tokens: &[u32]) -> Result<(), LmError> {
        if tokens.is_empty() {
            return Err(LmError::NoTokens);
        }
        if tokens.len() > self.context {
            return Err(LmError::TooLong { found: tokens.len(), context: self.context });
        }
        match tokens.iter().find(|&&t| t as usize >= self.vocab) {
            Some(&token) => Err(LmError::Token { token, vocab: self.vocab }),
            None => Ok(()),
        }
    }
}
