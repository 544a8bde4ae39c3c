//! One training step: forward by blocks of features, then backward by the same blocks; where the features of a row or a
//! batch compete, all blocks are encoded first and the chosen entries are one block.

use crate::backward::{Backward, ByFeature};
use crate::blocks::{Kept, Limits, blocks};
use crate::forward::{Forward, Seen, encode};
use crate::objectives::matryoshka::Views;
use crate::objectives::{Gate, auxk, gate};
use crate::optimizer::Adam;
use crate::select::{Keep, Select};
use crate::workspace::Parts;
use crate::{Baseline, DictionaryPlan, Rates, Stopped, Training, Workspace, transcoder};
use lapidary_kernels::{Csr, Device, Strips};
use std::ops::Range;

/// Parts of a step, for whoever measures them. A step in several blocks reports the end of each part of each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The product x' W_encᵀ: normalising, screening, and encoding again what was not kept.
    Encode,
    /// ŝ, its error and what is logged.
    Decode,
    /// Entries by row become entries by feature.
    Transpose,
    /// Gradients by feature, and the update of each row; then b_dec and a skip.
    Features,
}

/// Trains `training` on the rows that `rows` has loaded for its plan. A loss that is not finite, or an error that no training comes back from, stops
/// the dictionary instead, with its parameters as they were. Returns what was seen, before the update. `phase` is told of the end of each part.
pub fn step(
    training: &mut Training,
    rows: &mut Workspace,
    plan: &DictionaryPlan,
    rates: &Rates,
    device: Device,
    phase: &mut dyn FnMut(Phase),
) -> Seen {
    step_within(training, rows, plan, rates, At { device, limits: Limits::USUAL }, phase)
}

/// Where a step runs.
#[derive(Clone, Copy)]
struct At {
    device: Device,
    limits: Limits,
}

/// A squared error so many times that of the rows themselves is no longer training.
const DIVERGED: f64 = 1e6;

impl Seen {
    /// Why the dictionary must be given up, if it must. An untrained dictionary may overshoot by F/2D, so that the limit
    /// grows with (F/D)².
    fn trouble(&self, rows: [&[f32]; 2], plan: &DictionaryPlan) -> Option<String> {
        let limit = DIVERGED * (plan.width as f64 / plan.d as f64).max(1.0).powi(2);
        let finite = |rows: &[f32]| rows.iter().all(|x| x.is_finite());
        match self.loss.is_finite() {
            true if self.mse <= limit => None,
            true => Some(format!("diverged, its squared error is {:.1e} times the rows' square", self.mse)),
            false if rows.into_iter().all(finite) => Some(format!("loss is {}", self.loss)),
            false => {
                Some(format!("loss is {}, because its rows hold numbers that are not finite", self.loss))
            }
        }
    }
}

/// The entries of a batch, by row.
struct Encoded {
    blocks: Vec<Range<usize>>,
    kept: Kept,
    /// z of the dead features that help [N, F].
    dead: Option<Csr>,
}

fn step_within(
    training: &mut Training,
    workspace: &mut Workspace,
    plan: &DictionaryPlan,
    rates: &Rates,
    at: At,
    phase: &mut dyn FnMut(Phase),
) -> Seen {
    let (device, step) = (at.device, rates.step);
    workspace.center(&training.parameters(), plan);
    let Parts { divided, target, input, inputs, error, gradients } = workspace.parts(plan);
    let rows = input.len() / plan.d;
    let dead = plan.objective.dead_rows().map(|limit| auxk::dead(training, step, rows, limit));
    let gate = gate(&training.parameters(), plan, rates, rows, dead.as_deref());
    let gate = gate.as_ref();
    let views = Views::new(plan);
    let mut forward = Forward::begin((target, input, error), &training.parameters(), plan, &views, device);
    let mut entries = match plan.objective.keep() {
        None => by_blocks(training, &mut forward, plan, gate, at, phase),
        Some(keep) => chosen(training, &mut forward, plan, gate, (keep, dead.as_deref()), at, phase),
    };
    let mut seen = forward.finish(plan.width);
    seen.lambda = rates.lambda;
    seen.loss += gate.row_penalty(&forward.l0, seen.l0);
    phase(Phase::Decode);
    if let Some(reason) = seen.trouble([divided, target], plan) {
        training.stopped = Some(Stopped { step, reason });
        return seen;
    }
    let backward = Backward {
        error: forward.error,
        input,
        inputs,
        rows,
        l0: &forward.l0,
        views: &views,
        gate,
        plan,
        rates,
        adam: &Adam::new(rates),
        device,
    };
    seen.loss += update(training, &backward, &mut entries, gradients, phase);
    seen
}

/// Forward, block by block.
fn by_blocks(
    training: &mut Training,
    forward: &mut Forward<'_>,
    plan: &DictionaryPlan,
    gate: &dyn Gate,
    at: At,
    phase: &mut dyn FnMut(Phase),
) -> Encoded {
    let expected = training.hints.entries.unwrap_or(forward.l0.len() * plan.width / 2);
    let blocks = blocks(plan.width, expected, at.limits);
    let mut kept = Kept::new(at.limits);
    let p = &training.parameters();
    for block in &blocks {
        let z = encode(forward.input, p, gate, block, plan.d, at.device);
        phase(Phase::Encode);
        forward.decode(block, &z, p, gate);
        kept.push(z);
        phase(Phase::Decode);
    }
    training.hints.entries = Some(kept.entries);
    Encoded { blocks, kept, dead: None }
}

