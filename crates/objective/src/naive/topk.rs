//! TopK (Gao et al. 2024, arXiv 2406.04093 §2.3):
//!
//!   f = relu(z) of the k largest z of a row, else 0        ∂L/∂z = ∂L/∂f where chosen        no penalty
//!
//! Ties go to the lower feature. What is not above 0 is never chosen, as relu would make it 0.

use super::{Gradients, Matrix};

/// The `k` largest of `candidates`, of those above 0; the earlier candidate wins a tie. NaN is largest, so that it reaches
/// the loss.
pub(super) fn largest(
    z: &Matrix,
    candidates: impl Iterator<Item = (usize, usize)>,
    k: usize,
) -> Vec<(usize, usize)> {
    let mut above: Vec<(usize, usize)> = candidates.filter(|&at| !(z[at] <= 0.0)).collect();
    let key = |at: (usize, usize)| if z[at].is_nan() { f64::INFINITY } else { z[at] };
    above.sort_by(|&a, &b| key(b).total_cmp(&key(a))); // a stable sort
    above.truncate(k);
    above
}

/// z where `chosen`, else 0.
pub(super) fn only(z: &Matrix, chosen: &[(usize, usize)]) -> Matrix {
    let mut f = Matrix::zeros(z.rows, z.columns);
    chosen.iter().for_each(|&at| f[at] = z[at]);
    f
}

/// f [N, F]
pub(super) fn features(z: &Matrix, k: usize) -> Matrix {
    let of_row = |n| largest(z, (0..z.columns).map(move |j| (n, j)), k);
    only(z, &(0..z.rows).flat_map(of_row).collect::<Vec<_>>())
}

/// ∂L/∂z [N, F] from ∂L/∂f.
pub(super) fn backward(f: &Matrix, df: &Matrix, out: &mut Gradients) -> Matrix {
    let mut dz = Matrix::zeros(f.rows, f.columns);
    for at in f.places().filter(|&at| f[at] > 0.0) {
        dz[at] = df[at];
        out.active[at.1] = true;
    }
    dz
}
