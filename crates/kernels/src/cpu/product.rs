//! Products of rows with rows, generic over [`Lanes`]: the register tile, the cache blocks and the threads.
//!
//! A panel is `PANEL_ROWS` rows of x against a block of w that fits the second-level cache; a panel's products of one
//! block live in a small buffer, never more. Threads share panels by fixed boundaries, so that no value and no order
//! depends on their number.

use super::Lanes;
use crate::Csr;
use crate::naive::LANES;
use rayon::prelude::*;
use std::ops::Range;

/// Rows of x that one task multiplies.
pub(crate) const PANEL_ROWS: usize = 48;
/// Floats of w that are kept in cache while a panel of x streams past (128 KiB).
const BLOCK_FLOATS: usize = 32 * 1024;
/// Columns that one task computes when there are few rows.
const SHARE_COLUMNS: usize = 128;
const TILE_ROWS: usize = 3;
/// The same with registers for twice the sums: six would wait for each other, four cycles for each of two units.
const TALL_ROWS: usize = 6;
const TILE_COLS: usize = 2;

pub(crate) fn block_columns(d: usize) -> usize {
    (BLOCK_FLOATS / d.max(1)).clamp(8, 256) & !1
}

/// dot(x, w) for R rows of x (`ldx` apart) and two rows of w; out[r][c].
///
/// # Safety
/// The processor has L's instructions; every row has `d` readable floats.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize>(
    x: *const f32,
    ldx: usize,
    w: [*const f32; TILE_COLS],
    d: usize,
) -> [[f32; TILE_COLS]; R] {
    // SAFETY: offsets stay below d in every row; the caller vouches for the instructions.
    unsafe {
        let mut sums = [[L::zero(); TILE_COLS]; R];
        let whole = d / LANES * LANES;
        let mut k = 0;
        while k < whole {
            let w = [L::load(w[0].add(k)), L::load(w[1].add(k))];
            for r in 0..R {
                let x = L::load(x.add(r * ldx + k));
                sums[r] = [sums[r][0].fma(x, w[0]), sums[r][1].fma(x, w[1])];
            }
            k += LANES;
        }
        if k < d {
            let w = [L::load_tail(w[0].add(k), d - k), L::load_tail(w[1].add(k), d - k)];
            for r in 0..R {
                let x = L::load_tail(x.add(r * ldx + k), d - k);
                sums[r] = [sums[r][0].fma(x, w[0]), sums[r][1].fma(x, w[1])];
            }
        }
        let mut out = [[0.0; TILE_COLS]; R];
        for r in 0..R {
            (out[r][0], out[r][1]) = L::tree2(sums[r][0], sums[r][1]);
        }
        out
    }
}

/// Floats from the first of `rows` rows, `stride` apart, to the end of the last, which are `width` wide.
fn reach(rows: usize, stride: usize, width: usize) -> usize {
    (rows - 1)
        .checked_mul(stride)
        .and_then(|start| start.checked_add(width))
        .expect("product: sizes overflow")
}

/// out[r·ldo + c] = dot(x[r], w[c]) for `rows` × `cols`; x rows are `ldx` apart, w rows `ldw`.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn block<L: Lanes>(
    x: &[f32],
    ldx: usize,
    rows: usize,
    w: &[f32],
    ldw: usize,
    cols: usize,
    d: usize,
    out: &mut [f32],
    ldo: usize,
) {
    if rows == 0 || cols == 0 {
        return;
    }
    assert!(
        reach(rows, ldx, d) <= x.len()
            && reach(cols, ldw, d) <= w.len()
            && reach(rows, ldo, cols) <= out.len()
    );
    for c in (0..cols).step_by(TILE_COLS) {
        let second = (c + 1).min(cols - 1); // an odd last column is computed twice, written once
        let wide = cols - c >= TILE_COLS;
        let mut put = |r: usize, v: [f32; TILE_COLS]| {
            out[r * ldo + c] = v[0];
            if wide {
                out[r * ldo + c + 1] = v[1];
            }
        };
        let mut r = 0;
        // SAFETY: the asserts above keep every row that a tile reads inside x and w.
        unsafe {
            let w = [w.as_ptr().add(c * ldw), w.as_ptr().add(second * ldw)];
            while L::IN_REGISTERS > TALL_ROWS * TILE_COLS && r + TALL_ROWS <= rows {
                let v = tile::<L, TALL_ROWS>(x.as_ptr().add(r * ldx), ldx, w, d);
                (0..TALL_ROWS).for_each(|i| put(r + i, v[i]));
                r += TALL_ROWS;
            }
            while r + TILE_ROWS <= rows {
                let v = tile::<L, TILE_ROWS>(x.as_ptr().add(r * ldx), ldx, w, d);
                (0..TILE_ROWS).for_each(|i| put(r + i, v[i]));
                r += TILE_ROWS;
            }
            while r < rows {
                put(r, tile::<L, 1>(x.as_ptr().add(r * ldx), ldx, w, d)[0]);
                r += 1;
            }
        }
    }
}

