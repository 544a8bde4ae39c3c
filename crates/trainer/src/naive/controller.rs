//! λ found for an L0 of T. Ours.
//!
//!   L̄ ← 0.95·L̄ + 0.05·L0        log λ ← max(log λ + clamp(η·(log L̄ − log T), ±η), log(λ of the plan/1000))        η = 0.02
//!
//! between the warm-up (of λ where it takes a fifth of the run at most, else of the rate) and the last fifth of the run.

use super::State;
use crate::schedule::sparsity;
use crate::{DictionaryPlan, Recipe};

/// η
const RATE: f64 = 0.02;

/// The steps after which λ rests: four fifths.
fn settles(recipe: &Recipe) -> u64 {
    recipe.steps - recipe.steps / 5
}

/// λ of a step: warmed up, but no further than where it rests.
pub(super) fn lambda(log_lambda: f64, plan: &DictionaryPlan, recipe: &Recipe, step: u64) -> f64 {
    let warmed = if plan.target_l0.is_some() { step.min(settles(recipe)) } else { step };
    sparsity(recipe, plan.lambda * log_lambda.exp(), warmed)
}

/// After a step that saw this L0.
pub(super) fn observe(state: &mut State, plan: &DictionaryPlan, recipe: &Recipe, step: u64, l0: f64) {
    let Some(target) = plan.target_l0 else { return };
    let mean = state.mean_l0.map_or(l0, |mean| 0.95 * mean + 0.05 * l0);
    state.mean_l0 = Some(mean);
    let early = recipe.lambda_warmup <= recipe.steps / 5;
    let begins = if early { recipe.lambda_warmup } else { recipe.lr_warmup };
    if begins <= step && step < settles(recipe) {
        let moved = (RATE * (mean / target).ln()).clamp(-RATE, RATE);
        state.log_lambda = (state.log_lambda + moved).max(-1000f64.ln());
    }
}
