//! Sixteen floats in an array: any processor, no intrinsics.

use super::Lanes;
use crate::naive::{LANES, tree};

/// Sixteen running sums.
pub(crate) type Array = [f32; LANES];

impl Lanes for Array {
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
    unsafe fn fma(mut self, a: Self, b: Self) -> Self {
        for l in 0..LANES {
            self[l] = a[l].mul_add(b[l], self[l]);
        }
        self
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
