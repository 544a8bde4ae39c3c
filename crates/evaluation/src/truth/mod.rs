//! What features have to do with the truth, where the text comes from a language whose generator says what each token means.
//!
//! A [`Truth`] holds, for every row of the evaluation text, which *indicators* are on: an indicator is one (variable, value)
//! pair of the generator, a yes/no question. Features are looked at by when they fire ([`Firings`]), nothing else:
//! `matching` pairs indicators with features by F1 and knows what chance gives, `probe` says which indicators the model
//! represents at the site at all, [`TruthScores`] is what comes out. [`planted`] is for dictionaries whose true directions are
//! known. [`verdict`](mod@verdict) is the only file that judges.
//!
//! Dimension key: `N` rows (non-special tokens, in the order of the text), `V` indicators, `F` features, `D` width of a site.

mod firings;
mod matching;
pub mod planted;
mod probe;
mod scores;
pub mod verdict;

pub use firings::{Firings, QUANTILES, neurons, principal_components};
pub use planted::{Recovery, recovery};
pub use probe::{Probes, probe};
pub use scores::{FeatureScore, IndicatorScore, MeanF1, Represented, TruthScores, score};
pub use verdict::{Baseline, Verdict, verdict};

use crate::EvaluationError;
use serde::{Deserialize, Serialize};

/// What is true of every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Names of the (variable, value) pairs [V].
    pub indicators: Vec<String>,
    /// [N + 1]: row n has `on[starts[n]..starts[n + 1]]`.
    pub starts: Vec<usize>,
    /// [nnz]: indicators that are on, ascending within a row.
    pub on: Vec<u32>,
    /// Document of each row [N]; the rows of a document are consecutive.
    pub documents: Vec<u32>,
    /// Token of each row [N].
    pub tokens: Vec<u32>,
}

impl Truth {
    /// N.
    pub fn rows(&self) -> usize {
        self.documents.len()
    }

    /// Indicators that are on in row n.
    pub fn row(&self, n: usize) -> &[u32] {
        &self.on[self.starts[n]..self.starts[n + 1]]
    }

    /// Of independent rows, where coefficient v of a planted dictionary is what makes indicator v true. Each row is a
    /// document; tokens are 0.
    pub fn planted(coefficients: &Firings) -> Truth {
        let rows = coefficients.rows();
        Truth {
            indicators: (0..coefficients.columns).map(|v| format!("planted {v}")).collect(),
            starts: coefficients.row_start.clone(),
            on: coefficients.index.clone(),
            documents: (0..rows as u32).collect(),
            tokens: vec![0; rows],
        }
    }

    /// Is this the truth of the text with these `tokens` [N], one per row?
    ///
    /// # Errors
    /// Another number of rows, or another token in some row.
    pub fn check(&self, tokens: &[u32]) -> Result<(), EvaluationError> {
        self.assert_sizes();
        if tokens.len() != self.rows() {
            return Err(EvaluationError::TruthRows { truth: self.rows(), text: tokens.len() });
        }
        match (0..tokens.len()).find(|&row| tokens[row] != self.tokens[row]) {
            None => Ok(()),
            Some(row) => Err(EvaluationError::TruthToken { row, truth: self.tokens[row], text: tokens[row] }),
        }
    }

    /// First row of each run of rows of one document, and N [documents + 1].
    pub(crate) fn document_starts(&self) -> Vec<usize> {
        crate::halves::document_starts(&self.documents)
    }

    pub(crate) fn assert_sizes(&self) {
        let (rows, v) = (self.rows(), self.indicators.len());
        assert!(self.starts.len() == rows + 1 && self.tokens.len() == rows, "truth: {rows} rows");
        assert!(self.starts.last() == Some(&self.on.len()), "truth: starts end at {}", self.on.len());
        assert!(self.on.iter().all(|&on| (on as usize) < v), "truth: {v} indicators");
    }
}

/// How to measure; every number that a score depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Indicators that are on in fewer rows are left out, because their F1 says little; so are those on in more than N/2.
    pub min_count: u32,
    /// Shifts of the permutation null.
    pub shifts: usize,
    /// An indicator is *found* iff its best F1 is at least this,
    pub found_f1: f64,
    /// and above the 95th percentile of its null by more than this.
    pub found_margin: f64,
    /// An indicator is *represented* iff its probe's AUROC on held-out documents is at least this.
    pub represented_auroc: f64,
    /// Rows in which an indicator must be on, in both halves, for its probe to mean anything.
    pub min_positives: usize,
    /// The probe's penalty, as a share of the mean variance of the site's dimensions.
    pub ridge: f64,
    /// Resamples of the bootstrap over documents.
    pub resamples: usize,
    /// Of the shifts, the halves and the bootstrap.
    pub seed: u64,
}

impl Options {
    /// The thresholds that published tables use.
    pub fn standard(seed: u64) -> Options {
        Options {
            min_count: 20,
            shifts: 5,
            found_f1: 0.5,
            found_margin: 0.05,
            represented_auroc: 0.95,
            min_positives: 10,
            ridge: 1e-4,
            resamples: 200,
            seed,
        }
    }
}
