//! The encoder's product at twice the speed of f32: a product of 16-bit integers decides what cannot pass the threshold, the
//! exact product of NUMERICS §2 decides the rest. What comes out is bit for bit what `product.rs` gives.
//!
//! A row v is written v = σ·q + δ with integers q of norm at most 46,340, so that no sum of products of two such rows leaves
//! 32 bits. With I = q_x·q_w (exact), dot(x, w) ≤ σ_x·σ_w·I + ‖δ_x‖·‖w‖ + σ_x·‖q_x‖·‖δ_w‖ + γ·‖x‖·‖w‖, where γ bounds what
//! rounding does to the f32 dot product. An entry is skipped iff that is at most lo − b; rounding is monotonic, so the exact
//! z would not pass either. Divided by σ_x·σ_w the test is I ≤ A_f·a_n − B_f·e_n − C_f·m_n, two fused multiply-adds for
//! an output; the coefficients are rounded so that the right side can only be too small. A test with NaN keeps the entry.
//!
//! One scale per row is enough where bf16 needs eight bits of exponent per value: with q of norm 46,340 the bound is about
//! 6·10⁻⁴·‖x‖·‖w‖ at D = 2,304 whatever the outliers, a third of what bf16 gives (NUMERICS §2 asks for bf16 where the processor
//! has it; this is for those that multiply 16-bit integers twice as fast as floats).

use super::{Lanes, Pairs, gather, product};
use crate::Csr;
use crate::naive::LANES;
use crate::naive::screen::{self, Coefficients};
use rayon::prelude::*;

/// Rows of x in a register tile.
const ROWS: usize = 6;
/// Rows of x that one task multiplies.
pub(crate) const PANEL_ROWS: usize = 256;
/// Groups of sixteen columns whose integers stay in the second-level cache while a panel of x streams past.
const GROUPS: usize = 4;
/// Columns of such a block: one bit each in a u64.
const COLUMNS: usize = GROUPS * LANES;
/// The largest integer copy of w that is made at a time, in values (128 MiB).
const MAX_COPY: usize = 1 << 26;
/// The screen pays where at most one entry in this many passes.
pub(crate) const MIN_SPARSITY: usize = 16;
/// Below this many rows of x the integer copy of w does not pay.
const MIN_ROWS: usize = 256;
/// Below this width the test of an output weighs too much beside its product (not tuned).
const MIN_WIDTH: usize = 192;
/// Above this width the norms' bound no longer holds the sums within 32 bits.
const MAX_WIDTH: usize = 1 << 16;

/// Is this file the faster way for `rows` rows of x of width `d`, on a processor with fast 16-bit products?
pub(crate) fn pays(rows: usize, d: usize) -> bool {
    rows >= MIN_ROWS && (MIN_WIDTH..=MAX_WIDTH).contains(&d)
}

/// Columns that are screened at a time, so that the copy of w stays below [`MAX_COPY`].
pub(crate) fn columns_at_a_time(d: usize) -> usize {
    (MAX_COPY / d / COLUMNS).max(1) * COLUMNS
}

/// Sixteen pairs of integers: one line of the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([[i16; 2]; LANES]);

/// Rows of w as integers in blocks of sixteen: values [⌈F/16⌉, ⌈D/2⌉] lines, coefficients [16·⌈F/16⌉] each.
pub(crate) struct Screen {
    values: Vec<Line>,
    /// A: (lo − b)/σ, rounded down.
    a: Vec<f32>,
    /// B: ‖w‖/σ, rounded up.
    b: Vec<f32>,
    /// C: what multiplies ‖q_x‖, rounded up.
    c: Vec<f32>,
}

