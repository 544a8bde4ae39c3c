//! When features fire: the only thing that matching looks at. From an encoder's output, or made of neurons and principal
//! components.
//!
//! A neuron or component has no threshold, and F1 needs one. Both signs of each are taken, and of each sign one pseudo-feature
//! per quantile in [`QUANTILES`] of its own values over all rows: it fires where the value is above the quantile. Matching may
//! then take the best of them for every indicator, and several of one direction. That favours these baselines twice, since a
//! dictionary's threshold was chosen before anyone looked at the truth and a feature has only one.

use lapidary_kernels::{Csr, Device};
use lapidary_stats::pca;

/// Sparse rows without values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firings {
    /// F.
    pub columns: usize,
    /// [N + 1]: in row n the features `index[row_start[n]..row_start[n + 1]]` fire.
    pub row_start: Vec<usize>,
    /// [nnz], ascending within a row.
    pub index: Vec<u32>,
}

impl Firings {
    /// No rows yet.
    pub fn with_columns(columns: usize) -> Firings {
        Firings { columns, row_start: vec![0], index: Vec::new() }
    }

    /// Appends the rows of a batch; every stored entry counts as firing, whatever its value.
    pub fn push(&mut self, batch: &Csr) {
        assert_eq!(batch.columns, self.columns, "firings: columns of a batch");
        let before = self.index.len();
        self.index.extend_from_slice(&batch.index);
        self.row_start.extend(batch.row_start[1..].iter().map(|end| before + end));
    }

    /// N.
    pub fn rows(&self) -> usize {
        self.row_start.len() - 1
    }

    /// Features that fire in row n.
    pub fn row(&self, n: usize) -> &[u32] {
        &self.index[self.row_start[n]..self.row_start[n + 1]]
    }

    /// Does `feature` fire in row n?
    pub fn fires(&self, n: u32, feature: u32) -> bool {
        self.row(n as usize).binary_search(&feature).is_ok()
    }

    /// Rows in which each feature fires [F].
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.columns];
        self.index.iter().for_each(|&feature| counts[feature as usize] += 1);
        counts
    }
}

/// Where a pseudo-feature may have its threshold: quantiles of its own values.
pub const QUANTILES: [f64; 7] = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995];

/// Pseudo-features of the dimensions of rows x [N, D]: column (2·d + sign)·7 + quantile, sign 0 for x and 1 for −x. N > 0.
pub fn neurons(x: &[f32], d: usize) -> Firings {
    assert!(d > 0 && !x.is_empty() && x.len().is_multiple_of(d), "neurons: x [N, {d}]");
    let thresholds: Vec<[[f32; 7]; 2]> = (0..d).map(|k| thresholds(x, d, k)).collect();
    let mut firings = Firings::with_columns(2 * QUANTILES.len() * d);
    for row in x.chunks_exact(d) {
        for (k, (&value, thresholds)) in row.iter().zip(&thresholds).enumerate() {
            for (sign, (value, thresholds)) in [value, -value].into_iter().zip(thresholds).enumerate() {
                let first = ((2 * k + sign) * QUANTILES.len()) as u32;
                let above = thresholds.iter().filter(|&&t| value > t).count() as u32; // they ascend
                firings.index.extend(first..first + above);
            }
        }
        firings.row_start.push(firings.index.len());
    }
    firings
}

/// The quantiles of dimension k and of its negative: values that occur, at rank ⌊q·(N − 1)⌋ of the sorted rows.
fn thresholds(x: &[f32], d: usize, k: usize) -> [[f32; 7]; 2] {
    let mut values: Vec<f32> = x.chunks_exact(d).map(|row| row[k]).collect();
    values.sort_unstable_by(f32::total_cmp);
    let last = values.len().saturating_sub(1);
    let rank = |q: f64| (q * last as f64) as usize;
    [QUANTILES.map(|q| values[rank(q)]), QUANTILES.map(|q| -values[last - rank(q)])]
}

/// The same of the D principal components of rows x [N, D], largest variance first.
pub fn principal_components(x: &[f32], d: usize, device: Device) -> Firings {
    let axes = pca::eigen(&pca::moments(x, d).covariance, d).vectors;
    let axes: Vec<f32> = axes.into_iter().map(|a| a as f32).collect();
    // Without subtracting the mean: a shift moves values and quantiles alike.
    let mut components = vec![0.0; x.len()];
    device.linear(x, &axes, None, d, &mut components);
    neurons(&components, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_follow_each_other() {
        let mut batch = Csr::with_columns(4);
        batch.index = vec![1, 3, 0];
        batch.value = vec![1.0; 3];
        batch.row_start = vec![0, 2, 2, 3];
        let mut firings = Firings::with_columns(4);
        firings.push(&batch);
        firings.push(&batch);
        assert_eq!(firings.rows(), 6);
        let rows: Vec<&[u32]> = (0..6).map(|n| firings.row(n)).collect();
        assert_eq!(rows, [&[1, 3][..], &[], &[0], &[1, 3], &[], &[0]]);
        assert_eq!(firings.counts(), [2, 2, 0, 2]);
    }

    /// Values 0..=200 in D = 1: the median is 100, so 100 rows are above it; quantile 0.995 is 199, one row above. Of the
    /// negative the same counts from below.
    #[test]
    fn thresholds_are_quantiles_of_both_signs() {
        let x: Vec<f32> = (0..=200).rev().map(|v| v as f32).collect();
        let firings = neurons(&x, 1);
        assert_eq!(firings.counts(), [100, 40, 20, 10, 4, 2, 1, 100, 40, 20, 10, 4, 2, 1]);
        assert_eq!(firings.row(0), [0, 1, 2, 3, 4, 5, 6], "value 200");
        assert_eq!(firings.row(100), [] as [u32; 0], "value 100");
        assert_eq!(firings.row(101), [7], "value 99");
    }

    /// Points along (1, 1) with a little across: the first component is the position along it, whatever the mean.
    #[test]
    fn components_are_neurons_after_a_rotation() {
        let points = (0..101).map(|i| (i as f32, if i % 2 == 0 { 0.25 } else { -0.25 }));
        let x: Vec<f32> =
            points.flat_map(|(along, across)| [50.0 + along + across, along - across]).collect();
        let along: Vec<f32> = (0..101).map(|i| i as f32).collect();
        let (found, expect) = (principal_components(&x, 2, Device::detect()), neurons(&along, 1));
        for n in 0..101 {
            let first: Vec<u32> = found.row(n).iter().copied().filter(|&c| c < 14).collect();
            assert_eq!(first, expect.row(n), "row {n}");
        }
    }
}
