//! Tests of the bf16 product: the definition against another reading of it, every way to compute it against the definition,
//! bit by bit, and the instruction against the arithmetic that stands for it.

use crate::cpu::widened::Order;
use crate::naive::bf16::factor;
use crate::naive::{self, LANES};
use crate::tests::{bits, devices, nasty_values, values};
use crate::{Bf16, Device, Operand, Term};
use proptest::prelude::*;

fn rounded(v: &[f32]) -> Vec<Bf16> {
    v.iter().map(|&v| Bf16::round(v)).collect()
}

/// Nearest by distance in f64, of two as near the one with an even last bit.
#[test]
fn rounding_is_to_the_nearest_even() {
    for v in values(20_000, 1).into_iter().chain([
        1e-40,
        -3e-39,
        1e-45,
        3.3e38,
        0.0,
        -0.0,
        1.0 + 1.0 / 256.0,
        1.0 + 3.0 / 256.0,
    ]) {
        let down = Bf16((v.to_bits() >> 16) as u16);
        let up = Bf16(down.0 + 1);
        let off = |b: Bf16| (f64::from(b.widen()) - f64::from(v)).abs();
        let expected = match off(down).total_cmp(&off(up)) {
            std::cmp::Ordering::Less => down,
            std::cmp::Ordering::Greater => up,
            std::cmp::Ordering::Equal if down.0.is_multiple_of(2) => down,
            std::cmp::Ordering::Equal => up,
        };
        assert_eq!(Bf16::round(v), expected, "{v:e}");
    }
    assert_eq!(Bf16::round(f32::MAX).widen(), f32::INFINITY);
    assert_eq!(Bf16::round(f32::NEG_INFINITY).widen(), f32::NEG_INFINITY);
    for nan in [0x7f80_0001u32, 0xff80_ffff, 0x7fff_ffff] {
        assert!(Bf16::round(f32::from_bits(nan)).widen().is_nan());
    }
    assert_eq!(Bf16::exactly(1.5), Some(Bf16(0x3fc0)));
    assert_eq!(Bf16::exactly(1.001), None);
}

#[test]
fn factors_below_two_to_the_minus_56_are_zero() {
    let smallest = 2f32.powi(-56);
    assert_eq!(factor(Bf16::round(smallest)).widen(), smallest);
    assert_eq!(factor(Bf16::round(-smallest)).widen(), -smallest);
    assert_eq!(factor(Bf16::round(smallest * 0.99)).widen(), 0.0);
    assert!(factor(Bf16::round(f32::NAN)).widen().is_nan());
    assert!([0.0, -0.0, smallest, -smallest, f32::NAN].iter().all(|&v| Bf16::round(v).is_factor()));
    assert!(![smallest * 0.99, -1e-40].iter().any(|&v| Bf16::round(v).is_factor()));
    // As small as products get: 2⁻⁵⁶ · 2⁻⁵⁶, and the least step between two of them.
    let step = smallest * (1.0 + 1.0 / 128.0);
    let (x, w) = ([smallest, step, 0.0], rounded(&[smallest, -smallest, 0.0]));
    assert_eq!(naive::bf16::dot(&x, &w), -(2f32.powi(-119)));
    assert_eq!(naive::bf16::dot(&[1e-18, 1.0], &rounded(&[1e18, 1e-18])), 0.0);
}

/// docs/numerics.md §2 once more: one running sum by hand, sums as k mod 32 says, and the size of the error.
#[test]
fn the_naive_dot_is_the_definition() {
    for d in 0..140 {
        let (a, w) = (values(d, 1), rounded(&values(d, 2)));
        let mut s = [0.0f32; LANES];
        let mut order: Vec<usize> = (0..d).collect();
        order.sort_by_key(|k| (k / 2, 1 - k % 2));
        for k in order {
            s[k % 32 / 2] = Bf16::round(a[k]).widen().mul_add(w[k].widen(), s[k % 32 / 2]);
        }
        assert_eq!(naive::bf16::dot(&a, &w).to_bits(), naive::tree(s).to_bits(), "D = {d}");
        let term = |(a, w): (&f32, &Bf16)| f64::from(Bf16::round(*a).widen()) * f64::from(w.widen());
        let exact: f64 = a.iter().zip(&w).map(term).sum();
        let size: f64 = a.iter().zip(&w).map(term).map(f64::abs).sum();
        assert!((f64::from(naive::bf16::dot(&a, &w)) - exact).abs() <= 1e-6 * size, "D = {d}");
    }
    // One register of sixteen pairs twice: sum 0 takes 1, 0, 33, 32.
    let mut a = [0.0f32; 64];
    (a[1], a[0], a[33], a[32]) = (1e8, 1.0, -1e8, 1.0);
    assert_eq!(
        naive::bf16::dot(&a, &rounded(&[1.0; 64])),
        1.0 + (Bf16::round(1e8).widen() - Bf16::round(1e8).widen())
    );
}

