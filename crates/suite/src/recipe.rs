//! The recipe of a run: the preset's numbers, with those that the suite sets by hand.

use crate::SuiteError;
use crate::error::invalid;
use crate::file::Suite;
use lapidary_trainer::{Preset, Recipe};

/// The preset's numbers for this many steps on rows of at most `d` dimensions, with the suite's overrides.
pub(crate) fn recipe(suite: &Suite, d: usize) -> Result<Recipe, SuiteError> {
    let of = |steps| match suite.preset() {
        Preset::GemmaScope => Recipe::gemma_scope(steps),
        Preset::Short => Recipe::short(steps, d),
        Preset::GemmaScope2 => Recipe::gemma_scope_2(steps),
        Preset::Anthropic => Recipe::anthropic(steps),
    };
    let set = &suite.recipe;
    let batch = set.batch.unwrap_or(of(1).batch);
    if batch == 0 {
        invalid!("[recipe] batch: expected at least 1 row, found 0; leave it out for the preset's");
    }
    if suite.tokens < batch as u64 {
        invalid!(
            "tokens: expected at least one batch of {batch} rows, found {}; raise `tokens`",
            suite.tokens
        );
    }
    let preset = of(suite.tokens / batch as u64);
    let recipe = Recipe {
        batch,
        lr: set.lr.unwrap_or(preset.lr),
        lr_decoder: set.lr_decoder.unwrap_or(preset.lr_decoder),
        lr_warmup: set.lr_warmup.unwrap_or(preset.lr_warmup),
        lr_decay: set.lr_decay.unwrap_or(preset.lr_decay),
        lambda_warmup: set.lambda_warmup.unwrap_or(preset.lambda_warmup),
        bandwidth: set.bandwidth.unwrap_or(preset.bandwidth),
        threshold: set.threshold.unwrap_or(preset.threshold),
        beta1: set.beta1.unwrap_or(preset.beta1),
        beta2: set.beta2.unwrap_or(preset.beta2),
        ..preset
    };
    check(&recipe, set.theta_init)?;
    Ok(recipe)
}

/// Refuses numbers that no training can follow, by name.
fn check(recipe: &Recipe, theta_init: Option<f32>) -> Result<(), SuiteError> {
    let positive = |x: f64| x.is_finite() && x > 0.0;
    let (bandwidth, theta_init) = (f64::from(recipe.bandwidth), f64::from(theta_init.unwrap_or(1.0)));
    let numbers = [
        ("lr", recipe.lr, positive(recipe.lr), "above 0"),
        ("lr_decoder", recipe.lr_decoder, positive(recipe.lr_decoder), "above 0"),
        ("bandwidth", bandwidth, positive(bandwidth), "above 0"),
        ("theta_init", theta_init, positive(theta_init), "above 0"),
        ("beta1", recipe.beta1, (0.0..1.0).contains(&recipe.beta1), "from 0 to below 1"),
        ("beta2", recipe.beta2, (0.0..1.0).contains(&recipe.beta2), "from 0 to below 1"),
    ];
    if let Some((name, found, _, range)) = numbers.into_iter().find(|(_, _, good, _)| !good) {
        invalid!("[recipe] {name}: expected a number {range}, found {found}; leave it out for the preset's");
    }
    if recipe.steps >= u64::from(u32::MAX) {
        let Recipe { steps, batch, .. } = recipe;
        invalid!("tokens: expected fewer than 2^32 steps of {batch} rows, found {steps}; lower `tokens`");
    }
    Ok(())
}
