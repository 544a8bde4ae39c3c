//! The truth scores as they are saved in `evaluation.json` and shown: a line per dictionary and baseline, the lists of
//! features and indicators of each dictionary that is judged.
//!
//! Lists are kept short: indicators that are represented or found, features that ever fire with one, four decimals. Names of
//! indicators stand once, in [`TruthTable::indicators`].

use lapidary_catalog::World;
use lapidary_evaluation::Interval;
use lapidary_evaluation::truth::verdict::Comparison;
use lapidary_evaluation::truth::{
    Baseline, FeatureScore, IndicatorScore, MeanF1, Options, Represented, Truth, TruthScores, Verdict,
};
use lapidary_lm::Site;
use serde::{Deserialize, Serialize};

/// The section `truth` of `evaluation.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TruthTable {
    /// The text by name, `world:seed=0,tokens=3000000`.
    pub text: String,
    /// Version of the language.
    pub corpus_version: u32,
    /// N.
    pub rows: u64,
    /// Documents that they come from.
    pub documents: u64,
    /// Names of all indicators [V].
    pub indicators: Vec<String>,
    /// In the order in which they were named, then principal components and neurons of every site.
    pub dictionaries: Vec<DictionaryTruth>,
    /// Every threshold.
    pub options: Options,
}

/// One dictionary, or what stands in for one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DictionaryTruth {
    /// As in `scores`.
    pub name: String,
    /// Where it reads.
    pub site: String,
    /// F.
    pub width: usize,
    /// What it was asked for, if that is λ.
    pub lambda: Option<f64>,
    /// What it was asked for, where that is not λ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_l0: Option<f64>,
    /// What it is called in tables, if not by its site and baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// None: it was judged.
    pub baseline: Option<Baseline>,
    /// Mean features that fire in a row.
    pub l0: f64,
    /// One-to-one F1 over the indicators that the model represents: the headline.
    pub matched_f1_represented: MeanF1,
    /// Best F1 over the same.
    pub best_f1_represented: MeanF1,
    /// One-to-one F1 over all that are known.
    pub matched_f1: MeanF1,
    /// Best F1 over the same.
    pub best_f1: MeanF1,
    /// Mean best F1 over the represented ones that chance gives; a matched F1 by chance is below. None without any.
    pub null: Option<f64>,
    /// Indicators found.
    pub found: u64,
    /// Indicators that the model represents at the site.
    pub represented: u64,
    /// Both.
    pub found_and_represented: u64,
    /// Indicators that were scored: neither too rare nor too frequent.
    pub known: u64,
    /// None for a baseline.
    pub judgement: Option<Judgement>,
    /// None for a baseline.
    pub lists: Option<Lists>,
}

/// Valid or not, and against what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judgement {
    /// Valid or not.
    pub status: Status,
    /// Trained baselines that are asked for and were not there.
    pub missing: Vec<Baseline>,
    /// Against those that were.
    pub verdict: Verdict,
}

/// How a score is to be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Every baseline is beaten.
    Valid,
    /// One is not.
    Invalid,
    /// All that were there are beaten, but one was missing.
    Unproven,
}

/// Which feature is which indicator.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lists {
    /// The indicators that are represented or found, ascending.
    pub indicators: Vec<IndicatorLine>,
    /// The features that ever fire with an indicator, ascending.
    pub features: Vec<FeatureLine>,
}

/// One indicator and its best feature.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IndicatorLine {
    /// Index in [`TruthTable::indicators`].
    pub indicator: u32,
    /// Rows in which it is on.
    pub count: u64,
    /// The feature with the highest F1.
    pub feature: Option<u32>,
    /// Its F1.
    pub f1: f64,
    /// Mean best F1 by chance; none where it cannot be said.
    pub null: Option<f64>,
    /// One-to-one F1.
    pub matched_f1: f64,
    /// Does the model represent it at the site?
    pub represented: bool,
    /// Is its F1 far enough above chance?
    pub found: bool,
}

/// One feature and its best indicator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeatureLine {
    /// Its number.
    pub feature: u32,
    /// Rows in which it fires.
    pub count: u64,
    /// Index in [`TruthTable::indicators`] of the indicator with the highest F1.
    pub indicator: u32,
    /// Share of its firings at which the indicator is on.
    pub precision: f64,
    /// Share of the indicator's rows in which it fires.
    pub recall: f64,
    /// Of both.
    pub f1: f64,
}

fn rounded(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then(|| rounded(x))
}

