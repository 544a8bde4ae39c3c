//! How many features are active, and how often each one is.
//!
//!   L0 = (active features, summed over rows) / n        features per row
//!   frequency of feature f = (rows in which f is active) / n        share of rows
//!
//! n counts rows (non-special positions). Percentiles of L0 over rows are exact, nearest rank. A feature that is active in no
//! row "never fired in n": held-out text is too short to call it dead. One that is active in more than 10 % of the rows is
//! ultra-frequent.

use lapidary_stats::{LogHistogram, bootstrap, percentile};
use serde::{Deserialize, Serialize};

/// L0 from sums.
pub fn l0(active: f64, rows: f64) -> f64 {
    active / rows
}

/// Active features per row at seven percentiles over rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub p1: u64,
    pub p5: u64,
    pub p25: u64,
    pub p50: u64,
    pub p75: u64,
    pub p95: u64,
    pub p99: u64,
}

/// How often features fire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    /// n, rows looked at.
    pub rows: u64,
    /// Features active in at least one of them.
    pub alive: u64,
    /// Features active in none of them.
    pub never_fired: u64,
    /// Features active in more than 10 % of them, ascending.
    pub ultra_frequent: Vec<u32>,
    /// Frequencies of the alive features, four bins to a decade.
    pub histogram: FrequencyHistogram,
    /// Rows in which each feature is active [F].
    pub counts: Vec<u64>,
    /// How steeply frequencies fall with rank; none with fewer than [`TAIL`] features to fit, or in scores that were saved before it was
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<Tail>,
}

/// ln frequency = a − exponent·ln rank, by least squares over the rarer half of the features that fire in [`TAIL`] rows or more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// 1 is Zipf's law.
    #[serde(with = "crate::number")]
    pub exponent: f64,
    /// 95 %, bootstrap over features.
    pub interval: crate::Interval,
    /// Features.
    pub n: u64,
}

/// Rows in which a feature must fire for the tail, and features that a fit needs.
pub const TAIL: u64 = 10;

/// Bins over log10 of the frequency; half-open, the last closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrequencyHistogram {
    /// Edges, from below 1/n up to 0 (every row) [bins + 1].
    pub log10_edges: Vec<f64>,
    /// Alive features in each bin [bins]; they add up to `alive`.
    pub features: Vec<u64>,
}

/// Counts that [`Percentiles`] and [`Firing`] are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    /// Rows with v active features, at index v.
    per_row: Vec<u64>,
    /// Rows in which each feature is active [F].
    per_feature: Vec<u64>,
}

impl Counter {
    /// Nothing seen, F = `width`.
    pub fn new(width: usize) -> Counter {
        Counter { per_row: Vec::new(), per_feature: vec![0; width] }
    }

    /// Adds one row by its active features.
    pub fn add(&mut self, active: &[u32]) {
        if self.per_row.len() <= active.len() {
            self.per_row.resize(active.len() + 1, 0);
        }
        self.per_row[active.len()] += 1;
        active.iter().for_each(|&f| self.per_feature[f as usize] += 1);
    }

    /// n.
    pub fn rows(&self) -> u64 {
        self.per_row.iter().sum()
    }

    /// None before the first row.
    pub fn percentiles(&self) -> Option<Percentiles> {
        let at = |percent| percentile::of_counts(&self.per_row, percent);
        Some(Percentiles {
            p1: at(1)?,
            p5: at(5)?,
            p25: at(25)?,
            p50: at(50)?,
            p75: at(75)?,
            p95: at(95)?,
            p99: at(99)?,
        })
    }

    /// Frequencies of all features.
    pub fn firing(&self) -> Firing {
        let (rows, counts) = (self.rows(), &self.per_feature);
        let alive = counts.iter().filter(|&&count| count > 0).count() as u64;
        let is_ultra = |&f: &usize| u128::from(counts[f]) * 10 > u128::from(rows);
        Firing {
            rows,
            alive,
            never_fired: counts.len() as u64 - alive,
            ultra_frequent: (0..counts.len()).filter(is_ultra).map(|f| f as u32).collect(),
            histogram: histogram(counts, rows),
            counts: counts.clone(),
            tail: tail(counts),
        }
    }
}

