//! What `lapidary world planted` will cost, before it begins: time, memory, disk. Rough, and said to be.

use crate::machine;
use anyhow::bail;
use lapidary_ground_truth::planted::rows::{POOL_ROWS, WINDOW};
use lapidary_kernels::Device;
use lapidary_release::describe::{how_many, objectives};
use lapidary_report::number::{bytes, count, duration};
use lapidary_suite::estimate::{STEP_PER_PRODUCT, disk_per_parameter, training_memory};
use lapidary_trainer::{DictionaryPlan, Recipe, memory};
use lapidary_world::planted::PlantedConfig;

/// Multiply-adds per second in which directions are made orthogonal, on one thread; measured.
const DRAWING_PER_SECOND: f64 = 1.5e10;
/// What a row costs, in multiply-adds of a product per planted feature and rank; measured.
const ROW_PER_DRIVE: f64 = 4.0;
/// Active features of a row that are provided for when scoring.
const ENTRIES_PER_ROW: f64 = 100.0;

/// What is to be done.
pub struct Job<'a> {
    pub config: &'a PlantedConfig,
    pub recipe: &'a Recipe,
    /// What is trained, all of one width; nothing where something else is scored.
    pub dictionaries: &'a [DictionaryPlan],
    /// Features of the dictionaries that are scored as they are.
    pub scored: &'a [usize],
    /// Rows of scoring.
    pub truth_rows: usize,
    /// Is the run kept? Then two checkpoints are there at a time, and the dictionaries at the end.
    pub kept: bool,
}

impl Job<'_> {
    fn rows(&self) -> u64 {
        if self.dictionaries.is_empty() { 0 } else { self.recipe.steps * self.recipe.batch as u64 }
    }

    /// The numbers of the estimate.
    pub fn json(&self, cost: &Cost) -> serde_json::Value {
        let names: Vec<&str> = self.dictionaries.iter().map(|d| d.name.as_str()).collect();
        serde_json::json!({
            "directions": self.config.features, "d": self.config.d, "dictionaries": names, "scored": self.scored.len(),
            "seconds": cost.seconds, "memory_bytes": cost.memory, "disk_bytes": cost.disk,
        })
    }

    /// The job and its cost, for a person.
    pub fn describe(&self, cost: &Cost) -> String {
        let recipe = self.recipe;
        let what = match (self.dictionaries, self.scored) {
            ([], []) => "the oracle alone".into(),
            ([], scored) => format!("dictionaries to score: {}", scored.len()),
            ([first, ..], _) => format!(
                "dictionaries: {}, of {} features\n{} rows = {} steps of {}, preset {}\n{}",
                how_many(self.dictionaries),
                count(first.width as u64),
                count(self.rows()),
                count(recipe.steps),
                count(recipe.batch as u64),
                recipe.preset,
                objectives(self.dictionaries).join("\n"),
            ),
        };
        format!(
            "{} planted directions in {} dimensions; {what}\nestimate: {}, {} of memory, {} of disk",
            count(self.config.features as u64),
            self.config.d,
            duration(cost.seconds),
            bytes(cost.memory as u64),
            bytes(cost.disk as u64)
        )
    }
}

/// What it costs: seconds and bytes.
pub struct Cost {
    pub seconds: f64,
    pub memory: f64,
    pub disk: f64,
}

impl Cost {
    pub fn of(job: &Job<'_>, device: Device) -> Cost {
        let (config, batch) = (job.config, job.recipe.batch as f64);
        let (d, m) = (config.d as f64, config.features as f64);
        let (rows, truth_rows) = (job.rows() as f64, job.truth_rows as f64);
        let widths = job.dictionaries.iter().map(|d| d.width).chain(job.scored.iter().copied());
        let widest = widths.max().unwrap_or(0) as f64;
        let encoders: f64 = job.dictionaries.iter().map(|plan| d * plan.width as f64).sum();
        let drawing = 4.0 * m * d * d * config.orthogonal_steps as f64 / DRAWING_PER_SECOND;
        let per_row = m * config.correlation_rank as f64 * ROW_PER_DRIVE;
        let work = rows * encoders * STEP_PER_PRODUCT + (rows + truth_rows) * per_row;
        let pool = if rows > 0.0 { (POOL_ROWS as f64 + batch) * d * 4.0 } else { 0.0 };
        let windows = rows / WINDOW as f64 * 12.0;
        let known = truth_rows * (2.0 * d * 4.0 + ENTRIES_PER_ROW * 8.0);
        let pairs = (4.0 * m * m).max(8.0 * m * widest); // the matrix of an assignment, and its transpose
        let training = training_memory(job.dictionaries, job.recipe).total() as f64;
        let trained: f64 = job.dictionaries.iter().map(memory::parameters).sum();
        Cost {
            seconds: drawing + work / machine::speed(device),
            memory: m * d * 16.0 + training + pool + windows + known + pairs,
            disk: trained * if job.kept { disk_per_parameter(job.recipe) } else { 8.0 },
        }
    }

    /// Refuses what cannot fit, before anything is allocated. Where the machine does not say what it has, everything fits.
    pub fn check_memory(&self) -> anyhow::Result<()> {
        match machine::memory() {
            Some(there) if self.memory > there as f64 => bail!(
                "about {} of memory is needed, this machine has {}; choose --size everyday, a smaller --width, fewer \
                 dictionaries or fewer --truth-rows",
                bytes(self.memory as u64),
                bytes(there)
            ),
            _ => Ok(()),
        }
    }
}
