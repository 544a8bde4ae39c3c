//! Every number of a training run, explicit: what a suite file leaves out is derived before the first step and saved.

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
    /// θ at the start.
    pub theta_init: f32,
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
            theta_init: 0.001,
            threshold: Threshold::Log,
            beta2: 0.999,
            adam_epsilon: 1e-8,
        }
    }

    /// The recipe made short. See `SHORT_EXPLAINED`.
    pub fn short(steps: u64) -> Recipe {
        Recipe {
            preset: Preset::Short,
            batch: 2048,
            lr: 1e-3,
            lr_warmup: steps / 20,
            lr_decay: steps / 5,
            lambda_warmup: steps / 5,
            bandwidth: 0.02,
            theta_init: 0.02,
            threshold: Threshold::Raw,
            ..Recipe::gemma_scope(steps)
        }
    }
}

/// Why the preset `short` differs from the paper, for people who read a plan.
pub const SHORT_EXPLAINED: &str = "being tuned";

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
