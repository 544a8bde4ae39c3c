//! What an experiment finds on one rung, as plain data: the contract of every `report.json`.
//!
//! Values carry their interval over seeds and samples, how much a new seed moves them, and how many things they are a mean of. Wall
//! times are not here: the same seed gives the same bytes.

use crate::Lab;
use crate::rung::Rung;
use crate::student::quantile_95;
use crate::verdict::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// A number, and how sure it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Value {
    /// Mean over seeds.
    pub value: f64,
    /// 95 %: Student's over seeds, joined with the error of sampling where it is known. None: one seed and no such error.
    pub ci95: Option<[f64; 2]>,
    /// Standard deviation over seeds ÷ |mean|; none with one seed.
    pub reseed_cv: Option<f64>,
    /// Rows, variables or features that each seed's value is a mean of.
    pub n: u64,
    /// How many seeds.
    pub seeds: usize,
}

/// Mean, its standard error and the degrees of freedom of that, of values by seed with a common error of sampling.
pub(crate) fn mean_and_error(by_seed: &[f64], sampling: f64) -> (f64, Option<f64>, f64) {
    let s = by_seed.len() as f64;
    let mean = by_seed.iter().sum::<f64>() / s;
    if by_seed.len() < 2 {
        return (mean, (sampling > 0.0).then_some(sampling), 1e9);
    }
    let spread = by_seed.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (s - 1.0) / s;
    let square = spread + sampling * sampling;
    // Welch and Satterthwaite; the error of sampling comes from many draws.
    let dof = if spread > 0.0 { (s - 1.0) * (square / spread).powi(2) } else { 1e9 };
    (mean, Some(square.sqrt()), dof)
}

impl Value {
    /// Of one value per seed; `sampling` is the standard error that all seeds share, 0 where it is not known.
    pub fn new(by_seed: &[f64], sampling: f64, n: u64) -> Value {
        let (value, error, dof) = mean_and_error(by_seed, sampling);
        let seeds = by_seed.len();
        let deviation = by_seed.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (seeds.max(2) - 1) as f64;
        Value {
            value,
            ci95: error.map(|e| quantile_95(dof) * e).map(|half| [value - half, value + half]),
            reseed_cv: (seeds > 1 && value != 0.0).then(|| deviation.sqrt() / value.abs()),
            n,
            seeds,
        }
    }
}

/// One measured thing in the long table: a subject, a seed, a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// What was measured.
    pub subject: String,
    /// Of its training; none where nothing was trained.
    pub seed: Option<u64>,
    /// Name of the number.
    pub metric: String,
    /// The number.
    pub value: f64,
}

/// Is what was measured to be believed?
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// What came out.
    pub value: f64,
    /// What is needed, in words.
    pub needed: String,
    /// Does it hold?
    pub holds: bool,
}

/// A table of the page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Names of its columns; the first is a name, the others are numbers.
    pub columns: Vec<String>,
    /// Its cells.
    pub rows: Vec<Vec<String>>,
}

/// A plot of the page: its file is `plots/RUNG-NAME.svg`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// Of the file.
    pub name: String,
    /// What a reader should see in it.
    pub caption: String,
    /// The drawing.
    pub svg: String,
}

/// What was spent; no wall time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Dictionaries that were trained.
    pub dictionaries: u64,
    /// Rows that each saw.
    pub rows: u64,
    /// Tokens that went through a language model.
    pub lm_tokens: u64,
    /// Multiply-adds of all trainings, ten times the encoder's product.
    pub multiply_adds: f64,
}

/// What an experiment found on one rung.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The experiment.
    pub lab: String,
    /// What it ran on.
    pub rung: String,
    /// That in words.
    pub rung_described: String,
    /// Hash of the model, of the planted dictionary's numbers.
    pub model_hash: String,
    /// Hash of the text.
    pub corpus_hash: String,
    /// Hash of each dictionary's weights, by name and seed.
    pub sae_hashes: BTreeMap<String, String>,
    /// Of the trainings.
    pub seeds: Vec<u64>,
    /// Numbers of what was tried.
    pub metrics: BTreeMap<String, Value>,
    /// Numbers of what must be beaten.
    pub baselines: BTreeMap<String, Value>,
    /// Who won.
    pub verdicts: Vec<Verdict>,
    /// Whether to believe it.
    pub validity: Vec<Check>,
    /// What was spent.
    pub cost: Cost,
    /// For `table.csv`.
    #[serde(skip)]
    pub cells: Vec<Cell>,
    /// For the page.
    #[serde(skip)]
    pub tables: Vec<Table>,
    /// For the page.
    #[serde(skip)]
    pub plots: Vec<Plot>,
    /// What a reader must know, a sentence each.
    pub notes: Vec<String>,
}

impl Report {
    /// Of an experiment on a rung, with nothing found yet.
    pub fn new(lab: &Lab<'_>, name: &str, rung: &Rung) -> Report {
        Report {
            lab: name.into(),
            rung: rung.name.to_string(),
            rung_described: rung.described.clone(),
            model_hash: rung.model_hash.clone(),
            corpus_hash: rung.corpus_hash.clone(),
            sae_hashes: BTreeMap::new(),
            seeds: lab.seeds(),
            metrics: BTreeMap::new(),
            baselines: BTreeMap::new(),
            verdicts: Vec::new(),
            validity: Vec::new(),
            cost: Cost { lm_tokens: rung.lm_tokens(), ..Cost::default() },
            cells: Vec::new(),
            tables: Vec::new(),
            plots: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a number to the long table.
    pub fn cell(&mut self, subject: &str, seed: Option<u64>, metric: &str, value: f64) {
        self.cells.push(Cell { subject: subject.into(), seed, metric: metric.into(), value });
    }

    /// What trainings of these (width, of D to D) cost, each on `rows` rows.
    pub fn spent(&mut self, widths: &[usize], d: usize, rows: u64) {
        self.cost.dictionaries += widths.len() as u64;
        self.cost.rows = rows;
        let products: f64 = widths.iter().map(|&w| w as f64 * d as f64).sum();
        self.cost.multiply_adds += 10.0 * products * rows as f64;
    }

    /// The check that does not hold, if there is one.
    pub fn objections(&self) -> Vec<String> {
        let failed = self.validity.iter().filter(|check| !check.holds);
        failed.map(|c| format!("{} is {:.3}, needed: {}", c.name, c.value, c.needed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three seeds 1, 2, 3: mean 2, standard error 1/√3, t at 2 degrees of freedom 4.303; deviation 1 of 2.
    #[test]
    fn a_value_has_students_interval_over_seeds() {
        let value = Value::new(&[1.0, 2.0, 3.0], 0.0, 10);
        let [low, high] = value.ci95.unwrap();
        let half = 4.3027 / 3f64.sqrt();
        assert!((low - (2.0 - half)).abs() < 1e-3 && (high - (2.0 + half)).abs() < 1e-3);
        assert_eq!(value.reseed_cv, Some(0.5));
        assert_eq!(Value::new(&[1.0], 0.0, 10).ci95, None);
        let [low, high] = Value::new(&[1.0], 0.1, 10).ci95.unwrap();
        assert!(
            (low - 0.804).abs() < 1e-3 && (high - 1.196).abs() < 1e-3,
            "normal where only sampling is known"
        );
    }
}
