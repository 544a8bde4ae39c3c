//! A training on planted rows: its folder, its steps, and what it leaves behind.
//!
//! The folder holds `planted.json` (the plan), the training's own files, and in the end `dictionaries/NAME/`, which SAELens
//! loads too. Their probe is made of rows that they were never trained on.

use super::plan::PlantedPlan;
use crate::global::Global;
use crate::terminal::watch::{Watch, stop_on_interrupt};
use anyhow::{Context, bail};
use lapidary_dictionary::{Dictionary, Meta, ModelRef, Probe, Setting, save_sae_lens};
use lapidary_files::{Kind, OutFolder, hash};
use lapidary_ground_truth::planted::rows::{POOL_ROWS, PlantedRows, SITE};
use lapidary_ground_truth::planted::score::{PlantedScores, Scorer, Subject};
use lapidary_kernels::Device;
use lapidary_store::{Batches, Order, norms};
use lapidary_suite::differences::differences;
use lapidary_suite::folder::{PROBE_ROWS, built_by, dictionary_folder};
use lapidary_suite::words;
use lapidary_trainer::{
    DictionaryPlan, Measured, Recipe, Run, TrainError, Training, last_lambda, measure, to_dictionary, train,
};
use lapidary_world::planted::Planted;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;

/// What the run's folder holds.
const PLANTED: Kind = Kind {
    name: "planted run",
    owns: &[
        "planted.json",
        "scores.json",
        "metrics.jsonl",
        "checkpoints/step-*.safetensors",
        "dictionaries/*/cfg.json",
        "dictionaries/*/sae_weights.safetensors",
        "dictionaries/*/lapidary.json",
        "dictionaries/*/card.md",
    ],
    resumed_by: Some("planted.json"),
};

/// The run's folder.
pub struct Folder {
    pub path: PathBuf,
    resume: bool,
    /// Somebody asked for it.
    out: Option<OutFolder>,
    _temporary: Option<Temporary>,
}

/// A folder that goes away with this.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // best effort: the system clears its folder too
    }
}

impl Folder {
    /// The folder `out`, or else a temporary one; `None` in a dry run.
    pub fn open(
        out: Option<&Path>,
        resume: bool,
        inputs: &[&Path],
        global: &Global,
    ) -> anyhow::Result<Option<Folder>> {
        if let Some(out) = out {
            let out = global.output_folder(out, &PLANTED, resume, inputs)?;
            return Ok(out.map(|out| Folder {
                path: out.path.clone(),
                resume,
                out: Some(out),
                _temporary: None,
            }));
        }
        if global.dry_run {
            return Ok(None);
        }
        let path = std::env::temp_dir().join(format!("lapidary-planted-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Some(Folder { path: path.clone(), resume, out: None, _temporary: Some(Temporary(path)) }))
    }

    /// Did somebody ask for it?
    pub fn kept(&self) -> bool {
        self.out.is_some()
    }

    /// Everything is in it.
    pub fn finish(self) -> anyhow::Result<()> {
        self.out.map_or(Ok(()), |out| Ok(out.finish()?))
    }
}

/// The rows of a training, in its order.
pub fn batches(planted: &Planted, samples: u64, batch: usize) -> anyhow::Result<Batches<PlantedRows<'_>>> {
    let order = Order { seed: planted.seed, pool_rows: POOL_ROWS };
    Ok(Batches::new(PlantedRows::new(planted, samples), order, batch)?)
}

/// C of the rows.
pub fn norm(batches: &mut Batches<PlantedRows<'_>>) -> anyhow::Result<f64> {
    Ok(norms(batches, POOL_ROWS as u64).map_err(anyhow::Error::from_boxed)?[0])
}

/// What a short run must know of the rows.
pub fn measured(batches: &mut Batches<PlantedRows<'_>>) -> anyhow::Result<Measured> {
    let mut sites = measure(batches, POOL_ROWS as u64).map_err(anyhow::Error::from_boxed)?;
    Ok(sites.remove(0).measured)
}

/// A finished training.
pub struct Trained {
    plan: PlantedPlan,
    pub hash: String,
    all: Vec<Training>,
}

impl Trained {
    /// Trains, or goes on.
    pub fn run(
        plan: PlantedPlan,
        batches: &mut Batches<PlantedRows<'_>>,
        folder: &Folder,
        global: &Global,
    ) -> anyhow::Result<Trained> {
        let json = plan.json();
        let hash = hash::bytes(json.as_bytes());
        let path = folder.path.join("planted.json");
        if path.is_file() {
            check_same(&path, &json)?;
        } else {
            lapidary_files::publish(&path, json.as_bytes())?;
        }
        let built_by = built_by(global.catalog.device);
        let run = Run {
            plan: &plan.training,
            plan_hash: &hash,
            built_by: &built_by,
            folder: &folder.path,
            device: global.catalog.device,
            start: &BTreeMap::new(),
        };
        match steps(&run, batches, folder.resume, global)? {
            Err(TrainError::Interrupted { step, steps }) if !folder.kept() => {
                bail!("stopped at step {step} of {steps}; nothing is kept without --out")
            }
            all => Ok(Trained { all: all?, plan, hash }),
        }
    }

