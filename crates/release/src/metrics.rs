//! Which metrics are measured beside the scores, and what is saved of them: one section of `evaluation.json` for each dictionary, and one for
//! comparisons. What is cheap is always measured ([`Kind::is_core`]); the rest is asked for by name.

use crate::judging::JudgeScores;
use lapidary_evaluation::absorption::Absorption;
use lapidary_evaluation::comparison::Comparison;
use lapidary_evaluation::disentangling::Disentangling;
use lapidary_evaluation::examples::Mean;
use lapidary_evaluation::low_precision::{Bits, Survival};
use lapidary_evaluation::outcome::Judged;
use lapidary_evaluation::probing::ProbeMeans;
use lapidary_evaluation::rules::RuleMeans;
use lapidary_evaluation::slices::Sliced;
use lapidary_evaluation::uniformity::Uniformity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::str::FromStr;

/// A metric, or several that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Scores by position in the window.
    Position,
    /// Pairs of dictionaries at one site, and curves at matched L0.
    Compare,
    /// bf16, int8 and int4.
    Precision,
    /// k-sparse probes of labels, beside their baselines.
    Probing,
    /// Absorption of labels.
    Absorption,
    /// Attributes of things by interchange, where the truth has counterfactual pairs.
    Ravel,
    /// Rules of tokens and labels.
    Rules,
    /// Intruder and example embedding.
    Examples,
    /// How evenly active features carry a prediction.
    Uniformity,
}

impl Kind {
    /// All, in the order in which they are measured.
    pub const ALL: [Kind; 9] = [
        Kind::Position,
        Kind::Compare,
        Kind::Precision,
        Kind::Probing,
        Kind::Absorption,
        Kind::Ravel,
        Kind::Rules,
        Kind::Examples,
        Kind::Uniformity,
    ];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Position => "position",
            Kind::Compare => "compare",
            Kind::Precision => "precision",
            Kind::Probing => "probing",
            Kind::Absorption => "absorption",
            Kind::Ravel => "ravel",
            Kind::Rules => "rules",
            Kind::Examples => "examples",
            Kind::Uniformity => "uniformity",
        }
    }

    /// Is it measured when nobody asks? These cost next to nothing.
    pub fn is_core(self) -> bool {
        matches!(self, Kind::Position | Kind::Compare)
    }

    /// Can it be measured without labels?
    pub fn needs_labels(self) -> bool {
        matches!(self, Kind::Probing | Kind::Absorption)
    }

    /// Does it look at a sample of rows?
    pub fn needs_rows(self) -> bool {
        !matches!(self, Kind::Position | Kind::Compare | Kind::Ravel | Kind::Uniformity)
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(pub BTreeSet<Kind>);

impl Default for Kinds {
    fn default() -> Kinds {
        Kinds(Kind::ALL.into_iter().filter(|kind| kind.is_core()).collect())
    }
}

impl FromStr for Kinds {
    type Err = String;

    /// `core`, `all`, or names with commas between them, which come on top of the core.
    fn from_str(text: &str) -> Result<Kinds, String> {
        let mut kinds = Kinds::default();
        for name in text.split(',').map(str::trim) {
            match (name, Kind::ALL.into_iter().find(|kind| kind.name() == name)) {
                ("core", _) => {}
                ("all", _) => kinds.0.extend(Kind::ALL),
                (_, Some(kind)) => {
                    kinds.0.insert(kind);
                }
                (_, None) => {
                    let names = Kind::ALL.map(Kind::name).join(", ");
                    return Err(format!("expected core, all, or some of {names}, found {name:?}"));
                }
            }
        }
        Ok(kinds)
    }
}

/// Everything beside the scores that was measured of one dictionary.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DictionaryMetrics {
    /// Place of its scores in `scores`.
    pub scores: usize,
    /// Its name there.
    pub name: String,
    /// By position, by named text, by who speaks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Sliced>,
    /// In fewer bits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub precision: Vec<Rounded>,
    /// Means over labels, its own first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probing: Vec<ProbeMeans>,
    /// Of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absorption: Option<Absorption>,
    /// Of the attributes of things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ravel: Option<Disentangling>,
    /// Of features that fire often enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RuleScores>,
    /// The same features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<ExampleScores>,
    /// Of a sample of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uniformity: Option<Uniformity>,
    /// By a judge, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<JudgeScores>,
    /// What was asked for and could not be measured, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl DictionaryMetrics {
    /// Names may be those of two runs; the scores are the same ones.
    pub(crate) fn is_of(&self, entry: &crate::entry::Entry<'_>) -> bool {
        self.name == entry.scores.name && entry.number == self.scores
    }
}

