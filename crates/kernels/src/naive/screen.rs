//! What the integer screen of `cpu/screen.rs` decides, one entry at a time: rows as integers, and the bound that makes
//! skipping safe (docs/numerics.md §2, "Screening", with 16-bit integers and one scale for a row in place of bf16).

use super::LANES;

/// Largest norm of a row of integers before they are rounded. Rounding adds at most √D/2, which must not exceed 340: sums of
/// products then stay below 46,340² < 2³¹.
const NORM: f64 = 46_000.0;
/// The largest integer that `cpu/strassen.rs` multiplies.
pub(crate) const LARGEST: f64 = 4_095.0;
/// Added to a small float it leaves no room behind the point: the sum is rounded to an integer, ties to even, whose low bits
/// are the sum's own.
const TO_INTEGER: f32 = 1.5 * (1 << 23) as f32;
/// Norms outside of these are not screened: nothing inside them overflows, and what underflows is negligible.
const SCREENED: std::ops::RangeInclusive<f64> = 1e-9..=1e9;
/// Half a unit in the last place of f32, relative.
const U: f64 = 1.0 / (1u64 << 24) as f64;

/// v = σ·q + δ, by its sizes in units of σ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantised {
    /// 1/σ, exactly.
    pub scale: f32,
    /// ‖v‖/σ
    pub norm: f64,
    /// ‖q‖
    pub norm_q: f64,
    /// ‖δ‖/σ
    pub norm_rest: f64,
}

/// Coefficients of one row or column in the test: skip iff I ≤ A·a − B·b − C·c.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients {
    /// Of a column (lo − b)/σ, of a row 1/σ.
    pub a: f32,
    /// Of a column ‖w‖/σ, of a row (‖δ‖ + γ‖x‖)/σ.
    pub b: f32,
    /// Of a column (‖δ‖ + 2u‖w‖)/σ, of a row ‖q‖.
    pub c: f32,
}

/// The integers of the row v [D], |q| ≤ 4,095. `None`: not a row to screen; q is then zero.
#[inline(always)]
pub(crate) fn quantise(v: &[f32], q: &mut [i16]) -> Option<Quantised> {
    let (whole, tail) = v.split_at(v.len() / LANES * LANES);
    let mut sizes = Sizes::default();
    whole.chunks_exact(LANES).for_each(|v| sizes.add(v.try_into().expect("LANES")));
    sizes.add(&padded(tail));
    let norm = root(sizes.squares);
    if !SCREENED.contains(&norm) {
        q.fill(0);
        return None;
    }
    let largest = f64::from(sizes.largest.into_iter().fold(0.0, f32::max));
    let scale = (NORM / norm).min(LARGEST / largest) as f32;
    let mut rounded = Rounded::default();
    for (v, q) in whole.chunks_exact(LANES).zip(q.chunks_exact_mut(LANES)) {
        q.copy_from_slice(&rounded.add(v.try_into().expect("LANES"), scale));
    }
    let last = rounded.add(&padded(tail), scale);
    q[whole.len()..].copy_from_slice(&last[..tail.len()]);
    let (norm_q, norm_rest) = (root(rounded.squares), root(rounded.rest));
    Some(Quantised { scale, norm: norm * f64::from(scale), norm_q, norm_rest })
}

fn root(sums: [f64; LANES]) -> f64 {
    sums.iter().sum::<f64>().sqrt()
}

/// The tail of a row, then zeros.
#[inline(always)]
fn padded(tail: &[f32]) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    out[..tail.len()].copy_from_slice(tail);
    out
}

/// Running sums of v² and the largest |v|.
#[derive(Default)]
struct Sizes {
    squares: [f64; LANES],
    largest: [f32; LANES],
}

impl Sizes {
    #[inline(always)]
    fn add(&mut self, v: &[f32; LANES]) {
        for l in 0..LANES {
            self.squares[l] += f64::from(v[l]) * f64::from(v[l]);
            self.largest[l] = self.largest[l].max(v[l].abs());
        }
    }
}

/// Running sums of q² and δ².
#[derive(Default)]
struct Rounded {
    squares: [f64; LANES],
    rest: [f64; LANES],
}

impl Rounded {
    #[inline(always)]
    fn add(&mut self, v: &[f32; LANES], scale: f32) -> [i16; LANES] {
        let mut out = [0; LANES];
        for l in 0..LANES {
            let q = (v[l] * scale).clamp(-LARGEST as f32, LARGEST as f32) + TO_INTEGER;
            out[l] = q.to_bits() as i16;
            let q = f64::from(q - TO_INTEGER);
            self.squares[l] += q * q;
            self.rest[l] += (f64::from(v[l]) * f64::from(scale) - q).powi(2);
        }
        out
    }
}

/// A number that is at least v, by more than what f32 rounds in the test.
fn up(v: f64) -> f32 {
    (v * (1.0 + 1.0 / 65_536.0)) as f32
}

