//! The k largest pre-activations of each row, or the k·N largest of a batch, without an [N, F] buffer.
//!
//! Only z > 0 can be chosen (relu makes the rest 0). The encoder keeps what is above a guess, usually a little below what
//! the last batch chose at least, and the k best of that are the k best of all, if there are k. Where there are too few, the
//! rows that lack some are encoded again above 0. So the choice is exact for every guess; only its cost depends on it.
//! Features come in blocks; between blocks no row (batch) holds more than k (k·N) entries.
//!
//! Dead features are kept above 0, apart: AuxK takes the k_aux best of them, whatever else was chosen.

use crate::View;
use lapidary_kernels::{Csr, Device};
use rayon::prelude::*;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

/// How many are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Keep {
    /// k of each row.
    OfRow(usize),
    /// k·N of the batch.
    OfBatch(usize),
}

/// (row, feature, z)
type Entry = (u32, u32, f32);

/// Largest first, then lower row, then lower feature. NaN is largest, so that it reaches the loss.
fn order(a: &Entry, b: &Entry) -> Ordering {
    let key = |z: f32| if z.is_nan() { f32::INFINITY } else { z };
    key(b.2).total_cmp(&key(a.2)).then(a.0.cmp(&b.0)).then(a.1.cmp(&b.1))
}

/// Leaves the `k` best, in no order.
fn cut(entries: &mut Vec<Entry>, k: usize) {
    if k == 0 {
        entries.clear();
    } else if entries.len() > k {
        entries.select_nth_unstable_by(k - 1, order);
        entries.truncate(k);
    }
}

/// What is asked of a batch.
pub(crate) struct Select<'a> {
    /// x' [N, D]
    pub input: &'a [f32],
    pub parameters: &'a View<'a>,
    /// D
    pub d: usize,
    pub keep: Keep,
    /// Which features are dead [F], and how many of them may help in a row.
    pub dead: Option<(&'a [bool], usize)>,
    /// Any number; see above.
    pub guess: f32,
    pub blocks: &'a [Range<usize>],
    pub device: Device,
}

/// What was found.
pub(crate) struct Selection {
    /// z of the chosen features [N, F].
    pub main: Csr,
    /// z of the dead features that are to be brought back [N, F].
    pub dead: Option<Csr>,
    /// A guess for the next batch.
    pub guess: f32,
    /// Entries that the encoder kept.
    pub entries: usize,
}

/// The candidates of each row.
struct Best {
    rows: Vec<Vec<Entry>>,
    keep: Keep,
}

impl Best {
    fn new(rows: usize, keep: Keep) -> Best {
        Best { rows: vec![Vec::new(); rows], keep }
    }

    /// Leaves those that can still be chosen.
    fn cut(&mut self) {
        match self.keep {
            Keep::OfRow(k) => self.rows.par_iter_mut().for_each(|row| cut(row, k)),
            Keep::OfBatch(k) if self.count() > k * self.rows.len() => {
                let mut all = self.rows.concat();
                cut(&mut all, k * self.rows.len());
                self.rows.iter_mut().for_each(Vec::clear);
                all.into_iter().for_each(|e| self.rows[e.0 as usize].push(e));
            }
            Keep::OfBatch(_) => {}
        }
    }

    fn count(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    /// Rows that may lack entries because the encoder did not keep them.
    fn lacking(&self) -> Vec<u32> {
        let n = self.rows.len();
        match self.keep {
            Keep::OfRow(k) => (0..n as u32).filter(|&i| self.rows[i as usize].len() < k).collect(),
            Keep::OfBatch(k) => (0..if self.count() < k * n { n as u32 } else { 0 }).collect(),
        }
    }

    /// Features ascending.
    fn into_csr(mut self, columns: usize) -> Csr {
        self.rows.par_iter_mut().for_each(|row| row.sort_unstable_by_key(|e| e.1));
        let mut out = Csr::with_columns(columns);
        for row in &self.rows {
            out.index.extend(row.iter().map(|e| e.1));
            out.value.extend(row.iter().map(|e| e.2));
            out.row_start.push(out.index.len());
        }
        out
    }
}

impl Select<'_> {
    pub(crate) fn run(&self) -> Selection {
        let n = self.input.len() / self.d;
        let mut main = Best::new(n, self.keep);
        let mut dead = self.dead.map(|(_, k)| Best::new(n, Keep::OfRow(k)));
        let all: Vec<u32> = (0..n as u32).collect();
        let guess = self.guess.max(0.0); // NaN becomes 0
        let mut entries = self.offer(&all, guess, &mut main, dead.as_mut());
        let lacking = if guess > 0.0 { main.lacking() } else { Vec::new() };
        if !lacking.is_empty() {
            lacking.iter().for_each(|&row| main.rows[row as usize].clear());
            entries += self.offer(&lacking, 0.0, &mut main, None);
        }
        let guess = 0.9 * self.next_guess(&main);
        let width = self.parameters.b_enc.len();
        let dead = dead.map(|dead| dead.into_csr(width));
        Selection { main: main.into_csr(width), dead, guess, entries }
    }