/// Every way to multiply bf16 matrices, of one shape.
fn check(device: Device, n: usize, d: usize, m: usize, seed: u64) {
    let values_of = if seed.is_multiple_of(2) { values } else { nasty_values };
    let (x, w, b) = (values_of(n * d, seed), rounded(&values_of(m * d, seed + 1)), values(m, seed + 2));
    let wide: Vec<f32> = w.iter().map(|w| w.widen()).collect();
    let name = format!("{device:?} N = {n} D = {d} M = {m} seed {seed}");
    let (mut expected, mut got) = (vec![7.0; n * m], vec![8.0; n * m]);
    for bias in [None, Some(&b[..])] {
        let as_it_is = w.iter().all(|w| w.is_factor());
        let operands = [Operand::Widened(&w), Operand::Rounded(&w), Operand::Factors(&w)];
        for operand in operands.into_iter().take(if as_it_is { 3 } else { 2 }) {
            match operand {
                Operand::Rounded(w) | Operand::Factors(w) => {
                    naive::bf16::linear(&x, w, bias, d, &mut expected)
                }
                _ => naive::linear(&x, &wide, bias, d, &mut expected),
            }
            for rows in [1, 1_000] {
                let matrix = device.matrix(operand, d, rows);
                got.fill(8.0);
                device.linear_tile(&x, &matrix, bias, &mut got);
                assert_eq!(bits(&got), bits(&expected), "{operand:.0?} linear_tile {name}, {rows} rows");
                got.fill(8.0);
                device.multiply(&x, &matrix, bias, &mut got);
                assert_eq!(bits(&got), bits(&expected), "{operand:.0?} multiply {name}, {rows} rows");
            }
            if m > 0 {
                let matrix = device.matrix(operand, d, 1);
                let mut twice = [vec![8.0; n * m], vec![9.0; n * m]];
                let terms = twice.iter_mut().map(|out| Term { matrix: &matrix, bias, out }).collect();
                device.multiply_wide(&x, terms);
                twice.iter().for_each(|got| assert_eq!(bits(got), bits(&expected), "multiply_wide {name}"));
            }
        }
        // Where an instruction does it, the arithmetic that stands for it has not been asked yet.
        got.fill(8.0);
        device.linear_emulated(&x, &w, bias, d, &mut got);
        assert_eq!(bits(&got), bits(&expected), "emulated {name}");
        if m > 0 {
            let (packed, width) = (Operand::Rounded(&w).packed(d), Order::OddFirst.width(d));
            got.fill(8.0);
            device.linear_packed(&device.rounded(&x, d), width, &packed, bias, &mut got, m);
            assert_eq!(bits(&got), bits(&expected), "emulated and packed {name}");
        }
    }
}

#[test]
fn products_of_bf16_are_the_naive_ones_on_odd_shapes() {
    for device in devices() {
        for d in [1, 2, 3, 15, 16, 31, 32, 33, 63, 64, 65, 97] {
            // Of these, D 32, 64 and M 8, 12 are read as they lie, where w has nothing but factors (even seeds).
            for (n, m) in [(0, 5), (1, 1), (1, 0), (1, 8), (2, 3), (5, 17), (6, 12), (7, 33), (13, 2)] {
                check(device, n, d, m, 2 * d as u64);
                check(device, n, d, m, 2 * d as u64 + 1);
            }
        }
    }
}

/// Several blocks of w, several groups of rows, columns shared among threads.
#[test]
fn products_of_bf16_are_the_naive_ones_on_large_shapes() {
    for device in devices() {
        for (n, d, m) in [
            (131, 33, 70),
            (1, 530, 700),
            (1, 576, 300),
            (3, 2050, 70),
            (9, 1088, 300),
            (47, 600, 130),
            (150, 1100, 20),
        ] {
            check(device, n, d, m, 5);
            check(device, n, d, m, 6);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(target_arch = "x86_64") { 128 } else { 32 }))]

    #[test]
    fn products_of_bf16_are_the_naive_ones(n in 0usize..40, d in 1usize..140, m in 0usize..40, seed: u64) {
        for device in devices() {
            check(device, n, d, m, seed >> 1);
        }
    }
}

