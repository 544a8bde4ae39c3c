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

use crate::cells::{Places, Table};
use crate::collect::collect;
use crate::cross_entropy::Targets;
use crate::peers::Peers;
use crate::reconstruction::{Moments, squared_distance, squared_error};
use crate::resume::{BLOCK, Resume, Saved, SavedSite, SavedSubject};
use crate::slices::{NONE, Sliced, Slicing};
use crate::sparsity::Counter;
use crate::{EvaluationError, Scores, Sums};
use lapidary_dictionary::Dictionary;
use lapidary_lm::{Batch, Model, Site, SiteKind};
use lapidary_splice::{Base, Splice};
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

/// Scores of one subject, and what they are made of.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Over all rows.
    pub scores: Scores,
    /// What each document adds to every sum [documents], for comparisons.
    pub documents: Vec<Sums>,
    /// Of the slices of every slicing.
    pub slices: Vec<Sliced>,
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
    let measured = measure(model, windows, subjects, &[], options, progress)?;
    Ok(measured.into_iter().map(|m| m.scores).collect())
}

/// The same with what documents add and the scores of slices of `windows`; each slicing covers all of them.
///
/// # Errors
/// As [`evaluate`].
pub fn measure(
    model: &Model,
    windows: &[Window],
    subjects: &[Subject],
    slicings: &[Slicing],
    options: Options,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Measured>, EvaluationError> {
    let resume = Resume { saved: None, keep: &mut |_| () };
    measure_on(model, windows, subjects, slicings, options, resume, progress)
}

/// The same from where an earlier one was killed.
///
/// # Errors
/// As [`evaluate`].
pub fn measure_on(
    model: &Model,
    windows: &[Window],
    subjects: &[Subject],
    slicings: &[Slicing],
    options: Options,
    resume: Resume<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Measured>, EvaluationError> {
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
    let text = Text { windows, documents: Documents::of(windows), slicings };
    let mut tables: Vec<AtSite> = means(model, &text, &sites, options.batch_tokens, &mut tick)
        .into_iter()
        .map(|(site, means)| AtSite::new(site, means, &text, subjects))
        .collect();
    let mut shared = Table::new(text.documents.count, slicings);
    let mut first = 0;
    if let Some(saved) = resume.saved {
        first = saved.windows;
        shared = saved.shared;
        tables.iter_mut().zip(saved.sites).for_each(|(table, saved)| table.restore(saved));
        let done: usize = windows[..first].iter().map(|window| window.tokens.len()).sum();
        tick(done * (1 + 2 * sites.len() + subjects.len()));
    }
    for (block, span) in (1..).zip(batches(windows, options.batch_tokens)) {
        if span.start < first {
            continue;
        }
        let base = Base::run(model, &windows[span.clone()], &tapped);
        let here = Here::new(model, &base, &text, span.start);
        let losses = here.targets.losses(model, &base.residual);
        shared.add(&vec![1.0; here.rows.documents.len()], &here.rows, |sums| &mut sums.rows);
        shared.add(&vec![1.0; losses.len()], &here.of_targets, |sums| &mut sums.targets);
        shared.add(&losses, &here.of_targets, |sums| &mut sums.base);
        tick(base.batch.len());
        tables.iter_mut().for_each(|table| table.run(model, &base, &here, &mut tick));
        if block % BLOCK == 0 || span.end == windows.len() {
            let sites = tables.iter().map(AtSite::saved).collect();
            (resume.keep)(Saved { windows: span.end, shared: shared.clone(), sites });
        }
    }
    Ok(collect(tables, &shared, subjects, slicings, options))
}

/// What is read.
pub(crate) struct Text<'a> {
    windows: &'a [Window],
    documents: Documents,
    slicings: &'a [Slicing],
}

fn check(model: &Model, windows: &[Window], subjects: &[Subject]) -> Result<(), EvaluationError> {
    if subjects.is_empty() {
        return Err(EvaluationError::NoSubjects);
    }
    subjects.iter().try_for_each(|subject| fits(model, *subject))?;
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

/// Does the model have the sites of a dictionary, in its widths?
///
/// # Errors
/// It has not.
pub fn fits(model: &Model, subject: Subject<'_>) -> Result<(), EvaluationError> {
    let Subject { name, site, output, dictionary } = subject;
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
pub(crate) fn batches(windows: &[Window], batch_tokens: usize) -> Vec<std::ops::Range<usize>> {
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

/// Σx and Σ‖x‖² of the rows of a site: of all, and for each slicing of its slices.
struct Means {
    all: Moments,
    slices: Vec<Vec<Moments>>,
}

/// Pass 1.
fn means(
    model: &Model,
    text: &Text<'_>,
    sites: &[Site],
    batch_tokens: usize,
    tick: &mut dyn FnMut(usize),
) -> Vec<(Site, Means)> {
    let none = |&site: &Site| {
        let none = Moments::new(model.spec.width(site));
        let slices = text.slicings.iter().map(|s| vec![none.clone(); s.slices.len()]).collect();
        (site, Means { all: none, slices })
    };
    let mut means: BTreeMap<Site, Means> = sites.iter().map(none).collect();
    for span in batches(text.windows, batch_tokens) {
        let windows = &text.windows[span.clone()];
        let batch = Batch::new(windows.iter().map(|window| window.tokens.as_slice()));
        let rows = lapidary_splice::rows(&model.spec, windows, &batch);
        let places = places(&rows, &batch, text, span.start);
        model.tap(&batch, sites, &mut |site, all| {
            let (width, means) = (model.spec.width(site), means.get_mut(&site).expect("an asked site"));
            rows.iter().for_each(|&n| means.all.add(&all[n * width..][..width]));
            for (slices, of) in means.slices.iter_mut().zip(&places.slices) {
                let within = rows.iter().zip(of).filter(|(_, slice)| **slice != NONE);
                within.for_each(|(&n, &slice)| slices[slice as usize].add(&all[n * width..][..width]));
            }
        });
        tick(batch.len());
    }
    means.into_iter().collect()
}

/// Where positions of a batch that begins with window `first` are added.
fn places(positions: &[usize], batch: &Batch, text: &Text<'_>, first: usize) -> Places {
    let at = |&position: &usize| {
        let window = batch.starts.partition_point(|&start| start <= position) - 1;
        (first + window, position - batch.starts[window])
    };
    Places::of(positions.iter().map(at), &text.documents.of_window, text.slicings)
}

/// What a batch's positions belong to.
struct Here {
    targets: Targets,
    of_targets: Places,
    rows: Places,
}

impl Here {
    /// `first` is the number of the batch's first window.
    fn new(model: &Model, base: &Base, text: &Text<'_>, first: usize) -> Here {
        let targets = Targets::of(&base.batch, &model.spec);
        Here {
            of_targets: places(&targets.positions, &base.batch, text, first),
            rows: places(&base.rows, &base.batch, text, first),
            targets,
        }
    }
}

/// Pass 2 at one site.
pub(crate) struct AtSite<'a> {
    pub(crate) site: Site,
    means: Means,
    mean: Vec<f64>,                  // μ [D]
    slice_means: Vec<Vec<Vec<f64>>>, // for each slicing [slices][D]
    /// variance, ablated, zeroed
    pub(crate) sums: Table,
    /// In the order of the caller's.
    pub(crate) subjects: Vec<OfSubject<'a>>,
}

/// Pass 2 of one dictionary.
pub(crate) struct OfSubject<'a> {
    pub(crate) number: usize,
    /// Where it reads.
    pub(crate) site: Site,
    pub(crate) dictionary: &'a Dictionary,
    pub(crate) counter: Counter,
    /// [documents]
    pub(crate) peers: Vec<Peers>,
    /// active, error, spliced
    pub(crate) sums: Table,
}

impl<'a> AtSite<'a> {
    fn new(site: Site, means: Means, text: &Text<'_>, subjects: &[Subject<'a>]) -> AtSite<'a> {
        let here = subjects.iter().enumerate().filter(|(_, subject)| subject.output == site);
        let sums = Table::new(text.documents.count, text.slicings);
        let state = |(number, subject): (usize, &Subject<'a>)| OfSubject {
            number,
            site: subject.site,
            dictionary: subject.dictionary,
            counter: Counter::new(subject.dictionary.width()),
            peers: vec![Peers::default(); text.documents.count],
            sums: sums.clone(),
        };
        let slice_means = means.slices.iter().map(|s| s.iter().map(Moments::mean).collect()).collect();
        AtSite { site, mean: means.all.mean(), slice_means, means, subjects: here.map(state).collect(), sums }
    }

    fn saved(&self) -> SavedSite {
        let of = |s: &OfSubject| SavedSubject {
            counter: s.counter.clone(),
            peers: s.peers.clone(),
            sums: s.sums.clone(),
        };
        SavedSite { sums: self.sums.clone(), subjects: self.subjects.iter().map(of).collect() }
    }

    fn restore(&mut self, saved: SavedSite) {
        self.sums = saved.sums;
        for (subject, saved) in self.subjects.iter_mut().zip(saved.subjects) {
            (subject.counter, subject.peers, subject.sums) = (saved.counter, saved.peers, saved.sums);
        }
    }

    /// Σ‖x − μ‖² over all rows, by the formula of docs/numerics.md §4.
    pub(crate) fn variance(&self) -> f64 {
        self.means.all.variance()
    }

    fn run(&mut self, model: &Model, base: &Base, here: &Here, tick: &mut dyn FnMut(usize)) {
        let x = base.x(model, self.site);
        self.distances(&x, here);
        let mean: Vec<f32> = self.mean.iter().map(|&mean| mean as f32).collect();
        self.ablate(model, base, here, &mean, |sums| &mut sums.ablated);
        tick(base.batch.len());
        self.ablate(model, base, here, &vec![0.0; mean.len()], |sums| &mut sums.zeroed);
        tick(base.batch.len());
        for subject in &mut self.subjects {
            subject.run(model, base, here, (self.site, &self.mean), &x);
            tick(base.batch.len());
        }
    }

    /// ‖x − μ‖² of rows x [n, D]: in documents from the mean of all, in slices from their own.
    fn distances(&mut self, x: &[f32], here: &Here) {
        let d = self.mean.len();
        let distances: Vec<f64> = x.chunks_exact(d).map(|x| squared_distance(x, &self.mean)).collect();
        let documents = Places { documents: here.rows.documents.clone(), slices: Vec::new() };
        let slices = std::mem::take(&mut self.sums.slices);
        self.sums.add(&distances, &documents, |sums| &mut sums.variance);
        self.sums.slices = slices;
        for (s, means) in self.slice_means.iter().enumerate() {
            let distance = |(x, &slice): (&[f32], &u16)| {
                if slice == NONE { 0.0 } else { squared_distance(x, &means[slice as usize]) }
            };
            let distances: Vec<f64> = x.chunks_exact(d).zip(&here.rows.slices[s]).map(distance).collect();
            self.sums.add_to_slices(s, &distances, &here.rows, |sums| &mut sums.variance);
        }
    }

    /// The losses with `constant` [D] at every row, added to one sum of their documents.
    fn ablate(
        &mut self,
        model: &Model,
        base: &Base,
        here: &Here,
        constant: &[f32],
        field: fn(&mut Sums) -> &mut f64,
    ) {
        let ablated = base.splice(model, self.site, Splice::Constant(constant));
        self.sums.add(&here.targets.losses(model, &ablated), &here.of_targets, field);
    }
}

