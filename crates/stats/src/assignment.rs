//! The best one-to-one pairing of rows with columns: the assignment problem, solved exactly on a dense score matrix.
//!
//! After Jonker & Volgenant (1987), for rectangles (Crouse 2016), written as maximisation. Every column has a price ≥ 0, 0
//! while nobody has it; a row wants the column where score − price is largest. Two stages: first rows bid for what they
//! want, which pairs most of them; then each row that is left takes the shortest augmenting path (Dijkstra over the regrets
//! u_i − (s_ij − price_j) ≥ 0). At the end every row has a column that it wants at these prices, and that proves optimality.
//!
//! Scores are f32, prices and path lengths f64. Leaves out sparse candidate lists: 2,048 × 2,500 takes less than a second,
//! 4,096 × 16,384 a few seconds and 600 MB.

/// Nobody.
const FREE: usize = usize::MAX;
/// Bids per row, on average, before the search for paths takes over. It decides speed, never the total.
const BIDS: usize = 8;

/// The column of each row [rows] such that the sum of `scores` [rows, columns] is largest; all rows have one unless there
/// are more rows than columns. Which of several best assignments comes out is fixed, but not said. Scores are finite.
pub fn assignment(scores: &[f32], rows: usize, columns: usize) -> Vec<Option<usize>> {
    assert_eq!(scores.len(), rows * columns, "assignment: scores [{rows}, {columns}]");
    assert!(scores.iter().all(|s| s.is_finite()), "assignment: scores must be finite");
    if rows <= columns {
        return solve(scores, rows, columns, BIDS).column_of.into_iter().map(Some).collect();
    }
    let mut column_of = vec![None; rows];
    let row_of = solve(&transposed(scores, rows, columns), columns, rows, BIDS).column_of;
    row_of.into_iter().enumerate().for_each(|(column, row)| column_of[row] = Some(column));
    column_of
}

fn transposed(scores: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; scores.len()];
    for (row, line) in scores.chunks_exact(columns.max(1)).enumerate() {
        line.iter().enumerate().for_each(|(column, &s)| out[column * rows + row] = s);
    }
    out
}

/// Everybody served; n ≤ m. `bids` per row decide how much is left to the search.
fn solve(scores: &[f32], n: usize, m: usize, bids: usize) -> Market<'_> {
    let mut market =
        Market { scores, m, price: vec![0.0; m], column_of: vec![FREE; n], row_of: vec![FREE; m] };
    for row in market.auction(bids) {
        market.augment(row);
    }
    market
}

struct Market<'a> {
    scores: &'a [f32],     // [n, m]
    m: usize,              // columns
    price: Vec<f64>,       // [m], 0 where row_of is FREE
    column_of: Vec<usize>, // [n]
    row_of: Vec<usize>,    // [m]
}

