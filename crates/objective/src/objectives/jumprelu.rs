//! JumpReLU (Rajamanoharan et al. 2024, arXiv 2407.14435): f = z·1[z > θ], θ trained by straight-through estimates with
//! the rectangle kernel K(u) = 1[|u| < ½] of width ε, where z, not f, is compared.
//!
//! | penalty | of a row | source | defaults |
//! |---|---|---|---|
//! | L0 | λ‖f‖₀ | Gemma Scope, arXiv 2408.05147 §2.2 | θ₀ = 0.001, ε = 0.001 |
//! | quadratic | λ·(2/T)·(‖f‖₀ − T)², and λ_hf·Σ_j max(0, p_j − 0.1) | Gemma Scope 2, eq. 5 | λ = 0.01, λ_hf = λ (both ours: unpublished) |
//! | tanh | λ·Σ_j tanh(c·f_j), and λ_P·Σ_dead relu(θ_j − z_j) | Anthropic, January 2025 | see [`Penalty::anthropic`] |
//!
//! p_j is the share of the batch's rows in which feature j is active. Straight through, with g the gradient at ŝ:
//!
//!   L0, quadratic   ∂f/∂z = 1[z > θ]                  ∂f/∂θ = −(θ/ε)K      ∂‖f‖₀/∂θ = −K/ε
//!   tanh            ∂f/∂z = 1[z > θ] + (θ/ε)K         ∂f/∂θ = −(θ/ε)K      (the penalty acts through f)
//!
//! Differs from Anthropic's page: unit-norm decoder rows instead of a penalty weighted by their norms, E‖x‖² = 1 instead
//! of D (its constants are rescaled). A dead feature with the pre-activation term has a gradient in every row.

use super::{Entries, Gate, Gradient};
use crate::{Rates, View};
use lapidary_kernels::elementwise;
use serde::{Deserialize, Serialize};

/// Features that fire in a larger share of rows cost more, in Gemma Scope 2.
const OFTEN: f64 = 0.1;

/// What sparsity costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Penalty {
    /// λ‖f‖₀
    L0,
    /// λ·(2/T)·(‖f‖₀ − T)², and a cost for features that fire often.
    Quadratic {
        /// T
        target: f64,
        /// λ_hf, in units of λ.
        high_frequency: f64,
    },
    /// λ·Σ tanh(c·f)
    Tanh {
        /// c, per unit of f.
        scale: f64,
        /// ε, in place of the step's.
        bandwidth: f32,
        /// λ_P
        pre_activation: f64,
        /// Rows without firing after which a feature is dead.
        dead_rows: u64,
    },
}

impl Penalty {
    /// Anthropic's constants are c = 4, ε = 2, λ_P = 3e-6 for E‖x‖² = D; here f is √D times smaller.
    pub fn anthropic(d: usize) -> Penalty {
        let root = (d as f64).sqrt();
        Penalty::Tanh {
            scale: 4.0 * root,
            bandwidth: (2.0 / root) as f32,
            pre_activation: 3e-6 / root,
            dead_rows: 1_000_000,
        }
    }
}

/// θ, the window (lo < z < hi), and what the penalty needs.
pub(super) struct JumpRelu {
    theta: Vec<f32>,
    lo: Vec<f32>,
    hi: Vec<f32>,
    /// Lower for dead features that are to be seen below their window.
    keep_above: Option<Vec<f32>>,
    dead: Vec<bool>,
    penalty: Penalty,
    lambda: f64,
    epsilon: f64,
    /// N
    rows: f64,
}

impl JumpRelu {
    pub(super) fn new(p: &View<'_>, rates: &Rates, penalty: Penalty, rows: usize, dead: &[bool]) -> JumpRelu {
        let epsilon = match penalty {
            Penalty::Tanh { bandwidth, .. } => bandwidth,
            Penalty::L0 | Penalty::Quadratic { .. } => rates.bandwidth,
        };
        let theta = p.theta(rates.threshold).expect("a JumpReLU has thresholds");
        let half = epsilon / 2.0;
        let lo: Vec<f32> = theta.iter().map(|t| t - half).collect();
        let hi = theta.iter().map(|t| t + half).collect();
        let keep_above = matches!(penalty, Penalty::Tanh { .. }).then(|| {
            lo.iter().zip(dead).map(|(&lo, &dead)| if dead { f32::NEG_INFINITY } else { lo }).collect()
        });
        let (dead, epsilon, rows, lambda) = (dead.to_vec(), f64::from(epsilon), rows as f64, rates.lambda);
        JumpRelu { theta, lo, hi, keep_above, dead, penalty, lambda, epsilon, rows }
    }

