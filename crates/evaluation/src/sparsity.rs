//! How many features are active, and how often each one is.
//!
//!   L0 = (active features, summed over rows) / n        features per row
//!   frequency of feature f = (rows in which f is active) / n        share of rows
//!
//! n counts rows (non-special positions). Percentiles of L0 over rows are exact, nearest rank. A feature that is active in no
//! row "never fired in n": held-out text is too short to call it dead. One that is active in more than 10 % of the rows is
//! ultra-frequent.

use lapidary_stats::{LogHistogram, percentile};
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
}

/// Bins over log10 of the frequency; half-open, the last closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrequencyHistogram {
    /// Edges, from below 1/n up to 0 (every row) [bins + 1].
    pub log10_edges: Vec<f64>,
    /// Alive features in each bin [bins]; they add up to `alive`.
    pub features: Vec<u64>,
}

/// Counts that [`Percentiles`] and [`Firing`] are made of.
#[derive(Clone, Debug, PartialEq)]
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
        }
    }
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

    /// Sorted actives per row: 88 ones, two twos, ten threes.
    #[test]
    fn percentiles_by_hand() {
        let expect = Percentiles { p1: 1, p5: 1, p25: 1, p50: 1, p75: 1, p95: 3, p99: 3 };
        assert_eq!(counter().percentiles(), Some(expect));
        assert_eq!(Counter::new(3).percentiles(), None);
    }
}
