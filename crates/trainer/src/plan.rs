//! Every number of a training run, explicit: what a suite file leaves out is derived before the first step and saved.

use lapidary_dictionary::Baseline;
use serde::{Deserialize, Serialize};

/// Which recipe the numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Gemma Scope as published, made for about 10⁶ steps.
    GemmaScope,
    /// The same loss and gradients, with rates derived from the number of steps.
    Short,
}

impl std::fmt::Display for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Preset::GemmaScope => "gemma-scope",
            Preset::Short => "short",
        })
    }
}

/// How θ is parameterised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threshold {
    /// t = log θ is trained; ∂/∂t = θ·∂/∂θ.
    Log,
    /// θ is trained and clamped at 0 after each update.
    Raw,
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
    /// Adam's β₂ (β₁ = 0).
    pub beta2: f64,
    /// Adam's ε.
    pub adam_epsilon: f32,
}

impl Recipe {
    /// The recipe of DESIGN §4 (arXiv 2408.05147 §3.2), unchanged for any number of steps.
    pub fn gemma_scope(steps: u64) -> Recipe {
        Recipe {
            preset: Preset::GemmaScope,
            steps,
            batch: 4096,
            lr: 7e-5,
            lr_warmup: 1_000,
            lr_decay: 0,
            lambda_warmup: 10_000,
            bandwidth: 0.001,
            threshold: Threshold::Log,
            beta2: 0.999,
            adam_epsilon: 1e-8,
        }
    }

    /// The recipe for a run of `steps` ≪ 10⁶, see [`SHORT_EXPLAINED`].
    pub fn short(steps: u64) -> Recipe {
        let r = (1e6 / steps.max(1) as f64).sqrt();
        let paper = Recipe::gemma_scope(steps);
        Recipe {
            preset: Preset::Short,
            batch: 2048,
            lr: 7e-5 * r,
            lr_warmup: (1_000.0 / r) as u64,
            lr_decay: steps / 5,
            lambda_warmup: ((10_000.0 / r) as u64).min(steps / 5),
            bandwidth: (0.005 * r).min(0.2) as f32,
            threshold: Threshold::Raw,
            beta2: 1.0 - (0.005 * r).min(0.2),
            ..paper
        }
    }

    /// θ before the first step for a dictionary of F features on D dimensions.
    ///
    /// `gemma-scope`: 0.001. `short`: the θ at which the untrained, tied dictionary returns a row at its own length. For a
    /// row of unit norm and random unit features z ~ N(0, 1/D), so ⟨x̂, x⟩ = F·E[z²·1[z > θ]] = (F/D)·(u·φ(u) + Q(u)) with
    /// u = θ√D; that is 1 at the u that bisection finds. Below it x̂ overshoots (by F/2D at θ = 0).
    pub fn theta_init(&self, d: usize, f: usize) -> f32 {
        if self.preset == Preset::GemmaScope {
            return 0.001;
        }
        let length = |u: f64| f as f64 / d as f64 * (u * normal_density(u) + normal_tail(u));
        let (mut low, mut high) = (0.0, 8.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if length(middle) > 1.0 { low = middle } else { high = middle }
        }
        (high / (d as f64).sqrt()) as f32
    }
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
poorer. Adam moves a parameter by about lr per step, so lr is r times the paper's and its warm-ups 1/r times; what is \
averaged over steps must be averaged over rows of one step, so the window is 5r times wider and 1 - beta2 5r times larger \
(5 by measurement, both at most 0.2). theta is trained as it is, not as its logarithm, because log theta moves by a factor \
1 + lr per step. theta starts where the untrained dictionary returns a row at its own length, because a short run cannot \
afford to unlearn an overshoot. The learning rate decays to 0 over the last fifth. Loss, gradients and projection are the \
paper's.";

/// One dictionary of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DictionaryPlan {
    /// Unique within the run; names its folder and its tensors in checkpoints.
    pub name: String,
    /// The site it reads and reconstructs.
    pub site: String,
    /// D, width of the site.
    pub d: usize,
    /// F, features.
    pub width: usize,
    /// λ, weight of the L0 term after its warm-up.
    pub lambda: f64,
    /// C of the site: E‖x/C‖² = 1.
    pub c: f64,
    /// θ before the first step.
    pub theta_init: f32,
    /// Set where it is trained to be beaten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

impl DictionaryPlan {
    /// The rows that it is trained on, as their source calls them.
    pub fn row_set(&self) -> String {
        row_set(&self.site, self.baseline)
    }

    /// Does W_dec stay as it was initialised?
    pub fn decoder_is_frozen(&self) -> bool {
        self.baseline == Some(Baseline::FrozenDecoder)
    }
}

/// What a source calls the rows of a site: the site, or `2.res@random-lm` for the rows of the randomised model there.
pub fn row_set(site: &str, baseline: Option<Baseline>) -> String {
    match baseline {
        Some(random @ Baseline::RandomLm) => format!("{site}@{random}"),
        Some(Baseline::FrozenDecoder) | None => site.to_string(),
    }
}

/// A run: what [`crate::train`] needs besides rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The numbers shared by all dictionaries.
    pub recipe: Recipe,
    /// The dictionaries, trained in lockstep on the same batches.
    pub dictionaries: Vec<DictionaryPlan>,
    /// Seed of initialisation (rows have the same seed in their order).
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between lines of the log.
    pub log_every: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F/D = 32 by a table of the normal distribution: u = 2.70 gives 32·(2.70·0.010421 + 0.003467) = 1.011, u = 2.71 gives
    /// 32·(2.71·0.010143 + 0.003364) = 0.987; so θ√D lies between.
    #[test]
    fn a_short_run_starts_at_the_row_s_own_length() {
        let u = f64::from(Recipe::short(1_000).theta_init(64, 2_048)) * 8.0;
        assert!((2.70..2.71).contains(&u), "{u}");
        assert_eq!(Recipe::gemma_scope(1_000).theta_init(64, 2_048), 0.001);
    }

    /// Plans from before there were baselines read, and keep their bytes and with them their hash.
    #[test]
    fn what_is_no_baseline_says_nothing_of_it() {
        let before =
            r#"{"name":"a","site":"3.res","d":4,"width":8,"lambda":0.001,"c":1.5,"theta_init":0.25}"#;
        let mut plan: DictionaryPlan = serde_json::from_str(before).unwrap();
        assert_eq!(serde_json::to_string(&plan).unwrap(), before);
        assert_eq!((plan.baseline, plan.row_set().as_str()), (None, "3.res"));
        plan.baseline = Some(Baseline::RandomLm);
        assert_eq!(plan.row_set(), "3.res@random-lm");
        plan.baseline = Some(Baseline::FrozenDecoder);
        assert_eq!(plan.row_set(), "3.res");
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(text, before.replace('}', r#","baseline":"frozen-decoder"}"#));
        assert_eq!(serde_json::from_str::<DictionaryPlan>(&text).unwrap(), plan);
    }

    /// At the paper's 10⁶ steps the rate and its warm-ups are the paper's.
    #[test]
    fn a_short_run_of_the_paper_s_length_has_the_paper_s_rates() {
        let (short, paper) = (Recipe::short(1_000_000), Recipe::gemma_scope(1_000_000));
        assert_eq!(short.lr, paper.lr);
        assert_eq!((short.lr_warmup, short.lambda_warmup), (paper.lr_warmup, paper.lambda_warmup));
    }
}
