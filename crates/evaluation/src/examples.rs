//! Are the places where a feature fires alike? Two scores of interpretability without a judge, in which the model's own residual
//! stream stands in for one that reads: every row has an embedding [E], and places are compared by the cosine of theirs.
//!
//! *Intruder* (after Paulo & Belrose 2025): four rows where the feature fires and one where it does not, each of another document; the
//! one whose mean cosine with the other four is smallest is named the intruder. The score is the share of trials in which that
//! is so; naming one by lot has 0.2.
//!
//! *Example embedding* (after delphi's embedding score): some firing rows and as many others are shown, of one half of the
//! documents. Rows of the other half are scored by mean cosine with the shown firing ones less that with the shown others;
//! the AUROC of that score, firing rows against others. Chance has 0.5.
//!
//! Firing rows are drawn from those where the feature is at its strongest, [`Options::strongest`] of all; other rows are any in which it
//! does not fire. The embedding should not be the row that the feature reads, or the feature is compared with itself: [`smoothed`]
//! makes one of a later site. Features that fire in too few documents for a trial are left out.

use crate::Interval;
use crate::columns::Columns;
use lapidary_stats::{auroc, bootstrap};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How examples are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Share of the firing rows that examples are drawn from, the strongest.
    pub strongest: f64,
    /// Trials of the intruder for a feature.
    pub trials: usize,
    /// Firing rows, and others, that are shown.
    pub shown: usize,
    /// Firing rows, and others, that are scored.
    pub scored: usize,
    /// Of all draws.
    pub seed: u64,
}

impl Options {
    /// The usual ones.
    pub fn standard(seed: u64) -> Options {
        Options { strongest: 0.5, trials: 20, shown: 5, scored: 10, seed }
    }
}

/// Rows and their embeddings.
#[derive(Clone, Copy, Debug)]
pub struct Embedded<'a> {
    /// [N, E], each of length 1 (see [`smoothed`]).
    pub rows: &'a [f32],
    /// E.
    pub e: usize,
    /// Document of each row [N]; the rows of a document are consecutive.
    pub documents: &'a [u32],
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alike {
    /// Which.
    pub feature: u32,
    /// Share of trials in which the intruder was named; none with too few documents.
    pub intruder: Option<f64>,
    /// AUROC; none with too few documents.
    pub embedding: Option<f64>,
}

/// Embeddings of rows x [N, E] of a late site: the mean over up to `back` + 1 rows of the window that end in each, less the mean of all, at length
/// 1. `windows` [N] says which rows are of one window.
pub fn smoothed(x: &[f32], e: usize, windows: &[u32], back: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; x.len()];
    for n in 0..windows.len() {
        for k in (0..=back.min(n)).filter(|k| windows[n - k] == windows[n]) {
            let row = &x[(n - k) * e..][..e];
            sums[n * e..][..e].iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let within = (0..=back.min(n)).filter(|k| windows[n - k] == windows[n]).count() as f64;
        sums[n * e..][..e].iter_mut().for_each(|sum| *sum /= within);
    }
    let mut mean = vec![0.0; e];
    sums.chunks_exact(e).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += x));
    mean.iter_mut().for_each(|m| *m /= windows.len() as f64);
    sums.chunks_exact(e).flat_map(|row| unit(row, &mean)).collect()
}

/// x − μ at length 1; zeros where they are equal.
fn unit(row: &[f64], mean: &[f64]) -> Vec<f32> {
    let centred: Vec<f64> = row.iter().zip(mean).map(|(x, m)| x - m).collect();
    let norm = centred.iter().map(|x| x * x).sum::<f64>().sqrt();
    centred.iter().map(|x| if norm > 0.0 { (x / norm) as f32 } else { 0.0 }).collect()
}

/// Both scores of `chosen` features.
pub fn alike(embedded: Embedded<'_>, columns: &Columns, chosen: &[u32], options: &Options) -> Vec<Alike> {
    let starts = crate::halves::document_starts(embedded.documents);
    let is_shown = crate::halves(embedded.documents, options.seed);
    let one = |&feature: &u32| {
        let (fires, values) = columns.feature(feature as usize);
        let mut draw = Draw {
            rng: ChaCha8Rng::seed_from_u64(options.seed ^ (u64::from(feature) << 32)),
            starts: &starts,
            fires,
            strongest: strongest(fires, values, options.strongest),
        };
        let (intruder, embedding) =
            (intruder(embedded, &mut draw, options), shown(embedded, &is_shown, &mut draw, options));
        Alike { feature, intruder, embedding }
    };
    chosen.par_iter().map(one).collect()
}

