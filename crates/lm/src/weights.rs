//! A checkpoint's tensors: matrices as the file has them, f32 or bf16 (f16 and quantised blocks are widened exactly), vectors as f32.
//! Matrices keep the orientation `[out, in]` in which they are stored, so that each output is one dot product of contiguous rows.
//!
//! What a model of a spec has is listed once, in `build`: for counting, for checking a checkpoint's headers, and for reading.

use crate::checkpoint::Checkpoint;
use crate::error::LmError;
use crate::family::{self, HEAD, Names, Qkv, Up};
use crate::spec::{NormKind, QkNorm, Spec};
use crate::values::Values;

/// x ↦ W x + b.
#[derive(Clone, Debug)]
pub struct Linear {
    /// W [out, in].
    pub weight: Values,
    /// b [out].
    pub bias: Option<Vec<f32>>,
}

/// What follows a norm: x ↦ gain · x + bias. The gain is the factor itself: Gemma's 1 + w is stored as such.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Factors [D].
    pub gain: Vec<f32>,
    /// Summands [D], in LayerNorm.
    pub bias: Option<Vec<f32>>,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct LayerWeights {
    /// Norm before attention, where there is one.
    pub attn_norm: Option<Norm>,
    /// Queries [H·A, D].
    pub q: Linear,
    /// Keys [G·A, D].
    pub k: Linear,
    /// Values [G·A, D].
    pub v: Linear,
    /// Gain of the queries' norm, [A] or [H·A], where there is one.
    pub q_norm: Option<Vec<f32>>,
    /// Gain of the keys' norm, [A] or [G·A], where there is one.
    pub k_norm: Option<Vec<f32>>,
    /// Attention's output [D, H·A].
    pub o: Linear,
    /// Norm after attention, in families with post-norms.
    pub attn_post_norm: Option<Norm>,
    /// Norm before the MLP, where there is one.
    pub mlp_norm: Option<Norm>,
    /// The MLP's gate [M, D], where it is gated.
    pub gate: Option<Linear>,
    /// What the gate multiplies, or, without a gate, the MLP's input [M, D].
    pub up: Linear,
    /// The MLP's output [D, M].
    pub down: Linear,
    /// Norm after the MLP, in families with post-norms.
    pub mlp_post_norm: Option<Norm>,
}

/// All parameters of a model.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Token embedding [V, D], not scaled.
    pub embed: Values,
    /// Learned positions [T, D], T the context, in models without RoPE.
    pub positions: Option<Values>,
    /// The layers [L].
    pub layers: Vec<LayerWeights>,
    /// The final norm.
    pub norm: Norm,
    /// The head [V, D], if it is not the embedding as it is held.
    pub head: Option<Values>,
}

impl Weights {
    /// Reads what `spec` describes.
    pub(crate) fn read(spec: &Spec, checkpoint: &Checkpoint) -> Result<Weights, LmError> {
        build(spec, &mut |name, shape| checkpoint.read(name, shape))
    }

    /// The layers' matrices.
    fn matrices(&self) -> impl Iterator<Item = &Values> {
        self.layers.iter().flat_map(|l| {
            let plain = [&l.q, &l.k, &l.v, &l.o, &l.up, &l.down];
            plain.into_iter().chain(&l.gate).map(|linear| &linear.weight)
        })
    }

    /// Number of elements of the layers' matrices.
    pub fn layer_parameters(&self) -> usize {
        self.matrices().map(Values::len).sum()
    }

    /// Bytes of the layers' matrices and the head: what decoding a token reads.
    pub fn read_bytes(&self) -> usize {
        let head = self.head.as_ref().unwrap_or(&self.embed);
        self.matrices().chain([head]).map(Values::bytes).sum()
    }

