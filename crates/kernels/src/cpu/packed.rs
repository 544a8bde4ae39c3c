//! Products of many rows with short rows (small D): sixteen *outputs* side by side instead of sixteen running sums.
//!
//! With D = 64 a dot product is four steps long, and adding up its sixteen running sums across a register costs as much as
//! the products. Here a register holds the same running sum of sixteen outputs, so the tree is plain vertical additions.
//! That needs w transposed in blocks of sixteen rows, once per call; a tile is three rows of x against one such block. The
//! running sums are made two at a time, those that the tree joins first.
//! Every sum takes its terms in the order of NUMERICS §2: the bits are those of `product.rs`. Measured side by side on
//! a busy Zen 3 with AVX2, per core second: `encode` at D = 64 50 GFLOP/s against 30, at D = 512 65 against 42, at D = 2,304
//! 45 against 40.

use super::Lanes;
use crate::Csr;
use crate::naive::LANES;
use rayon::prelude::*;

/// Rows of x in a tile.
const ROWS: usize = 3;
/// Below this many rows of x the transposition of w does not pay.
const MIN_ROWS: usize = 128;
/// Above this width `product.rs` is about as fast, and needs no copy of w.
const MAX_WIDTH: usize = 1024;
/// The largest copy of w that is made, in floats (64 MiB).
const MAX_COPY: usize = 1 << 24;
/// The order in which the tree joins running sums: l and l + 8, then that pair and the pair of l + 4, and so on.
const ORDER: [usize; LANES] = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];

/// Is this file the faster way for `rows` rows of x against `columns` rows of w, all of width `d`?
pub(crate) fn pays(rows: usize, d: usize, columns: usize) -> bool {
    rows >= MIN_ROWS && d <= MAX_WIDTH && columns * d <= MAX_COPY
}

/// w [F, D] in blocks of sixteen rows: [⌈F/16⌉, 8 pairs, ⌈D/16⌉ terms, 2 running sums, 16 rows], zeros where w ends.
pub(crate) struct Packed {
    values: Vec<f32>,
    /// Floats of a block.
    block: usize,
}

impl Packed {
    pub(crate) fn new(w: &[f32], d: usize) -> Packed {
        let block = LANES * d.next_multiple_of(LANES);
        let mut values = vec![0.0; (w.len() / d).div_ceil(LANES) * block];
        let blocks = values.par_chunks_mut(block).zip(w.par_chunks(LANES * d));
        blocks.for_each(|(to, rows)| interleave(rows, d, LANES, to));
        Packed { values, block }
    }
}

/// to[i, j, h, r] = rows[r, 16·j + ORDER[2·i + h]] for the eight pairs of running sums, with `side` places for r. Places
/// without a source keep what they hold.
#[inline(always)]
fn interleave(rows: &[f32], d: usize, side: usize, to: &mut [f32]) {
    let steps = d.div_ceil(LANES);
    for (r, row) in rows.chunks_exact(d).enumerate() {
        for (i, lane) in ORDER.into_iter().enumerate() {
            for (j, &v) in row.iter().skip(lane).step_by(LANES).enumerate() {
                to[((i / 2 * steps + j) * 2 + i % 2) * side + r] = v;
            }
        }
    }
}

/// Sixteen outputs of each row of a tile.
type Tile = [[f32; LANES]; ROWS];

/// out[r][c] = dot(x[r], w[c]) for a tile; `pairs` is room for the eight joined pairs of running sums.
///
/// # Safety
/// The processor has L's instructions; x has 16·steps·ROWS readable floats, w 16·steps·16.
#[inline(always)]
unsafe fn tile<L: Lanes>(
    mut x: *const f32,
    mut w: *const f32,
    steps: usize,
    pairs: &mut [Tile; 8],
    out: &mut Tile,
) {
    // SAFETY: both pointers advance by what the caller vouches for; a row of a `Tile` is sixteen floats.
    unsafe {
        for pair in pairs.iter_mut() {
            let mut sums = [[L::zero(); 2]; ROWS];
            for _ in 0..steps {
                for h in 0..2 {
                    let column = L::load(w.add(h * LANES));
                    for r in 0..ROWS {
                        sums[r][h] = sums[r][h].fma(L::splat(*x.add(h * ROWS + r)), column);
                    }
                }
                (x, w) = (x.add(2 * ROWS), w.add(2 * LANES));
            }
            for r in 0..ROWS {
                sums[r][0].add(sums[r][1]).store(pair[r].as_mut_ptr());
            }
        }
        for r in 0..ROWS {
            let two = |i: usize| L::load(pairs[i][r].as_ptr()).add(L::load(pairs[i + 1][r].as_ptr()));
            two(0).add(two(2)).add(two(4).add(two(6))).store(out[r].as_mut_ptr());
        }
    }
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
    mut put: impl FnMut(usize, usize, usize, L),
) {
    let (rows, steps) = (x.len() / d, d.div_ceil(LANES));
    let group = ROWS * steps * LANES;
    let mut packed = vec![0.0; rows.div_ceil(ROWS) * group];
    for (to, rows) in packed.chunks_exact_mut(group).zip(x.chunks(ROWS * d)) {
        interleave(rows, d, ROWS, to);
    }
    assert!(w.block == LANES * steps * LANES && columns.div_ceil(LANES) * w.block == w.values.len());
    let (mut pairs, mut out) = ([[[0.0; LANES]; ROWS]; 8], [[0.0; LANES]; ROWS]);
    for (block, w) in w.values.chunks_exact(w.block).enumerate() {
        let column = block * LANES;
        let width = LANES.min(columns - column);
        for (g, x) in packed.chunks_exact(group).enumerate() {
            // SAFETY: x and w are a whole group and a whole block of 16·`steps` terms; a row of `out` is sixteen floats.
            unsafe {
                tile::<L>(x.as_ptr(), w.as_ptr(), steps, &mut pairs, &mut out);
                for r in 0..ROWS.min(rows - g * ROWS) {
                    put(g * ROWS + r, column, width, L::load(out[r].as_ptr()));
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
