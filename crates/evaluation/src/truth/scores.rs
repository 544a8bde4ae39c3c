//! The truth scores of one dictionary: plain data, and the function that measures it.
//!
//! Means are over indicators, their intervals over documents, with assignment, best features and sets of indicators held fixed.
//! What is resampled is the mean to first order in the counts, F1 + (2·δn_vj − F1·δ(n_v + n_j)) / (n_v + n_j): a rare indicator
//! lives in few documents, and its ratio itself would come out too low in almost every resample, so that an interval
//! need not hold its estimate. What is not finite is written as "NaN".

use super::matching::{Fit, Kept, Matching, Null, kept, matching, null, shifts};
use super::{Firings, Options, Probes, Truth};
use crate::{Interval, number};
use lapidary_stats::bootstrap;
use serde::{Deserialize, Serialize};

/// Does the model represent an indicator at the site?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Represented {
    /// A linear probe finds it.
    Yes,
    /// It does not.
    No,
    /// Too rare in one half of the documents to say.
    Unknown,
}

/// One indicator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndicatorScore {
    /// Index in the truth.
    pub indicator: u32,
    /// Its name there.
    pub name: String,
    /// Rows in which it is on.
    pub count: u64,
    /// The feature with the highest F1; none if no feature ever fires with it.
    pub best_feature: Option<u32>,
    /// Its F1, 0..=1.
    pub best_f1: f64,
    /// Mean best F1 when the truth is moved by whole documents.
    #[serde(with = "number")]
    pub null_mean: f64,
    /// 95th percentile of the same.
    #[serde(with = "number")]
    pub null_p95: f64,
    /// The feature that one-to-one assignment gives it.
    pub matched_feature: Option<u32>,
    /// Its F1; 0 without a feature.
    pub matched_f1: f64,
    /// Of the linear probe on held-out documents; NaN where that cannot be said.
    #[serde(with = "number")]
    pub auroc: f64,
    /// AUROC against the threshold.
    pub represented: Represented,
    /// Best F1 is high, and higher than chance.
    pub found: bool,
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureScore {
    /// Rows in which it fires.
    pub count: u64,
    /// Index in the truth of the indicator with the highest F1; none if it never fires with one.
    pub indicator: Option<u32>,
    /// Share of its firings where the indicator is on; NaN without an indicator.
    #[serde(with = "number")]
    pub precision: f64,
    /// Share of the indicator's rows where it fires; NaN without an indicator.
    #[serde(with = "number")]
    pub recall: f64,
    /// 0..=1.
    pub f1: f64,
}

/// A mean over indicators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanF1 {
    /// 0..=1; NaN without indicators.
    #[serde(with = "number")]
    pub value: f64,
    /// How many indicators.
    pub indicators: u64,
    /// 95 %, bootstrap over documents.
    pub interval: Interval,
}

/// Everything that the truth says of one dictionary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruthScores {
    /// The subject's name.
    pub name: String,
    /// N.
    pub rows: u64,
    /// Documents that they come from.
    pub documents: u64,
    /// F.
    pub width: usize,
    /// Indicators left out because they are on in too few rows.
    pub too_rare: u64,
    /// Indicators left out because they are on in more than half of the rows.
    pub too_frequent: u64,
    /// Best F1 over the scored indicators.
    pub best_f1: MeanF1,
    /// The null of that mean.
    #[serde(with = "number")]
    pub best_f1_null: f64,
    /// One-to-one F1 over the scored indicators.
    pub matched_f1: MeanF1,
    /// Best F1 over the represented ones.
    pub best_f1_represented: MeanF1,
    /// One-to-one F1 over the represented ones.
    pub matched_f1_represented: MeanF1,
    /// Indicators found.
    pub found: u64,
    /// Indicators that the model represents at the site.
    pub represented: u64,
    /// Both.
    pub found_and_represented: u64,
    /// Indicators for which the probe cannot say.
    pub represented_unknown: u64,
    /// The scored indicators, ascending.
    pub indicators: Vec<IndicatorScore>,
    /// All features [F].
    pub features: Vec<FeatureScore>,
    /// By how many rows the truth was moved for the null.
    pub shifts: Vec<usize>,
    /// Every threshold.
    pub options: Options,
}

