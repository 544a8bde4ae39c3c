//! The metrics beside the scores, of all dictionaries: each kind of [`crate::metrics`] by the library that measures it.

use crate::ReleaseError;
use crate::endpoint::Endpoint;
use crate::evaluate::JudgeAt;
use crate::judging;
use crate::metrics::{DictionaryMetrics, ExampleScores, Kind, Kinds, Rounded, RuleLine, RuleScores};
use crate::partial::Partial;
use lapidary_catalog::{Opened, World};
use lapidary_evaluation::columns::Columns;
use lapidary_evaluation::comparison::{Comparison, Metric, compare};
use lapidary_evaluation::disentangling::{Disentangling, Pairs, disentangling};
use lapidary_evaluation::low_precision::{Bits, Drift, bytes, quantised};
use lapidary_evaluation::probing::{
    Probed, Source, Sparse, components, dense, means, random_features, sparse,
};
use lapidary_evaluation::uniformity::uniformity;
use lapidary_evaluation::{
    Labels, Measured, Options, Sample, Subject, Sums, absorption, examples, halves, measure, rules, sample,
};
use lapidary_ground_truth::pairs::pairs;
use lapidary_kernels::Csr;
use lapidary_lm::{Model, Site, SiteKind};
use lapidary_text::Window;

/// Rows of the sample when nobody says how many.
pub(crate) const DEFAULT_ROWS: usize = 20_000;
/// Columns of k-sparse probes.
const KS: [usize; 4] = [1, 2, 5, 10];
/// Rows in which a label must be on in each half.
const LEAST: usize = 20;
/// Most labels: the first with enough rows.
const MOST_LABELS: usize = 200;
/// Most features that rules and examples are made for, evenly spread over those that fire in [`FIRES`] rows or more.
const MOST_FEATURES: usize = 300;
/// Rows in which such a feature fires.
const FIRES: usize = 20;
/// Rows that an embedding is the mean of, less one.
const EMBEDDED_BACK: usize = 8;
/// Pairs of texts for interchange, of both halves.
const PAIRS: usize = 512;
/// Rows of the sample for uniformity.
const UNIFORM_ROWS: usize = 48;
/// Resamples of the many small intervals, at most.
const MOST_RESAMPLES: usize = 300;

/// What is measured, of what.
pub(crate) struct Battery<'a> {
    pub(crate) opened: &'a Opened,
    pub(crate) windows: &'a [Window],
    pub(crate) options: Options,
    pub(crate) kinds: &'a Kinds,
    /// Rows of the sample, about.
    pub(crate) rows: usize,
    /// The language of the text, where it is one.
    pub(crate) world: Option<&'a World>,
    pub(crate) judge: Option<JudgeAt<'a>>,
}

/// What is known of the rows of the sample: labels by the windows of the sample, if any.
pub(crate) type Label<'a> = &'a dyn Fn(&[Window]) -> Result<Labels, ReleaseError>;

