//! Weighted sums of rows, Σ_k p[k]·v[k], in the product's order. Sixteen columns at a time: each of the product's sixteen
//! running sums is a register of columns, and its tree is walked depth first, so that only a few of them live at once.

use super::Lanes;
use crate::naive::{self, LANES};

/// out[d] = Σ_k p[k]·v[k·stride + d]; p [K], out [D].
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn weighted_sum<L: Lanes>(p: &[f32], v: &[f32], stride: usize, out: &mut [f32]) {
    match p.len() {
        0 => out.fill(0.0),
        // SAFETY: p has eight values; the caller vouches for the instructions.
        8 => unsafe { sum::<L, 8>(p, v, stride, out) }, // the heads of small models
        // SAFETY: p has so many values; the caller vouches for the instructions.
        64 => unsafe { sum::<L, 64>(p, v, stride, out) }, // and of large ones
        // SAFETY: likewise.
        128 => unsafe { sum::<L, 128>(p, v, stride, out) },
        // SAFETY: passed on.
        _ => unsafe { sum::<L, 0>(p, v, stride, out) },
    }
}

/// [`weighted_sum`] of `K` rows, known when compiled; 0 means any number.
///
/// # Safety
/// K is 0 or `p.len()`, and the processor has L's instructions.
#[inline(always)]
unsafe fn sum<L: Lanes, const K: usize>(p: &[f32], v: &[f32], stride: usize, out: &mut [f32]) {
    let reach = (p.len() - 1).checked_mul(stride).and_then(|start| start.checked_add(out.len()));
    assert!(reach.is_some_and(|end| end <= v.len()), "weighted_sum: v [K, stride]");
    let whole = out.len() / LANES * LANES;
    let mut d = 0;
    while d < whole {
        // SAFETY: by the assertion, `p.len()` rows of `out.len()` columns lie inside v, and this block is inside these.
        unsafe {
            let v = v.as_ptr().add(d);
            eighths::<L, K>(p, v, stride, 0)
                .add(eighths::<L, K>(p, v, stride, 1))
                .store(out.as_mut_ptr().add(d));
        }
        d += LANES;
    }
    if whole < out.len() {
        naive::weighted_sum(p, &v[whole..], stride, &mut out[whole..]);
    }
}

/// The running sums l, l+2, …, l+14, added as the tree adds them.
///
/// # Safety
/// K is 0 or `p.len()`; from `v` on, `p.len()` rows, `stride` apart, of sixteen columns are readable; the processor has L's
/// instructions.
#[inline(always)]
unsafe fn eighths<L: Lanes, const K: usize>(p: &[f32], v: *const f32, stride: usize, l: usize) -> L {
    // SAFETY: passed on.
    unsafe { quarters::<L, K>(p, v, stride, l).add(quarters::<L, K>(p, v, stride, l + 2)) }
}

/// The running sums l, l+4, l+8, l+12, added as the tree adds them.
///
/// # Safety
/// As [`eighths`].
#[inline(always)]
unsafe fn quarters<L: Lanes, const K: usize>(p: &[f32], v: *const f32, stride: usize, l: usize) -> L {
    // SAFETY: passed on.
    unsafe {
        let low = lane::<L, K>(p, v, stride, l).add(lane::<L, K>(p, v, stride, l + 8));
        low.add(lane::<L, K>(p, v, stride, l + 4).add(lane::<L, K>(p, v, stride, l + 12)))
    }
}

/// The running sum l; one that a short tail does not reach adds the tail's zero.
///
/// # Safety
/// As [`eighths`].
#[inline(always)]
unsafe fn lane<L: Lanes, const K: usize>(p: &[f32], v: *const f32, stride: usize, l: usize) -> L {
    let n = if K == 0 { p.len() } else { K };
    let mut k = l;
    // SAFETY: k < n = p.len(), so the row is one of those that the caller vouches for.
    unsafe {
        let mut sum = L::zero();
        while k < n {
            sum = sum.fma(L::splat(*p.get_unchecked(k)), L::load(v.add(k * stride)));
            k += LANES;
        }
        let tail = n % LANES;
        if tail != 0 && l >= tail { sum.add(L::zero()) } else { sum }
    }
}
