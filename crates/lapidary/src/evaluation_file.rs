//! `evaluation.json`: the scores of a run's dictionaries and what they were measured on.

use crate::plan::{ModelIdentity, TextIdentity};
use crate::truth_table::TruthTable;
use anyhow::{Context, bail};
use lapidary_evaluation::{Interval, Score, Scores};
use lapidary_report::scores::Line;
use lapidary_report::{Measure, ScoreRow, Setting};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the layout.
const FORMAT: u32 = 1;
/// Longest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 30;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub struct EvaluationFile {
    pub format: u32,
    pub model: ModelIdentity,
    /// The evaluated documents.
    pub text: TextIdentity,
    /// Hash of the run's plan; none for dictionaries from elsewhere.
    pub plan_hash: Option<String>,
    pub scores: Vec<Scores>,
    /// Scores against the truth, where it is known and was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<TruthTable>,
}

impl EvaluationFile {
    pub fn new(
        model: ModelIdentity,
        text: TextIdentity,
        plan_hash: Option<String>,
        scores: Vec<Scores>,
        truth: Option<TruthTable>,
    ) -> Self {
        EvaluationFile { format: FORMAT, model, text, plan_hash, scores, truth }
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("scores are plain data")
    }

    /// Reads the file of a run, which must be of this plan.
    pub fn read(run: &Path, plan_hash: &str) -> anyhow::Result<EvaluationFile> {
        let path = run.join("evaluation.json");
        if !path.is_file() {
            bail!(
                "{}: expected evaluation.json, found none; run `lapidary evaluate {}` first",
                run.display(),
                run.display()
            );
        }
        let text = lapidary_files::read_string(&path, MAX_BYTES)?;
        let file: EvaluationFile = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        if file.format != FORMAT || file.plan_hash.as_deref() != Some(plan_hash) {
            bail!("{}: expected scores of plan {plan_hash}, found another's; evaluate again", path.display());
        }
        Ok(file)
    }

    /// One sentence on what the scores stand on.
    pub fn scored_on(&self) -> String {
        let Some(s) = self.scores.first() else { return String::new() };
        let (rows, documents) =
            (lapidary_report::number::count(s.rows), lapidary_report::number::count(s.documents));
        format!("Scored on {rows} rows of {documents} held-out documents, context {}.", self.text.context)
    }
}

/// A score as the report crate wants it.
fn measure(score: &Score) -> Measure {
    let interval = match score.interval {
        Interval::Known { low, high } => Some((low, high)),
        Interval::Missing { .. } => None,
    };
    Measure { value: score.value, interval, n: score.n }
}

/// A line of the suite's table, under a label.
pub fn row(scores: &Scores, label: &str, setting: Option<Setting>) -> ScoreRow {
    ScoreRow {
        name: scores.name.clone(),
        site: label.into(),
        width: scores.width,
        setting,
        l0: measure(&scores.l0),
        fvu: measure(&scores.fvu),
        delta_loss: measure(&scores.delta_loss),
        loss_recovered: measure(&scores.loss_recovered),
        alive: scores.firing.alive,
    }
}

/// The sheet of one dictionary.
pub fn lines(scores: &Scores) -> Vec<Line> {
    let plain = |metric: &str, unit: &str, score: &Score| Line {
        metric: metric.into(),
        unit: unit.into(),
        measure: measure(score),
    };
    let counted = |metric: &str, unit: &str, value: u64| {
        let measure = Measure { value: value as f64, interval: None, n: scores.rows };
        Line { metric: metric.into(), unit: unit.into(), measure }
    };
    let nats = "nats per target";
    vec![
        plain("L0", "features per row", &scores.l0),
        counted("L0, median", "features per row", scores.l0_percentiles.p50),
        counted("L0, 95th percentile", "features per row", scores.l0_percentiles.p95),
        plain("FVU", "share of variance", &scores.fvu),
        plain("Δloss", nats, &scores.delta_loss),
        plain("loss recovered", "share", &scores.loss_recovered),
        plain("CE", nats, &scores.ce),
        plain("CE, spliced", nats, &scores.ce_spliced),
        plain("CE, mean-ablated", nats, &scores.ce_ablated),
        counted("alive", "features", scores.firing.alive),
        counted("never fired in n", "features", scores.firing.never_fired),
        counted("firing in more than 10 % of rows", "features", scores.firing.ultra_frequent.len() as u64),
    ]
}
