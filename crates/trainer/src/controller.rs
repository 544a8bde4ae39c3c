//! λ found while training: the dictionary is asked for an L0 instead of a λ.
//!
//!   log λ ← log λ + clamp(η·(log L̄ − log T), ±η)      L̄ ← 0.95·L̄ + 0.05·L0      η = 0.02
//!
//! after every step between the warm-up (of λ where that is over early, else of the rate) and the last fifth of the run,
//! where λ rests so that the parameters can settle. λ begins as the plan's, falls by a factor of 1,000 at most, and is
//! part of the state. Ours; not a calibration beforehand, because the λ that gives T at the end of a run is not the one
//! that gives it early.

use crate::schedule::sparsity;
use crate::{DictionaryPlan, Recipe, Training};

/// η: the most that log λ moves in a step.
const RATE: f64 = 0.02;
/// The most that log λ falls in a run, a factor of 1,000: an L0 that this does not reach is not λ's to reach.
const REACH: f64 = 6.907_755_278_982_137;
/// Weight of the past in L̄.
const MEMORY: f64 = 0.95;

/// Steps after which λ rests.
fn settles(recipe: &Recipe) -> u64 {
    recipe.steps - recipe.steps / 5
}

/// λ of step `step`. What a controller finds rests at the end even where the warm-up of λ is as long as the run.
pub(crate) fn lambda(training: &Training, plan: &DictionaryPlan, recipe: &Recipe, step: u64) -> f64 {
    let warmed = plan.target_l0.map_or(step, |_| step.min(settles(recipe)));
    sparsity(recipe, plan.lambda * training.running.log_lambda.exp(), warmed)
}

/// Takes note of the L0 of a step, and moves λ for the next.
pub(crate) fn observe(training: &mut Training, plan: &DictionaryPlan, recipe: &Recipe, step: u64, l0: f64) {
    let Some(target) = plan.target_l0 else { return };
    let running = &mut training.running;
    let mean = running.l0.map_or(l0, |mean| MEMORY * mean + (1.0 - MEMORY) * l0);
    running.l0 = Some(mean);
    let early = recipe.lambda_warmup <= recipe.steps / 5;
    let begins = if early { recipe.lambda_warmup } else { recipe.lr_warmup };
    if (begins..settles(recipe)).contains(&step) {
        let moved = running.log_lambda + (RATE * (mean.ln() - target.ln())).clamp(-RATE, RATE);
        running.log_lambda = moved.max(-REACH);
    }
}
