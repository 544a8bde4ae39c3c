//! Many sums over gathered rows, and many dot products with them, so that rows are read from memory seldom.
//!
//!   out_s ← out_s + Σ_k coeff_s[k]·rows[index_s[k]]        k ascending, for every sum s
//!   dot_k = ⟨q_j, rows[index_j[k]]⟩                        for every query j
//!
//! All sums take their terms from one strip of 64 columns (`lapidary_kernels::strips`) before the next, and within a strip
//! from one range of rows before the next: the denser the sums, the fewer rows, so that a range lies in a near cache and
//! still serves each sum several times. Where 2/5 of all dot products are asked for, the whole product is made. Every sum adds
//! in the order of its entries, and every dot product in the order of docs/numerics.md §2, at any density: neither strips nor ranges
//! change a bit.

use lapidary_kernels::naive::LANES;
use lapidary_kernels::strips::{Begin, cut};
use lapidary_kernels::{Csr, Device, Operand, STRIP, Strips, Terms};
use rayon::prelude::*;
use std::ops::Range;

/// The fewest rows of a range: 24 KiB of a strip, in the first-level cache.
const ROWS: usize = 96;
/// Terms of a sum that a range has on average, if it has more than [`ROWS`] rows.
const OFTEN: usize = 8;
/// Sums with fewer terms than this take all rows as one range.
const FEW: usize = 64;
/// Running sums that are kept at a time (256 KiB), on average, where there are several ranges.
const RUNNING: usize = 4096;
/// Queries that share what they gather, at most.
const QUERIES: usize = 2048;
/// From this share of all entries on, dots are taken from the whole product: 2/5.
pub(crate) const DENSE: (usize, usize) = (2, 5);
/// Queries of such a product that one task multiplies.
const PANEL: usize = 192;

/// Where sums gather from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Strips(&'a Strips),
    /// [R, D]; cut where they are needed.
    Rows(&'a [f32]),
}

/// The ranges of `count` rows for `sums` sums with `entries` terms in all.
fn ranges(count: usize, sums: usize, entries: usize) -> impl Iterator<Item = Range<usize>> {
    let rows = (OFTEN * sums * count).div_ceil(entries.max(1)).clamp(ROWS, count.max(ROWS));
    let whole = 2 * rows > count || entries < FEW * sums;
    let rows = if whole { count.max(1) } else { rows };
    (0..count).step_by(rows).map(move |first| first..(first + rows).min(count))
}

/// The terms of one sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum<'a> {
    pub coeff: &'a [f32],
    /// Rows, ascending.
    pub index: &'a [u32],
}

