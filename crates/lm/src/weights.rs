//! A checkpoint's tensors, widened exactly to f32. Matrices keep the orientation `[out, in]` in which they are stored,
//! so that each output is one dot product of contiguous rows.
//!
//! What a model of a spec has is listed once, in `build`: for counting, for checking a checkpoint's headers, and for reading.

use crate::checkpoint::Checkpoint;
use crate::error::LmError;
use crate::family::{self, Names};
use crate::spec::Spec;

/// x ↦ W x + b.
#[derive(Clone, Debug)]
pub struct Linear {
    /// W [out, in].
    pub weight: Vec<f32>,
    /// b [out].
    pub bias: Option<Vec<f32>>,
}

/// One layer. Gains are the factors themselves: Gemma's 1 + w is stored as such.
#[derive(Clone, Debug)]
pub struct LayerWeights {
    /// Gain before attention [D].
    pub attn_norm: Vec<f32>,
    /// Queries [H·A, D].
    pub q: Linear,
    /// Keys [G·A, D].
    pub k: Linear,
    /// Values [G·A, D].
    pub v: Linear,
    /// Attention's output [D, H·A].
    pub o: Linear,
    /// Gain after attention [D], in families with post-norms.
    pub attn_post_norm: Option<Vec<f32>>,
    /// Gain before the MLP [D].
    pub mlp_norm: Vec<f32>,
    /// The MLP's gate [M, D].
    pub gate: Linear,
    /// What the gate multiplies [M, D].
    pub up: Linear,
    /// The MLP's output [D, M].
    pub down: Linear,
    /// Gain after the MLP [D], in families with post-norms.
    pub mlp_post_norm: Option<Vec<f32>>,
}

/// All parameters of a model.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Token embedding [V, D], not scaled.
    pub embed: Vec<f32>,
    /// The layers [L].
    pub layers: Vec<LayerWeights>,
    /// Gain of the final norm [D].
    pub norm: Vec<f32>,
    /// The head [V, D], if it is not the embedding.
    pub head: Option<Vec<f32>>,
}

impl Weights {
    /// Reads what `spec` describes.
    pub(crate) fn read(spec: &Spec, checkpoint: &Checkpoint) -> Result<Weights, LmError> {
        build(spec, &mut |name, shape| checkpoint.read(name, shape))
    }
}

/// Number of parameters that `spec` describes; a tied head counts once.
pub fn count(spec: &Spec) -> usize {
    let mut count = 0;
    let counted = build(spec, &mut |_, shape| {
        count += shape.iter().product::<usize>();
        Ok(Vec::new())
    });
    counted.expect("nothing is read");
    count
}

/// Where a tensor of this name (without `model.`) and shape comes from.
pub(crate) type Source<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, LmError>;

/// All that a model of `spec` has, asked of `source` tensor by tensor: the one list of names and shapes.
pub(crate) fn build(spec: &Spec, source: Source<'_>) -> Result<Weights, LmError> {
    let names = family::names(spec.family);
    let head = [spec.vocab, spec.d_model];
    Ok(Weights {
        embed: source(names.embed, &head)?,
        layers: (0..spec.n_layers).map(|l| layer(source, spec, names, l)).collect::<Result<_, _>>()?,
        norm: gain(source, spec, names.norm)?,
        head: if spec.tied_head { None } else { Some(source("lm_head.weight", &head)?) },
    })
}

fn layer(source: Source<'_>, spec: &Spec, names: &Names, l: usize) -> Result<LayerWeights, LmError> {
    let (d, m) = (spec.d_model, spec.d_mlp);
    let (q, kv) = (spec.heads * spec.d_head, spec.kv_heads * spec.d_head);
    let norm = |source: Source<'_>, name: &str| gain(source, spec, &format!("layers.{l}.{name}.weight"));
    let post = |source: Source<'_>, name: Option<&str>| name.map(|n| norm(source, n)).transpose();
    let linear = |source: Source<'_>, name: &str, bias: bool, out: usize, width: usize| {
        let name = format!("layers.{l}.{name}");
        let weight = source(&format!("{name}.weight"), &[out, width])?;
        let bias = bias.then(|| source(&format!("{name}.bias"), &[out])).transpose()?;
        Ok::<_, LmError>(Linear { weight, bias })
    };
    Ok(LayerWeights {
        attn_norm: norm(source, names.attn_norm)?,
        q: linear(source, "self_attn.q_proj", spec.attn_bias, q, d)?,
        k: linear(source, "self_attn.k_proj", spec.attn_bias, kv, d)?,
        v: linear(source, "self_attn.v_proj", spec.attn_bias, kv, d)?,
        o: linear(source, "self_attn.o_proj", spec.attn_bias, d, q)?,
        attn_post_norm: post(source, names.attn_post_norm)?,
        mlp_norm: norm(source, names.mlp_norm)?,
        gate: linear(source, "mlp.gate_proj", spec.mlp_bias, m, d)?,
        up: linear(source, "mlp.up_proj", spec.mlp_bias, m, d)?,
        down: linear(source, "mlp.down_proj", spec.mlp_bias, d, m)?,
        mlp_post_norm: post(source, names.mlp_post_norm)?,
    })
}

/// A norm's stored weight plus the family's offset, in f32.
fn gain(source: Source<'_>, spec: &Spec, name: &str) -> Result<Vec<f32>, LmError> {
    let mut gain = source(name, &[spec.d_model])?;
    gain.iter_mut().for_each(|g| *g += spec.norm_offset);
    Ok(gain)
}
