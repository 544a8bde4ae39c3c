//! What a transformer does to one row besides products: norms, softmax, gates, soft-caps. All f32, all branch-free.
//!
//! `exp` and `tanh` are our own polynomials, so that they vectorise and give the same bits on every machine
//! (relative error below 2e-7, see the tests); sums follow the product's order.

use crate::naive::{LANES, tree};

/// e^x by range reduction, x = n·ln 2 + r with |r| ≤ ln 2 / 2, and a degree-7 Taylor polynomial in r. NaN stays NaN,
/// x below -87.3 gives 0, above 88.7 gives infinity.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³: adding it rounds to the nearest integer
    let clamped = if x > 89.0 { 89.0 } else { x };
    let clamped = if clamped < -88.0 { -88.0 } else { clamped };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = (-n).mul_add(LN2_LO, (-n).mul_add(LN2_HI, clamped));
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = r.mul_add(p, c);
    }
    // 2ⁿ in two halves, so that n = 128 still gives a finite factor before the last product overflows to infinity.
    // n as an integer stands in the low bits of `shifted`; a checked conversion would not vectorise.
    let half = |n: i32| f32::from_bits((n.wrapping_add(127) << 23) as u32);
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let scaled = p * half(n >> 1) * half(n - (n >> 1));
    let scaled = if x < -87.3 { 0.0 } else { scaled };
    if x.is_nan() { x } else { scaled }
}

/// tanh x = (e^{2x} − 1) / (e^{2x} + 1), with the odd series below |x| = 0.1 where that would cancel.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let e = exp(2.0 * x.clamp(-20.0, 20.0));
    let big = (e - 1.0) / (e + 1.0);
    let s = x * x;
    let small = x * s.mul_add(s.mul_add(s.mul_add(-17.0 / 315.0, 2.0 / 15.0), -1.0 / 3.0), 1.0);
    if x.abs() < 0.1 { small } else { big }
}

/// Σ f(x) in the product's order.
#[inline(always)]
pub fn sum_by(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let chunks = x.chunks_exact(LANES);
    let tail = chunks.remainder();
    for c in chunks {
        for l in 0..LANES {
            sums[l] += f(c[l]);
        }
    }
    for (l, &v) in tail.iter().enumerate() {
        sums[l] += f(v);
    }
    tree(sums)
}

/// x / √(mean(x²) + ε), without gain; x and out are [D].
#[inline(always)]
pub fn rms_norm(x: &[f32], eps: f32, out: &mut [f32]) {
    let mean = sum_by(x, |v| v * v) / x.len() as f32;
    let scale = 1.0 / (mean + eps).sqrt();
    for (o, &v) in out.iter_mut().zip(x) {
        *o = v * scale;
    }
}

/// In place: e^{x − max} / Σ e^{x − max}; x [K].
#[inline(always)]
pub fn softmax(x: &mut [f32]) {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut maxima = [f32::NEG_INFINITY; LANES];
    let (chunks, tail) = x.as_chunks::<LANES>();
    for c in chunks {
        (0..LANES).for_each(|l| maxima[l] = larger(maxima[l], c[l]));
    }
    let max = maxima.iter().chain(tail).fold(f32::NEG_INFINITY, |a, &b| larger(a, b));
    for v in x.iter_mut() {
        *v = exp(*v - max);
    }
    let total = sum_by(x, |v| v);
    for v in x.iter_mut() {
        *v /= total;
    }
}

/// In place: cap·tanh(x / cap).
#[inline(always)]
pub fn softcap(x: &mut [f32], cap: f32) {
    for v in x.iter_mut() {
        *v = cap * tanh(*v / cap);
    }
}

/// gate[i] ← silu(gate[i])·up[i], silu(x) = x / (1 + e^{−x}).
#[inline(always)]
pub fn silu_mul(gate: &mut [f32], up: &[f32]) {
    for (g, &u) in gate.iter_mut().zip(up) {
        *g = *g / (1.0 + exp(-*g)) * u;
    }
}

/// gate[i] ← gelu(gate[i])·up[i], gelu(x) = x/2·(1 + tanh(√(2/π)(x + 0.044715x³))).
#[inline(always)]
pub fn gelu_tanh_mul(gate: &mut [f32], up: &[f32]) {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    for (g, &u) in gate.iter_mut().zip(up) {
        let x = *g;
        let inner = SQRT_2_OVER_PI * (0.044715 * x * x).mul_add(x, x);
        *g = 0.5 * x * (1.0 + tanh(inner)) * u;
    }
}
