//! How well do k features tell a label? k-sparse probing (Gurnee et al. 2023, arXiv 2305.01610; SAEBench: Karvonen et al. 2025,
//! arXiv 2503.09532), beside the same with principal components and random features, and beside a probe of all of x.
//!
//! Documents are in two halves. On one, columns are ranked by |mean where the label is on − mean where it is off|, the first k
//! are taken, a ridge regression of the label on them is fitted (`lapidary_stats::ridge`), and a threshold chosen that has
//! the largest F1 there. On the other half its AUROC and its F1 are taken, shares between 0 and 1. Means are over labels, and so is their
//! bootstrap. A closed form takes the place of the others' logistic regression; for one column the order of rows is the same.

use crate::columns::Columns;
use crate::{Interval, Labels};
use lapidary_kernels::{Csr, Device};
use lapidary_stats::{Ridge, auroc, bootstrap, pca};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Penalty as a share of the mean variance of the columns.
const RIDGE: f64 = 1e-4;

/// What a probe reads.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Features of a dictionary.
    Features(&'a Columns),
    /// Rows x [N, D], column by column: neurons, components.
    Dense {
        /// [N, D]
        x: &'a [f32],
        /// D.
        d: usize,
    },
}

impl Source<'_> {
    fn width(&self) -> usize {
        match self {
            Source::Features(columns) => columns.width(),
            Source::Dense { d, .. } => *d,
        }
    }

    /// The values of chosen columns, [N, k].
    fn gather(&self, chosen: &[u32], rows: usize) -> Vec<f32> {
        let k = chosen.len();
        let mut out = vec![0.0; rows * k];
        match self {
            Source::Features(columns) => {
                for (place, &f) in chosen.iter().enumerate() {
                    let (rows, values) = columns.feature(f as usize);
                    rows.iter().zip(values).for_each(|(&n, &v)| out[n as usize * k + place] = v);
                }
            }
            Source::Dense { x, d } => {
                let rows = x.chunks_exact(*d).zip(out.chunks_exact_mut(k));
                rows.for_each(|(x, out)| {
                    out.iter_mut().zip(chosen).for_each(|(out, &c)| *out = x[c as usize])
                });
            }
        }
        out
    }

    /// Σ of every column over the rows for which `of` says yes [F].
    fn sums(&self, of: impl Fn(u32) -> bool) -> Vec<f64> {
        match self {
            Source::Features(columns) => (0..columns.width())
                .map(|f| {
                    let (rows, values) = columns.feature(f);
                    rows.iter().zip(values).filter(|(n, _)| of(**n)).map(|(_, &v)| f64::from(v)).sum()
                })
                .collect(),
            Source::Dense { x, d } => {
                let mut sums = vec![0.0; *d];
                for (_, row) in x.chunks_exact(*d).enumerate().filter(|(n, _)| of(*n as u32)) {
                    sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
                }
                sums
            }
        }
    }
}

/// How well one probe does on the half that it was not fitted on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probed {
    /// NaN where there is nothing to fit.
    pub auroc: f64,
    /// At the threshold that is best on the fitted half.
    pub f1: f64,
}

/// The k-sparse probes of one label.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparse {
    /// Columns by |difference of means| on the fitted half, the largest first, as many as the largest k.
    pub ranked: Vec<u32>,
    /// One for each k.
    pub probes: Vec<Probed>,
}

/// A label's rows as flags [N].
fn flags(rows: &[u32], n: usize) -> Vec<bool> {
    let mut is_on = vec![false; n];
    rows.iter().for_each(|&n| is_on[n as usize] = true);
    is_on
}

/// The probes of every label with each number of columns in `ks`, fitted where `is_fitted` [N] (see [`crate::halves()`]).
pub fn sparse(source: Source<'_>, labels: &Labels, is_fitted: &[bool], ks: &[usize]) -> Vec<Sparse> {
    let total = source.sums(|n| is_fitted[n as usize]);
    let of = |rows: &Vec<u32>| {
        let is_on = flags(rows, is_fitted.len());
        let most = ks.iter().copied().max().unwrap_or(0);
        let ranked = ranked(source, &total, &is_on, is_fitted, most);
        let probe = |&k: &usize| {
            let chosen = &ranked[..k.min(ranked.len())];
            let x = source.gather(chosen, is_fitted.len());
            probe(&x, chosen.len(), &is_on, is_fitted)
        };
        Sparse { probes: ks.iter().map(probe).collect(), ranked }
    };
    labels.rows.par_iter().map(of).collect()
}

