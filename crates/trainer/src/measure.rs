//! What a short run must know of a site before its first step, measured on the first rows of the order.
//!
//!   μ = mean row      spread = median ‖x − μ‖ / (C·√D)
//!
//! The spread is that of z = ⟨w, x/C − μ/C⟩ over random w of unit norm: the unit in which θ₀ and the straight-through window
//! are chosen (`recipe.rs`). It is 1/√D where rows have no mean and one length; real residual streams have neither: half of
//! E‖x‖² may be the mean row, and half of the rest a few rows or dimensions, which the median is blind to. b_dec begins at
//! μ, so that no feature has to learn it.
//!
//! Sums are in f64 and in the order of rows, a site on one thread: the same bits for any number of threads.

use crate::Measured;
use lapidary_store::{Batches, RowSource, SourceError};
use rayon::prelude::*;

/// Dimensions whose share of the energy is told.
const OUTLIERS: usize = 3;

/// Medians of ‖x − μ‖ above which a row is long.
pub(crate) const LONG: f64 = 10.0;

/// Rows that are all alike have no spread, and a window must have a width.
const LEAST_SPREAD: f64 = 1e-6;

/// A site's rows in raw units.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteMeasured {
    /// μ [D], raw.
    pub mean: Vec<f64>,
    /// What plans say of it.
    pub measured: Measured,
}

/// Measures every site of the source on the first `rows` rows of the order, or on an epoch if that has fewer. Leaves `batches` at
/// the step where it was.
pub fn measure<S: RowSource>(batches: &mut Batches<S>, rows: u64) -> Result<Vec<SiteMeasured>, SourceError> {
    let rows = rows.min(batches.rows_per_epoch());
    let means = mean_rows(batches, rows)?;
    let widths: Vec<usize> = means.iter().map(Vec::len).collect();
    let mut about: Vec<About> = widths.iter().map(|&d| About::new(d)).collect();
    sweep(batches, rows, &mut about, |about, row, site| about.add(row, &means[site]))?;
    let told = |(mean, about): (Vec<f64>, About)| {
        let measured = about.measured(&mean, rows);
        SiteMeasured { mean, measured }
    };
    Ok(means.into_iter().zip(about).map(told).collect())
}

/// μ [D] of every site of the source over the first `rows` rows of the order, raw.
pub fn mean_rows<S: RowSource>(batches: &mut Batches<S>, rows: u64) -> Result<Vec<Vec<f64>>, SourceError> {
    let rows = rows.min(batches.rows_per_epoch());
    let mut sums: Vec<Vec<f64>> = batches.source().sites().iter().map(|s| vec![0.0; s.width]).collect();
    sweep(batches, rows, &mut sums, |sum, row, _| {
        sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    })?;
    sums.iter_mut().flatten().for_each(|sum| *sum /= rows as f64);
    Ok(sums)
}

/// Shows the first `rows` rows of every site, in order, to its own `state`.
fn sweep<S: RowSource, T: Send>(
    batches: &mut Batches<S>,
    rows: u64,
    states: &mut [T],
    add: impl Fn(&mut T, &[f32], usize) + Sync,
) -> Result<(), SourceError> {
    let widths: Vec<usize> = batches.source().sites().iter().map(|s| s.width).collect();
    batches.first(rows, |sites| {
        states.par_iter_mut().zip(sites).enumerate().for_each(|(site, (state, values))| {
            values.chunks_exact(widths[site]).for_each(|row| add(state, row, site));
        });
    })?;
    Ok(())
}

/// Rows about their mean.
struct About {
    /// ‖x − μ‖² of each row.
    squares: Vec<f64>,
    /// Σ (x − μ)² of each dimension [D].
    dimensions: Vec<f64>,
}

impl About {
    fn new(d: usize) -> About {
        About { squares: Vec::new(), dimensions: vec![0.0; d] }
    }

    fn add(&mut self, row: &[f32], mean: &[f64]) {
        let mut whole = 0.0;
        for ((sum, &x), mean) in self.dimensions.iter_mut().zip(row).zip(mean) {
            let square = (f64::from(x) - mean).powi(2);
            *sum += square;
            whole += square;
        }
        self.squares.push(whole);
    }

    fn measured(mut self, mean: &[f64], rows: u64) -> Measured {
        let about = self.squares.iter().sum::<f64>() / rows as f64;
        let mean: f64 = mean.iter().map(|m| m * m).sum();
        let whole = mean + about;
        let d = self.dimensions.len();
        self.squares.sort_unstable_by(f64::total_cmp);
        self.dimensions.sort_unstable_by(|a, b| b.total_cmp(a));
        let median = self.squares.get(self.squares.len() / 2).copied().unwrap_or(0.0);
        let long: f64 = self.squares.iter().filter(|&&square| square > LONG * LONG * median).sum();
        let widest: f64 = self.dimensions.iter().take(OUTLIERS).sum();
        Measured {
            rows,
            mean_share: mean / whole,
            outlier_share: widest / (about * rows as f64).max(f64::MIN_POSITIVE),
            spread: (median / whole / d as f64).sqrt().max(LEAST_SPREAD),
            long_rows_share: Some(long / (about * rows as f64).max(f64::MIN_POSITIVE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_store::{Order, SiteRows};

    /// A window is a row of its own.
    struct Rows(Vec<SiteRows>, Vec<u32>, Vec<[f32; 4]>);

    impl RowSource for Rows {
        fn sites(&self) -> &[SiteRows] {
            &self.0
        }
        fn window_rows(&self) -> &[u32] {
            &self.1
        }
        fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
            out[0] = windows.iter().flat_map(|&w| self.2[w as usize]).collect();
            Ok(())
        }
    }

    fn measured(rows: &[[f32; 4]], batch: usize, of: u64) -> SiteMeasured {
        let sites = vec![SiteRows { site: "0.res".into(), width: 4 }];
        let source = Rows(sites, vec![1; rows.len()], rows.to_vec());
        let mut batches = Batches::new(source, Order { seed: 3, pool_rows: 2 }, batch).unwrap();
        batches.seek(5);
        let found = measure(&mut batches, of).unwrap().remove(0);
        assert_eq!(batches.step(), 5);
        found
    }

    /// By hand: μ = (3, 1, 1, 0), ‖μ‖² = 11; rows about it have squares 2, 2, 5, 5 and 16, E‖x − μ‖² = 6, and the dimensions have
    /// sums of squares 2, 8, 20 and 0.
    #[test]
    fn five_rows_by_hand() {
        let rows = [
            [4.0, 1.0, 0.0, 0.0],
            [2.0, 1.0, 0.0, 0.0],
            [3.0, 3.0, 0.0, 0.0],
            [3.0, -1.0, 0.0, 0.0],
            [3.0, 1.0, 5.0, 0.0],
        ];
        for batch in [1, 2, 3, 7] {
            let found = measured(&rows, batch, 1_000);
            assert_eq!(found.mean, [3.0, 1.0, 1.0, 0.0]);
            let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
            let m = found.measured;
            assert_eq!(m.rows, 5);
            close(m.mean_share, 11.0 / 17.0);
            close(m.outlier_share, 1.0);
            close(m.spread, (5.0 / 17.0 / 4.0_f64).sqrt());
        }
    }

    #[test]
    fn rows_that_are_all_alike_have_a_spread_above_zero() {
        let found = measured(&[[1.0; 4]; 3], 2, 3).measured;
        assert_eq!((found.spread, found.mean_share), (LEAST_SPREAD, 1.0));
    }
}