impl OfSubject<'_> {
    /// `target` [n, D_out]: the rows of the site with this mean, which it reconstructs.
    fn run(&mut self, model: &Model, base: &Base, here: &Here, (site, mean): (Site, &[f64]), target: &[f32]) {
        let read = (self.site != site).then(|| base.x(model, self.site));
        let x = read.as_deref().unwrap_or(target);
        let features = self.dictionary.encode(model.device, x);
        let rows = 0..features.rows();
        let active: Vec<f64> = rows.clone().map(|n| features.row(n).0.len() as f64).collect();
        rows.for_each(|n| self.counter.add(features.row(n).0));
        self.sums.add(&active, &here.rows, |sums| &mut sums.active);
        let recon = self.dictionary.reconstruct(model.device, x, &features);
        let d = self.dictionary.d_out;
        let pairs = || target.chunks_exact(d).zip(recon.chunks_exact(d));
        let errors: Vec<f64> = pairs().map(|(x, recon)| squared_error(x, recon)).collect();
        self.sums.add(&errors, &here.rows, |sums| &mut sums.error);
        for (n, (x, recon)) in pairs().enumerate() {
            self.peers[here.rows.documents[n]].add(x, recon, mean, features.row(n).1);
        }
        let spliced = base.splice(model, site, Splice::Rows(&recon));
        self.sums.add(&here.targets.losses(model, &spliced), &here.of_targets, |sums| &mut sums.spliced);
    }
}
