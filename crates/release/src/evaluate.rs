//! Scores of dictionaries on one model and text, and against the truth where the text is of the language: one pass that every
//! front end takes.

use crate::ReleaseError;
use crate::file::{EvaluationFile, Foreign, Scored};
use crate::labels::TokenLabels;
use crate::measure::{Battery, DEFAULT_ROWS, Label};
use crate::metrics::{DictionaryMetrics, Kind, Kinds, Pair, Spread};
use crate::pairs;
use crate::partial::Partial;
use crate::transfer::transfer;
use lapidary_catalog::{Opened, TextIdentity, World};
use lapidary_evaluation::slices::NONE;
use lapidary_evaluation::{EvaluationError, Labels, Options, Resume, Slicing, Subject, truth};
use lapidary_files::Identity;
use lapidary_ground_truth::{Measured, TruthSubject, indicators, truth_scores};
use lapidary_lm::Spec;
use lapidary_suite::folder::built_by;
use lapidary_suite::subjects::Named;
use lapidary_text::{Corpus, Split, Window};
use std::path::Path;

/// Tokens that run through the model at a time.
pub const BATCH_TOKENS: usize = 8_192;

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
    /// What is measured beside the scores.
    pub beside: Beside<'a>,
    /// Another model, which reads the same tokens: the dictionaries are scored on it too.
    pub elsewhere: Option<&'a Opened>,
    /// A run's folder, in which a killed evaluation is found by the next; none: it begins again.
    pub run: Option<&'a Path>,
}

/// What is measured beside the scores, and what is known for it.
#[derive(Clone, Debug, Default)]
pub struct Beside<'a> {
    /// Which metrics.
    pub kinds: Kinds,
    /// Rows that labels, rules and examples are taken from, about; none: [`DEFAULT_ROWS`].
    pub rows: Option<usize>,
    /// The language of the text, where it is one whose truth is known.
    pub world: Option<&'a World>,
    /// Labels of tokens.
    pub labels: Option<&'a TokenLabels>,
    /// A judge that features are put before.
    pub judge: Option<JudgeAt<'a>>,
    /// Named sets of documents, in the order of the text: name, and how many windows.
    pub sets: Vec<(String, usize)>,
}

/// An OpenAI-compatible endpoint.
#[derive(Clone, Copy, Debug)]
pub struct JudgeAt<'a> {
    /// `http://127.0.0.1:8080/v1`
    pub url: &'a str,
    /// Its name there.
    pub model: &'a str,
    /// Where questions and answers are kept.
    pub log: &'a Path,
    /// Features of each dictionary that are asked about, at most.
    pub features: usize,
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
    /// Dictionaries whose other metrics are measured.
    Beside(u64, u64),
    /// Tokens through another model.
    Elsewhere(u64, u64),
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
    let model = on.opened.model()?;
    let slicings = slicings(on, &model.spec);
    let mut partial = Partial::open(on.run, &key(subjects, on)?);
    let resume = Resume { saved: partial.saved(), keep: &mut |saved| partial.keep_sums(saved) };
    let measured = lapidary_evaluation::measure_on(
        model,
        &on.corpus.windows,
        &views,
        &slicings,
        options,
        resume,
        &mut |done, total| observe(Progress::Scores(done, total)),
    )?;
    let (metrics, pairs, spread) = beside(subjects, &views, &measured, options, on, &mut partial, observe)?;
    let there = |other| {
        let mut progress = |done, total| observe(Progress::Elsewhere(done, total));
        let saved = partial.saved_elsewhere();
        let resume = Resume { saved, keep: &mut |saved| partial.keep_elsewhere(saved) };
        transfer(subjects, &measured, other, &on.corpus.windows, options, resume, &mut progress)
    };
    let transfer = on.elsewhere.map(there);
    let scores = measured.into_iter().map(|m| m.scores).collect();
    let against = on.truth.as_ref().map(|truth| compare(subjects, on, truth, observe)).transpose()?;
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
    let truth = against.as_ref().map(|measured| measured.table.clone());
    let file = EvaluationFile {
        foreign,
        truth,
        metrics,
        pairs,
        spread,
        transfer,
        ..EvaluationFile::new(model, text, scored, scores)
    };
    Ok(Evaluation { file, measured: against })
}

/// What an evaluation depends on: only one with the same key goes on from where another was killed.
fn key(subjects: &[Named], on: &On<'_>) -> Result<String, ReleaseError> {
    let mut out = vec![
        built_by(on.opened.device),
        on.opened.hash()?.to_string(),
        on.corpus.hash.clone(),
        format!("{} {} {:?} {} {}", on.context, on.split, on.max_windows, on.seed, on.resamples),
        format!("{:?}", on.beside),
        format!("{}", on.opened.precision),
        on.elsewhere.map_or(String::new(), |there| {
            format!("{} {}", there.hash().unwrap_or("unread"), there.precision)
        }),
    ];
    for subject in read_the_model(subjects) {
        let Named { name, site, output, dictionary: d, .. } = subject;
        let parts = [&d.w_enc, &d.b_enc, &d.threshold, &d.w_dec, &d.b_dec];
        let numbers = parts.into_iter().chain(&d.w_skip).flatten();
        let bytes: Vec<u8> = numbers.flat_map(|x| x.to_le_bytes()).collect();
        let weights = lapidary_files::hash::bytes(&bytes);
        out.push(format!("{name} {site} {output} {:?} {weights}", d.activation));
    }
    Ok(lapidary_files::hash::bytes(out.join("\n").as_bytes()))
}

