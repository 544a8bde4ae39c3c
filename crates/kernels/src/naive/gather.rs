//! Sums over chosen rows, written for reading: what a sparse code needs instead of dense products.

use super::dot;

/// out[d] ← out[d] + Σ_k coeff[k]·rows[index[k], d], k ascending, each term by one fused multiply-add;
/// coeff and index [K], rows [R, D], out [D].
pub fn accumulate(coeff: &[f32], index: &[u32], rows: &[f32], out: &mut [f32]) {
    let d = out.len();
    for (&c, &i) in coeff.iter().zip(index) {
        for (o, &r) in out.iter_mut().zip(&rows[i as usize * d..][..d]) {
            *o = c.mul_add(r, *o);
        }
    }
}

/// out[k] = dot(q, rows[index[k]]); q [D], index and out [K], rows [R, D].
pub fn gather_dot(q: &[f32], index: &[u32], rows: &[f32], out: &mut [f32]) {
    for (o, &i) in out.iter_mut().zip(index) {
        *o = dot(q, &rows[i as usize * q.len()..][..q.len()]);
    }
}
