//! A suite is found, opened, planned and trained. Each step refuses what is wrong before the next one reads anything larger: names,
//! then config and text, then the plan and its cost, and only then the weights.

use crate::SuiteError;
use crate::differences::differences;
use crate::error::invalid;
use crate::estimate::{self, Estimate, ModelCost, Pace};
use crate::file::Suite;
use crate::folder;
use crate::init;
use crate::plan::{Places, RunPlan};
use crate::rows::{WithRandom, site_rows};
use lapidary_catalog::{Catalog, Opened, Text};
use lapidary_files::{self as files, FileError};
use lapidary_harvest::FusedRows;
use lapidary_lm::{Site, Spec};
use lapidary_store::{Batches, Order, RowSource, SiteRows, StoreReader, norms};
use lapidary_text::{Corpus, Split, resolve_context};
use lapidary_trainer::{self as trainer, Baseline, DictionaryPlan, Measured, Preset, Training, measure};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Longest suite file, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A suite file, and where what it names is.
pub struct Found {
    /// What it asks for.
    pub suite: Suite,
    /// The file as it is, for the run's folder.
    written: String,
    text: Text,
    store: Option<PathBuf>,
    /// Everything that is read: no output may be one of them.
    pub inputs: Vec<PathBuf>,
}

impl Found {
    /// Reads a suite file and looks up its text and its store.
    ///
    /// # Errors
    /// The file cannot be read or followed, or names a text or a store that is not there.
    pub fn read(path: &Path, catalog: &Catalog) -> Result<Found, SuiteError> {
        let suite = Suite::read(path)?;
        let text = Text::parse(&suite.text, catalog)?;
        let store = suite.rows.store.as_ref().map(|s| catalog.find(s)).transpose()?;
        // What is wrong with the model or a start is said when it is opened.
        let others = suite.inits().chain([&suite.model]).filter_map(|name| catalog.find(name).ok());
        let mut inputs: Vec<PathBuf> = [path.to_path_buf()].into_iter().chain(others).collect();
        inputs.extend(store.iter().chain(text.files()).cloned());
        Ok(Found { written: files::read_string(path, MAX_BYTES)?, suite, text, store, inputs })
    }
}

/// What a run tells while it goes on.
pub enum Event<'a> {
    /// C of each site is being measured over this many rows.
    Norms(u64),
    /// Every number is fixed; the first step comes next.
    Planned(&'a RunPlan),
    /// What the trainer tells.
    Training(trainer::Event<'a>),
}

/// How a run is to go on.
pub struct How<'a> {
    /// The run's folder.
    pub folder: &'a Path,
    /// From its last checkpoint.
    pub resume: bool,
    /// Asked after every step: shall it save its state and end?
    pub interrupted: &'a dyn Fn() -> bool,
}

/// A run that has come to its end.
pub struct Trained {
    /// Every number of it.
    pub plan: RunPlan,
    /// In the plan's order.
    pub states: Vec<Training>,
    /// It had come to its end before: nothing was left to do.
    pub before: bool,
}

/// A suite with everything that it names, opened.
pub struct Job<'a> {
    /// What is asked for.
    pub suite: Suite,
    /// The model; its weights are read when rows are made.
    pub opened: Opened,
    /// The training documents' windows.
    pub corpus: Corpus,
    split: Split,
    written: String,
    context: usize,
    places: Places,
    sites: Vec<Site>,
    random_sites: Vec<Site>,
    /// Its rows at `sites`, where the model does not run.
    store: Option<StoreReader>,
    catalog: &'a Catalog,
}