/// By position, by named set of documents, and where the language says so by who speaks in a chat.
fn slicings(on: &On<'_>, spec: &Spec) -> Vec<Slicing> {
    let windows = &on.corpus.windows;
    let mut out = Vec::new();
    if on.beside.kinds.0.contains(&Kind::Position) {
        out.push(Slicing::by_position(windows, spec));
    }
    if !on.beside.sets.is_empty() {
        let (mut of, mut names) = (Vec::with_capacity(windows.len()), Vec::new());
        for (k, (name, count)) in on.beside.sets.iter().enumerate() {
            of.extend(vec![k as u16; *count]);
            names.push(name.clone());
        }
        out.push(Slicing::by_window("text", names, windows, |w| of.get(w).copied().unwrap_or(NONE)));
    }
    if let Some(world) = on.beside.world {
        out.extend(speakers(world, on.corpus, spec));
    }
    out
}

/// A chat's turns: the user's and the model's.
fn speakers(world: &World, corpus: &Corpus, spec: &Spec) -> Option<Slicing> {
    let truth = indicators::truth(world, corpus, spec);
    let named = |name: &str| truth.indicators.iter().position(|i| i == name).map(|i| i as u32);
    let turns = [named("speaker = user")?, named("speaker = bot")?];
    let of = |n: usize| {
        let turn = turns.iter().position(|turn| truth.row(n).binary_search(turn).is_ok());
        turn.map_or(NONE, |turn| turn as u16)
    };
    let of: Vec<u16> = (0..truth.rows()).map(of).collect();
    let names = ["user", "model"].map(String::from).to_vec();
    of.iter().any(|slice| *slice != NONE).then(|| Slicing::by_row("turn", names, &corpus.windows, spec, &of))
}

/// Of each dictionary, of each pair, and over the seeds of a dictionary.
type BesideScores = (Vec<DictionaryMetrics>, Vec<Pair>, Vec<Spread>);

/// What was asked for beside the scores.
fn beside(
    subjects: &[Named],
    views: &[Subject<'_>],
    measured: &[lapidary_evaluation::Measured],
    options: Options,
    on: &On<'_>,
    partial: &mut Partial,
    observe: &mut dyn FnMut(Progress),
) -> Result<BesideScores, ReleaseError> {
    let named: Vec<&Named> = read_the_model(subjects).collect();
    let windows = &on.corpus.windows[..on.max_windows.unwrap_or(usize::MAX).min(on.corpus.windows.len())];
    let battery = Battery {
        opened: on.opened,
        windows,
        options,
        kinds: &on.beside.kinds,
        rows: on.beside.rows.unwrap_or(DEFAULT_ROWS),
        world: on.beside.world,
        judge: on.beside.judge,
    };
    let spec = &on.opened.spec;
    let of_world = |windows: &[Window]| {
        let corpus = Corpus { windows: windows.to_vec(), ..Corpus::default() };
        let world = on.beside.world.expect("asked of a world only");
        Ok(Labels::of(&indicators::truth(world, &corpus, spec)))
    };
    let of_file = |windows: &[Window]| on.beside.labels.expect("asked of labels only").of_rows(windows, spec);
    let label: Option<Label<'_>> = match (on.beside.labels, on.beside.world) {
        (Some(_), _) => Some(&of_file),
        (None, Some(_)) => Some(&of_world),
        (None, None) => None,
    };
    let mut progress = |done, total| observe(Progress::Beside(done, total));
    let metrics = battery.run(views, measured, label, partial, &mut progress)?;
    let compared = on.beside.kinds.0.contains(&Kind::Compare);
    let pairs = if compared { pairs::pairs(&named, measured, options) } else { Vec::new() };
    let spread = pairs::spread(&named, measured, &metrics);
    Ok((metrics, pairs, spread))
}

/// The dictionaries that the model has sites for, and why each of the others has not.
///
/// # Errors
/// None fits: why the first does not.
pub fn that_fit(
    subjects: Vec<Named>,
    opened: &Opened,
) -> Result<(Vec<Named>, Vec<EvaluationError>), ReleaseError> {
    let (model, mut fit, mut refused) = (opened.model()?, Vec::new(), Vec::new());
    for named in subjects {
        let Named { name, site, output, dictionary, .. } = &named;
        match lapidary_evaluation::fits(model, Subject { name, site: *site, output: *output, dictionary }) {
            Ok(()) => fit.push(named),
            Err(error) => refused.push(error),
        }
    }
    if fit.is_empty() && !refused.is_empty() {
        return Err(refused.swap_remove(0).into());
    }
    Ok((fit, refused))
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
