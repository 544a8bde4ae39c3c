//! A batch through a dictionary in training, forward (DESIGN §4, NUMERICS §2–3).
//!
//!   s  = x/C                      the target, unit mean square
//!   x' = s − b_dec                input of the encoder
//!   z  = W_enc x' + b_enc         kept where z > lo = θ − ε/2: the active set and the straight-through window
//!   f  = z·1[z > θ]               JumpReLU; z = NaN counts as active, so that it reaches the loss and is seen there
//!   ŝ  = b_dec + Σ_j f_j W_dec,j  features ascending
//!   L  = mean over rows of ‖ŝ − s‖² + λ‖f‖₀
//!
//! Features come in blocks (`blocks.rs`): ŝ begins as b_dec and every block adds its own.

use crate::{DictionaryPlan, Parameters, Recipe};
use lapidary_kernels::{Csr, Device};
use rayon::prelude::*;
use std::ops::Range;

/// Rows that one task handles; boundaries do not depend on the number of threads.
const ROWS_PER_TASK: usize = 64;

/// θ and the edges of the straight-through window, each [F]. In window iff lo < z < hi.
pub(crate) struct Edges {
    pub theta: Vec<f32>,
    pub lo: Vec<f32>,
    pub hi: Vec<f32>,
}

impl Edges {
    pub(crate) fn new(parameters: &Parameters, recipe: &Recipe) -> Edges {
        let theta = parameters.theta(recipe.threshold);
        let half = recipe.bandwidth / 2.0;
        let lo = theta.iter().map(|t| t - half).collect();
        let hi = theta.iter().map(|t| t + half).collect();
        Edges { theta, lo, hi }
    }

    /// Is feature j active at z? NaN is.
    pub(crate) fn active(&self, j: usize, z: f32) -> bool {
        !(z <= self.theta[j])
    }

    /// Does z lie inside the straight-through window of feature j?
    pub(crate) fn in_window(&self, j: usize, z: f32) -> bool {
        self.lo[j] < z && z < self.hi[j]
    }
}

/// The rows of a step.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// What is read, raw [N, D].
    pub input: &'a [f32],
}

impl<'a> From<&'a [f32]> for Batch<'a> {
    /// Rows that an autoencoder reads and reconstructs.
    fn from(input: &'a [f32]) -> Batch<'a> {
        Batch { input }
    }
}

/// What a step saw before its update.
pub struct Seen {
    /// s = x/C [N, D]
    pub target: Vec<f32>,
    /// Mean over rows of ‖ŝ − s‖².
    pub mse: f64,
    /// Mean number of active features of a row.
    pub l0: f64,
    /// Pre-activations inside their window, over all N·F.
    pub window_share: f64,
}

/// The forward pass under way.
pub(crate) struct Forward<'a> {
    parameters: &'a Parameters,
    edges: &'a Edges,
    device: Device,
    /// D
    d: usize,
    /// s [N, D]
    target: Vec<f32>,
    /// x' [N, D]
    pub input: Vec<f32>,
    /// ŝ as far as it is decoded, then ŝ − s [N, D].
    pub error: Vec<f32>,
    counts: Counts,
}

/// Entries of the blocks decoded so far.
#[derive(Clone, Copy, Default)]
struct Counts {
    active: u64,
    in_window: u64,
}

/// z of every feature of `block` that is active or inside its window, from x' [N, D]; rows are tokens, columns count from
/// the block's first.
pub(crate) fn encode(
    input: &[f32],
    parameters: &Parameters,
    edges: &Edges,
    block: &Range<usize>,
    device: Device,
) -> Csr {
    let d = parameters.b_dec.len();
    let w_enc = &parameters.w_enc[block.start * d..block.end * d];
    device.encode(input, w_enc, &parameters.b_enc[block.clone()], &edges.lo[block.clone()], d)
}

impl<'a> Forward<'a> {
    /// s, x', and ŝ = b_dec for the rows `x` [N, D].
    pub(crate) fn begin(
        x: &[f32],
        parameters: &'a Parameters,
        edges: &'a Edges,
        plan: &DictionaryPlan,
        device: Device,
    ) -> Forward<'a> {
        let (d, c) = (plan.d, plan.c as f32);
        let target: Vec<f32> = x.par_iter().with_min_len(1 << 14).map(|x| x / c).collect();
        let (mut input, mut error) = (target.clone(), vec![0.0; x.len()]);
        let tasks = input.par_chunks_mut(ROWS_PER_TASK * d).zip(error.par_chunks_mut(ROWS_PER_TASK * d));
        tasks.for_each(|(input, error)| {
            for (x, out) in input.chunks_exact_mut(d).zip(error.chunks_exact_mut(d)) {
                x.iter_mut().zip(&parameters.b_dec).for_each(|(x, b)| *x -= b);
                out.copy_from_slice(&parameters.b_dec);
            }
        });
        Forward { parameters, edges, device, d, target, input, error, counts: Counts::default() }
    }

    /// Adds the active features of `block` to ŝ.
    pub(crate) fn decode(&mut self, block: &Range<usize>, z: &Csr) {
        let (d, edges, device) = (self.d, self.edges, self.device);
        let w_dec = &self.parameters.w_dec[block.start * d..block.end * d];
        let tasks = self.error.par_chunks_mut(ROWS_PER_TASK * d).enumerate();
        let counts: Vec<Counts> = tasks
            .map(|(task, out)| {
                let mut counts = Counts::default();
                let (mut index, mut value) = (Vec::new(), Vec::new());
                for (i, out) in out.chunks_exact_mut(d).enumerate() {
                    index.clear();
                    value.clear();
                    let (features, zs) = z.row(task * ROWS_PER_TASK + i);
                    for (&j, &z) in features.iter().zip(zs) {
                        let feature = block.start + j as usize;
                        if edges.active(feature, z) {
                            index.push(j);
                            value.push(z);
                        }
                        counts.in_window += u64::from(edges.in_window(feature, z));
                    }
                    counts.active += index.len() as u64;
                    device.accumulate(&value, &index, w_dec, out);
                }
                counts
            })
            .collect();
        for task in counts {
            self.counts.active += task.active;
            self.counts.in_window += task.in_window;
        }
    }

    /// After the last block: ŝ becomes ŝ − s, and what was seen is summed up.
    pub(crate) fn finish(&mut self, width: usize) -> Seen {
        let (d, target) = (self.d, std::mem::take(&mut self.target));
        let tasks = self.error.par_chunks_mut(ROWS_PER_TASK * d).zip(target.par_chunks(ROWS_PER_TASK * d));
        let squares: Vec<f64> = tasks
            .map(|(error, target)| {
                error.iter_mut().zip(target).for_each(|(e, s)| *e -= s);
                error.iter().map(|&e| f64::from(e) * f64::from(e)).sum()
            })
            .collect();
        let n = (target.len() / d) as f64;
        Seen {
            mse: squares.iter().sum::<f64>() / n,
            l0: self.counts.active as f64 / n,
            window_share: self.counts.in_window as f64 / (n * width as f64),
            target,
        }
    }
}