    /// Encodes `rows` of the input, and offers what is above `lo` to them. Returns the entries.
    fn offer(&self, rows: &[u32], lo: f32, main: &mut Best, mut dead: Option<&mut Best>) -> usize {
        let (p, d) = (self.parameters, self.d);
        let input: Cow<'_, [f32]> = if rows.len() * d == self.input.len() {
            self.input.into()
        } else {
            rows.iter().flat_map(|&n| &self.input[n as usize * d..][..d]).copied().collect()
        };
        let is_dead = self.dead.filter(|_| dead.is_some()).map(|(dead, _)| dead);
        let lows: Vec<f32> =
            (0..p.b_enc.len()).map(|j| if is_dead.is_some_and(|dead| dead[j]) { 0.0 } else { lo }).collect();
        let mut entries = 0;
        for block in self.blocks {
            let (w_enc, b_enc) = (&p.w_enc[block.start * d..block.end * d], &p.b_enc[block.clone()]);
            let z = self.device.encode(&input, w_enc, b_enc, &lows[block.clone()], d);
            entries += z.index.len();
            fill(main, rows, &z, block.start, |_, z| !(z <= lo));
            if let (Some(dead), Some(is_dead)) = (dead.as_deref_mut(), is_dead) {
                fill(dead, rows, &z, block.start, |j, _| is_dead[j]);
            }
        }
        entries
    }

    /// Of the batch: what was chosen at least. Of rows: what all but one in fifty chose at least.
    fn next_guess(&self, main: &Best) -> f32 {
        if let Keep::OfBatch(_) = self.keep {
            return main.rows.iter().flatten().map(|e| e.2).min_by(f32::total_cmp).unwrap_or(0.0);
        }
        let least_of = |row: &Vec<Entry>| row.iter().map(|e| e.2).min_by(f32::total_cmp).unwrap_or(0.0);
        let mut least: Vec<f32> = main.rows.iter().map(least_of).collect();
        least.sort_unstable_by(f32::total_cmp);
        least.get(least.len() / 50).copied().unwrap_or(0.0)
    }
}

/// Adds the entries of a block, `z` of the rows numbered `rows` (ascending), that `accept` wants, and cuts.
fn fill(best: &mut Best, rows: &[u32], z: &Csr, first: usize, accept: impl Fn(usize, f32) -> bool + Sync) {
    best.rows.par_iter_mut().enumerate().for_each(|(n, list)| {
        let n = n as u32;
        let Ok(at) = rows.binary_search(&n) else { return };
        let (features, values) = z.row(at);
        let entries = features.iter().zip(values).map(|(&j, &z)| (n, first as u32 + j, z));
        list.extend(entries.filter(|e| accept(e.1 as usize, e.2)));
    });
    best.cut();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{Limits, blocks};
    use proptest::prelude::*;

    fn noise(seed: u64, n: usize) -> Vec<f32> {
        // Few distinct values, so that there are ties.
        (0..n)
            .map(|i| ((i as f64 * 0.7391 + seed as f64).sin() * 43.7).fract() as f32)
            .map(|v| (v * 8.0).round() / 8.0)
            .collect()
    }

    /// By sorting everything.
    fn naive(z: &[f32], width: usize, keep: Keep) -> Vec<Entry> {
        let mut all: Vec<Entry> = z
            .iter()
            .enumerate()
            .map(|(i, &z)| ((i / width) as u32, (i % width) as u32, z))
            .filter(|e| !(e.2 <= 0.0))
            .collect();
        all.sort_by(order);
        let mut taken = vec![0; z.len() / width];
        let mut chosen: Vec<Entry> = match keep {
            Keep::OfBatch(k) => all.into_iter().take(k * z.len() / width).collect(),
            Keep::OfRow(k) => all
                .into_iter()
                .filter(|e| {
                    taken[e.0 as usize] += 1;
                    taken[e.0 as usize] <= k
                })
                .collect(),
        };
        chosen.sort_by_key(|e| (e.0, e.1));
        chosen
    }

    fn entries(csr: &Csr) -> Vec<(u32, u32, u32)> {
        let row =
            |n: usize| csr.row(n).0.iter().zip(csr.row(n).1).map(move |(&j, z)| (n as u32, j, z.to_bits()));
        (0..csr.rows()).flat_map(row).collect()
    }

    proptest! {
        #[test]
        fn exact_for_every_guess_and_block(
            seed in 0u64..1000, n in 1usize..20, d in 1usize..9, width in 1usize..90, k in 0usize..20,
            guess in prop::sample::select(vec![-1.0, 0.0, 0.2, 0.7, 2.0, 1e9, f32::NAN]),
            of_row: bool, block in 1usize..400, odd in prop::sample::select(vec![0.5, f32::NAN, f32::INFINITY]),
        ) {
            let mut input = noise(seed, n * d);
            input[0] = odd;
            let plan = crate::DictionaryPlan::test(d, width);
            let mut p = crate::Parameters::zeros(&plan);
            p.w_enc = noise(seed + 1, width * d);
            p.b_enc = noise(seed + 2, width);
            let mut z = vec![0.0; n * width];
            let device = Device::detect();
            device.linear(&input, &p.w_enc, Some(&p.b_enc), d, &mut z);
            let keep = if of_row { Keep::OfRow(k) } else { Keep::OfBatch(k) };
            let dead: Vec<bool> = (0..width).map(|j| j % 3 == 0).collect();
            let blocks = blocks(width, 400, Limits { block, kept: 0 });
            let select = Select { input: &input, parameters: &p.view(), d, keep, dead: Some((&dead, 2)), guess, blocks: &blocks, device };
            let found = select.run();
            let bits = |e: Vec<Entry>| e.into_iter().map(|(n, j, z)| (n, j, z.to_bits())).collect::<Vec<_>>();
            prop_assert_eq!(entries(&found.main), bits(naive(&z, width, keep)));
            let of_dead: Vec<f32> = z.iter().enumerate().map(|(i, &z)| if dead[i % width] { z } else { 0.0 }).collect();
            prop_assert_eq!(entries(&found.dead.unwrap()), bits(naive(&of_dead, width, Keep::OfRow(2))));
        }
    }
}
