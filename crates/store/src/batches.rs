//! Batch s as a pure function of (seed, s): row r of the endless stream belongs to epoch r div R (R = rows of an epoch),
//! there to one pool, there to one place. One pool and one batch are in memory, whatever the size of the source.

use crate::{EpochPlan, Order, RowSource, SourceError, StoreError};
use rayon::prelude::*;
use std::ops::Range;

/// Serves batches of a source in an order. Fields are private: pool, plan and position agree at all times.
#[derive(Debug)]
pub struct Batches<S: RowSource> {
    source: S,
    order: Order,
    batch_rows: usize,
    rows_per_epoch: u64,
    /// First row of the next batch in the endless stream.
    next_row: u64,
    plan: Option<EpochPlan>,
    pool: Pool,
    /// Per site `[batch_rows, D]`.
    batch: Vec<Vec<f32>>,
}

/// The pool in memory.
#[derive(Debug, Default)]
struct Pool {
    /// Its rows in the endless stream; empty when nothing is loaded.
    range: Range<u64>,
    /// Which row stands at each place.
    permutation: Vec<u32>,
    /// Per site `[rows, D]`, in window order.
    rows: Vec<Vec<f32>>,
}

impl<S: RowSource> Batches<S> {
    /// Batches of `batch_rows` rows, from step 0. Errors: no rows in the source, a batch or a pool of 0 rows.
    pub fn new(source: S, order: Order, batch_rows: usize) -> Result<Self, StoreError> {
        if batch_rows == 0 || order.pool_rows == 0 {
            return Err(StoreError::Zero { what: if batch_rows == 0 { "a batch" } else { "a pool" } });
        }
        let rows_per_epoch = source.window_rows().iter().map(|&r| u64::from(r)).sum();
        if rows_per_epoch == 0 {
            return Err(StoreError::NoRows { windows: source.window_rows().len() });
        }
        let batch: Vec<_> = source.sites().iter().map(|s| vec![0.0; batch_rows * s.width]).collect();
        let pool = Pool { rows: vec![Vec::new(); batch.len()], ..Pool::default() };
        Ok(Batches { source, order, batch_rows, rows_per_epoch, next_row: 0, plan: None, pool, batch })
    }

    /// [`Batches::next`] then gives batch `step`. Costs nothing until then.
    pub fn seek(&mut self, step: u64) {
        self.next_row = step.checked_mul(self.batch_rows as u64).expect("a run has fewer than 2⁶⁴ rows");
    }

    /// The step that [`Batches::next`] gives.
    pub fn step(&self) -> u64 {
        self.next_row / self.batch_rows as u64
    }

    /// The next batch, per site `[batch_rows, D]`. After an error the position is unchanged.
    #[allow(clippy::should_implement_trait)] // it lends its buffer, which an iterator cannot
    pub fn next(&mut self) -> Result<&[Vec<f32>], SourceError> {
        self.fill(self.batch_rows)?;
        self.next_row += self.batch_rows as u64;
        Ok(&self.batch)
    }

    /// Shows the first `rows` rows of the order, or those of one epoch if that has fewer, to `see`: per site `[n, D]`, at most
    /// a batch at a time. Reads no pool that holds none of them, and leaves the position as it was. Returns how many there were.
    pub fn first(&mut self, rows: u64, mut see: impl FnMut(&[&[f32]])) -> Result<u64, SourceError> {
        let rows = rows.min(self.rows_per_epoch);
        let position = std::mem::take(&mut self.next_row);
        let shown = self.show(rows, &mut see);
        self.next_row = position;
        shown.map(|()| rows)
    }

    fn show(&mut self, rows: u64, see: &mut impl FnMut(&[&[f32]])) -> Result<(), SourceError> {
        while self.next_row < rows {
            let count = (rows - self.next_row).min(self.batch_rows as u64) as usize;
            self.fill(count)?;
            let sites = self.batch.iter().zip(self.source.sites());
            see(&sites.map(|(batch, site)| &batch[..count * site.width]).collect::<Vec<_>>());
            self.next_row += count as u64;
        }
        Ok(())
    }

