//! The concepts that a model is steered towards: variables of its language, with the direction and the feature that stand for each, and
//! the words by which an answer is judged. Directions and features are chosen on one half of the windows, words on the other.

use crate::LabError;
use crate::rung::{Known, Rung};
use lapidary_dictionary::Dictionary;
use lapidary_kernels::Csr;
use lapidary_lm::Model;
use lapidary_splice::sweep::Reading;

/// A concept lasts: where it is on, it is on at the next token with this probability or more.
const PERSISTENCE: f64 = 0.9;
/// Added to every count of a word.
const SMOOTHING: f64 = 0.5;

/// A concept, and everything that is known of it.
pub(super) struct Concept {
    pub(super) number: u32,
    pub(super) name: String,
    /// Difference of means `[D]`.
    pub(super) difference: Vec<f32>,
    pub(super) feature: usize,
    pub(super) f1: f64,
    pub(super) largest: f32,
    /// Log-odds of each token `[V]`, and their means where the concept is off and on.
    odds: Vec<f64>,
    off: f64,
    on: f64,
}

/// The fresh rows in two halves, window by window.
pub(super) struct Halves<'a> {
    pub(super) known: &'a Known,
    /// Window, position and half of each row.
    pub(super) places: Vec<(usize, usize, bool)>,
    /// Is the concept on in the row?
    on: Vec<Vec<u32>>,
}

