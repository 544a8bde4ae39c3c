//! The end of `lapidary train`: what was made, at which figures, and what comes next.

use crate::global::Global;
use crate::terminal;
use crate::terminal::stopwatch::Stopwatch;
use crate::terminal::watch::Verdicts;
use lapidary_report::number::{count, duration, percent, significant};
use lapidary_report::table::{Align, text};
use lapidary_suite::RunPlan;
use lapidary_trainer::{Training, last_lambda};
use std::collections::BTreeMap;
use std::path::Path;

/// The last line of each dictionary in `metrics.jsonl`: L0 and FVU. Lines that are none are passed over.
fn last_figures(run: &Path) -> BTreeMap<String, [Option<f64>; 2]> {
    let bytes = lapidary_files::read(&run.join("metrics.jsonl"), 1 << 30).unwrap_or_default();
    let mut out = BTreeMap::new();
    for line in bytes.split(|&b| b == b'\n') {
        let Ok(line) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        if let Some(name) = line["dictionary"].as_str() {
            out.insert(name.to_string(), [line["l0"].as_f64(), line["fvu"].as_f64()]);
        }
    }
    out
}

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

fn trained_table(run: &Path, plan: &RunPlan, trained: &[Training]) -> String {
    let figures = last_figures(run);
    let mut table = Vec::new();
    for (d, t) in plan.training.dictionaries.iter().zip(trained) {
        let [l0, fvu] = figures.get(&d.name).copied().unwrap_or_default();
        let state = match &t.stopped {
            Some(s) => format!("stopped at step {}: {}", s.step, s.reason),
            None if fvu.is_some_and(|fvu| fvu > 1.0) => "done, but worse than the mean row".into(),
            None => "done".into(),
        };
        let number = |x: Option<f64>| x.map_or("–".into(), |x| significant(x, 3));
        let lambda = d.objective.has_lambda().then(|| last_lambda(t, d, &plan.training.recipe));
        let fired = t.fired().iter().filter(|&&s| s > 0).count() as u64;
        let width = d.width.to_string();
        table.push(vec![d.name.clone(), width, number(lambda), number(l0), number(fvu), count(fired), state]);
    }
    let columns = [
        ("dictionary", Align::Left),
        ("width", Align::Right),
        ("λ", Align::Right),
        ("last L0", Align::Right),
        ("last FVU", Align::Right),
        ("ever fired", Align::Right),
        ("state", Align::Left),
    ];
    text(&columns, &table)
}
