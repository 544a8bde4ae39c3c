//! The numbers of one step, as whoever plans a run makes them of its schedule.

use serde::{Deserialize, Serialize};

/// How θ is parameterised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threshold {
    /// t = log θ is trained; ∂/∂t = θ·∂/∂θ.
    Log,
    /// θ is trained and clamped at 0 after each update.
    Raw,
}

/// The numbers of one step, shared by all dictionaries but for λ. Inputs are scaled to unit mean square, so ε and θ are in
/// units of the root mean square norm of the site's activations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Which step, counted from 0; Adam's corrections and the age of moments count from it.
    pub step: u64,
    /// Learning rate.
    pub lr: f64,
    /// That of W_dec, over `lr`.
    pub lr_decoder: f64,
    /// λ, weight of the sparsity term.
    pub lambda: f64,
    /// ε, width of the straight-through window.
    pub bandwidth: f32,
    /// What is trained: θ or log θ.
    pub threshold: Threshold,
    /// Adam's β₁.
    pub beta1: f64,
    /// Adam's β₂.
    pub beta2: f64,
    /// Adam's ε.
    pub adam_epsilon: f32,
}

#[cfg(test)]
impl Rates {
    /// Of the first step of a short run.
    pub(crate) fn test() -> Rates {
        let (lr, lr_decoder, lambda) = (1e-3, 2.0, 0.01);
        let (beta1, beta2, adam_epsilon) = (0.9, 0.99, 1e-8);
        let (bandwidth, threshold) = (0.2, Threshold::Raw);
        Rates { step: 0, lr, lr_decoder, lambda, bandwidth, threshold, beta1, beta2, adam_epsilon }
    }
}
