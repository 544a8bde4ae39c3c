//! Adam, lazily (docs/numerics.md §3): a row without gradient does not move, and its moments decay by β₁^Δ and β₂^Δ when the row is
//! next touched, Δ steps later.
//!
//!   m ← β₁^Δ·m + (1 − β₁)·g
//!   v ← β₂^Δ·v + (1 − β₂)·g²
//!   p ← p − lr·m/(1 − β₁^t) / (√(v/(1 − β₂^t)) + ε)        t = global step counted from 1
//!
//! With β₁ = 0 that is Adam itself, because a zero gradient moves nothing, and m is g: it is not kept. With β₁ > 0 Adam would
//! go on moving a row by its m while there is no gradient; here it stays, so that no feature moves on rows that it was not
//! active on, and a step costs no more than what it touches.

use crate::Rates;
use lapidary_kernels::AdamStep;

/// The numbers of one step, shared by all rows of a dictionary.
pub(crate) struct Adam {
    step: u64,
    base: AdamStep,
    /// β₁^Δ and β₂^Δ for Δ = 0, 1, … as far as an f32 can tell them from 0.
    powers: [Vec<f64>; 2],
}

/// Half of the smallest f32: what is not larger rounds to 0.
const NOTHING: f64 = 1.0 / (1u128 << 75) as f64 / (1u128 << 75) as f64;

/// 1, β, β², …, β^(step + 1), without the end that is nothing: by repeated multiplication in f64, so that every machine has
/// the same table.
fn powers(beta: f64, step: u64) -> Vec<f64> {
    let all = std::iter::successors(Some(1.0), |p| Some(p * beta)).take(step as usize + 2);
    all.take_while(|&p| p > NOTHING).collect()
}

/// β^Δ from its table.
fn power(powers: &[f64], delta: usize) -> f64 {
    powers.get(delta).copied().unwrap_or(0.0)
}

impl Adam {
    pub(crate) fn new(rates: &Rates) -> Adam {
        let step = rates.step;
        let powers = [rates.beta1, rates.beta2].map(|beta| powers(beta, step));
        let [first, correction] = [0, 1].map(|i: usize| 1.0 - power(&powers[i], step as usize + 1));
        let base = AdamStep {
            lr: (rates.lr / first) as f32,
            decay1: rates.beta1 as f32,
            one_minus_beta1: (1.0 - rates.beta1) as f32,
            decay: rates.beta2 as f32,
            one_minus_beta2: (1.0 - rates.beta2) as f32,
            inv_sqrt_correction: (1.0 / correction.sqrt()) as f32,
            epsilon: rates.adam_epsilon,
        };
        Adam { step, base, powers }
    }

    /// For what is touched in every step.
    pub(crate) fn every_step(&self) -> AdamStep {
        self.base
    }

    /// For a row with this stamp, which is brought up to date. (A stamp of 0 means never: v is 0 then.)
    pub(crate) fn touch(&self, stamp: &mut u32) -> AdamStep {
        let now = self.step as u32 + 1;
        let delta = now - *stamp;
        *stamp = now;
        let [decay1, decay] = [0, 1].map(|i: usize| power(&self.powers[i], delta as usize) as f32);
        AdamStep { decay1, decay, ..self.base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_kernels::Device;

    /// The lazy second moment is the dense one within (Δ + 4)·2⁻²³ relative (docs/numerics.md §3), and so is the move.
    #[test]
    fn lazy_is_dense() {
        let rates = |step: u64| {
            let lr = 7e-5 * (step + 1) as f64 / 400.0;
            Rates { step, lr, beta1: 0.0, beta2: 0.99, ..Rates::test() }
        };
        let gradient = |s: u64| {
            if s % 97 == 3 || s.is_multiple_of(41) { ((s * 37 % 11) as f32 - 5.3) * 0.01 } else { 0.0 }
        };
        let (mut lazy, mut lazy_v, mut stamp) = ([1.0f32], [0.0f32], 0u32);
        let (mut dense, mut dense_v) = (1.0f64, 0.0f64);
        for s in 0..400 {
            let g = gradient(s);
            let before = stamp;
            let rates = rates(s);
            let adam = Adam::new(&rates);
            if g != 0.0 {
                Device::detect().adam(&mut lazy, &[g], None, &mut lazy_v, adam.touch(&mut stamp));
            }
            let g = f64::from(g);
            dense_v = rates.beta2 * dense_v + (1.0 - rates.beta2) * g * g;
            let correction = 1.0 - rates.beta2.powi(s as i32 + 1);
            dense -= rates.lr * g / ((dense_v / correction).sqrt() + 1e-8);
            if g != 0.0 {
                let bound = f64::from(stamp - before + 4) * 2f64.powi(-23) * dense_v;
                assert!((f64::from(lazy_v[0]) - dense_v).abs() <= bound, "step {s}");
                assert!((f64::from(lazy[0]) - dense).abs() < 1e-6, "step {s}");
            }
        }
        assert!(dense != 1.0);
    }
}