/// Forward, where entries compete.
fn chosen(
    training: &mut Training,
    forward: &mut Forward<'_>,
    plan: &DictionaryPlan,
    gate: &dyn Gate,
    (keep, dead): (Keep, Option<&[bool]>),
    at: At,
    phase: &mut dyn FnMut(Phase),
) -> Encoded {
    let p = &training.parameters();
    let expected = training.hints.entries.unwrap_or(forward.l0.len() * plan.width / 2);
    let found = Select {
        input: forward.input,
        parameters: p,
        d: plan.d,
        keep,
        dead: dead.zip(plan.objective.aux().map(|aux| aux.k)),
        guess: training.hints.guess,
        blocks: &blocks(plan.width, expected, at.limits),
        device: at.device,
    }
    .run();
    phase(Phase::Encode);
    let whole = 0..plan.width;
    forward.decode(&whole, &found.main, p, gate);
    if let Some(dead) = &found.dead {
        forward.decode_dead(dead, p);
    }
    (training.hints.entries, training.hints.guess) = (Some(found.entries), found.guess);
    let mut kept = Kept::new(Limits { kept: usize::MAX, ..at.limits });
    kept.push(found.main);
    phase(Phase::Decode);
    Encoded { blocks: vec![whole], kept, dead: found.dead }
}

/// Backward, block by block. Returns the part of the loss's penalty that is a sum over features.
fn update(
    training: &mut Training,
    backward: &Backward<'_>,
    entries: &mut Encoded,
    gradients: &mut (Strips, Strips),
    phase: &mut dyn FnMut(Phase),
) -> f64 {
    let Backward { plan, gate, device, .. } = *backward;
    let mut b_dec_gradient = backward.decoder_bias_gradient();
    let mut penalty = 0.0;
    for (i, block) in entries.blocks.iter().enumerate() {
        let z = entries.kept.take(i).unwrap_or_else(|| {
            let z = encode(backward.input, &training.parameters(), gate, block, plan.d, device);
            phase(Phase::Encode);
            z
        });
        let by_feature = ByFeature { main: z.transpose(), dead: entries.dead.as_ref().map(Csr::transpose) };
        drop(z);
        phase(Phase::Transpose);
        backward.block(training, block, &by_feature, gradients, (&mut b_dec_gradient, &mut penalty));
        phase(Phase::Features);
    }
    if plan.baseline != Some(Baseline::Random) {
        transcoder::update_skip(training, backward);
        training.slots.b_dec.whole().step(&b_dec_gradient, backward.adam.every_step(), device);
    }
    phase(Phase::Features);
    penalty
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuxK, Batch, Objective, Parameters, default_prefixes};
    use proptest::prelude::*;

    /// Numbers in (−1, 1).
    fn noise(seed: u64, n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i as f64 * 0.7391 + seed as f64 * 1.37).sin() * 4_391.7).fract() as f32).collect()
    }

    /// All kinds of objectives, some with nested prefixes.
    fn objective(kind: usize, d: usize, width: usize) -> DictionaryPlan {
        let aux = Some(AuxK { alpha: 0.03, k: 3, dead_rows: 1 });
        let objectives = [
            Objective::GEMMA_SCOPE,
            Objective::gemma_scope_2(5.0),
            Objective::anthropic(d),
            Objective::L1,
            Objective::Gated,
            Objective::TopK { k: 3, aux },
            Objective::BatchTopK { k: 3, aux: None },
        ];
        let objective = objectives[kind % 7].clone();
        let prefixes = if kind < 7 { Vec::new() } else { default_prefixes(width) };
        DictionaryPlan { objective, prefixes, ..DictionaryPlan::test(d, width) }
    }

    /// Tied rows of norm 1, as a run begins.
    fn start(plan: &DictionaryPlan, seed: u64) -> Parameters {
        let mut p = Parameters::zeros(plan);
        p.w_dec = noise(seed + 77, plan.width * plan.d);
        for row in p.w_dec.chunks_exact_mut(plan.d) {
            let norm = row.iter().map(|w| w * w).sum::<f32>().sqrt();
            row.iter_mut().for_each(|w| *w /= norm);
        }
        p.w_enc.copy_from_slice(&p.w_dec);
        p.threshold.iter_mut().for_each(|theta| theta.fill(plan.theta_init));
        p
    }

    fn trained(plan: &DictionaryPlan, rows: usize, seed: u64, limits: Limits) -> (Training, Vec<f64>) {
        let mut training = Training::new(start(plan, seed), plan, 0.9);
        let (mut log, mut workspace) = (Vec::new(), Workspace::default());
        for step in 0..4 {
            workspace.load(Batch::from(noise(seed + step, rows * plan.d).as_slice()), plan);
            let at = At { device: Device::detect(), limits };
            let rates = Rates { step, lambda: plan.lambda * step as f64 / 2.0, ..Rates::test() };
            let seen = step_within(&mut training, &mut workspace, plan, &rates, at, &mut |_| ());
            log.extend([seen.loss, seen.mse, seen.l0, seen.window_share]);
        }
        (training, log)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Blocks of any size, kept or encoded again, give the bits of one block.
        #[test]
        fn blocks_change_no_bit(d in 1usize..40, width in 1usize..200, rows in 1usize..150, seed in 0u64..1000, kind in 0usize..14,
                                block in 0usize..3000, kept in prop::sample::select(vec![0, 700, usize::MAX])) {
            let plan = objective(kind, d, width);
            let (one, seen) = trained(&plan, rows, seed, Limits { block: usize::MAX, kept: usize::MAX });
            let (many, seen_too) = trained(&plan, rows, seed, Limits { block, kept });
            prop_assert!(one == many);
            prop_assert_eq!(seen, seen_too);
        }
    }
}
