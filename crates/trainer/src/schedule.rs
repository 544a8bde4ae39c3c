//! Rates over the steps, counted from 0 (docs/numerics.md §3).
//!
//!   lr(s) = lr·(0.1 + 0.45·(1 − cos(π·min(1, s/S))))        S = `lr_warmup`: cosine from 0.1·lr to lr
//!   λ(s)  = λ·min(1, s/S_λ)                                  S_λ = `lambda_warmup`: linear from 0
//!
//! Preset `short` adds what a short run needs and the paper's 10⁶ steps do not: a linear decay of the learning rate to 0
//! over the last `lr_decay` steps.

use crate::{DictionaryPlan, Rates, Recipe};

/// s/S, at most 1; a warm-up of no steps is over at once.
pub(crate) fn progress(step: u64, steps: u64) -> f64 {
    if steps == 0 { 1.0 } else { (step as f64 / steps as f64).min(1.0) }
}

/// Learning rate of step `s`.
pub(crate) fn learning_rate(recipe: &Recipe, s: u64) -> f64 {
    let warm = 0.1 + 0.45 * (1.0 - (std::f64::consts::PI * progress(s, recipe.lr_warmup)).cos());
    let decay = progress(recipe.steps.saturating_sub(s), recipe.lr_decay);
    recipe.lr * warm * decay
}

/// Sparsity coefficient of step `s`.
pub(crate) fn sparsity(recipe: &Recipe, lambda: f64, s: u64) -> f64 {
    lambda * progress(s, recipe.lambda_warmup)
}

impl Recipe {
    /// The numbers of step `step` of a dictionary, in which λ is `lambda`.
    pub fn rates(&self, plan: &DictionaryPlan, step: u64, lambda: f64) -> Rates {
        let Recipe { lr_decoder, threshold, beta1, beta2, adam_epsilon, .. } = *self;
        let bandwidth = plan.bandwidth.unwrap_or(self.bandwidth);
        let lr = learning_rate(self, step);
        Rates { step, lr, lr_decoder, lambda, bandwidth, threshold, beta1, beta2, adam_epsilon }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gemma_scope_values_by_hand() {
        let recipe = Recipe::gemma_scope(1_000_000);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12 * b.abs().max(1e-9), "{a} {b}");
        close(learning_rate(&recipe, 0), 7e-6);
        close(learning_rate(&recipe, 500), 7e-5 * 0.55);
        close(learning_rate(&recipe, 1_000), 7e-5);
        close(learning_rate(&recipe, 999_999), 7e-5);
        close(sparsity(&recipe, 4e-4, 0), 0.0);
        close(sparsity(&recipe, 4e-4, 2_500), 1e-4);
        close(sparsity(&recipe, 4e-4, 20_000), 4e-4);
    }

    #[test]
    fn short_runs_end_at_rest() {
        let recipe = Recipe::short(1_000, 64);
        assert!(learning_rate(&recipe, 999) < 0.02 * recipe.lr);
        assert!(learning_rate(&recipe, 500) == recipe.lr);
    }
}
