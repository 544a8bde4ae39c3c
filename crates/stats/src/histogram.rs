//! A histogram over decades: how many values lie between 10^a and 10^b, in equal steps of log10.
//!
//! Made for frequencies, which span six decades and include exact zeros; zeros and values outside the range are counted
//! apart, never folded into the first or last bin. Bins are half-open [edge, next edge), but the last one is closed, so
//! that a frequency of exactly 1 falls into it.

/// Counts of positive numbers in bins of equal width in log10.
#[derive(Clone, Debug, PartialEq)]
pub struct LogHistogram {
    /// Bin edges, ascending powers of ten [bins + 1].
    pub edges: Vec<f64>,
    /// Values per bin [bins].
    pub counts: Vec<u64>,
    /// Values that are exactly zero.
    pub zeros: u64,
    /// Positive values below the first edge.
    pub below: u64,
    /// Values above the last edge.
    pub above: u64,
}

impl LogHistogram {
    /// No values yet; bins from 10^`low` to 10^`high`, `per_decade` to each power of ten.
    pub fn new(low: i32, high: i32, per_decade: usize) -> LogHistogram {
        assert!(
            low < high && per_decade > 0,
            "log histogram: 10^{low} to 10^{high}, {per_decade} bins a decade"
        );
        let bins = (high - low) as usize * per_decade;
        let edge = |i: usize| match (i / per_decade, i % per_decade) {
            (decade, 0) => power_of_ten(low + decade as i32),
            _ => 10f64.powf(f64::from(low) + i as f64 / per_decade as f64),
        };
        let edges = (0..=bins).map(edge).collect();
        LogHistogram { edges, counts: vec![0; bins], zeros: 0, below: 0, above: 0 }
    }

    /// Counts one value, which is a number ≥ 0.
    pub fn add(&mut self, value: f64) {
        assert!(value >= 0.0, "log histogram: {value} is not a number ≥ 0");
        let last = self.counts.len();
        match self.edges.partition_point(|&edge| edge <= value) {
            0 if value == 0.0 => self.zeros += 1,
            0 => self.below += 1,
            bin if bin <= last => self.counts[bin - 1] += 1,
            _ if value == self.edges[last] => self.counts[last - 1] += 1,
            _ => self.above += 1,
        }
    }
}

/// 10^e as the nearest f64, so that 10⁻³ is the literal 0.001 (`powi` may be an ulp off).
fn power_of_ten(e: i32) -> f64 {
    format!("1e{e}").parse().expect("a number in scientific notation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_where_a_reader_expects() {
        let mut h = LogHistogram::new(-3, 0, 1);
        assert_eq!(h.edges, [0.001, 0.01, 0.1, 1.0]);
        for value in [0.0, 0.0, 0.0005, 0.001, 0.0099, 0.01, 0.05, 0.1, 1.0, 1.5] {
            h.add(value);
        }
        assert_eq!((h.zeros, h.below, h.above), (2, 1, 1));
        assert_eq!(h.counts, [2, 2, 2]);
    }

    /// 10^-0.5 = 0.316 splits a decade in two.
    #[test]
    fn decades_split_evenly_in_the_logarithm() {
        let mut h = LogHistogram::new(-1, 0, 2);
        [0.1, 0.31, 0.32, 0.99].iter().for_each(|&v| h.add(v));
        assert_eq!(h.counts, [2, 2]);
    }

    #[test]
    #[should_panic(expected = "not a number ≥ 0")]
    fn nan_is_refused() {
        LogHistogram::new(-1, 0, 1).add(f64::NAN);
    }
}
