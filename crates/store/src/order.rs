//! The order of rows (docs/numerics.md §1), exact enough to be written again in another language
//! (`fixtures/store/order.py` does so, and the test below compares).
//!
//! - A stream of u64 is ChaCha8 (rand_chacha's: key, 64-bit counter from 0, stream 0; words in pairs, low half first)
//!   under the key blake3(purpose ‖ numbers as little-endian u64).
//! - An index below n: draw x, m = x·n in 128 bits; draw again while m mod 2⁶⁴ < 2⁶⁴ mod n; the index is m div 2⁶⁴.
//! - A permutation of n: from 0, 1, …, n−1; for i = n−1 down to 1 swap places i and index-below(i + 1).
//! - Epoch e visits windows in the permutation under ("lapidary order 1: windows", seed, e). Consecutive windows form a
//!   pool until it has at least `pool_rows` rows; the epoch's last pool takes what remains. Pools without rows do not
//!   count. Place i of pool p holds its row π(i), π under ("lapidary order 1: rows", seed, e, p).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::ops::Range;

const WINDOWS: &str = "lapidary order 1: windows";
const ROWS: &str = "lapidary order 1: rows";

/// Which row comes when: part of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Key of every permutation.
    pub seed: u64,
    /// Rows that a pool has at least (but for an epoch's last one).
    pub pool_rows: usize,
}

/// One epoch: its windows in order, cut into pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochPlan {
    /// Number of the epoch.
    pub epoch: u64,
    /// Every window once `[W]`.
    pub windows: Vec<u32>,
    /// End of each pool in `windows` (exclusive), ascending.
    ends: Vec<usize>,
    /// Rows before each pool, then the rows of the epoch: `[pools + 1]`.
    first_rows: Vec<u64>,
}

impl Order {
    /// The plan of epoch `epoch` over windows of `window_rows` `[W]` rows.
    pub fn epoch(&self, epoch: u64, window_rows: &[u32]) -> EpochPlan {
        let windows = permutation(window_rows.len(), WINDOWS, &[self.seed, epoch]);
        let (mut ends, mut first_rows, mut rows) = (Vec::new(), vec![0u64], 0u64);
        for (i, &w) in windows.iter().enumerate() {
            rows += u64::from(window_rows[w as usize]);
            let pool = rows - first_rows[ends.len()];
            if pool > 0 && (pool >= self.pool_rows as u64 || i + 1 == windows.len()) {
                ends.push(i + 1);
                first_rows.push(rows);
            }
        }
        EpochPlan { epoch, windows, ends, first_rows }
    }

    /// Which row of pool `pool` stands at each of its `rows` places.
    pub fn pool_permutation(&self, epoch: u64, pool: usize, rows: usize) -> Vec<u32> {
        permutation(rows, ROWS, &[self.seed, epoch, pool as u64])
    }
}

impl EpochPlan {
    /// How many pools the epoch has.
    pub fn pools(&self) -> usize {
        self.ends.len()
    }

    /// The windows of a pool, in the epoch's order.
    pub fn pool_windows(&self, pool: usize) -> &[u32] {
        let start = if pool == 0 { 0 } else { self.ends[pool - 1] };
        &self.windows[start..self.ends[pool]]
    }

    /// The rows of the epoch that a pool holds.
    pub fn pool_range(&self, pool: usize) -> Range<u64> {
        self.first_rows[pool]..self.first_rows[pool + 1]
    }

    /// The pool that holds row `row` of the epoch.
    pub fn pool_of(&self, row: u64) -> usize {
        self.first_rows.partition_point(|&first| first <= row) - 1
    }
}

/// The permutation of 0..n under (purpose, numbers).
fn permutation(n: usize, purpose: &str, numbers: &[u64]) -> Vec<u32> {
    let n = u32::try_from(n).expect("at most 2³² − 1 windows, and rows in a pool");
    let mut rng = stream(purpose, numbers);
    let mut p: Vec<u32> = (0..n).collect();
    for i in (1..p.len()).rev() {
        p.swap(i, below(&mut rng, i as u64 + 1) as usize);
    }
    p
}