fn tail(counts: &[u64]) -> Option<Tail> {
    let mut sorted: Vec<u64> = counts.iter().copied().filter(|&count| count >= TAIL).collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let from = sorted.len() / 2;
    let points =
        sorted.iter().enumerate().skip(from).map(|(k, &count)| ((k as f64 + 1.0).ln(), (count as f64).ln()));
    let flat: Vec<f64> = points.flat_map(|(x, y)| [1.0, x, y, x * x, x * y]).collect();
    let n = (flat.len() / 5) as u64;
    let slope = |s: &[f64]| [-(s[0] * s[4] - s[1] * s[2]) / (s[0] * s[3] - s[1] * s[1])];
    let mut total = [0.0; 5];
    flat.chunks_exact(5).for_each(|p| total.iter_mut().zip(p).for_each(|(t, x)| *t += x));
    let [interval] = bootstrap(&flat, 5, 200, 0, slope);
    (n >= TAIL).then(|| Tail { exponent: slope(&total)[0], interval: interval.into(), n })
}

const BINS_PER_DECADE: usize = 4;

fn histogram(counts: &[u64], rows: u64) -> FrequencyHistogram {
    // One firing in n rows lies above 10^low, so that no alive feature falls below the first edge.
    let low = -(rows.max(1).ilog10() as i32 + 1);
    let mut bins = LogHistogram::new(low, 0, BINS_PER_DECADE);
    counts.iter().filter(|&&count| count > 0).for_each(|&count| bins.add(count as f64 / rows as f64));
    let edge = |i| f64::from(low) + i as f64 / BINS_PER_DECADE as f64;
    FrequencyHistogram { log10_edges: (0..bins.edges.len()).map(edge).collect(), features: bins.counts }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 rows, 5 features. Feature 0 in every row, 1 in 10 rows (10 % exactly: not ultra-frequent), 2 in 11, 3 in one
    /// row, 4 never. Rows 0..=9 have {0, 1, 2}, row 10 {0, 2}, row 99 {0, 3}, the other 88 rows {0}.
    fn counter() -> Counter {
        let mut counter = Counter::new(5);
        for row in 0..100 {
            match row {
                0..10 => counter.add(&[0, 1, 2]),
                10 => counter.add(&[0, 2]),
                99 => counter.add(&[0, 3]),
                _ => counter.add(&[0]),
            }
        }
        counter
    }

    #[test]
    fn firing_by_hand() {
        let firing = counter().firing();
        assert_eq!(firing.counts, [100, 10, 11, 1, 0]);
        assert_eq!((firing.rows, firing.alive, firing.never_fired), (100, 4, 1));
        assert_eq!(firing.ultra_frequent, [0, 2]);
        // Edges −3, −2.75 … 0: 1/100 opens bin 4, 10/100 and 11/100 bin 8, 100/100 closes bin 11.
        let histogram = firing.histogram;
        assert_eq!(
            (histogram.log10_edges[0], histogram.log10_edges[4], histogram.log10_edges[12]),
            (-3.0, -2.0, 0.0)
        );
        assert_eq!(histogram.features, [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1]);
    }

    /// Frequencies 10⁷/rank²: the exponent is 2, also of the rarer half, and rounding to whole rows does nothing to it. Too few, no fit.
    #[test]
    fn the_tail_of_a_power_law() {
        let counts: Vec<u64> = (1..=100u64).map(|rank| 10_000_000 / (rank * rank)).collect();
        let tail = tail(&counts).expect("a hundred features");
        assert!((tail.exponent - 2.0).abs() < 1e-3 && tail.n == 50, "{tail:?}");
        assert!(matches!(tail.interval, crate::Interval::Known { low, high } if low > 1.99 && high < 2.01));
        assert_eq!(super::tail(&[1_000; 19]).map(|t| t.n), Some(10));
        assert_eq!(super::tail(&[1_000; 18]), None);
    }

    /// Sorted actives per row: 88 ones, two twos, ten threes.
    #[test]
    fn percentiles_by_hand() {
        let expect = Percentiles { p1: 1, p5: 1, p25: 1, p50: 1, p75: 1, p95: 3, p99: 3 };
        assert_eq!(counter().percentiles(), Some(expect));
        assert_eq!(Counter::new(3).percentiles(), None);
    }
}
