//! Is training healthy? One line per dictionary and logged step, from what the step saw anyway.

use crate::{DictionaryPlan, Recipe, Seen, Stopped, Training};
use lapidary_objective::row_weights;
use serde::{Deserialize, Serialize};

/// A feature is dead in training when it has not fired for this many rows, or a fifth of a shorter run's (docs/numerics.md §4).
const DEAD_AFTER_ROWS: u64 = 1_000_000;

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The step, counted from 0; all numbers are from before its update.
    pub step: u64,
    /// Which dictionary.
    pub dictionary: String,
    /// The whole loss (with the penalty), in units of E‖x‖².
    pub loss: f64,
    /// Mean of ‖x̂ − x‖², in units of E‖x‖².
    pub mse: f64,
    /// Mean number of active features of a row.
    pub l0: f64,
    /// Fraction of variance unexplained, over the batch, rows counted as the loss counts them.
    pub fvu: f64,
    /// λ of this step.
    pub lambda: f64,
    /// Share of all pre-activations inside the straight-through window. Near 0: λ and θ have no effect on each other.
    pub window_share: f64,
    /// Mean of |θ − θ₀|, in units of √E‖x‖²; 0 where there is no θ.
    pub theta_travel: f64,
    /// Features without firing in the last 10⁶ rows, or in a fifth of a run of fewer than five times as many.
    pub dead: usize,
}

/// The last line of a dictionary that was given up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct GivenUp<'a> {
    pub step: u64,
    pub dictionary: &'a str,
    /// Why.
    pub stopped: &'a str,
}

/// Gives up a dictionary whose last step, `step`, left parameters that are not finite.
pub(crate) fn check_last(training: &mut Training, step: u64) {
    // θ = +∞ switches a feature off.
    let usable = |name: &str, x: f32| x.is_finite() || (name == "threshold" && x == f32::INFINITY);
    let bad = training.slots.tensors().find(|(name, _, slot)| slot.p.iter().any(|&x| !usable(name, x)));
    if let (Some((name, ..)), None) = (bad, &training.stopped) {
        training.stopped =
            Some(Stopped { step, reason: format!("{name} holds numbers that are not finite") });
    }
}

impl Health {
    /// `target` is s [N, D_out] of the step.
    pub(crate) fn measure(
        training: &Training,
        seen: &Seen,
        target: &[f32],
        plan: &DictionaryPlan,
        recipe: &Recipe,
        step: u64,
    ) -> Health {
        let theta = training.slots.theta(recipe.threshold).unwrap_or_default();
        let b_dec = &training.slots.b_dec.p;
        let weights = plan.row_cap.map_or(Vec::new(), |cap| row_weights(target, b_dec, cap));
        let travel = theta.iter().map(|&t| f64::from((t - plan.theta_init).abs())).sum::<f64>();
        Health {
            step,
            dictionary: plan.name.clone(),
            loss: seen.loss,
            mse: seen.mse,
            l0: seen.l0,
            fvu: seen.weighted_mse / variance(target, &weights, plan.d_out()),
            lambda: seen.lambda,
            window_share: seen.window_share,
            theta_travel: travel / theta.len().max(1) as f64,
            dead: dead(training, recipe, step),
        }
    }
}

/// (Σω‖s‖² − ‖Σωs‖²/Σω) / N over the rows of `s` [N, D], with `weights` ω [N] or none.
fn variance(s: &[f32], weights: &[f32], d: usize) -> f64 {
    let n = s.len() / d;
    let weight = |n: usize| weights.get(n).map_or(1.0, |&weight| f64::from(weight));
    let mut sum = vec![0.0f64; d];
    let (mut squares, mut whole) = (0.0, 0.0);
    for (row, weight) in s.chunks_exact(d).zip((0..n).map(weight)) {
        whole += weight;
        for (sum, &x) in sum.iter_mut().zip(row) {
            *sum += weight * f64::from(x);
            squares += weight * f64::from(x) * f64::from(x);
        }
    }
    (squares - sum.iter().map(|s| s * s).sum::<f64>() / whole) / n as f64
}

/// Features that have not been active for too long.
fn dead(training: &Training, recipe: &Recipe, step: u64) -> usize {
    let rows_since = |stamp: u32| (step + 1 - u64::from(stamp)) * recipe.batch as u64;
    let after = DEAD_AFTER_ROWS.min((recipe.steps / 5).max(1) * recipe.batch as u64);
    training.fired().iter().filter(|&&stamp| rows_since(stamp) >= after).count()
}
