//! The definition of the bf16 product, written for reading; every fast kernel must return these bits.
//!
//! The factors are numbers of bf16 (a row of x is rounded to the nearest, ties to even), and what is below 2⁻⁵⁶ counts as
//! zero. A dot product takes its terms in pairs (2p, 2p + 1) and has sixteen running sums: sum `l` takes the pairs
//! p ≡ l (mod 16) in ascending order, of each pair the odd term first, by f32 fused multiply-add. Short tails count as zeros,
//! and the tree of the f32 product adds the sums.
//!
//! Two steps of fused multiply-add, the odd term first, are what the instruction `vdpbf16ps` does, but that it takes factors and
//! sums below 2⁻¹²⁶ for zeros. Here there are none: a factor of at least 2⁻⁵⁶ is a multiple of 2⁻⁶³, so products and all sums of
//! them, rounded or not, are multiples of 2⁻¹²⁶. So no processor's way with denormals can show, and plain arithmetic has the
//! instruction's bits.

use super::{LANES, tree};
use crate::Bf16;

/// The bits of 2⁻⁵⁶, the smallest factor that is not zero.
const SMALLEST: u16 = (127 - 56) << 7;

/// The factor that stands for a number of bf16.
#[inline(always)]
pub fn factor(v: Bf16) -> Bf16 {
    if v.0 & 0x7fff < SMALLEST { Bf16(0) } else { v }
}

/// Σ_k a[k]·w[k] over the factors in the order above; `a` and `w` are [D].
pub fn dot(a: &[f32], w: &[Bf16]) -> f32 {
    assert_eq!(a.len(), w.len(), "dot: lengths differ");
    let x = |k: usize| a.get(k).map_or(0.0, |&v| factor(Bf16::round(v)).widen());
    let w = |k: usize| w.get(k).map_or(0.0, |&v| factor(v).widen());
    let mut sums = [0.0f32; LANES];
    for pair in 0..a.len().div_ceil(2) {
        let c = &mut sums[pair % LANES];
        *c = x(2 * pair + 1).mul_add(w(2 * pair + 1), *c);
        *c = x(2 * pair).mul_add(w(2 * pair), *c);
    }
    tree(sums)
}

/// out[n, m] = dot(x[n], w[m]) + bias[m], with x [N, D], w [M, D], bias [M] or none, out [N, M].
pub fn linear(x: &[f32], w: &[Bf16], bias: Option<&[f32]>, d: usize, out: &mut [f32]) {
    let m_total = w.len() / d;
    for (xn, row) in x.chunks_exact(d).zip(out.chunks_exact_mut(m_total.max(1))) {
        for (m, o) in row.iter_mut().enumerate() {
            let product = dot(xn, &w[m * d..][..d]);
            *o = bias.map_or(product, |b| product + b[m]);
        }
    }
}
