//! What a run will cost, before it begins: time, memory, disk. Rough, and said to be.

use crate::plan::RunPlan;
use anyhow::bail;
use lapidary_kernels::Device;
use lapidary_lm::Model;
use lapidary_report::number::{bytes, count, duration};
use lapidary_report::table::{Align, text};
use lapidary_trainer::{DictionaryPlan, Preset};
use std::path::Path;
use std::time::Instant;

/// The cost of a run.
pub struct Estimate {
    pub seconds: f64,
    pub memory: u64,
    pub disk: u64,
    /// The encoders' share of the arithmetic; the rest is the language model's.
    pub encoder_share: f64,
}

/// Multiply-adds that the processor does in a second on products like ours, measured in some milliseconds.
pub fn speed(device: Device) -> f64 {
    let (n, d, m) = (2048, 64, 1024);
    let (x, w, mut out) = (vec![0.5f32; n * d], vec![0.25f32; m * d], vec![0.0f32; n * m]);
    device.linear(&x, &w, None, d, &mut out);
    let began = Instant::now();
    device.linear(&x, &w, None, d, &mut out);
    (n * d * m) as f64 / began.elapsed().as_secs_f64()
}

/// Everything sparse around the encoder's product costs about as much again in short runs.
const STEP_PER_PRODUCT: f64 = 2.2;

pub fn of(plan: &RunPlan, model: &Model, device: Device, fused: bool) -> Estimate {
    let recipe = &plan.training.recipe;
    let rows = (recipe.steps * recipe.batch as u64) as f64;
    let encoders: f64 = plan.training.dictionaries.iter().map(|d| d.d as f64 * d.width as f64).sum();
    let models = if plan.needs_random_lm() { 2.0 } else { 1.0 };
    let lm = if fused { models * model.weights.count() as f64 * 1.5 } else { 0.0 };
    let work = encoders * STEP_PER_PRODUCT + lm;
    let numbers = |d: &DictionaryPlan| (2.0 * d.d as f64 + 4.0) * d.width as f64;
    let parameters: f64 = plan.training.dictionaries.iter().map(numbers).sum();
    let site_width: usize = plan.row_sets().values().sum();
    let pool_rows = plan.rows.rows_per_epoch.min(plan.rows.pool_rows as u64);
    let pool = (pool_rows as f64 + recipe.batch as f64) * site_width as f64 * 4.0;
    let widest = plan.training.dictionaries.iter().map(|d| d.width).max().unwrap_or(0) as f64;
    let entries = recipe.batch as f64 * widest / 2.0 * 24.0; // the first steps: half of all features are active
    let model_bytes = models * 4.0 * model.weights.count() as f64;
    Estimate {
        seconds: rows * work / speed(device),
        memory: (parameters * 8.0 + pool + entries + model_bytes + 64.0 * 1024.0 * 1024.0) as u64,
        disk: (parameters * 20.0) as u64,
        encoder_share: encoders * STEP_PER_PRODUCT / work,
    }
}

/// Refuses what cannot fit, before anything is allocated. Where the machine does not say what it has, everything fits.
pub fn check_memory(estimate: &Estimate) -> anyhow::Result<()> {
    match machine_memory() {
        Some(there) if estimate.memory > there => bail!(
            "the suite needs about {} of memory, this machine has {}; choose fewer or smaller widths, fewer sites or \
             lambdas, or a smaller batch",
            bytes(estimate.memory),
            bytes(there)
        ),
        _ => Ok(()),
    }
}

/// Bytes of memory of this machine, as Linux says.
pub fn machine_memory() -> Option<u64> {
    let text = lapidary_files::read_string(Path::new("/proc/meminfo"), 1 << 20).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The plan and its cost, for a person, under a title: its hash, once the norms are known.
pub fn describe(title: &str, plan: &RunPlan, estimate: &Estimate) -> String {
    let recipe = &plan.training.recipe;
    let rows = recipe.steps * recipe.batch as u64;
    let theta = range(plan.training.dictionaries.iter().map(|d| d.theta_init));
    let epochs = rows as f64 / plan.rows.rows_per_epoch.max(1) as f64;
    let lines: Vec<(&str, String)> = vec![
        ("model", format!("{} ({:.12})", plan.model.name, plan.model.hash)),
        (
            "text",
            format!(
                "{} training documents, {} rows of context {}",
                count(plan.text.documents as u64),
                count(plan.rows.rows_per_epoch),
                plan.text.context
            ),
        ),
        ("dictionaries", dictionaries(plan)),
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
                "{:.2e} (warm-up {} steps, decay over the last {})",
                recipe.lr, recipe.lr_warmup, recipe.lr_decay
            ),
        ),
        ("λ warm-up", format!("{} steps", recipe.lambda_warmup)),
        (
            "θ",
            format!(
                "{:?}, from {}, window ε = {:.3}, β₂ = {:.3}",
                recipe.threshold, theta, recipe.bandwidth, recipe.beta2
            )
            .to_lowercase(),
        ),
        (
            "estimate",
            format!(
                "{}, {} of memory, {} of disk; encoders {:.0} %, language model {:.0} % of the work",
                duration(estimate.seconds),
                bytes(estimate.memory),
                bytes(estimate.disk),
                100.0 * estimate.encoder_share,
                100.0 * (1.0 - estimate.encoder_share)
            ),
        ),
    ];
    let rows: Vec<Vec<String>> = lines.into_iter().map(|(k, v)| vec![k.to_string(), v]).collect();
    let table = text(&[("plan", Align::Left), (title, Align::Left)], &rows);
    match recipe.preset {
        Preset::Short => format!("{table}\npreset short: {}\n", wrapped(lapidary_trainer::SHORT_EXPLAINED)),
        Preset::GemmaScope | Preset::GemmaScope2 | Preset::Anthropic => table,
    }
}

/// `3`, or `3 and 2 baselines`.
fn dictionaries(plan: &RunPlan) -> String {
    let baselines = plan.training.dictionaries.iter().filter(|d| d.baseline.is_some()).count();
    let trained = plan.training.dictionaries.len() - baselines;
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
    if low == high { format!("{low:.3}") } else { format!("{low:.3}–{high:.3}") }
}