impl<'a> Halves<'a> {
    pub(super) fn of(known: &'a Known, model: &Model) -> Halves<'a> {
        let windows = known.windows.windows.iter().enumerate();
        let of = |(w, window): (usize, &lapidary_text::Window)| {
            window.row_positions(&model.spec).map(move |p| (w, p, w % 2 == 0)).collect::<Vec<_>>()
        };
        let truth = known.truth.as_ref().expect("the rung knows the truth");
        let on = (0..truth.rows()).map(|n| truth.row(n).to_vec()).collect();
        Halves { known, places: windows.flat_map(of).collect(), on }
    }

    pub(super) fn is_on(&self, n: usize, concept: u32) -> bool {
        self.on[n].binary_search(&concept).is_ok()
    }

    fn token(&self, n: usize) -> usize {
        let (w, p, _) = self.places[n];
        self.known.windows.windows[w].tokens[p] as usize
    }

    /// Of the tokens at which each variable is on, the share after which it still is, within a window [V].
    fn persistence(&self, variables: usize) -> Vec<f64> {
        let (mut on, mut stays) = (vec![0u64; variables], vec![0u64; variables]);
        for n in (1..self.places.len()).filter(|&n| self.places[n].0 == self.places[n - 1].0) {
            for &v in &self.on[n - 1] {
                on[v as usize] += 1;
                stays[v as usize] += u64::from(self.is_on(n, v));
            }
        }
        on.iter().zip(stays).map(|(&on, stays)| stays as f64 / on.max(1) as f64).collect()
    }

    /// Rows of the half that chooses, or of the one that judges.
    fn rows(&self, chooses: bool) -> impl Iterator<Item = usize> {
        (0..self.places.len()).filter(move |&n| self.places[n].2 == chooses)
    }
}

/// Represented variables that are neither rare nor everywhere and that last for many tokens, spread over their frequencies.
pub(super) fn concepts(
    rung: &Rung,
    halves: &Halves<'_>,
    dictionary: &Dictionary,
    x: &[f32],
    model: &Model,
    most: usize,
) -> Result<Vec<Concept>, LabError> {
    let names = &halves.known.truth.as_ref().expect("the rung knows the truth").indicators;
    let mut counts = vec![0u64; names.len()];
    halves.on.iter().flatten().for_each(|&v| counts[v as usize] += 1);
    let auroc = rung.probes()?.map(|probes| probes.auroc.clone()).unwrap_or_default();
    let share = |v: usize| counts[v] as f64 / halves.on.len() as f64;
    let lasts = halves.persistence(names.len());
    let fits = |v: &usize| {
        (0.01..0.5).contains(&share(*v))
            && lasts[*v] >= PERSISTENCE
            && !names[*v].starts_with("word ")
            && auroc.get(*v).is_some_and(|&a| a >= 0.9)
    };
    let mut all: Vec<usize> = (0..names.len()).filter(fits).collect();
    all.sort_by_key(|&v| (counts[v], v));
    let wanted = most.min(all.len());
    let chosen: Vec<usize> = (0..wanted).map(|i| all[(2 * i + 1) * all.len() / (2 * wanted)]).collect();
    let features = dictionary.encode(model.device, x);
    Ok(chosen.into_iter().map(|v| concept(v, &names[v], halves, &features, dictionary, x, model)).collect())
}

fn concept(
    v: usize,
    name: &str,
    halves: &Halves<'_>,
    features: &Csr,
    dictionary: &Dictionary,
    x: &[f32],
    model: &Model,
) -> Concept {
    let (d, v) = (dictionary.d_in, v as u32);
    let mut sums = [vec![0.0f64; d], vec![0.0f64; d]];
    let mut rows = [0u64; 2];
    let (mut both, mut fires) = (vec![0u64; dictionary.width()], vec![0u64; dictionary.width()]);
    let mut largest = vec![0.0f32; dictionary.width()];
    for n in halves.rows(true) {
        let on = halves.is_on(n, v);
        rows[usize::from(on)] += 1;
        let sum = sums[usize::from(on)].iter_mut().zip(&x[n * d..][..d]);
        sum.for_each(|(sum, &x)| *sum += f64::from(x));
        let (index, value) = features.row(n);
        for (&f, &value) in index.iter().zip(value) {
            fires[f as usize] += 1;
            both[f as usize] += u64::from(on);
            largest[f as usize] = largest[f as usize].max(value);
        }
    }
    let f1 = |f: usize| 2.0 * both[f] as f64 / (fires[f] + rows[1]).max(1) as f64;
    let feature = (0..dictionary.width()).fold(0, |best, f| if f1(f) > f1(best) { f } else { best });
    let mean = |side: usize, i: usize| sums[side][i] / rows[side].max(1) as f64;
    let difference = (0..d).map(|i| (mean(1, i) - mean(0, i)) as f32).collect();
    let (odds, off, on) = odds(halves, v, model.spec.vocab);
    let (f1, largest) = (f1(feature), largest[feature]);
    Concept { number: v, name: name.into(), difference, feature, f1, largest, odds, off, on }
}

/// log p(token | on) − log p(token | off), by the half that judges; with its mean over tokens where the concept is off, and on.
fn odds(halves: &Halves<'_>, concept: u32, vocab: usize) -> (Vec<f64>, f64, f64) {
    let mut counts = [vec![0.0; vocab], vec![0.0; vocab]];
    for n in halves.rows(false) {
        counts[usize::from(halves.is_on(n, concept))][halves.token(n)] += 1.0;
    }
    let totals = [0, 1].map(|side: usize| counts[side].iter().sum::<f64>());
    let log = |side: usize, t: usize| {
        ((counts[side][t] + SMOOTHING) / (totals[side] + SMOOTHING * vocab as f64)).ln()
    };
    let odds: Vec<f64> = (0..vocab).map(|t| log(1, t) - log(0, t)).collect();
    let mean =
        |side: usize| odds.iter().zip(&counts[side]).map(|(o, n)| o * n).sum::<f64>() / totals[side].max(1.0);
    let (off, on) = (mean(0), mean(1));
    (odds, off, on)
}

impl Concept {
    /// 0: text without the concept, 1: text full of it.
    fn effect(&self, tokens: &[u32]) -> f64 {
        let mean = tokens.iter().map(|&t| self.odds[t as usize]).sum::<f64>() / tokens.len().max(1) as f64;
        if tokens.is_empty() { 0.0 } else { (mean - self.off) / (self.on - self.off) }
    }

    /// Mean cost and effect of answers, less those of the default ones.
    pub(super) fn mean(&self, readings: &[&Reading], defaults: &[Reading]) -> (f64, f64) {
        let each = readings.iter().zip(defaults).filter_map(|(reading, default)| {
            let effect = self.effect(&reading.tokens) - self.effect(&default.tokens);
            Some((reading.loss? - default.loss?, effect))
        });
        let each: Vec<(f64, f64)> = each.collect();
        let mean = |of: fn(&(f64, f64)) -> f64| each.iter().map(of).sum::<f64>() / each.len().max(1) as f64;
        (mean(|p| p.0), mean(|p| p.1))
    }
}
