//! Which feature is which indicator? Pairs by F1, one to one and best of all, and what chance would give.
//!
//!   F1[v, j] = 2·n_vj / (n_v + n_j)          n_v rows with indicator v, n_j rows in which feature j fires, n_vj both
//!
//! *Best*: max_j F1[v, j], the view of recall of concepts. *Matched*: the one-to-one assignment with the largest total F1.
//! *Null*: the truth is moved against the features by a random number of rows, around the end, at least the longest document
//! and so that no row meets its own document; then the best F1 over the same features is taken again. Both sides keep their
//! frequencies and their runs, only what joins them is gone. A matched F1 is never above the best, so the null of the
//! best bounds it too.
//!
//! Counts are integers; F1 is f64, but f32 in the matrix that the assignment is made on.

use super::{Firings, Options, Truth};
use lapidary_stats::{assignment, percentile};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// An indicator that is neither too rare nor too frequent.
pub(crate) struct Kept {
    /// Index in the truth.
    pub(crate) indicator: u32,
    /// Rows in which it is on, ascending [n_v].
    pub(crate) rows: Vec<u32>,
}

/// Indicators to be scored, ascending, and how many were too rare and too frequent.
pub(crate) fn kept(truth: &Truth, options: &Options) -> (Vec<Kept>, u64, u64) {
    let mut rows = vec![Vec::new(); truth.indicators.len()];
    for n in 0..truth.rows() {
        truth.row(n).iter().for_each(|&v| rows[v as usize].push(n as u32));
    }
    let half = truth.rows() / 2;
    let (mut kept, mut rare, mut frequent) = (Vec::new(), 0, 0);
    for (indicator, rows) in rows.into_iter().enumerate() {
        if rows.is_empty() || rows.len() < options.min_count as usize {
            rare += 1;
        } else if rows.len() > half {
            frequent += 1;
        } else {
            kept.push(Kept { indicator: indicator as u32, rows });
        }
    }
    (kept, rare, frequent)
}

/// An indicator, or a feature, and how well the other fits it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Fit {
    /// The other's number; None if they never met.
    pub(crate) with: Option<u32>,
    /// Rows with both.
    pub(crate) both: u32,
    pub(crate) f1: f64,
}

impl Fit {
    /// Takes another if it is better; the first of equals stays.
    fn improve(&mut self, with: usize, both: u32, f1: f64) {
        if f1 > self.f1 {
            *self = Fit { with: Some(with as u32), both, f1 };
        }
    }
}

/// What the pairs of kept indicators and features have in common.
pub(crate) struct Matching {
    /// Best feature of each indicator [kept].
    pub(crate) best: Vec<Fit>,
    /// Best indicator (place among the kept) of each feature [F].
    pub(crate) best_of_feature: Vec<Fit>,
    /// One-to-one feature of each indicator [kept].
    pub(crate) matched: Vec<Fit>,
    /// Rows in which each feature fires [F].
    pub(crate) counts: Vec<u32>,
}

/// All pairs. Memory: kept · F · 4 bytes.
pub(crate) fn matching(kept: &[Kept], firings: &Firings) -> Matching {
    let (width, counts) = (firings.columns, firings.counts());
    let (mut best, mut best_of_feature) = (vec![Fit::default(); kept.len()], vec![Fit::default(); width]);
    let mut scores = vec![0.0f32; kept.len() * width];
    let mut both = vec![0; width];
    for (v, Kept { rows, .. }) in kept.iter().enumerate() {
        count_both(rows, 0, firings, &mut both);
        for j in 0..width {
            let f1 = f1(both[j], rows.len(), counts[j]);
            scores[v * width + j] = f1 as f32;
            best[v].improve(j, both[j], f1);
            best_of_feature[j].improve(v, both[j], f1);
        }
    }
    let pairs = assignment(&scores, kept.len(), width);
    let matched = pairs.iter().zip(kept).map(|(pair, kept)| fit(*pair, &kept.rows, firings, &counts));
    let matched = matched.collect();
    Matching { best, best_of_feature, matched, counts }
}

/// A pair of the assignment, in f64 again; one without a common row is none.
fn fit(feature: Option<usize>, rows: &[u32], firings: &Firings, counts: &[u32]) -> Fit {
    let mut fit = Fit::default();
    if let Some(j) = feature {
        let both = rows.iter().filter(|&&n| firings.fires(n, j as u32)).count() as u32;
        fit.improve(j, both, f1(both, rows.len(), counts[j]));
    }
    fit
}

/// 2·n_vj / (n_v + n_j); 0 where neither occurs.
pub(crate) fn f1(both: u32, n_v: usize, n_j: u32) -> f64 {
    if both == 0 { 0.0 } else { 2.0 * f64::from(both) / (n_v as f64 + f64::from(n_j)) }
}

/// both[j] = rows n of `rows` for which feature j fires in row n + shift, modulo N.
fn count_both(rows: &[u32], shift: usize, firings: &Firings, both: &mut [u32]) {
    both.fill(0);
    let total = firings.rows();
    for &n in rows {
        let moved = n as usize + shift;
        let row = if moved < total { moved } else { moved - total };
        firings.row(row).iter().for_each(|&j| both[j as usize] += 1);
    }
}

/// What chance gives an indicator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Null {
    pub(crate) mean: f64,
    pub(crate) p95: f64,
}

/// The null of each kept indicator over the `shifts`; NaN without any.
pub(crate) fn null(kept: &[Kept], firings: &Firings, shifts: &[usize]) -> Vec<Null> {
    let counts = firings.counts();
    let mut both = vec![0; firings.columns];
    let mut of = |kept: &Kept| {
        let mut best: Vec<f64> = Vec::with_capacity(shifts.len());
        for &shift in shifts {
            count_both(&kept.rows, shift, firings, &mut both);
            let f1 = both.iter().zip(&counts).map(|(&both, &n_j)| f1(both, kept.rows.len(), n_j));
            best.push(f1.fold(0.0, f64::max));
        }
        best.sort_unstable_by(f64::total_cmp);
        if best.is_empty() {
            return Null { mean: f64::NAN, p95: f64::NAN };
        }
        let mean = best.iter().sum::<f64>() / best.len() as f64;
        Null { mean, p95: percentile::of_sorted(&best, 0.95) }
    };
    kept.iter().map(&mut of).collect()
}

/// Numbers of rows to move the truth by, in longest document ..= N − longest document. Empty if one document has more than
/// half of the rows.
pub(crate) fn shifts(truth: &Truth, options: &Options) -> Vec<usize> {
    let (rows, starts) = (truth.rows(), truth.document_starts());
    let longest = starts.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
    if longest == 0 || 2 * longest > rows {
        return Vec::new();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let choices = (rows - 2 * longest + 1) as u64;
    (0..options.shifts).map(|_| longest + (rng.next_u64() % choices) as usize).collect()
}
