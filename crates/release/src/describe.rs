//! A run's plan and its cost, for a person who decides whether to begin it, and a table of what it trained.

use crate::words;
use lapidary_report::number::{bytes, count, duration, significant};
use lapidary_report::table::{Align, text};
use lapidary_suite::estimate::{Estimate, Memory};
use lapidary_suite::file::{Suite, presets};
use lapidary_suite::plan::RunPlan;
use lapidary_suite::scaling;
use lapidary_trainer::last_lambda;
use lapidary_trainer::{DictionaryPlan, Objective, Preset, Training};
use std::collections::BTreeMap;
use std::path::Path;

/// The plan and its cost, for a person, under a title: its hash, once the norms are known.
pub fn describe(title: &str, plan: &RunPlan, estimate: &Estimate) -> String {
    let recipe = &plan.training.recipe;
    let rows = recipe.steps * recipe.batch as u64;
    let with_theta =
        plan.training.dictionaries.iter().filter(|d| matches!(d.objective, Objective::JumpRelu { .. }));
    let theta = range(with_theta.clone().map(|d| d.theta_init));
    let windows = range(with_theta.map(|d| d.bandwidth.unwrap_or(recipe.bandwidth)));
    let epochs = rows as f64 / plan.rows.rows_per_epoch.max(1) as f64;
    let mut lines: Vec<(&str, String)> = vec![
        ("model", model_name(plan)),
        (
            "text",
            format!(
                "{} training documents, {} rows of context {}",
                count(plan.text.documents as u64),
                count(plan.rows.rows_per_epoch),
                plan.text.context
            ),
        ),
        ("dictionaries", how_many(&plan.training.dictionaries)),
        (
            "rows",
            format!(
                "{} = {} steps of {} ({epochs:.1} epochs)",
                count(rows),
                count(recipe.steps),
                recipe.batch
            ),
        ),
        ("preset", recipe.preset.to_string()),
        (
            "learning rate",
            format!(
                "{:.2e}, {} times that for the decoder (warm-up {} steps, decay over the last {})",
                recipe.lr, recipe.lr_decoder, recipe.lr_warmup, recipe.lr_decay
            ),
        ),
        ("λ warm-up", format!("{} steps", recipe.lambda_warmup)),
        (
            "θ",
            format!(
                "{:?}, from {theta}, window ε = {windows}, β₁ = {}, β₂ = {:.3}",
                recipe.threshold, recipe.beta1, recipe.beta2
            )
            .to_lowercase(),
        ),
        (
            "estimate",
            format!(
                "{}, {} tokens/s; dictionaries {:.0} %, language model {:.0} % of the time; {} of memory, {} of disk",
                duration(estimate.seconds),
                count(estimate.rows_per_s as u64),
                100.0 * estimate.dictionary_share,
                100.0 * (1.0 - estimate.dictionary_share),
                bytes(estimate.memory.total()),
                bytes(estimate.disk)
            ),
        ),
        ("memory", parts(&estimate.memory)),
    ];
    let names = std::iter::once("objective").chain(std::iter::repeat(""));
    lines.splice(3..3, names.zip(objectives(&plan.training.dictionaries)));
    let (names, end) = (std::iter::once("measured").chain(std::iter::repeat("")), lines.len() - 2);
    lines.splice(end..end, names.zip(measured(&plan.training.dictionaries)));
    if recipe.preset == Preset::Short {
        lines.push(("more", more(recipe.steps)));
    }
    let rows: Vec<Vec<String>> = lines.into_iter().map(|(k, v)| vec![k.to_string(), v]).collect();
    let table = text(&[("plan", Align::Left), (title, Align::Left)], &rows);
    match recipe.preset {
        Preset::Short => format!("{table}\npreset short: {}\n", wrapped(lapidary_trainer::SHORT_EXPLAINED)),
        Preset::GemmaScope | Preset::GemmaScope2 | Preset::Anthropic => table,
    }
}

/// What four times the rows, and twice the width, would buy.
fn more(steps: u64) -> String {
    let less = |share: f64| 100.0 * (1.0 - share);
    format!(
        "four times as many rows take about {:.0} % off FVU, twice the width {:.0} %, if it is as at 8.res of SmolLM2-135M",
        less(scaling::by_steps(steps, 4.0)),
        less(scaling::by_width(2.0))
    )
}

