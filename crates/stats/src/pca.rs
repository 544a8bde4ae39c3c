//! Principal axes: mean and covariance of rows, and the eigenvectors of a symmetric matrix by Jacobi's rotations.
//!
//! Cyclic Jacobi (Golub & Van Loan, Matrix Computations, §8.5): each rotation sets one off-diagonal entry to zero; sweeps
//! over all entries converge quadratically, 6 to 10 sweeps in practice. It is the simplest method that is accurate to the
//! last digits, and with D ≤ 256 it takes about a second, so that a linear-algebra crate would not pay here.
//! All sums are f64. Leaves out sparse and very wide matrices.

/// First and second moments of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Rows that they are of.
    pub rows: usize,
    /// [D]
    pub mean: Vec<f64>,
    /// [D, D], divided by the number of rows.
    pub covariance: Vec<f64>,
}

/// Moments of rows x [N, D]. Two passes: the mean, then products of what remains. Without rows everything is zero.
pub fn moments(x: &[f32], d: usize) -> Moments {
    assert!(d > 0 && x.len().is_multiple_of(d), "moments: x [N, {d}]");
    let rows = x.len() / d;
    let mut mean = vec![0.0; d];
    for row in x.chunks_exact(d) {
        mean.iter_mut().zip(row).for_each(|(m, &x)| *m += f64::from(x));
    }
    mean.iter_mut().for_each(|m| *m /= rows.max(1) as f64);
    let mut covariance = vec![0.0; d * d];
    let mut centred = vec![0.0; d];
    for row in x.chunks_exact(d) {
        centred.iter_mut().zip(row).zip(&mean).for_each(|((c, &x), m)| *c = f64::from(x) - m);
        add_upper_square(&mut covariance, &centred);
    }
    for i in 0..d {
        for j in i..d {
            let value = covariance[i * d + j] / rows.max(1) as f64;
            (covariance[i * d + j], covariance[j * d + i]) = (value, value);
        }
    }
    Moments { rows, mean, covariance }
}

/// Adds c·cᵀ to the upper triangle.
fn add_upper_square(covariance: &mut [f64], c: &[f64]) {
    let d = c.len();
    for i in 0..d {
        let line = &mut covariance[i * d + i..(i + 1) * d];
        line.iter_mut().zip(&c[i..]).for_each(|(out, cj)| *out += c[i] * cj);
    }
}

/// Eigenvalues and unit eigenvectors, largest eigenvalue first.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigen {
    /// [D], descending.
    pub values: Vec<f64>,
    /// [D, D], a row each. The sign is such that the entry of largest size is positive.
    pub vectors: Vec<f64>,
}

const MAX_SWEEPS: usize = 60;

/// Eigenvectors of a symmetric `matrix` [D, D].
pub fn eigen(matrix: &[f64], d: usize) -> Eigen {
    assert_eq!(matrix.len(), d * d, "eigen: matrix [{d}, {d}]");
    let mut a = matrix.to_vec();
    let mut vectors = vec![0.0; d * d];
    (0..d).for_each(|i| vectors[i * d + i] = 1.0);
    let scale = a.iter().map(|v| v * v).sum::<f64>();
    for _ in 0..MAX_SWEEPS {
        if off_diagonal(&a, d) <= 1e-28 * scale {
            break;
        }
        for p in 0..d {
            (p + 1..d).for_each(|q| rotate(&mut a, &mut vectors, d, p, q));
        }
    }
    sorted(&a, &vectors, d)
}

/// Sum of squares off the diagonal.
fn off_diagonal(a: &[f64], d: usize) -> f64 {
    (0..d * d).filter(|k| k / d != k % d).map(|k| a[k] * a[k]).sum()
}

/// Turns the axes p and q until a[p, q] is zero; `vectors` are the axes so far, a row each.
fn rotate(a: &mut [f64], vectors: &mut [f64], d: usize, p: usize, q: usize) {
    let apq = a[p * d + q];
    if apq == 0.0 {
        return;
    }
    let tau = (a[q * d + q] - a[p * d + p]) / (2.0 * apq);
    let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    for k in 0..d {
        let (kp, kq) = (a[k * d + p], a[k * d + q]);
        (a[k * d + p], a[k * d + q]) = (c * kp - s * kq, s * kp + c * kq);
    }
    turn(a, d, p, q, c, s);
    turn(vectors, d, p, q, c, s);
    (a[p * d + q], a[q * d + p]) = (0.0, 0.0);
}

