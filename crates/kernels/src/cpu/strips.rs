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

/// Asks for the 64 floats at `p`, which need not be readable; `NEAREST`: into the first-level cache.
#[inline(always)]
fn prefetch<const NEAREST: bool>(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..STRIP / LANES {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        let p = p.wrapping_add(line * LANES).cast();
        // SAFETY: a hint reads nothing, and every x86-64 processor has it.
        unsafe { if NEAREST { _mm_prefetch::<_MM_HINT_T0>(p) } else { _mm_prefetch::<_MM_HINT_T1>(p) } };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// out[s] ← (out[s] or 0) + Σ_k coeff[k]·strip[index[k]] over the terms k of s, for every sum s; rows of out are `step` apart.
/// A share of `next` is asked for with every sum, up to the size of a near strip.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn accumulate<L: Lanes>(
    terms: &Terms,
    strip: &[f32],
    next: &[f32],
    out: &mut [f32],
    step: usize,
    from: Begin,
) {
    let mut begin = 0;
    let far = strip.len() > NEAR;
    let next = &next[..next.len().min(NEAR)];
    let mut next = next.chunks(next.len().div_ceil(terms.end.len().max(1)).next_multiple_of(STRIP).max(1));
    for (&end, out) in terms.end.iter().zip(out.chunks_mut(step * STRIP)) {
        let end = end as usize;
        for row in next.next().unwrap_or_default().chunks(STRIP) {
            prefetch::<false>(row.as_ptr());
        }
        if begin == end && from == Begin::Out {
            continue;
        }
        let out = &mut out[..STRIP];
        // SAFETY: `out` and every `row` have 64 floats; the caller vouches for the instructions.
        unsafe {
            let mut sums = [L::zero(); SETS];
            if from == Begin::Out {
                for l in 0..SETS {
                    sums[l] = L::load(out.as_ptr().add(l * LANES));
                }
            }
            for (k, (&c, &i)) in
                (begin..end).zip(terms.coeff[begin..end].iter().zip(&terms.index[begin..end]))
            {
                if far && let Some(&next) = terms.index.get(k + AHEAD) {
                    prefetch::<true>(strip.as_ptr().wrapping_add(next as usize * STRIP));
                }
                let row = &strip[i as usize * STRIP..][..STRIP];
                let c = L::splat(c);
                for l in 0..SETS {
                    sums[l] = sums[l].fma(c, L::load(row.as_ptr().add(l * LANES)));
                }
            }
            for l in 0..SETS {
                sums[l].store(out.as_mut_ptr().add(l * LANES));
            }
        }
        begin = end;
    }
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
        prefetch::<true>(q.as_ptr().wrapping_add((s + 6) * d + column));
        // SAFETY: `whole` and every `row` have 64 floats, a running sum sixteen; the caller vouches for the instructions.
        unsafe {
            let mut query = [L::zero(); S];
            for l in 0..S {
                query[l] = L::load(whole.as_ptr().add(l * LANES));
            }
            let here = terms.index[begin..end].iter().zip(&mut running[begin..end]);
            for (k, (&i, running)) in (begin..end).zip(here) {
                if far && let Some(&next) = terms.index.get(k + AHEAD) {
                    prefetch::<true>(strip.as_ptr().wrapping_add(next as usize * STRIP));
                }
                let row = &strip[i as usize * STRIP..][..STRIP];
                let mut sums = L::load(running.as_ptr());
                for l in 0..S {
                    sums = sums.fma(query[l], L::load(row.as_ptr().add(l * LANES)));
                }
                sums.store(running.as_mut_ptr());
            }
        }
        begin = end;
    }
}
