//! Rows far longer than the others count less; rows are not changed (ours; why, says `row_weights.rs` of the fast step).
//!
//!   ω_n = min(1, (cap/‖s_n − b_dec‖)²), held fixed        every error term of row n, and its gradient, times ω_n

use super::{Dense, Matrix};

/// ω [N]; ones without a cap.
pub(super) fn weights(p: &Dense, target: &Matrix, cap: Option<f64>) -> Vec<f64> {
    let weight = |n: usize| {
        let square: f64 = target.row(n).iter().zip(&p.b_dec.values).map(|(s, b)| (s - b).powi(2)).sum();
        cap.filter(|cap| square > cap * cap).map_or(1.0, |cap| cap * cap / square)
    };
    (0..target.rows).map(weight).collect()
}

/// Every row times its weight.
pub(super) fn weighted(rows: &Matrix, weights: &[f64]) -> Matrix {
    rows.map(|n, _, v| weights[n] * v)
}

/// Σ_n ω_n·‖row n‖²
pub(super) fn squares(rows: &Matrix, weights: &[f64]) -> f64 {
    rows.places().map(|at| weights[at.0] * rows[at] * rows[at]).sum()
}
