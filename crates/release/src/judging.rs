//! Features put before a judge: places where each fires, of one half of the documents to explain it by and of the other to ask about.

use crate::ReleaseError;
use crate::endpoint::Endpoint;
use lapidary_evaluation::columns::Columns;
use lapidary_evaluation::judge::{Case, Excerpt, Judged, TEXTS, judge};
use lapidary_evaluation::{Interval, Sample};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Tokens before a row, and after it, in its excerpt.
const AROUND: usize = 8;
/// Places that a feature is explained by.
const SHOWN: usize = 8;

/// Of a dictionary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeScores {
    /// Who was asked.
    pub model: String,
    /// Features with enough places in both halves.
    pub n: u64,
    /// Mean balanced accuracy over those whose answer could be read; chance 0.5.
    pub detection: Mean,
    /// The same of marked tokens.
    pub fuzzing: Mean,
    /// Mean Pearson correlation.
    pub simulation: Mean,
    /// Answers that could not be read, of all features.
    pub parse_failures: u64,
    /// One by one.
    pub features: Vec<Judged>,
}

/// A mean over features.
pub(crate) type Mean = lapidary_evaluation::examples::Mean;

/// What is asked about: rows with their tokens in words.
pub(crate) struct Rows<'a> {
    pub(crate) sample: &'a Sample,
    pub(crate) is_fitted: &'a [bool],
    pub(crate) token: &'a dyn Fn(u32) -> String,
}

/// Asks about `chosen` features.
///
/// # Errors
/// The judge does not answer.
pub(crate) fn of(
    rows: &Rows<'_>,
    columns: &Columns,
    chosen: &[u32],
    (endpoint, model): (&mut Endpoint, &str),
    (resamples, seed): (usize, u64),
) -> Result<JudgeScores, ReleaseError> {
    let mut features = Vec::new();
    for &feature in chosen {
        if let Some(case) = rows.case(columns, feature) {
            features.push(judge(&case, &mut |prompt| endpoint.ask(prompt))?);
        }
    }
    let mean = |of: fn(&Judged) -> Option<f64>| {
        let values: Vec<f64> = features.iter().filter_map(of).collect();
        mean(&values, resamples, seed)
    };
    Ok(JudgeScores {
        model: model.into(),
        n: features.len() as u64,
        detection: mean(|j| j.detection),
        fuzzing: mean(|j| j.fuzzing),
        simulation: mean(|j| j.simulation),
        parse_failures: features.iter().map(|j| j.parse_failures).sum(),
        features,
    })
}

fn mean(values: &[f64], resamples: usize, seed: u64) -> Mean {
    let alike: Vec<_> = values
        .iter()
        .map(|&v| lapidary_evaluation::examples::Alike { feature: 0, intruder: Some(v), embedding: None })
        .collect();
    let none = Mean { n: 0, value: f64::NAN, interval: Interval::Missing { reason: "no answer".into() } };
    if values.is_empty() {
        none
    } else {
        lapidary_evaluation::examples::mean(&alike, |a| a.intruder, resamples, seed)
    }
}

impl Rows<'_> {
    /// None with too few documents in either half.
    fn case(&self, columns: &Columns, feature: u32) -> Option<Case> {
        let (fires, values) = columns.feature(feature as usize);
        let mut order: Vec<usize> = (0..fires.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
        let strongest = |which: bool, count: usize| {
            let rows = order.iter().map(|&k| fires[k]).filter(|&n| self.is_fitted[n as usize] == which);
            self.of_documents(rows, count, &mut BTreeSet::new())
        };
        let excerpt = |n: u32| self.excerpt(n, fires, values);
        let is_silent = |n: &u32| excerpt(*n).values.iter().all(|v| *v <= 0.0);
        // Other rows in an order that knows nothing of the text.
        let total = self.sample.tokens.len() as u32;
        let others = (0..total).map(|k| (k.wrapping_mul(7_919).wrapping_add(feature)) % total);
        let others = others.filter(|&n| !self.is_fitted[n as usize]).filter(is_silent);
        let silent = self.of_documents(others, TEXTS / 2, &mut BTreeSet::new())?;
        let of = |rows: Vec<u32>| rows.into_iter().map(excerpt).collect();
        Some(Case {
            feature,
            shown: of(strongest(true, SHOWN)?),
            firing: of(strongest(false, TEXTS / 2)?),
            silent: of(silent),
        })
    }

    /// The first `count` rows, each of another document.
    fn of_documents(
        &self,
        rows: impl Iterator<Item = u32>,
        count: usize,
        taken: &mut BTreeSet<u32>,
    ) -> Option<Vec<u32>> {
        let is_new = |n: &u32| taken.insert(self.sample.labels.documents[*n as usize]);
        let rows: Vec<u32> = rows.filter(is_new).take(count).collect();
        (rows.len() == count).then_some(rows)
    }

    /// The row with its neighbours in the same window.
    fn excerpt(&self, n: u32, fires: &[u32], values: &[f32]) -> Excerpt {
        let (n, window) = (n as usize, self.sample.windows[n as usize]);
        let last = (n + AROUND).min(self.sample.tokens.len() - 1);
        let span = (n.saturating_sub(AROUND)..=last).filter(|&k| self.sample.windows[k] == window);
        let value = |k: usize| fires.binary_search(&(k as u32)).map_or(0.0, |place| values[place]);
        let (tokens, values) = span.map(|k| ((self.token)(self.sample.tokens[k]), value(k))).unzip();
        Excerpt { tokens, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_evaluation::Labels;
    use lapidary_kernels::Csr;

    /// 40 documents of ten rows, one window each; the feature fires at token 3, at row 5 of every document, stronger in later ones.
    #[test]
    fn explaining_and_asking_share_no_document() {
        let mut features = Csr::with_columns(1);
        let mut sample = Sample::default();
        for n in 0..400u32 {
            let fires = n % 10 == 5 && n < 300;
            sample.tokens.push(if fires { 3 } else { 1 });
            sample.windows.push(n / 10);
            if fires {
                features.index.push(0);
                features.value.push(1.0 + n as f32);
            }
            features.row_start.push(features.index.len());
        }
        sample.labels = Labels { documents: sample.windows.clone(), ..Labels::default() };
        let is_fitted: Vec<bool> = (0..400).map(|n| n / 10 % 2 == 0).collect();
        let rows = Rows { sample: &sample, is_fitted: &is_fitted, token: &|t| format!(" t{t}") };
        let case = rows.case(&Columns::of(&features), 0).expect("enough documents");
        assert_eq!((case.shown.len(), case.firing.len(), case.silent.len()), (8, 5, 5));
        let strongest = |e: &Excerpt| e.values.iter().fold(0.0f32, |m, v| m.max(*v));
        // The strongest of even documents is row 285, of odd ones 295.
        assert_eq!((strongest(&case.shown[0]), strongest(&case.firing[0])), (286.0, 296.0));
        assert!(case.silent.iter().all(|e| strongest(e) == 0.0));
        assert_eq!(case.firing[0].tokens.len(), 10);
        assert_eq!(case.firing[0].tokens[5], " t3");
    }
}
