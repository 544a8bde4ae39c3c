//! Sixteen floats in an array: any processor, no intrinsics.
//!
//! x86-64 without FMA has no fused multiply-add, and `f32::mul_add` is a library call there. [`fma`] makes the same bits from
//! f64 arithmetic, several times faster.

use super::{Lanes, Pairs};
use crate::naive::{LANES, tree};
use std::marker::PhantomData;

/// Sixteen running sums.
pub(crate) type Array = [f32; LANES];

impl Lanes for Array {
    type Ints = Ints<Array>;

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; LANES]
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for sixteen readable floats; an array of f32 has the alignment of f32.
        unsafe { *p.cast::<[f32; LANES]>() }
    }

    #[inline(always)]
    unsafe fn load_tail(p: *const f32, n: usize) -> Self {
        let mut out = [0.0; LANES];
        // SAFETY: the caller vouches for n readable floats, and n < 16 fits `out`.
        unsafe { std::ptr::copy_nonoverlapping(p, out.as_mut_ptr(), n) };
        out
    }

    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        fma(a, b, self)
    }

    #[inline(always)]
    unsafe fn tree2(a: Self, b: Self) -> (f32, f32) {
        (tree(a), tree(b))
    }

    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        [v; LANES]
    }

    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for l in 0..LANES {
            self[l] += other[l];
        }
        self
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for sixteen writable floats; an array of f32 has the alignment of f32.
        unsafe { *p.cast::<[f32; LANES]>() = self };
    }

    #[inline(always)]
    unsafe fn not_below(self, lo: Self) -> u32 {
        (0..LANES).map(|l| u32::from(!(self[l] <= lo[l])) << l).sum()
    }
}

/// Sixteen sums, or sixteen pairs of 16-bit integers in their halves, beside the floats L.
#[derive(Clone, Copy)]
pub(crate) struct Ints<L>([i32; LANES], PhantomData<L>);

impl<L: Lanes> Pairs for Ints<L> {
    type Floats = L;
    const FUSED: bool = false;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Ints([0; LANES], PhantomData)
    }

    #[inline(always)]
    unsafe fn load(p: *const i16) -> Self {
        // SAFETY: the caller vouches for 32 readable integers; an array of i16 has the alignment of i16.
        let pairs = unsafe { *p.cast::<[[i16; 2]; LANES]>() };
        Ints(pairs.map(|[low, high]| i32::from(low as u16) | i32::from(high) << 16), PhantomData)
    }

    #[inline(always)]
    unsafe fn splat(pair: i32) -> Self {
        Ints([pair; LANES], PhantomData)
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut i32) {
        // SAFETY: the caller vouches for sixteen writable integers; an array of i32 has the alignment of i32.
        unsafe { *p.cast::<[i32; LANES]>() = self.0 };
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const i16) {}

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Ints(std::array::from_fn(|l| self.0[l].wrapping_add(other.0[l])), PhantomData)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Ints(std::array::from_fn(|l| self.0[l].wrapping_sub(other.0[l])), PhantomData)
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        let (low, high) = (|v: i32| i32::from(v as i16), |v: i32| v >> 16);
        let product = |l: usize| {
            let (a, b) = (a.0[l], b.0[l]);
            (low(a) * low(b)).wrapping_add(high(a) * high(b))
        };
        Ints(std::array::from_fn(|l| self.0[l].wrapping_add(product(l))), PhantomData)
    }

    #[inline(always)]
    unsafe fn add_crossed(self, a: [Self; 2], b: [Self; 2]) -> Self {
        let (low, high) = (|v: i32| i32::from(v as i16), |v: i32| v >> 16);
        let sum = |l: usize| {
            let [a0, a1, b0, b1] = [a[0].0[l], a[1].0[l], b[0].0[l], b[1].0[l]];
            let lows = (low(a0) + low(b1)) * (low(a1) + low(b0));
            let highs = (high(a0) + high(b1)) * (high(a1) + high(b0));
            self.0[l].wrapping_add(lows.wrapping_add(highs))
        };
        Ints(std::array::from_fn(sum), PhantomData)
    }

    #[inline(always)]
    unsafe fn floats(self) -> L {
        let floats = self.0.map(|sum| sum as f32);
        // SAFETY: `floats` has sixteen; the caller vouches for the instructions.
        unsafe { L::load(floats.as_ptr()) }
    }
}

/// a·b + c, each lane rounded once.
#[inline(always)]
#[cfg(not(all(target_arch = "x86_64", not(target_feature = "fma"))))]
fn fma(a: Array, b: Array, c: Array) -> Array {
    std::array::from_fn(|l| a[l].mul_add(b[l], c[l]))
}

/// a·b + c, each lane rounded once.
///
/// In f64 the product is exact and only the sum is rounded. Rounding that to f32 is right unless the f64 stands exactly half
/// way between two f32 (it may only look so), or the f32 is subnormal; such lanes, which are rare, are done again.
#[inline(always)]
#[cfg(all(target_arch = "x86_64", not(target_feature = "fma")))]
fn fma(a: Array, b: Array, c: Array) -> Array {
    const BELOW: u64 = (1 << 29) - 1; // the bits of an f64 that an f32 has no room for
    let wide: [f64; LANES] = std::array::from_fn(|l| f64::from(a[l]) * f64::from(b[l]) + f64::from(c[l]));
    let mut out: Array = std::array::from_fn(|l| wide[l] as f32);
    let doubtful = |w: f64| {
        let half_way = w.to_bits() & BELOW == 1 << 28;
        let tiny = w.abs() < f64::from(f32::MIN_POSITIVE) && w != 0.0;
        half_way | tiny
    };
    if wide.iter().fold(false, |any, &w| any | doubtful(w)) {
        for l in 0..LANES {
            if doubtful(wide[l]) {
                out[l] = a[l].mul_add(b[l], c[l]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Any three floats; and a third one that puts the sum near or on the middle between two f32.
        #[test]
        fn fma_is_rounded_once(a: f32, b: f32, c: f32, near in 0u32..64, down in 20i32..30) {
            let product = a * b;
            let middle = f32::from_bits((product.to_bits() & !63) | near) * (-f64::from(down)).exp2() as f32;
            let odd = [0.0, -0.0, 1e-45, -1e-39, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
            for third in [c, middle, -middle, -product, product].into_iter().chain(odd) {
                let got = fma([a; LANES], [b; LANES], [third; LANES])[3];
                let expected = a.mul_add(b, third);
                prop_assert!(got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan()),
                    "{a:e}·{b:e} + {third:e} = {got:e}, expected {expected:e}");
            }
        }

        /// Few significant bits, so that sums often fall exactly on the middle.
        #[test]
        fn fma_breaks_ties_to_even(a in 1u32..1 << 13, b in 1u32..1 << 13, c in 1u32..1 << 24, shift in 0i32..40) {
            let (a, b) = (a as f32, b as f32);
            for c in [c as f32, -(c as f32)].map(|c| c * f64::from(shift - 20).exp2() as f32) {
                let got = fma([a; LANES], [b; LANES], [c; LANES])[0];
                prop_assert_eq!(got.to_bits(), a.mul_add(b, c).to_bits());
            }
        }
    }
}
