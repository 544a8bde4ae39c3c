//! λ found while training: the dictionary is asked for an L0, T, instead of a λ.
//!
//!   λ = λ₀ · min(1, s/S) · M · exp(I + P·e′)        e′ = e(L̄) + Q·(e(L0) − e(L̄)), at most 1 either way
//!   I ← I + G·(1 + K·s/steps)·e(L̄)                            once λ is warm, and within R of 0
//!
//! with e(x) = log(x/T), at most 1 either way; L̄ and m̄ are running means of L0 and of the squared error (as the loss counts rows) in units of E‖s‖², the latter
//! taken as .01 to 1 (where L0 is far above T there may be no error left, and λ must not vanish with it). S is the warm-up of λ, a fifth of the run at most. Ours. Why so:
//!
//! - θ integrates: Adam moves it by a step of lr while λ is above what a feature's use is worth, whatever by how much. An
//!   integral alone on top of that swings (it did: 82, 10, 68, 9). So the proportional part leads and the integral follows.
//! - Adam's first moment answers ten steps late. The newest L0 is that much ahead of its mean, or Q times that.
//! - Where λ counts features, what it must be for T falls all through a run, as the squared error does: at the optimum λ is what one
//!   more active feature takes off it, a share of m̄/T that is much the same for all sites. M = m̄ moves λ ahead of the integral.
//!   Where M falls faster than λ must, L0 stays above T for as long as that lasts; an integral that grows three times as fast
//!   towards the end (K = 2) catches up, and cannot make the early swings larger.
//! - Where λ weighs Σf (L1, gated), what it must be does not follow the error: it is a shrinkage of every active feature, .2 to .8/√T of a
//!   row at the end of every run that was looked at. There M = 1, since λ that falls with the error lets L0 rise, which lowers the
//!   error; and I stays within a factor of seven, since L0 is far below T until something has been learned.
//! - How fast L0 answers is how far Adam moves a unit row in a step, lr·√D at most a tenth: means and G are in units of it, so that
//!   a run of any length is as steady.

use crate::schedule::{progress, sparsity};
use crate::{DictionaryPlan, Objective, Recipe, Training};

/// P, G in units of how far a row moves, K, R, and whether M is m̄.
struct Gains {
    proportional: f64,
    integral: f64,
    growth: f64,
    reach: f64,
    by_error: bool,
}

/// Where λ counts active features. An L0 that a factor of 1,000 does not reach is not λ's to reach.
const COUNTED: Gains =
    Gains { proportional: 1.0, integral: 0.4, growth: 2.0, reach: 6.907_755_278_982_137, by_error: true };
/// Where λ weighs Σf.
const SUMMED: Gains = Gains { proportional: 0.3, integral: 1.5, growth: 0.0, reach: 2.0, by_error: false };

fn gains(plan: &DictionaryPlan) -> Gains {
    match plan.objective {
        Objective::L1 | Objective::Gated => SUMMED,
        Objective::JumpRelu { .. } | Objective::TopK { .. } | Objective::BatchTopK { .. } => COUNTED,
    }
}

/// m̄ counts as no less.
const LEAST_ERROR: f64 = 0.01;
/// Q
const LEAD: f64 = 3.0;
/// Weight of what is new in L̄ and m̄, in the same units.
const NEWS: f64 = 2.0;

/// How far Adam moves a row of unit norm in a step at most.
fn stride(plan: &DictionaryPlan, recipe: &Recipe) -> f64 {
    (recipe.lr * (plan.d as f64).sqrt()).min(0.1)
}

/// Steps of the warm-up of a λ that is looked for.
fn warmup(recipe: &Recipe) -> u64 {
    recipe.lambda_warmup.min(recipe.steps / 5)
}

/// e
fn excess(l0: f64, target: f64) -> f64 {
    (l0 / target).ln().clamp(-1.0, 1.0)
}

/// λ of step `step`.
pub(crate) fn lambda(training: &Training, plan: &DictionaryPlan, recipe: &Recipe, step: u64) -> f64 {
    let Some(target) = plan.target_l0 else { return sparsity(recipe, plan.lambda, step) };
    let running = &training.running;
    let ahead = running.l0.zip(running.last_l0).map_or(0.0, |(mean, last)| {
        let mean = excess(mean, target);
        (mean + LEAD * (excess(last, target) - mean)).clamp(-1.0, 1.0)
    });
    let Gains { proportional, reach, by_error, .. } = gains(plan);
    let moved = (running.log_lambda + proportional * ahead).clamp(-reach, reach);
    let error = running.mse.filter(|_| by_error).map_or(1.0, |mse| mse.clamp(LEAST_ERROR, 1.0));
    plan.lambda * progress(step, warmup(recipe)) * error * moved.exp()
}

/// λ at the end of a training.
pub fn last_lambda(training: &Training, plan: &DictionaryPlan, recipe: &Recipe) -> f64 {
    lambda(training, plan, recipe, recipe.steps)
}

/// Takes note of what a step saw, and moves λ for the next.
pub(crate) fn observe(
    training: &mut Training,
    plan: &DictionaryPlan,
    recipe: &Recipe,
    step: u64,
    (l0, mse): (f64, f64),
) {
    let Some(target) = plan.target_l0 else { return };
    let running = &mut training.running;
    let news = NEWS * stride(plan, recipe);
    let mean = |old: Option<f64>, new: f64| old.map_or(new, |old| old + news * (new - old));
    let mean_l0 = mean(running.l0, l0);
    (running.l0, running.mse, running.last_l0) = (Some(mean_l0), Some(mean(running.mse, mse)), Some(l0));
    if step >= warmup(recipe) {
        let Gains { integral, growth, reach, .. } = gains(plan);
        let integral = integral * (1.0 + growth * step as f64 / recipe.steps as f64);
        let moved = running.log_lambda + integral * stride(plan, recipe) * excess(mean_l0, target);
        running.log_lambda = moved.clamp(-reach, reach);
    }
}
