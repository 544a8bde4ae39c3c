//! The verdict: does training beat what needs no training? Apart from the metrics, which judge nothing.
//!
//! The score in question is the mean one-to-one F1 over the indicators that the trained model represents. It is *valid* iff it
//! exceeds every baseline's by the margin, and the 95 % interval of the gap (a bootstrap over indicators, paired: the same
//! indicators are drawn for both) lies above 0. Otherwise it is *invalid*, with reasons, and is to be printed so. For
//! publication the gap should be 0.2; that is told apart.

use super::{Represented, TruthScores};
use crate::{Interval, number};
use lapidary_stats::{NoInterval, bootstrap};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a trained dictionary has to beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// Encoder trained, decoder left as initialised.
    FrozenDecoder,
    /// Trained on a model with random weights.
    RandomLm,
    /// Decoder trained, encoder left as initialised.
    FrozenEncoder,
    /// Nothing trained.
    Random,
    /// Principal components.
    Pca,
    /// The site's own dimensions.
    Neurons,
}

impl From<lapidary_dictionary::Baseline> for Baseline {
    fn from(trained: lapidary_dictionary::Baseline) -> Baseline {
        match trained {
            lapidary_dictionary::Baseline::FrozenDecoder => Baseline::FrozenDecoder,
            lapidary_dictionary::Baseline::RandomLm => Baseline::RandomLm,
            lapidary_dictionary::Baseline::FrozenEncoder => Baseline::FrozenEncoder,
            lapidary_dictionary::Baseline::Random => Baseline::Random,
        }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Baseline::FrozenDecoder => "frozen-decoder",
            Baseline::RandomLm => "random-lm",
            Baseline::FrozenEncoder => "frozen-encoder",
            Baseline::Random => "random",
            Baseline::Pca => "pca",
            Baseline::Neurons => "neurons",
        })
    }
}

/// Where the lines are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lines {
    /// Gap in mean F1 below which a score is invalid; 0.05 is usual.
    pub margin: f64,
    /// Gap that a publication should have; 0.2 is usual.
    pub publication: f64,
    /// Resamples of the bootstrap over indicators.
    pub resamples: usize,
    /// Its seed.
    pub seed: u64,
}

impl Lines {
    /// The usual ones.
    pub fn standard(seed: u64) -> Lines {
        Lines { margin: 0.05, publication: 0.2, resamples: 2000, seed }
    }
}

/// The trained dictionary against one baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Which.
    pub baseline: Baseline,
    /// Mean matched F1 over the represented indicators, trained.
    #[serde(with = "number")]
    pub trained: f64,
    /// The same of the baseline.
    #[serde(with = "number")]
    pub untrained: f64,
    /// The difference.
    #[serde(with = "number")]
    pub gap: f64,
    /// Its 95 % interval, paired bootstrap over indicators.
    pub interval: Interval,
    /// Gap at least `margin`, interval above 0.
    pub is_beaten: bool,
    /// Gap at least `publication` as well.
    pub is_publishable: bool,
}

/// Valid or not, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Every baseline given is beaten, and there was one.
    pub valid: bool,
    /// Why not; empty if valid.
    pub reasons: Vec<String>,
    /// Valid, and every gap reaches the line for publication.
    pub publishable: bool,
    /// Represented indicators that the means are over.
    pub indicators: u64,
    /// One per baseline.
    pub comparisons: Vec<Comparison>,
    /// Where the lines were.
    pub lines: Lines,
}

/// Judges `trained` by the `baselines` there are, all scored on the same truth with the same options.
pub fn verdict(trained: &TruthScores, baselines: &[(Baseline, &TruthScores)], lines: Lines) -> Verdict {
    let comparisons: Vec<Comparison> =
        baselines.iter().map(|(baseline, scores)| compare(trained, *baseline, scores, &lines)).collect();
    let mut reasons: Vec<String> = comparisons.iter().filter_map(|c| objection(c, &lines)).collect();
    if trained.represented == 0 {
        reasons = vec!["no indicator is known to be represented at this site".into()];
    } else if baselines.is_empty() {
        reasons = vec!["no baseline was measured".into()];
    }
    let valid = reasons.is_empty();
    Verdict {
        valid,
        reasons,
        publishable: valid && comparisons.iter().all(|c| c.is_publishable),
        indicators: trained.represented,
        comparisons,
        lines,
    }
}

fn compare(trained: &TruthScores, baseline: Baseline, scores: &TruthScores, lines: &Lines) -> Comparison {
    let theirs: BTreeMap<u32, f64> = scores.indicators.iter().map(|i| (i.indicator, i.matched_f1)).collect();
    let represented = trained.indicators.iter().filter(|i| i.represented == Represented::Yes);
    let pairs: Vec<(f64, f64)> =
        represented.map(|i| (i.matched_f1, theirs.get(&i.indicator).copied().unwrap_or(0.0))).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / pairs.len() as f64;
    let (ours, theirs) = (mean(|p| p.0), mean(|p| p.1));
    let interval = gap_interval(&pairs, lines);
    let (gap, is_above_zero) = (ours - theirs, interval.is_ok_and(|i| i.low > 0.0));
    let is_beaten = gap >= lines.margin && is_above_zero;
    Comparison {
        baseline,
        trained: ours,
        untrained: theirs,
        gap,
        interval: of_indicators(interval),
        is_beaten,
        is_publishable: is_beaten && gap >= lines.publication,
    }
}

fn gap_interval(pairs: &[(f64, f64)], lines: &Lines) -> Result<lapidary_stats::Interval, NoInterval> {
    let gaps: Vec<f64> = pairs.iter().flat_map(|(ours, theirs)| [ours - theirs, 1.0]).collect();
    bootstrap(&gaps, 2, lines.resamples, lines.seed, |sums| [sums[0] / sums[1]])[0]
}

/// [`Interval`]'s own conversion speaks of documents.
fn of_indicators(interval: Result<lapidary_stats::Interval, NoInterval>) -> Interval {
    match interval {
        Err(NoInterval::TooFew) => {
            Interval::Missing { reason: "fewer than two indicators or no resamples".into() }
        }
        other => other.into(),
    }
}

/// Why a baseline is not beaten.
fn objection(comparison: &Comparison, lines: &Lines) -> Option<String> {
    let Comparison { baseline, trained, untrained, gap, interval, is_beaten, .. } = comparison;
    if *is_beaten {
        return None;
    }
    let against = format!("matched F1 {trained:.3} against {untrained:.3} of {baseline}");
    Some(match interval {
        _ if !(*gap >= lines.margin) => {
            format!("{against}: the gap {gap:.3} is below the margin {:.3}", lines.margin)
        }
        Interval::Known { low, high } => {
            format!("{against}: the interval of the gap, {low:.3} to {high:.3}, is not above 0")
        }
        Interval::Missing { reason } => format!("{against}: the gap has no interval, {reason}"),
    })
}
