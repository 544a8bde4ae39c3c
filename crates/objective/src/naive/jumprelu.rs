//! JumpReLU (Rajamanoharan et al. 2024, arXiv 2407.14435 §3):
//!
//!   f = z·1[z > θ]
//!
//! The true derivatives by θ are 0 almost everywhere. In their place stand pseudo-derivatives (ibid.), with the rectangle
//! K(u) = 1[|u| < ½] of width ε:
//!
//!   ∂f/∂θ = −(θ/ε)·K((z − θ)/ε)        ∂1[z > θ]/∂θ = −(1/ε)·K((z − θ)/ε)        ∂f/∂z = 1[z > θ]
//!
//! Anthropic (transformer-circuits.pub, January 2025 update) lets the jump reach z as well:
//!
//!   ∂f/∂z = 1[z > θ] + (θ/ε)·K
//!
//! With t = log θ as the parameter, ∂L/∂t = θ·∂L/∂θ (the chain rule; docs/numerics.md §3).

use super::{Dense, Forward, Gradients, Matrix, Setting};
use crate::{Penalty, Threshold};

/// Features that are active in a larger share of rows cost more, in Gemma Scope 2.
const OFTEN: f64 = 0.1;

/// 1[z > θ]. NaN is active, so that it reaches the loss.
fn active(z: f64, theta: f64) -> bool {
    !(z <= theta)
}

/// K((z − θ)/ε)
fn in_window(z: f64, theta: f64, epsilon: f64) -> bool {
    theta - epsilon / 2.0 < z && z < theta + epsilon / 2.0
}

/// f [N, F]
pub(super) fn features(z: &Matrix, theta: &Matrix) -> Matrix {
    z.map(|_, j, z| if active(z, theta[j]) { z } else { 0.0 })
}

/// ‖f‖₀ of each row [N].
fn l0(f: &Matrix) -> Vec<f64> {
    (0..f.rows).map(|n| f.row(n).iter().filter(|&&f| f != 0.0).count() as f64).collect()
}

/// p_j: the share of rows in which each feature is active [F].
fn shares(f: &Matrix) -> Vec<f64> {
    let active = |j| (0..f.rows).filter(|&n| f[(n, j)] != 0.0).count();
    (0..f.columns).map(|j| active(j) as f64 / f.rows as f64).collect()
}

/// Is feature j dead and below its threshold? One that is switched off (θ = +∞) is left alone.
fn dead_below(z: f64, theta: f64, dead: bool) -> bool {
    dead && z < theta && theta.is_finite()
}

/// What the loss gains:
///
///   L0          (λ/N)·Σ_n ‖f_n‖₀                                                 Gemma Scope, arXiv 2408.05147 §2.2
///   quadratic   (λ/N)·Σ_n (2/T)·(‖f_n‖₀ − T)² + λ_hf·Σ_j max(0, p_j − 0.1)         Gemma Scope 2, eq. 5
///   tanh        (λ/N)·Σ_n Σ_j tanh(c·f_j) + (λ_P/N)·Σ_n Σ_dead relu(θ_j − z_j)     Anthropic, January 2025
pub(super) fn penalty(p: &Dense, seen: &Forward, penalty: Penalty, setting: &Setting<'_>) -> f64 {
    let (lambda, n) = (setting.rates.lambda, seen.f.rows as f64);
    match penalty {
        Penalty::L0 => lambda / n * l0(&seen.f).iter().sum::<f64>(),
        Penalty::Quadratic { target, high_frequency } => {
            let squares: f64 = l0(&seen.f).iter().map(|l0| (l0 - target).powi(2)).sum();
            let often: f64 = shares(&seen.f).iter().map(|share| (share - OFTEN).max(0.0)).sum();
            lambda / n * 2.0 / target * squares + lambda * high_frequency * often
        }
        Penalty::Tanh { scale, pre_activation, .. } => {
            let theta = p.theta(setting.rates.threshold);
            let below = seen.z.map(
                |_, j, z| {
                    if dead_below(z, theta[j], setting.dead[j]) { theta[j] - z } else { 0.0 }
                },
            );
            lambda / n * seen.f.map(|_, _, f| (scale * f).tanh()).sum() + pre_activation / n * below.sum()
        }
    }
}