/// A dictionary in fewer bits against itself in f32.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rounded {
    /// How its matrices are stored.
    pub bits: Bits,
    /// Bytes of the dictionary.
    pub bytes: u64,
    /// L0, FVU, Δloss and loss recovered: `a` in fewer bits, `b` in f32.
    pub changes: Vec<Comparison>,
    /// Of its features.
    pub survival: Survival,
}

/// Rules of features.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleScores {
    /// Over all that were explained.
    pub means: RuleMeans,
    /// One by one.
    pub features: Vec<RuleLine>,
}

/// One feature's rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleLine {
    /// Its number.
    pub feature: u32,
    /// In words.
    pub rule: String,
    /// Rows of the other half in which it fires.
    pub n: u64,
    /// On the other half.
    pub precision: f64,
    /// On the other half.
    pub recall: f64,
    /// On the other half.
    pub f1: f64,
}

/// Intruder and example embedding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExampleScores {
    /// Site whose rows are the embeddings.
    pub embedded_by: String,
    /// Share of trials; chance 0.2.
    pub intruder: Mean,
    /// AUROC; chance 0.5.
    pub embedding: Mean,
}

/// Two dictionaries at one site, on the same tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pair {
    /// Name of the first, or of its curve.
    pub a: String,
    /// Of the second.
    pub b: String,
    /// One metric.
    pub comparison: Comparison,
    /// Of the first.
    pub judged: Judged,
}

/// How far dictionaries are apart that differ in the seed of their run only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// What they have in common.
    pub of: String,
    /// Seeds of their runs.
    pub seeds: Vec<u64>,
    /// Of which metric.
    pub metric: String,
    /// Over the seeds.
    pub mean: f64,
    /// Standard deviation over the seeds, by n − 1.
    pub deviation: f64,
}

impl Spread {
    /// Of one value for each seed, two at least.
    pub fn of(of: String, values: &[(u64, f64)], metric: &str) -> Spread {
        assert!(values.len() > 1, "spread: {} seeds", values.len());
        let n = values.len() as f64;
        let mean = values.iter().map(|v| v.1).sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v.1 - mean).powi(2)).sum();
        let seeds = values.iter().map(|v| v.0).collect();
        let metric = metric.into();
        Spread { of, seeds, metric, mean, deviation: (squares / (n - 1.0)).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1, 2, 3, 6: mean 3, squares 4 + 1 + 0 + 9 = 14, over 3.
    #[test]
    fn spread_by_hand() {
        let values = [(7, 1.0), (8, 2.0), (9, 3.0), (10, 6.0)];
        let spread = Spread::of("x".into(), &values, "FVU");
        assert_eq!((spread.mean, spread.seeds.len()), (3.0, 4));
        assert!((spread.deviation - (14.0f64 / 3.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn names_come_on_top_of_the_core() {
        let kinds = |text: &str| text.parse::<Kinds>().map(|kinds| kinds.0.into_iter().collect::<Vec<_>>());
        assert_eq!(kinds("core"), Ok(vec![Kind::Position, Kind::Compare]));
        assert_eq!(
            kinds("rules, probing"),
            Ok(vec![Kind::Position, Kind::Compare, Kind::Probing, Kind::Rules])
        );
        assert_eq!(kinds("all").map(|k| k.len()), Ok(Kind::ALL.len()));
        let error = kinds("core,rule").expect_err("no such metric");
        assert!(error.contains("some of position, compare") && error.ends_with("found \"rule\""), "{error}");
    }
}
