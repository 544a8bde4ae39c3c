//! The passes: what every metric is fed from.
//!
//! 1. The untouched model over all windows, for the mean row μ of every site that is written.
//! 2. Per batch of windows: the untouched model once, shared by all dictionaries; per site, μ and zeros spliced in once each;
//!    per dictionary, encode, decode, and x̂ spliced in. Only the suffix after a site is rerun.
//!
//! A transcoder reads one site of the untouched model and is compared with, and spliced in at, another of the same pass.
//!
//! Memory is bounded by the batch: the streams and sites that are kept, [N, D] each. Every sum is per document, in the order
//! of the text, so neither `batch_tokens` nor the number of threads changes a bit.

use crate::cross_entropy::Targets;
use crate::reconstruction::{Moments, squared_distance, squared_error};
use crate::sparsity::Counter;
use crate::sums::{Metrics, SUMS, Sums};
use crate::{EvaluationError, Score, Scores};
use lapidary_dictionary::Dictionary;
use lapidary_lm::{Batch, Model, Site, SiteKind};
use lapidary_splice::{Base, Splice};
use lapidary_stats::{NoInterval, bootstrap};
use lapidary_text::Window;
use std::collections::BTreeMap;

/// A dictionary and the places that it reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// How the scores are labelled.
    pub name: &'a str,
    /// Where it reads.
    pub site: Site,
    /// What it reconstructs; the same, but for a transcoder.
    pub output: Site,
    /// What; D and D_out are the widths of these sites.
    pub dictionary: &'a Dictionary,
}

impl<'a> Subject<'a> {
    /// One that reconstructs what it reads.
    pub fn sae(name: &'a str, site: Site, dictionary: &'a Dictionary) -> Subject<'a> {
        Subject { name, site, output: site, dictionary }
    }
}

/// How to evaluate; nothing here changes an estimate except `max_windows`.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Of the bootstrap.
    pub seed: u64,
    /// How many times documents are resampled.
    pub resamples: usize,
    /// Tokens in a batch, about; a batch has at least one window.
    pub batch_tokens: usize,
    /// Only the first windows.
    pub max_windows: Option<usize>,
}

