//! Can one attribute of a thing be changed by its features, and the others stay? Disentangling by interchange, after RAVEL (Huang et al. 2024,
//! arXiv 2402.17700) as SAEBench has it (Karvonen et al. 2025, arXiv 2503.09532).
//!
//! A pair is two texts that are equal but for the token at one position, which names two things, u and u'. Both end before the word that
//! says an attribute b of the thing, and the model is right about either. For an attribute a, columns S are chosen, and every row x of u's text from
//! that position on becomes
//!
//!   x + Σ_{i ∈ S} (c_i' − c_i)·d_i
//!
//! c_i, c_i' being the columns there in the texts of u and u', d_i their directions: of a dictionary its features and decoder rows, so that what it does not
//! reconstruct stays as it is; of neurons, principal components and random directions the coordinates and the axes.
//!
//!   cause       share of pairs with a = b in which the most likely word is then that of u'
//!   isolation   share of pairs with a ≠ b, one a each, in which it is still that of u
//!   score       (cause + isolation)/2: changing nothing has 0, 1 and .5, changing everything about 1, 0 and .5
//!
//! Values of a and of b differ between u and u' in every pair that counts. Things are in two halves, and no thing of one is in a pair of the other. On the
//! first, columns are ranked for a by F of an analysis of variance of Σ c over the rows, between and within a's values, in the pairs that ask a; and k
//! of them are taken, the k of [`KS`] that has the best score there, the smaller of equals. On the second half the shares are measured.
//! `whole` swaps the rows: how much of the thing is at that site of the model at all.
//!
//! Theirs swaps at the last token of the thing only. A model that has carried on what it knows of a thing has nothing there at most sites, so
//! ours swaps from there on.

use crate::evaluate::{Subject, batches};
use crate::{Interval, Options};
use lapidary_lm::{Model, Site};
use lapidary_splice::{Base, Splice};
use lapidary_stats::{bootstrap, pca};
use lapidary_text::Window;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Numbers of columns that are tried.
pub const KS: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Pairs of texts, and the attributes that are asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs {
    /// Their names [A].
    pub attributes: Vec<String>,
    /// In order; what was drawn first is of no account.
    pub pairs: Vec<Pair>,
}

/// Two texts that differ in one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// u's text, up to where the answer is predicted.
    pub base: Vec<u32>,
    /// That of u'.
    pub twin: Vec<u32>,
    /// Position of the token that differs.
    pub at: usize,
    /// b, the attribute that is asked.
    pub asked: usize,
    /// The a that is swapped to see whether b stays; not b.
    pub other: usize,
    /// Words that say u's and u's attributes [A], as tokens.
    pub values: [Vec<u32>; 2],
    /// Are columns chosen on it?
    pub is_fitted: bool,
}

/// A dictionary and what stands beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disentangling {
    /// Pairs that are measured.
    pub n: u64,
    /// Pairs that columns were chosen on.
    pub fitted: u64,
    /// `features` first, then `pca`, `neurons`, `random`, and `whole`.
    pub sources: Vec<Interchange>,
}

/// One source of columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interchange {
    /// Of what.
    pub source: String,
    /// Columns that are swapped, mean over attributes.
    pub k: f64,
    /// Share of pairs.
    #[serde(with = "crate::number")]
    pub cause: f64,
    /// 95 %, bootstrap over pairs.
    pub cause_interval: Interval,
    /// Share of pairs.
    #[serde(with = "crate::number")]
    pub isolation: f64,
    /// 95 %, bootstrap over pairs.
    pub isolation_interval: Interval,
    /// Their mean.
    #[serde(with = "crate::number")]
    pub score: f64,
    /// 95 %, bootstrap over pairs.
    pub score_interval: Interval,
}

