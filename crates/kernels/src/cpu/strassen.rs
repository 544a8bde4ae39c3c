//! The product x·wᵀ of small integers, exact modulo 2³², with fewer multiplications than it has terms.
//!
//! Strassen (1969), applied twice: sixteen rows, four quarters of the summed dimension and 64 columns are 4 × 4 blocks each,
//! whose 64 products are made of 49 products of sums of blocks. Winograd (1968), inside each of them: of four terms,
//! x₀w₀ + x₁w₁ + x₂w₂ + x₃w₃ = (x₀ + w₂)(x₂ + w₀) + (x₁ + w₃)(x₃ + w₁) − (x₀x₂ + x₁x₃) − (w₀w₂ + w₁w₃), two multiplications
//! in place of four; the last two brackets belong to one operand alone and are summed once. Floats would lose digits to such
//! sums; integers lose nothing, as long as a sum of eight of them fits into 16 bits. Where a multiplication and its addition are
//! one instruction ([`Pairs::FUSED`]), four terms take two of them and Winograd's way three: there it is not gone.

use super::Pairs;
use crate::naive::LANES;

/// Blocks along each side of x, of w and of their product.
const SIDE: usize = 4;
const BLOCKS: usize = SIDE * SIDE;
/// Rows of x in a block.
const TILE_ROWS: usize = 4;
/// Rows of x that are multiplied together.
const ROWS: usize = SIDE * TILE_ROWS;
/// Columns, which are rows of w, that are multiplied together.
pub(crate) const COLUMNS: usize = SIDE * LANES;
/// The largest integer: a sum of four of x and four of w fits into 16 bits.
pub(crate) const LARGEST: i16 = crate::naive::screen::LARGEST as i16;
const _: () = assert!(LARGEST <= i16::MAX / 8);
/// Products of blocks that one product of [`ROWS`] × [`COLUMNS`] takes.
const PRODUCTS: usize = STRASSEN.len() * STRASSEN.len();

/// Strassen's seven products. Each multiplies a sum of blocks (11, 12, 21, 22) of x by a sum of blocks of wᵀ, and is added to
/// blocks of the result.
const STRASSEN: [[[i8; 4]; 3]; 7] = [
    [[1, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 1]],
    [[0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 1, -1]],
    [[1, 0, 0, 0], [0, 1, 0, -1], [0, 1, 0, 1]],
    [[0, 0, 0, 1], [-1, 0, 1, 0], [1, 0, 1, 0]],
    [[1, 1, 0, 0], [0, 0, 0, 1], [-1, 1, 0, 0]],
    [[-1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]],
    [[0, 1, 0, -1], [0, 0, 1, 1], [1, 0, 0, 0]],
];
/// The blocks of a sum, each with its sign; 0 where there are fewer than four.
type Terms = [(usize, i8); 4];
const X: [Terms; PRODUCTS] = twice(0);
const W: [Terms; PRODUCTS] = twice(1);
const OUT: [Terms; PRODUCTS] = twice(2);

/// One operand's sums where every block is again multiplied by Strassen's seven: blocks [4, 4], rows before columns.
const fn twice(operand: usize) -> [Terms; PRODUCTS] {
    let mut sums = [[(0, 0); 4]; PRODUCTS];
    let mut product = 0;
    while product < PRODUCTS {
        let (mut block, mut count) = (0, 0);
        while block < BLOCKS {
            let (row, column) = (block / SIDE, block % SIDE);
            let outer = STRASSEN[product / 7][operand][row / 2 * 2 + column / 2];
            let inner = STRASSEN[product % 7][operand][row % 2 * 2 + column % 2];
            if outer * inner != 0 {
                sums[product][count] = (block, outer * inner);
                count += 1;
            }
            block += 1;
        }
        product += 1;
    }
    sums
}

/// A line of the cache: of w two integers of each of sixteen columns, of x twice four of each of four rows.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([i16; 2 * LANES]);

const BLANK: Line = Line([0; 2 * LANES]);

/// Sixteen sums of a row.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Sums(pub(crate) [i32; LANES]);

/// The product of [`ROWS`] rows and [`COLUMNS`] columns: sums [row block, column block, row, column].
pub(crate) type Product = [[Sums; TILE_ROWS]; BLOCKS];

/// The sums of row n and of the sixteen columns of block j.
#[inline(always)]
pub(crate) fn sums_of(out: &[Product], n: usize, j: usize) -> &Sums {
    &out[n / ROWS][n % ROWS / TILE_ROWS * SIDE + j][n % TILE_ROWS]
}

/// Width of a quarter: whole lines of x.
fn quarter(d: usize) -> usize {
    d.div_ceil(SIDE).next_multiple_of(8)
}

