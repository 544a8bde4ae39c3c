//! Percentiles, in two definitions that are never mixed.
//!
//! Of **counts** (a histogram over integers): nearest rank, the smallest value v such that at least p % of the items are
//! ≤ v. It is exact and is always a value that occurred.
//! Of **real numbers** (bootstrap statistics): linear interpolation between the two neighbours at rank q·(n − 1), the
//! default of numpy and R (type 7).

/// Nearest-rank percentile of integers: `histogram[v]` items have value v. `percent` is 0..=100. None without items.
pub fn of_counts(histogram: &[u64], percent: u32) -> Option<u64> {
    assert!(percent <= 100, "percentile: {percent} is above 100");
    let items: u64 = histogram.iter().sum();
    if items == 0 {
        return None;
    }
    // ceil(p·n/100) in integers, at least the first item.
    let rank = (u128::from(items) * u128::from(percent)).div_ceil(100).max(1) as u64;
    let mut seen = 0;
    for (value, &count) in histogram.iter().enumerate() {
        seen += count;
        if seen >= rank {
            return Some(value as u64);
        }
    }
    unreachable!("the ranks end at the number of items")
}

/// Interpolated quantile of `sorted` (ascending, not empty, no NaN) at `q` in 0..=1.
pub fn of_sorted(sorted: &[f64], q: f64) -> f64 {
    assert!(!sorted.is_empty() && (0.0..=1.0).contains(&q), "quantile: {} values at {q}", sorted.len());
    let rank = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    // Equal neighbours are returned as they are: interpolation would round.
    if below == above { below } else { below + (above - below) * rank.fract() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values 0, 1, 1, 3, 3, 3, 3, 7, 7, 9: ten items, so the 10·k-th percentile is the k-th item.
    #[test]
    fn counts_by_nearest_rank() {
        let histogram = [1, 2, 0, 4, 0, 0, 0, 2, 0, 1];
        let expect =
            [(0, 0), (1, 0), (10, 0), (11, 1), (30, 1), (31, 3), (50, 3), (70, 3), (71, 7), (90, 7), (91, 9)];
        for (percent, value) in expect {
            assert_eq!(of_counts(&histogram, percent), Some(value), "p{percent}");
        }
        assert_eq!(of_counts(&histogram, 100), Some(9));
    }

    #[test]
    fn no_items_no_percentile() {
        assert_eq!(of_counts(&[], 50), None);
        assert_eq!(of_counts(&[0, 0], 50), None);
    }

    #[test]
    fn ranks_do_not_overflow() {
        assert_eq!(of_counts(&[u64::MAX / 2, u64::MAX / 2], 50), Some(0));
        assert_eq!(of_counts(&[u64::MAX / 2, u64::MAX / 2], 51), Some(1));
    }

    /// numpy.quantile([1, 2, 4, 8, 16], q) = 1, 1.1, 3, 4, 15.2, 16 for these q.
    #[test]
    fn real_numbers_interpolate_as_numpy() {
        let x = [1.0, 2.0, 4.0, 8.0, 16.0];
        for (q, expect) in [(0.0, 1.0), (0.025, 1.1), (0.375, 3.0), (0.5, 4.0), (0.975, 15.2), (1.0, 16.0)] {
            assert!((of_sorted(&x, q) - expect).abs() < 1e-12, "at {q}");
        }
        assert_eq!(of_sorted(&[7.0], 0.3), 7.0);
    }
}
