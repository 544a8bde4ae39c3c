//! The bf16 product by the instruction `vdpbf16ps`: x86-64 with AVX-512 F, BW and BF16.
//!
//! One instruction takes a pair for each of the sixteen running sums of a dot product, so rows lie as they are: a tile of 4 × 4
//! dot products loads eight registers for sixteen instructions, and the tree adds up sixteen dot products side by side. A block
//! of w, its small numbers made zeros (`naive/bf16.rs`) where it has any, stays in the second-level cache, some rows of x in the
//! first.

use crate::Bf16;
use crate::cpu::{prefetch, product};
use crate::naive::bf16::factor;
use std::arch::x86_64::*;

/// Rows and columns of a tile.
const TILE: usize = 4;
/// Terms that an instruction takes.
const STEP: usize = 32;
/// Numbers of w that are kept in the second-level cache (128 KiB), and of x in the first (24 KiB).
const BLOCK: usize = 64 * 1024;
const ROWS: usize = 12 * 1024;

/// How many rows of `width` terms are about `numbers`, whole tiles.
fn rows_of(numbers: usize, width: usize) -> usize {
    (numbers / width / TILE).clamp(1, 64) * TILE
}

/// Rows [.., d] → rows that are whole steps, of factors.
#[inline(always)]
fn factors<T: Copy>(rows: &[T], d: usize, out: &mut [Bf16], of: impl Fn(T) -> Bf16) {
    for (row, out) in rows.chunks_exact(d).zip(out.chunks_exact_mut(d.next_multiple_of(STEP))) {
        for (row, out) in row.chunks(STEP).zip(out.chunks_exact_mut(STEP)) {
            prefetch(row.as_ptr());
            out.iter_mut().zip(row).for_each(|(o, &v)| *o = of(v));
        }
    }
}

/// out[n, m] = dot(x[n], w[m]) + bias[m] for one panel, x [n, d], w [m, d]; is w `ready`, nothing but factors?
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) fn linear_panel(
    x: &[f32],
    w: &[Bf16],
    ready: bool,
    bias: Option<&[f32]>,
    d: usize,
    out: &mut [f32],
) {
    let (n, m_total, width) = (x.len() / d, w.len() / d, d.next_multiple_of(STEP));
    let mut rows = vec![Bf16(0); n.next_multiple_of(TILE) * width];
    factors(x, d, &mut rows, |v| factor(Bf16::round(v)));
    let columns = if n < TILE { TILE } else { rows_of(BLOCK, width) };
    let mut copy = Vec::new();
    for (b, w) in w.chunks(columns * d).enumerate() {
        let (first, count, some) = (b * columns, w.len() / d, rows_of(ROWS, width));
        let block = if ready && d == width && count.is_multiple_of(TILE) {
            w
        } else {
            copy.resize(columns.min(m_total.next_multiple_of(TILE)) * width, Bf16(0));
            factors(w, d, &mut copy, factor);
            &copy
        };
        for (x, out) in rows.chunks(some * width).zip(out.chunks_mut(some * m_total)) {
            multiply(x, block, width, count, &mut out[first..], m_total);
        }
    }
    product::add_bias(bias, out, m_total);
}

/// out[r·ldo + c] = dot(x[r], w[c]) for `columns` rows of w, tile by tile; x and w have whole tiles of rows, out as many rows as
/// it has.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn multiply(x: &[Bf16], w: &[Bf16], width: usize, columns: usize, out: &mut [f32], ldo: usize) {
    let rows = out.len().div_ceil(ldo);
    assert!(width.is_multiple_of(STEP) && x.len() >= rows.next_multiple_of(TILE) * width);
    assert!(w.len() >= columns.next_multiple_of(TILE) * width);
    for c in (0..columns).step_by(TILE) {
        let w = &w[c * width..][..TILE * width];
        for r in (0..rows).step_by(TILE) {
            let x = &x[r * width..][..TILE * width];
            // SAFETY: x and w are four rows of whole steps.
            let sums = unsafe {
                match rows - r {
                    1 => single(x.as_ptr(), w.as_ptr(), width),
                    _ => tile(x.as_ptr(), w.as_ptr(), width),
                }
            };
            for (i, sums) in sums.iter().enumerate().take(rows - r) {
                let out = &mut out[(r + i) * ldo + c..];
                match out.first_chunk_mut::<TILE>() {
                    Some(out) if columns - c >= TILE => *out = *sums,
                    _ => out[..columns - c].copy_from_slice(&sums[..columns - c]),
                }
            }
        }
    }
}

