//! Gated SAEs (Rajamanoharan et al. 2024, arXiv 2404.16014 eq. 6–9): one path decides, the other measures.
//!
//!   a = W_enc x'        π = a + b_gate        m = e^r·a + b_mag           tied weights: W_mag = e^r·W_gate
//!   f = 1[π > 0]·relu(m)
//!   penalty     (λ/N)·Σ_n Σ_j relu(π_j)                                   L_sparsity
//!   second      (1/N)·Σ_n ω_n·‖s − (b̄_dec + W̄_decᵀ relu(π))‖²                  L_aux; a bar holds fixed
//!
//! The step 1[π > 0] has no derivative; the gate learns from penalty and second term alone. With g₂ = (2ω/N)·(ŝ₂ − s):
//!
//!   ∂L/∂π = (⟨g₂, W_dec,j⟩ + λ/N)·1[π > 0]        ∂L/∂b_gate = Σ_n ∂L/∂π
//!   ∂L/∂m = ∂L/∂f·1[π > 0, m > 0]                 ∂L/∂b_mag = Σ_n ∂L/∂m        ∂L/∂r = Σ_n ∂L/∂m·e^r·a
//!   ∂L/∂a = ∂L/∂π + e^r·∂L/∂m
//!
//! Here z is π, and b_enc is b_gate.

use super::{Dense, Forward, Gradients, Matrix, l1, row_weights, transcoder};

/// m of feature j where its π is z.
fn magnitude(p: &Dense, j: usize, z: f64) -> f64 {
    p.r_mag[j].exp() * (z - p.b_enc[j]) + p.b_mag[j]
}

/// f [N, F]; NaN stays NaN.
pub(super) fn features(p: &Dense, z: &Matrix) -> Matrix {
    z.map(|_, j, z| {
        let m = magnitude(p, j, z);
        if z <= 0.0 || m <= 0.0 { 0.0 } else { m }
    })
}

pub(super) fn penalty(z: &Matrix, lambda: f64) -> f64 {
    lambda / z.rows as f64 * l1::features(z).sum()
}

/// ŝ₂ − s [N, D_out], by the decoder of `held`.
pub(super) fn second_error(seen: &Forward, held: &Dense) -> Matrix {
    let start = transcoder::start(held, &seen.input);
    &(&start + &l1::features(&seen.z).times(&held.w_dec)) - &seen.target
}

/// ∂L/∂a [N, F] from ∂L/∂f through ŝ; the gradients of r and both biases go to `out`.
pub(super) fn backward(p: &Dense, seen: &Forward, df: &Matrix, lambda: f64, out: &mut Gradients) -> Matrix {
    let rows = df.rows as f64;
    let error = seen.second.as_ref().expect("a second reconstruction");
    let g2 = 2.0 / rows * &row_weights::weighted(error, &seen.weights);
    let through_gate = g2.times_transposed(&p.w_dec);
    let mut da = Matrix::zeros(df.rows, df.columns);
    for (n, j) in df.places() {
        let z = seen.z[(n, j)];
        if !(z > 0.0) {
            continue;
        }
        let scale = p.r_mag[j].exp();
        let d_pi = through_gate[(n, j)] + lambda / rows;
        let dm = if magnitude(p, j, z) > 0.0 { df[(n, j)] } else { 0.0 };
        da[(n, j)] = d_pi + scale * dm;
        out.of.b_enc[j] += d_pi;
        out.of.b_mag[j] += dm;
        out.of.r_mag[j] += dm * scale * (z - p.b_enc[j]);
        out.active[j] = true;
    }
    da
}