    fn active(&self, j: usize, z: f32) -> bool {
        !(z <= self.theta[j])
    }

    /// The penalty acts on ‖f‖₀; one more active feature costs `cost(row)`.
    fn counted(&self, j: usize, entries: Entries<'_>, out: &mut Gradient, cost: impl Fn(u32) -> f64) {
        let theta = f64::from(self.theta[j]);
        for ((&row, &z), &df) in entries.rows.iter().zip(entries.z).zip(entries.df) {
            if self.active(j, z) {
                out.push(row, z, df);
                out.fired = true;
            }
            if self.in_window(j, z) {
                let l0 = cost(row) / (self.rows * self.epsilon);
                let sum = out.threshold.unwrap_or(0.0);
                out.threshold = Some(sum - (theta / self.epsilon * f64::from(df) + l0));
            }
        }
    }

    fn quadratic(&self, j: usize, entries: Entries<'_>, out: &mut Gradient, target: f64, weight: f64) {
        let share = entries.z.iter().filter(|&&z| self.active(j, z)).count() as f64 / self.rows;
        let often = if share > OFTEN { weight * self.lambda } else { 0.0 };
        out.penalty = often * (share - OFTEN);
        let l0 = entries.l0;
        let excess = |row: u32| f64::from(l0[row as usize]) - target;
        self.counted(j, entries, out, |row| self.lambda * 4.0 / target * excess(row) + often);
    }

    fn tanh(&self, j: usize, entries: Entries<'_>, out: &mut Gradient, scale: f64, pre_activation: f64) {
        let theta = f64::from(self.theta[j]);
        let dead = self.dead[j];
        for ((&row, &z), &df) in entries.rows.iter().zip(entries.z).zip(entries.df) {
            let (active, window) = (self.active(j, z), self.in_window(j, z));
            let f = if active { z } else { 0.0 };
            let tanh = f64::from(elementwise::tanh((scale * f64::from(f)) as f32));
            let df = f64::from(df) + self.lambda / self.rows * scale * (1.0 - tanh * tanh);
            let mut dz = if active { df } else { 0.0 };
            out.penalty += self.lambda / self.rows * tanh;
            out.fired |= active;
            if window {
                dz += theta / self.epsilon * df;
                out.threshold = Some(out.threshold.unwrap_or(0.0) - theta / self.epsilon * df);
            }
            let below = dead && z < self.theta[j] && theta.is_finite() && pre_activation > 0.0;
            if below {
                dz -= pre_activation / self.rows;
                out.threshold = Some(out.threshold.unwrap_or(0.0) + pre_activation / self.rows);
                out.penalty += pre_activation / self.rows * (theta - f64::from(z));
            }
            if active || window || below {
                out.push(row, f, dz as f32);
            }
        }
    }
}

impl Gate for JumpRelu {
    fn lo(&self) -> &[f32] {
        self.keep_above.as_ref().unwrap_or(&self.lo)
    }

    fn value(&self, j: usize, z: f32) -> Option<f32> {
        self.active(j, z).then_some(z)
    }

    fn in_window(&self, j: usize, z: f32) -> bool {
        self.lo[j] < z && z < self.hi[j]
    }

    fn row_penalty(&self, l0: &[u32], mean: f64) -> f64 {
        match self.penalty {
            Penalty::L0 => self.lambda * mean,
            Penalty::Quadratic { target, .. } => {
                let squares: f64 = l0.iter().map(|&l0| (f64::from(l0) - target).powi(2)).sum();
                self.lambda * 2.0 / target * squares / self.rows
            }
            Penalty::Tanh { .. } => 0.0,
        }
    }

    fn backward(&self, j: usize, entries: Entries<'_>, out: &mut Gradient) {
        match self.penalty {
            Penalty::L0 => self.counted(j, entries, out, |_| self.lambda),
            Penalty::Quadratic { target, high_frequency } => {
                self.quadratic(j, entries, out, target, high_frequency);
            }
            Penalty::Tanh { scale, pre_activation, .. } => self.tanh(j, entries, out, scale, pre_activation),
        }
    }
}
