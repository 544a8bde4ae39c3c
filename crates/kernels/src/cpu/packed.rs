//! Products of many rows: sixteen *outputs* side by side instead of sixteen running sums.
//!
//! Here a register holds the same running sum of sixteen outputs, so that a tile of six rows of x and sixteen of w needs
//! one load of w and six broadcasts for twelve multiplications, streams w from the second-level cache once for six rows,
//! and adds the running sums up by plain vertical additions. That needs w transposed in blocks of sixteen rows, once per
//! call. The running sums are made one after the other, in the order in which the tree joins them.
//! Every sum takes its terms in the order of docs/numerics.md §2: the bits are those of `product.rs`.

use super::Lanes;
use super::widened::{Order, widen};
use crate::naive::LANES;
use crate::{Bf16, Csr};
use rayon::prelude::*;

/// Rows of x in a tile.
const ROWS: usize = 6;
/// The same with registers for twice the sums: six would wait for each other, four cycles for each of two units.
const TALL_ROWS: usize = 2 * ROWS;
/// Below this many rows of x the transposition of w does not pay.
const MIN_ROWS: usize = 128;
/// The largest copy of w that is made at a time, in floats (64 MiB).
const MAX_COPY: usize = 1 << 24;
/// The largest matrix that is copied whole, in floats (256 MiB): D 4,096 × 14,336 is the largest of common models up to 9 B.
pub(crate) const MAX_WHOLE: usize = 1 << 26;
/// The order in which the tree joins running sums: l and l + 8, then that pair and the pair of l + 4, and so on.
const ORDER: [usize; LANES] = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];

/// Is this file the faster way for `rows` rows of x?
pub(crate) fn pays(rows: usize) -> bool {
    rows >= MIN_ROWS
}

/// Rows of x that one task multiplies, of `rows` in all: many, so that w streams past seldom, but enough tasks to share.
pub(crate) fn panel_rows(rows: usize) -> usize {
    (rows / 16).clamp(48, 258).next_multiple_of(TALL_ROWS)
}

/// Rows of w that are copied at a time, so that the copy stays below [`MAX_COPY`].
pub(crate) fn columns_at_a_time(d: usize) -> usize {
    (MAX_COPY / d / LANES).max(1) * LANES
}

/// w [F, D] in blocks of sixteen rows: [⌈F/16⌉, 16 running sums, ⌈D/16⌉ terms, 16 rows], zeros where w ends.
pub(crate) struct Packed {
    values: Vec<Line>,
    /// Lines of a block.
    block: usize,
}

/// Sixteen floats: one line of the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([f32; LANES]);

impl Packed {
    pub(crate) fn new(w: &[f32], d: usize) -> Packed {
        let block = d.next_multiple_of(LANES);
        let mut values = vec![Line([0.0; LANES]); (w.len() / d).div_ceil(LANES) * block];
        let blocks = values.par_chunks_mut(block).zip(w.par_chunks(LANES * d));
        blocks.for_each(|(to, rows)| interleave(rows, d, |at, r, v| to[at].0[r] = v));
        Packed { values, block }
    }

    /// The same of a matrix of bf16 [F, d], whose rows are widened in `order`.
    pub(crate) fn widened(w: &[Bf16], d: usize, order: Order) -> Packed {
        let width = order.width(d);
        let block = width.next_multiple_of(LANES);
        let mut values = vec![Line([0.0; LANES]); (w.len() / d).div_ceil(LANES) * block];
        let blocks = values.par_chunks_mut(block).zip(w.par_chunks(LANES * d));
        blocks.for_each_init(
            || vec![0.0; LANES * width],
            |room, (to, rows)| {
                let room = &mut room[..rows.len() / d * width];
                widen(order, rows, d, room);
                interleave(room, width, |at, r, v| to[at].0[r] = v);
            },
        );
        Packed { values, block }
    }
}

