//! How much of the activations' variance a dictionary misses.
//!
//!   FVU = Σ‖x − x̂‖² / (Σ‖x‖² − ‖Σx‖²/n)
//!
//! where x, x̂ [n, D] are rows and their reconstructions; sums over all rows, in f64. A share: 0 is perfect, 1 is what the
//! mean row achieves, above 1 is worse than the mean. The denominator is Σ‖x − μ‖² with μ = Σx/n; in resamples μ stays
//! fixed. Pooled over dimensions and rows: neither a mean of per-row ratios nor of per-dimension ones.

/// Σx and Σ‖x‖² of the rows at a site.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// n, rows added.
    pub rows: u64,
    /// Σx [D].
    pub sum: Vec<f64>,
    /// Σ‖x‖².
    pub squares: f64,
}

impl Moments {
    /// No rows of width `d` yet.
    pub fn new(d: usize) -> Moments {
        Moments { rows: 0, sum: vec![0.0; d], squares: 0.0 }
    }

    /// Adds rows x [n, D] in their order.
    pub fn add(&mut self, x: &[f32]) {
        for row in x.chunks_exact(self.sum.len()) {
            self.rows += 1;
            self.squares += row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            self.sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
    }

    /// μ [D].
    pub fn mean(&self) -> Vec<f64> {
        self.sum.iter().map(|sum| sum / self.rows as f64).collect()
    }

    /// Σ‖x‖² − ‖Σx‖²/n.
    pub fn variance(&self) -> f64 {
        self.squares - self.sum.iter().map(|sum| sum * sum).sum::<f64>() / self.rows as f64
    }
}

/// FVU of a sum of squared errors and a sum of squared distances from the mean.
pub fn fvu(error: f64, variance: f64) -> f64 {
    error / variance
}

/// ‖a − b‖² of two rows [D].
pub fn squared_error(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

/// ‖x − μ‖² of a row [D].
pub fn squared_distance(x: &[f32], mean: &[f64]) -> f64 {
    x.iter().zip(mean).map(|(&x, mean)| (f64::from(x) - mean).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows (1, 0), (3, 4), (2, 2): mean (2, 2), squared distances 5 + 5 + 0.
    #[test]
    fn variance_is_the_distance_from_the_mean() {
        let x = [1.0, 0.0, 3.0, 4.0, 2.0, 2.0];
        let mut moments = Moments::new(2);
        moments.add(&x[..2]);
        moments.add(&x[2..]);
        assert_eq!((moments.rows, moments.mean(), moments.variance()), (3, vec![2.0, 2.0], 10.0));
        let distances: f64 = x.chunks_exact(2).map(|row| squared_distance(row, &moments.mean())).sum();
        assert_eq!(distances, 10.0);
        // Reconstructing (3, 4) as (3, 3) and the rest exactly misses 1 of 10.
        assert_eq!(fvu(squared_error(&x, &[1.0, 0.0, 3.0, 3.0, 2.0, 2.0]), moments.variance()), 0.1);
    }
}
