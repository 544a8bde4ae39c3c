//! One training step: forward by blocks of features, then backward by the same blocks.

use crate::backward::Backward;
use crate::blocks::{Kept, Limits, blocks};
use crate::forward::{Batch, Edges, Forward, Seen, encode};
use crate::optimizer::Adam;
use crate::schedule::sparsity;
use crate::{DictionaryPlan, Health, Recipe, Stopped, Training};
use lapidary_kernels::Device;
use rayon::prelude::*;

/// Parts of a step, for whoever measures them. A step in several blocks reports the end of each part of each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The product x' W_encᵀ: normalising, screening, and encoding again what was not kept.
    Encode,
    /// ŝ, its error and what is logged.
    Decode,
    /// Entries by row become entries by feature.
    Transpose,
    /// Gradients by feature, and the update of each row.
    Features,
}

/// Trains `training` on a batch of raw rows. A loss that is not finite stops the dictionary instead, with its parameters
/// as they were. Returns what was seen, before the update. `phase` is told of the end of each part.
pub fn train_step(
    training: &mut Training,
    batch: Batch<'_>,
    plan: &DictionaryPlan,
    recipe: &Recipe,
    step: u64,
    device: Device,
    phase: &mut dyn FnMut(Phase),
) -> Seen {
    let clock = Clock { step, device, limits: Limits::USUAL };
    step_within(training, batch, plan, recipe, clock, phase)
}

/// When and where a step runs.
#[derive(Clone, Copy)]
struct Clock {
    step: u64,
    device: Device,
    limits: Limits,
}

fn step_within(
    training: &mut Training,
    batch: Batch<'_>,
    plan: &DictionaryPlan,
    recipe: &Recipe,
    clock: Clock,
    phase: &mut dyn FnMut(Phase),
) -> Seen {
    let Clock { step, device, limits } = clock;
    let rows = batch.input.len() / plan.d;
    let expected = training.entries.unwrap_or(rows * plan.width / 2);
    let blocks = blocks(plan.width, expected, limits);
    let edges = Edges::new(&training.parameters, recipe);
    let mut forward = Forward::begin(batch.input, &training.parameters, &edges, plan, device);
    let mut kept = Kept::new(limits);
    for block in &blocks {
        let z = encode(&forward.input, &training.parameters, &edges, block, device);
        phase(Phase::Encode);
        forward.decode(block, &z);
        kept.push(z);
        phase(Phase::Decode);
    }
    let seen = forward.finish(plan.width);
    let (input, mut error) = (forward.input, forward.error);
    phase(Phase::Decode);
    training.entries = Some(kept.entries);
    if !seen.mse.is_finite() {
        training.stopped = Some(Stopped { step, reason: format!("loss is {}", seen.mse) });
        return seen;
    }
    let scale = 2.0 / rows as f32;
    error.par_iter_mut().with_min_len(1 << 14).for_each(|e| *e *= scale);
    let adam = Adam::new(recipe, step);
    let lambda = sparsity(recipe, plan.lambda, step);
    let backward = Backward {
        error: &error,
        input: &input,
        rows,
        edges: &edges,
        plan,
        recipe,
        adam: &adam,
        device,
        lambda,
    };
    let mut b_dec_gradient = backward.decoder_bias_gradient();
    for (i, block) in blocks.iter().enumerate() {
        let z = kept.take(i).unwrap_or_else(|| {
            let z = encode(&input, &training.parameters, &edges, block, device);
            phase(Phase::Encode);
            z
        });
        let by_feature = z.transpose();
        drop(z);
        phase(Phase::Transpose);
        backward.block(training, block, &by_feature, &mut b_dec_gradient);
        phase(Phase::Features);
    }
    let Training { parameters, moments, .. } = training;
    device.adam(&mut parameters.b_dec, &b_dec_gradient, &mut moments.b_dec, adam.every_step());
    seen
}

/// The health of a step from what it saw, for the log.
pub(crate) fn health(
    training: &Training,
    seen: &Seen,
    plan: &DictionaryPlan,
    recipe: &Recipe,
    step: u64,
) -> Health {
    Health::measure(training, seen, plan, recipe, step, sparsity(recipe, plan.lambda, step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initial_parameters;
    use proptest::prelude::*;

    /// Numbers in (−1, 1).
    fn noise(seed: u64, n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i as f64 * 0.7391 + seed as f64 * 1.37).sin() * 4_391.7).fract() as f32).collect()
    }

    fn trained(d: usize, width: usize, rows: usize, seed: u64, limits: Limits) -> (Training, Vec<f64>) {
        let plan = DictionaryPlan {
            name: "a".into(),
            site: "0.res".into(),
            d,
            width,
            lambda: 0.01,
            c: 1.5,
            theta_init: 0.02,
            baseline: None,
        };
        let recipe = Recipe { batch: rows, lambda_warmup: 2, ..Recipe::short(50) };
        let mut training = Training::new(initial_parameters(&plan, &recipe, seed));
        let mut log = Vec::new();
        for step in 0..4 {
            let x = noise(seed + step, rows * d);
            let clock = Clock { step, device: Device::detect(), limits };
            let seen =
                step_within(&mut training, Batch::from(x.as_slice()), &plan, &recipe, clock, &mut |_| ());
            log.extend([seen.mse, seen.l0, seen.window_share]);
        }
        (training, log)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Blocks of any size, kept or encoded again, give the bits of one block.
        #[test]
        fn blocks_change_no_bit(d in 1usize..40, width in 1usize..200, rows in 1usize..150, seed in 0u64..1000,
                                block in 0usize..3000, kept in prop::sample::select(vec![0, 700, usize::MAX])) {
            let (one, seen) = trained(d, width, rows, seed, Limits { block: usize::MAX, kept: usize::MAX });
            let (many, seen_too) = trained(d, width, rows, seed, Limits { block, kept });
            prop_assert!(one == many);
            prop_assert_eq!(seen, seen_too);
        }
    }
}