/// Calls `put(i·⌈D/16⌉ + j, r, rows[r, 16·j + ORDER[i]])` for the sixteen running sums i.
#[inline(always)]
fn interleave(rows: &[f32], d: usize, mut put: impl FnMut(usize, usize, f32)) {
    let steps = d.div_ceil(LANES);
    for (r, row) in rows.chunks_exact(d).enumerate() {
        for (i, lane) in ORDER.into_iter().enumerate() {
            for (j, &v) in row.iter().skip(lane).step_by(LANES).enumerate() {
                put(i * steps + j, r, v);
            }
        }
    }
}

/// Sixteen outputs of each row of a tile.
type Tile<const R: usize> = [[f32; LANES]; R];

/// One running sum of every output of a tile.
///
/// # Safety
/// The processor has L's instructions; x has `R`·`steps` readable floats, w 16·`steps`.
#[inline(always)]
unsafe fn running_sum<L: Lanes, const R: usize>(x: *const f32, w: *const f32, steps: usize) -> [L; R] {
    // SAFETY: offsets stay below what the caller vouches for.
    unsafe {
        let mut sums = [L::zero(); R];
        for j in 0..steps {
            let column = L::load(w.add(j * LANES));
            for r in 0..R {
                sums[r] = sums[r].fma(L::splat(*x.add(j * R + r)), column);
            }
        }
        sums
    }
}

/// out[r][c] = dot(x[r], w[c]) for a tile; `pairs` is room for the eight joined pairs of running sums.
///
/// # Safety
/// The processor has L's instructions; x has 16·`steps`·`R` readable floats, w 16·`steps`·16.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize>(
    x: *const f32,
    w: *const f32,
    steps: usize,
    pairs: &mut [Tile<R>; 8],
    out: &mut Tile<R>,
) {
    // SAFETY: sixteen running sums of `steps` terms are what the caller vouches for; a row of a `Tile` is sixteen floats.
    unsafe {
        for (i, pair) in pairs.iter_mut().enumerate() {
            let at = |half: usize| ((2 * i + half) * steps * R, (2 * i + half) * steps * LANES);
            let ((x0, w0), (x1, w1)) = (at(0), at(1));
            let first = running_sum::<L, R>(x.add(x0), w.add(w0), steps);
            for r in 0..R {
                first[r].store(pair[r].as_mut_ptr());
            }
            let second = running_sum::<L, R>(x.add(x1), w.add(w1), steps);
            for r in 0..R {
                L::load(pair[r].as_ptr()).add(second[r]).store(pair[r].as_mut_ptr());
            }
        }
        for r in 0..R {
            let low = two::<L, R>(pairs, 0, r).add(two::<L, R>(pairs, 2, r));
            low.add(two::<L, R>(pairs, 4, r).add(two::<L, R>(pairs, 6, r))).store(out[r].as_mut_ptr());
        }
    }
}

/// Row r of pair i and the next, added.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
unsafe fn two<L: Lanes, const R: usize>(pairs: &[Tile<R>; 8], i: usize, r: usize) -> L {
    // SAFETY: a row of a `Tile` is sixteen floats.
    unsafe { L::load(pairs[i][r].as_ptr()).add(L::load(pairs[i + 1][r].as_ptr())) }
}

/// Calls `put(row of x, first row of w, how many rows of w, their sixteen dot products)` for a panel, rows of w ascending.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
unsafe fn panel<L: Lanes>(
    x: &[f32],
    d: usize,
    w: &Packed,
    columns: usize,
    put: impl FnMut(usize, usize, usize, L),
) {
    // SAFETY: passed on.
    unsafe {
        if L::IN_REGISTERS > TALL_ROWS {
            panel_of::<L, TALL_ROWS>(x, d, w, columns, put)
        } else {
            panel_of::<L, ROWS>(x, d, w, columns, put)
        }
    }
}

