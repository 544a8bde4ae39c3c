//! What a transformer does to one row besides products: norms, softmax, gates, soft-caps. All f32, all branch-free.
//!
//! `exp`, `tanh` and `erf` are our own polynomials, so that they vectorise and give the same bits on every machine (relative
//! errors below 1e-7, 3e-7 and 1e-7, see the tests); sums have the product's sixteen running sums and tree.

use crate::naive::{LANES, tree};

const ROUND: f32 = 12_582_912.0; // 1.5·2²³: adding it rounds to the nearest integer

/// x = n·ln 2 + r with |r| ≤ ln 2 / 2: (n, r), for |x| below 100. n comes from the low bits of a rounded sum; a checked
/// conversion would not vectorise.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = (-n).mul_add(LN2_LO, (-n).mul_add(LN2_HI, x));
    (shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32, r)
}

/// (e^r − 1) / r by the Taylor polynomial of degree 6.
#[inline(always)]
fn growth(r: f32) -> f32 {
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0] {
        p = r.mul_add(p, c);
    }
    p
}

/// 2ⁿ for n in -126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

/// e^x, relative error below 1e-7 where the result is a normal number. NaN stays NaN, x below -87.3 gives 0, above 88.73
/// infinity.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = if x > 89.0 { 89.0 } else { x };
    let clamped = if clamped < -88.0 { -88.0 } else { clamped };
    let (n, r) = reduce(clamped);
    let p = r.mul_add(growth(r), 1.0);
    // 2ⁿ in two halves, so that n = 128 still gives a finite factor before the last product overflows to infinity.
    let scaled = p * power_of_two(n >> 1) * power_of_two(n - (n >> 1));
    let scaled = if x < -87.3 { 0.0 } else { scaled };
    if x.is_nan() { x } else { scaled }
}

/// tanh x = t / (t + 2) with t = e^{2|x|} − 1 and x's sign; t is made without cancellation, so small x are as exact as
/// large ones.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let y = 2.0 * x.abs();
    let (n, r) = reduce(if y > 40.0 { 40.0 } else { y });
    let scale = power_of_two(n);
    let t = scale.mul_add(r * growth(r), scale - 1.0);
    (t / (t + 2.0)).copysign(x)
}

/// A polynomial in x, its coefficients from the highest power down.
#[inline(always)]
fn horner<const N: usize>(coefficients: [f32; N], x: f32) -> f32 {
    coefficients.into_iter().reduce(|p, c| p.mul_add(x, c)).unwrap_or(0.0)
}

/// The error function, by two fits: x + x·p(x²) up to 1, from there on 1 − e^{q(|x|)} with x's sign.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    const P: [f32; 7] = [
        7.889_115e-5,
        -8.020_84e-4,
        5.189_535e-3,
        -2.685_444_4e-2,
        1.128_36e-1,
        -3.761_262_6e-1,
        1.283_791_7e-1,
    ];
    const Q: [f32; 8] = [
        -1.820_856_8e-5,
        3.954_726_6e-4,
        -3.951_928_6e-3,
        2.445_478_7e-2,
        -1.071_044_06e-1,
        -6.345_607_6e-1,
        -1.128_837,
        1.649_836e-5,
    ];
    let y = if x.abs() > 4.0 { 4.0 } else { x.abs() }; // from here on it is 1; NaN stays
    let small = horner(P, y * y).mul_add(y, y);
    let large = 1.0 - exp(horner(Q, y));
    (if y < 1.0 { small } else { large }).copysign(x)
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

