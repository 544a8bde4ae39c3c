//! Transcoders (Dunefsky et al. 2024, arXiv 2406.11944) read one site and reconstruct another: u = x/C goes in without b_dec,
//! and s = y/C_out is the target. The affine skip (Paulo et al. 2025, arXiv 2501.18823) adds W_skip u to ŝ:
//!
//!   ŝ = b_dec + W_skip u + Σ_j f_j W_dec,j        ∂L/∂W_skip = Σ_n g uᵀ

use super::{Dense, Matrix};

/// ŝ without features, b_dec + W_skip x' [N, D_out]. (Without a skip W_skip is 0.)
pub(super) fn start(p: &Dense, input: &Matrix) -> Matrix {
    input.times_transposed(&p.w_skip).map(|_, i, skipped| p.b_dec[i] + skipped)
}

/// ∂L/∂W_skip [D_out, D] from g = ∂L/∂ŝ.
pub(super) fn skip_gradient(g: &Matrix, input: &Matrix) -> Matrix {
    g.transposed_times(input)
}