/// Of a row of x [D]. A row that is not screened keeps all.
pub(crate) fn of_row(row: Option<Quantised>, d: usize) -> Coefficients {
    let Some(row) = row else { return Coefficients { a: 1.0, b: f32::INFINITY, c: 0.0 } };
    // A running sum takes ⌈D/16⌉ roundings, the tree four more: |dot − exact| ≤ γ·Σ|x·w| ≤ γ·‖x‖·‖w‖.
    let roundings = (d.div_ceil(LANES) + 4) as f64;
    let gamma = roundings * U / (1.0 - roundings * U);
    Coefficients { a: row.scale, b: up(row.norm_rest + gamma * row.norm), c: up(row.norm_q) }
}

/// Of a row of w, whose z passes `lo` after `bias` is added. One that is not screened is kept always.
pub(crate) fn of_column(row: Option<Quantised>, lo: f32, bias: f32) -> Coefficients {
    let Some(row) = row else { return Coefficients { a: f32::NEG_INFINITY, b: 1.0, c: 1.0 } };
    let above = (f64::from(lo) - f64::from(bias)) * f64::from(row.scale);
    let a = if above.is_finite() { above - above.abs() / (1u64 << 20) as f64 } else { above };
    // 2u: I as a float. 1/1024: what underflows.
    let c = row.norm_rest + 2.0 * U * row.norm_q + 1.0 / 1024.0;
    Coefficients { a: a as f32, b: up(row.norm), c: up(c) }
}

/// Is the entry of row x and column w kept for the exact product?
#[cfg(test)]
pub(crate) fn keeps(x: &[f32], w: &[f32], lo: f32, bias: f32) -> bool {
    let (mut qx, mut qw) = (vec![0i16; x.len()], vec![0i16; w.len()]);
    let row = of_row(quantise(x, &mut qx), x.len());
    let column = of_column(quantise(w, &mut qw), lo, bias);
    let sum: i64 = qx.iter().zip(&qw).map(|(&x, &w)| i64::from(x) * i64::from(w)).sum();
    let sum = i32::try_from(sum).expect("sums of products stay within 32 bits");
    let at_most = (-row.c).mul_add(column.c, (-row.b).mul_add(column.b, row.a * column.a));
    !(sum as f32 <= at_most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive::dot;
    use proptest::prelude::*;

    /// A row that attacks the bound: noise with a few large dimensions, all equal values, one spike, denormals, or values
    /// half way between integers.
    fn hostile(kind: u8, d: usize, noise: &[f32], size: f32) -> Vec<f32> {
        let value = |k: usize| match kind {
            0 => noise[k],
            1 => noise[k] * if k.is_multiple_of(97) { 300.0 } else { 1.0 },
            2 => noise[0].signum(),
            3 => f32::from(u8::from(k == d / 2)) + noise[k] * 1e-6,
            4 => noise[k] * 1e-42,
            _ => (noise[k] * 40.0).round() + 0.5,
        };
        (0..d).map(|k| value(k) * size).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever passes is kept: with lo next to z on either side, where a bound too small by anything would show.
        #[test]
        fn what_passes_is_kept(
            d in 1usize..300, kinds in (0u8..6, 0u8..6), sizes in (-36i32..36, -36i32..36), bias in -2.0f32..2.0,
            same: bool, noise in prop::collection::vec(-1.0f32..1.0, 600), ulps in 0u32..3,
        ) {
            let size = |e: i32| (f64::from(e)).exp2() as f32;
            let x = hostile(kinds.0, d, &noise, size(sizes.0));
            let w = if same { x.clone() } else { hostile(kinds.1, d, &noise[300..], size(sizes.1)) };
            let bias = bias * dot(&x, &w).abs();
            let z = dot(&x, &w) + bias;
            let mut lo = z;
            for _ in 0..ulps {
                lo = lo.next_down();
            }
            if !(z <= lo) {
                prop_assert!(keeps(&x, &w, lo, bias), "z {z:e} lo {lo:e}");
            }
            prop_assert!(keeps(&x, &w, f32::NEG_INFINITY, bias) && keeps(&x, &w, f32::NAN, bias));
        }

        /// And it is worth something: what lies clearly below is skipped. Beside a spike of 4,095 the rest of a row is
        /// rounded by at most √D/2, 5.9·10⁻³ of the norm at D 2,304; without a spike by a tenth of that.
        #[test]
        fn what_lies_clearly_below_is_skipped(d in 200usize..2304, seed in 1u64..1 << 40, spike in 1.0f32..1e4) {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0
            };
            let mut x: Vec<f32> = (0..d).map(|_| next()).collect();
            let w: Vec<f32> = (0..d).map(|_| next()).collect();
            x[d / 3] *= spike; // an outlier dimension
            let reach = (dot(&x, &x) * dot(&w, &w)).sqrt();
            let z = dot(&x, &w);
            prop_assert!(!keeps(&x, &w, z + 6.5e-3 * reach, 0.0));
            prop_assert!(!keeps(&x, &w, f32::INFINITY, 0.0));
        }
    }

    #[test]
    fn rows_that_could_overflow_or_vanish_are_not_screened() {
        for bad in [0.0, f32::NAN, f32::INFINITY, 1e20, 1e-20] {
            assert!(quantise(&[bad; 7], &mut [1; 7]).is_none());
            assert!(keeps(&[bad; 7], &[1.0; 7], f32::INFINITY, 0.0), "{bad}: the exact product decides");
            assert!(keeps(&[1.0; 7], &[bad; 7], 1e30, 0.0), "{bad}");
        }
    }
}
