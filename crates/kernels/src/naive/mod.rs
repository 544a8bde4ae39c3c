//! The definition of the product, written for reading; every fast kernel must return these bits.
//!
//! A dot product has sixteen running sums. Sum `l` takes the terms k ≡ l (mod 16) in ascending order by fused
//! multiply-add, a short tail counts as zeros, and a fixed pairwise tree adds the sums: l with l+8, +4, +2, +1.

pub mod adam;
pub mod bf16;
pub mod gather;
pub(crate) mod screen;

/// Running sums of a dot product.
pub const LANES: usize = 16;

/// The fixed tree over the sixteen sums: l + (l+8), then +4, +2, +1.
#[inline(always)]
pub fn tree(mut sums: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            sums[l] += sums[l + half];
        }
    }
    sums[0]
}

/// Σ_k a[k]·b[k] in the project's order; `a` and `b` are [D].
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "dot: lengths differ");
    let at = |s: &[f32], k: usize| s.get(k).copied().unwrap_or(0.0);
    let mut sums = [0.0f32; LANES];
    for k0 in (0..a.len()).step_by(LANES) {
        for l in 0..LANES {
            sums[l] = at(a, k0 + l).mul_add(at(b, k0 + l), sums[l]);
        }
    }
    tree(sums)
}

/// out[n, m] = dot(x[n], w[m]) + bias[m], with x [N, D], w [M, D], bias [M] or none, out [N, M].
pub fn linear(x: &[f32], w: &[f32], bias: Option<&[f32]>, d: usize, out: &mut [f32]) {
    let m_total = w.len() / d;
    for (xn, row) in x.chunks_exact(d).zip(out.chunks_exact_mut(m_total.max(1))) {
        for (m, o) in row.iter_mut().enumerate() {
            let product = dot(xn, &w[m * d..][..d]);
            *o = bias.map_or(product, |b| product + b[m]);
        }
    }
}

/// z = dot(x[n], w[f]) + b[f]; emits (f, z) for every `!(z <= lo[f])`, so that NaN is kept. Rows ascend, then columns.
pub fn encode(x: &[f32], w: &[f32], b: &[f32], lo: &[f32], d: usize) -> crate::Csr {
    let mut out = crate::Csr::with_columns(b.len());
    for xn in x.chunks_exact(d) {
        for f in 0..b.len() {
            let z = dot(xn, &w[f * d..][..d]) + b[f];
            if !(z <= lo[f]) {
                out.index.push(f as u32);
                out.value.push(z);
            }
        }
        out.row_start.push(out.index.len());
    }
    out
}

/// out[d] = Σ_k p[k]·v[k·stride + d], each in the order of [`dot`]; p [K], v [K, stride], out [D ≤ stride].
pub fn weighted_sum(p: &[f32], v: &[f32], stride: usize, out: &mut [f32]) {
    for (d, o) in out.iter_mut().enumerate() {
        let column: Vec<f32> = (0..p.len()).map(|k| v[k * stride + d]).collect();
        *o = dot(p, &column);
    }
}

/// out[k] = dot(q, k-th row of `rows`), whose rows begin `stride` apart; q [D], out [K].
pub fn dot_rows(q: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    for (k, o) in out.iter_mut().enumerate() {
        *o = dot(q, &rows[k * stride..][..q.len()]);
    }
}