    /// Rows that it saw.
    pub fn rows(&self) -> u64 {
        self.plan.training.recipe.steps * self.plan.training.recipe.batch as u64
    }

    /// A training in which a dictionary was given up has failed; the others are finished all the same.
    pub fn check_all(&self) -> anyhow::Result<()> {
        let pairs = self.plan.training.dictionaries.iter().zip(&self.all);
        let stopped: Vec<_> = pairs.filter_map(|(d, t)| Some((&d.name, t.stopped.as_ref()?))).collect();
        match stopped.first() {
            Some((name, s)) => bail!(
                "{} of {} dictionaries stopped, {name} at step {}: {}; try more --samples or another --preset",
                stopped.len(),
                self.all.len(),
                s.step,
                s.reason
            ),
            None => Ok(()),
        }
    }

    /// What was not given up, in the plan's order.
    fn finished(&self) -> impl Iterator<Item = (&DictionaryPlan, &Training)> {
        let pairs = self.plan.training.dictionaries.iter().zip(&self.all);
        pairs.filter(|(_, training)| training.stopped.is_none())
    }

    fn dictionary(&self, d: &DictionaryPlan, training: &Training) -> Dictionary {
        to_dictionary(training, d, &self.plan.training.recipe)
    }

    pub fn scores(&self, scorer: &Scorer<'_>) -> Vec<PlantedScores> {
        let score = |(d, training): (&DictionaryPlan, &Training)| {
            scorer.dictionary(subject(d, training, &self.plan.training.recipe), &self.dictionary(d, training))
        };
        self.finished().map(score).collect()
    }

    /// Writes `dictionaries/`; the first of `x` `[n, D]` are their probe.
    pub fn save(&self, folder: &Path, x: &[f32], device: Device) -> anyhow::Result<()> {
        for (d, training) in self.finished() {
            let dictionary = self.dictionary(d, training);
            let probe = Probe::record(&dictionary, device, &x[..x.len().min(PROBE_ROWS * d.d)]);
            let meta = self.meta(d, last_lambda(training, d, &self.plan.training.recipe), probe);
            let card = format!("# {}\n\nTrained on a planted dictionary: its rows are no model's.\n", d.name);
            save_sae_lens(&dictionary_folder(folder, &d.name), &dictionary, &meta, &card)?;
        }
        Ok(())
    }

    fn meta(&self, d: &DictionaryPlan, lambda: f64, probe: Probe) -> Meta {
        let PlantedPlan { which, samples, training, .. } = &self.plan;
        let rows = format!("planted:directions={},seed={}", which.config().features, which.seed);
        Meta {
            site: SITE.into(),
            site_out: SITE.into(),
            hf_hook_name: None,
            model: ModelRef { name: rows.clone(), hash: None, precision: None },
            context: None,
            prepend_bos: false,
            special_tokens: Vec::new(),
            l0: None,
            training: Some(lapidary_dictionary::Training {
                plan_hash: self.hash.clone(),
                preset: training.recipe.preset.to_string(),
                text_hash: hash::bytes(rows.as_bytes()), // all that its rows are made of
                split: format!("rows from {samples} on are held out"),
                c: d.c,
                c_out: None,
                lambda,
                rows: self.rows(),
                baseline: d.baseline,
            }),
            probe,
        }
    }
}

/// A resumed run must have the plan that it began with.
fn check_same(path: &Path, json: &str) -> anyhow::Result<()> {
    let text = lapidary_files::read_string(path, 64 << 20)?;
    let found: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let differing = differences(&serde_json::from_str(json)?, &found);
    if !differing.is_empty() {
        bail!(
            "{}: expected a run of this command, found one that differs: {}; resume with what it began with, or choose \
             another --out",
            path.display(),
            differing.join("; ")
        );
    }
    Ok(())
}

/// The training's steps, with a bar.
fn steps(
    run: &Run<'_>,
    batches: &mut Batches<PlantedRows<'_>>,
    resume: bool,
    global: &Global,
) -> anyhow::Result<Result<Vec<Training>, TrainError>> {
    let stop = stop_on_interrupt()?;
    let mut watch = Watch::new(global);
    watch.begin(run.plan, None)?;
    let trained = train(run, batches, resume, &|| stop.load(SeqCst), &mut |event| watch.see(event));
    watch.end();
    Ok(trained)
}

/// What was trained, as its scores call it.
fn subject(d: &DictionaryPlan, training: &Training, recipe: &Recipe) -> Subject {
    let setting = words::setting(d);
    let baseline = d.baseline.map(|b| format!(", {b}")).unwrap_or_default();
    Subject {
        name: d.name.clone(),
        label: format!("{}, {setting}{baseline}", words::architecture(d)),
        architecture: Some(words::architecture(d)),
        width: d.width,
        lambda: d.objective.has_lambda().then(|| last_lambda(training, d, recipe)),
        target_l0: match setting {
            Setting::L0(l0) => Some(l0),
            Setting::Lambda(_) => None,
        },
        baseline: d.baseline,
    }
}
