//! The standard SAE (Bricken et al. 2023, "Towards Monosemanticity"; decoder rows of unit norm, so that λ cannot be escaped):
//!
//!   f = relu(z)        penalty (λ/N)·Σ_n Σ_j f_j        ∂L/∂z = (∂L/∂f + λ/N)·1[z > 0]

use super::{Gradients, Matrix};

/// f [N, F]; NaN stays NaN.
pub(super) fn features(z: &Matrix) -> Matrix {
    z.map(|_, _, z| if z <= 0.0 { 0.0 } else { z })
}

pub(super) fn penalty(f: &Matrix, lambda: f64) -> f64 {
    lambda / f.rows as f64 * f.sum()
}

/// ∂L/∂z [N, F] from ∂L/∂f through ŝ.
pub(super) fn backward(f: &Matrix, df: &Matrix, lambda: f64, out: &mut Gradients) -> Matrix {
    let mut dz = Matrix::zeros(f.rows, f.columns);
    for (n, j) in f.places() {
        if f[(n, j)] > 0.0 {
            dz[(n, j)] = df[(n, j)] + lambda / f.rows as f64;
            out.active[j] = true;
        }
    }
    dz
}