/// 16-bit integers that [`Columns`] holds for each column of width `d`.
pub(crate) fn column_size(d: usize) -> usize {
    PRODUCTS * quarter(d) / SIDE
}

/// Rows of x, as the sums of their blocks that are multiplied.
pub(crate) struct Rows {
    /// [PRODUCTS, ⌈N/ROWS⌉, lines of a block]
    sums: Vec<Line>,
    /// What Winograd's terms of x alone take away, if that is the way: [⌈N/ROWS⌉, BLOCKS, TILE_ROWS].
    start: Vec<[[i32; TILE_ROWS]; BLOCKS]>,
    lines: usize,
}

impl Rows {
    /// Of x [N, D], no integer above [`LARGEST`].
    #[inline(always)]
    pub(crate) fn new<P: Pairs>(x: &[i16], d: usize) -> Rows {
        let (groups, quarter) = ((x.len() / d).div_ceil(ROWS), quarter(d));
        let lines = quarter * TILE_ROWS / BLANK.0.len();
        let mut rows = Rows {
            sums: vec![BLANK; PRODUCTS * groups * lines],
            start: vec![[[0; TILE_ROWS]; BLOCKS]; groups],
            lines,
        };
        let (mut padded, mut blocks) = (vec![0i16; SIDE * quarter], vec![BLANK; BLOCKS * lines]);
        for (group, x) in x.chunks(ROWS * d).enumerate() {
            blocks.fill(BLANK);
            for (n, x) in x.chunks_exact(d).enumerate() {
                padded[..d].copy_from_slice(x);
                let (i, r) = (n / TILE_ROWS, n % TILE_ROWS);
                for (k, x) in padded.chunks_exact(quarter).enumerate() {
                    let to = &mut blocks[(i * SIDE + k) * lines..][..lines];
                    for (x, to) in x.chunks_exact(8).zip(to) {
                        to.0[4 * r..][..4].copy_from_slice(&x[..4]);
                        to.0[LANES + 4 * r..][..4].copy_from_slice(&x[4..]);
                    }
                }
            }
            for product in 0..PRODUCTS {
                let sum = &mut rows.sums[(product * groups + group) * lines..][..lines];
                add_blocks(&X[product], &blocks, sum);
                if P::FUSED {
                    continue;
                }
                let own = crossed_rows(sum);
                for (block, sign) in OUT[product] {
                    let start = &mut rows.start[group][block];
                    start
                        .iter_mut()
                        .zip(own)
                        .for_each(|(s, own)| *s = s.wrapping_sub(own.wrapping_mul(sign.into())));
                }
            }
        }
        rows
    }

    /// Room for the product with one [`Columns`].
    pub(crate) fn product(&self) -> Vec<Product> {
        vec![[[Sums([0; LANES]); TILE_ROWS]; BLOCKS]; self.start.len()]
    }
}

/// [`COLUMNS`] rows of w, as the sums of their blocks that are multiplied.
pub(crate) struct Columns {
    /// [PRODUCTS, lines of a block]
    sums: Vec<Line>,
    /// What Winograd's terms of w alone take away, if that is the way: [BLOCKS, LANES].
    start: [Sums; BLOCKS],
}

impl Columns {
    /// Of w [at most [`COLUMNS`], D], no integer above [`LARGEST`].
    ///
    /// # Safety
    /// The processor has P's instructions.
    #[inline(always)]
    pub(crate) unsafe fn new<P: Pairs>(w: &[i16], d: usize) -> Columns {
        let quarter = quarter(d);
        let lines = quarter / 2;
        let (mut padded, mut blocks) = (vec![0i16; SIDE * quarter], vec![BLANK; BLOCKS * lines]);
        for (f, w) in w.chunks_exact(d).enumerate() {
            padded[..d].copy_from_slice(w);
            let (j, l) = (f / LANES, f % LANES);
            for (k, w) in padded.chunks_exact(quarter).enumerate() {
                let to = &mut blocks[(k * SIDE + j) * lines..][..lines];
                for (pair, to) in w.chunks_exact(2).zip(to) {
                    to.0[2 * l..][..2].copy_from_slice(pair);
                }
            }
        }
        let mut columns = Columns { sums: vec![BLANK; PRODUCTS * lines], start: [Sums([0; LANES]); BLOCKS] };
        for (product, sum) in columns.sums.chunks_exact_mut(lines).enumerate() {
            add_blocks(&W[product], &blocks, sum);
            if P::FUSED {
                continue;
            }
            // SAFETY: the caller vouches for the instructions.
            let own = unsafe { crossed_columns::<P>(sum) };
            for (block, sign) in OUT[product] {
                let start = &mut columns.start[block].0;
                start
                    .iter_mut()
                    .zip(own.0)
                    .for_each(|(s, own)| *s = s.wrapping_sub(own.wrapping_mul(sign.into())));
            }
        }
        columns
    }
}

