//! Does a feature fail to fire where its label is on, because a narrower feature took its direction along? Feature absorption
//! (Chanin et al. 2024, arXiv 2409.14507; as SAEBench measures it: Karvonen et al. 2025, arXiv 2503.09532).
//!
//! Of a label: p [D], the unit direction of its linear probe; its *split features* S, the k best of the k-sparse probe, k the
//! smallest with F1(k + 1) − F1(k) ≤ 0.03, at most 10; its *true positives*, the rows with the label where the probe says yes.
//! With q_i = f_i ⟨d_i, p⟩ of every active feature i, and t = ⟨x − b_dec, p⟩:
//!
//!   main = Σ_{i ∈ S} q_i        A = Σ of the three largest q_i > 0 with i ∉ S and cos(d_i, p) ≥ 0.1
//!   fraction = 0 where main ≥ t or A < 0.4 t, 1 where main ≤ 0, else a/(a + main), a = min(A, t − main)
//!   full     = no feature of S fires, t > 0, and the i with the largest q_i has cos(d_i, p) ≥ 0.025 and q_i ≥ 0.4 t
//!
//! Means of both over the true positives, of labels whose probe has an F1 of 0.6 there. Both are as published, and both count whatever
//! points along p: features of something else that goes with the label too. A feature that took the label's direction along is *narrower* than
//! the label, it (nearly) only ever fires with it; labels say which features do, and so
//!
//!   narrow   = full, of the narrower features only (by the rows that probes are fitted on)
//!
//! and only of labels that S stands for, with an F1 of 0.5: where no feature follows the label, none can have been absorbed. Theirs reads ⟨x, p⟩; ours subtracts b_dec, because x − b_dec is what features add up
//! to, and on a model whose rows lie far from 0 nothing else is comparable with q. Low absorption alone says nothing: a dictionary whose
//! features follow no label absorbs none, so F1 stands beside it.
//!
//! [`exact`] is what labels themselves say, without directions: the share of the same rows in which no feature of S fires, but
//! one does that (nearly) only ever fires with the label. `off` is how far `narrow` is from it, the mean of |narrow − exact| over the labels
//! that S stands for; where nothing was planted it is the measure's error as far as it is known.

use crate::columns::Columns;
use crate::probing::{Source, Sparse, direction, sparse};
use crate::{Interval, Labels};
use lapidary_dictionary::Dictionary;
use lapidary_kernels::Csr;
use lapidary_stats::bootstrap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Least gain in F1 for which another feature belongs to the split.
pub const TAU: f64 = 0.03;
/// F1 that the probe of a label must have on the other half; theirs has the same line.
pub const PROBE_F1: f64 = 0.6;
/// Rows of a half in which a feature must fire for anybody to say when it does; twice as many of all.
pub const LEAST: usize = 5;
/// F1 from which on the split features stand for the label.
pub const STANDS: f64 = 0.5;
/// Most features of a split.
pub const MAX_SPLIT: usize = 10;
/// Share of t that others must carry.
const SHARE: f64 = 0.4;
/// Least cosines of an absorbing feature with the probe: for the fraction, for full absorption.
const COSINES: [f64; 2] = [0.1, 0.025];
/// Of all firings of an absorbing feature, the share with the label: see [`exact`].
pub const NARROWER: f64 = 0.95;

/// One label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Absorbed {
    /// Its name.
    pub label: String,
    /// S, best first.
    pub split: Vec<u32>,
    /// F1 of the k-sparse probe on S.
    #[serde(with = "crate::number")]
    pub f1: f64,
    /// True positives.
    pub n: u64,
    /// Mean fraction over them.
    #[serde(with = "crate::number")]
    pub fraction: f64,
    /// Share of them with full absorption.
    #[serde(with = "crate::number")]
    pub full: f64,
    /// The same of narrower features only; NaN in scores that were saved before it was measured.
    #[serde(with = "crate::number", default = "nan")]
    pub narrow: f64,
    /// What the labels themselves say, see [`exact`].
    #[serde(with = "crate::number")]
    pub exact: f64,
}

fn nan() -> f64 {
    f64::NAN
}

fn not_then() -> Interval {
    Interval::Missing { reason: "saved before it was measured".into() }
}

