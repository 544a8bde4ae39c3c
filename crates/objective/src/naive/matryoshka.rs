//! Matryoshka SAEs (Bussmann et al. 2025, arXiv 2503.17547): nested widths F₁ < … < F_G = F, each a dictionary of its own.
//!
//!   ŝ_i = b_dec + Σ_{j < F_i} f_j W_dec,j        L = (1/N)·Σ_n ω_n·(1/G)·Σ_i ‖ŝ_i − s‖²
//!
//! Without prefixes G = 1. With g_i = ∂L/∂ŝ_i = (2ω/(N·G))·(ŝ_i − s), feature j learns from every prefix that has it:
//!
//!   ∂L/∂f_j = ⟨Σ_{i: F_i > j} g_i, W_dec,j⟩        ∂L/∂b_dec = Σ_n Σ_i g_i, through the decoder

use super::{Dense, Forward, Matrix, row_weights};
use crate::DictionaryPlan;

/// F_1 … F_G
fn widths(plan: &DictionaryPlan) -> Vec<usize> {
    if plan.prefixes.is_empty() { vec![plan.width] } else { plan.prefixes.clone() }
}

/// ŝ_i − s of every prefix [N, D_out]; `start` is ŝ without features.
pub(super) fn errors(
    p: &Dense,
    start: &Matrix,
    f: &Matrix,
    target: &Matrix,
    plan: &DictionaryPlan,
) -> Vec<Matrix> {
    let first = |width: usize| f.map(|_, j, f| if j < width { f } else { 0.0 });
    let error = |width| &(start + &first(width).times(&p.w_dec)) - target;
    widths(plan).into_iter().map(error).collect()
}

/// The mean of ω·‖ŝ_i − s‖² over rows and prefixes.
pub(super) fn loss(errors: &[Matrix], weights: &[f64]) -> f64 {
    let mean = |error: &Matrix| row_weights::squares(error, weights) / error.rows as f64;
    errors.iter().map(mean).sum::<f64>() / errors.len() as f64
}

/// g_i of every prefix [N, D_out].
fn gradients(errors: &[Matrix], weights: &[f64]) -> Vec<Matrix> {
    let weighted = errors.iter().map(|error| row_weights::weighted(error, weights));
    weighted.map(|error| 2.0 / (error.rows * errors.len()) as f64 * &error).collect()
}

/// Σ_i g_i over the prefixes wider than `j`: what feature j learns from; for j = 0 that is all of them.
pub(super) fn seen_by(j: usize, seen: &Forward, plan: &DictionaryPlan) -> Matrix {
    let zero = Matrix::zeros(seen.target.rows, seen.target.columns);
    let wider =
        gradients(&seen.errors, &seen.weights).into_iter().zip(widths(plan)).filter(|&(_, width)| width > j);
    wider.fold(zero, |sum, (g, _)| &sum + &g)
}