impl<'a> Job<'a> {
    /// Opens model, text and store. A run that is `resumed` in this folder goes on with the documents that it began with, which may be
    /// by the rule of an older version.
    ///
    /// # Errors
    /// One of them cannot be used, or the store holds rows of another text.
    pub fn open(found: Found, resumed: Option<&Path>, catalog: &'a Catalog) -> Result<Job<'a>, SuiteError> {
        let Found { suite, written, text, store, .. } = found;
        let opened =
            Opened::open(&suite.model, &suite.ignore_config_keys, suite.precision.as_deref(), catalog)?;
        check_precision(&suite, &opened)?;
        let spec = &opened.spec;
        let context = resolve_context(spec, suite.context)?;
        let random = |baseline| baseline == Some(Baseline::RandomLm);
        let sites = sites_of(&suite, spec, |baseline| !random(baseline))?;
        let random_sites = sites_of(&suite, spec, random)?;
        let split = resumed.map_or(Ok(Split::Train), split_of)?;
        let corpus = text.corpus(&opened, context, split)?;
        let ignore_config_keys = [&suite.ignore_config_keys[..], &catalog.ignore_config_keys].concat();
        let model = std::path::absolute(&opened.folder).map_err(FileError::io(&opened.folder, "find"))?;
        let places = Places { model, text: text.places()?, store, ignore_config_keys };
        let store = places.store.as_ref().map(|folder| StoreReader::open(folder)).transpose()?;
        let mut job = Job {
            suite,
            opened,
            corpus,
            split,
            written,
            context,
            places,
            sites,
            random_sites,
            store: None,
            catalog,
        };
        if let Some(store) = store {
            job.check_store(&store, None)?;
            let names: Vec<String> = job.sites.iter().map(ToString::to_string).collect();
            job.store = Some(store.select(&names)?);
        }
        Ok(job)
    }

    /// The plan, but for what is measured: C of each site is 1, and the model has no hash.
    ///
    /// # Errors
    /// The suite asks for what cannot be planned.
    pub fn draft(&self) -> Result<RunPlan, SuiteError> {
        let sites = match &self.store {
            Some(store) => store.sites().to_vec(),
            None => site_rows(&self.opened.spec, &self.sites, &self.random_sites),
        };
        self.draft_on(&sites, &vec![1.0; sites.len()], &[])
    }

    /// The pace of a plan by arithmetic alone, on a processor that does `speed` multiply-adds in a second.
    pub fn guess(&self, plan: &RunPlan, speed: f64) -> Pace {
        let sites = self.sites.iter().chain(&self.random_sites);
        let layers = sites.map(|site| site.layer + 1).max().unwrap_or(0);
        let multiply_adds = estimate::multiply_adds(&self.opened.spec, layers, self.context);
        let model = ModelCost { parameters: self.opened.parameters, multiply_adds };
        Pace::guessed(plan, model, speed, self.store.is_none())
    }

    /// What a plan will cost at this pace.
    pub fn estimate(&self, plan: &RunPlan, pace: Pace) -> Estimate {
        estimate::of(plan, self.opened.parameters, &self.corpus, pace)
    }

    /// Makes the rows of the first windows, of `tokens` tokens or a window more, and lets go of them: how many they were. None where
    /// rows come from a store. For whoever has a clock.
    ///
    /// # Errors
    /// The model cannot be read, or does not give rows.
    pub fn try_rows(&self, tokens: usize) -> Result<Option<usize>, SuiteError> {
        if self.store.is_some() {
            return Ok(None);
        }
        let sites = if self.sites.is_empty() { &self.random_sites } else { &self.sites };
        let mut rows = FusedRows::new(self.opened.model()?, &self.corpus, sites, self.suite.rows.dtype)?;
        let windows = tokens.div_ceil(self.context).min(self.corpus.windows.len());
        let windows: Vec<u32> = (0..windows as u32).collect();
        let mut out = vec![Vec::new(); sites.len()];
        rows.read(&windows, &mut out).map_err(SuiteError::Rows)?;
        Ok(Some(windows.iter().map(|&w| rows.window_rows()[w as usize] as usize).sum()))
    }

    /// Trains on rows of the store, or on those of one pass of the model, and writes the finished dictionaries.
    ///
    /// # Errors
    /// The folder holds another run, rows cannot be made, a file cannot be written, or the run was interrupted. That a dictionary was
    /// given up is none: see [`folder::check_all`].
    pub fn train(mut self, how: &How<'_>, observe: &mut dyn FnMut(Event<'_>)) -> Result<Trained, SuiteError> {
        if let Some(store) = self.store.take() {
            self.check_store(&store, Some(self.opened.hash()?))?;
            return self.run(store, how, observe);
        }
        let model = self.opened.model()?; // everything that can be wrong without it has been checked
        let dtype = self.suite.rows.dtype;
        let real = FusedRows::new(model, &self.corpus, &self.sites, dtype)?;
        if self.random_sites.is_empty() {
            return self.run(real, how, observe);
        }
        let random = model.randomised(self.suite.seed);
        let random = FusedRows::new(&random, &self.corpus, &self.random_sites, dtype)?;
        self.run(WithRandom::new(real, random), how, observe)
    }

