//! One step of a dictionary as its recipe says: rates of the schedule, λ of the controller.

use crate::{Batch, DictionaryPlan, Phase, Recipe, Seen, Training, Workspace, controller};
use lapidary_kernels::Device;

/// Trains `training` on a batch of raw rows, see [`lapidary_objective::step`]: step `step` of the run, counted from 0.
pub fn train_step(
    training: &mut Training,
    batch: Batch<'_>,
    plan: &DictionaryPlan,
    recipe: &Recipe,
    step: u64,
    device: Device,
    phase: &mut dyn FnMut(Phase),
) -> Seen {
    let mut rows = Workspace::default();
    rows.load(batch, plan);
    train_step_on(training, &mut rows, plan, recipe, step, device, phase)
}

/// The same on rows that are loaded for all dictionaries that read them alike.
pub fn train_step_on(
    training: &mut Training,
    rows: &mut Workspace,
    plan: &DictionaryPlan,
    recipe: &Recipe,
    step: u64,
    device: Device,
    phase: &mut dyn FnMut(Phase),
) -> Seen {
    let rates = recipe.rates(plan, step, controller::lambda(training, plan, recipe, step));
    let seen = lapidary_objective::step(training, rows, plan, &rates, device, phase);
    if training.stopped.is_none() {
        controller::observe(training, plan, recipe, step, (seen.l0, seen.weighted_mse));
    }
    seen
}
