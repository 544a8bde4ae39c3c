//! How long a training will take: some rows are made and some steps are taken, by the clock. What arithmetic alone says is good
//! enough for a run that is over in a minute, and all there is for one that does not fit into this machine.

use crate::machine;
use lapidary_kernels::Device;
use lapidary_suite::estimate::{Estimate, Pace};
use lapidary_suite::{Job, RunPlan};
use lapidary_trainer::made::Made;
use lapidary_trainer::{DictionaryPlan, Recipe, Threshold, Training, train_step};
use std::collections::BTreeMap;
use std::time::Instant;

/// Below this many seconds a guess will do.
const SOON: f64 = 60.0;
/// Seconds for which the language model is tried.
const TRIAL: f64 = 3.0;
/// Tokens of a trial of the language model, at most: those of one of its runs.
const MOST_TOKENS: f64 = 8_192.0;
/// Active features of a row where the plan does not say.
const L0: f64 = 50.0;

/// What the run will cost.
pub(super) fn estimate(job: &Job<'_>, plan: &RunPlan, device: Device) -> anyhow::Result<Estimate> {
    let guess = job.guess(plan, machine::speed(device));
    let guessed = job.estimate(plan, guess);
    let fits = machine::memory().is_none_or(|there| guessed.memory.total() <= there);
    if guessed.seconds < SOON || !fits {
        return Ok(guessed);
    }
    let twins = if plan.needs_random_lm() { 2.0 } else { 1.0 };
    let pace = Pace { row_s: twins * row_seconds(job)?, step_s: step_seconds(plan, device) };
    Ok(job.estimate(plan, pace))
}

/// Of the language model, a row.
fn row_seconds(job: &Job<'_>) -> anyhow::Result<f64> {
    let timed = |tokens: usize| -> anyhow::Result<f64> {
        let began = Instant::now();
        let rows = job.try_rows(tokens)?;
        Ok(rows.map_or(0.0, |rows| began.elapsed().as_secs_f64() / rows.max(1) as f64))
    };
    timed(1)?; // reads the weights
    let first = timed(1)?;
    if first == 0.0 {
        return Ok(0.0);
    }
    timed((TRIAL / first).min(MOST_TOKENS) as usize)
}

/// Of a step of every dictionary: one of each shape [F, D] is tried, as a JumpReLU SAE whatever its architecture is. That other
/// architectures choose or update more, and a transcoder's skip, is not in it.
fn step_seconds(plan: &RunPlan, device: Device) -> f64 {
    let mut shapes: BTreeMap<(usize, usize), (usize, &DictionaryPlan)> = BTreeMap::new();
    for d in &plan.training.dictionaries {
        shapes.entry((d.d, d.width)).or_insert((0, d)).0 += 1;
    }
    let recipe = &plan.training.recipe;
    shapes.values().map(|&(count, d)| count as f64 * shape_seconds(d, recipe, device)).sum()
}

/// One step as in the midst of a run, after one that does not count. The first steps of a run, in which more features fire, take
/// longer: a run of thirty steps took a quarter longer than was said.
fn shape_seconds(dictionary: &DictionaryPlan, recipe: &Recipe, device: Device) -> f64 {
    let plan = DictionaryPlan::new("trial", "trial", dictionary.d, dictionary.width);
    // θ is trained as it is, so that it may be 0; nothing moves.
    let recipe =
        Recipe { lr: 1e-9, lr_warmup: 0, lambda_warmup: 0, threshold: Threshold::Raw, ..recipe.clone() };
    let l0 = dictionary.target_l0.unwrap_or(L0).min(dictionary.width as f64 / 4.0);
    let made = Made::new(&plan, &recipe, 0, recipe.batch, l0, true);
    let mut training = Training::new(made.parameters, &plan, recipe.beta1);
    let mut step = |step| {
        let began = Instant::now();
        train_step(&mut training, made.x.as_slice().into(), &plan, &recipe, step, device, &mut |_| ());
        began.elapsed().as_secs_f64()
    };
    step(0);
    step(1)
}
