//! Is one number larger than another that was measured on the same documents? A paired bootstrap.
//!
//! Both numbers are functions of sums over documents, and every resample draws the same documents for both, so that what makes
//! a document easy or hard for both cancels. The p-value is two-sided: twice the smaller share of resamples in which the
//! difference is on one side of 0 or at it, each share counted as (hits + 1) / (resamples + 1) (Davison & Hinkley 1997, §4.2),
//! and at most 1. A resample whose difference is not a number counts on both sides.

use crate::bootstrap::{interval, resample};
use crate::{Interval, NoInterval};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A difference of two numbers, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Over all documents.
    pub value: f64,
    /// 95 %, over resampled documents.
    pub interval: Result<Interval, NoInterval>,
    /// Two-sided, of the difference being 0; 1 where nothing varies.
    pub p: f64,
}

/// `documents` is [documents, k] row-major, `difference` maps total sums [k] to one number less another. Deterministic in `seed`.
pub fn paired(
    documents: &[f64],
    k: usize,
    resamples: usize,
    seed: u64,
    difference: impl Fn(&[f64]) -> f64,
) -> Difference {
    assert!(k > 0 && documents.len().is_multiple_of(k), "paired: documents [documents, {k}]");
    let mut total = vec![0.0; k];
    for document in documents.chunks_exact(k) {
        total.iter_mut().zip(document).for_each(|(total, x)| *total += x);
    }
    let value = difference(&total);
    if documents.len() / k < 2 || resamples == 0 {
        return Difference { value, interval: Err(NoInterval::TooFew), p: 1.0 };
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let drawn: Vec<f64> = (0..resamples).map(|_| difference(&resample(documents, k, &mut rng))).collect();
    Difference { value, p: two_sided(&drawn), interval: interval(drawn) }
}

fn two_sided(drawn: &[f64]) -> f64 {
    let share = |is_on_this_side: fn(f64) -> bool| {
        (drawn.iter().filter(|d| is_on_this_side(**d)).count() + 1) as f64 / (drawn.len() + 1) as f64
    };
    (2.0 * share(|d| !(d > 0.0)).min(share(|d| !(d < 0.0)))).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two documents, (2, 1) and (4, 3): b is 1 less in each, so the difference of means never varies, and no resample is on
    /// the other side: p = 2·(0 + 1)/(99 + 1).
    #[test]
    fn what_is_common_to_both_cancels() {
        let found = paired(&[2.0, 1.0, 4.0, 3.0], 2, 99, 3, |sums| (sums[0] - sums[1]) / 2.0);
        assert_eq!(found.value, 1.0);
        assert_eq!(found.interval, Ok(Interval { low: 1.0, high: 1.0 }));
        assert!((found.p - 0.02).abs() < 1e-15, "{}", found.p);
    }

    /// Ten documents, in half of which a is ahead by 1 and in half behind: no difference.
    #[test]
    fn no_difference_is_not_found() {
        let documents: Vec<f64> = (0..10).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let found = paired(&documents, 1, 2_000, 3, |sums| sums[0]);
        assert_eq!((found.value, found.p > 0.9), (0.0, true), "p {}", found.p);
    }

    /// Nine documents of +1 and three of −1: a resampled total is 2·Binomial(12, ¾) − 12, and P(X ≤ 6) = 0.0544, so
    /// that p is twice that. Its standard error at 20,000 resamples is 0.003.
    #[test]
    fn p_is_that_of_the_binomial() {
        let documents: Vec<f64> = (0..12).map(|i| if i < 9 { 1.0 } else { -1.0 }).collect();
        let found = paired(&documents, 1, 20_000, 5, |sums| sums[0]);
        assert!((found.p - 2.0 * 0.0544).abs() < 0.012, "p {}", found.p);
    }

    #[test]
    fn nothing_varies_or_nothing_is_known() {
        let one = paired(&[1.0], 1, 100, 0, |sums| sums[0]);
        assert_eq!((one.value, one.interval, one.p), (1.0, Err(NoInterval::TooFew), 1.0));
        let nan = paired(&[1.0, 2.0], 1, 100, 0, |_| f64::NAN);
        assert_eq!((nan.interval, nan.p), (Err(NoInterval::NotFinite), 1.0));
    }
}