    fn run<S: RowSource>(
        &self,
        source: S,
        how: &How<'_>,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Trained, SuiteError> {
        let order = Order { seed: self.suite.seed, pool_rows: self.suite.rows.pool_rows };
        let sites = source.sites().to_vec();
        let mut batches = Batches::new(source, order, self.draft()?.training.recipe.batch)?;
        let norms = self.norms(&mut batches, how, observe)?;
        let begun = how.resume && how.folder.join("plan.json").is_file();
        let begun = begun.then(|| RunPlan::read(how.folder)).transpose()?;
        let measured = self.measured(&mut batches, begun.as_ref())?;
        let mut plan = self.draft_on(&sites, &norms, &measured)?;
        if let Some(begun) = begun.as_ref().filter(|_| self.suite.rows.norm_rows.is_none()) {
            plan.rows.norm_rows = begun.rows.norm_rows; // of a version with another default
        }
        if let Some(begun) = &begun {
            keep_row_caps(&mut plan, begun);
        }
        if let Some(begun) = begun.filter(|_| !measured.is_empty() && measured.iter().all(Option::is_none)) {
            // Of a version that measured nothing: its window counted in other units.
            let recipe = &mut plan.training.recipe;
            recipe.bandwidth = self.suite.recipe.bandwidth.unwrap_or(begun.training.recipe.bandwidth);
        }
        self.opened.hash()?.clone_into(&mut plan.model.hash);
        let device = self.catalog.device;
        let finished = || folder::finished(how.folder, &plan, device);
        if let Some(states) = how.resume.then(finished).flatten() {
            return Ok(Trained { plan, states, before: true });
        }
        self.prepare(&plan, how)?;
        observe(Event::Planned(&plan));
        let states = self.steps(&plan, &mut batches, how, observe)?;
        folder::write_dictionaries(how.folder, &plan, &self.opened, &states, &mut batches)?;
        Ok(Trained { plan, states, before: false })
    }

    fn draft_on(
        &self,
        sites: &[SiteRows],
        norms: &[f64],
        measured: &[Option<Measured>],
    ) -> Result<RunPlan, SuiteError> {
        let mut plan = RunPlan::draft(
            &self.suite,
            &self.opened,
            &self.corpus,
            self.context,
            sites,
            norms,
            measured,
            self.catalog,
        )?;
        self.split.rule().clone_into(&mut plan.text.split);
        Ok(plan)
    }

    /// C of each site: from the plan when resuming, else measured.
    fn norms<S: RowSource>(
        &self,
        batches: &mut Batches<S>,
        how: &How<'_>,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Vec<f64>, SuiteError> {
        if how.resume && how.folder.join("plan.json").is_file() {
            let plan = RunPlan::read(how.folder)?;
            let c = |d: &DictionaryPlan| [(d.row_set(), d.c), (d.output_row_set(), d.c_out())];
            let all: BTreeMap<String, f64> = plan.training.dictionaries.iter().flat_map(c).collect();
            let of = |rows: &str| all.get(rows).copied();
            let known: Option<Vec<f64>> = batches.source().sites().iter().map(|s| of(&s.site)).collect();
            if let Some(known) = known {
                return Ok(known);
            }
        }
        observe(Event::Norms(self.suite.rows.norm_rows()));
        norms(batches, self.suite.rows.norm_rows()).map_err(SuiteError::Rows)
    }

    /// What the preset `short` begins with beside C: from the plan when resuming, else measured on the first pool.
    fn measured<S: RowSource>(
        &self,
        batches: &mut Batches<S>,
        resumed: Option<&RunPlan>,
    ) -> Result<Vec<Option<Measured>>, SuiteError> {
        if self.suite.preset() != Preset::Short {
            return Ok(Vec::new());
        }
        if let Some(plan) = resumed {
            let all = &plan.training.dictionaries;
            let of = |rows: &str| all.iter().find(|d| d.row_set() == rows)?.measured.clone();
            return Ok(batches.source().sites().iter().map(|s| of(&s.site)).collect());
        }
        let sites = measure(batches, self.suite.rows.pool_rows as u64).map_err(SuiteError::Rows)?;
        Ok(sites.into_iter().map(|site| Some(site.measured)).collect())
    }

