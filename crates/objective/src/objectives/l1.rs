//! The standard SAE (Bricken et al. 2023, "Towards Monosemanticity"): f = relu(z), penalty λ·Σ_j f_j of a row.
//!
//! The decoder rows have unit norm, so that λ cannot be escaped by small f and large W_dec. Released as a JumpReLU
//! dictionary with θ = 0. Differs from the paper: no resampling of dead features.

use super::{Entries, Gate, Gradient};

pub(super) struct L1 {
    /// Zeros [F].
    lo: Vec<f32>,
    lambda: f64,
    /// λ/N
    cost: f32,
    rows: f64,
}

impl L1 {
    pub(super) fn new(width: usize, lambda: f64, rows: usize) -> L1 {
        L1 { lo: vec![0.0; width], lambda, cost: (lambda / rows as f64) as f32, rows: rows as f64 }
    }
}

impl Gate for L1 {
    fn lo(&self) -> &[f32] {
        &self.lo
    }

    fn value(&self, _j: usize, z: f32) -> Option<f32> {
        Some(z)
    }

    fn backward(&self, _j: usize, entries: Entries<'_>, out: &mut Gradient) {
        out.fired = !entries.rows.is_empty();
        for ((&row, &z), &df) in entries.rows.iter().zip(entries.z).zip(entries.df) {
            out.push(row, z, df + self.cost);
            out.penalty += self.lambda / self.rows * f64::from(z);
        }
    }
}
