//! The sums of `naive/gather.rs`, fast: running sums stay in registers while the chosen rows stream past.

use super::Lanes;
use crate::naive::LANES;

/// Floats of the output that stay in registers: four sets of lanes.
const CHUNK: usize = 4 * LANES;

/// See [`crate::naive::gather::accumulate`]. Blocks the width, so that the running sums never leave the registers.
#[inline(always)]
pub(crate) fn accumulate(coeff: &[f32], index: &[u32], rows: &[f32], out: &mut [f32]) {
    let d = out.len();
    for (block, out) in out.chunks_mut(CHUNK).enumerate() {
        let at = block * CHUNK;
        if let Ok(sums) = <&mut [f32; CHUNK]>::try_from(&mut *out) {
            accumulate_chunk(coeff, index, rows, d, at, sums);
        } else {
            for (&c, &i) in coeff.iter().zip(index) {
                let row = &rows[i as usize * d + at..][..out.len()];
                out.iter_mut().zip(row).for_each(|(o, &r)| *o = c.mul_add(r, *o));
            }
        }
    }
}

#[inline(always)]
fn accumulate_chunk(coeff: &[f32], index: &[u32], rows: &[f32], d: usize, at: usize, out: &mut [f32; CHUNK]) {
    let mut sums = *out;
    for (&c, &i) in coeff.iter().zip(index) {
        let row: &[f32; CHUNK] = rows[i as usize * d + at..][..CHUNK].try_into().expect("CHUNK floats");
        for l in 0..CHUNK {
            sums[l] = c.mul_add(row[l], sums[l]);
        }
    }
    *out = sums;
}

/// See [`crate::naive::gather::gather_dot`]. Two rows at a time.
///
/// # Safety
/// The processor has L's instructions.
#[inline(always)]
pub(crate) unsafe fn gather_dot<L: Lanes>(q: &[f32], index: &[u32], rows: &[f32], out: &mut [f32]) {
    let d = q.len();
    for (pair, out) in index.chunks(2).zip(out.chunks_mut(2)) {
        let first = &rows[pair[0] as usize * d..][..d];
        let second = &rows[pair[pair.len() - 1] as usize * d..][..d];
        // SAFETY: both rows and q have d floats; the caller vouches for the instructions.
        let sums = unsafe { dot2::<L>(q, first, second) };
        out[0] = sums.0;
        if let Some(o) = out.get_mut(1) {
            *o = sums.1;
        }
    }
}

/// dot(q, a), dot(q, b).
///
/// # Safety
/// The processor has L's instructions; a and b are as long as q.
#[inline(always)]
unsafe fn dot2<L: Lanes>(q: &[f32], a: &[f32], b: &[f32]) -> (f32, f32) {
    let d = q.len();
    let (q, a, b) = (q.as_ptr(), a.as_ptr(), b.as_ptr());
    // SAFETY: offsets stay below d.
    unsafe {
        let mut sums = [L::zero(); 2];
        let mut k = 0;
        while k + LANES <= d {
            let x = L::load(q.add(k));
            sums = [sums[0].fma(x, L::load(a.add(k))), sums[1].fma(x, L::load(b.add(k)))];
            k += LANES;
        }
        if k < d {
            let x = L::load_tail(q.add(k), d - k);
            let tail = |p: *const f32| L::load_tail(p.add(k), d - k);
            sums = [sums[0].fma(x, tail(a)), sums[1].fma(x, tail(b))];
        }
        L::tree2(sums[0], sums[1])
    }
}