    /// The next `rows` rows become the first of the batch.
    fn fill(&mut self, rows: usize) -> Result<(), SourceError> {
        let mut filled = 0;
        while filled < rows {
            let row = self.next_row + filled as u64;
            self.load(row)?;
            let count = ((self.pool.range.end - row) as usize).min(rows - filled);
            self.gather((row - self.pool.range.start) as usize, filled, count);
            filled += count;
        }
        Ok(())
    }

    /// Rows that one visit of every window gives.
    pub fn rows_per_epoch(&self) -> u64 {
        self.rows_per_epoch
    }

    /// Rows of a batch.
    pub fn batch_rows(&self) -> usize {
        self.batch_rows
    }

    /// The source.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Makes `row` of the endless stream lie in the pool.
    fn load(&mut self, row: u64) -> Result<(), SourceError> {
        if self.pool.range.contains(&row) {
            return Ok(());
        }
        let (epoch, in_epoch) = (row / self.rows_per_epoch, row % self.rows_per_epoch);
        if self.plan.as_ref().is_none_or(|plan| plan.epoch != epoch) {
            self.plan = Some(self.order.epoch(epoch, self.source.window_rows()));
        }
        let plan = self.plan.as_ref().expect("just planned");
        let index = plan.pool_of(in_epoch);
        self.pool.range = 0..0; // stays empty if reading fails
        self.source.read(plan.pool_windows(index), &mut self.pool.rows)?;
        let range = plan.pool_range(index);
        let rows = (range.end - range.start) as usize;
        for (site, values) in self.source.sites().iter().zip(&self.pool.rows) {
            assert_eq!(values.len(), rows * site.width, "a source must fill site {}", site.site);
        }
        self.pool.permutation = self.order.pool_permutation(epoch, index, rows);
        let base = epoch * self.rows_per_epoch;
        self.pool.range = base + range.start..base + range.end;
        Ok(())
    }

