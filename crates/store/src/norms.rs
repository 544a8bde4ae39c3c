//! The normalisation constants: C² = mean of ‖x‖² over the first rows of the seeded order, in f64 (docs/numerics.md §1).
//!
//! One row's ‖x‖² is eight running f64 sums (sum l takes k ≡ l mod 8) added pairwise; rows are added in order. Sites go to
//! different threads, a site's sum never does, so C does not depend on the thread count or the batch size.

use crate::{Batches, RowSource, SourceError, StoreError};
use rayon::prelude::*;

/// C of each site (not squared) over the first `norm_rows` rows of the order, or over one epoch if that has fewer.
/// Leaves `batches` at the step where it was.
pub fn norms<S: RowSource>(batches: &mut Batches<S>, norm_rows: u64) -> Result<Vec<f64>, SourceError> {
    let widths: Vec<usize> = batches.source().sites().iter().map(|s| s.width).collect();
    let mut sums = vec![0f64; widths.len()];
    let rows = batches.first(norm_rows, |sites| {
        sums.par_iter_mut().zip(sites).zip(&widths).for_each(|((sum, values), &width)| {
            values.chunks_exact(width).for_each(|row| *sum += square(row));
        });
    })?;
    let constants = sums.iter().zip(batches.source().sites()).map(|(&sum, site)| {
        let mean_square = sum / rows as f64;
        let usable = mean_square.is_finite() && mean_square > 0.0;
        let error = StoreError::Norm { site: site.site.clone(), mean_square, rows };
        if usable { Ok(mean_square.sqrt()) } else { Err(error.into()) }
    });
    constants.collect()
}

/// ‖x‖² in f64.
fn square(row: &[f32]) -> f64 {
    let mut sums = [0f64; 8];
    for chunk in row.chunks(8) {
        chunk.iter().zip(&mut sums).for_each(|(&v, s)| *s += f64::from(v) * f64::from(v));
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Order, SiteRows};

    /// One row per window: the row of window w is w + 1 in every column.
    struct Ramp(Vec<SiteRows>, Vec<u32>, f32);

    impl RowSource for Ramp {
        fn sites(&self) -> &[SiteRows] {
            &self.0
        }
        fn window_rows(&self) -> &[u32] {
            &self.1
        }
        fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
            for (site, out) in self.0.iter().zip(out) {
                *out = windows.iter().flat_map(|&w| vec![(w + 1) as f32 * self.2; site.width]).collect();
            }
            Ok(())
        }
    }

    fn ramp(batch_rows: usize, scale: f32) -> Batches<Ramp> {
        let site = |site: &str, width| SiteRows { site: site.into(), width };
        let source = Ramp(vec![site("0.res", 1), site("0.att", 11)], vec![1; 100], scale);
        Batches::new(source, Order { seed: 3, pool_rows: 16 }, batch_rows).unwrap()
    }

    #[test]
    fn are_the_root_mean_square_of_the_first_rows() {
        // all rows: mean of w² for w = 1..=100 is 101·201/6 = 3383.5
        let c = norms(&mut ramp(7, 1.0), 1_000_000).unwrap();
        assert_eq!(c, [3383.5f64.sqrt(), (11.0 * 3383.5f64).sqrt()]);
        // the first 10 rows of the order, whatever the batch
        let first: Vec<f32> = ramp(10, 1.0).next().unwrap()[0].clone();
        let mean = first.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 10.0;
        for batch_rows in [1, 3, 10, 64] {
            let mut b = ramp(batch_rows, 1.0);
            b.seek(2);
            assert_eq!(norms(&mut b, 10).unwrap()[0], mean.sqrt());
            assert_eq!(b.step(), 2);
        }
    }

    #[test]
    fn silent_or_broken_sites_are_named() {
        for scale in [0.0, f32::NAN, f32::INFINITY] {
            let error = norms(&mut ramp(8, scale), 50).unwrap_err().to_string();
            assert!(error.contains("site 0.res") && error.contains("50 rows"), "{error}");
        }
    }
}
