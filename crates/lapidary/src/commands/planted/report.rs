//! What `lapidary world planted` prints, and keeps as `scores.json`: everybody's scores on the same fresh rows.

use lapidary_ground_truth::planted::rows::{SizeName, Which};
use lapidary_ground_truth::planted::score::{PlantedScores, RECOVERED};
use lapidary_report::number::{count, significant};
use lapidary_report::table::{Align, text};
use lapidary_world::planted::Planted;
use serde::Serialize;

/// Version of the printed JSON.
const FORMAT: u32 = 1;

const PUBLISHED: &str = "Published on SynthSAEBench-16k: F1 (by cosine) 0.61, BatchTopK of width 4,096 at L0 25; that is another \
width, objective and number of rows.\n";

#[derive(Serialize)]
pub struct Report {
    format: u32,
    #[serde(flatten)]
    which: Which,
    /// M.
    directions: usize,
    /// D.
    d: usize,
    /// Expected, by the rates.
    true_l0: f64,
    /// Rows of training; 0 where nothing was trained.
    trained_rows: u64,
    /// The first row that was scored on.
    truth_from: u64,
    truth_rows: usize,
    recovered_cosine: f64,
    /// Of `planted.json`.
    plan_hash: Option<String>,
    dictionaries: Vec<PlantedScores>,
}

impl Report {
    /// Without training. The oracle is the last of `dictionaries`; `truth` says from which row and how many.
    pub fn new(
        which: Which,
        planted: &Planted,
        truth: (u64, usize),
        dictionaries: Vec<PlantedScores>,
    ) -> Report {
        Report {
            format: FORMAT,
            which,
            directions: planted.config.features,
            d: planted.config.d,
            true_l0: planted.mean_l0(),
            trained_rows: 0,
            truth_from: truth.0,
            truth_rows: truth.1,
            recovered_cosine: RECOVERED,
            plan_hash: None,
            dictionaries,
        }
    }

    /// With what was trained, and by which plan.
    pub fn trained(self, rows: u64, plan_hash: &str) -> Report {
        Report { trained_rows: rows, plan_hash: Some(plan_hash.into()), ..self }
    }

    pub fn table(&self) -> String {
        let columns = [
            ("dictionary", Align::Left),
            ("width", Align::Right),
            ("L0", Align::Right),
            ("FVU", Align::Right),
            ("matched F1", Align::Right),
            ("F1 by cosine", Align::Right),
            ("MCC", Align::Right),
            ("recovered", Align::Right),
        ];
        let rows: Vec<Vec<String>> = self.dictionaries.iter().map(row).collect();
        format!("{}\n{}", text(&columns, &rows), self.explanation())
    }

    fn explanation(&self) -> String {
        let scored = self.dictionaries.last().map_or(0, |oracle| oracle.matched_f1.indicators);
        let mut out = format!(
            "Scored on {} fresh rows. matched F1: by firing, one to one, mean over {} planted features; F1 by cosine: each of the\n\
             dictionary's features against its nearest direction; MCC: mean |cos| of pairs; recovered: share of the {} directions\n\
             with |cos| of {RECOVERED} or more.",
            count(self.truth_rows as u64),
            count(scored),
            count(self.directions as u64),
        );
        if let Some(first) = self.dictionaries.iter().find(|d| d.subject.width < self.directions) {
            let most = first.subject.width as f64 / self.directions as f64;
            let f1 = (first.subject.width as f64 / scored.max(1) as f64).min(1.0);
            out += &format!(
                " Width {} can have matched F1 {} and recovered {} at most.",
                count(first.subject.width as u64),
                significant(f1, 3),
                significant(most, 3)
            );
        }
        out.push('\n');
        if self.which.size == SizeName::Full {
            out += PUBLISHED;
        }
        out
    }
}

fn row(scores: &PlantedScores) -> Vec<String> {
    let PlantedScores { subject, l0, fvu, matched_f1, f1_by_cosine, mean_correlation, recovered, .. } =
        scores;
    let numbers = [*l0, *fvu, matched_f1.value, *f1_by_cosine, *mean_correlation, *recovered];
    let first = [subject.label.clone(), count(subject.width as u64)];
    first.into_iter().chain(numbers.map(|x| significant(x, 3))).collect()
}