/// The first `most` columns by |mean on − mean off| over fitted rows; of equal ones the lower first.
fn ranked(source: Source<'_>, total: &[f64], is_on: &[bool], is_fitted: &[bool], most: usize) -> Vec<u32> {
    let on = source.sums(|n| is_fitted[n as usize] && is_on[n as usize]);
    let fitted = is_fitted.iter().filter(|f| **f).count() as f64;
    let count = is_on.iter().zip(is_fitted).filter(|(on, fitted)| **on && **fitted).count() as f64;
    let difference = |f: usize| (on[f] / count - (total[f] - on[f]) / (fitted - count)).abs();
    let mut order: Vec<(f64, u32)> = (0..source.width()).map(|f| (difference(f), f as u32)).collect();
    let by = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if most < order.len() {
        order.select_nth_unstable_by(most, by);
        order.truncate(most);
    }
    order.sort_unstable_by(by);
    order.into_iter().map(|(_, f)| f).collect()
}

/// The probe of every label on all of x [N, D].
pub fn dense(x: &[f32], d: usize, labels: &Labels, is_fitted: &[bool]) -> Vec<Probed> {
    let fitted = half(x, d, is_fitted, true);
    let Some(ridge) = Ridge::new(&fitted, d, RIDGE) else {
        return vec![Probed { auroc: f64::NAN, f1: f64::NAN }; labels.rows.len()];
    };
    let of = |rows: &Vec<u32>| {
        let is_on = flags(rows, is_fitted.len());
        let w = ridge.direction(&fitted, &on_in(&is_on, is_fitted, true));
        judge(&project(x, d, &ridge.moments.mean, &w), &is_on, is_fitted)
    };
    labels.rows.par_iter().map(of).collect()
}

/// The direction [D] of length 1 that the probe of one label reads in x [N, D], and the value of ⟨x, direction⟩ from which it says
/// yes. None where there is nothing to fit.
pub fn direction(x: &[f32], d: usize, rows: &[u32], is_fitted: &[bool]) -> Option<(Vec<f32>, f64)> {
    let (fitted, is_on) = (half(x, d, is_fitted, true), flags(rows, is_fitted.len()));
    let ridge = Ridge::new(&fitted, d, RIDGE)?;
    let mut w = ridge.direction(&fitted, &on_in(&is_on, is_fitted, true));
    let norm = w.iter().map(|w| w * w).sum::<f64>().sqrt();
    if !(norm > 0.0) {
        return None;
    }
    w.iter_mut().for_each(|w| *w /= norm);
    let scores = project(x, d, &ridge.moments.mean, &w);
    let threshold = best_threshold(&side(&scores, &is_on, is_fitted, true));
    let offset: f64 = ridge.moments.mean.iter().zip(&w).map(|(m, w)| m * w).sum();
    Some((w.iter().map(|&w| w as f32).collect(), f64::from(threshold) + offset))
}

/// One probe of x [N, k].
fn probe(x: &[f32], k: usize, is_on: &[bool], is_fitted: &[bool]) -> Probed {
    let fitted = half(x, k.max(1), is_fitted, true);
    let ridge = if k == 0 { None } else { Ridge::new(&fitted, k, RIDGE) };
    let Some(ridge) = ridge else { return Probed { auroc: 0.5, f1: 0.0 } }; // columns that never vary tell nothing
    let w = ridge.direction(&fitted, &on_in(is_on, is_fitted, true));
    judge(&project(x, k, &ridge.moments.mean, &w), is_on, is_fitted)
}

/// ⟨x − μ, w⟩ of every row [N].
fn project(x: &[f32], d: usize, mean: &[f64], w: &[f64]) -> Vec<f32> {
    let row =
        |x: &[f32]| x.iter().zip(mean).zip(w).map(|((&x, m), w)| (f64::from(x) - m) * w).sum::<f64>() as f32;
    x.chunks_exact(d).map(row).collect()
}

