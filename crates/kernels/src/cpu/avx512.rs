//! One 512-bit register: x86-64 with AVX-512 F and BW.
//!
//! Of the integers, sixteen sums of four terms take four instructions by Winograd (`strassen.rs`), whose multiplications are half
//! as many. Where the processor has VNNI, which multiplies and adds in one (`vpdpwssd`), they take two term by term.

use super::{Lanes, Pairs};
use std::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

impl Lanes for Avx512 {
    type Ints = Avx512Pairs<false>;
    const IN_REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Avx512(_mm512_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for AVX-512 and sixteen readable floats.
        unsafe { Avx512(_mm512_loadu_ps(p)) }
    }

    #[inline(always)]
    unsafe fn load_tail(p: *const f32, n: usize) -> Self {
        // SAFETY: the caller vouches for AVX-512 and n < 16 readable floats; masked-off lanes are not touched.
        unsafe { Avx512(_mm512_maskz_loadu_ps((1 << n) - 1, p)) }
    }

    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Avx512(_mm512_fmadd_ps(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn tree2(a: Self, b: Self) -> (f32, f32) {
        // SAFETY: the caller vouches for AVX-512.
        unsafe {
            let low = _mm512_shuffle_f32x4::<0b01_00_01_00>(a.0, b.0); // quarters a0, a1, b0, b1
            let high = _mm512_shuffle_f32x4::<0b11_10_11_10>(a.0, b.0); // a2, a3, b2, b3
            let eights = _mm512_add_ps(low, high); // l + (l+8)
            let fours = _mm512_add_ps(eights, _mm512_shuffle_f32x4::<0b10_11_00_01>(eights, eights));
            let twos = _mm512_add_ps(fours, _mm512_permute_ps::<0b11_10_11_10>(fours));
            let ones = _mm512_add_ps(twos, _mm512_permute_ps::<0b01_01_01_01>(twos));
            (_mm512_cvtss_f32(ones), _mm_cvtss_f32(_mm512_extractf32x4_ps::<2>(ones)))
        }
    }

    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Avx512(_mm512_set1_ps(v)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Avx512(_mm512_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for AVX-512 and sixteen writable floats.
        unsafe { _mm512_storeu_ps(p, self.0) };
    }

    #[inline(always)]
    unsafe fn not_below(self, lo: Self) -> u32 {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(self.0, lo.0).into() }
    }
}

/// With or without VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Pairs<const VNNI: bool>(__m512i);

impl<const VNNI: bool> Pairs for Avx512Pairs<VNNI> {
    type Floats = Avx512;
    const FUSED: bool = VNNI;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Avx512Pairs(_mm512_setzero_si512()) }
    }

    #[inline(always)]
    unsafe fn load(p: *const i16) -> Self {
        // SAFETY: the caller vouches for AVX-512 and 32 readable integers.
        unsafe { Avx512Pairs(_mm512_loadu_si512(p.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut i32) {
        // SAFETY: the caller vouches for AVX-512 and sixteen writable integers.
        unsafe { _mm512_storeu_si512(p.cast(), self.0) };
    }

    #[inline(always)]
    unsafe fn prefetch(p: *const i16) {
        // SAFETY: a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) };
    }

    #[inline(always)]
    unsafe fn splat(pair: i32) -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Avx512Pairs(_mm512_set1_epi32(pair)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Avx512Pairs(_mm512_add_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Avx512Pairs(_mm512_sub_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller vouches for AVX-512 with BW, and with VNNI where that is said.
        unsafe {
            match VNNI {
                true => Avx512Pairs(_mm512_dpwssd_epi32(self.0, a.0, b.0)),
                false => Avx512Pairs(_mm512_add_epi32(self.0, _mm512_madd_epi16(a.0, b.0))),
            }
        }
    }

    #[inline(always)]
    unsafe fn add_crossed(self, a: [Self; 2], b: [Self; 2]) -> Self {
        // SAFETY: the caller vouches for AVX-512 with BW.
        unsafe {
            let first = _mm512_add_epi16(a[0].0, b[1].0);
            let second = _mm512_add_epi16(a[1].0, b[0].0);
            Avx512Pairs(_mm512_add_epi32(self.0, _mm512_madd_epi16(first, second)))
        }
    }

    #[inline(always)]
    unsafe fn floats(self) -> Avx512 {
        // SAFETY: the caller vouches for AVX-512.
        unsafe { Avx512(_mm512_cvtepi32_ps(self.0)) }
    }
}
