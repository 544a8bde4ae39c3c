//! Weighted sums of rows, Σ_k p[k]·v[k], in the product's order. Sixteen columns at a time: each of the product's sixteen
//! running sums is a register of columns, and its tree is walked depth first, so that only a few of them live at once. Several
//! sums of the same rows share what is read of these, where there are registers for it.

use super::Lanes;
use crate::naive::{self, LANES};

/// out[r, d] = Σ_k p[r, k]·v[k·stride + d]; p [R, K], out [R, D].
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn weighted_sums<L: Lanes>(
    rows: usize,
    p: &[f32],
    v: &[f32],
    stride: usize,
    out: &mut [f32],
) {
    match p.len() / rows {
        0 => out.fill(0.0),
        // SAFETY: rows of p have eight values; the caller vouches for the instructions.
        8 => unsafe { sums::<L, 8>(rows, p, v, stride, out) }, // the heads of small models
        // SAFETY: rows of p have so many values; the caller vouches for the instructions.
        64 => unsafe { sums::<L, 64>(rows, p, v, stride, out) }, // and of large ones
        // SAFETY: likewise.
        128 => unsafe { sums::<L, 128>(rows, p, v, stride, out) },
        // SAFETY: passed on.
        _ => unsafe { sums::<L, 0>(rows, p, v, stride, out) },
    }
}

/// [`weighted_sums`] of `K` rows of v, known when compiled; 0 means any number.
///
/// # Safety
/// K is 0 or the width of p, and the processor has L's instructions.
#[inline(always)]
unsafe fn sums<L: Lanes, const K: usize>(rows: usize, p: &[f32], v: &[f32], stride: usize, out: &mut [f32]) {
    let (k, d) = (p.len() / rows, out.len() / rows);
    let reach = (k - 1).checked_mul(stride).and_then(|start| start.checked_add(d));
    assert!(reach.is_some_and(|end| end <= v.len()), "weighted_sums: v [K, stride]");
    let at_once = if L::IN_REGISTERS > 8 { 3 } else { 1 };
    for (p, out) in p.chunks(at_once * k).zip(out.chunks_mut((at_once * d).max(1))) {
        // SAFETY: by the assertion, k rows of d columns lie inside v; p has so many rows of k values, out of d.
        unsafe {
            match p.len() / k {
                1 => some::<L, K, 1>(p, k, v, stride, out),
                2 => some::<L, K, 2>(p, k, v, stride, out),
                _ => some::<L, K, 3>(p, k, v, stride, out),
            }
        }
    }
}

/// [`sums`] of R rows of p.
///
/// # Safety
/// p is [R, k], K is 0 or k, out is [R, D], v has k rows of D columns, and the processor has L's instructions.
#[inline(always)]
unsafe fn some<L: Lanes, const K: usize, const R: usize>(
    p: &[f32],
    k: usize,
    v: &[f32],
    stride: usize,
    out: &mut [f32],
) {
    let columns = out.len() / R;
    let whole = columns / LANES * LANES;
    for d in (0..whole).step_by(LANES) {
        // SAFETY: the block's sixteen columns are inside those of v and out.
        unsafe {
            let block = Block::<K> { p: p.as_ptr(), k, v: v.as_ptr().add(d), stride };
            let sums = add(block.eighths::<L, R>(0), block.eighths(1));
            (0..R).for_each(|r| sums[r].store(out.as_mut_ptr().add(r * columns + d)));
        }
    }
    if whole < columns {
        for (p, out) in p.chunks_exact(k).zip(out.chunks_exact_mut(columns)) {
            naive::weighted_sum(p, &v[whole..], stride, &mut out[whole..]);
        }
    }
}

/// Sixteen columns of v and the rows of p [R, k] that weigh them; K is 0 or k.
struct Block<const K: usize> {
    p: *const f32,
    k: usize,
    v: *const f32,
    stride: usize,
}

impl<const K: usize> Block<K> {
    /// The running sums l, l+2, …, l+14 of R rows of p, added as the tree adds them.
    ///
    /// # Safety
    /// p has R rows of k values, from v on k rows, `stride` apart, of sixteen columns are readable; the processor has L's
    /// instructions.
    #[inline(always)]
    unsafe fn eighths<L: Lanes, const R: usize>(&self, l: usize) -> [L; R] {
        // SAFETY: passed on.
        unsafe { add(self.quarters(l), self.quarters(l + 2)) }
    }

    /// The running sums l, l+4, l+8, l+12, added as the tree adds them.
    ///
    /// # Safety
    /// As [`Block::eighths`].
    #[inline(always)]
    unsafe fn quarters<L: Lanes, const R: usize>(&self, l: usize) -> [L; R] {
        // SAFETY: passed on.
        unsafe {
            let low = add(self.lane(l), self.lane(l + 8));
            add(low, add(self.lane(l + 4), self.lane(l + 12)))
        }
    }

    /// The running sum l; one that a short tail does not reach adds the tail's zero.
    ///
    /// # Safety
    /// As [`Block::eighths`].
    #[inline(always)]
    unsafe fn lane<L: Lanes, const R: usize>(&self, l: usize) -> [L; R] {
        let n = if K == 0 { self.k } else { K };
        // SAFETY: k < n, so the row of v and the values of p are some of those that the caller vouches for.
        unsafe {
            let mut sums = [L::zero(); R];
            let mut k = l;
            while k < n {
                let v = L::load(self.v.add(k * self.stride));
                (0..R).for_each(|r| sums[r] = sums[r].fma(L::splat(*self.p.add(r * n + k)), v));
                k += LANES;
            }
            let tail = n % LANES;
            if tail != 0 && l >= tail { add(sums, [L::zero(); R]) } else { sums }
        }
    }
}

/// Lane by lane.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
unsafe fn add<L: Lanes, const R: usize>(a: [L; R], b: [L; R]) -> [L; R] {
    // SAFETY: passed on.
    std::array::from_fn(|r| unsafe { a[r].add(b[r]) })
}
