//! Bytes that training takes, beside the constants that decide: of a dictionary, of a step, of saving. `tests/memory.rs` compares them
//! with the peak of a process. Numbers are f64, so that absurd sizes are large instead of wrapping round.

use crate::backward::{SHARED, TOGETHER};
use crate::blocks::Limits;
use crate::objectives::matryoshka::Second;
use crate::tiles::DENSE;
use crate::{DictionaryPlan, Objective};
use lapidary_kernels::{STRIP, copy_bytes};

/// Bytes of an f32 or of an index.
const NUMBER: f64 = 4.0;
/// Of an entry by row: its column and its value.
const ENTRY: f64 = 2.0 * NUMBER;

/// How many numbers are trained: W_enc, W_dec, b_dec, W_skip, and up to four per feature.
pub fn parameters(plan: &DictionaryPlan) -> f64 {
    let (d, d_out, f) = (plan.d as f64, plan.d_out() as f64, plan.width as f64);
    let of_feature = match plan.objective {
        Objective::Gated => 3.0,
        Objective::JumpRelu { .. } => 2.0,
        Objective::L1 | Objective::TopK { .. } | Objective::BatchTopK { .. } => 1.0,
    };
    let skip = if has_skip(plan) { d * d_out } else { 0.0 };
    f * (d + d_out + of_feature) + d_out + skip
}

fn has_skip(plan: &DictionaryPlan) -> bool {
    plan.transcoder.as_ref().is_some_and(|t| t.skip)
}

/// Numbers that training keeps for each parameter, itself included: its second moment, and its first where β₁ > 0.
pub fn numbers_per_parameter(beta1: f64) -> f64 {
    if beta1 > 0.0 { 3.0 } else { 2.0 }
}

/// Bytes of one dictionary in training: tensors, moments, and up to three stamps per feature.
pub fn dictionary(plan: &DictionaryPlan, beta1: f64) -> f64 {
    let stamps = if plan.objective.moves_silent_features() { 3.0 } else { 2.0 };
    NUMBER * (numbers_per_parameter(beta1) * parameters(plan) + stamps * plan.width as f64)
}

/// Bytes of a dictionary's copy in raw units, and of its encoder once more, transposed, while it is saved.
pub fn saving(plan: &DictionaryPlan) -> f64 {
    NUMBER * (parameters(plan) + plan.d as f64 * plan.width as f64)
}

/// Bytes that a step of `n` rows adds: what stays from its beginning to its end, and the largest of its parts. `l0` are the entries
/// of a row that the encoder keeps: active features and those in a window; of a top-k objective those above its guess. In the first
/// steps that is half of all features.
pub fn step(plan: &DictionaryPlan, n: usize, l0: f64) -> f64 {
    let rows = n as f64;
    let entries = Entries::new(rows * l0);
    let forward = match plan.objective {
        Objective::TopK { .. } | Objective::BatchTopK { .. } => entries.chosen(plan),
        Objective::JumpRelu { .. } | Objective::L1 | Objective::Gated => entries.forward(plan),
    };
    let parts = [forward, backward(plan, rows, &entries), skip(plan, rows)];
    workspace(plan, rows, l0) + parts.into_iter().fold(0.0, f64::max)
}

/// Columns as strips have them.
fn strips(d: usize) -> f64 {
    (d as f64 / STRIP as f64).ceil() * STRIP as f64
}

/// The rows (`workspace.rs`), and gradients of the features that are taken together.
fn workspace(plan: &DictionaryPlan, n: f64, l0: f64) -> f64 {
    let (d, d_out, f) = (plan.d as f64, plan.d_out() as f64, plan.width as f64);
    let own = if plan.has_pre_bias() { d } else { d_out };
    let views = plan.prefixes.len().max(1) + usize::from(Second::of(plan).is_some());
    let rows = n * (d + own + strips(plan.d) + views as f64 * strips(plan.d_out()));
    let together = (SHARED as f64 * f / l0).clamp(TOGETHER.start as f64, TOGETHER.end as f64).min(f);
    NUMBER * (rows + together * (strips(plan.d) + strips(plan.d_out())))
}

/// How many entries there are.
struct Entries {
    all: f64,
    /// Of one block of features.
    block: f64,
}

impl Entries {
    fn new(all: f64) -> Entries {
        Entries { all, block: all.min(Limits::USUAL.block as f64) }
    }