impl Market<'_> {
    fn scores_of(&self, row: usize) -> &[f32] {
        &self.scores[row * self.m..][..self.m]
    }

    /// Rows bid, those that lose their column bid again; returns the rows that are left.
    fn auction(&mut self, bids: usize) -> Vec<usize> {
        let mut waiting: Vec<usize> = (0..self.column_of.len()).rev().collect();
        let mut left = Vec::new();
        for _ in 0..bids * waiting.len() {
            let Some(row) = waiting.pop() else { break };
            match self.bid(row) {
                Some(FREE) => {}
                Some(loser) => waiting.push(loser),
                None => left.push(row),
            }
        }
        left.extend(waiting);
        left
    }

    /// Gives `row` what it wants most and raises the price until it wants its second choice as much. Returns who lost the
    /// column, or None if the price could not be raised on somebody who has it.
    fn bid(&mut self, row: usize) -> Option<usize> {
        let (mut first, mut most, mut second, mut next) = (FREE, f64::NEG_INFINITY, FREE, f64::NEG_INFINITY);
        for (column, (&score, price)) in self.scores_of(row).iter().zip(&self.price).enumerate() {
            let gain = f64::from(score) - price;
            if gain > most {
                (second, next) = (first, most);
                (first, most) = (column, gain);
            } else if gain > next {
                (second, next) = (column, gain);
            }
        }
        let is_tie = most == next;
        let column = if is_tie && self.row_of[first] != FREE { second } else { first };
        let loser = self.row_of[column];
        if is_tie && loser != FREE {
            return None;
        }
        if next > f64::NEG_INFINITY {
            self.price[column] += most - next;
        }
        if loser != FREE {
            self.column_of[loser] = FREE;
        }
        (self.column_of[row], self.row_of[column]) = (column, row);
        Some(loser)
    }

    /// Finds a column for `source` by the shortest path of exchanges, and moves prices so that all want what they have.
    fn augment(&mut self, source: usize) {
        let mut search = Search::new(&self.price);
        let (mut row, mut regret) = (source, 0.0);
        let end = loop {
            let column = search.scan(row, regret, self.scores_of(row), &self.row_of);
            if self.row_of[column] == FREE {
                break column;
            }
            row = self.row_of[column];
            // The row has its column at no regret: s − price there is what it gets, its u.
            let gets = f64::from(self.scores_of(row)[column]) - self.price[column];
            regret = search.lowest + gets;
        };
        search.visited.iter().for_each(|&(column, at)| self.price[column] += search.lowest - at);
        self.exchange(source, end, &search.from);
    }

    /// Gives every row on the path that ends at `column` the column after it.
    fn exchange(&mut self, source: usize, mut column: usize, from: &[usize]) {
        loop {
            let row = from[column];
            self.row_of[column] = row;
            std::mem::swap(&mut self.column_of[row], &mut column);
            if row == source {
                return;
            }
        }
    }
}

/// Dijkstra from one row to the columns.
struct Search {
    open: Vec<f64>,             // [m] shortest path known so far; ∞ for visited columns
    cost: Vec<f64>,             // [m] the column's price; ∞ for visited columns
    from: Vec<usize>,           // [m] the row before the column
    visited: Vec<(usize, f64)>, // columns with owners, with the length of their path
    lowest: f64,                // length of the path to the last column
}

impl Search {
    fn new(price: &[f64]) -> Search {
        let m = price.len();
        Search {
            open: vec![f64::INFINITY; m],
            cost: price.to_vec(),
            from: vec![FREE; m],
            visited: Vec::new(),
            lowest: 0.0,
        }
    }