/// Of a dictionary; None where the model is right about no pair of one of the halves.
pub fn disentangling(
    model: &Model,
    subject: Subject<'_>,
    pairs: &Pairs,
    options: Options,
) -> Option<Disentangling> {
    let half = |is_fitted| Half::new(model, subject, pairs, is_fitted, options.batch_tokens);
    let (fitted, other) = (half(true)?, half(false)?);
    let (d, attributes) = (model.spec.width(subject.output), pairs.attributes.len());
    let components = pca::eigen(&pca::moments(&fitted.rows.concat(), d).covariance, d).vectors;
    let components = components.into_iter().map(|x| x as f32).collect();
    let random = orthonormal(d, options.seed);
    let axes = [("pca", components), ("neurons", identity(d)), ("random", random)];
    let of = |source, of: &dyn Fn(&Half<'_>) -> Columns| {
        let (columns, there) = (of(&fitted), of(&other));
        let ranked: Vec<Vec<u32>> =
            (0..attributes).map(|a| columns.ranked(&fitted.pairs, &fitted.starts, a)).collect();
        let chosen = fitted.best(&columns, ranked);
        other.interchange(source, &there, &chosen, options)
    };
    let mut sources = vec![of("features", &|half: &Half<'_>| Columns::of(model, subject, &half.read))];
    for (name, axes) in &axes {
        sources.push(of(name, &|half: &Half<'_>| Columns::along(&half.rows, axes, d)));
    }
    let whole = vec![(0..d as u32).collect(); attributes];
    sources.push(other.interchange("whole", &Columns::along(&other.rows, &identity(d), d), &whole, options));
    Some(Disentangling { n: other.pairs.len() as u64, fitted: fitted.pairs.len() as u64, sources })
}

/// The pairs of one half that the model is right about, run once.
struct Half<'a> {
    model: &'a Model,
    output: Site,
    pairs: Vec<&'a Pair>,
    bases: Vec<Base>,
    /// Rows of u and of u' from `at` on where the dictionary writes [R, D].
    rows: [Vec<f32>; 2],
    /// The same where it reads.
    read: [Vec<f32>; 2],
    /// First of these rows of every pair, and R [pairs + 1].
    starts: Vec<usize>,
}

/// Of one pair: right with a = b, asked; right with another a, asked.
type Outcome = [f64; 4];

impl<'a> Half<'a> {
    /// None if the model is right about none.
    fn new(
        model: &'a Model,
        subject: Subject<'_>,
        all: &'a Pairs,
        is_fitted: bool,
        batch_tokens: usize,
    ) -> Option<Half<'a>> {
        let sites = [subject.site, subject.output];
        let candidates: Vec<&Pair> = all.pairs.iter().filter(|pair| pair.is_fitted == is_fitted).collect();
        let is_right = |side: usize| -> Vec<bool> {
            let bases = run(model, &candidates, side, &sites, batch_tokens);
            let said = bases.iter().flat_map(|base| last_words(model, base, &base.residual));
            said.zip(&candidates).map(|(said, pair)| said == pair.values[side][pair.asked]).collect()
        };
        let right = [is_right(0), is_right(1)];
        let known = |(n, _): &(usize, &&Pair)| right[0][*n] && right[1][*n];
        let pairs: Vec<&Pair> = candidates.iter().enumerate().filter(known).map(|(_, pair)| *pair).collect();
        let bases = run(model, &pairs, 0, &sites, batch_tokens);
        let twins = run(model, &pairs, 1, &sites, batch_tokens);
        let at = |site| [&bases, &twins].map(|of| rows_from(model, of, &pairs, site));
        let (rows, read) = (at(subject.output), at(subject.site));
        let mut starts = vec![0];
        pairs.iter().for_each(|pair| starts.push(starts[starts.len() - 1] + pair.base.len() - pair.at));
        let output = subject.output;
        (!pairs.is_empty()).then_some(Half { model, output, pairs, bases, rows, read, starts })
    }

    /// Of the `ranked` columns of each attribute, as many as are best here.
    fn best(&self, columns: &Columns, ranked: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
        let mut best: Vec<(f64, usize)> = vec![(f64::NEG_INFINITY, 0); ranked.len()];
        let most = ranked.iter().map(Vec::len).max().unwrap_or(0);
        let first = |k: usize| -> Vec<Vec<u32>> {
            ranked.iter().map(|columns| columns[..k.min(columns.len())].to_vec()).collect()
        };
        for k in KS.into_iter().take_while(|&k| k == 1 || k / 2 < most) {
            let outcomes = self.outcomes(columns, &first(k));
            for (a, best) in best.iter_mut().enumerate() {
                let [cause, asked, isolation, others] = self.concerning(a, &outcomes);
                let score = (cause / asked.max(1.0) + isolation / others.max(1.0)) / 2.0;
                if score > best.0 {
                    *best = (score, k);
                }
            }
        }
        best.iter().zip(ranked).map(|(&(_, k), columns)| columns.into_iter().take(k).collect()).collect()
    }

    /// Sums over the pairs in which attribute a is swapped.
    fn concerning(&self, a: usize, outcomes: &[Outcome]) -> Outcome {
        let mut sums = [0.0; 4];
        for (pair, outcome) in self.pairs.iter().zip(outcomes) {
            let own = if pair.asked == a { &outcome[..2] } else { &[0.0; 2] };
            let other = if pair.other == a { &outcome[2..] } else { &[0.0; 2] };
            sums.iter_mut().zip(own.iter().chain(other)).for_each(|(sum, x)| *sum += x);
        }
        sums
    }

    fn interchange(
        &self,
        source: &str,
        columns: &Columns,
        chosen: &[Vec<u32>],
        options: Options,
    ) -> Interchange {
        let outcomes = self.outcomes(columns, chosen);
        let shares = |sums: &[f64]| {
            let (cause, isolation) = (sums[0] / sums[1], sums[2] / sums[3]);
            [cause, isolation, (cause + isolation) / 2.0]
        };
        let mut total = [0.0; 4];
        outcomes.iter().for_each(|sums| total.iter_mut().zip(sums).for_each(|(total, x)| *total += x));
        let [cause, isolation, score] = shares(&total);
        let intervals = bootstrap(&outcomes.concat(), 4, options.resamples, options.seed, shares);
        let [cause_interval, isolation_interval, score_interval] = intervals.map(Interval::from);
        let k = chosen.iter().map(Vec::len).sum::<usize>() as f64 / chosen.len() as f64;
        let source = source.to_string();
        Interchange { source, k, cause, cause_interval, isolation, isolation_interval, score, score_interval }
    }

    /// Of every pair, with the `chosen` columns of one attribute swapped, and then of the other.
    fn outcomes(&self, columns: &Columns, chosen: &[Vec<u32>]) -> Vec<Outcome> {
        let own = self.said(columns, &|pair| &chosen[pair.asked]);
        let other = self.said(columns, &|pair| &chosen[pair.other]);
        let share = |right: bool| if right { 1.0 } else { 0.0 };
        let outcome = |(pair, (own, other)): (&&Pair, (&u32, &u32))| {
            let [base, twin] = [0, 1].map(|side| pair.values[side][pair.asked]);
            [share(*own == twin), 1.0, share(*other == base), 1.0]
        };
        self.pairs.iter().zip(own.iter().zip(&other)).map(outcome).collect()
    }

    /// The most likely word of each pair with these columns swapped.
    fn said<'r>(&self, columns: &Columns, swapped: &dyn Fn(&Pair) -> &'r Vec<u32>) -> Vec<u32> {
        let d = self.model.spec.width(self.output);
        let (mut out, mut n) = (Vec::with_capacity(self.pairs.len()), 0);
        for base in &self.bases {
            let mut x = base.x(self.model, self.output);
            for &start in &base.batch.starts[..base.batch.starts.len() - 1] {
                let pair = self.pairs[n];
                let row = base.rows.partition_point(|&row| row < start + pair.at);
                for (k, at) in (self.starts[n]..self.starts[n + 1]).enumerate() {
                    columns.swap(at, swapped(pair), &mut x[(row + k) * d..][..d]);
                }
                n += 1;
            }
            let residual = base.splice(self.model, self.output, Splice::Rows(&x));
            out.extend(last_words(self.model, base, &residual));
        }
        out
    }
}

/// One side of the pairs, by batches.
fn run(model: &Model, pairs: &[&Pair], side: usize, sites: &[Site], batch_tokens: usize) -> Vec<Base> {
    let window = |(n, pair): (usize, &&Pair)| {
        let tokens = if side == 0 { &pair.base } else { &pair.twin };
        Window { doc: n as u32, pos: 0, tokens: tokens.clone() }
    };
    let windows: Vec<Window> = pairs.iter().enumerate().map(window).collect();
    batches(&windows, batch_tokens).into_iter().map(|span| Base::run(model, &windows[span], sites)).collect()
}

/// The most likely word after each window.
fn last_words(model: &Model, base: &Base, residual: &[f32]) -> Vec<u32> {
    let (d, vocab) = (model.spec.d_model, model.spec.vocab);
    let ends = &base.batch.starts[1..];
    let rows: Vec<f32> = ends.iter().flat_map(|end| &residual[(end - 1) * d..end * d]).copied().collect();
    let first_choice =
        |logits: &[f32]| (0..vocab).fold(0, |best, i| if logits[i] > logits[best] { i } else { best }) as u32;
    model.unembed(&rows).chunks_exact(vocab).map(first_choice).collect()
}

/// The rows from `at` on of every pair [R, D].
fn rows_from(model: &Model, bases: &[Base], pairs: &[&Pair], site: Site) -> Vec<f32> {
    let d = model.spec.width(site);
    let (mut out, mut pairs) = (Vec::new(), pairs.iter());
    for base in bases {
        let x = base.x(model, site);
        for (&start, pair) in base.batch.starts[..base.batch.starts.len() - 1].iter().zip(&mut pairs) {
            let row = base.rows.partition_point(|&row| row < start + pair.at);
            out.extend_from_slice(&x[row * d..][..(pair.base.len() - pair.at) * d]);
        }
    }
    out
}

/// What may be swapped.
struct Columns {
    /// C.
    width: usize,
    /// Of u and of u' [R, C].
    values: [Vec<f32>; 2],
    /// [C, D]
    directions: Vec<f32>,
    d: usize,
}

impl Columns {
    /// A dictionary's features in rows of u and of u'.
    fn of(model: &Model, subject: Subject<'_>, read: &[Vec<f32>; 2]) -> Columns {
        let (dictionary, width) = (subject.dictionary, subject.dictionary.width());
        let values = read.each_ref().map(|x| {
            let features = dictionary.encode(model.device, x);
            let mut dense = vec![0.0; features.rows() * width];
            for (n, row) in dense.chunks_exact_mut(width).enumerate() {
                let (index, values) = features.row(n);
                index.iter().zip(values).for_each(|(&f, &v)| row[f as usize] = v);
            }
            dense
        });
        Columns { width, values, directions: dictionary.w_dec.clone(), d: dictionary.d_out }
    }

    /// Coordinates along orthonormal `axes` [D, D].
    fn along(rows: &[Vec<f32>; 2], axes: &[f32], d: usize) -> Columns {
        let coordinates = |x: &Vec<f32>| {
            let of = |row: &[f32]| axes.chunks_exact(d).map(|axis| dot(row, axis)).collect::<Vec<f32>>();
            x.chunks_exact(d).flat_map(of).collect()
        };
        Columns {
            width: axes.len() / d,
            values: rows.each_ref().map(coordinates),
            directions: axes.to_vec(),
            d,
        }
    }

    /// Adds Σ (c' − c)·d at row n over `chosen` to `row` [D].
    fn swap(&self, n: usize, chosen: &[u32], row: &mut [f32]) {
        for &c in chosen {
            let [base, twin] = self.values.each_ref().map(|values| values[n * self.width + c as usize]);
            let direction = &self.directions[c as usize * self.d..][..self.d];
            if twin != base {
                row.iter_mut().zip(direction).for_each(|(x, d)| *x += (twin - base) * d);
            }
        }
    }

    /// Those that vary, by F over the values of attribute a in the pairs that ask it, the largest first, at most the last of [`KS`].
    fn ranked(&self, pairs: &[&Pair], starts: &[usize], a: usize) -> Vec<u32> {
        let mut groups: BTreeMap<u32, Vec<(usize, usize)>> = BTreeMap::new();
        for (n, pair) in pairs.iter().enumerate().filter(|(_, pair)| pair.asked == a) {
            (0..2).for_each(|side| groups.entry(pair.values[side][a]).or_default().push((side, n)));
        }
        let groups: Vec<Vec<(usize, usize)>> = groups.into_values().collect();
        let value = |c: usize, (side, n): (usize, usize)| {
            let rows = starts[n]..starts[n + 1];
            rows.map(|row| f64::from(self.values[side][row * self.width + c])).sum::<f64>()
        };
        let value = &value;
        let f =
            |c: usize| variance_ratio(groups.iter().map(|g| g.iter().map(move |&at| value(c, at)).collect()));
        let mut order: Vec<(f64, u32)> =
            (0..self.width).map(|c| (f(c), c as u32)).filter(|f| f.0 > 0.0).collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        order.into_iter().take(KS[KS.len() - 1]).map(|(_, c)| c).collect()
    }
}

/// Between groups over within: (Σ n_g (m_g − m)²/(G − 1)) / (Σ (x − m_g)²/(N − G)); 0 where nothing varies.
fn variance_ratio(groups: impl Iterator<Item = Vec<f64>>) -> f64 {
    let groups: Vec<Vec<f64>> = groups.collect();
    let mean = |group: &[f64]| group.iter().sum::<f64>() / group.len() as f64;
    let count: usize = groups.iter().map(Vec::len).sum();
    let all = groups.iter().flatten().sum::<f64>() / count as f64;
    let (mut between, mut within) = (0.0, 0.0);
    for group in &groups {
        let own = mean(group);
        between += group.len() as f64 * (own - all).powi(2);
        within += group.iter().map(|x| (x - own).powi(2)).sum::<f64>();
    }
    if between == 0.0 || groups.len() < 2 {
        return 0.0;
    }
    (between / (groups.len() - 1) as f64) / (within / count.saturating_sub(groups.len()) as f64)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
}

fn identity(d: usize) -> Vec<f32> {
    (0..d * d).map(|i| if i / d == i % d { 1.0 } else { 0.0 }).collect()
}

/// Random directions made orthonormal one after the other [D, D].
fn orthonormal(d: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut axes: Vec<Vec<f64>> = Vec::new();
    let along = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for _ in 0..d {
        let mut axis: Vec<f64> =
            (0..d).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX) - 0.5).collect();
        for _ in 0..2 {
            for other in &axes {
                let share = along(&axis, other);
                axis.iter_mut().zip(other).for_each(|(x, o)| *x -= share * o);
            }
        }
        let length = along(&axis, &axis).sqrt();
        axes.push(axis.into_iter().map(|x| x / length).collect());
    }
    axes.into_iter().flatten().map(|x| x as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups (1, 3) and (5, 7): means 2 and 6 around 4, between 2·4 + 2·4 = 16 over 1; within 4 over 2. F = 16/2.
    #[test]
    fn ratio_of_variances_by_hand() {
        let f = |groups: &[&[f64]]| variance_ratio(groups.iter().map(|g| g.to_vec()));
        assert_eq!(f(&[&[1.0, 3.0], &[5.0, 7.0]]), 8.0);
        assert_eq!(f(&[&[1.0, 3.0], &[2.0, 2.0]]), 0.0);
        assert_eq!(f(&[&[0.0, 0.0], &[0.0, 0.0]]), 0.0);
        assert_eq!(f(&[&[0.0, 0.0], &[1.0, 1.0]]), f64::INFINITY);
        assert_eq!(f(&[&[0.0, 1.0]]), 0.0);
    }

    /// Two attributes of four things: column 0 is the first attribute, column 1 the second, column 2 the thing itself, column 3 nothing.
    /// The thing varies within every value, so that an attribute's own column comes before it.
    #[test]
    fn an_attributes_own_column_comes_first() {
        let thing = |k: u32| vec![10 + k / 2, 20 + k % 2];
        let pair = |(u, v): (u32, u32)| Pair {
            base: vec![u],
            twin: vec![v],
            at: 0,
            asked: 0,
            other: 1,
            values: [thing(u), thing(v)],
            is_fitted: true,
        };
        let pairs: Vec<Pair> = [(0, 3), (1, 2), (3, 0), (2, 1)].map(pair).to_vec();
        let row = |k: u32| [(k / 2) as f32, (k % 2) as f32 * 3.0, k as f32, 0.0];
        let values = [0, 1].map(|side| {
            let own = |pair: &Pair| row(if side == 0 { pair.base[0] } else { pair.twin[0] });
            pairs.iter().flat_map(own).collect()
        });
        let columns = Columns { width: 4, values, directions: identity(4), d: 4 };
        let pairs: Vec<&Pair> = pairs.iter().collect();
        let starts = [0, 1, 2, 3, 4];
        assert_eq!(columns.ranked(&pairs, &starts, 0), [0, 2]);
        assert_eq!(columns.ranked(&pairs, &starts, 1), [] as [u32; 0], "nobody asks it");
        let other = |pair: &&Pair| Pair { asked: 1, other: 0, ..(*pair).clone() };
        let other: Vec<Pair> = pairs.iter().map(other).collect();
        assert_eq!(columns.ranked(&other.iter().collect::<Vec<_>>(), &starts, 1), [1, 2]);
        // Pair 0 goes from thing 0 to thing 3: its columns 0 and 1 from (0, 0) to (1, 3).
        let mut x = [5.0f32; 4];
        columns.swap(0, &[1], &mut x);
        assert_eq!(x, [5.0, 8.0, 5.0, 5.0]);
    }

    #[test]
    fn random_axes_are_orthonormal() {
        let axes = orthonormal(6, 3);
        for (i, a) in axes.chunks_exact(6).enumerate() {
            for (j, b) in axes.chunks_exact(6).enumerate() {
                assert!((dot(a, b) - if i == j { 1.0 } else { 0.0 }).abs() < 1e-6, "{i} {j}");
            }
        }
        assert_ne!(axes, orthonormal(6, 4));
    }
}