/// AUROC and F1 on the half that was not fitted.
fn judge(scores: &[f32], is_on: &[bool], is_fitted: &[bool]) -> Probed {
    let threshold = best_threshold(&side(scores, is_on, is_fitted, true));
    let scored = side(scores, is_on, is_fitted, false);
    let positives: Vec<u32> = (0..scored.len() as u32).filter(|&n| scored[n as usize].1).collect();
    let values: Vec<f32> = scored.iter().map(|s| s.0).collect();
    Probed { auroc: auroc(&values, &positives), f1: f1_above(&scored, threshold) }
}

/// Scores and labels of one half.
fn side(scores: &[f32], is_on: &[bool], is_fitted: &[bool], which: bool) -> Vec<(f32, bool)> {
    let rows = scores.iter().zip(is_on).zip(is_fitted).filter(|(_, fitted)| **fitted == which);
    rows.map(|((&score, &on), _)| (score, on)).collect()
}

/// The score from which saying yes has the largest F1.
fn best_threshold(rows: &[(f32, bool)]) -> f32 {
    let mut rows = rows.to_vec();
    rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let positives = rows.iter().filter(|r| r.1).count();
    let (mut hits, mut best) = (0, (0.0, f32::INFINITY));
    for (n, &(score, is_on)) in rows.iter().enumerate() {
        hits += usize::from(is_on);
        let f1 = 2.0 * hits as f64 / (n + 1 + positives) as f64;
        let is_last_of_equals = rows.get(n + 1).is_none_or(|next| next.0 < score);
        if is_last_of_equals && f1 > best.0 {
            best = (f1, score);
        }
    }
    best.1
}

/// F1 of score ≥ threshold.
fn f1_above(rows: &[(f32, bool)], threshold: f32) -> f64 {
    let said = rows.iter().filter(|r| r.0 >= threshold).count();
    let hits = rows.iter().filter(|r| r.0 >= threshold && r.1).count();
    let positives = rows.iter().filter(|r| r.1).count();
    if hits == 0 { 0.0 } else { 2.0 * hits as f64 / (said + positives) as f64 }
}

fn half(x: &[f32], d: usize, is_fitted: &[bool], which: bool) -> Vec<f32> {
    let rows = x.chunks_exact(d).zip(is_fitted).filter(|(_, fitted)| **fitted == which);
    rows.flat_map(|(row, _)| row).copied().collect()
}

/// Places, within one half, of its rows where the label is on.
fn on_in(is_on: &[bool], is_fitted: &[bool], which: bool) -> Vec<u32> {
    let rows = is_on.iter().zip(is_fitted).filter(|(_, fitted)| **fitted == which);
    rows.enumerate().filter(|(_, (on, _))| **on).map(|(n, _)| n as u32).collect()
}

/// x [N, D] in its principal components, largest variance first [N, D].
pub fn components(x: &[f32], d: usize, device: Device) -> Vec<f32> {
    let axes = pca::eigen(&pca::moments(x, d).covariance, d).vectors;
    let axes: Vec<f32> = axes.into_iter().map(|a| a as f32).collect();
    let mut out = vec![0.0; x.len()];
    device.linear(x, &axes, None, d, &mut out);
    out
}