/// The rows with the largest values, a share of all, at least one.
fn strongest(fires: &[u32], values: &[f32], share: f64) -> Vec<u32> {
    let mut order: Vec<usize> = (0..fires.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    order.truncate((share * fires.len() as f64).ceil() as usize);
    order.into_iter().map(|k| fires[k]).collect()
}

/// What examples of one feature are drawn from.
struct Draw<'a> {
    rng: ChaCha8Rng,
    starts: &'a [usize], // [documents + 1]
    fires: &'a [u32],
    strongest: Vec<u32>,
}

/// Tries before a draw is given up: a feature may fire nearly everywhere.
const TRIES: usize = 200;

impl Draw<'_> {
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.rng.next_u64()) * n as u128) >> 64) as usize
    }

    fn document(&self, row: u32) -> usize {
        self.starts.partition_point(|&start| start <= row as usize)
    }

    /// `count` rows of as many documents, none of those in `taken`, all of which pass; their documents are taken then.
    fn rows(
        &mut self,
        count: usize,
        fire: bool,
        taken: &mut Vec<usize>,
        passes: &dyn Fn(u32) -> bool,
    ) -> Option<Vec<u32>> {
        let (mut out, all) = (Vec::new(), *self.starts.last()?);
        for _ in 0..TRIES * count {
            if out.len() == count || all == 0 || self.strongest.is_empty() {
                break;
            }
            let row = if fire {
                let k = self.below(self.strongest.len());
                self.strongest[k]
            } else {
                self.below(all) as u32
            };
            let document = self.document(row);
            let is_fit = fire || self.fires.binary_search(&row).is_err();
            if is_fit && !taken.contains(&document) && passes(row) {
                taken.push(document);
                out.push(row);
            }
        }
        (out.len() == count).then_some(out)
    }
}

