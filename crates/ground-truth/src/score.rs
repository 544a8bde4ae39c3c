//! What the features of dictionaries have to do with the truth of the language: one pass of the model over held-out windows,
//! scores against the truth for every dictionary and for what needs no training at its site, and verdicts.
//!
//! Probes of the trained model decide once per site which indicators count as represented. A `random-lm` dictionary is scored
//! on when it fires on its own rows, those of the randomised model, but over the same indicators, so that all means are
//! over the same list. Principal components and neurons are made of the trained model's rows. What is saved and shown is in
//! `table.rs`; [`Measured`] has everything, for verbs that go on from here.

use crate::TruthError;
use crate::error::invalid;
use crate::indicators;
use crate::table::{DictionaryTruth, Judgement, TruthTable};
use lapidary_catalog::{Opened, World};
use lapidary_dictionary::{Dictionary, Setting};
use lapidary_evaluation::truth::verdict::{Lines, verdict};
use lapidary_evaluation::truth::{
    Baseline, Firings, Options, Probes, Truth, TruthScores, neurons, principal_components, probe, score,
};
use lapidary_harvest::FusedRows;
use lapidary_lm::{Model, Site, Spec};
use lapidary_store::{RowDtype, RowSource};
use lapidary_text::Corpus;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Rows that are scored when nobody says how many.
pub const DEFAULT_ROWS: usize = 60_000;

/// Rows of activations that are held at a time, bytes, one site at least: more sites take more passes of the model.
const HELD_BYTES: usize = 256 << 20;

/// A dictionary to score.
#[derive(Clone, Debug)]
pub struct TruthSubject<'a> {
    /// How its scores are labelled.
    pub name: &'a str,
    /// Where it reads.
    pub site: Site,
    /// What; D = the site's width.
    pub dictionary: &'a Dictionary,
    /// How it is called in tables.
    pub label: String,
    /// λ or L0 that was asked for, where it is known.
    pub setting: Option<Setting>,
    /// None for one that is to be judged; `Pca` and `Neurons` are no dictionaries.
    pub baseline: Option<Baseline>,
    /// Number of its run: it is judged against the trained baselines of the same one.
    pub run: usize,
    /// Seed of its run, by which the model was randomised; only a `RandomLm` needs it.
    pub seed: u64,
}

/// One subject in full.
#[derive(Debug)]
pub struct SubjectTruth {
    /// `scores.features` [F]: the best indicator of each feature; `scores.indicators`: the best feature of each.
    pub scores: TruthScores,
    /// When its features fire, row by row [N, F].
    pub firings: Firings,
}

/// Everything that was measured.
#[derive(Debug)]
pub struct Measured {
    /// The scored windows, the first of the corpus.
    pub windows: Corpus,
    /// [windows + 1]: window w gave rows `starts[w]..starts[w + 1]`, one per `row_positions`.
    pub starts: Vec<usize>,
    /// What is true of every row.
    pub truth: Truth,
    /// In the order of the subjects that were given.
    pub subjects: Vec<SubjectTruth>,
    /// The summary: scores, baselines, verdicts.
    pub table: TruthTable,
}

