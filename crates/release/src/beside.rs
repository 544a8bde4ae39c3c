//! What `evaluation.json` has beside the scores, as far as the page shows it: scores by position and by part of the text, in fewer bits,
//! and dictionaries against each other. All of it is optional.

use crate::EvaluationFile;
use lapidary_evaluation::{Interval, Score};
use lapidary_report::number::{bytes, significant};
use lapidary_report::table::Align;
use serde::Deserialize;
use serde_json::Value;

/// All of it.
#[derive(Default, Deserialize)]
pub(crate) struct Beside {
    #[serde(default)]
    pub(crate) metrics: Vec<Metrics>,
    #[serde(default)]
    pub(crate) pairs: Vec<Pair>,
}

/// Of one dictionary.
#[derive(Deserialize)]
pub(crate) struct Metrics {
    /// Place of its scores.
    pub(crate) scores: usize,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) slices: Vec<Sliced>,
    #[serde(default)]
    pub(crate) precision: Vec<Rounded>,
}

/// By what, and each part.
#[derive(Deserialize)]
pub(crate) struct Sliced {
    pub(crate) by: String,
    pub(crate) slices: Vec<SliceScores>,
}

#[derive(Deserialize)]
pub(crate) struct SliceScores {
    pub(crate) slice: String,
    pub(crate) fvu: Score,
    pub(crate) delta_loss: Score,
}

/// In fewer bits, against itself in f32.
#[derive(Deserialize)]
pub(crate) struct Rounded {
    bits: String,
    bytes: u64,
    changes: Vec<Comparison>,
    survival: Value,
}

/// a against b.
#[derive(Deserialize)]
pub(crate) struct Pair {
    a: String,
    b: String,
    comparison: Comparison,
    judged: Value,
}

#[derive(Deserialize)]
struct Comparison {
    metric: String,
    difference: Value,
    interval: Interval,
    #[serde(default)]
    levels: Vec<f64>,
}

/// Columns and rows.
pub(crate) type Table = (Vec<(String, Align)>, Vec<Vec<String>>);

impl Beside {
    pub(crate) fn of(file: &EvaluationFile) -> Beside {
        let value = serde_json::to_value(file).unwrap_or_default();
        serde_json::from_value(value).unwrap_or_default()
    }

    /// A line for each dictionary and number of bits.
    pub(crate) fn precision(&self) -> Option<Table> {
        let columns =
            ["dictionary", "stored as", "bytes", "L0", "FVU", "Δloss", "flips", "features that survive"];
        let lines = self.metrics.iter().flat_map(|m| m.precision.iter().map(move |r| r.cells(&m.name)));
        table(&columns, 2, lines.collect())
    }

    /// A line for each pair and metric; curves at matched L0 where they were compared.
    pub(crate) fn pairs(&self) -> Option<Table> {
        let columns = ["first", "second", "metric", "at", "first − second", "the first is"];
        table(&columns, 4, self.pairs.iter().map(Pair::cells).collect())
    }
}

/// Left up to column `numbers`; none without rows.
fn table(columns: &[&str], numbers: usize, rows: Vec<Vec<String>>) -> Option<Table> {
    let align = |n| if n < numbers { Align::Left } else { Align::Right };
    let columns = columns.iter().enumerate().map(|(n, name)| (name.to_string(), align(n))).collect();
    (!rows.is_empty()).then_some((columns, rows))
}

impl Metrics {
    /// Names may be those of two runs; the scores are the same ones.
    pub(crate) fn is_of(&self, entry: &crate::entry::Entry<'_>) -> bool {
        self.name == entry.scores.name && entry.number == self.scores
    }
}

impl Rounded {
    fn cells(&self, name: &str) -> Vec<String> {
        let change = |metric: &str| {
            let found = self.changes.iter().find(|c| c.metric == metric);
            found.map_or("–".into(), Comparison::cell)
        };
        let share = |key: &str| self.survival[key].as_f64().map_or("–".into(), |x| significant(x, 3));
        vec![
            name.into(),
            self.bits.clone(),
            bytes(self.bytes),
            change("l0"),
            change("fvu"),
            change("delta-loss"),
            share("flip_rate"),
            share("survival"),
        ]
    }
}

impl Pair {
    fn cells(&self) -> Vec<String> {
        let Comparison { metric, levels, .. } = &self.comparison;
        let at = match (levels.first(), levels.last()) {
            (Some(low), Some(high)) => format!("L0 {} to {}", significant(*low, 3), significant(*high, 3)),
            _ => "their own L0".into(),
        };
        let outcome = self.judged["outcome"].as_str().unwrap_or("–").replace('-', " ");
        vec![self.a.clone(), self.b.clone(), metric_name(metric).into(), at, self.comparison.cell(), outcome]
    }
}

impl Comparison {
    /// With a sign, the interval small below.
    fn cell(&self) -> String {
        let signed = |x: f64| format!("{}{}", if x > 0.0 { "+" } else { "" }, significant(x, 3));
        let value = self.difference.as_f64().map_or_else(|| self.difference.to_string(), signed);
        match self.interval {
            Interval::Known { low, high } => {
                format!("{value}\t{} to {}", significant(low, 3), significant(high, 3))
            }
            Interval::Missing { .. } => value,
        }
    }
}

fn metric_name(name: &str) -> &str {
    match name {
        "l0" => "L0",
        "fvu" => "FVU",
        "delta-loss" => "Δloss",
        "loss-recovered" => "loss recovered",
        other => other,
    }
}