    /// Ready for products of bf16. The embedding, whose rows are read as they are, stays; a tied head becomes a matrix of its own
    /// where rounding changes it.
    pub(crate) fn rounded(mut self) -> Weights {
        match (&self.head, &self.embed) {
            (None, Values::F32(_)) => self.head = Some(self.embed.clone()),
            (None, _) => self.embed = std::mem::take(&mut self.embed).rounded(), // no number of it changes
            _ => {}
        }
        for matrix in in_layers(&mut self.layers).chain(&mut self.head) {
            *matrix = std::mem::take(matrix).rounded();
        }
        self
    }
}

/// The layers' matrices, in a fixed order.
pub(crate) fn in_layers(layers: &mut [LayerWeights]) -> impl Iterator<Item = &mut Values> {
    layers.iter_mut().flat_map(|l| {
        let attention = [&mut l.q, &mut l.k, &mut l.v, &mut l.o];
        let mlp = l.gate.iter_mut().chain([&mut l.up, &mut l.down]);
        attention.into_iter().chain(mlp).map(|linear| &mut linear.weight)
    })
}

/// Number of parameters that `spec` describes; a tied head counts once.
pub fn count(spec: &Spec) -> usize {
    let mut count = 0;
    let counted = build(spec, &mut |_, shape| {
        count += shape.iter().product::<usize>();
        Ok(Values::default())
    });
    counted.expect("nothing is read");
    count
}

/// Where a tensor of this name (without `model.`) and shape comes from.
pub(crate) type Source<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Values, LmError>;

/// All that a model of `spec` has, asked of `source` tensor by tensor: the one list of names and shapes. A source that reads
/// nothing gives empty tensors, and gets a model of empty ones.
pub(crate) fn build(spec: &Spec, source: Source<'_>) -> Result<Weights, LmError> {
    let names = family::names(spec.family);
    let mut all = Reader { source, spec, names, at: String::new() };
    let shape = [spec.vocab, spec.d_model];
    Ok(Weights {
        embed: all.tensor(names.embed, &shape)?,
        positions: names.positions.map(|name| all.tensor(name, &[spec.context, spec.d_model])).transpose()?,
        layers: (0..spec.n_layers).map(|l| all.layer(l)).collect::<Result<_, _>>()?,
        norm: all.whole_norm(names.norm)?,
        head: if spec.tied_head { None } else { Some(all.tensor(HEAD, &shape)?) },
    })
}

struct Reader<'a, 'b> {
    source: Source<'a>,
    spec: &'b Spec,
    names: &'b Names,
    at: String, // `layers.3.`, or nothing
}

