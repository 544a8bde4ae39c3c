//! BatchTopK (Bussmann et al. 2024, arXiv 2412.06410): as TopK, but the k·N largest z of a whole batch are chosen, ties by
//! lower row, then by lower feature. The gradient is TopK's.

use super::{Matrix, topk};

/// f [N, F]
pub(super) fn features(z: &Matrix, k: usize) -> Matrix {
    topk::only(z, &topk::largest(z, z.places(), k * z.rows))
}

/// θ of BatchTopK: the (k·N + 1)-th largest of max(z, 0), z of N = `rows` rows; 0 where there are fewer numbers.
pub fn batch_threshold(z: &[f64], rows: usize, k: usize) -> f64 {
    let mut sorted: Vec<f64> = z.iter().map(|z| z.max(0.0)).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted.get(k * rows).copied().unwrap_or(0.0)
}