/// Scores of the features that fire as `firings` says, on the rows of `truth`. `probes` are those of the trained model's site,
/// also when the features read another model; without them nothing is known to be represented.
pub fn score(
    name: &str,
    truth: &Truth,
    firings: &Firings,
    probes: Option<&Probes>,
    options: &Options,
) -> TruthScores {
    truth.assert_sizes();
    assert_eq!(firings.rows(), truth.rows(), "truth scores: rows of the features, and of the truth");
    let (kept, too_rare, too_frequent) = kept(truth, options);
    let matching = matching(&kept, firings);
    let shifts = shifts(truth, options);
    let null = null(&kept, firings, &shifts);
    let auroc = |kept: &Kept| probes.map_or(f64::NAN, |probes| probes.auroc[kept.indicator as usize]);
    let indicator = |(v, k): (usize, &Kept)| indicator(truth, k, v, &matching, null[v], auroc(k), options);
    let indicators: Vec<IndicatorScore> = kept.iter().enumerate().map(indicator).collect();
    let features = (0..firings.columns).map(|j| feature(j, &kept, &matching)).collect();

    let documents = Documents::new(truth);
    let mean = |fits: &[Fit], all: bool| {
        let is_in = |v: &usize| all || indicators[*v].represented == Represented::Yes;
        let chosen: Vec<usize> = (0..kept.len()).filter(is_in).collect();
        documents.mean_f1(&chosen, &kept, fits, firings, options)
    };
    let count = |of: &dyn Fn(&IndicatorScore) -> bool| indicators.iter().filter(|i| of(i)).count() as u64;
    TruthScores {
        name: name.into(),
        rows: truth.rows() as u64,
        documents: documents.count as u64,
        width: firings.columns,
        too_rare,
        too_frequent,
        best_f1: mean(&matching.best, true),
        best_f1_null: null.iter().map(|null| null.mean).sum::<f64>() / null.len() as f64,
        matched_f1: mean(&matching.matched, true),
        best_f1_represented: mean(&matching.best, false),
        matched_f1_represented: mean(&matching.matched, false),
        found: count(&|i| i.found),
        represented: count(&|i| i.represented == Represented::Yes),
        found_and_represented: count(&|i| i.found && i.represented == Represented::Yes),
        represented_unknown: count(&|i| i.represented == Represented::Unknown),
        indicators,
        features,
        shifts,
        options: options.clone(),
    }
}

fn indicator(
    truth: &Truth,
    kept: &Kept,
    v: usize,
    matching: &Matching,
    null: Null,
    auroc: f64,
    options: &Options,
) -> IndicatorScore {
    let (best, matched) = (matching.best[v], matching.matched[v]);
    let represented = match auroc {
        a if a.is_nan() => Represented::Unknown,
        a if a >= options.represented_auroc => Represented::Yes,
        _ => Represented::No,
    };
    IndicatorScore {
        indicator: kept.indicator,
        name: truth.indicators[kept.indicator as usize].clone(),
        count: kept.rows.len() as u64,
        best_feature: best.with,
        best_f1: best.f1,
        null_mean: null.mean,
        null_p95: null.p95,
        matched_feature: matched.with,
        matched_f1: matched.f1,
        auroc,
        represented,
        found: best.f1 >= options.found_f1 && best.f1 > null.p95 + options.found_margin,
    }
}

fn feature(j: usize, kept: &[Kept], matching: &Matching) -> FeatureScore {
    let (fit, count) = (matching.best_of_feature[j], matching.counts[j]);
    let indicator = fit.with.map(|v| &kept[v as usize]);
    let recall = indicator.map_or(f64::NAN, |kept| f64::from(fit.both) / kept.rows.len() as f64);
    FeatureScore {
        count: count.into(),
        indicator: indicator.map(|kept| kept.indicator),
        precision: indicator.map_or(f64::NAN, |_| f64::from(fit.both) / f64::from(count)),
        recall,
        f1: fit.f1,
    }
}

/// What the bootstrap draws.
struct Documents {
    count: usize,
    of_row: Vec<usize>, // [N]
}

impl Documents {
    fn new(truth: &Truth) -> Documents {
        let starts = truth.document_starts();
        let mut of_row = vec![0; truth.rows()];
        for (document, span) in starts.windows(2).enumerate() {
            of_row[span[0]..span[1]].fill(document);
        }
        Documents { count: starts.len() - 1, of_row }
    }

    /// Mean F1 of the `chosen` indicators with the features of their `fits`.
    fn mean_f1(
        &self,
        chosen: &[usize],
        kept: &[Kept],
        fits: &[Fit],
        firings: &Firings,
        options: &Options,
    ) -> MeanF1 {
        let value = chosen.iter().map(|&v| fits[v].f1).sum::<f64>() / chosen.len() as f64;
        let moves = self.moves(chosen, kept, fits, firings);
        let [interval] = bootstrap(&moves, 1, options.resamples, options.seed, |sums| [value + sums[0]]);
        MeanF1 { value, indicators: chosen.len() as u64, interval: interval.into() }
    }

    /// How far one more copy of each document moves the mean, to first order [documents]; they add up to 0.
    fn moves(&self, chosen: &[usize], kept: &[Kept], fits: &[Fit], firings: &Firings) -> Vec<f64> {
        let mut moves = vec![0.0; self.count];
        let mut of_firing = vec![0.0; firings.columns]; // what a firing of a feature adds, over all its pairs
        let counts = firings.counts();
        for &v in chosen {
            let Some(j) = fits[v].with else { continue };
            let total = kept[v].rows.len() as f64 + f64::from(counts[j as usize]);
            let unit = 1.0 / (total * chosen.len() as f64);
            of_firing[j as usize] -= fits[v].f1 * unit;
            for &n in &kept[v].rows {
                let both = f64::from(u8::from(firings.fires(n, j)));
                moves[self.of_row[n as usize]] += (2.0 * both - fits[v].f1) * unit;
            }
        }
        for (n, &document) in self.of_row.iter().enumerate() {
            moves[document] += firings.row(n).iter().map(|&j| of_firing[j as usize]).sum::<f64>();
        }
        moves
    }
}