/// All labels with true positives, and means over them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Absorption {
    /// Labels.
    pub n: u64,
    /// Mean fraction.
    #[serde(with = "crate::number")]
    pub fraction: f64,
    /// 95 %, bootstrap over labels.
    pub fraction_interval: Interval,
    /// Mean share of full absorption.
    #[serde(with = "crate::number")]
    pub full: f64,
    /// 95 %, bootstrap over labels.
    pub full_interval: Interval,
    /// Mean of what the labels say.
    #[serde(with = "crate::number")]
    pub exact: f64,
    /// 95 %, bootstrap over labels.
    pub exact_interval: Interval,
    /// Labels that the split features stand for.
    #[serde(default)]
    pub stood_for: u64,
    /// Mean share of full absorption by narrower features, over these.
    #[serde(with = "crate::number", default = "nan")]
    pub narrow: f64,
    /// 95 %, bootstrap over labels.
    #[serde(default = "not_then")]
    pub narrow_interval: Interval,
    /// Mean of what the labels say, over the same.
    #[serde(with = "crate::number", default = "nan")]
    pub stood_for_exact: f64,
    /// 95 %, bootstrap over labels.
    #[serde(default = "not_then")]
    pub stood_for_exact_interval: Interval,
    /// Mean distance of the two.
    #[serde(with = "crate::number", default = "nan")]
    pub off: f64,
    /// 95 %, bootstrap over labels.
    #[serde(default = "not_then")]
    pub off_interval: Interval,
    /// Mean number of split features.
    #[serde(with = "crate::number")]
    pub split: f64,
    /// Mean F1 of the k-sparse probes.
    #[serde(with = "crate::number")]
    pub f1: f64,
    /// One by one.
    pub labels: Vec<Absorbed>,
}

/// Absorption of every label, in rows x [N, D] with their features [N, F]; probes are fitted where `is_fitted` [N], and rows of
/// the other half are looked at.
pub fn absorption(
    dictionary: &Dictionary,
    x: &[f32],
    features: &Csr,
    labels: &Labels,
    is_fitted: &[bool],
    (resamples, seed): (usize, u64),
) -> Absorption {
    let columns = Columns::of(features);
    let ks: Vec<usize> = (1..=MAX_SPLIT).collect();
    let splits = sparse(Source::Features(&columns), labels, is_fitted, &ks);
    let d = dictionary.d_in;
    assert!(d == dictionary.d_out && x.len() == features.rows() * d, "absorption: x [N, D] of an SAE");
    let of = |v: usize| {
        let (p, threshold) = direction(x, d, &labels.rows[v], is_fitted)?;
        let says_yes = |n: u32| !is_fitted[n as usize] && dot(&x[n as usize * d..][..d], &p) >= threshold;
        let rows: Vec<u32> = labels.rows[v].iter().copied().filter(|&n| says_yes(n)).collect();
        let said = (0..is_fitted.len() as u32).filter(|&n| says_yes(n)).count();
        let on = labels.rows[v].iter().filter(|&&n| !is_fitted[n as usize]).count();
        if !(2.0 * rows.len() as f64 >= PROBE_F1 * (said + on) as f64) {
            return None; // what no probe finds, no feature can have absorbed
        }
        let k = split_size(&splits[v]);
        let split = &splits[v].ranked[..k.min(splits[v].ranked.len())];
        let narrow = narrower(&columns, &labels.rows[v], LEAST, |n| is_fitted[n as usize]);
        let found = of_rows(dictionary, x, features, &p, (split, &narrow), &rows)?;
        Some(Absorbed {
            label: labels.names[v].clone(),
            split: split.to_vec(),
            f1: splits[v].probes[k - 1].f1,
            n: rows.len() as u64,
            fraction: found.fraction,
            full: found.full,
            narrow: found.narrow,
            exact: exact(&columns, features, &labels.rows[v], split, &rows),
        })
    };
    let found: Vec<Option<Absorbed>> = (0..labels.rows.len()).into_par_iter().map(of).collect();
    means(found.into_iter().flatten().collect(), resamples, seed)
}

