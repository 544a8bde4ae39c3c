//! A model that runs: load a folder, run a ragged batch with taps, unembed, cross-entropy.

use crate::attention::KeyValues;
use crate::config::Config;
use crate::decoder::{Buffers, Run, Taps};
use crate::weights::Weights;
use crate::{LmError, Site, SiteKind, Spec, family};
use lapidary_kernels::Device;
use rayon::prelude::*;
use std::ops::ControlFlow;
use std::path::Path;

/// Logits that one task of the cross-entropy holds at a time.
const LOGITS: usize = 1 << 20;

/// Sequences of any lengths, concatenated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Token ids [N].
    pub tokens: Vec<u32>,
    /// Sequence b is `starts[b]..starts[b + 1]`; [B + 1].
    pub starts: Vec<usize>,
}

impl Batch {
    /// Concatenates sequences.
    pub fn new<'a>(sequences: impl IntoIterator<Item = &'a [u32]>) -> Batch {
        let mut batch = Batch { tokens: Vec::new(), starts: vec![0] };
        for sequence in sequences {
            batch.tokens.extend_from_slice(sequence);
            batch.starts.push(batch.tokens.len());
        }
        batch
    }

    /// N.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// No tokens at all.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

/// Keys and values of one sequence in every layer, so that decoding a token costs one row.
pub struct Cache {
    layers: Vec<KeyValues>, // [L]
}

impl Cache {
    /// Room for a sequence of `capacity` tokens.
    pub fn new(spec: &Spec, capacity: usize) -> Cache {
        Cache { layers: (0..spec.n_layers).map(|_| KeyValues::new(spec, capacity)).collect() }
    }

    /// Tokens so far.
    pub fn len(&self) -> usize {
        self.layers[0].len
    }

    /// Before the first token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Spec, weights, and who computes.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the weights mean.
    pub spec: Spec,
    /// All parameters.
    pub weights: Weights,
    /// Who computes.
    pub device: Device,
}

impl Model {
    /// Loads a Hugging Face folder: `config.json` and `model.safetensors` or `model.safetensors.index.json` with shards.
    ///
    /// # Errors
    /// A missing or damaged file, an unknown family, a config key that would change the maths, a tensor of a wrong shape.
    pub fn load(dir: &Path, device: Device) -> Result<Model, LmError> {
        let spec = load_spec(dir)?;
        let weights = Weights::load(dir, &spec)?;
        Ok(Model { spec, weights, device })
    }

    /// Runs the batch from its tokens. `tap(site, rows)` is called at each of `sites` in order of execution with the rows
    /// [N, width] of the whole batch (row n = n-th token of the concatenation); what it leaves in them is what the model
    /// goes on with. Stops after the last site.
    ///
    /// Tokens must pass [`Spec::check_tokens`], sites must be the model's.
    pub fn tap(&self, batch: &Batch, sites: &[Site], tap: &mut dyn FnMut(Site, &mut [f32])) {
        self.assert_sites(sites);
        if !sites.is_empty() {
            let _ = self.run_tokens(batch, &mut Taps::new(sites, tap, true), &mut Vec::new());
        }
    }

    /// The residual stream after the last layer [N, D], with the same taps.
    pub fn forward(&self, batch: &Batch, sites: &[Site], tap: &mut dyn FnMut(Site, &mut [f32])) -> Vec<f32> {
        self.assert_sites(sites);
        let mut x = Vec::new();
        let _ = self.run_tokens(batch, &mut Taps::new(sites, tap, false), &mut x);
        x
    }

    /// Like [`Model::forward`], but starts with the stream that enters `layer`, `residual` [N, D]; sites before it are
    /// not met. `layer == L` returns the residual unchanged.
    pub fn forward_from(
        &self,
        batch: &Batch,
        layer: usize,
        residual: Vec<f32>,
        sites: &[Site],
        tap: &mut dyn FnMut(Site, &mut [f32]),
    ) -> Vec<f32> {
        assert!(layer <= self.spec.n_layers, "layer {layer} of {}", self.spec.n_layers);
        assert_eq!(residual.len(), batch.len() * self.spec.d_model, "residual [N, D]");
        self.assert_sites(sites);
        let mut taps = Taps::new(sites, tap, false);
        taps.start_at(layer);
        let mut x = residual;
        let _ = self.run_layers(batch, layer, &mut x, &mut taps);
        x
    }

    /// Appends tokens to a cached sequence: their residual stream after the last layer [n, D], with the same taps on the
    /// new rows. Bitwise what [`Model::forward`] gives for these rows of the whole sequence.
    pub fn extend(
        &self,
        cache: &mut Cache,
        tokens: &[u32],
        sites: &[Site],
        tap: &mut dyn FnMut(Site, &mut [f32]),
    ) -> Vec<f32> {
        self.assert_sites(sites);
        let starts = [0, tokens.len()];
        let run = Run::new(self, &starts, cache.len());
        let mut taps = Taps::new(sites, tap, false);
        let mut x = self.embed(tokens);
        let _ = taps.visit(0, SiteKind::Embed, &mut x);
        let mut buffers = Buffers::new(self, tokens.len());
        for (l, store) in cache.layers.iter_mut().enumerate() {
            let _ = self.layer(l, &run, &mut x, std::slice::from_mut(store), &mut buffers, &mut taps);
        }
        x
    }

