//! Scores of dictionaries on one model and text, and against the truth where the text is of the language: one pass that every
//! front end takes.

use crate::ReleaseError;
use crate::file::{EvaluationFile, Foreign, Scored};
use lapidary_catalog::{Opened, TextIdentity, World};
use lapidary_evaluation::{Options, Subject, truth};
use lapidary_files::Identity;
use lapidary_ground_truth::{Measured, TruthSubject, truth_scores};
use lapidary_suite::subjects::Named;
use lapidary_text::{Corpus, Split};

/// Tokens that run through the model at a time.
const BATCH_TOKENS: usize = 8_192;

/// What dictionaries are scored on, and how.
pub struct On<'a> {
    /// The model.
    pub opened: &'a Opened,
    /// Windows of the documents of `split`.
    pub corpus: &'a Corpus,
    /// Which documents these are.
    pub split: Split,
    /// Tokens per window, BOS included.
    pub context: usize,
    /// Only the first windows.
    pub max_windows: Option<usize>,
    /// Of the bootstrap.
    pub seed: u64,
    /// Of the bootstrap; 0: no intervals.
    pub resamples: usize,
    /// Compare features with the truth too.
    pub truth: Option<AgainstTruth<'a>>,
}

/// How features are compared with the truth.
pub struct AgainstTruth<'a> {
    /// The text of `corpus`.
    pub world: &'a World,
    /// Rows that are compared, about.
    pub rows: usize,
    /// Of the first windows only.
    pub max_windows: Option<usize>,
}

/// What is being done, out of how much.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// Tokens through the model or a suffix of it.
    Scores(u64, u64),
    /// Dictionaries and baselines compared with the truth.
    Truth(u64, u64),
}

/// Scores, and what they stand on.
pub struct Evaluation {
    /// As it is saved, without what only runs have: see [`EvaluationFile::of_run`].
    pub file: EvaluationFile,
    /// Everything about the truth, if it was asked for.
    pub measured: Option<Measured>,
}

/// Scores all `subjects`. Those that read a randomised model are compared with the truth only.
///
/// # Errors
/// A dictionary does not fit the model, or the model does not fit the text.
pub fn evaluate(
    subjects: &[Named],
    on: &On<'_>,
    observe: &mut dyn FnMut(Progress),
) -> Result<Evaluation, ReleaseError> {
    let views: Vec<Subject<'_>> = read_the_model(subjects)
        .map(|s| Subject { name: &s.name, site: s.site, output: s.output, dictionary: &s.dictionary })
        .collect();
    let options = Options {
        seed: on.seed,
        resamples: on.resamples,
        batch_tokens: BATCH_TOKENS,
        max_windows: on.max_windows,
    };
    let scores = lapidary_evaluation::evaluate(
        on.opened.model()?,
        &on.corpus.windows,
        &views,
        options,
        &mut |done, total| {
            observe(Progress::Scores(done, total));
        },
    )?;
    let measured = on.truth.as_ref().map(|truth| compare(subjects, on, truth, observe)).transpose()?;
    let model = on.opened.identity()?;
    let text = TextIdentity {
        context: on.context,
        split: on.split.rule().into(),
        hash: on.corpus.hash.clone(),
        documents: on.corpus.documents,
    };
    let trained: Vec<Option<&str>> = subjects.iter().map(|s| s.text.as_deref()).collect();
    let scored = Scored::new(on.corpus, on.split, on.max_windows, &trained);
    let foreign = foreign(subjects, &model);
    let truth = measured.as_ref().map(|measured| measured.table.clone());
    let file = EvaluationFile { foreign, truth, ..EvaluationFile::new(model, text, scored, scores) };
    Ok(Evaluation { file, measured })
}

/// Those whose scores are of the model as it is.
pub fn read_the_model(subjects: &[Named]) -> impl Iterator<Item = &Named> {
    subjects.iter().filter(|s| s.reads_the_model())
}

fn compare(
    subjects: &[Named],
    on: &On<'_>,
    truth: &AgainstTruth<'_>,
    observe: &mut dyn FnMut(Progress),
) -> Result<Measured, ReleaseError> {
    let subjects: Vec<TruthSubject<'_>> = subjects.iter().map(for_truth).collect();
    let options = truth::Options::standard(on.seed);
    let windows = truth.max_windows.unwrap_or(usize::MAX).min(on.corpus.windows.len());
    let corpus = Corpus { windows: on.corpus.windows[..windows].to_vec(), ..Corpus::default() };
    let mut progress = |done, total| observe(Progress::Truth(done, total));
    Ok(truth_scores(on.opened, truth.world, &corpus, &subjects, truth.rows, &options, &mut progress)?)
}

fn for_truth(named: &Named) -> TruthSubject<'_> {
    let Named { name, label, site, setting, baseline, run: (run, seed), dictionary, .. } = named;
    TruthSubject {
        name,
        site: *site,
        dictionary,
        label: label.clone(),
        setting: *setting,
        baseline: baseline.map(truth::Baseline::from),
        run: *run,
        seed: *seed,
    }
}

fn foreign(subjects: &[Named], model: &Identity) -> Vec<Foreign> {
    let of = |(scores, subject): (usize, &Named)| {
        Some(Foreign { scores, model: subject.foreign_to(model)?.clone() })
    };
    read_the_model(subjects).enumerate().filter_map(of).collect()
}
