//! A batch through a dictionary, and its loss (docs/design.md §4; Gemma Scope, arXiv 2408.05147 §2.2, §3.2).
//!
//!   u  = x/C                    s = y/C_out            an autoencoder: y = x, C_out = C
//!   x' = u − b_dec              a transcoder: x' = u
//!   z  = W_enc x' + b_enc       gated: π
//!   f                           by the objective
//!   ŝ  = b_dec + W_decᵀ f       with nested prefixes: one ŝ_i each, `matryoshka`; with a skip: `transcoder`
//!   L  = (1/N)·Σ_n ω_n·(1/G)·Σ_i ‖ŝ_i − s‖² + penalty + the loss of a second reconstruction        ω: `row_weights`
//!
//! Where a paper stops a gradient, the loss reads `held` instead of `p`: the same numbers, held fixed. The gradient is the
//! derivative by p at p = held, and so can be compared with central differences of this very function.

use super::{
    Dense, Matrix, Setting, auxk, batchtopk, gated, jumprelu, l1, matryoshka, row_weights, topk, transcoder,
};
use crate::{Batch, Objective};

/// What a forward pass saw.
#[derive(Clone, Debug)]
pub struct Forward {
    /// x' [N, D]
    pub input: Matrix,
    /// s [N, D_out]
    pub target: Matrix,
    /// W_enc x' + b_enc [N, F]
    pub z: Matrix,
    /// [N, F]
    pub f: Matrix,
    /// ŝ_i − s of each prefix, the widest last [N, D_out].
    pub errors: Vec<Matrix>,
    /// The error of the second reconstruction, gated or AuxK [N, D_out].
    pub second: Option<Matrix>,
    /// ω [N]
    pub weights: Vec<f64>,
    /// The whole loss.
    pub loss: f64,
    /// Mean of ‖ŝ − s‖², of all features.
    pub mse: f64,
    /// Mean of ω·‖ŝ − s‖².
    pub weighted_mse: f64,
    /// Mean number of active features of a row.
    pub l0: f64,
}

/// Input, target, z, f and errors at p, weights at `held`; the loss is still to come.
pub(super) fn reconstruct(p: &Dense, held: &Dense, batch: Batch<'_>, setting: &Setting<'_>) -> Forward {
    let plan = setting.plan;
    let n = batch.input.len() / plan.d;
    let u = Matrix::widened(batch.input, n, plan.d).map(|_, _, x| x / plan.c);
    let target = Matrix::widened(batch.output, n, plan.d_out()).map(|_, _, y| y / plan.c_out());
    let input = if plan.has_pre_bias() { u.map(|_, i, u| u - p.b_dec[i]) } else { u };
    let z = input.times_transposed(&p.w_enc).map(|_, j, product| product + p.b_enc[j]);
    let f = features(p, &z, setting);
    let start = transcoder::start(p, &input);
    let errors = matryoshka::errors(p, &start, &f, &target, plan);
    let weights = row_weights::weights(held, &target, plan.row_cap);
    let last = &errors[errors.len() - 1];
    let (mse, weighted_mse) = (last.squares() / n as f64, row_weights::squares(last, &weights) / n as f64);
    let l0 = f.values.iter().filter(|&&f| f != 0.0).count() as f64 / n as f64;
    Forward { input, target, z, f, errors, second: None, weights, loss: f64::NAN, mse, weighted_mse, l0 }
}

fn features(p: &Dense, z: &Matrix, setting: &Setting<'_>) -> Matrix {
    match setting.plan.objective {
        Objective::JumpRelu { .. } => jumprelu::features(z, &p.theta(setting.rates.threshold)),
        Objective::L1 => l1::features(z),
        Objective::Gated => gated::features(p, z),
        Objective::TopK { k, .. } => topk::features(z, k),
        Objective::BatchTopK { k, .. } => batchtopk::features(z, k),
    }
}

/// The loss at `p` of raw rows; what has no gradient is as it is at `held`.
pub fn forward(p: &Dense, held: &Dense, batch: Batch<'_>, setting: &Setting<'_>) -> Forward {
    let mut seen = reconstruct(p, held, batch, setting);
    let objective = &setting.plan.objective;
    let penalty = match *objective {
        Objective::JumpRelu { penalty } => jumprelu::penalty(p, &seen, penalty, setting),
        Objective::L1 => l1::penalty(&seen.f, setting.rates.lambda),
        Objective::Gated => gated::penalty(&seen.z, setting.rates.lambda),
        Objective::TopK { .. } | Objective::BatchTopK { .. } => 0.0,
    };
    let n = seen.z.rows as f64;
    let mut second = 0.0;
    if *objective == Objective::Gated {
        let error = gated::second_error(&seen, held);
        second = row_weights::squares(&error, &seen.weights) / n;
        seen.second = Some(error);
    }
    if let Some(aux) = objective.aux() {
        let left_over = reconstruct(held, held, batch, setting).errors.pop().expect("one prefix at least");
        let error = auxk::error(p, &seen.z, &left_over, setting.dead, aux.k);
        second = aux.alpha * row_weights::squares(&error, &seen.weights) / n;
        seen.second = Some(error);
    }
    seen.loss = matryoshka::loss(&seen.errors, &seen.weights) + penalty + second;
    seen
}