/// The smallest k whose successor gains at most τ.
fn split_size(found: &Sparse) -> usize {
    let gains = found.probes.windows(2).position(|pair| pair[1].f1 - pair[0].f1 <= TAU);
    gains.map_or(found.probes.len(), |k| k + 1)
}

/// What was absorbed in some rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Mean fraction.
    pub fraction: f64,
    /// Share of rows with full absorption.
    pub full: f64,
    /// The same by narrower features.
    pub narrow: f64,
}

/// Over `rows`; None without rows. `p` [D] has length 1; `narrower` [F] says of which features.
pub fn of_rows(
    dictionary: &Dictionary,
    x: &[f32],
    features: &Csr,
    p: &[f32],
    (split, narrower): (&[u32], &[bool]),
    rows: &[u32],
) -> Option<Shares> {
    let d = dictionary.d_out;
    let offset = dot(&dictionary.b_dec, p);
    let (mut fraction, mut full, mut narrow) = (0.0, 0u64, 0u64);
    for &n in rows {
        let t = dot(&x[n as usize * d..][..d], p) - offset;
        let parts = parts(dictionary, features.row(n as usize), p, split);
        fraction += parts.fraction(t);
        full += u64::from(parts.is_full(t, |_| true));
        narrow += u64::from(parts.is_full(t, |f| narrower[f as usize]));
    }
    let n = rows.len() as f64;
    (!rows.is_empty()).then_some(Shares {
        fraction: fraction / n,
        full: full as f64 / n,
        narrow: narrow as f64 / n,
    })
}

/// One row's features along p.
struct Parts {
    main: f64,
    splits_fire: bool,
    /// q, cosine and number of the others, the largest q first.
    others: Vec<(f64, f64, u32)>,
}

fn parts(dictionary: &Dictionary, (index, value): (&[u32], &[f32]), p: &[f32], split: &[u32]) -> Parts {
    let d = dictionary.d_out;
    let mut parts = Parts { main: 0.0, splits_fire: false, others: Vec::new() };
    for (&f, &value) in index.iter().zip(value) {
        let direction = &dictionary.w_dec[f as usize * d..][..d];
        let along = dot(direction, p);
        let q = f64::from(value) * along;
        if split.contains(&f) {
            parts.main += q;
            parts.splits_fire = true;
        } else {
            parts.others.push((q, along / dot(direction, direction).sqrt(), f));
        }
    }
    parts.others.sort_by(|a, b| b.0.total_cmp(&a.0));
    parts
}

impl Parts {
    fn fraction(&self, t: f64) -> f64 {
        let carries = |&&(q, cosine, _): &&(f64, f64, u32)| q > 0.0 && cosine >= COSINES[0];
        let others: f64 = self.others.iter().filter(carries).take(3).map(|o| o.0).sum();
        if self.main >= t || !(others / t >= SHARE) {
            return 0.0;
        }
        let taken = others.min(t - self.main);
        if self.main <= 0.0 { 1.0 } else { taken / (taken + self.main) }
    }

