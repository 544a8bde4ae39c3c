//! What `lapidary world planted` will cost, before it begins: time, memory, disk. Rough, and said to be.

use crate::estimate::{machine_memory, speed};
use crate::planted_rows::{POOL_ROWS, WINDOW};
use anyhow::bail;
use lapidary_kernels::Device;
use lapidary_report::number::{bytes, count, duration};
use lapidary_trainer::Recipe;
use lapidary_world::planted::PlantedConfig;

/// Multiply-adds per second in which directions are made orthogonal, on one thread; measured.
const DRAWING_PER_SECOND: f64 = 1.5e10;
/// Everything sparse around the encoder's product costs about as much again, as in a suite.
const STEP_PER_PRODUCT: f64 = 2.2;
/// What a row costs, in multiply-adds of a product per planted feature and rank; measured.
const ROW_PER_LATENT: f64 = 4.0;
/// Active features of a row that are provided for when scoring.
const ENTRIES_PER_ROW: f64 = 100.0;

/// What is to be done.
pub struct Job<'a> {
    pub config: &'a PlantedConfig,
    pub recipe: &'a Recipe,
    /// Features of a trained dictionary, F.
    pub width: usize,
    /// Dictionaries, each with a baseline; 0 where only the oracle is scored.
    pub lambdas: usize,
    /// Rows of scoring.
    pub truth_rows: usize,
    /// Are checkpoints kept? Then two are there at a time.
    pub kept: bool,
}

impl Job<'_> {
    fn rows(&self) -> u64 {
        if self.lambdas == 0 { 0 } else { self.recipe.steps * self.recipe.batch as u64 }
    }

    /// The job and its cost, for a person.
    pub fn describe(&self, cost: &Cost) -> String {
        let (n, recipe) = (self.lambdas, self.recipe);
        let what = match n {
            0 => "the oracle alone".into(),
            _ => format!(
                "{n} dictionaries of {} features and {n} baselines on {} rows = {} steps of {}, preset {}",
                count(self.width as u64),
                count(self.rows()),
                count(recipe.steps),
                count(recipe.batch as u64),
                recipe.preset
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
        let (d, m, width) = (config.d as f64, config.features as f64, job.width as f64);
        let (dictionaries, rows, truth_rows) =
            (2.0 * job.lambdas as f64, job.rows() as f64, job.truth_rows as f64);
        let trains = f64::from(u8::from(job.lambdas > 0));
        let drawing = 4.0 * m * d * d * config.orthogonal_steps as f64 / DRAWING_PER_SECOND;
        let per_row = m * config.correlation_rank as f64 * ROW_PER_LATENT;
        let work = rows * dictionaries * STEP_PER_PRODUCT * d * width + (rows + truth_rows) * per_row;
        let parameters = dictionaries * (2.0 * d + 4.0) * width;
        let pool = trains * (POOL_ROWS as f64 + batch) * d * 4.0;
        let entries = trains * batch * width / 2.0 * 24.0; // the first steps: half of all features are active
        let windows = rows / WINDOW as f64 * 12.0;
        let known = truth_rows * (2.0 * d * 4.0 + ENTRIES_PER_ROW * 8.0);
        let pairs = (4.0 * m * m).max(trains * 8.0 * m * width); // the matrix of an assignment, and its transpose
        let training = parameters * 8.0 + pool + entries + windows;
        Cost {
            seconds: drawing + work / speed(device),
            memory: m * d * 16.0 + training + known + pairs + 64.0 * 1024.0 * 1024.0,
            disk: parameters * if job.kept { 20.0 } else { 8.0 },
        }
    }

    /// Refuses what cannot fit, before anything is allocated. Where the machine does not say what it has, everything fits.
    pub fn check_memory(&self) -> anyhow::Result<()> {
        match machine_memory() {
            Some(there) if self.memory > there as f64 => bail!(
                "about {} of memory is needed, this machine has {}; choose --size everyday, a smaller --width, fewer \
                 --lambdas or fewer --truth-rows",
                bytes(self.memory as u64),
                bytes(there)
            ),
            _ => Ok(()),
        }
    }
}
