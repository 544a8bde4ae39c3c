//! One training step: gradients written out by hand, by feature, and the update of each row while it is hot.
//!
//! With g = ∂L/∂ŝ = (2/N)(ŝ − s) for each row n, and for each feature j over its entries (n, z) (DESIGN §4):
//!
//!   ∂L/∂f_j    = ⟨g_n, W_dec,j⟩                             for entries active or inside the window
//!   ∂L/∂W_dec,j = Σ_active f·g_n                              then the component parallel to W_dec,j is removed
//!   ∂L/∂W_enc,j = Σ_active (∂L/∂f_j)·x'_n                     ∂f/∂z = 1 where active; no straight-through gradient to z
//!   ∂L/∂b_enc,j = Σ_active ∂L/∂f_j
//!   ∂L/∂θ_j     = Σ_window −(θ_j/ε)·∂L/∂f_j − λ/(N·ε)         rectangle kernel, on the pre-activation; ·θ_j for log θ
//!   ∂L/∂b_dec   = Σ_n g_n − Σ_j (∂L/∂b_enc,j)·W_enc,j         through the decoder and through x'
//!
//! Rows of W_dec are renormalised to 1 after their update; a frozen decoder (a baseline) has no gradient and no update at
//! all. A feature that is not active does not move (NUMERICS §3).
//! Tasks own fixed ranges of features, and sums over tasks are taken in order: the bits do not depend on the threads.

use crate::forward::{Edges, Encoded, forward};
use crate::optimizer::Adam;
use crate::schedule::sparsity;
use crate::{DictionaryPlan, Health, Recipe, Stopped, Threshold, Training};
use lapidary_kernels::{Csr, Device};
use rayon::prelude::*;

/// Features that one task owns; boundaries do not depend on the number of threads.
const FEATURES_PER_TASK: usize = 32;

/// Trains `training` on the batch `x` [N, D] of raw rows. A loss that is not finite stops the dictionary instead, with
/// its parameters as they were. Returns what was seen, before the update.
pub fn train_step(
    training: &mut Training,
    x: &[f32],
    plan: &DictionaryPlan,
    recipe: &Recipe,
    step: u64,
    device: Device,
) -> Encoded {
    let edges = Edges::new(&training.parameters, recipe);
    let mut seen = forward(x, &training.parameters, &edges, plan, device);
    if !seen.mse.is_finite() {
        training.stopped = Some(Stopped { step, reason: format!("loss is {}", seen.mse) });
        return seen;
    }
    let scale = 2.0 / (x.len() / plan.d) as f32;
    seen.error.par_iter_mut().with_min_len(1 << 14).for_each(|e| *e *= scale);
    let by_feature = seen.z.transpose();
    let adam = Adam::new(recipe, step);
    let lambda = sparsity(recipe, plan.lambda, step);
    let task = Step {
        seen: &seen,
        edges: &edges,
        by_feature: &by_feature,
        plan,
        recipe,
        adam: &adam,
        device,
        lambda,
    };
    let mut b_dec_gradient = task.decoder_bias_gradient();
    let through_encoder: Vec<Vec<f32>> =
        blocks(training, plan.d).into_par_iter().map(|block| task.update(block)).collect();
    for part in through_encoder {
        b_dec_gradient.iter_mut().zip(part).for_each(|(g, p)| *g += p);
    }
    let Training { parameters, moments, .. } = training;
    device.adam(&mut parameters.b_dec, &b_dec_gradient, &mut moments.b_dec, adam.every_step());
    seen
}

/// The health of a step from what it saw, for the log.
pub(crate) fn health(
    training: &Training,
    seen: &Encoded,
    plan: &DictionaryPlan,
    recipe: &Recipe,
    step: u64,
) -> Health {
    Health::measure(training, seen, plan, recipe, step, sparsity(recipe, plan.lambda, step))
}