/// sum = Σ ± blocks.
#[inline(always)]
fn add_blocks(terms: &Terms, blocks: &[Line], sum: &mut [Line]) {
    let lines = sum.len();
    let [a, b, c, d] = terms.map(|(block, _)| &blocks[block * lines..][..lines]);
    let signs = terms.map(|(_, sign)| i16::from(sign));
    for (k, sum) in sum.iter_mut().enumerate() {
        let terms = [&a[k].0, &b[k].0, &c[k].0, &d[k].0];
        for (l, sum) in sum.0.iter_mut().enumerate() {
            *sum = (0..4).map(|t| signs[t] * terms[t][l]).sum();
        }
    }
}

/// Σ x₀x₂ + x₁x₃ of each of four rows.
#[inline(always)]
fn crossed_rows(lines: &[Line]) -> [i32; TILE_ROWS] {
    let mut sums = [0i32; TILE_ROWS];
    for x in lines.iter().flat_map(|line| line.0.chunks_exact(4 * TILE_ROWS)) {
        for (sum, x) in sums.iter_mut().zip(x.chunks_exact(4)) {
            let [x0, x1, x2, x3] = [x[0], x[1], x[2], x[3]].map(i32::from);
            *sum = sum.wrapping_add(x0 * x2 + x1 * x3);
        }
    }
    sums
}

/// Σ w₀w₂ + w₁w₃ of each of sixteen columns.
///
/// # Safety
/// The processor has P's instructions.
#[inline(always)]
unsafe fn crossed_columns<P: Pairs>(lines: &[Line]) -> Sums {
    let mut own = Sums([0; LANES]);
    // SAFETY: a line has sixteen pairs; the caller vouches for the instructions.
    unsafe {
        let mut sums = P::zero();
        for w in lines.chunks_exact(2) {
            sums = sums.add_product(P::load(w[0].0.as_ptr()), P::load(w[1].0.as_ptr()));
        }
        sums.store(own.0.as_mut_ptr());
    }
    own
}

/// out [⌈N/ROWS⌉] = x·wᵀ, exact modulo 2³².
///
/// # Safety
/// The processor has P's instructions.
#[inline(always)]
pub(crate) unsafe fn multiply<P: Pairs>(x: &Rows, w: &Columns, out: &mut [Product]) {
    for (out, x) in out.iter_mut().zip(&x.start) {
        for (out, (x, w)) in out.iter_mut().zip(x.iter().zip(&w.start)) {
            for (out, &x) in out.iter_mut().zip(x) {
                // SAFETY: Sums has sixteen integers; the caller vouches for the instructions.
                unsafe { P::load(w.0.as_ptr().cast()).add(P::splat(x)).store(out.0.as_mut_ptr()) };
            }
        }
    }
    let lines = w.sums.len() / PRODUCTS;
    assert_eq!(4 * x.lines, lines, "x and w are cut for one width");
    let share = lines.div_ceil(out.len());
    for (product, block) in w.sums.chunks_exact(lines).enumerate() {
        let x = x.sums[product * out.len() * x.lines..].chunks_exact(x.lines);
        let mut next = w.sums[(product + 1) * lines..].chunks(share);
        for (out, x) in out.iter_mut().zip(x) {
            for line in next.next().unwrap_or_default() {
                // SAFETY: the caller vouches for the instructions.
                unsafe { P::prefetch(line.0.as_ptr()) };
            }
            // SAFETY: a block of x has a fourth of the lines of a block of w; the caller vouches for the instructions.
            unsafe { add_product(tile::<P>(x.as_ptr().cast(), block), &OUT[product], out) };
        }
    }
}

/// The product of a block of x and one of w.
///
/// # Safety
/// The processor has P's instructions; x has eight readable pairs for every two lines of w.
#[inline(always)]
unsafe fn tile<P: Pairs>(x: *const i32, w: &[Line]) -> [P; TILE_ROWS] {
    // SAFETY: as asked of the caller.
    unsafe { if P::FUSED { tile_by_terms(x, w) } else { tile_by_winograd(x, w) } }
}

