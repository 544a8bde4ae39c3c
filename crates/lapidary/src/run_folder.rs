//! A run's finished dictionaries: `dictionaries/NAME/`, each a folder that SAELens loads, with a probe of real rows.

use crate::global::Global;
use crate::opened::Opened;
use crate::plan::{RunPlan, is_release};
use crate::stopwatch::Stopwatch;
use crate::words;
use lapidary_dictionary::{Dictionary, Meta, ModelRef, Probe, hooks, load, save_sae_lens};
use lapidary_lm::Family;
use lapidary_report::number::{count, duration, percent, significant};
use lapidary_report::table::{Align, text};
use lapidary_store::{Batches, RowSource};
use lapidary_trainer::{DictionaryPlan, Training, latest_checkpoint, load_checkpoint};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows of a dictionary's probe.
pub const PROBE_ROWS: usize = 4;

/// Folder of one dictionary of a run.
pub fn dictionary_folder(run: &Path, name: &str) -> PathBuf {
    run.join("dictionaries").join(name)
}

/// A run whose dictionaries have all stopped has failed.
pub fn check_any(plan: &RunPlan, trained: &[Training]) -> anyhow::Result<()> {
    let stopped = |(d, t): (&DictionaryPlan, &Training)| Some((d.name.clone(), t.stopped.clone()?));
    let stopped: Vec<_> = plan.training.dictionaries.iter().zip(trained).filter_map(stopped).collect();
    if stopped.len() < trained.len() {
        return Ok(());
    }
    let (name, first) = stopped.iter().min_by_key(|(_, s)| s.step).expect("a plan has dictionaries");
    anyhow::bail!(
        "all {} dictionaries stopped, {name} first, at step {}: {}; nothing to write: lower [recipe] lr, or check the model",
        trained.len(),
        first.step,
        first.reason
    )
}

