//! A batch through a dictionary in training, forward (DESIGN §4, NUMERICS §2–3).
//!
//!   s  = x/C                      the target, unit mean square
//!   x' = s − b_dec                input of the encoder
//!   z  = W_enc x' + b_enc         kept where z > lo = θ − ε/2: the active set and the straight-through window
//!   f  = z·1[z > θ]               JumpReLU; z = NaN counts as active, so that it reaches the loss and is seen there
//!   ŝ  = b_dec + Σ_j f_j W_dec,j  features ascending
//!   L  = mean over rows of ‖ŝ − s‖² + λ‖f‖₀

use crate::{DictionaryPlan, Parameters, Recipe};
use lapidary_kernels::{Csr, Device};
use rayon::prelude::*;

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

/// What the forward pass leaves for the backward pass.
pub struct Encoded {
    /// s = x/C [N, D]
    pub target: Vec<f32>,
    /// x' = s − b_dec [N, D]
    pub input: Vec<f32>,
    /// z of every active feature and every one inside its window; rows are tokens.
    pub z: Csr,
    /// ŝ − s [N, D]
    pub error: Vec<f32>,
    /// Mean over rows of ‖ŝ − s‖².
    pub mse: f64,
    /// Mean number of active features of a row.
    pub l0: f64,
    /// Pre-activations inside their window, over all N·F.
    pub window_share: f64,
}

/// Runs the batch `x` [N, D] forward.
pub(crate) fn forward(
    x: &[f32],
    parameters: &Parameters,
    edges: &Edges,
    plan: &DictionaryPlan,
    device: Device,
) -> Encoded {
    let d = plan.d;
    let n = x.len() / d;
    let c = plan.c as f32;
    let target: Vec<f32> = x.par_iter().with_min_len(1 << 14).map(|x| x / c).collect();
    let mut input = target.clone();
    input.par_chunks_mut(ROWS_PER_TASK * d).for_each(|rows| {
        for row in rows.chunks_exact_mut(d) {
            row.iter_mut().zip(&parameters.b_dec).for_each(|(x, b)| *x -= b);
        }
    });
    let z = device.encode(&input, &parameters.w_enc, &parameters.b_enc, &edges.lo, d);
    let mut error = vec![0.0; n * d];
    let sums: Vec<Sums> = error
        .par_chunks_mut(ROWS_PER_TASK * d)
        .enumerate()
        .map(|(task, error)| {
            let first = task * ROWS_PER_TASK;
            decode(first, &z, parameters, edges, device, error);
            error.iter_mut().zip(&target[first * d..]).for_each(|(e, s)| *e -= s);
            sums(first, &z, edges, error, d)
        })
        .collect();
    let total = sums.iter().fold(Sums::default(), |a, b| a.plus(b));
    Encoded {
        target,
        input,
        z,
        error,
        mse: total.squared_error / n as f64,
        l0: total.active as f64 / n as f64,
        window_share: total.in_window as f64 / (n as f64 * plan.width as f64),
    }
}

/// ŝ of the rows from `first` on, into `out` [rows, D].
fn decode(first: usize, z: &Csr, p: &Parameters, edges: &Edges, device: Device, out: &mut [f32]) {
    let (mut index, mut value) = (Vec::new(), Vec::new());
    for (i, out) in out.chunks_exact_mut(p.b_dec.len()).enumerate() {
        index.clear();
        value.clear();
        let (features, zs) = z.row(first + i);
        for (&j, &z) in features.iter().zip(zs) {
            if edges.active(j as usize, z) {
                index.push(j);
                value.push(z);
            }
        }
        out.copy_from_slice(&p.b_dec);
        device.accumulate(&value, &index, &p.w_dec, out);
    }
}

#[derive(Default)]
struct Sums {
    squared_error: f64,
    active: u64,
    in_window: u64,
}

impl Sums {
    fn plus(self, other: &Sums) -> Sums {
        Sums {
            squared_error: self.squared_error + other.squared_error,
            active: self.active + other.active,
            in_window: self.in_window + other.in_window,
        }
    }
}

fn sums(first: usize, z: &Csr, edges: &Edges, error: &[f32], d: usize) -> Sums {
    let squared_error = error.iter().map(|&e| f64::from(e) * f64::from(e)).sum();
    let entries = (first..first + error.len() / d).flat_map(|n| {
        let (j, z) = z.row(n);
        j.iter().map(|&j| j as usize).zip(z.iter().copied())
    });
    let mut out = Sums { squared_error, ..Sums::default() };
    for (j, z) in entries {
        out.active += u64::from(edges.active(j, z));
        out.in_window += u64::from(edges.in_window(j, z));
    }
    out
}
