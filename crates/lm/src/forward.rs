//! The model's runs: whole or from a layer on, with taps; with a cache; unembed and cross-entropy.

use crate::attention::KeyValues;
use crate::decoder::{Buffers, Run, Taps};
use crate::model::{Batch, Cache, Model};
use crate::site::{Site, SiteKind};
use lapidary_kernels::Device;
use rayon::prelude::*;
use std::ops::ControlFlow;

/// Logits that one task of the cross-entropy holds at a time.
const LOGITS: usize = 1 << 20;

impl Model {
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

    /// Like [`Model::forward`], but starts with the stream that enters `layer`, `residual` [N, D] (for layer 0 the rows of
    /// `embed`, to which learned positions are still added); sites before it are not met. `layer == L` returns the residual
    /// unchanged.
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
        self.add_positions(&run, &mut x);
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
        let head = self.device.matrix(head.operand(self.precision), d, residual.len() / d);
        self.device.multiply(&normed, &head, None, &mut logits);
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
        assert!(sites.iter().all(|s| self.spec.has(s.kind)), "a site of a kind that the model does not have");
    }

    /// The (scaled) embedding [n, D].
    fn embed(&self, tokens: &[u32]) -> Vec<f32> {
        let (d, scale) = (self.spec.d_model, self.spec.embed_scale.unwrap_or(1.0));
        let mut out = vec![0.0; tokens.len() * d];
        for (&token, out) in tokens.iter().zip(out.chunks_exact_mut(d)) {
            self.weights.embed.row(token as usize, out, |o, x| *o = x * scale);
        }
        out
    }

    /// Adds the learned vectors of the rows' positions, where the model has such.
    fn add_positions(&self, run: &Run<'_>, x: &mut [f32]) {
        let (d, Some(learned)) = (self.spec.d_model, &self.weights.positions) else { return };
        for (row, &position) in x.chunks_exact_mut(d).zip(&run.positions) {
            learned.row(position, row, |x, p| *x += p);
        }
    }

    fn run_tokens(&self, batch: &Batch, taps: &mut Taps<'_>, x: &mut Vec<f32>) -> ControlFlow<()> {
        *x = self.embed(&batch.tokens);
        taps.visit(0, SiteKind::Embed, x)?;
        self.run_layers(batch, 0, x, taps)
    }

    fn run_layers(&self, batch: &Batch, first: usize, x: &mut [f32], taps: &mut Taps<'_>) -> ControlFlow<()> {
        let run = Run::new(self, &batch.starts, 0);
        if first == 0 {
            self.add_positions(&run, x);
        }
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

/// −log softmax(logits)[target]. The largest exponential is exactly 1, so its softmax is 1 / Σ exp(logit − max): the sum
/// comes out of the vectorised kernel.
fn negative_log_probability(device: Device, logits: &mut [f32], target: u32) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of_target = logits[target as usize];
    device.softmax(logits);
    let largest = logits.iter().copied().fold(0.0, |a: f32, b| if b <= a { a } else { b }); // NaN wins
    f64::from(max) - f64::from(of_target) - f64::from(largest).ln()
}