/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn tile_by_winograd<P: Pairs>(x: *const i32, w: &[Line]) -> [P; TILE_ROWS] {
    // SAFETY: the caller vouches for what is read and for the instructions.
    unsafe {
        let mut sums = [P::zero(); TILE_ROWS];
        for (k, w) in w.chunks_exact(4).enumerate() {
            for half in 0..2 {
                let w = [P::load(w[2 * half].0.as_ptr()), P::load(w[2 * half + 1].0.as_ptr())];
                for r in 0..TILE_ROWS {
                    let x = x.add(2 * ((2 * k + half) * TILE_ROWS + r));
                    sums[r] = sums[r].add_crossed([P::splat(*x), P::splat(*x.add(1))], w);
                }
            }
        }
        sums
    }
}

/// Four running sums of each row, because an addition must wait for the one before it, five cycles long.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn tile_by_terms<P: Pairs>(x: *const i32, w: &[Line]) -> [P; TILE_ROWS] {
    // SAFETY: the caller vouches for what is read and for the instructions.
    unsafe {
        let mut sums = [[P::zero(); 4]; TILE_ROWS];
        for (k, w) in w.chunks_exact(4).enumerate() {
            for (part, w) in w.iter().enumerate() {
                let w = P::load(w.0.as_ptr());
                for r in 0..TILE_ROWS {
                    let x = x.add(2 * ((2 * k + part / 2) * TILE_ROWS + r) + part % 2);
                    sums[r][part] = sums[r][part].add_product(P::splat(*x), w);
                }
            }
        }
        sums.map(|[a, b, c, d]| a.add(b).add(c.add(d)))
    }
}

/// Adds a product to the blocks of the result that it belongs to.
///
/// # Safety
/// The processor has P's instructions.
#[inline(always)]
unsafe fn add_product<P: Pairs>(product: [P; TILE_ROWS], terms: &Terms, out: &mut Product) {
    for &(block, sign) in terms.iter().take_while(|(_, sign)| *sign != 0) {
        for (out, product) in out[block].iter_mut().zip(product) {
            // SAFETY: Sums has sixteen integers; the caller vouches for the instructions.
            unsafe {
                let old = P::load(out.0.as_ptr().cast());
                let new = if sign > 0 { old.add(product) } else { old.sub(product) };
                new.store(out.0.as_mut_ptr());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::portable::{Array, Ints};
    use proptest::prelude::*;

    /// x·wᵀ [N, F] as `multiply` gives it.
    fn product<P: Pairs>(x: &[Vec<i16>], w: &[Vec<i16>], d: usize) -> Vec<Vec<i32>> {
        let rows = Rows::new::<P>(&x.concat(), d);
        let mut out = rows.product();
        // SAFETY: the callers use instances that this processor has.
        unsafe { multiply::<P>(&rows, &Columns::new::<P>(&w.concat(), d), &mut out) };
        let sum = |n: usize, f: usize| sums_of(&out, n, f / LANES).0[f % LANES];
        (0..x.len()).map(|n| (0..w.len()).map(|f| sum(n, f)).collect()).collect()
    }

    proptest! {
        /// Against the sum of products, term by term, modulo 2³²; with entries at the ends of what is allowed.
        #[test]
        fn is_the_sum_of_products(
            n in 1usize..40, f in 1usize..=64, d in 1usize..150, seed in any::<u64>(), extreme: bool,
        ) {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let q = ((state >> 40) % (2 * LARGEST as u64 + 1)) as i16 - LARGEST;
                if extreme { q.signum() * LARGEST } else { q }
            };
            let mut rows = |n: usize| (0..n).map(|_| (0..d).map(|_| next()).collect()).collect::<Vec<Vec<i16>>>();
            let (x, w) = (rows(n), rows(f));
            let dot = |x: &[i16], w: &[i16]| {
                x.iter().zip(w).map(|(&x, &w)| i64::from(x) * i64::from(w)).sum::<i64>() as i32
            };
            let expected: Vec<Vec<i32>> = x.iter().map(|x| w.iter().map(|w| dot(x, w)).collect()).collect();
            prop_assert_eq!(&product::<Ints<Array>>(&x, &w, d), &expected);
            #[cfg(target_arch = "x86_64")]
            if crate::Isa::Avx2.is_available() {
                prop_assert_eq!(&product::<crate::cpu::avx2::Avx2Pairs>(&x, &w, d), &expected);
            }
            #[cfg(target_arch = "x86_64")]
            if crate::Isa::Avx512.is_available() {
                prop_assert_eq!(&product::<crate::cpu::avx512::Avx512Pairs<false>>(&x, &w, d), &expected);
            }
            #[cfg(target_arch = "x86_64")]
            if crate::Isa::Avx512.is_available() && is_x86_feature_detected!("avx512vnni") {
                prop_assert_eq!(&product::<crate::cpu::avx512::Avx512Pairs<true>>(&x, &w, d), &expected);
            }
        }
    }
}