/// Rows p < q become c·p − s·q and s·p + c·q.
fn turn(a: &mut [f64], d: usize, p: usize, q: usize, c: f64, s: f64) {
    let (head, tail) = a.split_at_mut(q * d);
    for (x, y) in head[p * d..(p + 1) * d].iter_mut().zip(&mut tail[..d]) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}

fn sorted(a: &[f64], vectors: &[f64], d: usize) -> Eigen {
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|&i, &j| a[j * d + j].total_cmp(&a[i * d + i]));
    let vector = |&i: &usize| {
        let v = &vectors[i * d..(i + 1) * d];
        let largest = v.iter().fold(0.0f64, |best, &x| if x.abs() > best.abs() { x } else { best });
        v.iter().map(move |x| x * largest.signum()).collect::<Vec<f64>>()
    };
    Eigen {
        values: order.iter().map(|&i| a[i * d + i]).collect(),
        vectors: order.iter().flat_map(vector).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows (0, 0), (2, 2), (4, 1): mean (2, 1), Σ = [8, 2; 2, 2] / 3.
    #[test]
    fn moments_by_hand() {
        let m = moments(&[0.0, 0.0, 2.0, 2.0, 4.0, 1.0], 2);
        assert_eq!((m.rows, m.mean), (3, vec![2.0, 1.0]));
        assert_eq!(m.covariance, [8.0, 2.0, 2.0, 2.0].map(|v| v / 3.0));
        assert_eq!(moments(&[], 1).covariance, [0.0]);
    }

    /// [2, 1; 1, 2] has (1, 1)/√2 with 3 and (1, −1)/√2 with 1.
    #[test]
    fn eigen_by_hand() {
        let e = eigen(&[2.0, 1.0, 1.0, 2.0], 2);
        let r = 0.5f64.sqrt();
        for (found, expect) in e.values.iter().zip([3.0, 1.0]) {
            assert!((found - expect).abs() < 1e-14);
        }
        assert!(e.vectors.iter().zip([r, r, r, r]).all(|(v, x)| (v.abs() - x).abs() < 1e-14));
        assert!(e.vectors[2] * e.vectors[3] < 0.0);
    }

    /// A·v = λ·v and orthonormal v, for a matrix with planted values of very different size and two that are equal.
    #[test]
    fn vectors_satisfy_their_equation() {
        let d = 24;
        let planted: Vec<f64> =
            (0..d).map(|i| if i < 2 { 5.0 } else { 3.0 * 0.4f64.powi(i as i32) }).collect();
        // Householder reflection Q = I − 2·u·uᵀ is orthogonal, so Q·diag·Q has the planted values.
        let raw: Vec<f64> = (0..d).map(|i| ((i * 7 + 3) % 11) as f64 - 4.5).collect();
        let norm = raw.iter().map(|x| x * x).sum::<f64>();
        let q = |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * raw[i] * raw[j] / norm;
        let entry = |i, j| (0..d).map(|k| q(i, k) * planted[k] * q(k, j)).sum::<f64>();
        let matrix: Vec<f64> = (0..d * d).map(|k| entry(k / d, k % d)).collect();
        let e = eigen(&matrix, d);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for i in 0..d {
            let v = &e.vectors[i * d..(i + 1) * d];
            assert!((e.values[i] - planted[i]).abs() < 1e-13, "value {i}");
            for j in 0..d {
                let image = dot(&matrix[j * d..(j + 1) * d], v);
                assert!((image - e.values[i] * v[j]).abs() < 1e-13, "equation {i}, {j}");
                let expect = f64::from(u8::from(i == j));
                assert!(
                    (dot(v, &e.vectors[j * d..(j + 1) * d]) - expect).abs() < 1e-13,
                    "orthonormal {i}, {j}"
                );
            }
        }
    }
}