impl Reader<'_, '_> {
    fn layer(&mut self, l: usize) -> Result<LayerWeights, LmError> {
        let (spec, names) = (self.spec, self.names);
        let (d, m, wide) = (spec.d_model, spec.d_mlp, spec.heads * spec.d_head);
        self.at = format!("{}.{l}.", names.layers);
        let attn_norm = self.norm(names.attn_norm)?;
        let ([q, k, v], [q_norm, k_norm], (gate, up)) = (self.qkv()?, self.qk_norms()?, self.gate_and_up()?);
        let layer = LayerWeights {
            attn_norm,
            q,
            k,
            v,
            q_norm,
            k_norm,
            o: self.linear(names.o, spec.out_bias, d, wide)?,
            attn_post_norm: self.norm(names.attn_post_norm)?,
            mlp_norm: self.norm(names.mlp_norm)?,
            gate,
            up,
            down: self.linear(names.down, spec.mlp_bias, d, m)?,
            mlp_post_norm: self.norm(names.mlp_post_norm)?,
        };
        self.at.clear();
        Ok(layer)
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Values, LmError> {
        (self.source)(&format!("{}{name}", self.at), shape)
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LmError> {
        Ok(self.tensor(name, &[length])?.into_f32())
    }

    /// A matrix [out, width] and its bias, whichever way the matrix is stored.
    fn linear(&mut self, name: &str, bias: bool, out: usize, width: usize) -> Result<Linear, LmError> {
        let (stored, transposed) = (format!("{name}.weight"), self.names.transposed);
        let weight = match transposed {
            false => self.tensor(&stored, &[out, width])?,
            true => self.tensor(&stored, &[width, out])?.transposed(out),
        };
        let bias = bias.then(|| self.vector(&format!("{name}.bias"), out)).transpose()?;
        Ok(Linear { weight, bias })
    }

    fn qkv(&mut self) -> Result<[Linear; 3], LmError> {
        let (spec, names) = (self.spec, self.names);
        let (d, a, bias) = (spec.d_model, spec.d_head, spec.qkv_bias);
        let [q, k, v] = [spec.heads, spec.kv_heads, spec.kv_heads].map(|heads| heads * a);
        let joined = |reader: &mut Self, name| reader.linear(name, bias, q + k + v, d);
        match names.qkv {
            Qkv::Apart([to_q, to_k, to_v]) => Ok([
                self.linear(to_q, bias, q, d)?,
                self.linear(to_k, bias, k, d)?,
                self.linear(to_v, bias, v, d)?,
            ]),
            Qkv::Joined(name) => {
                let all = joined(self, name)?;
                Ok([0..q, q..q + k, q + k..q + k + v].map(|rows| pick(&all, d, rows)))
            }
            Qkv::ByHead(name) => {
                let all = joined(self, name)?;
                let rows = |part: usize| (0..q).map(move |row| (3 * (row / a) + part) * a + row % a);
                Ok([0, 1, 2].map(|part| pick(&all, d, rows(part))))
            }
        }
    }

    fn gate_and_up(&mut self) -> Result<(Option<Linear>, Linear), LmError> {
        let (d, m, bias) = (self.spec.d_model, self.spec.d_mlp, self.spec.mlp_bias);
        match self.names.mlp {
            Up::Gated { gate, up } => {
                Ok((Some(self.linear(gate, bias, m, d)?), self.linear(up, bias, m, d)?))
            }
            Up::Joined(name) => {
                let all = self.linear(name, bias, 2 * m, d)?;
                Ok((Some(pick(&all, d, 0..m)), pick(&all, d, m..2 * m)))
            }
            Up::Plain(name) => Ok((None, self.linear(name, bias, m, d)?)),
        }
    }

    fn qk_norms(&mut self) -> Result<[Option<Vec<f32>>; 2], LmError> {
        let spec = self.spec;
        let widths = match spec.qk_norm {
            QkNorm::None => return Ok([None, None]),
            QkNorm::Head => [spec.d_head; 2],
            QkNorm::Whole => [spec.heads * spec.d_head, spec.kv_heads * spec.d_head],
        };
        let q = self.gain("self_attn.q_norm.weight", widths[0])?;
        Ok([Some(q), Some(self.gain("self_attn.k_norm.weight", widths[1])?)])
    }

    fn norm(&mut self, name: Option<&str>) -> Result<Option<Norm>, LmError> {
        name.map(|name| self.whole_norm(name)).transpose()
    }

    fn whole_norm(&mut self, name: &str) -> Result<Norm, LmError> {
        let (d, kind) = (self.spec.d_model, self.spec.norm);
        let gain = self.gain(&format!("{name}.weight"), d)?;
        let bias = match kind {
            NormKind::Rms => None,
            NormKind::Layer => Some(self.vector(&format!("{name}.bias"), d)?),
        };
        Ok(Norm { gain, bias })
    }

    /// A norm's stored weight plus the family's offset, in f32.
    fn gain(&mut self, name: &str, width: usize) -> Result<Vec<f32>, LmError> {
        let mut gain = self.vector(name, width)?;
        gain.iter_mut().for_each(|g| *g += self.spec.norm_offset);
        Ok(gain)
    }
}

/// Some rows of a matrix [.., d], in this order.
fn pick(all: &Linear, d: usize, rows: impl Iterator<Item = usize> + Clone) -> Linear {
    let bias =
        |bias: &Vec<f32>| if bias.is_empty() { Vec::new() } else { rows.clone().map(|r| bias[r]).collect() };
    Linear { weight: all.weight.pick(d, rows.clone()), bias: all.bias.as_ref().map(bias) }
}