/// Dot products of four rows of x and four of w, those of a row of x together.
///
/// # Safety
/// x and w have four rows of `width` readable numbers, whole steps.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn tile(x: *const Bf16, w: *const Bf16, width: usize) -> [[f32; TILE]; TILE] {
    let mut sums = [[_mm512_setzero_ps(); TILE]; TILE]; // [column][row]
    for k in (0..width).step_by(STEP) {
        // SAFETY: k and the next 31 are below `width`.
        unsafe {
            let w: [__m512bh; TILE] = std::array::from_fn(|c| pairs(w.add(c * width + k)));
            for r in 0..TILE {
                let x = pairs(x.add(r * width + k));
                for c in 0..TILE {
                    sums[c][r] = _mm512_dpbf16_ps(sums[c][r], x, w[c]);
                }
            }
        }
    }
    floats(sums)
}

/// [`tile`] of the first row of x alone: w, read once, is read as it lies.
///
/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn single(x: *const Bf16, w: *const Bf16, width: usize) -> [[f32; TILE]; TILE] {
    let mut sums = [[_mm512_setzero_ps(); TILE]; TILE]; // [column][row]
    for (c, sums) in sums.iter_mut().enumerate() {
        for k in (0..width).step_by(STEP) {
            // SAFETY: k and the next 31 are below `width`.
            unsafe {
                let w = w.add(c * width + k);
                prefetch(w);
                sums[0] = _mm512_dpbf16_ps(sums[0], pairs(x.add(k)), pairs(w));
            }
        }
    }
    floats(sums)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn floats(sums: [[__m512; TILE]; TILE]) -> [[f32; TILE]; TILE] {
    let mut out = [[0.0; TILE]; TILE];
    // SAFETY: `out` takes sixteen floats.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr().cast(), tree(sums)) };
    out
}

/// Sixteen pairs.
///
/// # Safety
/// There are 32 numbers to read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pairs(p: *const Bf16) -> __m512bh {
    // SAFETY: the caller vouches for 32 numbers; both types are 64 bytes without meaning of their own.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(p.cast())) }
}

/// The fixed tree over each of sixteen dot products, those of a row together.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn tree(sums: [[__m512; TILE]; TILE]) -> __m512 {
    let rows = sums.map(|[a, b, c, d]| fours(eights(a, b), eights(c, d)));
    ones(twos(rows[0], rows[1]), twos(rows[2], rows[3]))
}

/// l + (l + 8) of two registers of sixteen.
#[inline]
#[target_feature(enable = "avx512f")]
fn eights(a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(_mm512_shuffle_f32x4::<0b01_00_01_00>(a, b), _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b))
}

/// l + (l + 4) of twice two eights: a quarter for each of four.
#[inline]
#[target_feature(enable = "avx512f")]
fn fours(a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b))
}

/// l + (l + 2) inside each quarter of two registers: two sums of each.
#[inline]
#[target_feature(enable = "avx512f")]
fn twos(a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(_mm512_shuffle_ps::<0b01_00_01_00>(a, b), _mm512_shuffle_ps::<0b11_10_11_10>(a, b))
}

/// l + (l + 1): one sum of each.
#[inline]
#[target_feature(enable = "avx512f")]
fn ones(a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(_mm512_shuffle_ps::<0b10_00_10_00>(a, b), _mm512_shuffle_ps::<0b11_01_11_01>(a, b))
}