fn stream(purpose: &str, numbers: &[u64]) -> ChaCha8Rng {
    let mut key = purpose.as_bytes().to_vec();
    numbers.iter().for_each(|n| key.extend_from_slice(&n.to_le_bytes()));
    ChaCha8Rng::from_seed(*blake3::hash(&key).as_bytes())
}

/// Uniform below n, without bias (Lemire 2019, arXiv:1805.10941).
fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    loop {
        let m = u128::from(rng.next_u64()) * u128::from(n);
        if m as u64 >= n.wrapping_neg() % n {
            return (m >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROWS_OF: [u32; 9] = [3, 0, 5, 1, 4, 0, 2, 6, 1];

    /// Values printed by `fixtures/store/order.py`, which shares no code with this file.
    #[test]
    fn agrees_with_another_implementation() {
        let order = Order { seed: 7, pool_rows: 6 };
        let plan = order.epoch(2, &ROWS_OF);
        assert_eq!(plan.windows, WINDOWS_7_2);
        let pools: Vec<_> = (0..plan.pools()).map(|p| plan.pool_range(p).end).collect();
        assert_eq!(pools, ENDS_7_2);
        assert_eq!(order.pool_permutation(2, 1, 20), POOL_7_2_1);
        assert_eq!(permutation(40, ROWS, &[u64::MAX, 0, 3])[..8], LONG);
    }

    const WINDOWS_7_2: [u32; 9] = [4, 6, 0, 3, 8, 7, 5, 2, 1];
    const ENDS_7_2: [u64; 3] = [6, 17, 22];
    const POOL_7_2_1: [u32; 20] = [17, 16, 7, 15, 8, 14, 1, 12, 11, 18, 13, 5, 3, 19, 4, 10, 0, 9, 2, 6];
    const LONG: [u32; 8] = [39, 24, 17, 26, 36, 0, 3, 30];

    proptest! {
        #[test]
        fn pools_cut_the_epoch(seed: u64, epoch in 0u64..4, pool_rows in 1usize..40,
                               rows in proptest::collection::vec(0u32..9, 1..60)) {
            let plan = Order { seed, pool_rows }.epoch(epoch, &rows);
            let mut seen = plan.windows.clone();
            seen.sort();
            prop_assert_eq!(seen, (0..rows.len() as u32).collect::<Vec<_>>());
            let mut next = 0;
            for p in 0..plan.pools() {
                let range = plan.pool_range(p);
                let sum: u64 = plan.pool_windows(p).iter().map(|&w| u64::from(rows[w as usize])).sum();
                prop_assert_eq!(range.start, next);
                prop_assert_eq!(range.end - range.start, sum);
                prop_assert!(sum >= pool_rows as u64 || (p + 1 == plan.pools() && sum > 0));
                range.clone().for_each(|r| assert_eq!(plan.pool_of(r), p));
                next = range.end;
            }
            prop_assert_eq!(next, rows.iter().map(|&r| u64::from(r)).sum::<u64>());
        }
    }

    /// Every place sees every row about equally often, and every key gives another permutation.
    #[test]
    fn permutations_are_uniform() {
        let (n, keys) = (8, 8000u64);
        let mut counts = vec![0f64; n * n];
        let mut distinct = std::collections::HashSet::new();
        for key in 0..keys {
            let p = permutation(n, ROWS, &[key, 0, 0]);
            p.iter().enumerate().for_each(|(i, &row)| counts[i * n + row as usize] += 1.0);
            distinct.insert(p);
        }
        let expected = keys as f64 / n as f64;
        let chi2: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
        assert!(chi2 < 100.0, "χ² {chi2} with 49 degrees of freedom"); // P(χ² > 100) < 1e-4
        assert!(distinct.len() > 6900, "{} of 8! = 40320", distinct.len()); // 7,250 expected
        assert_ne!(permutation(50, ROWS, &[1, 2, 3]), permutation(50, WINDOWS, &[1, 2, 3]));
    }
}
