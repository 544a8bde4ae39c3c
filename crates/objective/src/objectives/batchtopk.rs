//! BatchTopK (Bussmann et al. 2024, arXiv 2412.06410): f = relu(z) of the k·N largest z of a batch, ties by lower row, then by
//! lower feature; so rows may have more or fewer than k features.
//!
//! Used alone, a row has no batch: one threshold θ for all features takes its place, and the dictionary is released as a
//! JumpReLU. θ is fitted once, after the last step, to the final parameters, on the N rows of the last n batches:
//!
//!   θ = the (k·N + 1)-th largest of all max(z, 0)      n = ⌈min(2¹⁴, 2²²/k) / batch⌉
//!
//! so that exactly k·N pre-activations lie above it (bar ties), and a mean of k in a row: what the objective itself would
//! choose if those rows were one batch. A run of fewer than n steps takes its first n batches, though it was not trained on
//! all of them. θ is a function of the final parameters and of the order of rows, so a resumed run finds the same bits. At
//! most 2·(k·N + 1) numbers are held: 34 MB, unless one batch alone has more than 2²² entries. A dictionary that was given
//! up has no θ.
//!
//! SAELens keeps a running mean of each batch's smallest chosen value instead, from 0 with weight .01 for the new one. That
//! mean remembers parameters which have moved since, and after 29 steps has come a quarter of the way (1 − .99²⁹), so that
//! far too many features fire. A mean that begins as the first value errs the other way: thresholds fall while a dictionary
//! learns. Differs from the paper otherwise: see `topk.rs`.

use crate::blocks::{Limits, blocks};
use crate::workspace::divide;
use crate::{Batch, DictionaryPlan, View};
use lapidary_kernels::Device;
use std::ops::Range;

/// Rows that θ is fitted on, where k allows it.
const FIT_ROWS: usize = 1 << 14;
/// Entries that θ is fitted on, k for each row; one batch has more where k is large.
const FIT_ENTRIES: usize = 1 << 22;

/// The batches that θ is fitted on, of a run of `steps` batches of `batch` rows.
pub fn fitted_on(k: usize, batch: usize, steps: u64) -> Range<u64> {
    let rows = (FIT_ENTRIES / k.max(1)).clamp(1, FIT_ROWS);
    let n = rows.div_ceil(batch) as u64;
    let first = steps.saturating_sub(n);
    first..first + n
}

/// The largest of many numbers above 0, of which no more than twice as many are held as are wanted.
pub struct Largest {
    wanted: usize,
    held: Vec<f32>,
    floor: f32,
}

impl Largest {
    /// Of nothing yet.
    pub fn new(wanted: usize) -> Largest {
        Largest { wanted, held: Vec::new(), floor: 0.0 }
    }

    /// Nothing at or below it changes [`Largest::least`] any more.
    pub(crate) fn floor(&self) -> f32 {
        self.floor
    }

    /// Takes note of `values`; NaN is none.
    pub(crate) fn offer(&mut self, values: &[f32]) {
        for &value in values {
            if value > self.floor {
                self.held.push(value);
            }
            if self.held.len() >= 2 * self.wanted {
                self.cut();
            }
        }
    }

    /// Takes note of every z > 0 of a batch, block by block.
    pub fn offer_batch(&mut self, p: &View<'_>, plan: &DictionaryPlan, batch: Batch<'_>, device: Device) {
        let mut x = Vec::new();
        divide(batch.input, plan.c, &mut x);
        if plan.has_pre_bias() {
            x.chunks_exact_mut(plan.d).for_each(|x| x.iter_mut().zip(p.b_dec).for_each(|(x, b)| *x -= b));
        }
        let expected = x.len() / plan.d * plan.width / 2;
        for block in blocks(plan.width, expected, Limits::USUAL) {
            let w_enc = &p.w_enc[block.start * plan.d..block.end * plan.d];
            let lo = vec![self.floor(); block.len()];
            self.offer(&device.encode(&x, w_enc, &p.b_enc[block.clone()], &lo, plan.d).value);
        }
    }

    fn cut(&mut self) {
        let last = self.wanted - 1;
        self.floor = *self.held.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1;
        self.held.truncate(self.wanted);
    }

    /// The last of the wanted ones; 0 where there are fewer.
    pub fn least(mut self) -> f32 {
        if self.held.len() < self.wanted {
            return 0.0;
        }
        self.cut();
        self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive;
    use proptest::prelude::*;

    #[test]
    fn the_last_batches_are_fitted_on_or_the_first_where_there_are_too_few() {
        assert_eq!(fitted_on(64, 2_048, 1_000), 992..1_000);
        assert_eq!(fitted_on(64, 2_048, 3), 0..8);
        assert_eq!(fitted_on(1 << 20, 2_048, 1_000), 999..1_000);
        assert_eq!(fitted_on(10, 5_000, 9), 5..9);
    }

    proptest! {
        /// In any portions, with ties, as by sorting.
        #[test]
        fn the_threshold_is_that_of_sorting(numbers in prop::collection::vec(-20i32..40, 1..300), k in 0usize..12, portion in 1usize..50) {
            let z: Vec<f32> = numbers.iter().map(|&n| n as f32 / 8.0).collect();
            let rows = z.len().div_ceil(12);
            let mut largest = Largest::new(k * rows + 1);
            z.chunks(portion).for_each(|z| largest.offer(z));
            let wide: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
            prop_assert_eq!(f64::from(largest.least()), naive::batch_threshold(&wide, rows, k));
        }
    }
}
