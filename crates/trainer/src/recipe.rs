//! The numbers that all dictionaries of a run share, and the presets that they come from. What is minimised is said apart
//! (the crate `objective`); any recipe goes with any objective.

use crate::Measured;
use crate::Threshold;
use crate::measure::LONG;
use serde::{Deserialize, Serialize};

/// D of Gemma 2 2B, the smallest width for which the paper's learning rate was used.
const PAPER_WIDTH: f64 = 2304.0;

/// Which recipe the numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Gemma Scope as published, made for about 10⁶ steps.
    GemmaScope,
    /// The same loss and gradients, with rates derived from the number of steps.
    Short,
    /// Gemma Scope 2: its λ warms up over 50,000 steps, for the quadratic penalty.
    #[serde(rename = "gemma-scope-2")]
    GemmaScope2,
    /// Anthropic's update of January 2025, for the tanh penalty.
    Anthropic,
}

impl std::fmt::Display for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Preset::GemmaScope => "gemma-scope",
            Preset::Short => "short",
            Preset::GemmaScope2 => "gemma-scope-2",
            Preset::Anthropic => "anthropic",
        })
    }
}

/// The numbers shared by all dictionaries of a run. Inputs are scaled to unit mean square, so ε and θ are in units of
/// the root mean square norm of the site's activations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Where the numbers come from.
    pub preset: Preset,
    /// Training steps.
    pub steps: u64,
    /// Rows per step, N.
    pub batch: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// That of W_dec, over `lr`; 1 in all published presets.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub lr_decoder: f64,
    /// Steps of the cosine warm-up from 0.1·lr.
    pub lr_warmup: u64,
    /// Steps of the linear decay to 0 at the end.
    pub lr_decay: u64,
    /// Steps of the linear warm-up of λ.
    pub lambda_warmup: u64,
    /// ε, width of the straight-through window.
    pub bandwidth: f32,
    /// What is trained: θ or log θ.
    pub threshold: Threshold,
    /// Adam's β₁; 0 in all published presets.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub beta1: f64,
    /// Adam's β₂.
    pub beta2: f64,
    /// Adam's ε.
    pub adam_epsilon: f32,
}

fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

fn one() -> f64 {
    1.0
}

fn is_one(x: &f64) -> bool {
    *x == 1.0
}

impl Recipe {
    /// The recipe of docs/design.md §4 (arXiv 2408.05147 §3.2), unchanged for any number of steps.
    pub fn gemma_scope(steps: u64) -> Recipe {
        Recipe {
            preset: Preset::GemmaScope,
            steps,
            batch: 4096,
            lr: 7e-5,
            lr_decoder: 1.0,
            lr_warmup: 1_000,
            lr_decay: 0,
            lambda_warmup: 10_000,
            bandwidth: 0.001,
            threshold: Threshold::Log,
            beta1: 0.0,
            beta2: 0.999,
            adam_epsilon: 1e-8,
        }
    }

    /// The recipe for a run of `steps` ≪ 10⁶ on rows of `d` dimensions (of the widest site), see [`SHORT_EXPLAINED`].
    pub fn short(steps: u64, d: usize) -> Recipe {
        let r = (1e6 / steps.max(1) as f64).sqrt();
        let paper = Recipe::gemma_scope(steps);
        // How far Adam moves a unit row in a step: lr in each of its dimensions.
        let stride = (paper.lr * PAPER_WIDTH.sqrt() * r).min(0.1);
        Recipe {
            preset: Preset::Short,
            batch: 2048,
            lr: stride / (d as f64).sqrt(),
            lr_decoder: 2.0,
            lr_warmup: ((10_000.0 / r) as u64).min(3 * steps / 10),
            lr_decay: steps / 5,
            lambda_warmup: ((10_000.0 / r) as u64).min(steps / 5),
            bandwidth: (window(steps) / (d as f64).sqrt()) as f32,
            threshold: Threshold::Raw,
            beta1: 0.9,
            beta2: 1.0 - (0.002 * r).min(0.2),
            ..paper
        }
    }

    /// Gemma Scope 2 (technical report, §3): Gemma Scope's numbers with a longer warm-up of λ.
    pub fn gemma_scope_2(steps: u64) -> Recipe {
        Recipe { preset: Preset::GemmaScope2, lambda_warmup: 50_000, ..Recipe::gemma_scope(steps) }
    }

    /// Anthropic's update of January 2025: λ grows over the whole run, the rate decays over its last fifth, log θ. The rate
    /// itself is ours (2e-4), and so are β₁ = 0 and the cosine of its warm-up. The window belongs to the penalty.
    pub fn anthropic(steps: u64) -> Recipe {
        let (preset, lr_decay) = (Preset::Anthropic, steps / 5);
        Recipe { preset, lr: 2e-4, lr_decay, lambda_warmup: steps, ..Recipe::gemma_scope(steps) }
    }

    /// ε of a dictionary whose rows were measured; none where the recipe's holds for every site.
    pub fn bandwidth_of(&self, measured: &Measured) -> Option<f32> {
        (self.preset == Preset::Short).then_some((window(self.steps) * measured.spread) as f32)
    }

