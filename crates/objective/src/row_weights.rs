//! Rows that are far longer than the others count as if they were not.
//!
//!   ω_n = min(1, (cap/‖s_n − b_dec‖)²)        L = (1/N)·Σ_n ω_n·‖ŝ_n − s_n‖² + …        ω is held fixed
//!
//! A language model makes a few rows a hundred times as long as the rest ("massive activations", arXiv 2402.17762): a
//! thousandth of all rows, and half of the variance. The squared error is then nearly theirs alone, and Adam's second moments,
//! λ by the controller and every feature serve them. With ω an error counts relative to its row where the row is longer than
//! cap (`DictionaryPlan::row_cap`), and as ever where it is not. Rows themselves stay as they are, so that the dictionary is right
//! about the long ones too. dictionary_learning leaves rows above ten medians out of training; its dictionaries never see them.

use rayon::prelude::*;

/// ω of every row of s [N, D_out]; 1 for a row that holds NaN, which the loss is to show.
pub fn row_weights(target: &[f32], b_dec: &[f32], cap: f64) -> Vec<f32> {
    let weight = |row: &[f32]| {
        let square: f64 = row.iter().zip(b_dec).map(|(s, b)| (f64::from(*s) - f64::from(*b)).powi(2)).sum();
        if square > cap * cap { (cap * cap / square) as f32 } else { 1.0 }
    };
    target.par_chunks_exact(b_dec.len()).with_min_len(64).map(weight).collect()
}