/// The plan, and what it will cost: seconds and bytes.
pub fn json(plan: &RunPlan, estimate: &Estimate) -> serde_json::Value {
    serde_json::json!({
        "plan": plan, "seconds": estimate.seconds, "memory_bytes": estimate.memory.total(), "disk_bytes": estimate.disk,
        "dictionary_share": estimate.dictionary_share, "rows_per_s": estimate.rows_per_s,
    })
}

/// What stands in the plan because the suite does not say it.
pub fn preset(suite: &Suite) -> String {
    match suite.preset_is_default() {
        true => {
            format!("\nThe suite names no preset, so that it is {}; there are {}.", suite.preset(), presets())
        }
        false => String::new(),
    }
}

/// With its hash, which a dry run does without.
fn model_name(plan: &RunPlan) -> String {
    match plan.model.hash.as_str() {
        "" => plan.model.name.clone(),
        hash => format!("{} ({hash:.12})", plan.model.name),
    }
}

/// A line for each site that was measured: `8.res: mean row 45 % of E‖x‖², …`
fn measured(dictionaries: &[DictionaryPlan]) -> Vec<String> {
    let of = |d: &DictionaryPlan| {
        let m = d.measured.as_ref()?;
        let (mean, widest) = (100.0 * m.mean_share, 100.0 * m.outlier_share);
        let (spread, plain, rows) = (m.spread, 1.0 / (d.d as f64).sqrt(), count(m.rows));
        let long = m.long_rows_share.filter(|&share| share > 0.0);
        let long = long
            .map_or(String::new(), |share| format!(", rows longer than ten medians {:.0} %", 100.0 * share));
        Some(format!(
            "{}: mean row {mean:.0} % of E‖x‖², three widest dimensions {widest:.0} % of the rest{long}, spread of z {spread:.4} (1/√D \
             {plain:.4}), on {rows} rows",
            d.row_set()
        ))
    };
    let mut lines: Vec<String> = dictionaries.iter().filter_map(of).collect();
    lines.dedup();
    lines
}

/// A line each: `JumpReLU: λ 0.001, λ 0.003`, `TopK with AuxK (…): L0 20 by k`
pub fn objectives(dictionaries: &[DictionaryPlan]) -> Vec<String> {
    let mut kinds: Vec<(String, Vec<String>)> = Vec::new();
    for d in dictionaries {
        let (objective, sparsity) = (words::objective(d), words::sparsity(d));
        match kinds.iter_mut().find(|(other, _)| *other == objective) {
            Some((_, all)) if all.contains(&sparsity) => {}
            Some((_, all)) => all.push(sparsity),
            None => kinds.push((objective, vec![sparsity])),
        }
    }
    kinds.into_iter().map(|(objective, all)| format!("{objective}: {}", all.join(", "))).collect()
}

/// `3`, or `3 and 2 baselines`.
pub fn how_many(dictionaries: &[DictionaryPlan]) -> String {
    let baselines = dictionaries.iter().filter(|d| d.baseline.is_some()).count();
    let trained = dictionaries.len() - baselines;
    match baselines {
        0 => trained.to_string(),
        1 => format!("{trained} and 1 baseline"),
        _ => format!("{trained} and {baselines} baselines"),
    }
}

/// Lines of at most 100 characters.
fn wrapped(paragraph: &str) -> String {
    let mut out = String::new();
    let mut column = 14;
    for word in paragraph.split_whitespace() {
        if column + word.len() > 100 {
            out.push('\n');
            column = 0;
        } else if !out.is_empty() {
            out.push(' ');
        }
        out += word;
        column += word.len() + 1;
    }
    out
}

/// `0.341`, or `0.2–0.341` where dictionaries differ.
fn range(values: impl Iterator<Item = f32>) -> String {
    let (low, high) = values.fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        "–".into()
    } else if low == high {
        format!("{low:.3}")
    } else {
        format!("{low:.3}–{high:.3}")
    }
}

/// The memory by what holds it.
fn parts(memory: &Memory) -> String {
    let parts = [
        ("dictionaries", memory.dictionaries),
        ("a step", memory.step),
        ("rows", memory.rows),
        ("language model", memory.model),
        ("text", memory.text),
    ];
    parts.map(|(name, part)| format!("{name} {}", bytes(part as u64))).join(", ")
}

/// What a run trained: a line for each dictionary, with the last figures of its log.
pub fn trained_table(run: &Path, plan: &RunPlan, trained: &[Training]) -> String {
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