fn cosine(embedded: Embedded<'_>, a: u32, b: u32) -> f64 {
    let row = |n: u32| &embedded.rows[n as usize * embedded.e..][..embedded.e];
    row(a).iter().zip(row(b)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

fn mean_cosine(embedded: Embedded<'_>, row: u32, others: &[u32]) -> f64 {
    others.iter().map(|&other| cosine(embedded, row, other)).sum::<f64>() / others.len() as f64
}

fn intruder(embedded: Embedded<'_>, draw: &mut Draw<'_>, options: &Options) -> Option<f64> {
    let mut named = 0;
    for _ in 0..options.trials {
        let mut taken = Vec::new();
        let mut rows = draw.rows(4, true, &mut taken, &|_| true)?;
        rows.extend(draw.rows(1, false, &mut taken, &|_| true)?);
        // Of all pairs the row itself is one with cosine 1 for everybody, which changes no order.
        let apart: Vec<f64> = rows.iter().map(|&row| mean_cosine(embedded, row, &rows)).collect();
        named += usize::from((0..4).all(|k| apart[4] < apart[k]));
    }
    (options.trials > 0).then_some(named as f64 / options.trials as f64)
}

fn shown(embedded: Embedded<'_>, is_shown: &[bool], draw: &mut Draw<'_>, options: &Options) -> Option<f64> {
    let mut taken = Vec::new();
    let mut rows =
        |count, fire, which: bool| draw.rows(count, fire, &mut taken, &|row| is_shown[row as usize] == which);
    let (firing, others) = (rows(options.shown, true, true)?, rows(options.shown, false, true)?);
    let (positives, negatives) = (rows(options.scored, true, false)?, rows(options.scored, false, false)?);
    let score =
        |&row: &u32| (mean_cosine(embedded, row, &firing) - mean_cosine(embedded, row, &others)) as f32;
    let scores: Vec<f32> = positives.iter().chain(&negatives).map(score).collect();
    Some(auroc(&scores, &(0..positives.len() as u32).collect::<Vec<_>>()))
}

/// Means over features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// Features with a score.
    pub n: u64,
    /// Their mean.
    #[serde(with = "crate::number")]
    pub value: f64,
    /// 95 %, bootstrap over features.
    pub interval: Interval,
}

/// Of the features that have one of the scores.
pub fn mean(alike: &[Alike], of: fn(&Alike) -> Option<f64>, resamples: usize, seed: u64) -> Mean {
    let values: Vec<f64> = alike.iter().filter_map(of).collect();
    let flat: Vec<f64> = values.iter().flat_map(|&v| [v, 1.0]).collect();
    let [interval] = bootstrap(&flat, 2, resamples, seed, |sums| [sums[0] / sums[1]]);
    let n = values.len();
    Mean { n: n as u64, value: values.iter().sum::<f64>() / n as f64, interval: interval.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_kernels::Csr;

    /// 100 documents of five rows. Every row has one of five meanings, its embedding is that unit vector with noise. Feature 0 fires at
    /// meaning 0, feature 1 at random, feature 2 in a single document.
    fn planted() -> (Vec<f32>, Vec<u32>, Columns) {
        let (mut rows, mut features) = (Vec::new(), Csr::with_columns(3));
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        for n in 0..500u32 {
            let meaning = (rng.next_u32() % 5) as usize;
            let mut row = [0.0f64; 5];
            row.iter_mut().for_each(|r| *r = f64::from(rng.next_u32()) / f64::from(u32::MAX) * 0.2);
            row[meaning] += 1.0;
            rows.extend(unit(&row, &[0.2; 5]));
            let fires = [meaning == 0, rng.next_u32() % 4 == 0, n < 3];
            (0..3).filter(|&f| fires[f]).for_each(|f| {
                features.index.push(f as u32);
                features.value.push(1.0 + rng.next_u32() as f32 / u32::MAX as f32);
            });
            features.row_start.push(features.index.len());
        }
        (rows, (0..500).map(|n| n / 5).collect(), Columns::of(&features))
    }

    /// What a feature with a meaning has, and what chance has: of 20 trials at 0.2 each, 4 ± 1.8; an AUROC of 10 and 10, 0.5 ± 0.13.
    /// The meaning of the intruder is another one for certain, since all rows with meaning 0 fire.
    #[test]
    fn a_meaning_is_told_from_chance() {
        let (rows, documents, columns) = planted();
        let embedded = Embedded { rows: &rows, e: 5, documents: &documents };
        let found = alike(embedded, &columns, &[0, 1, 2], &Options::standard(3));
        assert_eq!((found[0].intruder, found[0].embedding), (Some(1.0), Some(1.0)));
        assert!(found[1].intruder.is_some_and(|x| x < 0.5), "{:?}", found[1]);
        assert!(found[1].embedding.is_some_and(|x| (x - 0.5).abs() < 0.4), "{:?}", found[1]);
        assert_eq!((found[2].intruder, found[2].embedding), (None, None));
        assert_eq!(found, alike(embedded, &columns, &[0, 1, 2], &Options::standard(3)));
        let mean = mean(&found, |f| f.intruder, 10, 0);
        assert_eq!((mean.n, mean.value), (2, (1.0 + found[1].intruder.expect("a score")) / 2.0));
    }

    /// Windows of two rows: (1, 0), (3, 0) | (0, 1), (0, 5). Means of up to two rows: (1, 0), (2, 0), (0, 1), (0, 3); less their
    /// mean (0.75, 1): (0.25, −1), (1.25, −1), (−0.75, 0), (−0.75, 2).
    #[test]
    fn embeddings_end_in_their_row() {
        let found = smoothed(&[1.0, 0.0, 3.0, 0.0, 0.0, 1.0, 0.0, 5.0], 2, &[0, 0, 1, 1], 1);
        let expect: [[f64; 2]; 4] = [[0.25, -1.0], [1.25, -1.0], [-0.75, 0.0], [-0.75, 2.0]];
        for (found, expect) in found.chunks_exact(2).zip(expect) {
            let norm = expect[0].hypot(expect[1]);
            let close = |k: usize| (f64::from(found[k]) - expect[k] / norm).abs() < 1e-6;
            assert!(close(0) && close(1), "{found:?}");
        }
    }
}
