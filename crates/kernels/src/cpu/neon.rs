//! Four 128-bit registers: aarch64, whose baseline has NEON and fused multiply-add.

use super::Lanes;
use super::portable::Ints;
use crate::naive::LANES;
use std::arch::aarch64::*;

#[derive(Clone, Copy)]
pub(crate) struct Neon([float32x4_t; 4]);

impl Lanes for Neon {
    type Ints = Ints<Neon>; // NEON multiplies integers no faster than floats: never chosen

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: NEON is part of the aarch64 baseline.
        unsafe { Neon([vdupq_n_f32(0.0); 4]) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for sixteen readable floats.
        unsafe { Neon([vld1q_f32(p), vld1q_f32(p.add(4)), vld1q_f32(p.add(8)), vld1q_f32(p.add(12))]) }
    }

    #[inline(always)]
    unsafe fn load_tail(p: *const f32, n: usize) -> Self {
        let mut full = [0.0f32; LANES];
        // SAFETY: the caller vouches for n readable floats, and n < 16 fits `full`.
        unsafe {
            std::ptr::copy_nonoverlapping(p, full.as_mut_ptr(), n);
            Self::load(full.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        let fma = |i: usize| {
            // SAFETY: NEON is part of the aarch64 baseline.
            unsafe { vfmaq_f32(self.0[i], a.0[i], b.0[i]) }
        };
        Neon([fma(0), fma(1), fma(2), fma(3)])
    }

    #[inline(always)]
    unsafe fn tree2(a: Self, b: Self) -> (f32, f32) {
        let one = |v: Self| {
            // SAFETY: NEON is part of the aarch64 baseline.
            unsafe {
                let fours = vaddq_f32(vaddq_f32(v.0[0], v.0[2]), vaddq_f32(v.0[1], v.0[3])); // l + (l+8), then + (l+4)
                let twos = vadd_f32(vget_low_f32(fours), vget_high_f32(fours));
                vget_lane_f32::<0>(twos) + vget_lane_f32::<1>(twos)
            }
        };
        (one(a), one(b))
    }

    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        // SAFETY: NEON is part of the aarch64 baseline.
        unsafe { Neon([vdupq_n_f32(v); 4]) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        let add = |i: usize| {
            // SAFETY: NEON is part of the aarch64 baseline.
            unsafe { vaddq_f32(self.0[i], other.0[i]) }
        };
        Neon([add(0), add(1), add(2), add(3)])
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        for (i, v) in self.0.into_iter().enumerate() {
            // SAFETY: the caller vouches for sixteen writable floats.
            unsafe { vst1q_f32(p.add(4 * i), v) };
        }
    }

    #[inline(always)]
    unsafe fn not_below(self, lo: Self) -> u32 {
        const BITS: [u32; 4] = [1, 2, 4, 8];
        let mut passes = 0;
        for i in 0..4 {
            // SAFETY: NEON is part of the aarch64 baseline; BITS has four readable words.
            let below =
                unsafe { vaddvq_u32(vandq_u32(vcleq_f32(self.0[i], lo.0[i]), vld1q_u32(BITS.as_ptr()))) };
            passes |= (below ^ 15) << (4 * i);
        }
        passes
    }
}