/// ∂L/∂z [N, F] from ∂L/∂f through ŝ; ∂L/∂θ goes to `out`.
pub(super) fn backward(
    p: &Dense,
    seen: &Forward,
    df: &Matrix,
    penalty: Penalty,
    setting: &Setting<'_>,
    out: &mut Gradients,
) -> Matrix {
    let theta = p.theta(setting.rates.threshold);
    let dz = match penalty {
        Penalty::Tanh { .. } => tanh(&theta, seen, df, penalty, setting, out),
        Penalty::L0 | Penalty::Quadratic { .. } => counted(&theta, seen, df, penalty, setting, out),
    };
    if setting.rates.threshold == Threshold::Log {
        out.of.threshold = out.of.threshold.map(|j, _, d_theta| d_theta * theta[j]);
    }
    dz
}

/// L0 and quadratic: the penalty counts active features, and one more in row n costs
///
///   L0          λ
///   quadratic   λ·(4/T)·(‖f_n‖₀ − T) + λ_hf·1[p_j > 0.1]
///
///   ∂L/∂z = ∂L/∂f·1[z > θ]        ∂L/∂θ = −Σ_n (K/ε)·(θ·∂L/∂f + cost/N)
fn counted(
    theta: &Matrix,
    seen: &Forward,
    df: &Matrix,
    penalty: Penalty,
    setting: &Setting<'_>,
    out: &mut Gradients,
) -> Matrix {
    let (l0, shares) = (l0(&seen.f), shares(&seen.f));
    let cost = |n: usize, j: usize| match penalty {
        Penalty::Quadratic { target, high_frequency } => {
            let often = if shares[j] > OFTEN { high_frequency } else { 0.0 };
            setting.rates.lambda * (4.0 / target * (l0[n] - target) + often)
        }
        Penalty::L0 | Penalty::Tanh { .. } => setting.rates.lambda,
    };
    let epsilon = f64::from(setting.rates.bandwidth);
    let mut dz = Matrix::zeros(df.rows, df.columns);
    for (n, j) in df.places() {
        let z = seen.z[(n, j)];
        if active(z, theta[j]) {
            dz[(n, j)] = df[(n, j)];
            out.active[j] = true;
        }
        if in_window(z, theta[j], epsilon) {
            out.of.threshold[j] -= (theta[j] * df[(n, j)] + cost(n, j) / df.rows as f64) / epsilon;
            out.window[j] = true;
        }
    }
    dz
}

/// Tanh: the penalty is one of f, so that its derivative joins ∂L/∂f.
///
///   ∂L/∂f  gains  (λ/N)·c·(1 − tanh²(c·f))
///   ∂L/∂z =  ∂L/∂f·(1[z > θ] + (θ/ε)·K) − (λ_P/N)·1[dead, z < θ]
///   ∂L/∂θ = Σ_n −∂L/∂f·(θ/ε)·K + (λ_P/N)·1[dead, z < θ]
fn tanh(
    theta: &Matrix,
    seen: &Forward,
    df: &Matrix,
    penalty: Penalty,
    setting: &Setting<'_>,
    out: &mut Gradients,
) -> Matrix {
    let Penalty::Tanh { scale, bandwidth, pre_activation, .. } = penalty else {
        unreachable!("a tanh penalty")
    };
    let (epsilon, rows) = (f64::from(bandwidth), df.rows as f64);
    let mut dz = Matrix::zeros(df.rows, df.columns);
    for (n, j) in df.places() {
        let (z, f, theta) = (seen.z[(n, j)], seen.f[(n, j)], theta[j]);
        let df = df[(n, j)] + setting.rates.lambda / rows * scale * (1.0 - (scale * f).tanh().powi(2));
        if active(z, theta) {
            dz[(n, j)] += df;
            out.active[j] = true;
        }
        if in_window(z, theta, epsilon) {
            dz[(n, j)] += theta / epsilon * df;
            out.of.threshold[j] -= theta / epsilon * df;
            (out.active[j], out.window[j]) = (true, true);
        }
        if dead_below(z, theta, setting.dead[j]) && pre_activation > 0.0 {
            dz[(n, j)] -= pre_activation / rows;
            out.of.threshold[j] += pre_activation / rows;
            (out.active[j], out.window[j]) = (true, true);
        }
    }
    dz
}