/// Scores of all subjects, in their order. `progress(done, total)` is told tokens run through the model or a suffix of it.
///
/// # Errors
/// No subjects, a site or width that is not the model's, a window that the model cannot read, windows without rows.
pub fn evaluate(
    model: &Model,
    windows: &[Window],
    subjects: &[Subject],
    options: Options,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Scores>, EvaluationError> {
    let windows = &windows[..options.max_windows.unwrap_or(windows.len()).min(windows.len())];
    check(model, windows, subjects)?;
    let each_once = |mut sites: Vec<Site>| {
        sites.sort_by_key(|site| site.rank());
        sites.dedup();
        sites
    };
    let sites = each_once(subjects.iter().map(|subject| subject.output).collect());
    let tapped = each_once(subjects.iter().flat_map(|subject| [subject.site, subject.output]).collect());

    let tokens: usize = windows.iter().map(|window| window.tokens.len()).sum();
    let (mut done, total) = (0, tokens * (2 + 2 * sites.len() + subjects.len()));
    let mut tick = |tokens: usize| {
        done += tokens;
        progress(done as u64, total as u64);
    };
    let documents = Documents::of(windows);
    let mut tables: Vec<AtSite> = means(model, windows, &sites, options.batch_tokens, &mut tick)
        .into_iter()
        .map(|(site, moments)| AtSite::new(site, moments, documents.count, subjects))
        .collect();
    let mut shared = vec![Sums::default(); documents.count];
    for span in batches(windows, options.batch_tokens) {
        let base = Base::run(model, &windows[span.clone()], &tapped);
        let here = Here::new(model, &base, &documents.of_window[span]);
        let losses = here.targets.losses(model, &base.residual);
        here.row_documents.iter().for_each(|&document| shared[document].rows += 1.0);
        here.target_documents.iter().for_each(|&document| shared[document].targets += 1.0);
        add(losses, &here.target_documents, &mut shared, |sums| &mut sums.base);
        tick(base.batch.len());
        tables.iter_mut().for_each(|table| table.run(model, &base, &here, &mut tick));
    }
    Ok(collect(tables, &shared, subjects, options))
}

fn check(model: &Model, windows: &[Window], subjects: &[Subject]) -> Result<(), EvaluationError> {
    if subjects.is_empty() {
        return Err(EvaluationError::NoSubjects);
    }
    for &Subject { name, site, output, dictionary } in subjects {
        let (name, layers) = (name.to_string(), model.spec.n_layers);
        let is_missing = |s: &Site| {
            let has = model.spec.has(s.kind);
            !has || s.layer >= layers || (s.kind == SiteKind::Embed && s.layer > 0)
        };
        if let Some(site) = [site, output].into_iter().find(is_missing) {
            return Err(EvaluationError::Site { name, site, layers });
        }
        let sides = [("reads", site, dictionary.d_in), ("writes", output, dictionary.d_out)];
        for (verb, site, found) in sides {
            let width = model.spec.width(site);
            if found != width {
                return Err(EvaluationError::Width { name, verb, site, width, found });
            }
        }
    }
    for window in windows {
        model.spec.check_tokens(&window.tokens).map_err(|source| EvaluationError::Window {
            document: window.doc,
            position: window.pos,
            source,
        })?;
    }
    if windows.iter().all(|window| window.row_positions(&model.spec).next().is_none()) {
        return Err(EvaluationError::NoRows { windows: windows.len() });
    }
    Ok(())
}

/// Documents of the windows, numbered from 0 in the order in which they first appear.
struct Documents {
    of_window: Vec<usize>, // [W]
    count: usize,
}

impl Documents {
    fn of(windows: &[Window]) -> Documents {
        let mut numbers = BTreeMap::new();
        let mut number = |window: &Window| {
            let next = numbers.len();
            *numbers.entry(window.doc).or_insert(next)
        };
        let of_window = windows.iter().map(&mut number).collect();
        Documents { of_window, count: numbers.len() }
    }
}

/// Consecutive windows with about `batch_tokens` tokens.
fn batches(windows: &[Window], batch_tokens: usize) -> Vec<std::ops::Range<usize>> {
    let (mut spans, mut start, mut tokens) = (Vec::new(), 0, 0);
    for (w, window) in windows.iter().enumerate() {
        if w > start && tokens + window.tokens.len() > batch_tokens {
            spans.push(start..w);
            (start, tokens) = (w, 0);
        }
        tokens += window.tokens.len();
    }
    if start < windows.len() {
        spans.push(start..windows.len());
    }
    spans
}

/// Pass 1: Σx and Σ‖x‖² of the rows at every site.
fn means(
    model: &Model,
    windows: &[Window],
    sites: &[Site],
    batch_tokens: usize,
    tick: &mut dyn FnMut(usize),
) -> Vec<(Site, Moments)> {
    let mut moments: BTreeMap<Site, Moments> =
        sites.iter().map(|&site| (site, Moments::new(model.spec.width(site)))).collect();
    for span in batches(windows, batch_tokens) {
        let windows = &windows[span];
        let batch = Batch::new(windows.iter().map(|window| window.tokens.as_slice()));
        let rows = lapidary_splice::rows(&model.spec, windows, &batch);
        model.tap(&batch, sites, &mut |site, all| {
            let (width, moments) = (model.spec.width(site), moments.get_mut(&site).expect("an asked site"));
            rows.iter().for_each(|&n| moments.add(&all[n * width..][..width]));
        });
        tick(batch.len());
    }
    moments.into_iter().collect()
}

/// What a batch's positions belong to.
struct Here {
    targets: Targets,
    target_documents: Vec<usize>, // [targets]
    row_documents: Vec<usize>,    // [n]
}

impl Here {
    /// `documents` [B]: the document of each window of the batch.
    fn new(model: &Model, base: &Base, documents: &[usize]) -> Here {
        let starts = &base.batch.starts;
        let document = |&position: &usize| documents[starts.partition_point(|&start| start <= position) - 1];
        let targets = Targets::of(&base.batch, &model.spec);
        Here {
            target_documents: targets.positions.iter().map(document).collect(),
            row_documents: base.rows.iter().map(document).collect(),
            targets,
        }
    }
}

/// Adds each value to one sum of its document, in order.
fn add(
    values: impl IntoIterator<Item = f64>,
    documents: &[usize],
    sums: &mut [Sums],
    field: impl Fn(&mut Sums) -> &mut f64,
) {
    values.into_iter().zip(documents).for_each(|(value, &document)| *field(&mut sums[document]) += value);
}

/// Pass 2 at one site.
struct AtSite<'a> {
    site: Site,
    moments: Moments,
    mean: Vec<f64>,               // μ [D]
    sums: Vec<Sums>,              // [documents]: variance, ablated, zeroed
    subjects: Vec<OfSubject<'a>>, // in the order of the caller's
}

