//! A checkpoint's tensors, widened exactly to f32. Matrices keep the orientation `[out, in]` in which they are stored,
//! so that each output is one dot product of contiguous rows.
//!
//! Every tensor is checked by name and shape before it is read; a tensor that nobody reads is an error too, for it would
//! have changed the maths.

use crate::family::{self, Names};
use crate::{LmError, Spec};
use lapidary_files::FileError;
use lapidary_files::tensors::TensorFile;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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
    /// Number of parameters; a tied head counts once.
    pub fn count(&self) -> usize {
        let linear = |m: &Linear| m.weight.len() + m.bias.as_ref().map_or(0, Vec::len);
        let gain = |g: &Option<Vec<f32>>| g.as_ref().map_or(0, Vec::len);
        let layer = |l: &LayerWeights| {
            let matrices = [&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down];
            let gains =
                l.attn_norm.len() + l.mlp_norm.len() + gain(&l.attn_post_norm) + gain(&l.mlp_post_norm);
            matrices.into_iter().map(linear).sum::<usize>() + gains
        };
        self.embed.len() + self.norm.len() + gain(&self.head) + self.layers.iter().map(layer).sum::<usize>()
    }

    /// Reads the checkpoint in `dir` as `spec` describes it.
    pub(crate) fn load(dir: &Path, spec: &Spec) -> Result<Weights, LmError> {
        let mut checkpoint = Checkpoint::open(dir)?;
        let names = family::names(spec.family);
        let embed = checkpoint.read(names.embed, &[spec.vocab, spec.d_model])?;
        let layers =
            (0..spec.n_layers).map(|l| layer(&mut checkpoint, spec, names, l)).collect::<Result<_, _>>()?;
        let norm = gain(&mut checkpoint, spec, names.norm)?;
        let head = match spec.tied_head {
            true => None,
            false => Some(checkpoint.read("lm_head.weight", &[spec.vocab, spec.d_model])?),
        };
        checkpoint.finish(spec)?;
        Ok(Weights { embed, layers, norm, head })
    }
}

fn layer(c: &mut Checkpoint, spec: &Spec, names: &Names, l: usize) -> Result<LayerWeights, LmError> {
    let (d, m) = (spec.d_model, spec.d_mlp);
    let (q, kv) = (spec.heads * spec.d_head, spec.kv_heads * spec.d_head);
    let norm = |c: &mut Checkpoint, name: &str| gain(c, spec, &format!("layers.{l}.{name}.weight"));
    let post = |c: &mut Checkpoint, name: Option<&str>| name.map(|n| norm(c, n)).transpose();
    let linear = |c: &mut Checkpoint, name: &str, bias: bool, out: usize, width: usize| {
        let name = format!("layers.{l}.{name}");
        let weight = c.read(&format!("{name}.weight"), &[out, width])?;
        let bias = bias.then(|| c.read(&format!("{name}.bias"), &[out])).transpose()?;
        Ok::<_, LmError>(Linear { weight, bias })
    };
    Ok(LayerWeights {
        attn_norm: norm(c, names.attn_norm)?,
        q: linear(c, "self_attn.q_proj", spec.attn_bias, q, d)?,
        k: linear(c, "self_attn.k_proj", spec.attn_bias, kv, d)?,
        v: linear(c, "self_attn.v_proj", spec.attn_bias, kv, d)?,
        o: linear(c, "self_attn.o_proj", spec.attn_bias, d, q)?,
        attn_post_norm: post(c, names.attn_post_norm)?,
        mlp_norm: norm(c, names.mlp_norm)?,
        gate: linear(c, "mlp.gate_proj", spec.mlp_bias, m, d)?,
        up: linear(c, "mlp.up_proj", spec.mlp_bias, m, d)?,
        down: linear(c, "mlp.down_proj", spec.mlp_bias, d, m)?,
        mlp_post_norm: post(c, names.mlp_post_norm)?,
    })
}

/// A norm's stored weight plus the family's offset, in f32.
fn gain(c: &mut Checkpoint, spec: &Spec, name: &str) -> Result<Vec<f32>, LmError> {
    let mut gain = c.read(name, &[spec.d_model])?;
    gain.iter_mut().for_each(|g| *g += spec.norm_offset);
    Ok(gain)
}