/// (x − mean(x)) / √(var(x) + ε), without gain and bias; x and out are [D].
#[inline(always)]
pub fn centred_norm(x: &[f32], eps: f32, out: &mut [f32]) {
    let mean = sum_by(x, |v| v) / x.len() as f32;
    let variance = sum_by(x, |v| (v - mean) * (v - mean)) / x.len() as f32;
    let scale = 1.0 / (variance + eps).sqrt();
    for (o, &v) in out.iter_mut().zip(x) {
        *o = (v - mean) * scale;
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

/// gate[i] ← gelu(gate[i])·up[i], gelu(x) = x/2·(1 + erf(x/√2)).
#[inline(always)]
pub fn gelu_mul(gate: &mut [f32], up: &[f32]) {
    for (g, &u) in gate.iter_mut().zip(up) {
        *g = 0.5 * *g * (1.0 + erf(*g * std::f32::consts::FRAC_1_SQRT_2)) * u;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, Isa};

    /// Floats from `low` to `high`: evenly spaced, and every 2¹⁰-th bit pattern.
    fn sweep(low: f32, high: f32) -> impl Iterator<Item = f32> {
        let even = (0..=400_000).map(move |i| low + (high - low) * (i as f32 / 400_000.0));
        let patterns = (0..=u32::MAX >> 10).map(|i| f32::from_bits(i << 10 | 0x155));
        even.chain(patterns.filter(move |x| (low..=high).contains(x)))
    }

    /// Largest relative error of `f` over the sweep, against the standard library's f64 function.
    fn relative_error(f: fn(f32) -> f32, exact: fn(f64) -> f64, low: f32, high: f32) -> f64 {
        let error = |x: f32| {
            let exact = exact(f64::from(x));
            let size = exact.abs().max(f64::from(f32::MIN_POSITIVE)); // below it f32 has fewer digits
            if exact == 0.0 { f64::from(f(x)).abs() } else { (f64::from(f(x)) - exact).abs() / size }
        };
        sweep(low, high).map(error).fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_exact_to_one_part_in_ten_million() {
        let error = relative_error(exp, f64::exp, -87.0, 88.0);
        assert!(error < 1e-7, "{error:e}");
        let error = relative_error(exp, f64::exp, 88.0, 88.72);
        assert!(error < 1e-7, "{error:e}");
    }

    #[test]
    fn exp_at_the_limits() {
        assert_eq!((exp(0.0), exp(-0.0)), (1.0, 1.0));
        assert_eq!((exp(f32::NEG_INFINITY), exp(-1e30), exp(-88.0), exp(-87.31)), (0.0, 0.0, 0.0, 0.0));
        assert_eq!(
            (exp(f32::INFINITY), exp(1e30), exp(89.0), exp(88.73)),
            (f32::INFINITY, f32::INFINITY, f32::INFINITY, f32::INFINITY)
        );
        assert!(exp(88.72) < f32::INFINITY && exp(-87.3) > 0.0 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_exact_to_three_parts_in_ten_million() {
        let error = relative_error(tanh, f64::tanh, -30.0, 30.0);
        assert!(error < 3e-7, "{error:e}");
    }

    #[test]
    fn tanh_at_the_limits() {
        assert_eq!((tanh(f32::INFINITY), tanh(f32::NEG_INFINITY), tanh(f32::MAX)), (1.0, -1.0, 1.0));
        assert_eq!((tanh(0.0).to_bits(), tanh(-0.0).to_bits()), (0.0f32.to_bits(), (-0.0f32).to_bits()));
        assert!(tanh(f32::NAN).is_nan() && tanh(1e-45) == 1e-45);
        assert!(sweep(-30.0, 30.0).all(|x| tanh(x).abs() <= 1.0 && tanh(-x) == -tanh(x)));
    }

    /// 2/√π Σ (−1)ⁿ x^{2n+1} / (n! (2n+1)), whose terms stay below e^{x²}: exact to 1e-9 up to 4.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..120 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn erf_is_exact_to_one_part_in_ten_million() {
        let error = relative_error(erf, erf_series, -4.0, 4.0);
        assert!(error < 1e-7, "{error:e}");
        assert_eq!((erf(4.0), erf(1e30), erf(f32::INFINITY), erf(f32::NEG_INFINITY)), (1.0, 1.0, 1.0, -1.0));
        assert_eq!((erf(0.0).to_bits(), erf(-0.0).to_bits()), (0.0f32.to_bits(), (-0.0f32).to_bits()));
        assert!(erf(f32::NAN).is_nan());
        assert!(sweep(-30.0, 30.0).all(|x| erf(x).abs() <= 1.0 && erf(-x) == -erf(x)));
    }

    /// Values in [-scale, scale), the same every time.
    fn values(n: usize, scale: f32) -> Vec<f32> {
        let mut seed = n as u64;
        let mut next = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((seed >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale
        };
        (0..n).map(|_| next()).collect()
    }

    /// |got − expected| ≤ tolerance·(|expected| + floor), for every element.
    fn close(name: &str, got: &[f32], expected: impl Iterator<Item = f64>, tolerance: f64, floor: f64) {
        for (i, (&got, expected)) in got.iter().zip(expected).enumerate() {
            let error = (f64::from(got) - expected).abs();
            assert!(
                error <= tolerance * (expected.abs() + floor),
                "{name}[{i}] = {got}, expected {expected}"
            );
        }
    }

    fn widen(v: &[f32]) -> Vec<f64> {
        v.iter().map(|&v| f64::from(v)).collect()
    }

    #[test]
    fn rows_are_the_formulas() {
        for (n, scale) in [(1, 1.0), (15, 0.1), (64, 4.0), (2305, 30.0)] {
            let (x, up) = (values(n, scale), values(n + 7, 2.0)[7..].to_vec());
            let (x64, up64) = (widen(&x), widen(&up));

            let mut out = vec![0.0; n];
            rms_norm(&x, 1e-5, &mut out);
            let root = (x64.iter().map(|x| x * x).sum::<f64>() / n as f64 + f64::from(1e-5f32)).sqrt();
            close("rms_norm", &out, x64.iter().map(|x| x / root), 4e-7, 0.0);

            centred_norm(&x, 1e-5, &mut out);
            let mean = x64.iter().sum::<f64>() / n as f64;
            let variance = x64.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            let root = (variance + f64::from(1e-5f32)).sqrt();
            close("centred_norm", &out, x64.iter().map(|x| (x - mean) / root), 1e-6, 1.0);

            let mut out = x.clone();
            softmax(&mut out);
            let max = x64.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = x64.iter().map(|x| (x - max).exp()).sum();
            close("softmax", &out, x64.iter().map(|x| (x - max).exp() / total), 5e-6, 1e-30);
            assert!((widen(&out).iter().sum::<f64>() - 1.0).abs() < 1e-6);

            let mut out = x.clone();
            softcap(&mut out, 5.0);
            close("softcap", &out, x64.iter().map(|x| 5.0 * (x / 5.0).tanh()), 5e-7, 0.0);

            let mut out = x.clone();
            silu_mul(&mut out, &up);
            close("silu", &out, x64.iter().zip(&up64).map(|(x, u)| x / (1.0 + (-x).exp()) * u), 5e-7, 1e-12);

            let mut out = x.clone();
            gelu_tanh_mul(&mut out, &up);
            let gelu = |x: f64| {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            };
            close("gelu", &out, x64.iter().zip(&up64).map(|(&x, u)| gelu(x) * u), 5e-7, 1.0);

            let mut out = x.clone();
            gelu_mul(&mut out, &up);
            let gelu = |x: f64| 0.5 * x * (1.0 + erf_series((x / 2f64.sqrt()).clamp(-4.0, 4.0)));
            close("exact gelu", &out, x64.iter().zip(&up64).map(|(&x, u)| gelu(x) * u), 5e-7, 1.0);
        }
    }

    #[test]
    fn softmax_of_odd_rows() {
        let of = |x: &[f32]| {
            let mut x = x.to_vec();
            softmax(&mut x);
            x
        };
        assert_eq!(of(&[3.0]), [1.0]);
        assert_eq!(of(&[f32::NEG_INFINITY, 0.0]), [0.0, 1.0]); // a masked place
        assert_eq!(of(&[1e30, 1e30]), [0.5, 0.5]);
        assert!(of(&[0.0, f32::NAN, 1.0]).iter().all(|v| v.is_nan()));
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let bits = |v: &[f32]| {
            v.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect::<Vec<u32>>()
        };
        for n in (1..70).chain([1023]) {
            let mut x = values(n, 20.0);
            if n > 5 {
                (x[1], x[3], x[4]) = (f32::NEG_INFINITY, -0.0, 1e-42);
            }
            let up = values(n + 1, 2.0)[1..].to_vec();
            let all = |device: Device| {
                let mut out = vec![0.0; n];
                device.rms_norm(&x, 1e-6, &mut out);
                let mut all = vec![bits(&out)];
                device.centred_norm(&x, 1e-6, &mut out);
                all.push(bits(&out));
                type Op<'a> = &'a dyn Fn(&mut [f32]);
                let ops: [Op; 5] = [
                    &|v| device.softmax(v),
                    &|v| device.softcap(v, 30.0),
                    &|v| device.silu_mul(v, &up),
                    &|v| device.gelu_tanh_mul(v, &up),
                    &|v| device.gelu_mul(v, &up),
                ];
                all.extend(ops.iter().map(|op| {
                    let mut v = x.clone();
                    op(&mut v);
                    bits(&v)
                }));
                all
            };
            let expected = all(Device::Cpu(Isa::Portable));
            for isa in Isa::available() {
                assert_eq!(all(Device::Cpu(isa)), expected, "{isa} n = {n}");
            }
        }
    }
}