    /// The length of s − b_dec, in units of C_out, above which a row of a site of width `d` counts less: ten medians. None for the published presets.
    pub fn row_cap(&self, d: usize, measured: &Measured) -> Option<f64> {
        (self.preset == Preset::Short).then_some(LONG * measured.spread * (d as f64).sqrt())
    }

    /// θ before the first step for a dictionary of F features on D dimensions.
    ///
    /// `gemma-scope`, `gemma-scope-2`: 0.001. `anthropic`: 0.1/√D (0.1 where E‖x‖² = D). `short`: the θ at which the untrained, tied dictionary returns a row at its own length. For a
    /// row of unit norm and random unit features z ~ N(0, 1/D), so ⟨x̂, x⟩ = F·E[z²·1[z > θ]] = (F/D)·(u·φ(u) + Q(u)) with
    /// u = θ√D; that is 1 at the u that bisection finds. Below it x̂ overshoots (by F/2D at θ = 0).
    pub fn theta_init(&self, d: usize, f: usize, measured: Option<&Measured>) -> f32 {
        match self.preset {
            Preset::GemmaScope | Preset::GemmaScope2 => return 0.001,
            Preset::Anthropic => return (0.1 / (d as f64).sqrt()) as f32,
            Preset::Short => {}
        }
        let length = |u: f64| f as f64 / d as f64 * (u * normal_density(u) + normal_tail(u));
        let (mut low, mut high) = (0.0, 8.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if length(middle) > 1.0 { low = middle } else { high = middle }
        }
        measured.map_or(high / (d as f64).sqrt(), |measured| high * measured.spread) as f32
    }
}

/// ε of the preset `short` in spreads of z: the paper's .001 at D 2,304 is .048 of them, a run of S steps has it √(10⁶/S)
/// times wider, 1.3 at most.
fn window(steps: u64) -> f64 {
    (0.001 * PAPER_WIDTH.sqrt() * (1e6 / steps.max(1) as f64).sqrt()).min(1.3)
}

/// φ(u) of the standard normal.
fn normal_density(u: f64) -> f64 {
    (-u * u / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Q(u) = P(Z > u), by Simpson's rule on [u, u + 10].
fn normal_tail(u: f64) -> f64 {
    let (n, h) = (400, 10.0 / 400.0);
    let weight = |i: usize| {
        if i == 0 || i == n {
            1.0
        } else if i % 2 == 1 {
            4.0
        } else {
            2.0
        }
    };
    (0..=n).map(|i| weight(i) * normal_density(u + i as f64 * h)).sum::<f64>() * h / 3.0
}

/// Why the preset `short` differs from the paper, for people who read a plan.
pub const SHORT_EXPLAINED: &str = "The paper's numbers are made for 10^6 steps; a run of S steps is r = sqrt(10^6/S) times \
poorer. Adam moves a parameter by about lr per step, a unit row of D dimensions by lr*sqrt(D): that is r times the paper's at \
D 2304, at most 0.1, and the warm-up of lambda is 1/r times the paper's, of lr as long (at most 0.2 and 0.3 of the run: with a shorter \
one a tenth of the features dies); what is averaged over steps must be averaged over rows of \
one step, so 1 - beta2 is 2r times larger (2 by measurement, at most 0.2), and the window r times wider in units of the spread of z, which is measured on the first \
rows: 0.048 r of it, at most 1.3. theta is trained as it is, not as its logarithm, because log theta moves by a factor \
1 + lr per step. theta starts, in the same unit, where the untrained dictionary returns a row at its own length, and b_dec at the mean row, because a short run cannot \
afford to unlearn an overshoot. A row longer than ten medians about the mean counts less, by the square of that: a \
model makes a row in a thousand a hundred times as long as the rest, and training would serve it alone. Adam's first moment is kept, beta1 0.9 (a row without gradient does not \
move): at equal steps that is worth a tenth of FVU. The decoder's rate is twice the others', which is worth a twentieth. The learning rate decays to 0 over the last fifth. Loss, gradients and projection are the \
paper's.";

#[cfg(test)]
mod tests {
    use super::*;

    /// F/D = 32 by a table of the normal distribution: u = 2.70 gives 32·(2.70·0.010421 + 0.003467) = 1.011, u = 2.71 gives
    /// 32·(2.71·0.010143 + 0.003364) = 0.987; so θ√D lies between.
    #[test]
    fn a_short_run_starts_at_the_row_s_own_length() {
        let u = f64::from(Recipe::short(1_000, 64).theta_init(64, 2_048, None)) * 8.0;
        assert!((2.70..2.71).contains(&u), "{u}");
        assert_eq!(Recipe::gemma_scope(1_000).theta_init(64, 2_048, None), 0.001);
    }

    /// At the paper's 10⁶ steps and width the rate and λ's warm-up are the paper's; at a quarter of the width a row moves as far.
    #[test]
    fn a_short_run_of_the_paper_s_length_has_the_paper_s_rates() {
        let (short, paper) = (Recipe::short(1_000_000, 2_304), Recipe::gemma_scope(1_000_000));
        assert!((short.lr / paper.lr - 1.0).abs() < 1e-12);
        assert!((Recipe::short(1_000_000, 576).lr / short.lr - 2.0).abs() < 1e-12);
        assert_eq!((short.lr_warmup, short.lambda_warmup), (paper.lambda_warmup, paper.lambda_warmup));
    }
}
