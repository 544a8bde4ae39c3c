//! Two 256-bit registers: x86-64 with AVX2 and FMA.

use super::{Lanes, Pairs};
use std::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256, __m256);

/// `MASK[16 - n..]` has n leading ones: the load mask of a tail of n floats.
static MASK: [i32; 32] = {
    let mut mask = [0; 32];
    let mut i = 0;
    while i < 16 {
        mask[i] = -1;
        i += 1;
    }
    mask
};

impl Lanes for Avx2 {
    type Ints = Avx2Pairs;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Avx2(_mm256_setzero_ps(), _mm256_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for AVX2 and sixteen readable floats.
        unsafe { Avx2(_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))) }
    }

    #[inline(always)]
    unsafe fn load_tail(p: *const f32, n: usize) -> Self {
        // SAFETY: the caller vouches for AVX2 and n readable floats; masked-off lanes are not touched, and the mask's
        // sixteen entries from 16 - n lie inside MASK.
        unsafe {
            let mask = MASK.as_ptr().add(16 - n).cast::<__m256i>();
            let low = _mm256_maskload_ps(p, _mm256_loadu_si256(mask));
            let high = _mm256_maskload_ps(p.wrapping_add(8), _mm256_loadu_si256(mask.add(1)));
            Avx2(low, high)
        }
    }

    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller vouches for FMA.
        unsafe { Avx2(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
    }

    #[inline(always)]
    unsafe fn tree2(a: Self, b: Self) -> (f32, f32) {
        // SAFETY: the caller vouches for AVX2.
        unsafe {
            let a = _mm256_add_ps(a.0, a.1); // l + (l+8)
            let b = _mm256_add_ps(b.0, b.1);
            let fours = _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
            let twos = _mm256_add_ps(fours, _mm256_permute_ps(fours, 0b11_10_11_10));
            let ones = _mm256_add_ps(twos, _mm256_permute_ps(twos, 0b01_01_01_01));
            (_mm256_cvtss_f32(ones), _mm_cvtss_f32(_mm256_extractf128_ps(ones, 1)))
        }
    }

    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Avx2(_mm256_set1_ps(v), _mm256_set1_ps(v)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Avx2(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for AVX2 and sixteen writable floats.
        unsafe {
            _mm256_storeu_ps(p, self.0);
            _mm256_storeu_ps(p.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn not_below(self, lo: Self) -> u32 {
        // SAFETY: the caller vouches for AVX2.
        unsafe {
            let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(self.0, lo.0)) as u32;
            let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(self.1, lo.1)) as u32;
            low | high << 8
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Avx2Pairs(__m256i, __m256i);

impl Pairs for Avx2Pairs {
    type Floats = Avx2;
    const FUSED: bool = false;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Avx2Pairs(_mm256_setzero_si256(), _mm256_setzero_si256()) }
    }

    #[inline(always)]
    unsafe fn load(p: *const i16) -> Self {
        // SAFETY: the caller vouches for AVX2 and 32 readable integers.
        unsafe { Avx2Pairs(_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(16).cast())) }
    }

    #[inline(always)]
    unsafe fn splat(pair: i32) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Avx2Pairs(_mm256_set1_epi32(pair), _mm256_set1_epi32(pair)) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut i32) {
        // SAFETY: the caller vouches for AVX2 and sixteen writable integers.
        unsafe {
            _mm256_storeu_si256(p.cast(), self.0);
            _mm256_storeu_si256(p.add(8).cast(), self.1);
        }
    }

    #[inline(always)]
    unsafe fn prefetch(p: *const i16) {
        // SAFETY: a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) };
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Avx2Pairs(_mm256_add_epi32(self.0, other.0), _mm256_add_epi32(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Avx2Pairs(_mm256_sub_epi32(self.0, other.0), _mm256_sub_epi32(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe {
            let (low, high) = (_mm256_madd_epi16(a.0, b.0), _mm256_madd_epi16(a.1, b.1));
            Avx2Pairs(_mm256_add_epi32(self.0, low), _mm256_add_epi32(self.1, high))
        }
    }

    #[inline(always)]
    unsafe fn add_crossed(self, a: [Self; 2], b: [Self; 2]) -> Self {
        // SAFETY: the caller vouches for AVX2.
        unsafe {
            let low = _mm256_madd_epi16(_mm256_add_epi16(a[0].0, b[1].0), _mm256_add_epi16(a[1].0, b[0].0));
            let high = _mm256_madd_epi16(_mm256_add_epi16(a[0].1, b[1].1), _mm256_add_epi16(a[1].1, b[0].1));
            Avx2Pairs(_mm256_add_epi32(self.0, low), _mm256_add_epi32(self.1, high))
        }
    }

    #[inline(always)]
    unsafe fn floats(self) -> Avx2 {
        // SAFETY: the caller vouches for AVX2.
        unsafe { Avx2(_mm256_cvtepi32_ps(self.0), _mm256_cvtepi32_ps(self.1)) }
    }
}
