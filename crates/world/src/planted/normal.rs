//! Random numbers by arithmetic alone (+ − × ÷ √): logarithms and sines of the platform differ in their last bits, and planted
//! rows must not. One ChaCha8 stream for each purpose.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const TWO_32: f64 = 4_294_967_296.0;

/// A stream of its own for each purpose: ChaCha8 under the key seed ‖ "planted 1: PURPOSE".
pub(super) fn stream(seed: u64, purpose: &str) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let name = format!("planted 1: {purpose}");
    key[8..8 + name.len()].copy_from_slice(name.as_bytes());
    ChaCha8Rng::from_seed(key)
}

pub(super) fn normals(n: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..n).map(|_| normal(rng)).collect()
}

/// N(0, 1) from 32 bits.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    upper((f64::from(rng.next_u32()) + 0.5) / TWO_32) as f32
}

/// N(0, 1) whose upper tail probability has `byte` as its first eight bits, and 32 more from the stream.
pub(super) fn finer(byte: u8, rng: &mut ChaCha8Rng) -> f32 {
    let rest = (f64::from(rng.next_u32()) + 0.5) / TWO_32;
    upper((f64::from(byte) + rest) / 256.0) as f32
}

/// A point of the unit circle, uniform: by rejection, since sines differ between machines.
pub(super) fn direction_in_plane(rng: &mut ChaCha8Rng) -> (f32, f32) {
    loop {
        let mut side = || (f64::from(rng.next_u32()) + 0.5) / (0.5 * TWO_32) - 1.0;
        let (x, y) = (side(), side());
        let norm2 = x * x + y * y;
        if norm2 <= 1.0 {
            return ((x / norm2.sqrt()) as f32, (y / norm2.sqrt()) as f32);
        }
    }
}

/// The number that N(0, 1) exceeds with probability p in (0, 1): Acklam's rational approximation, relative error 1.2e-9.
pub(super) fn upper(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 6] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 5] =
        [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1.0];
    let horner = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * ln(p)).sqrt();
        horner(&C, q) / horner(&D, q)
    };
    if p < 0.02425 {
        -tail(p)
    } else if p > 1.0 - 0.02425 {
        tail(1.0 - p)
    } else {
        let q = 0.5 - p;
        let r = q * q;
        q * horner(&A, r) / horner(&B, r)
    }
}

/// ln x for a normal x > 0, by arithmetic alone: x = m · 2^e, ln m = 2 artanh((m − 1)/(m + 1)).
pub(super) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52)); // [1, 2)
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    let s = (m - 1.0) / (m + 1.0); // |s| < 0.172
    let s2 = s * s;
    let series = (0..11).rev().fold(0.0, |sum, k| sum * s2 + 1.0 / f64::from(2 * k + 1));
    2.0 * s * series + exponent as f64 * std::f64::consts::LN_2
}

/// eˣ for |x| < 700, likewise: x = k ln 2 + r, and the series of e^r.
pub(super) fn exp(x: f64) -> f64 {
    let k = (x / std::f64::consts::LN_2).round();
    let r = x - k * std::f64::consts::LN_2;
    let series = (1..18).rev().fold(1.0, |sum, n| 1.0 + sum * r / f64::from(n));
    series * f64::from_bits(((k as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles from tables of the normal distribution.
    #[test]
    fn quantiles() {
        let table = [
            (0.5, 0.0),
            (0.4, 0.2533471031357997),
            (0.025, 1.959963984540054),
            (0.024, 1.9773684281819468),
            (0.001, 3.090232306167813),
            (1e-6, 4.753424308822899),
        ];
        for (p, expected) in table {
            assert!((upper(p) - expected).abs() < 1e-8, "{p}: {}", upper(p));
            assert!((upper(1.0 - p) + expected).abs() < 1e-8, "{}", 1.0 - p);
        }
    }

    #[test]
    fn logarithm_and_exponential() {
        for i in 1..2000 {
            let x = f64::from(i) * f64::from(i) * 1e-5;
            assert!((ln(x) - x.ln()).abs() < 1e-14 * (1.0 + x.ln().abs()), "ln {x}");
            assert!((exp(x - 5.0) / (x - 5.0).exp() - 1.0).abs() < 1e-13, "exp {}", x - 5.0);
        }
    }
}
