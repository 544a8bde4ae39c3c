//! A run's step as the formulas read: the schedule's rates, the dense twin of a step (`lapidary_objective::naive`), and λ found for
//! an L0 of T, which is ours. With u = min(0.1, lr·√D) and S = min(warm-up of λ, a fifth of the steps):
//!
//!   before a step    λ = λ₀ · min(1, s/S) · (m̄ within .01 and 1) · exp(I + e′)         e′ = 3·e(L0) − 2·e(L̄) within ± 1, the exponent within ± log 1,000
//!   after it         L̄ ← (1 − 2u)·L̄ + 2u·L0, m̄ likewise from ω‖ŝ − s‖²      the first step's as they are
//!                    I ← I + 0.4·u·e(L̄) within ± log 1,000 if s ≥ S           e(x) = log(x/T) within ± 1

use crate::schedule::sparsity;
use crate::{Batch, DictionaryPlan, Parameters, Recipe};
use lapidary_objective::naive::{self, Forward, State};

/// e
fn excess(l0: f64, target: f64) -> f64 {
    (l0 / target).ln().clamp(-1.0, 1.0)
}

/// A dictionary in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Twin {
    /// Its parameters and their moments.
    pub state: State,
    /// I
    pub integral: f64,
    /// L̄, m̄ and the last L0, from the first step on.
    pub means: Option<(f64, f64, f64)>,
}

impl Twin {
    /// Before the first step.
    pub fn new(parameters: &Parameters) -> Twin {
        Twin { state: State::new(parameters), integral: 0.0, means: None }
    }

    /// λ of a step.
    pub fn lambda(&self, plan: &DictionaryPlan, recipe: &Recipe, step: u64) -> f64 {
        let Some(target) = plan.target_l0 else { return sparsity(recipe, plan.lambda, step) };
        let s = recipe.lambda_warmup.min(recipe.steps / 5);
        let warm = if step < s { step as f64 / s as f64 } else { 1.0 };
        let (l0, mse, last) = self.means.unwrap_or((target, 1.0, target));
        let exponent =
            self.integral + (3.0 * excess(last, target) - 2.0 * excess(l0, target)).clamp(-1.0, 1.0);
        plan.lambda * warm * mse.clamp(0.01, 1.0) * exponent.exp().clamp(0.001, 1000.0)
    }

    /// One whole step. Returns what was seen before the update.
    pub fn step(&mut self, batch: Batch<'_>, plan: &DictionaryPlan, recipe: &Recipe, step: u64) -> Forward {
        let rates = recipe.rates(plan, step, self.lambda(plan, recipe, step));
        let seen = naive::step(&mut self.state, batch, plan, &rates);
        if !self.state.stopped {
            self.observe(plan, recipe, step, (seen.l0, seen.weighted_mse));
        }
        seen
    }

    /// After a step that saw this L0 and this ω‖ŝ − s‖².
    fn observe(&mut self, plan: &DictionaryPlan, recipe: &Recipe, step: u64, seen: (f64, f64)) {
        let Some(target) = plan.target_l0 else { return };
        let u = (recipe.lr * (plan.d as f64).sqrt()).min(0.1);
        let old = self.means.unwrap_or((seen.0, seen.1, seen.0));
        let l0 = (1.0 - 2.0 * u) * old.0 + 2.0 * u * seen.0;
        self.means = Some((l0, (1.0 - 2.0 * u) * old.1 + 2.0 * u * seen.1, seen.0));
        if step >= recipe.lambda_warmup.min(recipe.steps / 5) {
            let growth = 1.0 + 2.0 * step as f64 / recipe.steps as f64;
            let moved = self.integral + 0.4 * growth * u * excess(l0, target);
            self.integral = moved.clamp(-1000f64.ln(), 1000f64.ln());
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
        /// Whatever a run sees, the controller is its twin within rounding.
        #[test]
        fn the_controller_is_as_it_reads(
            target in 1.0f64..100.0, seen in prop::collection::vec((0.0f64..300.0, 0.0f64..3.0), 1..200), lr in 1e-4f64..1.0, lr_warmup in 0u64..50, lambda_warmup in 0u64..200,
        ) {
            let recipe = Recipe { lr, lr_warmup, lambda_warmup, ..Recipe::gemma_scope(seen.len() as u64) };
            let plan = DictionaryPlan { target_l0: Some(target), ..test_dictionary(2, 3) };
            let (mut training, mut twin) =
                (Training::new(Parameters::zeros(&plan), &plan, 0.0), Twin::new(&Parameters::zeros(&plan)));
            for (step, seen) in (0..).zip(seen) {
                let (found, expected) =
                    (controller::lambda(&training, &plan, &recipe, step), twin.lambda(&plan, &recipe, step));
                prop_assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1e-6), "{step}: {found} {expected}");
                controller::observe(&mut training, &plan, &recipe, step, seen);
                twin.observe(&plan, &recipe, step, seen);
            }
        }
    }
}
