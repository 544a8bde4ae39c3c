//! The sums of `naive/gather.rs` over one strip (`strips.rs`): 64 columns stay in registers while the chosen rows pass.
//!
//! Rows are asked for some terms ahead, across the end of a sum: else each short sum waits for the cache anew.

use super::Lanes;
use crate::naive::LANES;
use crate::strips::{Begin, STRIP, Terms};

/// Sets of lanes in a strip.
const SETS: usize = STRIP / LANES;
/// So many terms ahead are rows asked for.
const AHEAD: usize = 12;
/// A strip of so many floats (32 KiB) stays in the first-level cache; nothing is asked for ahead.
const NEAR: usize = 8192;

/// Asks for the 64 floats at `p`, which need not be readable.
#[inline(always)]
fn prefetch(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..STRIP / LANES {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint reads nothing, and every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.wrapping_add(line * LANES).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Panics unless every term's row is one of the strip's. Asked once, so that the loops over the terms need not.
#[inline(always)]
fn check_rows(terms: &Terms, strip: &[f32]) {
    let largest = terms.index.iter().fold(0, |largest, &i| largest.max(i)) as usize;
    assert!(terms.index.is_empty() || largest < strip.len() / STRIP, "a strip of more than {largest} rows");
}

/// out[s] ← (out[s] or 0) + Σ_k coeff[k]·strip[index[k]] over the terms k of s, for every sum s; rows of out are `step` apart.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn accumulate<L: Lanes>(
    terms: &Terms,
    strip: &[f32],
    out: &mut [f32],
    step: usize,
    from: Begin,
) {
    check_rows(terms, strip);
    let mut begin = 0;
    let far = strip.len() > NEAR;
    for (&end, out) in terms.end.iter().zip(out.chunks_mut(step * STRIP)) {
        let end = end as usize;
        if begin == end && from == Begin::Out {
            continue;
        }
        let out = &mut out[..STRIP];
        let list = (&terms.coeff[begin..end], &terms.index[begin..end]);
        // SAFETY: `out` has 64 floats, every term a row of `strip`; the caller vouches for the instructions.
        unsafe {
            let mut sums = [L::zero(); SETS];
            if from == Begin::Out {
                for l in 0..SETS {
                    sums[l] = L::load(out.as_ptr().add(l * LANES));
                }
            }
            sums = if far {
                add_terms::<L, true>(sums, list, &terms.index[begin..], strip.as_ptr())
            } else {
                add_terms::<L, false>(sums, list, &[], strip.as_ptr())
            };
            for l in 0..SETS {
                sums[l].store(out.as_mut_ptr().add(l * LANES));
            }
        }
        begin = end;
    }
}

/// sums + Σ_k coeff[k]·row index[k]. From `FAR` away rows are asked for ahead; `ahead` begins with the same indices.
///
/// # Safety
/// The processor has L's instructions; `strip` has the 64 floats of every row.
#[inline(always)]
unsafe fn add_terms<L: Lanes, const FAR: bool>(
    mut sums: [L; SETS],
    (coeff, index): (&[f32], &[u32]),
    ahead: &[u32],
    strip: *const f32,
) -> [L; SETS] {
    for (k, (&c, &i)) in coeff.iter().zip(index).enumerate() {
        if FAR && let Some(&next) = ahead.get(k + AHEAD) {
            prefetch(strip.wrapping_add(next as usize * STRIP));
        }
        // SAFETY: the caller vouches for the row and for the instructions.
        unsafe {
            let (c, row) = (L::splat(c), strip.add(i as usize * STRIP));
            for l in 0..SETS {
                sums[l] = sums[l].fma(c, L::load(row.add(l * LANES)));
            }
        }
    }
    sums
}

/// Adds the terms of columns `column..column + width`, of `S` sets of lanes, to the sixteen running sums of every
/// dot(q[s], strip[index[k]]); q [S, D].
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn dots<L: Lanes, const S: usize>(
    terms: &Terms,
    q: &[f32],
    d: usize,
    column: usize,
    strip: &[f32],
    running: &mut [[f32; LANES]],
) {
    check_rows(terms, strip);
    let mut begin = 0;
    let width = STRIP.min(d - column);
    let far = strip.len() > NEAR;
    for (s, &end) in terms.end.iter().enumerate() {
        let end = end as usize;
        if begin == end {
            continue;
        }
        let mut whole = [0.0; STRIP];
        whole[..width].copy_from_slice(&q[s * d + column..][..width]);
        prefetch(q.as_ptr().wrapping_add((s + 6) * d + column));
        // SAFETY: `whole` has 64 floats, every term a row of `strip`; the caller vouches for the instructions.
        unsafe {
            let mut query = [L::zero(); S];
            for l in 0..S {
                query[l] = L::load(whole.as_ptr().add(l * LANES));
            }
            let (index, running) = (&terms.index[begin..end], &mut running[begin..end]);
            if far {
                add_products::<L, S, true>(query, index, &terms.index[begin..], strip.as_ptr(), running);
            } else {
                add_products::<L, S, false>(query, index, &[], strip.as_ptr(), running);
            }
        }
        begin = end;
    }
}

/// Adds the terms of dot(query, row index[k]) to the running sums of every k.
///
/// # Safety
/// As [`add_terms`].
#[inline(always)]
unsafe fn add_products<L: Lanes, const S: usize, const FAR: bool>(
    query: [L; S],
    index: &[u32],
    ahead: &[u32],
    strip: *const f32,
    running: &mut [[f32; LANES]],
) {
    for (k, (&i, running)) in index.iter().zip(running).enumerate() {
        if FAR && let Some(&next) = ahead.get(k + AHEAD) {
            prefetch(strip.wrapping_add(next as usize * STRIP));
        }
        // SAFETY: a running sum has sixteen floats; the caller vouches for the row and for the instructions.
        unsafe {
            let row = strip.add(i as usize * STRIP);
            let mut sums = L::load(running.as_ptr());
            for l in 0..S {
                sums = sums.fma(query[l], L::load(row.add(l * LANES)));
            }
            sums.store(running.as_mut_ptr());
        }
    }
}
