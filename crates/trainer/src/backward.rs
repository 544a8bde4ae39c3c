//! Backward: gradients written out by hand, by feature, and the update of each row while it is hot.
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

use crate::blocks::FEATURES_PER_TASK;
use crate::forward::Edges;
use crate::optimizer::Adam;
use crate::{DictionaryPlan, Recipe, Threshold, Training};
use lapidary_kernels::{Csr, Device};
use rayon::prelude::*;
use std::ops::Range;

/// What every task of a step reads.
pub(crate) struct Backward<'a> {
    /// g = (2/N)(ŝ − s) [N, D]
    pub error: &'a [f32],
    /// x' [N, D]
    pub input: &'a [f32],
    /// N
    pub rows: usize,
    pub edges: &'a Edges,
    pub plan: &'a DictionaryPlan,
    pub recipe: &'a Recipe,
    pub adam: &'a Adam,
    pub device: Device,
    /// λ of this step.
    pub lambda: f64,
}

/// The features of one task: their parameters, moments and stamps.
struct Owned<'a> {
    /// The first feature, and its column in the block's entries.
    feature: usize,
    column: usize,
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

/// The features of `block`, in tasks.
fn tasks<'a>(training: &'a mut Training, block: &Range<usize>, d: usize) -> Vec<Owned<'a>> {
    let (rows, floats) = (FEATURES_PER_TASK, FEATURES_PER_TASK * d);
    let wide = block.start * d..block.end * d;
    let Training { parameters: p, moments: v, active_stamp, window_stamp, .. } = training;
    let mut w_enc = p.w_enc[wide.clone()].chunks_mut(floats);
    let mut b_enc = p.b_enc[block.clone()].chunks_mut(rows);
    let mut threshold = p.threshold[block.clone()].chunks_mut(rows);
    let mut w_dec = p.w_dec[wide.clone()].chunks_mut(floats);
    let mut v_enc = v.w_enc[wide.clone()].chunks_mut(floats);
    let mut v_b_enc = v.b_enc[block.clone()].chunks_mut(rows);
    let mut v_threshold = v.threshold[block.clone()].chunks_mut(rows);
    let mut v_dec = v.w_dec[wide].chunks_mut(floats);
    let mut window_stamp = window_stamp[block.clone()].chunks_mut(rows);
    let mut tasks = Vec::new();
    for (task, active_stamp) in active_stamp[block.clone()].chunks_mut(rows).enumerate() {
        tasks.push(Owned {
            feature: block.start + task * rows,
            column: task * rows,
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
    tasks
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

impl Backward<'_> {
    /// Σ_n g_n, rows ascending.
    pub(crate) fn decoder_bias_gradient(&self) -> Vec<f32> {
        let mut sum = vec![0.0; self.plan.d];
        let rows: Vec<u32> = (0..self.rows as u32).collect();
        self.device.accumulate(&vec![1.0; self.rows], &rows, self.error, &mut sum);
        sum
    }

    /// Updates the features of `block` from their entries, and adds their share to ∂L/∂b_dec, tasks in order.
    pub(crate) fn block(
        &self,
        training: &mut Training,
        block: &Range<usize>,
        by_feature: &Csr,
        b_dec_gradient: &mut [f32],
    ) {
        let tasks = tasks(training, block, self.plan.d);
        let through_encoder: Vec<Vec<f32>> =
            tasks.into_par_iter().map(|owned| self.update(owned, by_feature)).collect();
        for part in through_encoder {
            b_dec_gradient.iter_mut().zip(part).for_each(|(g, p)| *g += p);
        }
    }

    /// Updates the features of a task; returns their share of ∂L/∂b_dec, −Σ_j (∂L/∂b_enc,j)·W_enc,j [D].
    fn update(&self, mut owned: Owned<'_>, by_feature: &Csr) -> Vec<f32> {
        let mut through_encoder = vec![0.0; owned.d];
        let mut gradient = Gradient::default();
        for i in 0..owned.b_enc.len() {
            let (rows, z) = by_feature.row(owned.column + i);
            if rows.is_empty() {
                continue;
            }
            let w_dec = &owned.w_dec[i * owned.d..][..owned.d];
            self.gradient(owned.feature + i, rows, z, w_dec, &mut gradient);
            if !gradient.rows.is_empty() {
                let w_enc = &owned.w_enc[i * owned.d..][..owned.d];
                self.device.axpy(-gradient.b_enc, w_enc, &mut through_encoder);
                self.update_weights(&mut owned, i, &mut gradient);
            }
            if gradient.in_window {
                self.update_threshold(&mut owned, i, gradient.theta);
            }
        }
        through_encoder
    }

    /// The gradients of feature j from its entries (row, z).
    fn gradient(&self, j: usize, rows: &[u32], z: &[f32], w_dec: &[f32], out: &mut Gradient) {
        let (g, d) = (self.error, w_dec.len());
        out.df_all.clear();
        out.df_all.resize(rows.len(), 0.0);
        self.device.gather_dot(w_dec, rows, g, &mut out.df_all);
        out.rows.clear();
        out.f.clear();
        out.df.clear();
        (out.theta, out.in_window) = (0.0, false);
        let (theta, epsilon) = (f64::from(self.edges.theta[j]), f64::from(self.recipe.bandwidth));
        let l0_gradient = self.lambda / (self.rows as f64 * epsilon);
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
        self.device.accumulate(&out.df, &out.rows, self.input, &mut out.w_enc);
        out.b_enc = out.df.iter().sum();
    }

    fn update_weights(&self, owned: &mut Owned<'_>, i: usize, gradient: &mut Gradient) {
        let device = self.device;
        let span = i * owned.d..(i + 1) * owned.d;
        let adam = self.adam.touch(&mut owned.active_stamp[i]);
        if !self.plan.decoder_is_frozen() {
            let w_dec = &mut owned.w_dec[span.clone()];
            let parallel = device.dot(&gradient.w_dec, w_dec);
            device.axpy(-parallel, w_dec, &mut gradient.w_dec);
            device.adam(w_dec, &gradient.w_dec, &mut owned.v_dec[span.clone()], adam);
            let norm = device.dot(w_dec, w_dec).sqrt();
            w_dec.iter_mut().for_each(|w| *w /= norm);
        }
        device.adam(&mut owned.w_enc[span.clone()], &gradient.w_enc, &mut owned.v_enc[span], adam);
        device.adam(&mut owned.b_enc[i..=i], &[gradient.b_enc], &mut owned.v_b_enc[i..=i], adam);
    }

    fn update_threshold(&self, owned: &mut Owned<'_>, i: usize, gradient: f64) {
        let adam = self.adam.touch(&mut owned.window_stamp[i]);
        let theta = f64::from(self.edges.theta[owned.feature + i]);
        let gradient = match self.recipe.threshold {
            Threshold::Raw => gradient,
            Threshold::Log => gradient * theta,
        };
        self.device.adam(
            &mut owned.threshold[i..=i],
            &[gradient as f32],
            &mut owned.v_threshold[i..=i],
            adam,
        );
        if self.recipe.threshold == Threshold::Raw {
            owned.threshold[i] = owned.threshold[i].max(0.0);
        }
    }
}