/// Features that nobody trained: `width` random directions, each firing on the share `l0 / width` of the rows x [N, D] with the
/// largest ⟨x − μ, w⟩, by that value. As sparse as the dictionary that they stand beside.
pub fn random_features(x: &[f32], d: usize, width: usize, l0: f64, seed: u64, device: Device) -> Csr {
    let rows = x.len() / d;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || rng.next_u32() as f32 / u32::MAX as f32 - 0.5;
    let w: Vec<f32> = (0..width * d).map(|_| uniform() + uniform() + uniform()).collect();
    let mean = pca::moments(x, d).mean;
    let centred: Vec<f32> = (x.chunks_exact(d))
        .flat_map(|row| row.iter().zip(&mean).map(|(&x, m)| (f64::from(x) - m) as f32))
        .collect();
    let firing = ((l0 / width as f64 * rows as f64).round() as usize).min(rows);
    let mut entries: Vec<Vec<(u32, f32)>> = vec![Vec::new(); rows];
    for (block, w) in w.chunks(64 * d).enumerate() {
        let mut z = vec![0.0; w.len() / d * rows];
        device.linear(w, &centred, None, d, &mut z); // [features, rows]
        for (f, z) in z.chunks_exact(rows).enumerate() {
            let mut order: Vec<u32> = (0..rows as u32).collect();
            order.sort_unstable_by(|&a, &b| z[b as usize].total_cmp(&z[a as usize]).then(a.cmp(&b)));
            let feature = (block * 64 + f) as u32;
            order[..firing].iter().for_each(|&n| entries[n as usize].push((feature, z[n as usize])));
        }
    }
    let mut out = Csr::with_columns(width);
    for row in entries {
        row.into_iter().for_each(|(f, v)| {
            out.index.push(f);
            out.value.push(v);
        });
        out.row_start.push(out.index.len());
    }
    out
}

/// Means over labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeMeans {
    /// What was read: `features`, `pca`, `random`, `dense`.
    pub source: String,
    /// Columns; none for all.
    pub k: Option<usize>,
    /// Labels.
    pub n: u64,
    /// Mean AUROC.
    #[serde(with = "crate::number")]
    pub auroc: f64,
    /// 95 %, bootstrap over labels.
    pub auroc_interval: Interval,
    /// Mean F1.
    #[serde(with = "crate::number")]
    pub f1: f64,
    /// 95 %, bootstrap over labels.
    pub f1_interval: Interval,
}