/// Folds every dictionary that was not stopped into raw units and writes it, with the run's first rows as its probe.
pub fn write_dictionaries<S: RowSource>(
    run: &Path,
    plan: &RunPlan,
    opened: &Opened,
    trained: &[Training],
    batches: &mut Batches<S>,
) -> anyhow::Result<()> {
    batches.seek(0);
    let sites = batches.source().sites().to_vec();
    let first = batches.next().map_err(anyhow::Error::from_boxed)?;
    for (d, training) in plan.training.dictionaries.iter().zip(trained) {
        if training.stopped.is_some() {
            continue;
        }
        let site = sites.iter().position(|s| s.site == d.row_set()).expect("the trainer found it");
        let rows = PROBE_ROWS.min(plan.training.recipe.batch);
        let x = &first[site][..rows * d.d];
        let dictionary = training.dictionary(d, &plan.training.recipe);
        let mut meta = meta(plan, d, opened, &dictionary, x);
        meta.training.iter_mut().for_each(|t| t.lambda = words::last_lambda(d, training));
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

fn meta(plan: &RunPlan, d: &DictionaryPlan, opened: &Opened, dictionary: &Dictionary, x: &[f32]) -> Meta {
    let spec = &opened.model.spec;
    let recipe = &plan.training.recipe;
    let mut special: Vec<u32> =
        spec.bos.into_iter().chain(spec.eos.iter().copied()).chain(spec.pad).collect();
    special.sort_unstable();
    special.dedup();
    Meta {
        site: d.site.clone(),
        site_out: d.transcoder.as_ref().map_or(&d.site, |t| &t.output).clone(),
        hf_hook_name: hooks::hook(&d.site, spec.family == Family::Gemma2).and_then(|h| h.hf_hook_name),
        model: ModelRef { name: plan.model.name.clone(), hash: Some(plan.model.hash.clone()) },
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
        probe: Probe::record(dictionary, opened.model.device, x),
    }
}

/// The finished dictionaries of a run or a release, in the plan's order; stopped ones are left out.
pub fn read_dictionaries(
    run: &Path,
    plan: &RunPlan,
) -> anyhow::Result<Vec<(DictionaryPlan, Dictionary, Meta)>> {
    let (mut out, mut missing) = (Vec::new(), Vec::new());
    let released = is_release(run);
    for d in &plan.training.dictionaries {
        let folder = if released { run.join(&d.name) } else { dictionary_folder(run, &d.name) };
        if !folder.is_dir() {
            missing.push(d);
            continue;
        }
        let (dictionary, meta) = load(&folder)?;
        let meta = meta.ok_or_else(|| {
            anyhow::anyhow!(
                "{}: expected lapidary.json, found none; the run was cut short: resume it",
                folder.display()
            )
        })?;
        out.push((d.clone(), dictionary, meta));
    }
    if out.is_empty() {
        anyhow::bail!(
            "{}: expected finished dictionaries, found none; continue the run with `lapidary train … --resume`",
            run.display()
        );
    }
    if !released {
        check_stopped(run, plan, &missing)?; // a release leaves baselines out
    }
    Ok(out)
}

/// A dictionary may be missing because it stopped, as the last checkpoint says, and for no other reason.
fn check_stopped(run: &Path, plan: &RunPlan, missing: &[&DictionaryPlan]) -> anyhow::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let state = latest_checkpoint(run).and_then(|path| load_checkpoint(&path, &plan.training).ok());
    let stopped = |d: &DictionaryPlan| {
        let at = plan.training.dictionaries.iter().position(|other| other.name == d.name)?;
        state.as_ref()?.1[at].stopped.as_ref()
    };
    match missing.iter().find(|d| stopped(d).is_none()) {
        Some(d) => anyhow::bail!(
            "{}: expected dictionary {}, found none; the run was cut short: continue it with `lapidary train … --resume`",
            run.display(),
            d.name
        ),
        None => Ok(()),
    }
}

/// The end of `train`: what was made, and what comes next.
pub fn print_trained(
    run: &Path,
    plan: &RunPlan,
    trained: &[Training],
    seconds: f64,
    stopwatch: &Stopwatch,
    global: &Global,
) -> anyhow::Result<()> {
    let recipe = &plan.training.recipe;
    let rows = recipe.steps * recipe.batch as u64;
    if global.json {
        let stopped: Vec<_> = plan
            .training
            .dictionaries
            .iter()
            .zip(trained)
            .filter_map(|(d, t)| Some((&d.name, t.stopped.as_ref()?)))
            .collect();
        println!(
            "{}",
            serde_json::json!({
                "run": run, "plan": plan.hash(), "rows": rows, "seconds": seconds,
                "phases": stopwatch.all().into_iter().collect::<BTreeMap<_, _>>(), "stopped": stopped,
            })
        );
        return Ok(());
    }
    let mut table = Vec::new();
    for (d, t) in plan.training.dictionaries.iter().zip(trained) {
        let state =
            t.stopped.as_ref().map_or("done".into(), |s| format!("stopped at step {}: {}", s.step, s.reason));
        let fired = t.fired().iter().filter(|&&s| s > 0).count() as u64;
        let lambda = match d.objective.has_lambda() {
            true => significant(words::last_lambda(d, t), 3),
            false => "–".into(),
        };
        table.push(vec![d.name.clone(), d.width.to_string(), lambda, count(fired), state]);
    }
    let columns = [
        ("dictionary", Align::Left),
        ("width", Align::Right),
        ("λ", Align::Right),
        ("ever fired", Align::Right),
        ("state", Align::Left),
    ];
    println!("{}", text(&columns, &table));
    println!(
        "{} rows in {}, {} dictionaries in {}",
        count(rows),
        duration(seconds),
        trained.iter().filter(|t| t.stopped.is_none()).count(),
        run.display()
    );
    let total: f64 = stopwatch.all().iter().map(|(_, seconds)| seconds).sum();
    let share = |(name, seconds): (&str, f64)| format!("{name} {}", percent(seconds / total));
    println!("time: {}", stopwatch.all().into_iter().map(share).collect::<Vec<_>>().join(", "));
    println!("next: lapidary evaluate {}", run.display());
    Ok(())
}