    /// By the features that `counts` lets pass.
    fn is_full(&self, t: f64, counts: impl Fn(u32) -> bool) -> bool {
        let absorbs = |&(q, cosine, _): &(f64, f64, u32)| cosine >= COSINES[1] && q >= SHARE * t;
        let first = self.others.iter().find(|other| counts(other.2));
        !self.splits_fire && t > 0.0 && first.is_some_and(absorbs)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Features [F] that fire in `least` or more of the rows that are looked at, and in [`NARROWER`] of these with the label, `on`.
fn narrower(columns: &Columns, on: &[u32], least: usize, is_looked_at: impl Fn(u32) -> bool) -> Vec<bool> {
    let of = |f: usize| {
        let fires = || columns.feature(f).0.iter().filter(|n| is_looked_at(**n));
        let (all, with) = (fires().count(), fires().filter(|n| on.binary_search(n).is_ok()).count());
        all >= least && with as f64 >= NARROWER * all as f64
    };
    (0..columns.width()).map(of).collect()
}

/// The share of `rows` in which no feature of `split` fires, but one does [`NARROWER`] of whose firings are rows with the label,
/// `on`, and which fires in twice [`LEAST`] rows or more: with fewer, chance has many. NaN without rows.
pub fn exact(columns: &Columns, features: &Csr, on: &[u32], split: &[u32], rows: &[u32]) -> f64 {
    let narrower = narrower(columns, on, 2 * LEAST, |_| true);
    let absorbed = rows.iter().filter(|&&n| {
        let active = features.row(n as usize).0;
        !active.iter().any(|f| split.contains(f)) && active.iter().any(|&f| narrower[f as usize])
    });
    absorbed.count() as f64 / rows.len() as f64
}

fn means(labels: Vec<Absorbed>, resamples: usize, seed: u64) -> Absorption {
    let flat: Vec<f64> = labels.iter().flat_map(|l| [l.fraction, l.full, l.exact, 1.0]).collect();
    let [fraction_interval, full_interval, exact_interval] = bootstrap(&flat, 4, resamples, seed, |sums| {
        [sums[0] / sums[3], sums[1] / sums[3], sums[2] / sums[3]]
    });
    let standing: Vec<&Absorbed> = labels.iter().filter(|l| l.f1 >= STANDS).collect();
    let flat: Vec<f64> =
        standing.iter().flat_map(|l| [l.narrow, l.exact, (l.narrow - l.exact).abs(), 1.0]).collect();
    let over = |sums: &[f64]| [sums[0] / sums[3], sums[1] / sums[3], sums[2] / sums[3]];
    let [narrow_interval, stood_for_exact_interval, off_interval] =
        bootstrap(&flat, 4, resamples, seed, over);
    let mut total = [0.0; 4];
    flat.chunks_exact(4).for_each(|sums| total.iter_mut().zip(sums).for_each(|(total, x)| *total += x));
    let [narrow, stood_for_exact, off] = over(&total);
    let mean = |of: fn(&Absorbed) -> f64| labels.iter().map(of).sum::<f64>() / labels.len() as f64;
    Absorption {
        n: labels.len() as u64,
        fraction: mean(|l| l.fraction),
        fraction_interval: fraction_interval.into(),
        full: mean(|l| l.full),
        full_interval: full_interval.into(),
        exact: mean(|l| l.exact),
        exact_interval: exact_interval.into(),
        stood_for: standing.len() as u64,
        narrow,
        narrow_interval: narrow_interval.into(),
        stood_for_exact,
        stood_for_exact_interval: stood_for_exact_interval.into(),
        off,
        off_interval: off_interval.into(),
        split: mean(|l| l.split.len() as f64),
        f1: mean(|l| l.f1),
        labels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_dictionary::Activation;

    /// Unit directions of D = 4: feature 0 is the parent p = e₀, feature 1 the child (e₀ + e₁)/√2, feature 2 is e₂, feature 3 is
    /// (e₀ + 20·e₃) of length 1, which is nearly across p.
    fn dictionary() -> Dictionary {
        let h = 0.5f32.sqrt();
        let far = [1.0 / 401f32.sqrt(), 20.0 / 401f32.sqrt()];
        Dictionary {
            w_enc: vec![0.0; 16],
            b_enc: vec![0.0; 4],
            threshold: vec![0.0; 4],
            w_dec: [[1.0, 0.0, 0.0, 0.0], [h, h, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [far[0], 0.0, 0.0, far[1]]]
                .concat(),
            b_dec: vec![0.5, 0.0, 0.0, 0.0],
            w_skip: None,
            activation: Activation::JumpRelu,
            d_in: 4,
            d_out: 4,
        }
    }

    fn csr(rows: &[Vec<(u32, f32)>]) -> Csr {
        let mut out = Csr::with_columns(4);
        for row in rows {
            out.index.extend(row.iter().map(|e| e.0));
            out.value.extend(row.iter().map(|e| e.1));
            out.row_start.push(out.index.len());
        }
        out
    }

    /// b_dec is ½ p, so x₀ = 1.5 is t = 1. By hand: the parent alone, nothing; the child alone with q = 1, all; parent 0.5 and child
    /// 0.5, half; parent 0.25 and a child of 3 (A = 3, a = 0.75), three quarters; a child with q = 0.3 < 0.4 t, nothing; a feature with
    /// q = 0.5 but cosine 1/√401 = 0.0499: no fraction, but full.
    #[test]
    fn rows_by_hand() {
        let (dictionary, h) = (dictionary(), 0.5f32.sqrt());
        let p = [1.0, 0.0, 0.0, 0.0];
        type Firing<'a> = &'a [(u32, f32)];
        let cases: [(Firing<'_>, f64, f64); 6] = [
            (&[(0, 1.0)], 0.0, 0.0),
            (&[(1, 1.0 / h)], 1.0, 1.0),
            (&[(0, 0.5), (1, 0.5 / h)], 0.5, 0.0),
            (&[(0, 0.25), (1, 3.0 / h)], 0.75, 0.0),
            (&[(1, 0.3 / h)], 0.0, 0.0),
            (&[(3, 0.5 * 401f32.sqrt())], 0.0, 1.0),
        ];
        for (row, fraction, full) in cases {
            let features = csr(&[row.to_vec()]);
            let x = [1.5, 0.0, 0.0, 0.0];
            let narrower = [false, true, false, false];
            let found = of_rows(&dictionary, &x, &features, &p, (&[0], &narrower), &[0]).expect("a row");
            assert!((found.fraction - fraction).abs() < 1e-6 && found.full == full, "{row:?}: {found:?}");
            // Of the features that are fully absorbing only the first child is narrower.
            let by_child = if row[0].0 == 1 { full } else { 0.0 };
            assert_eq!(found.narrow, by_child, "{row:?}");
        }
        assert_eq!(of_rows(&dictionary, &[], &csr(&[]), &p, (&[0], &[false; 4]), &[]), None);
    }

    /// A planted parent and child. Rows in threes of documents of ten: the parent is on in rows with n % 4 < 2; of these the child
    /// is on where n % 8 < 2, half of them, and there the parent's feature is silent. Every third row has e₂ as well.
    /// So the exact rate is ½, and the measured rates must be.
    #[test]
    fn planted_absorption_is_measured_as_it_is() {
        let dictionary = dictionary();
        let h = 0.5f32.sqrt();
        let (mut rows, mut x) = (Vec::new(), Vec::new());
        for n in 0..800u32 {
            let noise = (n.wrapping_mul(2_654_435_761) >> 20) as f32 / 4_096.0 * 0.1;
            let other = if n % 3 == 0 { 1.0 } else { 0.0 };
            let (mut row, at) = match (n % 4 < 2, n % 8 < 2) {
                (true, true) => (vec![(1, 1.0 / h)], [1.5 + noise, 1.0, other, 0.0]),
                (true, false) => (vec![(0, 1.0)], [1.5 + noise, 0.0, other, 0.0]),
                _ => (vec![], [0.5 + noise, 0.0, other, 0.0]),
            };
            if other > 0.0 {
                row.push((2, 1.0));
            }
            rows.push(row);
            x.extend(at);
        }
        let features = csr(&rows);
        let documents: Vec<u32> = (0..800).map(|n| n / 10).collect();
        let is_fitted = crate::halves(&documents, 5);
        let on = (0..800).filter(|n| n % 4 < 2).collect();
        let labels = Labels { names: vec!["parent".into()], rows: vec![on], documents };
        // The split of two features of equal worth is both of them, and nothing is absorbed: τ says so, and so do we.
        let both = absorption(&dictionary, &x, &features, &labels, &is_fitted, (50, 0));
        assert_eq!((both.labels[0].split.len(), both.full, both.exact), (2, 0.0, 0.0));
        // With the parent's feature as the only split one, half of the rows are absorbed.
        let (p, _) = direction(&x, 4, &labels.rows[0], &is_fitted).expect("a direction");
        let (columns, on) = (Columns::of(&features), &labels.rows[0]);
        let narrow = narrower(&columns, on, LEAST, |n| is_fitted[n as usize]);
        let found = of_rows(&dictionary, &x, &features, &p, (&[0], &narrow), on).expect("rows");
        let Shares { fraction, full, narrow } = found;
        let exact = exact(&columns, &features, on, &[0], on);
        assert_eq!(exact, 0.5);
        assert!([fraction, full, narrow].iter().all(|found| (found - exact).abs() <= 0.05), "{found:?}");
    }

    /// A planted hierarchy of D = 16: a parent (label on in half of the rows), eight children of it, each on in 1/40 of the rows of the parent
    /// and never together, a cousin that is on in 3/4 of the parent's rows and in 1/4 of the others, and features of no account. The
    /// dictionary has their directions; the first `absorbed` children carry the parent's direction and silence the parent's feature, which is
    /// what a sparse encoder learns. So the rate is absorbed/40 by construction, and what is measured must be within 0.05 of it, while
    /// the cousin, which points along the probe, must not count.
    #[test]
    fn absorption_that_was_planted_is_found_at_its_rate() {
        let n_rows = 4_000u32;
        let hash = |n: u32, k: u32| {
            (n.wrapping_mul(2_654_435_761).wrapping_add(k.wrapping_mul(0x9e37_79b9)))
                .wrapping_mul(0x85eb_ca6b)
                >> 8
        };
        for absorbed in [0u32, 2, 4, 8] {
            let mut w_dec = vec![0.0f32; 12 * 16];
            (0..12).for_each(|f| w_dec[f * 16 + f] = 1.0);
            (0..absorbed as usize).for_each(|child| w_dec[(1 + child) * 16] = 1.0);
            let dictionary = Dictionary {
                w_enc: vec![0.0; 12 * 16],
                b_enc: vec![0.0; 12],
                threshold: vec![0.0; 12],
                w_dec,
                b_dec: vec![0.0; 16],
                w_skip: None,
                activation: Activation::JumpRelu,
                d_in: 16,
                d_out: 16,
            };
            let (mut features, mut x, mut on) = (Csr::with_columns(12), Vec::new(), Vec::new());
            for n in 0..n_rows {
                let parent = hash(n, 1) % 2 == 0;
                let child = Some(hash(n, 2) % 40).filter(|&c| parent && c < 8);
                let cousin = hash(n, 3) % 4 < if parent { 3 } else { 1 };
                let mut row: Vec<(u32, f32)> = Vec::new();
                if parent && child.is_none_or(|c| c >= absorbed) {
                    row.push((0, 1.0));
                }
                row.extend(child.map(|c| (1 + c, 1.0)));
                row.extend(cousin.then_some((9, 1.0)));
                row.extend((hash(n, 4) % 3 == 0).then_some((10, 1.0)));
                let mut dense = [0.0f32; 16];
                for &(f, value) in &row {
                    let direction = &dictionary.w_dec[f as usize * 16..][..16];
                    dense.iter_mut().zip(direction).for_each(|(x, d)| *x += value * d);
                }
                dense
                    .iter_mut()
                    .enumerate()
                    .for_each(|(k, x)| *x += (hash(n, 10 + k as u32) % 1_000) as f32 / 1e4);
                features.index.extend(row.iter().map(|entry| entry.0));
                features.value.extend(row.iter().map(|entry| entry.1));
                features.row_start.push(features.index.len());
                x.extend(dense);
                on.extend(parent.then_some(n));
            }
            let documents: Vec<u32> = (0..n_rows).map(|n| n / 20).collect();
            let is_fitted = crate::halves(&documents, 7);
            let labels = Labels { names: vec!["parent".into()], rows: vec![on], documents };
            let found = absorption(&dictionary, &x, &features, &labels, &is_fitted, (50, 0));
            let rate = f64::from(absorbed) / 40.0;
            assert_eq!(
                (found.n, found.stood_for, &found.labels[0].split[..]),
                (1, 1, &[0][..]),
                "{absorbed}"
            );
            assert!((found.narrow - rate).abs() <= 0.05, "{absorbed}: {found:?}");
            assert!(
                (found.stood_for_exact - rate).abs() <= 0.05 && found.off <= 0.05,
                "{absorbed}: {found:?}"
            );
        }
    }

    #[test]
    fn a_split_ends_where_f1_stops_growing() {
        let probes = |f1: &[f64]| {
            let probes = f1.iter().map(|&f1| crate::probing::Probed { auroc: 0.0, f1 }).collect();
            split_size(&Sparse { ranked: vec![], probes })
        };
        assert_eq!(probes(&[0.5, 0.52, 0.9]), 1);
        assert_eq!(probes(&[0.5, 0.6, 0.62]), 2);
        assert_eq!(probes(&[0.1, 0.2, 0.3]), 3);
    }
}
