//! The end of `lapidary train`: what was made, at which figures, and what comes next.

use crate::global::Global;
use crate::terminal;
use crate::terminal::stopwatch::Stopwatch;
use crate::terminal::watch::Verdicts;
use lapidary_release::describe::trained_table;
use lapidary_report::number::{count, duration, percent};
use lapidary_suite::RunPlan;
use lapidary_trainer::Training;
use std::collections::BTreeMap;
use std::path::Path;

/// The end of `train`: what was made, and what comes next. `time`: what it took; none where nothing was left to do.
pub fn print(
    run: &Path,
    plan: &RunPlan,
    trained: &[Training],
    time: Option<(f64, &Stopwatch)>,
    verdicts: &Verdicts,
    global: &Global,
) -> anyhow::Result<()> {
    let recipe = &plan.training.recipe;
    let rows = recipe.steps * recipe.batch as u64;
    if global.json {
        return terminal::line(trained_json(run, plan, trained, time, verdicts));
    }
    terminal::line(trained_table(run, plan, trained))?;
    let finished = trained.iter().filter(|t| t.stopped.is_none()).count();
    let took = time.map_or(String::new(), |(seconds, _)| format!(" in {}", duration(seconds)));
    let (rows, place) = (count(rows), run.display());
    terminal::line(format_args!("{rows} rows{took}, {finished} dictionaries in {place}"))?;
    if let Some((_, stopwatch)) = time {
        let total: f64 = stopwatch.all().iter().map(|(_, seconds)| seconds).sum();
        let share = |(name, seconds): (&str, f64)| format!("{name} {}", percent(seconds / total));
        let shares = stopwatch.all().into_iter().map(share).collect::<Vec<_>>().join(", ");
        terminal::line(format_args!("time: {shares}"))?;
    }
    if finished > 0 {
        terminal::line(format_args!("next: lapidary evaluate {place}"))?;
    }
    verdicts.iter().try_for_each(|(name, wrong)| {
        let word = if wrong.is_empty() { "fine".into() } else { wrong.join("; ") };
        terminal::line(format_args!("{name}: {word}"))
    })
}

fn trained_json(
    run: &Path,
    plan: &RunPlan,
    trained: &[Training],
    time: Option<(f64, &Stopwatch)>,
    verdicts: &Verdicts,
) -> serde_json::Value {
    let recipe = &plan.training.recipe;
    let pairs = plan.training.dictionaries.iter().zip(trained);
    let stopped: Vec<_> = pairs.filter_map(|(d, t)| Some((&d.name, t.stopped.as_ref()?))).collect();
    let mut out = serde_json::json!({
        "run": run, "plan": plan.hash(), "rows": recipe.steps * recipe.batch as u64, "stopped": stopped,
        "health": verdicts.iter().map(|(name, wrong)| (name, wrong)).collect::<BTreeMap<_, _>>(),
    });
    if let Some((seconds, stopwatch)) = time {
        out["seconds"] = seconds.into();
        out["phases"] = serde_json::json!(stopwatch.all().into_iter().collect::<BTreeMap<_, _>>());
    }
    out
}
