//! Everything about a model that is not a weight: sizes, switches of its maths, special tokens. Read from `config.json` by
//! a file per family; every field is resolved, so that the decoder asks no family.

use crate::error::LmError;
use crate::hooks::Modules;
use crate::site::{self, Site, SiteKind};
use std::fmt;

/// Families that `family/` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Gemma 1.
    Gemma,
    /// Gemma 2.
    Gemma2,
    /// Gemma 3, its text.
    Gemma3,
    /// GPT-2.
    Gpt2,
    /// GPT-NeoX and Pythia.
    GptNeoX,
    /// Llama 1 to 3 and what copies its layout.
    Llama,
    /// Mistral.
    Mistral,
    /// OLMo 2.
    Olmo2,
    /// Phi-3 and Phi-4.
    Phi3,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3.
    Qwen3,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 11] = [
        Family::Gemma,
        Family::Gemma2,
        Family::Gemma3,
        Family::Gpt2,
        Family::GptNeoX,
        Family::Llama,
        Family::Mistral,
        Family::Olmo2,
        Family::Phi3,
        Family::Qwen2,
        Family::Qwen3,
    ];
}

impl fmt::Display for Family {
    /// The name that `config.json` uses as `model_type`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Gemma => "gemma",
            Family::Gemma2 => "gemma2",
            Family::Gemma3 => "gemma3_text",
            Family::Gpt2 => "gpt2",
            Family::GptNeoX => "gpt_neox",
            Family::Llama => "llama",
            Family::Mistral => "mistral",
            Family::Olmo2 => "olmo2",
            Family::Phi3 => "phi3",
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
        })
    }
}

/// The MLP's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x / (1 + e^{−x}).
    Silu,
    /// GELU by the error function.
    Gelu,
    /// GELU by its tanh approximation.
    GeluTanh,
}

/// What every norm of the stream does before its gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// x / √(mean(x²) + ε).
    Rms,
    /// (x − mean(x)) / √(var(x) + ε), and a bias after the gain.
    Layer,
}

/// An RMSNorm of queries and keys before they are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// None.
    None,
    /// Each head by itself, one gain [A] for all.
    Head,
    /// All heads together, gains [H·A] and [G·A].
    Whole,
}

/// Rotary positions (`rope.rs` has the formulas).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// Components of each head that turn, the first ones; even.
    pub width: usize,
    /// Stretching of the frequencies.
    pub scaling: RopeScaling,
}

/// How RoPE's frequencies are stretched beyond the trained context.
#[derive(Clone, Debug, PartialEq)]
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
    /// YaRN (<https://arxiv.org/abs/2309.00071>): waves that turn less than `beta_slow` times in the first context divided by
    /// `factor`, those that turn more than `beta_fast` times kept, a ramp over the components between.
    Yarn {
        /// The divisor of slow frequencies.
        factor: f64,
        /// Turns of a fast wave.
        beta_fast: f64,
        /// Turns of a slow wave.
        beta_slow: f64,
        /// Context of the first training.
        original_context: f64,
        /// The ramp begins and ends at whole components.
        truncate: bool,
        /// Factor on cosines and sines.
        attention_factor: f64,
    },
    /// Dynamic NTK: the base grows with a sequence that is longer than the context. Those are refused, so nothing is stretched.
    Dynamic,
    /// LongRoPE: a divisor for each frequency; others for sequences beyond the first context, which are refused.
    Long {
        /// The divisors of the frequencies [width/2].
        factors: Vec<f64>,
        /// Factor on cosines and sines.
        attention_factor: f64,
        /// Context of the first training: as far as these divisors hold.
        original_context: usize,
    },
}

/// A decoder-only transformer; everything in which families differ is a field.
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
    /// The stream's norms.
    pub norm: NormKind,
    /// ε of every norm.
    pub norm_eps: f32,
    /// Added to every norm's stored weight to give its gain (Gemma: 1).
    pub norm_offset: f32,
    /// Factor on the token embedding (Gemma: √D).
    pub embed_scale: Option<f32>,
    /// Norms of what attention and MLP read (all but OLMo 2).
    pub pre_norms: bool,
    /// Norms after attention and after the MLP, before the stream (Gemma 2 and 3, OLMo 2).
    pub post_norms: bool,
    /// Attention and MLP read the same stream, and both are added to it (GPT-NeoX).
    pub parallel: bool,
    /// The MLP is down(f(gate x) · up x), else down(f(up x)).
    pub gated: bool,
    /// f, the MLP's function.
    pub activation: Activation,
    /// Norms of queries and keys.
    pub qk_norm: QkNorm,
    /// Factor on q·k.
    pub attn_scale: f32,
    /// Soft-cap on q·k.
    pub attn_cap: Option<f32>,
    /// Soft-cap on the logits.
    pub final_cap: Option<f32>,
    /// Per layer: position i sees keys j with i − window < j ≤ i; none: all j ≤ i. [L]
    pub windows: Vec<Option<usize>>,
    /// Rotary positions; none: a learned vector for each position is added to the embedding.
    pub rope: Option<Rope>,
    /// Rotary positions of the layers with a window, where they are others (Gemma 3).
    pub local_rope: Option<Rope>,
    /// The head is the embedding.
    pub tied_head: bool,
    /// Biases on q, k and v.
    pub qkv_bias: bool,
    /// A bias on attention's output.
    pub out_bias: bool,
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
        site::parse(patterns, self.n_layers, self.modules(), &self.lacking())
    }

    /// Does the model have places of this kind?
    pub fn has(&self, kind: SiteKind) -> bool {
        self.lacking().iter().all(|(lacking, _)| *lacking != kind)
    }

    /// Kinds of sites that the model does not have, and why.
    fn lacking(&self) -> Vec<(SiteKind, &'static str)> {
        let parallel = "attention and MLP read the same stream, which is `res` of the layer before";
        let unnormed = "the MLP reads the stream itself, which is `mid`";
        let all = [(SiteKind::Mid, self.parallel, parallel), (SiteKind::MlpIn, !self.pre_norms, unnormed)];
        all.into_iter().filter(|(_, lacking, _)| *lacking).map(|(kind, _, why)| (kind, why)).collect()
    }

    fn modules(&self) -> Modules {
        Modules {
            post_norms: self.post_norms,
            scaled_embedding: self.embed_scale.is_some(),
            learned_positions: self.rope.is_none(),
        }
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
