//! What is found when the last step is done: θ of BatchTopK, on the rows of the last batches (`lapidary_objective::batchtopk`).

use crate::{Batch, DictionaryPlan, Objective, Plan, TrainError, Training};
use lapidary_kernels::Device;
use lapidary_objective::batchtopk::{Largest, fitted_on};
use lapidary_store::{Batches, RowSource};
use std::ops::Range;

/// A threshold that is being fitted.
struct Fit {
    /// Number of the dictionary.
    dictionary: usize,
    batches: Range<u64>,
    largest: Largest,
}

/// Fits θ of every dictionary of the plan that needs one and was not given up. `inputs` are the rows that each reads, among
/// the source's sites.
pub(crate) fn thresholds<S: RowSource>(
    plan: &Plan,
    inputs: &[usize],
    batches: &mut Batches<S>,
    state: &mut [Training],
    device: Device,
) -> Result<(), TrainError> {
    let mut fits = fits(plan, state);
    let first = fits.iter().map(|fit| fit.batches.start).min().unwrap_or(0);
    let end = fits.iter().map(|fit| fit.batches.end).max().unwrap_or(0);
    batches.seek(first);
    for s in first..end {
        let batch = batches.next().map_err(TrainError::Source)?;
        for fit in fits.iter_mut().filter(|fit| fit.batches.contains(&s)) {
            let rows = batch[inputs[fit.dictionary]].as_slice();
            let (training, d) = (&state[fit.dictionary], &plan.dictionaries[fit.dictionary]);
            fit.largest.offer_batch(&training.parameters(), d, Batch::from(rows), device);
        }
    }
    for fit in fits {
        state[fit.dictionary].running.threshold = Some(f64::from(fit.largest.least()));
    }
    Ok(())
}

fn fits(plan: &Plan, state: &[Training]) -> Vec<Fit> {
    let recipe = &plan.recipe;
    let fit = |(dictionary, (d, t)): (usize, (&DictionaryPlan, &Training))| match d.objective {
        Objective::BatchTopK { k, .. } if t.stopped.is_none() => {
            let batches = fitted_on(k, recipe.batch, recipe.steps);
            let rows = (batches.end - batches.start) as usize * recipe.batch;
            Some(Fit { dictionary, batches, largest: Largest::new(k * rows + 1) })
        }
        _ => None,
    };
    plan.dictionaries.iter().zip(state).enumerate().filter_map(fit).collect()
}
