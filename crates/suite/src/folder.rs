//! A run's finished dictionaries: `dictionaries/NAME/`, each a folder that SAELens loads, with a probe of real rows.

use crate::SuiteError;
use crate::error::invalid;
use crate::plan::{RunPlan, is_release};
use lapidary_catalog::Opened;
use lapidary_dictionary::hooks::{self, Modules};
use lapidary_dictionary::{Dictionary, Meta, ModelRef, Probe, load, save_sae_lens};
use lapidary_files::Kind;
use lapidary_kernels::Device;
use lapidary_lm::{Family, Spec};
use lapidary_store::{Batches, RowSource};
use lapidary_trainer::{
    DictionaryPlan, Stopped, Training, last_lambda, latest_checkpoint, load_checkpoint, progress,
    to_dictionary,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A run's folder, with what the program that trains keeps beside the run: wall times and TensorBoard's files.
pub const RUN: Kind = Kind {
    name: "run",
    owns: &[
        "suite.toml",
        "plan.json",
        "places.json",
        "metrics.jsonl",
        "timing.jsonl",
        "evaluation.json",
        "evaluation.partial.json",
        "report.html",
        "plots/*.svg",
        "plots/*.csv",
        "checkpoints/step-*.safetensors",
        "tensorboard/*/events.out.tfevents.*",
        "dictionaries/*/cfg.json",
        "dictionaries/*/sae_weights.safetensors",
        "dictionaries/*/lapidary.json",
        "dictionaries/*/card.md",
    ],
    resumed_by: Some("plan.json"),
};

/// Rows of a dictionary's probe.
pub const PROBE_ROWS: usize = 4;

/// Folder of one dictionary of a run.
pub fn dictionary_folder(run: &Path, name: &str) -> PathBuf {
    run.join("dictionaries").join(name)
}

/// Version and instruction set: a run goes on with its own only.
pub fn built_by(device: Device) -> String {
    format!("{} {device:?}", env!("CARGO_PKG_VERSION"))
}

/// A run in which a dictionary was given up has failed (exit code 1); the others are finished all the same.
///
/// # Errors
/// A dictionary was given up: which, when and why.
pub fn check_all(run: &Path, plan: &RunPlan, trained: &[Training]) -> Result<(), SuiteError> {
    let stopped = |(d, t): (&DictionaryPlan, &Training)| Some((d.name.clone(), t.stopped.clone()?));
    let stopped: Vec<_> = plan.training.dictionaries.iter().zip(trained).filter_map(stopped).collect();
    let Some((name, first)) = stopped.iter().min_by_key(|(_, s)| s.step) else { return Ok(()) };
    let (which, others) = match stopped.len() == trained.len() {
        true => (format!("all {}", trained.len()), "nothing to write".to_string()),
        false => (
            format!("{} of {}", stopped.len(), trained.len()),
            format!("the others are finished, for `lapidary evaluate {}`", run.display()),
        ),
    };
    invalid!(
        "{which} dictionaries stopped, {name} first, at step {}: {}; {others}: lower [recipe] lr, which is {:e}, or check \
         the model",
        first.step,
        first.reason,
        plan.training.recipe.lr
    )
}

/// The state of a run that has come to its end with all its files, and with this plan and build: nothing is left to do.
pub(crate) fn finished(run: &Path, plan: &RunPlan, device: Device) -> Option<Vec<Training>> {
    let (done, _) = progress(run).filter(|(done, _)| *done >= plan.training.recipe.steps)?;
    let (marks, trained) = load_checkpoint(&latest_checkpoint(run)?, &plan.training).ok()?;
    let same = marks.step == done && marks.plan_hash == plan.hash() && marks.built_by == built_by(device);
    let pairs = || plan.training.dictionaries.iter().zip(&trained);
    let all = pairs().all(|(d, t)| t.stopped.is_some() || is_whole(&dictionary_folder(run, &d.name), plan));
    (same && all && RunPlan::read(run).ok()?.hash() == plan.hash()).then_some(trained)
}

/// Has the folder all files of a dictionary of this plan?
fn is_whole(folder: &Path, plan: &RunPlan) -> bool {
    let found = load(folder).ok().and_then(|(_, meta)| meta?.training);
    found.is_some_and(|t| t.plan_hash == plan.hash()) && folder.join("card.md").is_file()
}

/// Folds every dictionary that was not stopped into raw units and writes it, with the run's first rows as its probe.
pub(crate) fn write_dictionaries<S: RowSource>(
    run: &Path,
    plan: &RunPlan,
    opened: &Opened,
    trained: &[Training],
    batches: &mut Batches<S>,
) -> Result<(), SuiteError> {
    batches.seek(0);
    let sites = batches.source().sites().to_vec();
    let first = batches.next().map_err(SuiteError::Rows)?;
    for (d, training) in plan.training.dictionaries.iter().zip(trained) {
        if training.stopped.is_some() {
            continue;
        }
        let site = sites.iter().position(|s| s.site == d.row_set()).expect("the trainer found it");
        let rows = PROBE_ROWS.min(plan.training.recipe.batch);
        let x = &first[site][..rows * d.d];
        let dictionary = to_dictionary(training, d, &plan.training.recipe);
        let mut meta = meta(plan, d, opened, &dictionary, x);
        meta.training.iter_mut().for_each(|t| t.lambda = last_lambda(training, d, &plan.training.recipe));
        let card = match d.baseline {
            Some(baseline) => format!("# {}\n\nA baseline ({baseline}), there to be beaten.\n", d.name),
            None => {
                format!(
                    "# {}\n\nNot evaluated yet: run `lapidary evaluate`, then `lapidary release`.\n",
                    d.name
                )
            }
        };
        save_sae_lens(&dictionary_folder(run, &d.name), &dictionary, &meta, &card)?;
    }
    Ok(())
}

/// How the model's modules are called elsewhere.
fn modules(spec: &Spec) -> Modules {
    match spec.family {
        Family::Gpt2 => Modules::Gpt2,
        Family::GptNeoX => Modules::GptNeoX,
        _ if spec.post_norms => Modules::PostNorms,
        _ => Modules::Llama,
    }
}

fn meta(plan: &RunPlan, d: &DictionaryPlan, opened: &Opened, dictionary: &Dictionary, x: &[f32]) -> Meta {
    let spec = &opened.spec;
    let recipe = &plan.training.recipe;
    let mut special: Vec<u32> =
        spec.bos.into_iter().chain(spec.eos.iter().copied()).chain(spec.pad).collect();
    special.sort_unstable();
    special.dedup();
    Meta {
        site: d.site.clone(),
        site_out: d.transcoder.as_ref().map_or(&d.site, |t| &t.output).clone(),
        hf_hook_name: hooks::hook(&d.site, modules(spec)).and_then(|h| h.hf_hook_name),
        model: ModelRef {
            name: plan.model.name.clone(),
            hash: Some(plan.model.hash.clone()),
            precision: plan.model.precision.clone(),
        },
        context: Some(plan.text.context),
        prepend_bos: spec.bos.is_some(),
        special_tokens: special,
        l0: None,
        training: Some(lapidary_dictionary::Training {
            plan_hash: plan.hash(),
            preset: recipe.preset.to_string(),
            text_hash: plan.text.hash.clone(),
            split: plan.text.split.clone(),
            c: d.c,
            c_out: d.transcoder.as_ref().map(|t| t.c_out),
            lambda: d.lambda,
            rows: recipe.steps * recipe.batch as u64,
            baseline: d.baseline,
        }),
        probe: Probe::record(dictionary, opened.device, x),
    }
}

/// The finished dictionaries of a run or a release, in the plan's order; stopped ones are left out.
///
/// # Errors
/// One that should be there is not, or cannot be read; or none is there.
pub fn read_dictionaries(
    run: &Path,
    plan: &RunPlan,
) -> Result<Vec<(DictionaryPlan, Dictionary, Meta)>, SuiteError> {
    let (mut out, mut missing) = (Vec::new(), Vec::new());
    let released = is_release(run);
    for d in &plan.training.dictionaries {
        let folder = if released { run.join(&d.name) } else { dictionary_folder(run, &d.name) };
        if !folder.is_dir() {
            missing.push(d);
            continue;
        }
        let (dictionary, meta) = load(&folder)?;
        let Some(meta) = meta else {
            invalid!(
                "{}: expected lapidary.json, found none; the run was cut short: resume it",
                folder.display()
            )
        };
        out.push((d.clone(), dictionary, meta));
    }
    if let (true, [first, ..]) = (out.is_empty(), given_up_lines(run).as_slice()) {
        invalid!(
            "{}: expected finished dictionaries, found none: {first}; train again with a lower [recipe] lr",
            run.display()
        );
    }
    if out.is_empty() {
        invalid!(
            "{}: expected finished dictionaries, found none; continue the run with `lapidary train … --resume`",
            run.display()
        );
    }
    if !released {
        check_missing(run, &missing)?; // a release leaves baselines out
    }
    Ok(out)
}

/// A dictionary may be missing because it was given up, as the last checkpoint says, and for no other reason.
fn check_missing(run: &Path, missing: &[&DictionaryPlan]) -> Result<(), SuiteError> {
    let stopped = given_up(run);
    match missing.iter().find(|d| !stopped.contains_key(&d.name)) {
        Some(d) => invalid!(
            "{}: expected dictionary {}, found none; the run was cut short: continue it with `lapidary train … --resume`",
            run.display(),
            d.name
        ),
        None => Ok(()),
    }
}

/// What a run gave up, and why: later verbs say so.
pub fn given_up(run: &Path) -> BTreeMap<String, Stopped> {
    progress(run).map(|(_, stopped)| stopped).unwrap_or_default()
}

/// `1.att-width40-lambda0.003 was given up at step 3 of its training: loss is NaN`
pub fn given_up_lines(run: &Path) -> Vec<String> {
    let line = |(name, s): (&String, &Stopped)| {
        format!("{name} was given up at step {} of its training: {}", s.step, s.reason)
    };
    given_up(run).iter().map(line).collect()
}
