//! Sums over chosen rows, written for reading: what a sparse code needs instead of dense products.

use super::dot;

/// out[d] ← out[d] + Σ_k coeff[k]·rows[index[k], d], k ascending, each term by one fused multiply-add;
/// coeff and index [K], rows [R, D], out [D].
pub fn accumulate(coeff: &[f32], index: &[u32], rows: &[f32], out: &mut [f32]) {
    let d = out.len();
    for (&c, &i) in coeff.iter().zip(index) {
        for (o, &r) in out.iter_mut().zip(&rows[i as usize * d..][..d]) {
            *o = c.mul_add(r, *o);
        }
    }
}

/// out[k] = dot(q, rows[index[k]]); q [D], index and out [K], rows [R, D].
pub fn gather_dot(q: &[f32], index: &[u32], rows: &[f32], out: &mut [f32]) {
    for (o, &i) in out.iter_mut().zip(index) {
        *o = dot(q, &rows[i as usize * q.len()..][..q.len()]);
    }
}

/// One Adam step on a row: m ← decay₁·m + (1 − β₁)·g, v ← decay·v + (1 − β₂)·g², p ← p − lr·m / (√v/√correction + ε).
///
/// `decay` is β₂^Δ for a row last touched Δ steps ago (NUMERICS §3), and decay₁ β₁^Δ; `correction` is 1 − β₂^t. p, g, v are
/// [D], and so is m, or empty where β₁ = 0: it is g then.
#[inline(always)] // into the callers that are compiled for an instruction set
pub fn adam(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], step: crate::AdamStep) {
    for (m, g) in m.iter_mut().zip(g) {
        *m = step.one_minus_beta1.mul_add(*g, step.decay1 * *m);
    }
    let mean = if m.is_empty() { g } else { m };
    let n = p.len();
    let (g, mean, v) = (&g[..n], &mean[..n], &mut v[..n]);
    for i in 0..n {
        v[i] = (step.one_minus_beta2 * g[i]).mul_add(g[i], step.decay * v[i]);
        p[i] -= step.lr * mean[i] / (v[i].sqrt() * step.inv_sqrt_correction + step.epsilon);
    }
}
