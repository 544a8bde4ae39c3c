//! Adam's step on one row (Kingma and Ba 2015, arXiv 1412.6980), whose moments may have waited some steps (docs/numerics.md §3).

/// The numbers of one Adam step on one row.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Learning rate of this step, over 1 − β₁^t.
    pub lr: f32,
    /// β₁^Δ.
    pub decay1: f32,
    /// 1 − β₁.
    pub one_minus_beta1: f32,
    /// β₂^Δ, Δ = steps since the row was last touched.
    pub decay: f32,
    /// 1 − β₂.
    pub one_minus_beta2: f32,
    /// 1/√(1 − β₂^t), t = global step counted from 1.
    pub inv_sqrt_correction: f32,
    /// Added to the root.
    pub epsilon: f32,
}

/// One Adam step on a row: m ← decay₁·m + (1 − β₁)·g, v ← decay·v + (1 − β₂)·g², p ← p − lr·m / (√v/√correction + ε).
///
/// `decay` is β₂^Δ for a row last touched Δ steps ago (docs/numerics.md §3), and decay₁ β₁^Δ; `correction` is 1 − β₂^t. p, g, v are
/// [D], and so is m; there is none where β₁ = 0: it is g then.
#[inline(always)] // into the callers that are compiled for an instruction set
pub fn adam(p: &mut [f32], g: &[f32], m: Option<&mut [f32]>, v: &mut [f32], step: AdamStep) {
    let mean = match m {
        Some(m) => {
            for (m, g) in m.iter_mut().zip(g) {
                *m = step.one_minus_beta1.mul_add(*g, step.decay1 * *m);
            }
            &*m
        }
        None => g,
    };
    let n = p.len();
    let (g, mean, v) = (&g[..n], &mean[..n], &mut v[..n]);
    for i in 0..n {
        v[i] = (step.one_minus_beta2 * g[i]).mul_add(g[i], step.decay * v[i]);
        p[i] -= step.lr * mean[i] / (v[i].sqrt() * step.inv_sqrt_correction + step.epsilon);
    }
}
