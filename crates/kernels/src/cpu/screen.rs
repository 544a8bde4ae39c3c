//! The encoder's product, faster than in f32: a product of 16-bit integers decides what cannot pass the threshold, the
//! exact product of docs/numerics.md §2 decides the rest. What comes out is bit for bit what `product.rs` gives.
//!
//! A row v is written v = σ·q + δ with integers q of norm at most 46,340, so that no sum of products of two such rows leaves
//! 32 bits. With I = q_x·q_w (exact), dot(x, w) ≤ σ_x·σ_w·I + ‖δ_x‖·‖w‖ + σ_x·‖q_x‖·‖δ_w‖ + γ·‖x‖·‖w‖, where γ bounds what
//! rounding does to the f32 dot product. An entry is skipped iff that is at most lo − b; rounding is monotonic, so the exact
//! z would not pass either. Divided by σ_x·σ_w the test is I ≤ A_f·a_n − B_f·e_n − C_f·m_n, two fused multiply-adds for
//! an output; the coefficients are rounded so that the right side can only be too small. A test with NaN keeps the entry.
//!
//! I is made by `strassen.rs`, with fewer multiplications than terms, which is why no integer exceeds 4,095.
//!
//! One scale per row is enough where bf16 needs eight bits of exponent per value: with q of norm 46,340 the bound is about
//! 6·10⁻⁴·‖x‖·‖w‖ at D = 2,304, a third of what bf16 gives, and at most 6·10⁻³ beside an outlier so large that 4,095 cuts the
//! norm of q. (docs/numerics.md §2 asks for bf16 where the processor has it; this is for those that multiply integers faster.)

use super::strassen::{self, Columns, Product, Rows, Sums};
use super::{Lanes, Pairs, gather, product};
use crate::Csr;
use crate::naive::LANES;
use crate::naive::screen::{self, Coefficients};

pub(crate) use super::strassen::COLUMNS;

/// Most rows of x that one task multiplies: their integers stay in the third-level cache, and no thread waits long for the
/// last one.
const PANEL_ROWS: usize = 256;
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

/// Rows of x that one task multiplies, of `rows` in all: two tasks for each thread, where that leaves enough of them.
pub(crate) fn panel_rows(rows: usize) -> usize {
    rows.div_ceil(2 * rayon::current_num_threads()).next_multiple_of(16).clamp(64, PANEL_ROWS)
}

/// Columns that are screened at a time, so that the copy of w stays below [`MAX_COPY`].
pub(crate) fn columns_at_a_time(d: usize) -> usize {
    (MAX_COPY / strassen::column_size(d) / COLUMNS).max(1) * COLUMNS
}

/// 64 rows of w as integers, with what the test of a column takes.
pub(crate) struct Block {
    columns: Columns,
    /// A: (lo − b)/σ, rounded down.
    a: [f32; COLUMNS],
    /// B: ‖w‖/σ, rounded up.
    b: [f32; COLUMNS],
    /// C: what multiplies ‖q_x‖, rounded up.
    c: [f32; COLUMNS],
}

impl Block {
    /// # Safety
    /// The processor has P's instructions.
    #[inline(always)]
    pub(crate) unsafe fn new<P: Pairs>(w: &[f32], bias: &[f32], lo: &[f32], d: usize) -> Block {
        let mut q = vec![0; w.len()];
        let (mut a, mut b, mut c) = ([f32::INFINITY; COLUMNS], [1.0; COLUMNS], [0.0; COLUMNS]);
        for (f, (w, q)) in w.chunks_exact(d).zip(q.chunks_exact_mut(d)).enumerate() {
            let column = screen::of_column(screen::quantise(w, q), lo[f], bias[f]);
            (a[f], b[f], c[f]) = (column.a, column.b, column.c);
        }
        // SAFETY: the caller vouches for the instructions.
        let columns = unsafe { Columns::new::<P>(&q, d) };
        Block { columns, a, b, c }
    }
}

/// x [N, D] as integers, with what the test of a row takes. Inlined, for the caller's instructions.
#[inline(always)]
fn rows<P: Pairs>(x: &[f32], d: usize) -> (Rows, Vec<Coefficients>) {
    let mut q = vec![0; x.len()];
    let mut coefficients = Vec::with_capacity(x.len() / d);
    for (x, q) in x.chunks_exact(d).zip(q.chunks_exact_mut(d)) {
        coefficients.push(screen::of_row(screen::quantise(x, q), d));
    }
    (Rows::new::<P>(&q, d), coefficients)
}

/// The candidates of a block of columns: `rows_of[c]` are the rows that may pass in its column c.
///
/// # Safety
/// The processor has P's instructions.
#[inline(always)]
unsafe fn candidates<P: Pairs>(
    x: &Rows,
    rows: &[Coefficients],
    w: &Block,
    sums: &mut [Product],
    rows_of: &mut [Vec<u32>],
) {
    rows_of.iter_mut().for_each(Vec::clear);
    // SAFETY: the caller vouches for the instructions.
    unsafe { strassen::multiply::<P>(x, &w.columns, sums) };
    for (n, row) in rows.iter().enumerate() {
        for j in 0..COLUMNS / LANES {
            let sums = strassen::sums_of(sums, n, j);
            // SAFETY: j·16 + 16 columns are within a block; the caller vouches for the instructions.
            let mut kept =
                unsafe { passes::<P>(sums, row, [&w.a, &w.b, &w.c].map(|v| v.as_ptr().add(j * LANES))) };
            while kept != 0 {
                rows_of[j * LANES + kept.trailing_zeros() as usize].push(n as u32);
                kept &= kept - 1;
            }
        }
    }
}

