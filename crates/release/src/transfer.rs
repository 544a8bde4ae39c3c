//! Dictionaries on another model than the one that they were scored on, such as those of a base model on its chat model and back: their
//! scores there, on the same tokens, and what changes. A dictionary that does not fit the other model is named, and the others are
//! scored; whatever fails there, the scores at home stay.

use crate::error::invalid;
use crate::evaluate::read_the_model;
use crate::{EvaluationFile, ReleaseError};
use lapidary_catalog::{Opened, Text};
use lapidary_evaluation::comparison::{Comparison, Metric, compare};
use lapidary_evaluation::transfer::{Shared, shared};
use lapidary_evaluation::{Measured, Options, Resume, Scores, Subject, fits, measure_on};
use lapidary_files::Identity;
use lapidary_suite::subjects::Named;
use lapidary_text::{Corpus, Split, Window};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Resamples of features, at most.
const MOST_RESAMPLES: usize = 300;

/// The section `transfer` of `evaluation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// The other model.
    pub model: Identity,
    /// Those that it has sites for.
    pub dictionaries: Vec<Transferred>,
    /// What could not be scored there, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// One dictionary on the other model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transferred {
    /// Place of its scores at home in `scores`.
    pub home: usize,
    /// There.
    pub scores: Scores,
    /// L0, FVU, Δloss and loss recovered: `a` there, `b` at home, paired over documents.
    pub changes: Vec<Comparison>,
    /// Which features fire on both.
    pub firing: Shared,
}

impl Transferred {
    /// What changes in one metric.
    pub fn change(&self, metric: Metric) -> Option<&Comparison> {
        self.changes.iter().find(|change| change.metric == metric)
    }
}

/// Reads the other model the text as the same windows of tokens?
///
/// # Errors
/// It does not, it is the model at home itself, or it cannot read the text.
pub fn check(
    home: &Opened,
    there: &Opened,
    (text, corpus): (&Text, &Corpus),
    context: usize,
    split: Split,
) -> Result<(), ReleaseError> {
    let place = there.folder.display();
    if home.identity()? == there.identity()? {
        invalid!("{place}: expected another model than the one that is scored, found the same; name another");
    }
    if text.files().iter().any(|file| file == Path::new("-")) {
        invalid!(
            "-: expected a text that both models can read, found standard input, which is read once; name a file"
        );
    }
    if text.corpus(there, context, split)?.windows != corpus.windows {
        invalid!(
            "{place}: expected a model that reads the text as the same tokens as {}, found another tokenizer; scores can be compared on the \
             same tokens only",
            home.folder.display()
        );
    }
    Ok(())
}

/// Scores what reads the model among `subjects` on `there`; `home` are their scores at home. What fails there is said in it.
pub(crate) fn transfer(
    subjects: &[Named],
    home: &[Measured],
    there: &Opened,
    windows: &[Window],
    options: Options,
    resume: Resume<'_>,
    observe: &mut dyn FnMut(u64, u64),
) -> Transfer {
    let unread = |_| Identity { name: there.name.clone(), hash: String::new(), precision: None };
    let model = there.identity().unwrap_or_else(unread);
    let mut out = Transfer { model, dictionaries: Vec::new(), missing: Vec::new() };
    if let Err(error) = score(&mut out, subjects, home, there, windows, options, resume, observe) {
        out.missing.push(format!("on {}: {error}", there.name));
    }
    out
}

fn score(
    out: &mut Transfer,
    subjects: &[Named],
    home: &[Measured],
    there: &Opened,
    windows: &[Window],
    options: Options,
    resume: Resume<'_>,
    observe: &mut dyn FnMut(u64, u64),
) -> Result<(), ReleaseError> {
    let model = there.model()?;
    let (mut places, mut views) = (Vec::new(), Vec::new());
    for (place, Named { name, site, output, dictionary, .. }) in read_the_model(subjects).enumerate() {
        let view = Subject { name, site: *site, output: *output, dictionary };
        match fits(model, view) {
            Ok(()) => {
                places.push(place);
                views.push(view);
            }
            Err(error) => out.missing.push(format!("on {}: {error}", there.name)),
        }
    }
    if views.is_empty() {
        return Ok(());
    }
    let measured = measure_on(model, windows, &views, &[], options, resume, observe)?;
    let compared = |(home_place, found): (usize, Measured)| {
        let own = &home[home_place];
        let change =
            |metric| compare(&found.documents, &own.documents, metric, options.resamples, options.seed);
        let resamples = options.resamples.min(MOST_RESAMPLES);
        Transferred {
            home: home_place,
            changes: [Metric::L0, Metric::Fvu, Metric::DeltaLoss, Metric::LossRecovered].map(change).to_vec(),
            firing: shared(&own.scores.firing, &found.scores.firing, resamples, options.seed),
            scores: found.scores,
        }
    };
    out.dictionaries = places.into_iter().zip(measured).map(compared).collect();
    Ok(())
}

impl EvaluationFile {
    /// What was measured of the dictionary at `place` of the scores on another model, and on which.
    pub fn elsewhere(&self, place: usize) -> Option<(&Identity, &Transferred)> {
        let transfer = self.transfer.as_ref()?;
        let found = transfer.dictionaries.iter().find(|t| t.home == place)?;
        Some((&transfer.model, found))
    }
}