/// Scores `subjects` on the first windows of `corpus`, a split of `text`, that have `rows` rows or more. `progress(done,
/// total)` is told how many dictionaries and baselines are scored, at the end of each site.
///
/// # Errors
/// A model that does not read the language word by word, a site or width that is not the model's, rows that are not finite.
pub fn truth_scores(
    opened: &Opened,
    text: &World,
    corpus: &Corpus,
    subjects: &[TruthSubject<'_>],
    rows: usize,
    options: &Options,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Measured, TruthError> {
    let model = opened.model()?;
    let (windows, starts) = first_windows(corpus, &model.spec, rows);
    check_words(opened, text, &windows)?;
    check_subjects(&model.spec, subjects)?;
    let truth = indicators::truth(text, &windows, &model.spec);
    let mut sites: Vec<Site> = subjects.iter().map(|s| s.site).collect();
    sites.sort_by_key(|site| site.rank());
    sites.dedup();
    let (mut done, total) = (0, (subjects.len() + 2 * sites.len()) as u64);
    let mut scored: Vec<Option<SubjectTruth>> = subjects.iter().map(|_| None).collect();
    let mut untrained = Vec::new();
    for group in groups(&sites, &model.spec, truth.rows()) {
        let rows = rows_of(model, &windows, group, subjects)?;
        for &site in group {
            let here = AtSite { model, truth: &truth, options, rows: &rows, site };
            let found = here.score(subjects);
            done += found.subjects.len() as u64 + 2;
            found.subjects.into_iter().for_each(|(k, subject)| scored[k] = Some(subject));
            untrained.push((site, found.untrained));
            progress(done, total);
        }
    }
    let scored: Vec<SubjectTruth> =
        scored.into_iter().map(|s| s.expect("every subject has a site")).collect();
    let table = table(text, &truth, subjects, &scored, &untrained, options);
    Ok(Measured { windows, starts, truth, subjects: scored, table })
}

/// The first windows with `rows` rows or more, and where the rows of each begin.
fn first_windows(corpus: &Corpus, spec: &Spec, rows: usize) -> (Corpus, Vec<usize>) {
    let mut starts = vec![0];
    for window in &corpus.windows {
        let so_far = starts[starts.len() - 1];
        if so_far >= rows {
            break;
        }
        starts.push(so_far + window.row_positions(spec).count());
    }
    (Corpus { windows: corpus.windows[..starts.len() - 1].to_vec(), ..Corpus::default() }, starts)
}

/// The truth is known word by word: the model must read the same words.
///
/// # Errors
/// It reads others.
pub fn check_words(opened: &Opened, text: &World, corpus: &Corpus) -> Result<(), TruthError> {
    let spec = &opened.spec;
    let mut document = (u32::MAX, Vec::new());
    for window in &corpus.windows {
        if document.0 != window.doc {
            document = (window.doc, text.corpus.tokens(u64::from(window.doc)));
        }
        let read = &window.tokens[usize::from(spec.bos.is_some())..];
        let words = document.1.iter().skip(window.pos as usize).map(|&word| u32::from(word));
        if !read.iter().copied().eq(words.take(read.len())) {
            invalid!(
                "{}: expected a model that reads the language word by word, found another tokenizer; train one on \
                 `lapidary world text` with the tokenizer.json of `lapidary world vocab`",
                opened.folder.display()
            );
        }
    }
    Ok(())
}

fn check_subjects(spec: &Spec, subjects: &[TruthSubject<'_>]) -> Result<(), TruthError> {
    if subjects.is_empty() {
        invalid!("expected a dictionary to score, found none");
    }
    for TruthSubject { name, site, dictionary, .. } in subjects {
        let known = spec.parse_sites(&site.to_string());
        known.map_err(|source| TruthError::Site { name: name.to_string(), source: source.into() })?;
        if dictionary.d_in != spec.width(*site) {
            let (expected, found) = (spec.width(*site), dictionary.d_in);
            invalid!(
                "{name}: expected a dictionary of {expected} inputs for {site}, found {found}; check its model and site"
            );
        }
    }
    Ok(())
}

/// Sites whose rows are held together.
fn groups<'a>(sites: &'a [Site], spec: &Spec, rows: usize) -> Vec<&'a [Site]> {
    let bytes = |sites: &[Site]| sites.iter().map(|site| rows * spec.width(*site) * 4).sum::<usize>();
    let (mut groups, mut start) = (Vec::new(), 0);
    for end in 1..=sites.len() {
        if end == sites.len() || bytes(&sites[start..=end]) > HELD_BYTES {
            groups.push(&sites[start..end]);
            start = end;
        }
    }
    groups
}

/// x [N, D] by site and by the seed of the randomised model, none for the trained one.
type Rows = BTreeMap<(Site, Option<u64>), Vec<f32>>;

/// The seed of the model that a subject reads, none for the trained one.
fn random_seed(subject: &TruthSubject<'_>) -> Option<u64> {
    (subject.baseline == Some(Baseline::RandomLm)).then_some(subject.seed)
}

/// One pass of each model over the windows.
fn rows_of(
    model: &Model,
    corpus: &Corpus,
    sites: &[Site],
    subjects: &[TruthSubject<'_>],
) -> Result<Rows, TruthError> {
    let mut rows = Rows::new();
    collect(model, corpus, sites, None, &mut rows)?;
    let mut random: BTreeMap<u64, Vec<Site>> = BTreeMap::new();
    for subject in subjects.iter().filter(|s| sites.contains(&s.site)) {
        let Some(seed) = random_seed(subject) else { continue };
        let sites = random.entry(seed).or_default();
        if !sites.contains(&subject.site) {
            sites.push(subject.site);
        }
    }
    for (seed, sites) in random {
        collect(&model.randomised(seed), corpus, &sites, Some(seed), &mut rows)?;
    }
    Ok(rows)
}

fn collect(
    model: &Model,
    corpus: &Corpus,
    sites: &[Site],
    seed: Option<u64>,
    rows: &mut Rows,
) -> Result<(), TruthError> {
    let mut source = FusedRows::new(model, corpus, sites, RowDtype::F32)?;
    let windows: Vec<u32> = (0..corpus.windows.len() as u32).collect();
    let mut out = vec![Vec::new(); sites.len()];
    source.read(&windows, &mut out).map_err(TruthError::Rows)?;
    for (&site, x) in sites.iter().zip(out) {
        if !x.iter().all(|x| x.is_finite()) {
            invalid!("{site}: expected finite activations, found NaN or infinity; check the model's weights");
        }
        rows.insert((site, seed), x);
    }
    Ok(())
}

/// What all scores of a site share.
struct AtSite<'a> {
    model: &'a Model,
    truth: &'a Truth,
    options: &'a Options,
    rows: &'a Rows,
    site: Site,
}

/// Scores of a site.
struct OfSite {
    /// By place among the subjects.
    subjects: Vec<(usize, SubjectTruth)>,
    /// Of principal components and of neurons.
    untrained: Vec<(Baseline, Summary)>,
}

/// Scores and how often its features fire together.
struct Summary {
    scores: TruthScores,
    l0: f64,
}

/// One score to make.
#[derive(Clone, Copy)]
enum Job {
    Untrained(Baseline),
    Subject(usize),
}

impl AtSite<'_> {
    /// Scores are independent, each on one thread.
    fn score(&self, subjects: &[TruthSubject<'_>]) -> OfSite {
        let (x, d) = (self.x(None), self.model.spec.width(self.site));
        let probes = probe(self.truth, x, d, self.model.device, self.options);
        let here = (0..subjects.len()).filter(|&k| subjects[k].site == self.site).map(Job::Subject);
        let jobs: Vec<Job> =
            [Baseline::Pca, Baseline::Neurons].map(Job::Untrained).into_iter().chain(here).collect();
        let run = |job: &Job| (*job, self.run(*job, subjects, &probes));
        let done: Vec<(Job, SubjectTruth)> = jobs.par_iter().map(run).collect();
        let mut out = OfSite { subjects: Vec::new(), untrained: Vec::new() };
        for (job, scored) in done {
            match job {
                Job::Subject(k) => out.subjects.push((k, scored)),
                Job::Untrained(baseline) => {
                    let l0 = l0(&scored.firings);
                    out.untrained.push((baseline, Summary { scores: scored.scores, l0 }));
                }
            }
        }
        out
    }

    fn run(&self, job: Job, subjects: &[TruthSubject<'_>], probes: &Probes) -> SubjectTruth {
        let (x, d, device) = (self.x(None), self.model.spec.width(self.site), self.model.device);
        let (name, firings) = match job {
            Job::Untrained(Baseline::Pca) => ("pca", principal_components(x, d, device)),
            Job::Untrained(_) => ("neurons", neurons(x, d)),
            Job::Subject(k) => {
                let TruthSubject { name, dictionary, .. } = subjects[k];
                (name, self.firings(dictionary, self.x(random_seed(&subjects[k]))))
            }
        };
        let scores = score(name, self.truth, &firings, Some(probes), self.options);
        SubjectTruth { scores, firings }
    }

    fn x(&self, seed: Option<u64>) -> &[f32] {
        &self.rows[&(self.site, seed)]
    }

    /// A batch at a time: values are dropped.
    fn firings(&self, dictionary: &Dictionary, x: &[f32]) -> Firings {
        let mut firings = Firings::with_columns(dictionary.width());
        x.chunks(4_096 * dictionary.d_in)
            .for_each(|x| firings.push(&dictionary.encode(self.model.device, x)));
        firings
    }
}

/// Mean features per row.
fn l0(firings: &Firings) -> f64 {
    firings.index.len() as f64 / firings.rows().max(1) as f64
}

fn table(
    text: &World,
    truth: &Truth,
    subjects: &[TruthSubject<'_>],
    scored: &[SubjectTruth],
    untrained: &[(Site, Vec<(Baseline, Summary)>)],
    options: &Options,
) -> TruthTable {
    let mut table = TruthTable::new(text, truth, options);
    for (subject, own) in subjects.iter().zip(scored) {
        let here = untrained.iter().find(|(site, _)| *site == subject.site).expect("every site is scored");
        let line = DictionaryTruth {
            label: Some(subject.label.clone()),
            lambda: subject.setting.and_then(|s| if let Setting::Lambda(l) = s { Some(l) } else { None }),
            target_l0: subject.setting.and_then(|s| if let Setting::L0(l0) = s { Some(l0) } else { None }),
            baseline: subject.baseline,
            ..DictionaryTruth::new(subject.site, l0(&own.firings), &own.scores)
        };
        table.dictionaries.push(match subject.baseline {
            Some(_) => line,
            None => {
                let judgement = judge(subject, own, subjects, scored, &here.1, options);
                line.with_lists(&own.scores).judged(judgement)
            }
        });
    }
    for (site, baselines) in untrained {
        for (baseline, Summary { scores, l0 }) in baselines {
            let line = DictionaryTruth::new(*site, *l0, scores);
            table.dictionaries.push(DictionaryTruth { baseline: Some(*baseline), ..line });
        }
    }
    table
}

/// Against the best of each kind of baseline: trained ones of the same run, site and width, untrained ones of the site.
fn judge(
    subject: &TruthSubject<'_>,
    own: &SubjectTruth,
    subjects: &[TruthSubject<'_>],
    scored: &[SubjectTruth],
    untrained: &[(Baseline, Summary)],
    options: &Options,
) -> Judgement {
    let is_like = |s: &TruthSubject<'_>| {
        s.run == subject.run && s.site == subject.site && s.dictionary.width() == subject.dictionary.width()
    };
    let best = |kind: Baseline| {
        let of_kind = subjects.iter().zip(scored).filter(|(s, _)| is_like(s) && s.baseline == Some(kind));
        let f1 = |scores: &TruthScores| scores.matched_f1_represented.value;
        of_kind.map(|(_, s)| &s.scores).max_by(|a, b| f1(a).total_cmp(&f1(b)))
    };
    let (mut baselines, mut missing) = (Vec::new(), Vec::new());
    for kind in [Baseline::FrozenDecoder, Baseline::RandomLm] {
        match best(kind) {
            Some(scores) => baselines.push((kind, scores)),
            None => missing.push(kind),
        }
    }
    let others = [Baseline::FrozenEncoder, Baseline::Random];
    baselines.extend(others.into_iter().filter_map(|kind| Some((kind, best(kind)?))));
    baselines.extend(untrained.iter().map(|(kind, summary)| (*kind, &summary.scores)));
    Judgement::new(verdict(&own.scores, &baselines, Lines::standard(options.seed)), missing)
}
