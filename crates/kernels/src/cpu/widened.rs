//! Products with a matrix of bf16 by the kernels for f32: a block of it is widened into a buffer that stays in cache.
//!
//! Widened in their own order, its rows give the f32 product. The bf16 product is the f32 product of the factors in another
//! order: if of every 32 terms the sixteen odd ones come before the sixteen even ones, then the f32 product's running sum l meets
//! the pairs p ≡ l (mod 16) one after another, the odd term of each first. That is all that the bf16 product asks for.

use super::{Lanes, prefetch, product};
use crate::Bf16;
use crate::naive::LANES;
use crate::naive::bf16::factor;

/// Terms that change places among each other.
const GROUP: usize = 2 * LANES;
/// Rows of w that are widened at a time where few rows of x read them, so that they stay in the first-level cache.
const FEW: usize = 8;

/// How a row is widened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    /// As it is, for the f32 product.
    Stored,
    /// The factors, of every 32 the odd ones first, for the bf16 product.
    OddFirst,
}

impl Order {
    /// Floats of a row of `d` terms.
    pub(crate) fn width(self, d: usize) -> usize {
        match self {
            Order::Stored => d,
            Order::OddFirst => d.next_multiple_of(GROUP),
        }
    }
}

/// Rows of w [.., d] → `out`, rows `order.width(d)` wide.
#[inline(always)]
pub(crate) fn widen(order: Order, w: &[Bf16], d: usize, out: &mut [f32]) {
    match order {
        Order::Stored => {
            for (w, out) in w.chunks(GROUP).zip(out.chunks_mut(GROUP)) {
                prefetch(w.as_ptr());
                out.iter_mut().zip(w).for_each(|(o, w)| *o = w.widen());
            }
        }
        Order::OddFirst => {
            for (row, out) in w.chunks_exact(d).zip(out.chunks_exact_mut(order.width(d))) {
                spread(row, out, |v| factor(v).widen());
            }
        }
    }
}

/// Rows of x [N, d], rounded → factors in the order of [`Order::OddFirst`].
#[inline(always)]
pub(crate) fn rounded(x: &[f32], d: usize, out: &mut [f32]) {
    for (row, out) in x.chunks_exact(d).zip(out.chunks_exact_mut(Order::OddFirst.width(d))) {
        spread(row, out, |v| factor(Bf16::round(v)).widen());
    }
}

/// Of every 32 terms the odd ones, then the even ones; zeros where the row ends.
#[inline(always)]
fn spread<T: Copy + Default>(row: &[T], out: &mut [f32], factor: impl Fn(T) -> f32) {
    let whole = row.chunks_exact(GROUP);
    let mut tail = [T::default(); GROUP];
    tail[..whole.remainder().len()].copy_from_slice(whole.remainder());
    for (terms, out) in whole.chain([&tail[..]]).zip(out.chunks_exact_mut(GROUP)) {
        prefetch(terms.as_ptr());
        let (odd, even) = out.split_at_mut(LANES);
        for p in 0..LANES {
            odd[p] = factor(terms[2 * p + 1]);
            even[p] = factor(terms[2 * p]);
        }
    }
}

/// out[n, m] = dot(x[n], w[m]) + bias[m] for one panel, w [M, d]; rows of x are `order.width(d)` wide and in this order.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn linear_panel<L: Lanes>(
    x: &[f32],
    w: &[Bf16],
    order: Order,
    bias: Option<&[f32]>,
    d: usize,
    out: &mut [f32],
) {
    let (m_total, width) = (w.len() / d, order.width(d));
    let rows = x.len() / width;
    if rows == 0 || m_total == 0 {
        return;
    }
    let columns = if rows < FEW { FEW } else { product::block_columns(width) };
    let mut block = vec![0.0; columns.min(m_total) * width];
    for (m, w) in w.chunks(columns * d).enumerate() {
        let (m, cols) = (m * columns, w.len() / d);
        widen(order, w, d, &mut block);
        // SAFETY: passed on.
        unsafe { product::block::<L>(x, width, rows, &block, width, cols, width, &mut out[m..], m_total) };
    }
    product::add_bias(bias, out, m_total);
}