impl TruthTable {
    /// Without dictionaries yet.
    pub fn new(text: &World, truth: &Truth, options: &Options) -> TruthTable {
        let mut documents = truth.documents.clone();
        documents.dedup();
        TruthTable {
            text: text.to_string(),
            corpus_version: lapidary_world::CORPUS_VERSION,
            rows: truth.rows() as u64,
            documents: documents.len() as u64,
            indicators: truth.indicators.clone(),
            dictionaries: Vec::new(),
            options: options.clone(),
        }
    }
}

impl DictionaryTruth {
    /// Neither judged nor with lists.
    pub fn new(site: Site, l0: f64, scores: &TruthScores) -> DictionaryTruth {
        let represented = scores.indicators.iter().filter(|i| i.represented == Represented::Yes);
        let null = represented.map(|i| i.null_mean).sum::<f64>() / scores.represented as f64;
        DictionaryTruth {
            name: scores.name.clone(),
            site: site.to_string(),
            width: scores.width,
            lambda: None,
            target_l0: None,
            label: None,
            baseline: None,
            l0,
            matched_f1_represented: scores.matched_f1_represented.clone(),
            best_f1_represented: scores.best_f1_represented.clone(),
            matched_f1: scores.matched_f1.clone(),
            best_f1: scores.best_f1.clone(),
            null: finite(null),
            found: scores.found,
            represented: scores.represented,
            found_and_represented: scores.found_and_represented,
            known: scores.indicators.len() as u64,
            judgement: None,
            lists: None,
        }
    }

    /// With what its features stand for.
    pub fn with_lists(self, scores: &TruthScores) -> DictionaryTruth {
        let indicators = scores.indicators.iter().filter(|i| i.found || i.represented == Represented::Yes);
        let features = (0..).zip(&scores.features).filter_map(|(j, f)| FeatureLine::new(j, f));
        let lists =
            Lists { indicators: indicators.map(IndicatorLine::new).collect(), features: features.collect() };
        DictionaryTruth { lists: Some(lists), ..self }
    }

    /// With its verdict.
    pub fn judged(self, judgement: Judgement) -> DictionaryTruth {
        DictionaryTruth { judgement: Some(judgement), ..self }
    }
}

impl Status {
    /// As it is printed.
    pub fn word(self) -> &'static str {
        match self {
            Status::Valid => "valid",
            Status::Invalid => "invalid",
            Status::Unproven => "unproven",
        }
    }
}

impl Judgement {
    /// By the verdict against the baselines that were there.
    pub fn new(verdict: Verdict, missing: Vec<Baseline>) -> Judgement {
        let status = match (verdict.valid, missing.is_empty()) {
            (false, _) => Status::Invalid,
            (true, false) => Status::Unproven,
            (true, true) => Status::Valid,
        };
        Judgement { status, missing, verdict }
    }

    /// Why it is not valid, in short: `gap to pca 0.012, to neurons -0.031; no random-lm baseline`.
    pub fn reason(&self) -> Option<String> {
        let lost = self.verdict.comparisons.iter().filter(|c| !c.is_beaten);
        let gaps: Vec<String> = lost.map(|c| self.gap(c)).collect();
        let missing: Vec<String> = self.missing.iter().map(Baseline::to_string).collect();
        let mut parts = Vec::new();
        match (self.verdict.indicators, gaps.is_empty()) {
            (0, _) => parts.extend(self.verdict.reasons.clone()),
            (_, false) => parts.push(format!("gap {}", gaps.join(", "))),
            (_, true) => {}
        }
        if !missing.is_empty() {
            parts.push(format!("no {} baseline", missing.join(" or ")));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// With its interval where the gap alone would do.
    fn gap(&self, c: &Comparison) -> String {
        match c.interval {
            Interval::Known { low, high } if c.gap >= self.verdict.lines.margin => {
                format!("to {} {:.3} [{low:.3}, {high:.3}]", c.baseline, c.gap)
            }
            _ => format!("to {} {:.3}", c.baseline, c.gap),
        }
    }
}

impl IndicatorLine {
    fn new(score: &IndicatorScore) -> IndicatorLine {
        IndicatorLine {
            indicator: score.indicator,
            count: score.count,
            feature: score.best_feature,
            f1: rounded(score.best_f1),
            null: finite(score.null_mean),
            matched_f1: rounded(score.matched_f1),
            represented: score.represented == Represented::Yes,
            found: score.found,
        }
    }
}

impl FeatureLine {
    fn new(feature: u32, score: &FeatureScore) -> Option<FeatureLine> {
        Some(FeatureLine {
            feature,
            count: score.count,
            indicator: score.indicator?,
            precision: rounded(score.precision),
            recall: rounded(score.recall),
            f1: rounded(score.f1),
        })
    }
}