    /// Extends paths over `row`, whose own length plus u is `regret`; closes and returns the nearest column, a free one if
    /// there are several.
    fn scan(&mut self, row: usize, regret: f64, scores: &[f32], row_of: &[usize]) -> usize {
        let (mut nearest, mut low) = (FREE, f64::INFINITY);
        for (column, &score) in scores.iter().enumerate() {
            let length = regret - f64::from(score) + self.cost[column];
            if length < self.open[column] {
                (self.open[column], self.from[column]) = (length, row);
            }
            let open = self.open[column];
            if open < low || (open == low && row_of[column] == FREE && open < f64::INFINITY) {
                (nearest, low) = (column, open);
            }
        }
        self.lowest = low;
        if row_of[nearest] != FREE {
            self.visited.push((nearest, low));
        }
        (self.open[nearest], self.cost[nearest]) = (f64::INFINITY, f64::INFINITY);
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(scores: &[f32], columns: usize, column_of: &[Option<usize>]) -> f64 {
        let score =
            |(row, column): (usize, &Option<usize>)| column.map(|c| f64::from(scores[row * columns + c]));
        column_of.iter().enumerate().filter_map(score).sum()
    }

    /// The largest total over all ways to pair, by trying them all.
    fn brute_force(scores: &[f32], rows: usize, columns: usize, used: &mut Vec<bool>, skips: usize) -> f64 {
        if rows == 0 {
            return 0.0;
        }
        let row = &scores[..columns];
        let rest = &scores[columns..];
        let mut most = f64::NEG_INFINITY;
        if skips > 0 {
            most = brute_force(rest, rows - 1, columns, used, skips - 1);
        }
        for column in 0..columns {
            if !used[column] {
                used[column] = true;
                most = most.max(f64::from(row[column]) + brute_force(rest, rows - 1, columns, used, skips));
                used[column] = false;
            }
        }
        most
    }

    fn check(scores: &[f32], rows: usize, columns: usize) {
        check_found(scores, rows, columns, &assignment(scores, rows, columns));
        for bids in 0..if rows <= columns { 3 } else { 0 } {
            let column_of = solve(scores, rows, columns, bids).column_of.into_iter().map(Some);
            let column_of: Vec<_> = column_of.collect();
            check_found(scores, rows, columns, &column_of);
        }
    }

    fn check_found(scores: &[f32], rows: usize, columns: usize, column_of: &[Option<usize>]) {
        let mut taken: Vec<usize> = column_of.iter().flatten().copied().collect();
        taken.sort_unstable();
        taken.dedup();
        assert_eq!((column_of.len(), taken.len()), (rows, rows.min(columns)));
        let most =
            brute_force(scores, rows, columns, &mut vec![false; columns], rows.saturating_sub(columns));
        let found = total(scores, columns, column_of);
        assert!((found - most).abs() < 1e-9, "{rows} × {columns}: {found}, not {most}: {scores:?}");
    }

    proptest! {
        #[test]
        fn no_pairing_is_better(rows in 0usize..7, columns in 0usize..7, seed in any::<u64>()) {
            check(&random(rows * columns, seed, 1 << 20), rows, columns);
        }

        /// Small integers: ties everywhere.
        #[test]
        fn no_pairing_is_better_with_ties(rows in 0usize..7, columns in 0usize..7, seed in any::<u64>()) {
            check(&random(rows * columns, seed, 3), rows, columns);
        }
    }

    /// Multiples of 1/1024 with `values` different ones, negative too.
    fn random(count: usize, seed: u64, values: u64) -> Vec<f32> {
        use rand_chacha::{
            ChaCha8Rng,
            rand_core::{RngCore, SeedableRng},
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| ((rng.next_u64() % values) as f32 - (values / 2) as f32) / 1024.0).collect()
    }

    /// Prices ≥ 0, 0 where nobody bought, at which each row wants what it has: then no pairing has a larger total, because any
    /// total is at most Σ u_i + Σ price_j. Random scores, scores that are mostly 0, and scores with few values.
    #[test]
    fn prices_prove_it_where_brute_force_cannot_reach() {
        let (n, m) = (120, 150);
        let uniform = random(n * m, 1, 1 << 20);
        let sparse: Vec<f32> = uniform.iter().map(|&s| (s - 400.0).max(0.0)).collect();
        for scores in [uniform, sparse, random(n * m, 2, 5)] {
            for bids in [0, 1, BIDS] {
                let market = solve(&scores, n, m, bids);
                for j in 0..m {
                    assert!(market.price[j] >= 0.0 && (market.row_of[j] != FREE || market.price[j] == 0.0));
                }
                for i in 0..n {
                    let gain = |j: usize| f64::from(scores[i * m + j]) - market.price[j];
                    let most = (0..m).map(gain).fold(f64::NEG_INFINITY, f64::max);
                    assert!(gain(market.column_of[i]) >= most - 1e-9, "row {i}, {bids} bids");
                    assert_eq!(market.row_of[market.column_of[i]], i);
                }
            }
        }
    }

    /// Greedy takes 9 + 1; exchanging gives 8 + 7.
    #[test]
    fn gives_up_the_largest_for_the_sum() {
        assert_eq!(assignment(&[9.0, 8.0, 7.0, 1.0], 2, 2), [Some(1), Some(0)]);
    }

    /// A shuffled identity of a size that has many augmenting paths, under noise too small to change it.
    #[test]
    fn finds_a_planted_permutation() {
        let (n, m) = (211, 300);
        let mut scores = random(n * m, 5, 512);
        let column = |row: usize| row * 97 % m;
        (0..n).for_each(|row| scores[row * m + column(row)] += 2.0);
        let expect: Vec<Option<usize>> = (0..n).map(|row| Some(column(row))).collect();
        assert_eq!(assignment(&scores, n, m), expect);
    }
}
