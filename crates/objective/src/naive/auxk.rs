//! AuxK (Gao et al. 2024, arXiv 2406.04093 §2.4, appendix A.2): dead features learn what the living leave over.
//!
//!   e = s − ŝ, held fixed        ê = W_decᵀ h        h = relu(z) of the k_aux largest of a row's dead features
//!   the loss gains (α/N)·Σ_n ω_n·‖ê − e‖²
//!
//! With g₂ = (2αω/N)·(ê − e):
//!
//!   ∂L/∂z_j = ⟨g₂, W_dec,j⟩ and ∂L/∂W_dec,j = Σ_n h_j·g₂, where j helps

use super::{Dense, Forward, Gradients, Matrix, row_weights, topk};
use crate::AuxK;

/// h [N, F]
fn helpers(z: &Matrix, dead: &[bool], k: usize) -> Matrix {
    let dead_of = |n: usize| (0..dead.len()).filter(|&j| dead[j]).map(move |j| (n, j));
    let of_row = |n| topk::largest(z, dead_of(n), k);
    topk::only(z, &(0..z.rows).flat_map(of_row).collect::<Vec<_>>())
}

/// ê − e [N, D_out], where `left_over` is ŝ − s = −e.
pub(super) fn error(p: &Dense, z: &Matrix, left_over: &Matrix, dead: &[bool], k: usize) -> Matrix {
    &helpers(z, dead, k).times(&p.w_dec) + left_over
}

/// Adds to ∂L/∂z [N, F] and to the gradient of W_dec.
pub(super) fn backward(
    p: &Dense,
    seen: &Forward,
    dead: &[bool],
    aux: AuxK,
    dz: &mut Matrix,
    out: &mut Gradients,
) {
    let h = helpers(&seen.z, dead, aux.k);
    let error = seen.second.as_ref().expect("a second reconstruction");
    let g2 = 2.0 * aux.alpha / h.rows as f64 * &row_weights::weighted(error, &seen.weights);
    let dh = g2.times_transposed(&p.w_dec);
    for at in h.places().filter(|&at| h[at] > 0.0) {
        dz[at] += dh[at];
        out.active[at.1] = true;
    }
    out.of.w_dec = &out.of.w_dec + &h.transposed_times(&g2);
}
