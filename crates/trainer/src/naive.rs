//! A run's step as the formulas read: the schedule's rates, the dense twin of a step (`lapidary_objective::naive`), and λ found for
//! an L0 of T, which is ours:
//!
//!   L̄ ← 0.95·L̄ + 0.05·L0        log λ ← max(log λ + clamp(η·(log L̄ − log T), ±η), log(λ of the plan/1000))        η = 0.02
//!
//! between the warm-up (of λ where it takes a fifth of the run at most, else of the rate) and the last fifth of the run.

use crate::schedule::sparsity;
use crate::{Batch, DictionaryPlan, Parameters, Recipe};
use lapidary_objective::naive::{self, Forward, State};

/// η
const RATE: f64 = 0.02;

/// The steps after which λ rests: four fifths.
fn settles(recipe: &Recipe) -> u64 {
    recipe.steps - recipe.steps / 5
}

/// A dictionary in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Twin {
    /// Its parameters and their moments.
    pub state: State,
    /// log(λ/λ of the plan), moved by the controller.
    pub log_lambda: f64,
    /// The controller's running mean of L0.
    pub mean_l0: Option<f64>,
}

impl Twin {
    /// Before the first step.
    pub fn new(parameters: &Parameters) -> Twin {
        Twin { state: State::new(parameters), log_lambda: 0.0, mean_l0: None }
    }

    /// λ of a step: warmed up, but no further than where it rests.
    pub fn lambda(&self, plan: &DictionaryPlan, recipe: &Recipe, step: u64) -> f64 {
        let warmed = if plan.target_l0.is_some() { step.min(settles(recipe)) } else { step };
        sparsity(recipe, plan.lambda * self.log_lambda.exp(), warmed)
    }

    /// One whole step. Returns what was seen before the update.
    pub fn step(&mut self, batch: Batch<'_>, plan: &DictionaryPlan, recipe: &Recipe, step: u64) -> Forward {
        let rates = recipe.rates(step, self.lambda(plan, recipe, step));
        let seen = naive::step(&mut self.state, batch, plan, &rates);
        if !self.state.stopped {
            self.observe(plan, recipe, step, seen.l0);
        }
        seen
    }

    /// After a step that saw this L0.
    fn observe(&mut self, plan: &DictionaryPlan, recipe: &Recipe, step: u64, l0: f64) {
        let Some(target) = plan.target_l0 else { return };
        let mean = self.mean_l0.map_or(l0, |mean| 0.95 * mean + 0.05 * l0);
        self.mean_l0 = Some(mean);
        let early = recipe.lambda_warmup <= recipe.steps / 5;
        let begins = if early { recipe.lambda_warmup } else { recipe.lr_warmup };
        if begins <= step && step < settles(recipe) {
            let moved = (RATE * (mean / target).ln()).clamp(-RATE, RATE);
            self.log_lambda = (self.log_lambda + moved).max(-1000f64.ln());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::test_dictionary;
    use crate::{Training, controller};
    use proptest::prelude::*;

    proptest! {
        /// Whatever L0s a run sees, the controller is its twin within rounding.
        #[test]
        fn the_controller_is_as_it_reads(
            target in 1.0f64..100.0, l0s in prop::collection::vec(0.0f64..300.0, 1..200), lr_warmup in 0u64..50, lambda_warmup in 0u64..200,
        ) {
            let recipe = Recipe { lr_warmup, lambda_warmup, ..Recipe::gemma_scope(l0s.len() as u64) };
            let plan = DictionaryPlan { target_l0: Some(target), ..test_dictionary(2, 3) };
            let (mut training, mut twin) =
                (Training::new(Parameters::zeros(&plan), &plan, 0.0), Twin::new(&Parameters::zeros(&plan)));
            for (step, l0) in (0..).zip(l0s) {
                let (found, expected) =
                    (controller::lambda(&training, &plan, &recipe, step), twin.lambda(&plan, &recipe, step));
                prop_assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1e-6), "{step}: {found} {expected}");
                controller::observe(&mut training, &plan, &recipe, step, l0);
                twin.observe(&plan, &recipe, step, l0);
            }
        }
    }
}