    /// At the last block, when those before it are kept as far as there is room: z comes in parts that are joined, beside the copy
    /// of W_enc; then it is sorted by row, and the terms of its sums are copied. A gated feature is in two sums.
    fn forward(&self, plan: &DictionaryPlan) -> f64 {
        let kept = (self.all - self.block).min(Limits::USUAL.kept as f64);
        let times = if plan.objective == Objective::Gated { 4.0 } else { 3.0 };
        let encode = ENTRY * 2.0 * self.block + copy_bytes(plan.width, plan.d);
        ENTRY * kept + encode.max(ENTRY * times * self.block)
    }

    /// Where entries compete, the candidates of a block are listed with row and feature, and the lists stay that large; the parts of
    /// the next block come beside them.
    fn chosen(&self, plan: &DictionaryPlan) -> f64 {
        (3.0 * NUMBER + 2.0 * ENTRY) * self.block + copy_bytes(plan.width, plan.d)
    }
}

/// At the first block: what is kept, and a block by row and by feature; or, with ∂L/∂f of every entry, where over 2/5 of all dots
/// are asked for, two copies of the errors.
fn backward(plan: &DictionaryPlan, n: f64, entries: &Entries) -> f64 {
    let (of, block) = match plan.objective {
        Objective::TopK { k, aux } | Objective::BatchTopK { k, aux } => {
            (n * k as f64, n * (k + aux.map_or(0, |aux| aux.k)) as f64)
        }
        _ => (entries.all, entries.block),
    };
    let kept = (of - block).clamp(0.0, Limits::USUAL.kept as f64);
    let (dense, all) = DENSE;
    let is_dense = of * all as f64 > dense as f64 * n * plan.width as f64;
    let errors = if is_dense { 2.0 * NUMBER * n * plan.d_out() as f64 } else { 0.0 };
    ENTRY * kept + (2.0 * ENTRY * block).max((ENTRY + NUMBER) * block + errors)
}

/// The errors by column, and the gradient of W_skip.
fn skip(plan: &DictionaryPlan, n: f64) -> f64 {
    if has_skip(plan) { NUMBER * plan.d_out() as f64 * (2.0 * n + strips(plan.d)) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuxK, Parameters, Training, Transcoder};

    /// Counted in what training holds.
    #[test]
    fn a_dictionary_has_the_bytes_of_its_numbers() {
        let transcoder = Transcoder { output: "0.mlp".into(), d_out: 5, c_out: 1.0, skip: true };
        let aux = Some(AuxK::new(6, 100));
        for objective in
            [Objective::GEMMA_SCOPE, Objective::L1, Objective::Gated, Objective::TopK { k: 2, aux }]
        {
            for (transcoder, beta1) in [(None, 0.9), (Some(transcoder.clone()), 0.0)] {
                let plan = DictionaryPlan {
                    objective: objective.clone(),
                    transcoder,
                    ..DictionaryPlan::test(6, 30)
                };
                let training = Training::new(Parameters::zeros(&plan), &plan, beta1);
                let slots = training.slots.tensors();
                let numbers: usize =
                    slots.map(|(_, _, s)| s.p.len() + s.v.len() + s.m.as_ref().map_or(0, Vec::len)).sum();
                let stamps = [
                    Some(&training.active_stamp),
                    Some(&training.window_stamp),
                    training.fired_stamp.as_ref(),
                ];
                let stamps: usize = stamps.into_iter().flatten().map(Vec::len).sum();
                assert_eq!(dictionary(&plan, beta1), 4.0 * (numbers + stamps) as f64, "{plan:?}");
            }
        }
    }

    /// Half of 131,072 features in each of 4,096 rows would be 2 GiB of entries; a quarter of them is kept.
    #[test]
    fn a_dense_step_is_bounded() {
        const GIB: f64 = (1u64 << 30) as f64;
        let plan = DictionaryPlan::test(2_304, 131_072);
        assert!(dictionary(&plan, 0.0) + step(&plan, 4_096, 65_536.0) < 6.0 * GIB);
        assert!(step(&plan, 4_096, 70.0) < 0.5 * GIB);
    }

    /// Numbers that no machine has do not wrap round to small ones.
    #[test]
    fn absurd_sizes_are_large() {
        let plan = DictionaryPlan::test(9_000_000_000, 9_000_000_000_000_000_000);
        assert!(dictionary(&plan, 0.0) > 1e28 && step(&plan, 1, 1e18) > 1e10);
    }
}