/// What `vdpbf16ps` does with any bits: factors, sum and results below 2⁻¹²⁶ are zeros (a result as it would be rounded if
/// exponents had no end), the odd term comes first. This is not needed for the product, whose factors never meet it; it is what
/// shows that the instruction is plain arithmetic otherwise.
#[cfg(target_arch = "x86_64")]
mod instruction {
    use super::*;
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn instruction(c: &[f32; 16], x: &[u32; 16], w: &[u32; 16]) -> [f32; 16] {
        let mut out = [0.0; 16];
        // SAFETY: arrays of sixteen words; the types of a register are 64 bytes without meaning of their own.
        unsafe {
            let [x, w] = [x, w]
                .map(|p| std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(p.as_ptr().cast())));
            _mm512_storeu_ps(out.as_mut_ptr(), _mm512_dpbf16_ps(_mm512_loadu_ps(c.as_ptr()), x, w));
        }
        out
    }

    fn flushed(v: f32) -> f32 {
        if v.abs() < f32::MIN_POSITIVE { 0f32.copysign(v) } else { v }
    }

    fn step(c: f32, x: u16, w: u16) -> f32 {
        let [c, x, w] = [c, Bf16(x).widen(), Bf16(w).widen()].map(flushed);
        let sum = x.mul_add(w, c);
        // Near 2⁻¹²⁶ the sum is exact in f64. With 24 bits below it, it would have been rounded up to it only from here on.
        let exact = f64::from(x) * f64::from(w) + f64::from(c);
        let tiny = exact.abs() < f64::from(f32::MIN_POSITIVE) * (1.0 - 2f64.powi(-25));
        if sum.abs() == f32::MIN_POSITIVE && tiny { 0f32.copysign(sum) } else { flushed(sum) }
    }

    fn twice(c: f32, x: u32, w: u32) -> f32 {
        let odd = step(c, (x >> 16) as u16, (w >> 16) as u16);
        step(odd, x as u16, w as u16)
    }

    /// Bits of one lane: any; sums beside 2⁻¹²⁶; denormals; huge.
    fn lane(kind: usize, next: &mut impl FnMut() -> u32) -> (f32, u32, u32) {
        let (mut c, mut words) = (next(), [0; 4]);
        let mut pair = |first: u32, span: u32| {
            words.fill_with(&mut *next);
            let half = |a: u32, b: u32| (first + a % span) << 7 | b & 0x807f;
            half(words[0], words[1]) << 16 | half(words[2], words[3])
        };
        match kind {
            0 => (f32::from_bits(c), next(), next()),
            1 => {
                let (x, w) = (pair(57, 1), pair(41, 8));
                let one = [0xffff_ffff, 0xffff_0000][((c >> 8) & 1) as usize]; // both terms, or the odd one alone
                c = (0x0080_0000 + c % 4) | (c & (1 << 31));
                (f32::from_bits(c), x & one, w)
            }
            2 => (f32::from_bits(c & 0x81ff_ffff), pair(0, 24), pair(0, 180)),
            _ => {
                c = ((200 + c % 55) << 23) | (c.rotate_left(9) & 0x807f_ffff);
                (f32::from_bits(c), pair(180, 75), pair(180, 75))
            }
        }
    }

    #[test]
    fn the_instruction_is_two_steps_of_fused_multiply_add_on_millions_of_cases() {
        if !is_x86_feature_detected!("avx512bf16") {
            return; // nothing to compare with
        }
        let mut state = 1u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) as u32
        };
        for case in 0..1_000_000 {
            let (mut c, mut x, mut w) = ([0.0; 16], [0; 16], [0; 16]);
            (0..16).for_each(|l| (c[l], x[l], w[l]) = lane(case % 4, &mut next));
            // SAFETY: the processor has just been asked.
            let found = unsafe { instruction(&c, &x, &w) };
            let expected: [f32; 16] = std::array::from_fn(|l| twice(c[l], x[l], w[l]));
            assert_eq!(bits(&found), bits(&expected), "{c:?} + {x:08x?} · {w:08x?}");
        }
    }
}