    /// Copies `count` places of the pool, from `place` on, into the batch from row `to` on.
    fn gather(&mut self, place: usize, to: usize, count: usize) {
        let places = &self.pool.permutation[place..place + count];
        let sites = self.source.sites().iter().map(|s| s.width).zip(&self.pool.rows).zip(&mut self.batch);
        sites.collect::<Vec<_>>().into_par_iter().for_each(|((width, rows), batch)| {
            let out = &mut batch[to * width..(to + count) * width];
            for (out, &row) in out.chunks_exact_mut(width).zip(places) {
                out.copy_from_slice(&rows[row as usize * width..][..width]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SiteRows;
    use proptest::prelude::*;

    /// Row r of window w at site s is (w, r, s) in so many columns; counts its reads.
    #[derive(Debug)]
    struct Numbered {
        sites: Vec<SiteRows>,
        rows: Vec<u32>,
        reads: usize,
    }

    fn numbered(rows: &[u32]) -> Numbered {
        let site = |site: &str, width| SiteRows { site: site.into(), width };
        Numbered { sites: vec![site("0.res", 2), site("1.mlp", 3)], rows: rows.to_vec(), reads: 0 }
    }

    impl RowSource for Numbered {
        fn sites(&self) -> &[SiteRows] {
            &self.sites
        }
        fn window_rows(&self) -> &[u32] {
            &self.rows
        }
        fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
            self.reads += 1;
            for (s, out) in out.iter_mut().enumerate() {
                out.clear();
                for &w in windows {
                    for r in 0..self.rows[w as usize] {
                        out.extend_from_slice(&[w as f32, r as f32, s as f32][..self.sites[s].width]);
                    }
                }
            }
            Ok(())
        }
    }

    fn batches(rows: &[u32], seed: u64, pool_rows: usize, batch_rows: usize) -> Batches<Numbered> {
        Batches::new(numbered(rows), Order { seed, pool_rows }, batch_rows).unwrap()
    }

    proptest! {
        /// Odd sizes, pools smaller and larger than a batch, one-window sources, windows without rows.
        #[test]
        fn seeking_equals_running(seed: u64, pool_rows in 1usize..30, batch_rows in 1usize..20,
                                  mut rows in proptest::collection::vec(0u32..7, 1..12)) {
            rows[0] += 1;
            let mut straight = batches(&rows, seed, pool_rows, batch_rows);
            let run: Vec<Vec<Vec<f32>>> = (0..12).map(|_| straight.next().unwrap().to_vec()).collect();
            let mut seeking = batches(&rows, seed, pool_rows, batch_rows);
            for step in [11u64, 3, 4, 0, 7, 7] {
                seeking.seek(step);
                prop_assert_eq!(seeking.step(), step);
                prop_assert_eq!(seeking.next().unwrap(), &run[step as usize][..]);
            }
            // the same stream in batches of one row, cut by hand
            let mut single = batches(&rows, seed, pool_rows, 1);
            for row in run.iter().flat_map(|b| b[0].chunks(2)) {
                prop_assert_eq!(&single.next().unwrap()[0][..], row);
            }
        }

        /// An epoch gives every row once, at both sites alike, and the next epoch another order.
        #[test]
        fn an_epoch_gives_every_row_once(seed: u64, pool_rows in 1usize..50) {
            let rows = [3, 0, 5, 1, 4, 0, 2, 6, 9];
            let mut b = batches(&rows, seed, pool_rows, 30);
            prop_assert_eq!(b.rows_per_epoch(), 30);
            let sorted = |batch: &[f32]| {
                let mut all: Vec<_> = batch.chunks(2).map(|r| (r[0] as u32, r[1] as u32)).collect();
                all.sort();
                all
            };
            let expected: Vec<_> = (0..9).flat_map(|w| (0..rows[w as usize]).map(move |r| (w, r))).collect();
            let first = b.next().unwrap().to_vec();
            prop_assert_eq!(sorted(&first[0]), expected.clone());
            for (a, c) in first[0].chunks(2).zip(first[1].chunks(3)) {
                prop_assert_eq!(&[a[0], a[1], 1.0][..], c);
            }
            let second = b.next().unwrap().to_vec();
            prop_assert_eq!(sorted(&second[0]), expected);
            prop_assert_ne!(first, second);
        }
    }

    /// By the order's own rule the first pool of these windows has rows until 7 are reached; what is measured on 7 rows and trained
    /// on then is read once, though batches of 5 rows do not end with it.
    #[test]
    fn what_is_measured_on_the_first_pool_is_read_once() {
        let mut b = batches(&[3, 4, 5, 1, 4, 2, 6, 1], 5, 7, 5);
        for _ in 0..3 {
            let mut seen = Vec::new();
            assert_eq!(b.first(7, |sites| seen.extend(sites[0].to_vec())).unwrap(), 7);
            assert_eq!((seen.len(), b.step(), b.source().reads), (14, 0, 1));
        }
        b.next().unwrap();
        assert_eq!(b.source().reads, 1);
        assert_eq!(b.first(1_000, |_| ()).unwrap(), 26, "an epoch has no more");
        assert_eq!(b.step(), 1);
    }

    /// The definition once more, without any cleverness: concatenate permuted pools of permuted windows.
    #[test]
    fn follows_the_definition() {
        let rows = [3, 0, 5, 1, 4, 0, 2, 6, 1];
        let order = Order { seed: 5, pool_rows: 7 };
        let mut expected = Vec::new();
        for epoch in 0..3 {
            let plan = order.epoch(epoch, &rows);
            for p in 0..plan.pools() {
                let pool: Vec<_> = plan
                    .pool_windows(p)
                    .iter()
                    .flat_map(|&w| (0..rows[w as usize]).map(move |r| (w, r)))
                    .collect();
                expected
                    .extend(order.pool_permutation(epoch, p, pool.len()).iter().map(|&r| pool[r as usize]));
            }
        }
        let mut b = batches(&rows, 5, 7, 11);
        for want in expected.chunks_exact(11) {
            let got: Vec<_> = b.next().unwrap()[0].chunks(2).map(|r| (r[0] as u32, r[1] as u32)).collect();
            assert_eq!(got, want);
        }
        let pools: usize = (0..3).map(|e| order.epoch(e, &rows).pools()).sum();
        assert!(b.source().reads <= pools, "each pool is read once: {} reads", b.source().reads);
    }

    #[test]
    fn sources_without_rows_are_refused() {
        let order = Order { seed: 0, pool_rows: 8 };
        let error = Batches::new(numbered(&[0, 0]), order, 4).unwrap_err().to_string();
        assert!(error.contains("found 2 windows without any row"), "{error}");
        let error = Batches::new(numbered(&[3]), order, 0).unwrap_err().to_string();
        assert!(error.contains("a batch of at least 1 row"), "{error}");
    }
}
