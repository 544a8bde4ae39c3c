//! Transcoders (Dunefsky et al. 2024, arXiv 2406.11944): one site is read, another is reconstructed.
//!
//!   u = x_in/C      z = W_enc u + b_enc      ŝ = b_dec + Σ_j f_j W_dec,j (+ W_skip u)      s = x_out/C_out
//!
//! There is no b_dec at the input, and W_enc is not tied to W_dec at first. The affine skip (Paulo et al. 2025, arXiv
//! 2501.18823) is W_skip [D_out, D], zero at first, with a dense gradient Σ_n g_n u_nᵀ and dense Adam: it is touched in
//! every step. Any objective can be trained so.

use crate::backward::Backward;
use crate::slot::Part;
use crate::tiles::{self, Source, Sum};
use crate::{Training, View};
use lapidary_kernels::strips::Begin;
use lapidary_kernels::{Device, Strips};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What a transcoder reconstructs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcoder {
    /// The site that it reconstructs.
    pub output: String,
    /// D_out, that site's width.
    pub d_out: usize,
    /// C_out, what its rows are divided by. (Gemma Scope: the input's C.)
    pub c_out: f64,
    /// Has it an affine skip?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
}

/// b_dec + W_skip u [N, D_out], if there is a skip.
pub(crate) fn skip(input: &[f32], p: &View<'_>, d: usize, device: Device) -> Option<Vec<f32>> {
    let mut out = vec![0.0; input.len() / d * p.b_dec.len()];
    device.linear(input, p.w_skip?, Some(p.b_dec), d, &mut out);
    Some(out)
}

/// Updates W_skip, row by row.
pub(crate) fn update_skip(training: &mut Training, backward: &Backward<'_>) {
    let (d, d_out, views, device) =
        (backward.plan.d, backward.plan.d_out(), backward.views.count(), backward.device);
    let Some(w_skip) = &mut training.slots.w_skip else { return };
    let all: Vec<u32> = (0..backward.rows as u32).collect();
    let errors = (0..d_out).into_par_iter().map(|o| backward.error.column(o).step_by(views).collect());
    let errors: Vec<Vec<f32>> = errors.collect();
    let terms: Vec<Sum<'_>> = errors.iter().map(|g| Sum { coeff: g, index: &all }).collect();
    let mut gradients = Strips::zeros(d_out, d);
    tiles::accumulate(&terms, Source::Strips(backward.inputs), &mut gradients, (0, 1), Begin::Zero, device);
    let rows: Vec<Part<'_>> = w_skip.parts(&(0..d_out), 1, d).collect();
    rows.into_par_iter().enumerate().for_each_init(
        || vec![0.0; d],
        |gradient, (o, mut row)| {
            gradients.copy_row(o, gradient);
            row.step(gradient, backward.adam.every_step(), device);
        },
    );
}