    /// Final norm, head, soft-cap: residual [n, D] → logits [n, V].
    pub fn unembed(&self, residual: &[f32]) -> Vec<f32> {
        let (d, v) = (self.spec.d_model, self.spec.vocab);
        assert_eq!(residual.len() % d, 0, "unembed: residual [n, {d}]");
        let mut normed = vec![0.0; residual.len()];
        self.norm(residual, Some(&self.weights.norm), &mut normed);
        let mut logits = vec![0.0; residual.len() / d * v];
        let head = self.weights.head.as_ref().unwrap_or(&self.weights.embed);
        self.device.linear(&normed, head, None, d, &mut logits);
        if let Some(cap) = self.spec.final_cap {
            logits.par_chunks_mut(v).for_each(|row| self.device.softcap(row, cap));
        }
        logits
    }

    /// −log p(target) in nats of each row: residual [n, D], targets [n] → [n]. Runs in tiles: [n, V] never exists.
    pub fn cross_entropy(&self, residual: &[f32], targets: &[u32]) -> Vec<f64> {
        let (d, v) = (self.spec.d_model, self.spec.vocab);
        assert_eq!(residual.len(), targets.len() * d, "cross_entropy: residual [n, {d}], targets [n]");
        let rows = (LOGITS / v).clamp(1, 48);
        let tiles = residual.par_chunks(rows * d).zip(targets.par_chunks(rows));
        let losses = tiles.map(|(x, targets)| {
            let mut logits = self.unembed(x);
            let rows = logits.chunks_exact_mut(v).zip(targets);
            rows.map(|(row, &target)| negative_log_probability(self.device, row, target)).collect::<Vec<_>>()
        });
        losses.collect::<Vec<_>>().concat()
    }

    fn assert_sites(&self, sites: &[Site]) {
        let layers = self.spec.n_layers;
        assert!(sites.iter().all(|s| s.layer < layers), "a site beyond the model's {layers} layers");
    }

    /// The (scaled) embedding [n, D].
    fn embed(&self, tokens: &[u32]) -> Vec<f32> {
        let (d, scale) = (self.spec.d_model, self.spec.embed_scale.unwrap_or(1.0));
        let rows = tokens.iter().map(|&t| &self.weights.embed[t as usize * d..][..d]);
        rows.flat_map(|row| row.iter().map(|x| x * scale)).collect()
    }

    fn run_tokens(&self, batch: &Batch, taps: &mut Taps<'_>, x: &mut Vec<f32>) -> ControlFlow<()> {
        *x = self.embed(&batch.tokens);
        taps.visit(0, SiteKind::Embed, x)?;
        self.run_layers(batch, 0, x, taps)
    }

    fn run_layers(&self, batch: &Batch, first: usize, x: &mut [f32], taps: &mut Taps<'_>) -> ControlFlow<()> {
        let run = Run::new(self, &batch.starts, 0);
        let mut buffers = Buffers::new(self, batch.len());
        let lengths = batch.starts.windows(2).map(|s| s[1] - s[0]);
        let mut stores: Vec<KeyValues> = lengths.map(|n| KeyValues::new(&self.spec, n)).collect();
        for l in first..self.spec.n_layers {
            stores.iter_mut().for_each(|s| s.len = 0); // each layer overwrites the last one's
            self.layer(l, &run, x, &mut stores, &mut buffers, taps)?;
        }
        ControlFlow::Continue(())
    }
}

/// The spec of a model folder, without its weights.
///
/// # Errors
/// As [`Model::load`].
pub fn load_spec(dir: &Path) -> Result<Spec, LmError> {
    if !dir.is_dir() {
        return Err(LmError::NoFolder { path: dir.to_path_buf(), next: next_for(dir) });
    }
    family::spec(Config::read(dir)?)
}

/// What to do about a folder that is not there: it may be the name of a model on the Hub, or one of the folder's files.
fn next_for(dir: &Path) -> String {
    let text = dir.display().to_string();
    let parts: Vec<&str> = text.split('/').collect();
    if dir.is_file() {
        return "it is a file: name the folder that holds it".to_string();
    }
    let of_an_id = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = |p: &&str| !p.is_empty() && *p != "." && *p != ".." && p.chars().all(of_an_id);
    if parts.len() == 2 && parts.iter().all(is_name) {
        return format!(
            "if it is a Hugging Face id, fetch it with `hf download {text} --local-dir DIR` and name DIR"
        );
    }
    "name the folder of a Hugging Face model, with config.json, model.safetensors and tokenizer.json"
        .to_string()
}

/// −log softmax(logits)[target]. The largest exponential is exactly 1, so its softmax is 1 / Σ exp(logit − max): the sum
/// comes out of the vectorised kernel.
fn negative_log_probability(device: Device, logits: &mut [f32], target: u32) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of_target = logits[target as usize];
    device.softmax(logits);
    let largest = logits.iter().copied().fold(0.0, |a: f32, b| if b <= a { a } else { b }); // NaN wins
    f64::from(max) - f64::from(of_target) - f64::from(largest).ln()
}
