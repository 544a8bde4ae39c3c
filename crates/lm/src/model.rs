//! A model that runs: load a folder, run a ragged batch with taps, unembed, cross-entropy.

use crate::{LmError, Site, Spec};
use lapidary_kernels::Device;
use std::path::Path;

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

/// Spec, weights, and who computes.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the weights mean.
    pub spec: Spec,
    /// Who computes.
    pub device: Device,
}

impl Model {
    /// Loads a Hugging Face folder: `config.json` and `model.safetensors` or `model.safetensors.index.json` with shards.
    ///
    /// # Errors
    /// A missing or damaged file, an unknown family, a config key that would change the maths, a tensor of a wrong shape.
    pub fn load(dir: &Path, _device: Device) -> Result<Model, LmError> {
        Err(LmError::NoFolder { path: dir.to_path_buf(), next: "not built yet".to_string() })
    }

    /// Runs the batch from its tokens. `tap(site, rows)` is called at each of `sites` in order of execution with the rows
    /// [N, width] of the whole batch; what it leaves in them is what the model goes on with. Stops after the last site.
    pub fn tap(&self, _batch: &Batch, _sites: &[Site], _tap: &mut dyn FnMut(Site, &mut [f32])) {}

    /// The residual stream after the last layer [N, D], with the same taps.
    pub fn forward(
        &self,
        batch: &Batch,
        _sites: &[Site],
        _tap: &mut dyn FnMut(Site, &mut [f32]),
    ) -> Vec<f32> {
        vec![0.0; batch.len() * self.spec.d_model]
    }

    /// Like [`Model::forward`], but starts with the stream that enters `layer`, `residual` [N, D]; sites before it are
    /// not met. `layer == L` returns the residual unchanged.
    pub fn forward_from(
        &self,
        _batch: &Batch,
        _layer: usize,
        residual: Vec<f32>,
        _sites: &[Site],
        _tap: &mut dyn FnMut(Site, &mut [f32]),
    ) -> Vec<f32> {
        residual
    }

    /// Final norm, head, soft-cap: residual [n, D] → logits [n, V].
    pub fn unembed(&self, residual: &[f32]) -> Vec<f32> {
        vec![0.0; residual.len() / self.spec.d_model * self.spec.vocab]
    }

    /// −log p(target) in nats of each row: residual [n, D], targets [n] → [n]. [n, V] never exists.
    pub fn cross_entropy(&self, _residual: &[f32], targets: &[u32]) -> Vec<f64> {
        vec![0.0; targets.len()]
    }
}