/// out[n, m] = dot(x[n], w[m]) + bias[m] for one panel; out rows are `m_total` apart.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn linear_panel<L: Lanes>(
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    d: usize,
    out: &mut [f32],
    m_total: usize,
) {
    let rows = x.len() / d;
    for m in (0..m_total).step_by(block_columns(d)) {
        let cols = block_columns(d).min(m_total - m);
        // SAFETY: passed on.
        unsafe { block::<L>(x, d, rows, &w[m * d..], d, cols, d, &mut out[m..], m_total) };
    }
    add_bias(bias, out, m_total);
}

/// out[n, m] += bias[m], out [N, `m_total`].
#[inline(always)]
pub(crate) fn add_bias(bias: Option<&[f32]>, out: &mut [f32], m_total: usize) {
    let Some(bias) = bias else { return };
    for row in out.chunks_exact_mut(m_total) {
        row.iter_mut().zip(bias).for_each(|(o, b)| *o += b);
    }
}

/// The kept entries of one panel, rows ascending: z = dot + b with `!(z <= lo)`.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn encode_panel<L: Lanes>(x: &[f32], w: &[f32], b: &[f32], lo: &[f32], d: usize) -> Csr {
    let (rows, f_total) = (x.len() / d, b.len());
    let cols = block_columns(d);
    let mut kept: Vec<Vec<(u32, f32)>> = vec![Vec::new(); rows];
    let mut z = vec![0.0f32; rows * cols]; // [rows, cols], one tile
    for f in (0..f_total).step_by(cols) {
        let columns = f..(f + cols).min(f_total);
        let (b, lo) = (&b[columns.clone()], &lo[columns.clone()]);
        // SAFETY: passed on.
        unsafe { encode_block::<L>(x, d, &w[f * d..columns.end * d], b, lo, f, &mut z, &mut kept) };
    }
    Csr::from_rows(f_total, &kept)
}

/// Appends what passes in the columns of w, which are `first` and the next; `z` is room for rows × columns.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn encode_block<L: Lanes>(
    x: &[f32],
    d: usize,
    w: &[f32],
    b: &[f32],
    lo: &[f32],
    first: usize,
    z: &mut [f32],
    kept: &mut [Vec<(u32, f32)>],
) {
    let cols = b.len();
    // SAFETY: passed on.
    unsafe { block::<L>(x, d, x.len() / d, w, d, cols, d, z, cols) };
    for (row, kept) in z.chunks_exact_mut(cols).zip(kept) {
        keep(row, b, lo, first, kept);
    }
}

/// Adds the bias to one row of a tile and appends what passes the threshold. Sixteen at a time: most groups have none.
#[inline(always)]
fn keep(z: &mut [f32], b: &[f32], lo: &[f32], f: usize, kept: &mut Vec<(u32, f32)>) {
    for (c, ((z, b), lo)) in z.chunks_mut(LANES).zip(b.chunks(LANES)).zip(lo.chunks(LANES)).enumerate() {
        let mut any = false;
        for i in 0..z.len() {
            z[i] += b[i];
            any |= !(z[i] <= lo[i]);
        }
        if any {
            let passes = (0..z.len()).filter(|&i| !(z[i] <= lo[i]));
            kept.extend(passes.map(|i| ((f + c * LANES + i) as u32, z[i])));
        }
    }
}

/// Runs `panel` on every `rows` rows of x and of out [N, m_total] in parallel.
pub(crate) fn by_rows(
    x: &[f32],
    d: usize,
    rows: usize,
    out: &mut [f32],
    m_total: usize,
    panel: impl Fn(&[f32], &mut [f32]) + Sync + Send,
) {
    let panels = x.par_chunks(rows * d).zip(out.par_chunks_mut(rows * m_total));
    panels.for_each(|(x, out)| panel(x, out));
}

/// Is the work better shared by columns? (One panel, and enough to do.)
pub(crate) fn is_wide(rows: usize, d: usize, m_total: usize) -> bool {
    rows <= PANEL_ROWS && m_total > SHARE_COLUMNS && rows * m_total * d > 1 << 18
}

/// Columns of each task where there are few rows.
pub(crate) fn shares(m_total: usize) -> impl Iterator<Item = Range<usize>> {
    (0..m_total).step_by(SHARE_COLUMNS).map(move |start| start..(start + SHARE_COLUMNS).min(m_total))
}

/// Runs `panel` on every `rows` rows of x in parallel and joins the results in order.
pub(crate) fn encode(
    x: &[f32],
    d: usize,
    rows: usize,
    columns: usize,
    panel: impl Fn(&[f32]) -> Csr + Sync + Send,
) -> Csr {
    let parts: Vec<Csr> = x.par_chunks(rows * d).map(panel).collect();
    Csr::below(columns, &parts)
}