impl Screen {
    /// `quantise` is [`screen::quantise`], compiled for the instruction set at hand.
    pub(crate) fn new(
        w: &[f32],
        bias: &[f32],
        lo: &[f32],
        d: usize,
        quantise: impl Fn(&[f32], &mut [i16]) -> Option<screen::Quantised> + Sync,
    ) -> Screen {
        let (steps, padded) = (d.div_ceil(2), bias.len().next_multiple_of(LANES));
        let mut out = Screen {
            values: vec![Line([[0; 2]; LANES]); padded / LANES * steps],
            a: vec![f32::INFINITY; padded],
            b: vec![1.0; padded],
            c: vec![0.0; padded],
        };
        let blocks = out.values.par_chunks_mut(steps).zip(w.par_chunks(LANES * d));
        let coefficients = blocks.map(|(to, rows)| {
            let mut q = vec![0i16; 2 * steps];
            let mut coefficients = Vec::with_capacity(LANES);
            for (r, row) in rows.chunks_exact(d).enumerate() {
                coefficients.push(quantise(row, &mut q[..d]));
                for (pair, to) in q.chunks_exact(2).zip(to.iter_mut()) {
                    to.0[r] = [pair[0], pair[1]];
                }
            }
            coefficients
        });
        let coefficients: Vec<_> = coefficients.flatten_iter().collect();
        for (f, quantised) in coefficients.into_iter().enumerate() {
            let Coefficients { a, b, c } = screen::of_column(quantised, lo[f], bias[f]);
            (out.a[f], out.b[f], out.c[f]) = (a, b, c);
        }
        out
    }
}

/// Rows of x as integers: pairs [⌈N/6⌉, ⌈D/2⌉, 6], zeros after the last row.
struct Rows {
    pairs: Vec<i32>,
    coefficients: Vec<Coefficients>,
}

impl Rows {
    /// Inlined, for the caller's instructions.
    #[inline(always)]
    fn new(x: &[f32], d: usize) -> Rows {
        let steps = d.div_ceil(2);
        let mut pairs = vec![0; (x.len() / d).div_ceil(ROWS) * steps * ROWS];
        let mut q = vec![0i16; 2 * steps];
        let mut coefficients = Vec::with_capacity(x.len() / d);
        for (n, row) in x.chunks_exact(d).enumerate() {
            coefficients.push(screen::of_row(screen::quantise(row, &mut q[..d]), d));
            let to = pairs[n / ROWS * steps * ROWS + n % ROWS..].iter_mut().step_by(ROWS);
            for (pair, to) in q.chunks_exact(2).zip(to) {
                *to = i32::from(pair[0] as u16) | i32::from(pair[1]) << 16;
            }
        }
        let none = Coefficients { a: 1.0, b: 0.0, c: 0.0 };
        coefficients.resize(x.len().div_ceil(d).next_multiple_of(ROWS), none);
        Rows { pairs, coefficients }
    }
}

/// Which of sixteen columns each of six rows keeps, as bits.
///
/// # Safety
/// The processor has P's instructions; x has six readable pairs for each line of w, each of `columns` sixteen floats.
#[inline(always)]
unsafe fn tile<P: Pairs>(
    x: *const i32,
    w: &[Line],
    rows: &[Coefficients],
    columns: [*const f32; 3],
) -> [u32; ROWS] {
    // SAFETY: the caller vouches for what is read and for the instructions.
    unsafe {
        let mut sums = [P::zero(); ROWS];
        for (k, column) in w.iter().enumerate() {
            let column = P::load(column.0.as_ptr().cast());
            for r in 0..ROWS {
                sums[r] = sums[r].add_products(P::splat(*x.add(k * ROWS + r)), column);
            }
        }
        let [a, b, c] = columns;
        let (a, b, c) = (P::Floats::load(a), P::Floats::load(b), P::Floats::load(c));
        let mut kept = [0; ROWS];
        for r in 0..ROWS {
            let row = rows[r];
            let at_most = P::Floats::zero().fma(P::Floats::splat(row.a), a);
            let at_most = at_most.fma(P::Floats::splat(-row.b), b).fma(P::Floats::splat(-row.c), c);
            kept[r] = sums[r].floats().not_below(at_most);
        }
        kept
    }
}