/// Pass 2 of one dictionary.
struct OfSubject<'a> {
    number: usize,
    /// Where it reads.
    site: Site,
    dictionary: &'a Dictionary,
    counter: Counter,
    sums: Vec<Sums>, // [documents]: active, error, spliced
}

impl<'a> AtSite<'a> {
    fn new(site: Site, moments: Moments, documents: usize, subjects: &[Subject<'a>]) -> AtSite<'a> {
        let here = subjects.iter().enumerate().filter(|(_, subject)| subject.output == site);
        let state = |(number, subject): (usize, &Subject<'a>)| OfSubject {
            number,
            site: subject.site,
            dictionary: subject.dictionary,
            counter: Counter::new(subject.dictionary.width()),
            sums: vec![Sums::default(); documents],
        };
        let (mean, sums) = (moments.mean(), vec![Sums::default(); documents]);
        AtSite { site, mean, moments, sums, subjects: here.map(state).collect() }
    }

    fn run(&mut self, model: &Model, base: &Base, here: &Here, tick: &mut dyn FnMut(usize)) {
        let x = base.x(model, self.site);
        let distances = x.chunks_exact(self.mean.len()).map(|x| squared_distance(x, &self.mean));
        add(distances, &here.row_documents, &mut self.sums, |sums| &mut sums.variance);
        let mean: Vec<f32> = self.mean.iter().map(|&mean| mean as f32).collect();
        self.ablate(model, base, here, &mean, |sums| &mut sums.ablated);
        tick(base.batch.len());
        self.ablate(model, base, here, &vec![0.0; mean.len()], |sums| &mut sums.zeroed);
        tick(base.batch.len());
        for subject in &mut self.subjects {
            subject.run(model, base, here, self.site, &x);
            tick(base.batch.len());
        }
    }

    /// The losses with `constant` [D] at every row, added to one sum of their documents.
    fn ablate(
        &mut self,
        model: &Model,
        base: &Base,
        here: &Here,
        constant: &[f32],
        field: impl Fn(&mut Sums) -> &mut f64,
    ) {
        let ablated = base.splice(model, self.site, Splice::Constant(constant));
        let losses = here.targets.losses(model, &ablated);
        add(losses, &here.target_documents, &mut self.sums, field);
    }
}

impl OfSubject<'_> {
    /// `target` [n, D_out]: the rows of `site`, which it reconstructs.
    fn run(&mut self, model: &Model, base: &Base, here: &Here, site: Site, target: &[f32]) {
        let read = (self.site != site).then(|| base.x(model, self.site));
        let x = read.as_deref().unwrap_or(target);
        let features = self.dictionary.encode(model.device, x);
        for (n, &document) in here.row_documents.iter().enumerate() {
            let (active, _) = features.row(n);
            self.counter.add(active);
            self.sums[document].active += active.len() as f64;
        }
        let recon = self.dictionary.reconstruct(model.device, x, &features);
        let d = self.dictionary.d_out;
        let errors =
            target.chunks_exact(d).zip(recon.chunks_exact(d)).map(|(x, recon)| squared_error(x, recon));
        add(errors, &here.row_documents, &mut self.sums, |sums| &mut sums.error);
        let spliced = base.splice(model, site, Splice::Rows(&recon));
        let losses = here.targets.losses(model, &spliced);
        add(losses, &here.target_documents, &mut self.sums, |sums| &mut sums.spliced);
    }
}

/// What the bootstrap says of one metric.
type Resampled = Result<lapidary_stats::Interval, NoInterval>;

/// Sums become scores, in the order of `subjects`.
fn collect(tables: Vec<AtSite>, shared: &[Sums], subjects: &[Subject], options: Options) -> Vec<Scores> {
    let mut scores: Vec<(usize, Scores)> = Vec::new();
    for table in &tables {
        for subject in &table.subjects {
            let parts = shared.iter().zip(&table.sums).zip(&subject.sums);
            let sums: Vec<Sums> = parts
                .map(|((shared, site), own)| Sums {
                    variance: site.variance,
                    ablated: site.ablated,
                    zeroed: site.zeroed,
                    active: own.active,
                    error: own.error,
                    spliced: own.spliced,
                    ..*shared
                })
                .collect();
            scores
                .push((subject.number, score(table, subject, &sums, subjects[subject.number].name, options)));
        }
    }
    scores.sort_by_key(|(number, _)| *number);
    scores.into_iter().map(|(_, scores)| scores).collect()
}

fn score(table: &AtSite, subject: &OfSubject, documents: &[Sums], name: &str, options: Options) -> Scores {
    let flat: Vec<f64> = documents.iter().flat_map(|sums| sums.to_array()).collect();
    let mut total = [0.0; SUMS];
    flat.chunks_exact(SUMS)
        .for_each(|sums| total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum));
    // The estimate takes the variance by the formula of docs/numerics.md §4; resamples take Σ‖x − μ‖² over what they drew.
    let total = Sums { variance: table.moments.variance(), ..Sums::from_slice(&total) };
    let value = total.metrics();
    let metrics = |sums: &[f64]| Sums::from_slice(sums).metrics().into_array();
    let interval = Metrics::from_array(bootstrap(&flat, SUMS, options.resamples, options.seed, metrics));
    let (rows, targets) = (total.rows as u64, total.targets as u64);
    let per_row = |value, interval: Resampled| Score { value, n: rows, interval: interval.into() };
    let per_target = |value, interval: Resampled| Score { value, n: targets, interval: interval.into() };
    Scores {
        name: name.to_owned(),
        site: table.site.to_string(),
        reads: (subject.site != table.site).then(|| subject.site.to_string()),
        width: subject.dictionary.width(),
        d_in: subject.dictionary.d_in,
        documents: documents.len() as u64,
        rows,
        targets,
        l0: per_row(value.l0, interval.l0),
        l0_percentiles: subject.counter.percentiles().expect("there are rows"),
        fvu: per_row(value.fvu, interval.fvu),
        ce: per_target(value.ce, interval.ce),
        ce_spliced: per_target(value.ce_spliced, interval.ce_spliced),
        ce_ablated: per_target(value.ce_ablated, interval.ce_ablated),
        ce_zero_ablated: Some(per_target(value.ce_zero_ablated, interval.ce_zero_ablated)),
        delta_loss: per_target(value.delta_loss, interval.delta_loss),
        loss_recovered: per_target(value.loss_recovered, interval.loss_recovered),
        loss_recovered_zero: Some(per_target(value.loss_recovered_zero, interval.loss_recovered_zero)),
        firing: subject.counter.firing(),
        resamples: options.resamples,
        seed: options.seed,
    }
}