/// One or more open safetensors files, and which tensors of them nobody has read yet.
struct Checkpoint {
    dir: PathBuf,
    files: Vec<TensorFile>,
    unread: BTreeMap<String, usize>, // name → index in files
    prefix: &'static str,            // "model.", or nothing if the body was saved without its head
}

impl Checkpoint {
    fn open(dir: &Path) -> Result<Checkpoint, LmError> {
        let one = dir.join("model.safetensors");
        let paths = if one.exists() { vec![one] } else { shards(dir)? };
        let files = paths.iter().map(|p| TensorFile::open(p)).collect::<Result<Vec<_>, _>>()?;
        let mut unread = BTreeMap::new();
        for (i, file) in files.iter().enumerate() {
            for name in file.names() {
                if unread.insert(name.clone(), i).is_some() {
                    let found = format!("`{name}` in an earlier file too");
                    return Err(invalid(
                        file.path(),
                        "each tensor once".into(),
                        found,
                        "fetch the files again",
                    ));
                }
            }
        }
        let whole = unread.keys().any(|name| name.starts_with("model."));
        Ok(Checkpoint { dir: dir.to_path_buf(), files, unread, prefix: if whole { "model." } else { "" } })
    }

    fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LmError> {
        let prefix = if name == "lm_head.weight" { "" } else { self.prefix };
        let name = format!("{prefix}{name}");
        match self.unread.remove(&name) {
            Some(i) => Ok(self.files[i].read_f32(&name, shape)?),
            None => {
                let found = format!("{} other tensors", self.unread.len());
                let next = "the checkpoint does not fit config.json: fetch both again";
                Err(invalid(&self.dir, format!("a tensor `{name}` of shape {shape:?}"), found, next))
            }
        }
    }

    /// Nothing may be left that would have changed the maths. (Old checkpoints carry RoPE's frequencies, and a tied head
    /// may be stored twice.)
    fn finish(&self, spec: &Spec) -> Result<(), LmError> {
        let harmless =
            |n: &str| n.ends_with("rotary_emb.inv_freq") || (spec.tied_head && n == "lm_head.weight");
        match self.unread.iter().find(|(name, _)| !harmless(name)) {
            None => Ok(()),
            Some((name, &i)) => {
                let expected =
                    format!("only tensors that a {} model of {} layers reads", spec.family, spec.n_layers);
                let next = "config.json does not describe this checkpoint, or the model is not supported";
                Err(invalid(self.files[i].path(), expected, format!("`{name}`"), next))
            }
        }
    }
}

/// The files that `model.safetensors.index.json` names.
fn shards(dir: &Path) -> Result<Vec<PathBuf>, LmError> {
    let path = dir.join("model.safetensors.index.json");
    if !path.exists() {
        let found = match dir.join("pytorch_model.bin").exists() {
            true => "pytorch_model.bin",
            false => "neither",
        };
        let expected = "model.safetensors or model.safetensors.index.json in it";
        return Err(invalid(
            dir,
            expected.into(),
            found.into(),
            "save the model with `safe_serialization=True`",
        ));
    }
    let text = lapidary_files::read_string(&path, 100 << 20)?;
    let bad = |found: String| invalid(&path, "an index of shards".into(), found, "fetch the file again");
    let index: Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let map =
        index.get("weight_map").and_then(Value::as_object).ok_or_else(|| bad("no `weight_map`".into()))?;
    let names: Option<BTreeSet<&str>> = map.values().map(Value::as_str).collect();
    let names = names.ok_or_else(|| bad("a shard without a name".into()))?;
    match names.iter().find(|n| Path::new(n).file_name() != Some(n.as_ref())) {
        Some(outside) => Err(bad(format!("`{outside}`, which is not a file of this folder"))),
        None => Ok(names.into_iter().map(|n| dir.join(n)).collect()),
    }
}

fn invalid(path: &Path, expected: String, found: String, next: &str) -> LmError {
    FileError::invalid(path, expected, found, next).into()
}
