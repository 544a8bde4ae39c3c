//! Ridge regression of many binary targets on the same rows, in closed form: one Cholesky factor serves them all.
//!
//!   w = (Σ + λI)⁻¹ · (1/N)·Σ_{n: y_n = 1} (x_n − μ)          λ = ridge · trace(Σ)/D
//!
//! With 0/1 targets and an unpenalised intercept this is the least-squares solution under the penalty λN‖w‖². As a direction it
//! is also linear discriminant analysis with the pooled covariance shrunk towards a multiple of I: total and within-class
//! covariance differ by a multiple of the difference of means squared, which changes only the length of w when λ is small.
//! All in f64. Leaves out the choice of λ: with thousands of rows and D ≤ 256 any small one serves.

use crate::pca::{Moments, moments};

/// Rows, ready to be regressed on.
#[derive(Clone, Debug)]
pub struct Ridge {
    /// Of the rows, without λ.
    pub moments: Moments,
    factor: Vec<f64>, // [D, D], lower triangle L with L·Lᵀ = Σ + λI
}

impl Ridge {
    /// Of rows x [N, D]. None if Σ + λI is not positive definite: rows that are all equal, or not finite.
    pub fn new(x: &[f32], d: usize, ridge: f64) -> Option<Ridge> {
        let moments = moments(x, d);
        let mut matrix = moments.covariance.clone();
        let trace: f64 = (0..d).map(|i| matrix[i * d + i]).sum();
        (0..d).for_each(|i| matrix[i * d + i] += ridge * trace / d as f64);
        Some(Ridge { moments, factor: cholesky(matrix, d)? })
    }

    /// w [D] of the target that is 1 in the rows `on` of x [N, D], and 0 elsewhere.
    pub fn direction(&self, x: &[f32], on: &[u32]) -> Vec<f64> {
        let d = self.moments.mean.len();
        let mut w = vec![0.0; d];
        for &n in on {
            let row = &x[n as usize * d..][..d];
            w.iter_mut().zip(row).zip(&self.moments.mean).for_each(|((w, &x), m)| *w += f64::from(x) - m);
        }
        w.iter_mut().for_each(|w| *w /= self.moments.rows as f64);
        solve(&self.factor, &mut w);
        w
    }

    /// W [D_out, D] of the map x − μ → y − E y that leaves the least of rows y [N, D_out].
    pub fn map(&self, x: &[f32], y: &[f32], d_out: usize) -> Vec<f64> {
        let d = self.moments.mean.len();
        let mut w = vec![0.0; d_out * d];
        for (x, y) in x.chunks_exact(d).zip(y.chunks_exact(d_out)) {
            for (w, &y) in w.chunks_exact_mut(d).zip(y) {
                let centred = x.iter().zip(&self.moments.mean).map(|(&x, m)| f64::from(x) - m);
                w.iter_mut().zip(centred).for_each(|(w, x)| *w += f64::from(y) * x);
            }
        }
        w.iter_mut().for_each(|w| *w /= self.moments.rows as f64);
        w.chunks_exact_mut(d).for_each(|row| solve(&self.factor, row));
        w
    }
}

/// L, lower, with L·Lᵀ = the symmetric `matrix` [D, D]; None if a pivot is not positive.
fn cholesky(mut matrix: Vec<f64>, d: usize) -> Option<Vec<f64>> {
    for i in 0..d {
        for j in 0..=i {
            let (row_i, row_j) = (&matrix[i * d..i * d + j], &matrix[j * d..j * d + j]);
            let left = matrix[i * d + j] - row_i.iter().zip(row_j).map(|(a, b)| a * b).sum::<f64>();
            if i == j && !(left > 0.0) {
                return None;
            }
            matrix[i * d + j] = if i == j { left.sqrt() } else { left / matrix[j * d + j] };
        }
    }
    Some(matrix)
}

/// b ← (L·Lᵀ)⁻¹ b.
fn solve(factor: &[f64], b: &mut [f64]) {
    let d = b.len();
    for i in 0..d {
        let known: f64 = factor[i * d..i * d + i].iter().zip(&b[..i]).map(|(l, b)| l * b).sum();
        b[i] = (b[i] - known) / factor[i * d + i];
    }
    for i in (0..d).rev() {
        b[i] /= factor[i * d + i];
        let (rest, done) = b.split_at_mut(i);
        rest.iter_mut().zip(&factor[i * d..i * d + i]).for_each(|(b, l)| *b -= l * done[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// y = (2 x₀ − x₁, 3): the map is that, whatever the constant.
    #[test]
    fn a_linear_map_is_found() {
        let x: Vec<f32> = (0..200).map(|i| ((i * 37) % 101) as f32 / 50.0).collect();
        let y: Vec<f32> = x.chunks_exact(2).flat_map(|x| [2.0 * x[0] - x[1] + 7.0, 3.0]).collect();
        let w = Ridge::new(&x, 2, 1e-9).unwrap().map(&x, &y, 2);
        for (found, expected) in w.iter().zip([2.0, -1.0, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-4, "{w:?}");
        }
    }

    /// Rows (0,0), (2,0), (0,1), (2,3), target on in the last: μ = (1, 1), Σ = [1, ½; ½, 3/2], right side (1, 2)/4.
    /// Without ridge Σ⁻¹ = [6, −2; −2, 4]/5, so w = (1/10, 3/10). With ridge 0.8 and trace/D = 5/4, λ = 1:
    /// (Σ + I)⁻¹ = [10, −2; −2, 8]/19 and w = (6, 14)/76.
    #[test]
    fn direction_by_hand() {
        let x = [0.0, 0.0, 2.0, 0.0, 0.0, 1.0, 2.0, 3.0];
        for (ridge, expect) in [(0.0, [0.1, 0.3]), (0.8, [6.0 / 76.0, 14.0 / 76.0])] {
            let w = Ridge::new(&x, 2, ridge).expect("positive definite").direction(&x, &[3]);
            assert!(w.iter().zip(expect).all(|(w, e)| (w - e).abs() < 1e-14), "ridge {ridge}: {w:?}");
        }
    }

    /// The normal equations (Σ + λI)·w = right side hold for a size with many rows.
    #[test]
    fn solves_the_normal_equations() {
        let d = 9;
        let x: Vec<f32> = (0..50 * d).map(|k| ((k * k * 31 + k * 7) % 101) as f32 * 0.1).collect();
        let ridge = Ridge::new(&x, d, 0.01).expect("positive definite");
        let on = [3, 8, 20, 41];
        let w = ridge.direction(&x, &on);
        let Moments { mean, covariance, .. } = &ridge.moments;
        let lambda = 0.01 * (0..d).map(|i| covariance[i * d + i]).sum::<f64>() / d as f64;
        for i in 0..d {
            let left = (0..d).map(|j| covariance[i * d + j] * w[j]).sum::<f64>() + lambda * w[i];
            let right = on.iter().map(|&n| f64::from(x[n as usize * d + i]) - mean[i]).sum::<f64>() / 50.0;
            assert!((left - right).abs() < 1e-12, "equation {i}");
        }
    }

    #[test]
    fn rows_that_are_equal_have_no_direction() {
        assert!(Ridge::new(&[1.0, 2.0, 1.0, 2.0], 2, 0.1).is_none());
        assert!(Ridge::new(&[1.0, f32::NAN, 1.0, 2.0], 2, 0.1).is_none());
    }
}