/// [`panel`] by tiles of R rows.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
unsafe fn panel_of<L: Lanes, const R: usize>(
    x: &[f32],
    d: usize,
    w: &Packed,
    columns: usize,
    mut put: impl FnMut(usize, usize, usize, L),
) {
    let (rows, steps) = (x.len() / d, d.div_ceil(LANES));
    let group = R * steps * LANES;
    let mut packed = vec![0.0; rows.div_ceil(R) * group];
    for (to, rows) in packed.chunks_exact_mut(group).zip(x.chunks(R * d)) {
        interleave(rows, d, |at, r, v| to[at * R + r] = v);
    }
    assert!(w.block == LANES * steps && columns.div_ceil(LANES) * w.block == w.values.len());
    let (mut pairs, mut out) = ([[[0.0; LANES]; R]; 8], [[0.0; LANES]; R]);
    for (block, w) in w.values.chunks_exact(w.block).enumerate() {
        let column = block * LANES;
        let width = LANES.min(columns - column);
        for (g, x) in packed.chunks_exact(group).enumerate() {
            // SAFETY: x and w are a whole group and a whole block of 16·`steps` terms; a row of `out` is sixteen floats.
            unsafe {
                tile::<L, R>(x.as_ptr(), w.as_ptr().cast(), steps, &mut pairs, &mut out);
                for r in 0..R.min(rows - g * R) {
                    put(g * R + r, column, width, L::load(out[r].as_ptr()));
                }
            }
        }
    }
}

/// Sixteen floats of `v` from `at`, zeros after `width`.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
unsafe fn sixteen<L: Lanes>(v: &[f32], at: usize, width: usize) -> L {
    let v = &v[at..at + width];
    // SAFETY: `width` floats are readable.
    unsafe { if width == LANES { L::load(v.as_ptr()) } else { L::load_tail(v.as_ptr(), width) } }
}

/// out[n, m] = dot(x[n], w[m]) + bias[m] for one panel, out [n, m_total].
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn linear_panel<L: Lanes>(
    x: &[f32],
    d: usize,
    w: &Packed,
    bias: Option<&[f32]>,
    out: &mut [f32],
    m_total: usize,
) {
    let put = |row: usize, column: usize, width: usize, mut z: L| {
        let out = &mut out[row * m_total + column..][..width];
        // SAFETY: `whole` and, where it is as wide, `out` take sixteen floats; the caller vouches for the instructions.
        unsafe {
            if let Some(bias) = bias {
                z = z.add(sixteen(bias, column, width));
            }
            if width == LANES {
                z.store(out.as_mut_ptr());
            } else {
                let mut whole = [0.0; LANES];
                z.store(whole.as_mut_ptr());
                out.copy_from_slice(&whole[..width]);
            }
        }
    };
    // SAFETY: passed on.
    unsafe { panel::<L>(x, d, w, m_total, put) };
}

/// The kept entries of one panel, rows ascending: z = dot + b with `!(z <= lo)`.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn encode_panel<L: Lanes>(x: &[f32], d: usize, w: &Packed, b: &[f32], lo: &[f32]) -> Csr {
    let mut kept: Vec<Vec<(u32, f32)>> = vec![Vec::new(); x.len() / d];
    let put = |row: usize, column: usize, width: usize, z: L| {
        // SAFETY: the caller vouches for the instructions; `whole` takes sixteen floats.
        unsafe {
            let z = z.add(sixteen(b, column, width));
            let mut passes = z.not_below(sixteen(lo, column, width)) & ((1u32 << width) - 1);
            if passes == 0 {
                return;
            }
            let mut whole = [0.0; LANES];
            z.store(whole.as_mut_ptr());
            while passes != 0 {
                let i = passes.trailing_zeros();
                kept[row].push((column as u32 + i, whole[i as usize]));
                passes &= passes - 1;
            }
        }
    };
    // SAFETY: passed on.
    unsafe { panel::<L>(x, d, w, b.len(), put) };
    Csr::from_rows(b.len(), &kept)
}