/// What every task of a step reads.
struct Step<'a> {
    seen: &'a Encoded,
    edges: &'a Edges,
    by_feature: &'a Csr,
    plan: &'a DictionaryPlan,
    recipe: &'a Recipe,
    adam: &'a Adam,
    device: Device,
    lambda: f64,
}

/// The features `first..` of one task: their parameters, moments and stamps.
struct Block<'a> {
    first: usize,
    d: usize,
    w_enc: &'a mut [f32],
    b_enc: &'a mut [f32],
    threshold: &'a mut [f32],
    w_dec: &'a mut [f32],
    v_enc: &'a mut [f32],
    v_b_enc: &'a mut [f32],
    v_threshold: &'a mut [f32],
    v_dec: &'a mut [f32],
    active_stamp: &'a mut [u32],
    window_stamp: &'a mut [u32],
}

fn blocks(training: &mut Training, d: usize) -> Vec<Block<'_>> {
    let (rows, floats) = (FEATURES_PER_TASK, FEATURES_PER_TASK * d);
    let Training { parameters: p, moments: v, active_stamp, window_stamp, .. } = training;
    let mut w_enc = p.w_enc.chunks_mut(floats);
    let mut b_enc = p.b_enc.chunks_mut(rows);
    let mut threshold = p.threshold.chunks_mut(rows);
    let mut w_dec = p.w_dec.chunks_mut(floats);
    let mut v_enc = v.w_enc.chunks_mut(floats);
    let mut v_b_enc = v.b_enc.chunks_mut(rows);
    let mut v_threshold = v.threshold.chunks_mut(rows);
    let mut v_dec = v.w_dec.chunks_mut(floats);
    let mut window_stamp = window_stamp.chunks_mut(rows);
    let mut blocks = Vec::new();
    for (task, active_stamp) in active_stamp.chunks_mut(rows).enumerate() {
        let first = task * rows;
        blocks.push(Block {
            first,
            d,
            w_enc: w_enc.next().unwrap_or_default(),
            b_enc: b_enc.next().unwrap_or_default(),
            threshold: threshold.next().unwrap_or_default(),
            w_dec: w_dec.next().unwrap_or_default(),
            v_enc: v_enc.next().unwrap_or_default(),
            v_b_enc: v_b_enc.next().unwrap_or_default(),
            v_threshold: v_threshold.next().unwrap_or_default(),
            v_dec: v_dec.next().unwrap_or_default(),
            active_stamp,
            window_stamp: window_stamp.next().unwrap_or_default(),
        });
    }
    blocks
}

/// The gradients of one feature, and room to compute them.
#[derive(Default)]
struct Gradient {
    /// Rows of the active entries, their f, and ∂L/∂f.
    rows: Vec<u32>,
    f: Vec<f32>,
    df: Vec<f32>,
    /// ∂L/∂f of all entries.
    df_all: Vec<f32>,
    w_dec: Vec<f32>,
    w_enc: Vec<f32>,
    b_enc: f32,
    theta: f64,
    in_window: bool,
}