/// Which of sixteen columns may pass, as bits.
///
/// # Safety
/// The processor has P's instructions; each of `columns` has sixteen readable floats.
#[inline(always)]
unsafe fn passes<P: Pairs>(sums: &Sums, row: &Coefficients, columns: [*const f32; 3]) -> u32 {
    // SAFETY: the caller vouches for what is read and for the instructions.
    unsafe {
        let [a, b, c] =
            [P::Floats::load(columns[0]), P::Floats::load(columns[1]), P::Floats::load(columns[2])];
        let at_most = P::Floats::zero().fma(P::Floats::splat(row.a), a);
        let at_most = at_most.fma(P::Floats::splat(-row.b), b).fma(P::Floats::splat(-row.c), c);
        P::load(sums.0.as_ptr().cast()).floats().not_below(at_most)
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
    screen: &[Block],
) -> Csr {
    let n = x.len() / d;
    let (rows, coefficients) = rows::<P>(x, d);
    let mut kept: Vec<Vec<(u32, f32)>> = vec![Vec::new(); n];
    let (mut sums, mut rows_of, mut z) = (rows.product(), vec![Vec::new(); COLUMNS], Vec::new());
    let mut dense = false;
    for (block, first) in (0..b.len()).step_by(COLUMNS).enumerate() {
        let columns = first..(first + COLUMNS).min(b.len());
        let (w, b, lo) = (&w[first * d..columns.end * d], &b[columns.clone()], &lo[columns]);
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            // Where many pass, the screen is a loss: it looks again at every eighth block.
            if !dense || block % 8 == 0 {
                candidates::<P>(&rows, &coefficients, &screen[block], &mut sums, &mut rows_of);
                let found: usize = rows_of.iter().map(Vec::len).sum();
                dense = found * 4 > n * b.len();
            }
            if dense {
                z.resize(n * b.len(), 0.0);
                product::encode_block::<P::Floats>(x, d, w, b, lo, first, &mut z, &mut kept);
            } else {
                recheck::<P>(x, d, w, b, lo, first, &rows_of, &mut kept);
            }
        }
    }
    Csr::from_rows(b.len(), &kept)
}

/// How many entries of a panel are left to the exact product.
///
/// # Safety
/// The processor has P's instructions.
#[inline(always)]
pub(crate) unsafe fn count_candidates<P: Pairs>(x: &[f32], d: usize, screen: &[Block]) -> usize {
    let (rows, coefficients) = rows::<P>(x, d);
    let (mut sums, mut rows_of) = (rows.product(), vec![Vec::new(); COLUMNS]);
    let mut count = 0;
    for block in screen {
        // SAFETY: the caller vouches for the instructions.
        unsafe { candidates::<P>(&rows, &coefficients, block, &mut sums, &mut rows_of) };
        count += rows_of.iter().map(Vec::len).sum::<usize>();
    }
    count
}

/// Appends the candidates that pass by the exact product. Column by column, because a row of w comes from memory and the
/// rows of x are nearer; while one column is multiplied, the next row of w is on its way.
///
/// # Safety
/// The processor has P's instructions and those of its floats.
#[inline(always)]
unsafe fn recheck<P: Pairs>(
    x: &[f32],
    d: usize,
    w: &[f32],
    b: &[f32],
    lo: &[f32],
    first: usize,
    rows: &[Vec<u32>],
    kept: &mut [Vec<(u32, f32)>],
) {
    let mut dots = Vec::new();
    for (f, rows_of) in rows.iter().enumerate().take(b.len()) {
        if rows.get(f + 1).is_some_and(|next| !next.is_empty()) && f + 1 < b.len() {
            // SAFETY: the caller vouches for the instructions.
            unsafe { prefetch::<P>(&w[(f + 1) * d..][..d]) };
        }
        dots.resize(rows_of.len(), 0.0);
        // SAFETY: the caller vouches for the instructions.
        unsafe { gather::gather_dot::<P::Floats>(&w[f * d..][..d], rows_of, x, &mut dots) };
        for (&n, dot) in rows_of.iter().zip(&dots) {
            let z = dot + b[f];
            if !(z <= lo[f]) {
                kept[n as usize].push(((first + f) as u32, z));
            }
        }
    }
}

/// Asks for all of a row.
///
/// # Safety
/// The processor has P's instructions.
#[inline(always)]
unsafe fn prefetch<P: Pairs>(row: &[f32]) {
    for line in row.chunks(LANES) {
        // SAFETY: the caller vouches for the instructions.
        unsafe { P::prefetch(line.as_ptr().cast()) };
    }
}