impl Battery<'_> {
    fn has(&self, kind: Kind) -> bool {
        self.kinds.0.contains(&kind)
    }

    fn resamples(&self) -> usize {
        self.options.resamples.min(MOST_RESAMPLES)
    }

    /// Everything that was asked for, of every dictionary. `observe(done, total)` is told dictionaries.
    pub(crate) fn run(
        &self,
        views: &[Subject<'_>],
        measured: &[Measured],
        label: Option<Label<'_>>,
        partial: &mut Partial,
        observe: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<DictionaryMetrics>, ReleaseError> {
        let model = self.opened.model()?;
        let mut out: Vec<DictionaryMetrics> = measured.iter().enumerate().map(slices).collect();
        if self.judge.is_none() && self.kinds.0.iter().all(|kind| kind.is_core()) {
            return Ok(out);
        }
        let done = partial.metrics().to_vec();
        if done.len() == out.len() {
            return Ok(done);
        }
        let prepared = self.prepare(model, views, label)?;
        let open = |at: JudgeAt<'_>| Endpoint::open(at.url, at.model, at.log);
        let mut endpoint = self.judge.map(open).transpose()?;
        let total = out.len() as u64;
        for (k, metrics) in out.iter_mut().enumerate() {
            observe(k as u64, total);
            match done.get(k) {
                Some(done) => metrics.clone_from(done),
                None => {
                    self.one(model, views[k], &measured[k], &prepared, metrics)?;
                    self.ask(model, views[k], &prepared, &mut endpoint, metrics);
                    partial.keep_metrics(metrics.clone());
                }
            }
        }
        observe(total, total);
        Ok(out)
    }

    fn prepare(
        &self,
        model: &Model,
        views: &[Subject<'_>],
        label: Option<Label<'_>>,
    ) -> Result<Prepared, ReleaseError> {
        let windows = sample::first_windows(self.windows, &model.spec, self.rows);
        let embedded = Site::new(model.spec.n_layers - 1, SiteKind::Res);
        let sites: Vec<Site> = views.iter().map(|view| view.site).chain([embedded]).collect();
        let mut sample = Sample::of(model, windows, &sites, self.options.batch_tokens, &mut |_| ());
        let is_fitted = halves(&sample.labels.documents, self.options.seed);
        let mut frequent = Labels { documents: sample.labels.documents.clone(), ..Labels::default() };
        if let Some(label) = label {
            sample.labels = label(windows)?;
            frequent = sample.labels.with_enough(&is_fitted, LEAST);
            frequent.names.truncate(MOST_LABELS);
            frequent.rows.truncate(MOST_LABELS);
        }
        let x = &sample.x[&embedded];
        let embeddings = examples::smoothed(x, model.spec.width(embedded), &sample.windows, EMBEDDED_BACK);
        let of_world = |world| pairs(world, model.spec.bos, PAIRS);
        let pairs = self.world.filter(|_| self.has(Kind::Ravel)).map(of_world);
        Ok(Prepared { sample, frequent, is_fitted, embedded, embeddings, pairs })
    }

    fn one(
        &self,
        model: &Model,
        view: Subject<'_>,
        measured: &Measured,
        prepared: &Prepared,
        out: &mut DictionaryMetrics,
    ) -> Result<(), ReleaseError> {
        let x = &prepared.sample.x[&view.site];
        let features = view.dictionary.encode(model.device, x);
        let columns = Columns::of(&features);
        if self.has(Kind::Precision) {
            out.precision = self.precision(model, view, measured, x, &features)?;
        }
        if self.has(Kind::Probing) && prepared.has_labels(out) {
            out.probing = self.probing(model, view, &columns, prepared, x);
        }
        if self.has(Kind::Absorption) && prepared.has_labels(out) {
            out.absorption = self.absorption(view, prepared, x, &features, &mut out.missing);
        }
        if self.has(Kind::Ravel) {
            out.ravel = self.ravel(model, view, prepared, &mut out.missing);
        }
        let chosen = chosen(&columns);
        if self.has(Kind::Rules) {
            out.rules = Some(self.rules(&columns, &chosen, prepared));
        }
        if self.has(Kind::Examples) {
            out.examples = Some(self.examples(model, &columns, &chosen, prepared));
        }
        if self.has(Kind::Uniformity) {
            let drawn = (self.resamples(), self.options.seed);
            out.uniformity = Some(uniformity(model, self.windows, view, UNIFORM_ROWS, drawn));
        }
        Ok(())
    }

    /// Asks the judge; one that does not answer is not asked again.
    fn ask(
        &self,
        model: &Model,
        view: Subject<'_>,
        prepared: &Prepared,
        endpoint: &mut Option<Endpoint>,
        out: &mut DictionaryMetrics,
    ) {
        let (Some(at), Some(open)) = (self.judge, endpoint.as_mut()) else { return };
        let columns = Columns::of(&view.dictionary.encode(model.device, &prepared.sample.x[&view.site]));
        let chosen = spread(chosen(&columns), at.features);
        let (sample, is_fitted) = (&prepared.sample, &prepared.is_fitted[..]);
        let rows = judging::Rows { sample, is_fitted, token: &|token| self.token(token) };
        let drawn = (self.resamples(), self.options.seed);
        match judging::of(&rows, &columns, &chosen, (open, at.model), drawn) {
            Ok(scores) => out.judge = Some(scores),
            Err(error) => {
                out.missing.push(format!("judge: {error}"));
                *endpoint = None;
            }
        }
    }

    fn precision(
        &self,
        model: &Model,
        view: Subject<'_>,
        exact: &Measured,
        x: &[f32],
        features: &Csr,
    ) -> Result<Vec<Rounded>, ReleaseError> {
        let one = |bits: Bits| -> Result<Rounded, ReleaseError> {
            let dictionary = quantised(view.dictionary, bits);
            let subject = Subject { dictionary: &dictionary, ..view };
            let found = measure(model, self.windows, &[subject], &[], self.options, &mut |_, _| ())?;
            let mut drift = Drift::new(dictionary.width());
            drift.add(features, &dictionary.encode(model.device, x));
            let change = |metric| self.compare(&found[0].documents, &exact.documents, metric);
            Ok(Rounded {
                bits,
                bytes: bytes(&dictionary, bits) as u64,
                changes: [Metric::L0, Metric::Fvu, Metric::DeltaLoss, Metric::LossRecovered]
                    .map(change)
                    .to_vec(),
                survival: drift.survival(),
            })
        };
        [Bits::Bf16, Bits::Int8, Bits::Int4].into_iter().map(one).collect()
    }

    fn compare(&self, a: &[Sums], b: &[Sums], metric: Metric) -> Comparison {
        compare(a, b, metric, self.options.resamples, self.options.seed)
    }

    /// The dictionary's own k-sparse probes, then those of components and of random features, then the dense one.
    fn probing(
        &self,
        model: &Model,
        view: Subject<'_>,
        columns: &Columns,
        prepared: &Prepared,
        x: &[f32],
    ) -> Vec<lapidary_evaluation::probing::ProbeMeans> {
        let (d, labels, is_fitted) = (view.dictionary.d_in, &prepared.frequent, &prepared.is_fitted[..]);
        let of = |source: Source<'_>| sparse(source, labels, is_fitted, &KS);
        let l0 = columns_l0(columns);
        let width = view.dictionary.width();
        let random = random_features(x, d, width, l0, self.options.seed, model.device);
        let components = components(x, d, model.device);
        let sources = [
            ("features", of(Source::Features(columns))),
            ("pca", of(Source::Dense { x: &components, d })),
            ("neurons", of(Source::Dense { x, d })),
            ("random", of(Source::Features(&Columns::of(&random)))),
        ];
        let mut out = Vec::new();
        for (name, found) in &sources {
            out.extend(KS.iter().enumerate().map(|(k, &columns)| {
                let probes: Vec<Probed> = found.iter().map(|f: &Sparse| f.probes[k]).collect();
                means(name, Some(columns), &probes, self.resamples(), self.options.seed)
            }));
        }
        let all = dense(x, d, labels, is_fitted);
        out.push(means("dense", None, &all, self.resamples(), self.options.seed));
        out
    }

    fn absorption(
        &self,
        view: Subject<'_>,
        prepared: &Prepared,
        x: &[f32],
        features: &Csr,
        missing: &mut Vec<String>,
    ) -> Option<absorption::Absorption> {
        if view.site != view.output {
            missing.push("absorption: a transcoder writes elsewhere than where its labels are probed".into());
            return None;
        }
        let drawn = (self.resamples(), self.options.seed);
        let (labels, is_fitted) = (&prepared.frequent, &prepared.is_fitted[..]);
        Some(absorption::absorption(view.dictionary, x, features, labels, is_fitted, drawn))
    }

    fn ravel(
        &self,
        model: &Model,
        view: Subject<'_>,
        prepared: &Prepared,
        missing: &mut Vec<String>,
    ) -> Option<Disentangling> {
        let Some(pairs) = &prepared.pairs else {
            missing.push("ravel: only the language has counterfactual pairs; add --text world".into());
            return None;
        };
        let options = Options { resamples: self.resamples(), ..self.options };
        let found = disentangling(model, view, pairs, options);
        if found.is_none() {
            missing.push("ravel: the model knows no attribute of the things that it is asked about".into());
        }
        found
    }

    fn rules(&self, columns: &Columns, chosen: &[u32], prepared: &Prepared) -> RuleScores {
        let Sample { tokens, windows, labels, .. } = &prepared.sample;
        let text = rules::Text { tokens, windows, labels };
        let literals = rules::Literals::of(text, &prepared.is_fitted, rules::Options::standard());
        let found = rules::explain(&literals, columns, chosen);
        let line = |e: &rules::Explained| RuleLine {
            feature: e.feature,
            rule: rules::words(&e.rule, &labels.names, &|token| self.token(token)),
            n: e.n,
            precision: e.precision,
            recall: e.recall,
            f1: e.f1,
        };
        RuleScores {
            means: rules::means(&found, self.resamples(), self.options.seed),
            features: found.iter().map(line).collect(),
        }
    }

    fn token(&self, token: u32) -> String {
        self.opened.tokenizer.decode(&[token]).unwrap_or_else(|_| token.to_string())
    }

    fn examples(
        &self,
        model: &Model,
        columns: &Columns,
        chosen: &[u32],
        prepared: &Prepared,
    ) -> ExampleScores {
        let embedded = examples::Embedded {
            rows: &prepared.embeddings,
            e: model.spec.width(prepared.embedded),
            documents: &prepared.sample.labels.documents,
        };
        let options = examples::Options::standard(self.options.seed);
        let found = examples::alike(embedded, columns, chosen, &options);
        let mean = |of| examples::mean(&found, of, self.resamples(), self.options.seed);
        ExampleScores {
            embedded_by: prepared.embedded.to_string(),
            intruder: mean(|f| f.intruder),
            embedding: mean(|f| f.embedding),
        }
    }
}

fn slices((scores, measured): (usize, &Measured)) -> DictionaryMetrics {
    let (name, slices) = (measured.scores.name.clone(), measured.slices.clone());
    DictionaryMetrics { scores, name, slices, ..DictionaryMetrics::default() }
}

/// What all dictionaries share.
struct Prepared {
    sample: Sample,
    /// Labels with enough rows in both halves.
    frequent: Labels,
    is_fitted: Vec<bool>,
    embedded: Site,
    embeddings: Vec<f32>,
    /// For interchange.
    pairs: Option<Pairs>,
}

impl Prepared {
    fn has_labels(&self, out: &mut DictionaryMetrics) -> bool {
        let has = !self.frequent.names.is_empty();
        let why = "probing and absorption: no label is on in enough rows of both halves";
        if !has && !out.missing.iter().any(|m| m == why) {
            out.missing.push(why.into());
        }
        has
    }
}

fn columns_l0(columns: &Columns) -> f64 {
    let active: usize = (0..columns.width()).map(|f| columns.feature(f).0.len()).sum();
    active as f64 / columns.rows.max(1) as f64
}

/// Features that rules and examples are made for.
fn chosen(columns: &Columns) -> Vec<u32> {
    spread(frequent(columns), MOST_FEATURES)
}

/// Features that fire often enough for a score.
pub(crate) fn frequent(columns: &Columns) -> Vec<u32> {
    let often = |f: &usize| columns.feature(*f).0.len() >= FIRES;
    (0..columns.width()).filter(often).map(|f| f as u32).collect()
}

/// At most `most` of them, evenly by their place.
pub(crate) fn spread(features: Vec<u32>, most: usize) -> Vec<u32> {
    let step = features.len().div_ceil(most.max(1)).max(1);
    features.into_iter().step_by(step).collect()
}