/// The candidates of block `block` of columns: bit c of `masks[n]` is set where row n may pass in its column c.
///
/// # Safety
/// The processor has P's instructions.
#[inline(always)]
unsafe fn candidates<P: Pairs>(rows: &Rows, w: &Screen, steps: usize, block: usize, masks: &mut [u64]) {
    let groups = (w.a.len() / LANES - block * GROUPS).min(GROUPS);
    for (t, x) in rows.pairs.chunks_exact(steps * ROWS).enumerate() {
        let mut kept = [0u64; ROWS];
        for g in 0..groups {
            let group = block * GROUPS + g;
            let values = &w.values[group * steps..][..steps];
            let column = group * LANES..(group + 1) * LANES;
            let columns = [&w.a, &w.b, &w.c].map(|v| v[column.clone()].as_ptr());
            // SAFETY: x has six pairs for each line of `values`, `columns` has sixteen floats each.
            let bits =
                unsafe { tile::<P>(x.as_ptr(), values, &rows.coefficients[t * ROWS..][..ROWS], columns) };
            for r in 0..ROWS {
                kept[r] |= u64::from(bits[r]) << (g * LANES);
            }
        }
        let masks = &mut masks[t * ROWS..];
        let live = masks.len().min(ROWS);
        masks[..live].copy_from_slice(&kept[..live]);
    }
}

/// The kept entries of one panel, rows ascending: z = dot + b with `!(z <= lo)`.
///
/// # Safety
/// The processor has the instructions of P and of its floats.
#[inline(always)]
pub(crate) unsafe fn encode_panel<P: Pairs>(
    x: &[f32],
    d: usize,
    w: &[f32],
    b: &[f32],
    lo: &[f32],
    screen: &Screen,
) -> Csr {
    let n = x.len() / d;
    let rows = Rows::new(x, d);
    let mut kept: Vec<Vec<(u32, f32)>> = vec![Vec::new(); n];
    let (mut masks, mut z) = (vec![0u64; n], Vec::new());
    let mut dense = false;
    for (block, first) in (0..b.len()).step_by(COLUMNS).enumerate() {
        let columns = first..(first + COLUMNS).min(b.len());
        let (w, b, lo) = (&w[first * d..columns.end * d], &b[columns.clone()], &lo[columns]);
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            // Where many pass, the screen is a loss: it looks again at every eighth block.
            if !dense || block % 8 == 0 {
                candidates::<P>(&rows, screen, d.div_ceil(2), block, &mut masks);
                let found: u32 = masks.iter().map(|m| m.count_ones()).sum();
                dense = found as usize * 4 > n * b.len();
            }
            if dense {
                z.resize(n * b.len(), 0.0);
                product::encode_block::<P::Floats>(x, d, w, b, lo, first, &mut z, &mut kept);
            } else {
                recheck::<P::Floats>(x, d, w, b, lo, first, &masks, &mut kept);
            }
        }
    }
    Csr::from_rows(b.len(), &kept)
}

/// Appends the candidates that pass by the exact product.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
unsafe fn recheck<L: Lanes>(
    x: &[f32],
    d: usize,
    w: &[f32],
    b: &[f32],
    lo: &[f32],
    first: usize,
    masks: &[u64],
    kept: &mut [Vec<(u32, f32)>],
) {
    let (mut index, mut dots) = (Vec::new(), Vec::new());
    for ((x, &mask), kept) in x.chunks_exact(d).zip(masks).zip(kept) {
        index.clear();
        index.extend((0..COLUMNS as u32).filter(|c| mask >> c & 1 == 1));
        dots.resize(index.len(), 0.0);
        // SAFETY: the caller vouches for the instructions.
        unsafe { gather::gather_dot::<L>(x, &index, w, &mut dots) };
        for (&f, dot) in index.iter().zip(&dots) {
            let z = dot + b[f as usize];
            if !(z <= lo[f as usize]) {
                kept.push((first as u32 + f, z));
            }
        }
    }
}