/// Where each sum's terms pass the ends of `ranges`: [S, R + 1], from 0.
fn passings(sums: &[Sum<'_>], ranges: &[Range<usize>]) -> Vec<u32> {
    let mut passings = vec![0; sums.len() * (ranges.len() + 1)];
    let of_sums = passings.par_chunks_exact_mut(ranges.len() + 1).zip(sums).with_min_len(64);
    of_sums.for_each(|(passings, sum)| {
        for (i, range) in ranges.iter().enumerate() {
            let before = passings[i] as usize;
            let here = sum.index[before..].partition_point(|&row| (row as usize) < range.end);
            passings[i + 1] = (before + here) as u32;
        }
    });
    passings
}

/// The terms of every sum that lie in the `i`-th range, which begins with row `first`, counted from there.
fn within(sums: &[Sum<'_>], passings: &[u32], i: usize, first: usize) -> Terms {
    let size = passings.len() / sums.len().max(1);
    let spans = || passings.chunks_exact(size.max(1)).map(|at| at[i] as usize..at[i + 1] as usize);
    let count = spans().map(|span| span.len()).sum();
    let mut terms = Terms { index: Vec::with_capacity(count), ..Terms::default() };
    for (sum, span) in sums.iter().zip(spans()) {
        terms.index.extend(sum.index[span.clone()].iter().map(|row| row - first as u32));
        if !sum.coeff.is_empty() {
            terms.coeff.extend_from_slice(&sum.coeff[span]);
        }
        terms.end.push(terms.index.len() as u32);
    }
    terms
}

/// Adds every sum s to row `first + step·s` of `out`, or begins it there with 0.
pub(crate) fn accumulate(
    sums: &[Sum<'_>],
    source: Source<'_>,
    out: &mut Strips,
    (first, step): (usize, usize),
    from: Begin,
    device: Device,
) {
    let entries = sums.iter().map(|sum| sum.index.len()).sum();
    if entries == 0 && from == Begin::Out {
        return;
    }
    let d = out.d;
    let count = match source {
        Source::Strips(strips) => strips.rows,
        Source::Rows(rows) => rows.len() / d,
    };
    let ranges: Vec<Range<usize>> = ranges(count, sums.len(), entries).collect();
    let passings = passings(sums, &ranges);
    let terms = ranges.par_iter().enumerate().map(|(i, range)| within(sums, &passings, i, range.start));
    let terms: Vec<Terms> = terms.collect();
    out.strips_mut().for_each(|(column, out)| {
        let mut room = Vec::new();
        for (i, (range, terms)) in ranges.iter().zip(&terms).enumerate() {
            let (strip, next) = match source {
                Source::Strips(strips) => {
                    let (_, rows) = strips.strip(column / STRIP).split_at(range.start * STRIP);
                    rows.split_at(range.len() * STRIP)
                }
                Source::Rows(rows) => {
                    room.resize(range.len() * STRIP, 0.0);
                    cut(&rows[range.start * d..range.end * d], d, column, &mut room);
                    (&room[..], &[][..])
                }
            };
            let from = if i == 0 { from } else { Begin::Out };
            device.accumulate_strip(terms, strip, next, &mut out[first * STRIP..], step, from);
        }
    });
}

/// ⟨q_j, rows[i]⟩ for every entry i of row j of `entries`, whose indices are `index`; q [J, D].
pub(crate) fn dots(entries: &Csr, index: &[u32], q: &[f32], rows: &Strips, device: Device) -> Vec<f32> {
    let mut out = vec![0.0; index.len()];
    let (queries, (dense, of)) = (entries.rows(), DENSE);
    if index.len() * of > dense * queries * rows.rows {
        dots_of_product(entries, index, q, rows, device, &mut out);
    } else {
        dots_by_strips(entries, index, q, rows, device, &mut out);
    }
    out
}

/// Tasks of `together` queries with their part of `out` and their entries.
fn tasks<'a>(
    entries: &'a Csr,
    index: &'a [u32],
    together: usize,
    mut out: &'a mut [f32],
) -> Vec<(Range<usize>, &'a mut [f32], Vec<Sum<'a>>)> {
    let task = |first: usize| {
        let task = first..(first + together).min(entries.rows());
        let span = |j: usize| entries.row_start[j]..entries.row_start[j + 1];
        let sums = task.clone().map(|j| Sum { coeff: &[], index: &index[span(j)] }).collect();
        let size = entries.row_start[task.end] - entries.row_start[task.start];
        (task, out.split_off_mut(..size).expect("a result for every entry"), sums)
    };
    (0..entries.rows()).step_by(together).map(task).collect()
}

/// [`dots`] where few are asked for.
fn dots_by_strips(entries: &Csr, index: &[u32], q: &[f32], rows: &Strips, device: Device, out: &mut [f32]) {
    let (queries, d) = (entries.rows(), rows.d);
    let ranges: Vec<Range<usize>> = ranges(rows.rows, queries, index.len()).collect();
    let per_range = index.len().div_ceil(ranges.len().max(1) * queries.max(1));
    let together = if ranges.len() > 1 { RUNNING / per_range.max(1) } else { QUERIES }.clamp(1, QUERIES);
    tasks(entries, index, together, out).into_par_iter().for_each(|(task, out, sums)| {
        let passings = passings(&sums, &ranges);
        let (mut running, mut found) = (Vec::new(), Vec::new());
        for (i, range) in ranges.iter().enumerate() {
            let terms = within(&sums, &passings, i, range.start);
            running.clear();
            running.resize(terms.index.len(), [0.0; LANES]);
            for column in (0..d).step_by(STRIP) {
                let strip = &rows.strip(column / STRIP)[range.start * STRIP..range.end * STRIP];
                device.dot_strip(&terms, &q[task.start * d..task.end * d], d, column, strip, &mut running);
            }
            found.resize(running.len(), 0.0);
            device.finish_dots(&running, &mut found);
            let (mut begin, mut found) = (0, &found[..]);
            for (sum, at) in sums.iter().zip(passings.chunks_exact(ranges.len() + 1)) {
                let here = &mut out[begin..][at[i] as usize..at[i + 1] as usize];
                here.copy_from_slice(found.split_off(..here.len()).expect("a result for every term"));
                begin += sum.index.len();
            }
        }
    });
}

/// [`dots`] where so many are asked for that the whole product, which reads in order, takes less time.
fn dots_of_product(entries: &Csr, index: &[u32], q: &[f32], rows: &Strips, device: Device, out: &mut [f32]) {
    let (d, mut whole) = (rows.d, vec![0.0; rows.rows * rows.d]);
    whole.par_chunks_exact_mut(d).enumerate().for_each(|(n, row)| rows.copy_row(n, row));
    let matrix = device.matrix(Operand::F32(&whole), d, entries.rows());
    tasks(entries, index, PANEL, out).into_par_iter().for_each(|(task, mut out, sums)| {
        let mut product = vec![0.0; task.len() * rows.rows];
        device.linear_tile(&q[task.start * d..task.end * d], &matrix, None, &mut product);
        for (sum, product) in sums.iter().zip(product.chunks_exact(rows.rows)) {
            let here = out.split_off_mut(..sum.index.len()).expect("a result for every entry");
            here.iter_mut().zip(sum.index).for_each(|(dot, &n)| *dot = product[n as usize]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(seed: u64, n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i as f64 * 0.7391 + seed as f64 * 1.37).sin() * 4_391.7).fract() as f32).collect()
    }

    /// NaN is one, whatever its payload.
    fn bits(v: &[f32]) -> Vec<u32> {
        v.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
    }

    /// Rows, D, sums: narrow and broad ones, or so many that they are several tasks.
    fn shapes() -> impl Strategy<Value = (usize, usize, usize)> {
        prop_oneof![(1usize..500, 1usize..200, 1usize..40), (190usize..400, 1usize..24, 190usize..450)]
    }

    proptest! {
        /// At any density, sums and dot products have the bits of one after the other; each row has `views` places, of which
        /// one is meant.
        #[test]
        fn tiles_change_no_bit(seed in 0u64..1000, (count, d, sums) in shapes(), keep in 1u32..100, views in 1u32..3, odd: bool) {
            let mut rows = noise(seed, count * views as usize * d);
            if odd {
                (rows[seed as usize % d], rows[count * d / 2]) = (f32::NAN, -0.0);
            }
            let device = Device::detect();
            let mut entries = Csr::with_columns(count);
            for s in 0..sums as u32 {
                let some = (0..count as u32).filter(|n| (n * 37 + s * 11 + seed as u32) % 100 < keep);
                entries.index.extend(some);
                entries.row_start.push(entries.index.len());
            }
            entries.value = noise(seed + 5, entries.index.len());
            let places: Vec<u32> = entries.index.iter().map(|n| n * views + views - 1).collect();
            let span = |s: usize| entries.row_start[s]..entries.row_start[s + 1];
            let strips = Strips::new(&rows, d);
            let begin = if seed % 2 == 0 { 0.0 } else { 0.25 };
            let (mut expected, mut row) = (vec![begin; sums * d], vec![0.0; d]);
            for (s, out) in expected.chunks_exact_mut(d).enumerate() {
                device.accumulate(&entries.value[span(s)], &places[span(s)], &rows, out);
            }
            let terms = (0..sums).map(|s| Sum { coeff: &entries.value[span(s)], index: &places[span(s)] });
            let terms: Vec<Sum<'_>> = terms.collect();
            for (source, step) in [(Source::Rows(&rows), 1), (Source::Strips(&strips), 2)] {
                let mut out = Strips::new(&vec![0.25; step * sums * d], d);
                let from = if seed % 2 == 0 { Begin::Zero } else { Begin::Out };
                accumulate(&terms, source, &mut out, (step - 1, step), from, device);
                for (s, expected) in expected.chunks_exact(d).enumerate() {
                    out.copy_row(s * step + step - 1, &mut row);
                    prop_assert_eq!(bits(&row), bits(expected));
                }
            }

            let q = noise(seed + 9, sums * d);
            let mut expected = vec![0.0; places.len()];
            for s in 0..sums {
                device.gather_dot(&q[s * d..][..d], &places[span(s)], &rows, &mut expected[span(s)]);
            }
            prop_assert_eq!(bits(&dots(&entries, &places, &q, &strips, device)), bits(&expected));
        }
    }
}
