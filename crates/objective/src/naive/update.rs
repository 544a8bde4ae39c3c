//! From gradients to parameters (Gemma Scope, arXiv 2408.05147 §3.2; Adam: Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).
//!
//!   g_dec ← g_dec − ⟨g_dec, w⟩·w            the part along a decoder row w of norm 1 is removed
//!   m ← β₁·m + (1 − β₁)·g        v ← β₂·v + (1 − β₂)·g²        in every step, with or without a gradient
//!   p ← p − lr·m/(1 − β₁^t) / (√(v/(1 − β₂^t)) + ε)            where there is a gradient; t counts steps from 1
//!   θ ← max(θ, 0)                           where θ itself is the parameter
//!   w ← w/‖w‖                               decoder rows that moved
//!
//! A feature without gradient rests (docs/numerics.md §3): with β₁ = 0 that is Adam itself. What a baseline freezes has no update at all:
//! frozen decoder: W_dec; frozen encoder: W_enc, b_enc; random: everything. W_dec's rate is `lr_decoder` times the others'.

use super::{Gradients, Matrix, State, matrix::dot};
use crate::{Baseline, DictionaryPlan, Rates, Threshold};

/// Is this tensor trained?
fn trained(name: &str, baseline: Option<Baseline>) -> bool {
    match baseline {
        Some(Baseline::FrozenDecoder) => name != "w_dec",
        Some(Baseline::FrozenEncoder) => name != "w_enc" && name != "b_enc",
        Some(Baseline::Random) => false,
        Some(Baseline::RandomLm) | None => true,
    }
}

/// One update of everything.
pub(super) fn update(state: &mut State, gradients: &Gradients, plan: &DictionaryPlan, rates: &Rates) {
    let mut of = gradients.of.clone();
    of.w_dec = projected(&of.w_dec, &state.p.w_dec);
    let tensors = state.p.tensors_mut().into_iter().zip(of.tensors_mut());
    let moments = state.m.tensors_mut().into_iter().zip(state.v.tensors_mut());
    for (((name, p), (_, g)), ((_, m), (_, v))) in tensors.zip(moments) {
        if !trained(name, plan.baseline) {
            continue;
        }
        let lr = rates.lr * if name == "w_dec" { rates.lr_decoder } else { 1.0 };
        for (i, j) in p.places() {
            let moves = match name {
                "b_dec" | "w_skip" => true,
                "threshold" => gradients.window[i],
                _ => gradients.active[i],
            };
            let at = (i, j);
            let change = adam(&mut m[at], &mut v[at], g[at], rates);
            p[at] -= if moves { lr * change } else { 0.0 };
        }
    }
    if rates.threshold == Threshold::Raw && trained("threshold", plan.baseline) {
        let clamped = |j: usize, theta: f64| if gradients.window[j] { theta.max(0.0) } else { theta };
        state.p.threshold = state.p.threshold.map(|j, _, theta| clamped(j, theta));
    }
    if trained("w_dec", plan.baseline) {
        state.p.w_dec = renormalised(&state.p.w_dec, &gradients.active);
    }
}

/// Adam on one number: its moments after this step, and m̂/(√v̂ + ε).
fn adam(m: &mut f64, v: &mut f64, g: f64, rates: &Rates) -> f64 {
    let Rates { step, beta1, beta2, .. } = *rates;
    *m = beta1 * *m + (1.0 - beta1) * g;
    *v = beta2 * *v + (1.0 - beta2) * g * g;
    let corrected = |moment: f64, beta: f64| moment / (1.0 - beta.powi(step as i32 + 1));
    corrected(*m, beta1) / (corrected(*v, beta2).sqrt() + f64::from(rates.adam_epsilon))
}

/// g without its part along w, row by row.
fn projected(g: &Matrix, w: &Matrix) -> Matrix {
    g.map(|j, i, value| value - dot(g.row(j), w.row(j)) * w[(j, i)])
}

/// Rows that moved, made unit norm.
fn renormalised(w: &Matrix, moved: &[bool]) -> Matrix {
    w.map(|j, _, value| if moved[j] { value / dot(w.row(j), w.row(j)).sqrt() } else { value })
}