/// Of the probes of all labels.
pub fn means(source: &str, k: Option<usize>, probes: &[Probed], resamples: usize, seed: u64) -> ProbeMeans {
    let flat: Vec<f64> = probes.iter().flat_map(|p| [p.auroc, p.f1, 1.0]).collect();
    let mean = |sums: &[f64]| [sums[0] / sums[2], sums[1] / sums[2]];
    let [auroc_interval, f1_interval] = bootstrap(&flat, 3, resamples, seed, mean);
    let n = probes.len() as f64;
    ProbeMeans {
        source: source.into(),
        k,
        n: probes.len() as u64,
        auroc: probes.iter().map(|p| p.auroc).sum::<f64>() / n,
        auroc_interval: auroc_interval.into(),
        f1: probes.iter().map(|p| p.f1).sum::<f64>() / n,
        f1_interval: f1_interval.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 200 rows in 20 documents. Label: row % 5 == 0. Feature 3 fires there and nowhere else, feature 1 on half of those and on as
    /// many others, feature 0 at random, feature 2 never.
    fn planted() -> (Csr, Labels, Vec<bool>) {
        let mut features = Csr::with_columns(4);
        for n in 0..200u32 {
            let row = [(0, n % 7 == 3), (1, n % 10 == 0 || n % 10 == 1), (3, n % 5 == 0)];
            for (f, _) in row.into_iter().filter(|r| r.1) {
                features.index.push(f);
                features.value.push(1.0);
            }
            features.row_start.push(features.index.len());
        }
        let documents: Vec<u32> = (0..200).map(|n| n / 10).collect();
        let is_fitted = crate::halves(&documents, 1);
        let rows = vec![(0..200).filter(|n| n % 5 == 0).collect()];
        (features, Labels { names: vec!["x".into()], rows, documents }, is_fitted)
    }

    /// Feature 1: of ten rows it says two, one of them rightly, and two would be right: F1 = 2·1/(2 + 2). Of the two positives the one
    /// beats 7 negatives of 8 and ties with one, the other ties with 7: AUROC = (7.5 + 3.5)/16.
    #[test]
    fn one_feature_that_is_the_label() {
        let (features, labels, is_fitted) = planted();
        let columns = Columns::of(&features);
        let found = &sparse(Source::Features(&columns), &labels, &is_fitted, &[1, 2])[0];
        assert_eq!(found.ranked[0], 3);
        assert_eq!(found.probes[0], Probed { auroc: 1.0, f1: 1.0 });
        assert!(found.probes[1].auroc > 0.999);
        // Without the planted feature the next best is feature 1.
        let mut without = features.clone();
        without.index.iter_mut().zip(&mut without.value).for_each(|(f, v)| {
            if *f == 3 {
                *v = 0.0;
            }
        });
        let columns = Columns::of(&without);
        let found = &sparse(Source::Features(&columns), &labels, &is_fitted, &[1])[0];
        assert_eq!((found.ranked[0], found.probes[0].f1), (1, 0.5));
        assert_eq!(found.probes[0].auroc, 0.6875);
    }

    /// The label is the sign of x₀ + x₁ with a gap: the dense probe is perfect, a single column is not, both columns are.
    #[test]
    fn the_dense_probe_reads_all_columns() {
        let documents: Vec<u32> = (0..400).map(|n| n / 10).collect();
        let is_fitted = crate::halves(&documents, 3);
        let noise =
            |n: u32, k: u32| (n.wrapping_mul(2_654_435_761u32.wrapping_mul(k)) >> 16) as f32 / 65_536.0 - 0.5;
        let mut x = Vec::new();
        for n in 0..400u32 {
            let (a, b) = (noise(n, 1), noise(n, 7));
            let gap = if a + b > 0.0 { 0.1 } else { -0.1 };
            x.extend([a + gap, b + gap, noise(n, 13)]);
        }
        let rows = vec![(0..400).filter(|&n| x[n as usize * 3] + x[n as usize * 3 + 1] > 0.0).collect()];
        let labels = Labels { names: vec!["x".into()], rows, documents };
        let all = dense(&x, 3, &labels, &is_fitted)[0];
        assert!(all.auroc > 0.999 && all.f1 > 0.98, "{all:?}");
        let few = &sparse(Source::Dense { x: &x, d: 3 }, &labels, &is_fitted, &[1, 2])[0].probes;
        assert!(few[0].auroc < 0.97 && few[1].auroc > 0.999, "{few:?}");
        let (w, threshold) = direction(&x, 3, &labels.rows[0], &is_fitted).expect("it varies");
        assert!((w[0] - w[1]).abs() < 0.3 && (w[0].hypot(w[1]) - 1.0).abs() < 0.05, "{w:?}");
        assert!(threshold.abs() < 0.3);
        // Turned so that no column is special, the components still have the label in one of them or two.
        let pca = components(&x, 3, Device::detect());
        let of_components = &sparse(Source::Dense { x: &pca, d: 3 }, &labels, &is_fitted, &[2])[0].probes;
        assert!(of_components[0].auroc > 0.999, "{of_components:?}");
    }

    /// Every random feature fires in 5 of 50 rows where L0 = 0.8 of 8 features, on the largest of its values.
    #[test]
    fn random_features_are_as_sparse_as_asked() {
        let x: Vec<f32> = (0..100).map(|n| ((n * 37) % 101) as f32).collect();
        let features = random_features(&x, 2, 8, 0.8, 5, Device::detect());
        let columns = Columns::of(&features);
        assert!((0..8).all(|f| columns.feature(f).0.len() == 5));
        assert!(features.value.iter().all(|v| *v > 0.0), "the largest of centred values");
        assert_ne!(features, random_features(&x, 2, 8, 0.8, 6, Device::detect()));
    }

    #[test]
    fn thresholds_and_means_by_hand() {
        // Scores 3+, 2−, 2+, 1−: from 3 up F1 = 2/3; from 2 up 2·2/(3 + 2).
        assert_eq!(best_threshold(&[(3.0, true), (2.0, false), (2.0, true), (1.0, false)]), 2.0);
        assert_eq!(f1_above(&[(3.0, true), (2.0, false), (2.0, true), (1.0, false)], 2.0), 0.8);
        let probes = [Probed { auroc: 0.5, f1: 0.2 }, Probed { auroc: 1.0, f1: 0.4 }];
        let means = means("x", Some(1), &probes, 100, 0);
        assert_eq!((means.auroc, means.n), (0.75, 2));
        assert!((means.f1 - 0.3).abs() < 1e-15);
        assert_eq!(means.auroc_interval, Interval::Known { low: 0.5, high: 1.0 });
    }
}