impl Step<'_> {
    /// Σ_n g_n, rows ascending.
    fn decoder_bias_gradient(&self) -> Vec<f32> {
        let g = &self.seen.error;
        let n = self.seen.z.rows();
        let d = g.len() / n.max(1);
        let mut sum = vec![0.0; d];
        let rows: Vec<u32> = (0..n as u32).collect();
        self.device.accumulate(&vec![1.0; n], &rows, g, &mut sum);
        sum
    }

    /// Updates the features of `block`; returns their share of ∂L/∂b_dec, −Σ_j (∂L/∂b_enc,j)·W_enc,j [D].
    fn update(&self, mut block: Block<'_>) -> Vec<f32> {
        let mut through_encoder = vec![0.0; block.d];
        let mut gradient = Gradient::default();
        for i in 0..block.b_enc.len() {
            let (rows, z) = self.by_feature.row(block.first + i);
            if rows.is_empty() {
                continue;
            }
            let w_dec = &block.w_dec[i * block.d..][..block.d];
            self.gradient(block.first + i, rows, z, w_dec, &mut gradient);
            if !gradient.rows.is_empty() {
                let w_enc = &block.w_enc[i * block.d..][..block.d];
                self.device.axpy(-gradient.b_enc, w_enc, &mut through_encoder);
                self.update_weights(&mut block, i, &mut gradient);
            }
            if gradient.in_window {
                self.update_threshold(&mut block, i, gradient.theta);
            }
        }
        through_encoder
    }

    /// The gradients of feature j from its entries (row, z).
    fn gradient(&self, j: usize, rows: &[u32], z: &[f32], w_dec: &[f32], out: &mut Gradient) {
        let (g, d) = (&self.seen.error, w_dec.len());
        out.df_all.clear();
        out.df_all.resize(rows.len(), 0.0);
        self.device.gather_dot(w_dec, rows, g, &mut out.df_all);
        out.rows.clear();
        out.f.clear();
        out.df.clear();
        (out.theta, out.in_window) = (0.0, false);
        let (theta, epsilon) = (f64::from(self.edges.theta[j]), f64::from(self.recipe.bandwidth));
        let l0_gradient = self.lambda / (self.seen.z.rows() as f64 * epsilon);
        for (k, &z) in z.iter().enumerate() {
            let df = out.df_all[k];
            if self.edges.active(j, z) {
                out.rows.push(rows[k]);
                out.f.push(z);
                out.df.push(df);
            }
            if self.edges.in_window(j, z) {
                out.theta -= theta / epsilon * f64::from(df) + l0_gradient;
                out.in_window = true;
            }
        }
        if out.rows.is_empty() {
            return;
        }
        for sum in [&mut out.w_dec, &mut out.w_enc] {
            sum.clear();
            sum.resize(d, 0.0);
        }
        if !self.plan.decoder_is_frozen() {
            self.device.accumulate(&out.f, &out.rows, g, &mut out.w_dec);
        }
        self.device.accumulate(&out.df, &out.rows, &self.seen.input, &mut out.w_enc);
        out.b_enc = out.df.iter().sum();
    }

    fn update_weights(&self, block: &mut Block<'_>, i: usize, gradient: &mut Gradient) {
        let device = self.device;
        let span = i * block.d..(i + 1) * block.d;
        let adam = self.adam.touch(&mut block.active_stamp[i]);
        if !self.plan.decoder_is_frozen() {
            let w_dec = &mut block.w_dec[span.clone()];
            let parallel = device.dot(&gradient.w_dec, w_dec);
            device.axpy(-parallel, w_dec, &mut gradient.w_dec);
            device.adam(w_dec, &gradient.w_dec, &mut block.v_dec[span.clone()], adam);
            let norm = device.dot(w_dec, w_dec).sqrt();
            w_dec.iter_mut().for_each(|w| *w /= norm);
        }
        device.adam(&mut block.w_enc[span.clone()], &gradient.w_enc, &mut block.v_enc[span], adam);
        device.adam(&mut block.b_enc[i..=i], &[gradient.b_enc], &mut block.v_b_enc[i..=i], adam);
    }

    fn update_threshold(&self, block: &mut Block<'_>, i: usize, gradient: f64) {
        let adam = self.adam.touch(&mut block.window_stamp[i]);
        let theta = f64::from(self.edges.theta[block.first + i]);
        let gradient = match self.recipe.threshold {
            Threshold::Raw => gradient,
            Threshold::Log => gradient * theta,
        };
        self.device.adam(
            &mut block.threshold[i..=i],
            &[gradient as f32],
            &mut block.v_threshold[i..=i],
            adam,
        );
        if self.recipe.threshold == Threshold::Raw {
            block.threshold[i] = block.threshold[i].max(0.0);
        }
    }
}