    /// Saves the plan; a resumed run must have the plan that it began with.
    fn prepare(&self, plan: &RunPlan, how: &How<'_>) -> Result<(), SuiteError> {
        let folder = how.folder;
        if how.resume && folder.join("plan.json").is_file() {
            let differing = plan.differences(&RunPlan::read(folder)?);
            if !differing.is_empty() {
                invalid!(
                    "{}: expected a run of this suite, found one that differs in its plan: {}; resume with the suite, text \
                     and model it began with, or choose another --out",
                    folder.display(),
                    differing.join("; ")
                );
            }
            return self.places.save(folder);
        }
        files::publish(&folder.join("suite.toml"), self.written.as_bytes())?;
        self.places.save(folder)?;
        plan.save(folder)
    }

    fn steps<S: RowSource>(
        &self,
        plan: &RunPlan,
        batches: &mut Batches<S>,
        how: &How<'_>,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Vec<Training>, SuiteError> {
        let inits: Vec<PathBuf> = self.suite.inits().cloned().collect();
        let device = self.catalog.device;
        let run = trainer::Run {
            plan: &plan.training,
            plan_hash: &plan.hash(),
            built_by: &folder::built_by(device),
            folder: how.folder,
            device,
            start: &init::trainings(&plan.training, &inits, self.catalog)?,
        };
        let mut tell = |event: trainer::Event<'_>| observe(Event::Training(event));
        Ok(trainer::train(&run, batches, how.resume, how.interrupted, &mut tell)?)
    }

    /// A store must hold the rows that the fused run would see. The model's hash costs a look at all weights: without it, all
    /// else is compared.
    fn check_store(&self, store: &StoreReader, model: Option<&str>) -> Result<(), SuiteError> {
        let manifest = store.manifest();
        let text = &manifest.text;
        let expected = json!({
            "model": model.unwrap_or(&manifest.model.hash), "documents": self.corpus.hash, "context": self.context,
            "dtype": self.suite.rows.dtype, "precision": self.opened.precision.to_string(),
        });
        let precision = manifest.model.precision.as_deref().unwrap_or("f32");
        let found = json!({
            "model": manifest.model.hash, "documents": text.hash, "context": text.context, "dtype": manifest.dtype,
            "precision": precision,
        });
        let differing = differences(&expected, &found);
        if !differing.is_empty() {
            let folder = self.places.store.as_deref().unwrap_or(Path::new("store"));
            invalid!(
                "{}: expected the rows of this suite, found others: {}; harvest again for this suite",
                folder.display(),
                differing.join("; ")
            );
        }
        Ok(())
    }
}

/// What the run in this folder is trained on.
fn split_of(folder: &Path) -> Result<Split, SuiteError> {
    if !folder.join("plan.json").is_file() {
        return Ok(Split::Train);
    }
    let rule = RunPlan::read(folder)?.text.split;
    let Some(split) = Split::trained_by(&rule) else {
        invalid!(
            "{}: expected a rule that divides documents, found `{rule}`; use the version that wrote it",
            folder.display()
        );
    };
    Ok(split)
}

/// A suite that names a precision means it.
fn check_precision(suite: &Suite, opened: &Opened) -> Result<(), SuiteError> {
    match suite.precision.as_ref().filter(|said| **said != opened.precision.to_string()) {
        None => Ok(()),
        Some(said) => invalid!(
            "precision: expected {said}, as the suite says, found --precision {}; leave one of them out",
            opened.precision
        ),
    }
}

/// Where rows are read or written, for the dictionaries and baselines that `which` chooses; each site once.
fn sites_of(
    suite: &Suite,
    spec: &Spec,
    which: impl Fn(Option<Baseline>) -> bool,
) -> Result<Vec<Site>, SuiteError> {
    let grids = suite.grids(spec)?;
    let chosen = grids.iter().filter(|grid| which(grid.baseline));
    let mut sites: Vec<Site> = chosen.flat_map(|grid| grid.sites()).collect();
    sites.sort_by_key(|site| site.rank());
    sites.dedup();
    Ok(sites)
}

/// A begun run goes on with the caps that it began with: those of rows that are only reconstructed are measured anew by no one, and
/// older versions had none.
fn keep_row_caps(plan: &mut RunPlan, begun: &RunPlan) {
    for d in &mut plan.training.dictionaries {
        let same = begun.training.dictionaries.iter().find(|other| other.name == d.name);
        d.row_cap = same.and_then(|same| same.row_cap);
    }
}
