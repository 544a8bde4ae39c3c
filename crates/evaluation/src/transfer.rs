//! A dictionary on two models, the one that it was trained on and another, on the same tokens: do the same features fire, and as often?
//!
//!   home, there, both   features that fired in at least one row of the one, of the other, of both
//!   correlation         Pearson's, of ln(rows in which a feature fires) at home and there, over the features of `both`
//!
//! Its scores on the other model are scores like any, of that model's own rows, mean and loss; the same documents are in both, so their
//! differences are paired ([`crate::comparison`]).

use crate::Interval;
use crate::sparsity::Firing;
use lapidary_stats::bootstrap;
use serde::{Deserialize, Serialize};

/// Which features fire on both models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    /// Features that fire at home.
    pub home: u64,
    /// On the other model.
    pub there: u64,
    /// On both.
    pub both: u64,
    /// Of ln frequency over `both`; NaN where nothing varies.
    #[serde(with = "crate::number")]
    pub correlation: f64,
    /// 95 %, bootstrap over features.
    pub interval: Interval,
}

/// Of a dictionary's features [F] at home and there.
pub fn shared(home: &Firing, there: &Firing, resamples: usize, seed: u64) -> Shared {
    assert_eq!(home.counts.len(), there.counts.len(), "shared features: of one dictionary");
    let pairs = || home.counts.iter().zip(&there.counts).filter(|(a, b)| **a > 0 && **b > 0);
    let sums = |(&a, &b): (&u64, &u64)| {
        let (a, b) = ((a as f64).ln(), (b as f64).ln());
        [1.0, a, b, a * a, b * b, a * b]
    };
    let flat: Vec<f64> = pairs().flat_map(sums).collect();
    let mut total = [0.0; 6];
    flat.chunks_exact(6).for_each(|sums| total.iter_mut().zip(sums).for_each(|(t, x)| *t += x));
    let [interval] = bootstrap(&flat, 6, resamples, seed, |sums| [correlation(sums)]);
    Shared {
        home: home.alive,
        there: there.alive,
        both: pairs().count() as u64,
        correlation: correlation(&total),
        interval: interval.into(),
    }
}

/// From n, Σa, Σb, Σa², Σb², Σab.
fn correlation(sums: &[f64]) -> f64 {
    let [n, a, b, aa, bb, ab] = sums else { panic!("correlation: six sums") };
    (n * ab - a * b) / ((n * aa - a * a) * (n * bb - b * b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sparsity::Counter;

    fn firing(counts: &[usize]) -> Firing {
        let mut counter = Counter::new(counts.len());
        let rows = counts.iter().max().copied().unwrap_or(0);
        for n in 0..rows {
            let active: Vec<u32> = (0..counts.len()).filter(|&f| n < counts[f]).map(|f| f as u32).collect();
            counter.add(&active);
        }
        counter.firing()
    }

    /// Counts 1, 2, 4 against 2, 8, 4, beside a feature that fires at home only and one that never does. In log₂: 0, 1, 2 and 1, 3, 2;
    /// deviations −1, 0, 1 and −1, 1, 0: covariance 1 of variances 2 and 2, so ½. The base of the logarithm drops out.
    #[test]
    fn features_of_two_models_by_hand() {
        let found = shared(&firing(&[1, 2, 4, 9, 0]), &firing(&[2, 8, 4, 0, 0]), 100, 0);
        assert_eq!((found.home, found.there, found.both), (4, 3, 3));
        assert!((found.correlation - 0.5).abs() < 1e-12, "{found:?}");
        let same = shared(&firing(&[1, 2, 4, 9]), &firing(&[3, 6, 12, 27]), 0, 0);
        assert!((same.correlation - 1.0).abs() < 1e-12);
        assert!(shared(&firing(&[5, 0]), &firing(&[5, 7]), 10, 0).correlation.is_nan());
    }
}
