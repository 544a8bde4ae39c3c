//! A dictionary in fewer bits, and which of its features survive that.
//!
//! What is rounded are the matrices: W_enc, W_dec, W_skip. θ, the biases and every sum stay f32 (docs/numerics.md §7).
//!
//!   bf16   the nearest, ties to even
//!   int8   per row s = max|w|/127, w' = s·round(w/s)
//!   int4   per group of 32 in a row s = max|w|/7, w' = s·round(w/s)        all symmetric, ties to even
//!   int3, int2   the same with 3 and with 1 in place of 7
//!
//! Loss hardly notices what happens to single features, so two numbers look at them, on the same rows x [N, D]:
//!
//!   flip rate = |A Δ A'| / |A|         A, A' the active (row, feature) pairs in f32 and in fewer bits
//!   survival  = features with Pearson(f, f') ≥ 0.95 / features that are ever active in f32        over all N rows, 0 included

use lapidary_dictionary::Dictionary;
use lapidary_kernels::{Bf16, Csr};
use serde::{Deserialize, Serialize};

/// How a matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bits {
    /// As it is.
    F32,
    /// 16 bits, 8 of them exponent.
    Bf16,
    /// 8 bits and an f32 per row.
    Int8,
    /// 4 bits and an f32 per 32 numbers.
    Int4,
    /// 3 bits and an f32 per 32 numbers.
    Int3,
    /// 2 bits and an f32 per 32 numbers: −1, 0 or 1 times that.
    Int2,
}

/// Numbers of a row that share a scale in int4 and below.
pub const GROUP: usize = 32;
/// Correlation from which a feature counts as the same.
pub const SURVIVES: f64 = 0.95;

impl Bits {
    /// As it is printed and written.
    pub fn name(self) -> &'static str {
        match self {
            Bits::F32 => "f32",
            Bits::Bf16 => "bf16",
            Bits::Int8 => "int8",
            Bits::Int4 => "int4",
            Bits::Int3 => "int3",
            Bits::Int2 => "int2",
        }
    }

    fn per_number(self) -> usize {
        match self {
            Bits::F32 => 32,
            Bits::Bf16 => 16,
            Bits::Int8 => 8,
            Bits::Int4 => 4,
            Bits::Int3 => 3,
            Bits::Int2 => 2,
        }
    }

    /// Bytes of a matrix [rows, d] with its scales.
    pub fn bytes(self, rows: usize, d: usize) -> usize {
        let scales = match self {
            Bits::F32 | Bits::Bf16 => 0,
            Bits::Int8 => 1,
            Bits::Int4 | Bits::Int3 | Bits::Int2 => d.div_ceil(GROUP),
        };
        rows * ((d * self.per_number()).div_ceil(8) + 4 * scales)
    }

    /// Every number of a matrix [rows, d] replaced by the one that is stored for it.
    pub fn round(self, matrix: &mut [f32], d: usize) {
        match self {
            Bits::F32 => {}
            Bits::Bf16 => matrix.iter_mut().for_each(|w| *w = Bf16::round(*w).widen()),
            Bits::Int8 => matrix.chunks_mut(d).for_each(|row| to_integers(row, 127.0)),
            Bits::Int4 | Bits::Int3 | Bits::Int2 => {
                let most = ((1u32 << (self.per_number() - 1)) - 1) as f32;
                let groups = matrix.chunks_mut(d).flat_map(|row| row.chunks_mut(GROUP));
                groups.for_each(|group| to_integers(group, most));
            }
        }
    }
}

/// One scale for all; zeros, and rows that are not finite, stay as they are.
fn to_integers(row: &mut [f32], most: f32) {
    let scale = row.iter().fold(0.0f32, |m, w| m.max(w.abs())) / most;
    if scale > 0.0 && row.iter().all(|w| w.is_finite()) {
        row.iter_mut().for_each(|w| *w = (*w / scale).round_ties_even() * scale);
    }
}

/// The dictionary with its matrices rounded to `bits`.
pub fn quantised(dictionary: &Dictionary, bits: Bits) -> Dictionary {
    let mut out = dictionary.clone();
    bits.round(&mut out.w_enc, dictionary.d_in);
    bits.round(&mut out.w_dec, dictionary.d_out);
    out.w_skip.iter_mut().for_each(|w| bits.round(w, dictionary.d_in));
    out
}

/// Bytes of its matrices in `bits`, and of θ and biases in f32.
pub fn bytes(dictionary: &Dictionary, bits: Bits) -> usize {
    let Dictionary { d_in, d_out, .. } = *dictionary;
    let skip = dictionary.w_skip.as_ref().map_or(0, |_| bits.bytes(d_out, d_in));
    let vectors = 2 * dictionary.width() + d_out;
    bits.bytes(dictionary.width(), d_in) + bits.bytes(dictionary.width(), d_out) + skip + 4 * vectors
}

/// What two encodings of the same rows have in common, batch by batch.
#[derive(Clone, Debug)]
pub struct Drift {
    rows: u64,
    active: u64,
    flips: u64,
    per_feature: Vec<Products>, // [F]
}

/// Sums over rows, of f in f32 (a) and in fewer bits (b).
#[derive(Clone, Copy, Debug, Default)]
struct Products {
    a: f64,
    b: f64,
    aa: f64,
    bb: f64,
    ab: f64,
}

/// What became of the features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survival {
    /// N.
    pub rows: u64,
    /// |A|, active (row, feature) pairs in f32.
    pub active: u64,
    /// |A Δ A'|.
    pub flips: u64,
    /// flips / |A|.
    #[serde(with = "crate::number")]
    pub flip_rate: f64,
    /// Features that are ever active in f32.
    pub alive: u64,
    /// Of them, those with a correlation of at least [`SURVIVES`].
    pub surviving: u64,
    /// surviving / alive.
    #[serde(with = "crate::number")]
    pub survival: f64,
}

impl Drift {
    /// No rows yet, F = `width`.
    pub fn new(width: usize) -> Drift {
        Drift { rows: 0, active: 0, flips: 0, per_feature: vec![Products::default(); width] }
    }

    /// Adds the same rows, encoded in f32 and in fewer bits.
    pub fn add(&mut self, exact: &Csr, rounded: &Csr) {
        assert!(exact.rows() == rounded.rows() && exact.columns == rounded.columns, "drift: the same rows");
        self.rows += exact.rows() as u64;
        self.active += exact.index.len() as u64;
        for n in 0..exact.rows() {
            let (a, b) = (exact.row(n), rounded.row(n));
            let common = a.0.iter().filter(|&f| b.0.binary_search(f).is_ok()).count();
            self.flips += (a.0.len() + b.0.len() - 2 * common) as u64;
            self.sum(a, b);
        }
    }

    fn sum(&mut self, a: (&[u32], &[f32]), b: (&[u32], &[f32])) {
        for (&f, &value) in a.0.iter().zip(a.1) {
            let (products, value) = (&mut self.per_feature[f as usize], f64::from(value));
            products.a += value;
            products.aa += value * value;
            if let Ok(place) = b.0.binary_search(&f) {
                products.ab += value * f64::from(b.1[place]);
            }
        }
        for (&f, &value) in b.0.iter().zip(b.1) {
            let products = &mut self.per_feature[f as usize];
            products.b += f64::from(value);
            products.bb += f64::from(value).powi(2);
        }
    }

    /// Pearson correlation of each feature with itself [F]; 0 where one of the two never varies.
    pub fn correlations(&self) -> Vec<f64> {
        let n = self.rows as f64;
        let of = |p: &Products| {
            let (va, vb) = (p.aa - p.a * p.a / n, p.bb - p.b * p.b / n);
            let r = (p.ab - p.a * p.b / n) / (va * vb).sqrt();
            if va > 0.0 && vb > 0.0 { r } else { 0.0 }
        };
        self.per_feature.iter().map(of).collect()
    }

    /// Of all rows.
    pub fn survival(&self) -> Survival {
        let correlations = self.correlations();
        let alive: Vec<f64> = (self.per_feature.iter().zip(correlations))
            .filter_map(|(p, r)| (p.aa > 0.0).then_some(r))
            .collect();
        let surviving = alive.iter().filter(|r| **r >= SURVIVES).count() as u64;
        Survival {
            rows: self.rows,
            active: self.active,
            flips: self.flips,
            flip_rate: self.flips as f64 / self.active as f64,
            alive: alive.len() as u64,
            surviving,
            survival: surviving as f64 / alive.len() as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// bf16 has 8 bits of significand: 1 + 2⁻⁸ is halfway and goes to the even 1. int8 of (127, −1.4, 0.5): s = 1, and 0.5 goes
    /// to the even 0. int4 of (7, 1.5, 2.5): s = 1, 2 and 2. A row of 33 has a second group of its own.
    #[test]
    fn rounding_by_hand() {
        let mut row = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0];
        Bits::Bf16.round(&mut row, 2);
        assert_eq!(row, [1.0, 1.0 + 4.0 / 256.0]);
        let mut row = [127.0, -1.4, 0.5, 254.0, 3.0, 0.0];
        Bits::Int8.round(&mut row, 3);
        assert_eq!(row, [127.0, -1.0, 0.0, 254.0, 4.0, 0.0]);
        let mut row = [7.0, 1.5, 2.5];
        Bits::Int4.round(&mut row, 3);
        assert_eq!(row, [7.0, 2.0, 2.0]);
        let mut row = [0.0; 33];
        (row[0], row[1], row[32]) = (70.0, 1.0, 0.875);
        Bits::Int4.round(&mut row, 33);
        assert_eq!((row[0], row[1], row[32]), (70.0, 0.0, 0.875));
        assert_eq!((Bits::Int8.bytes(2, 33), Bits::Int4.bytes(2, 33)), (74, 50));
        assert_eq!(
            (Bits::Int3.bytes(2, 33), Bits::Int2.bytes(2, 33)),
            (42, 34),
            "13 and 9 bytes, and two scales"
        );
        let (mut three, mut two) = ([3.0, 1.5, -0.4], [3.0, 1.4, -1.6]);
        Bits::Int3.round(&mut three, 3);
        Bits::Int2.round(&mut two, 3);
        assert_eq!((three, two), ([3.0, 2.0, 0.0], [3.0, 0.0, -3.0]));
    }

    fn csr(columns: usize, rows: &[&[(u32, f32)]]) -> Csr {
        let mut out = Csr::with_columns(columns);
        for row in rows {
            out.index.extend(row.iter().map(|e| e.0));
            out.value.extend(row.iter().map(|e| e.1));
            out.row_start.push(out.index.len());
        }
        out
    }

    /// Feature 0: 1, 2, 0, 0 → 2, 4, 0, 0, correlation 1. Feature 1: 1, 0, 1, 0 → 0, 1, 1, 0: correlation 0, two flips.
    /// Feature 2 vanishes, one flip; feature 3 appears, one flip, and was not alive. 2 + 2 + 1 pairs were active.
    #[test]
    fn survival_by_hand() {
        let exact = csr(4, &[&[(0, 1.0), (1, 1.0)], &[(0, 2.0)], &[(1, 1.0), (2, 5.0)], &[]]);
        let rounded = csr(4, &[&[(0, 2.0)], &[(0, 4.0), (1, 1.0)], &[(1, 1.0)], &[(3, 1.0)]]);
        let mut drift = Drift::new(4);
        drift.add(&exact, &rounded);
        assert_eq!(drift.correlations().iter().map(|r| r.round()).collect::<Vec<_>>(), [1.0, 0.0, 0.0, 0.0]);
        let expect = Survival {
            rows: 4,
            active: 5,
            flips: 4,
            flip_rate: 0.8,
            alive: 3,
            surviving: 1,
            survival: 1.0 / 3.0,
        };
        assert_eq!(drift.survival(), expect);
        // Row by row is the same.
        let mut again = Drift::new(4);
        for n in 0..4 {
            let row = |c: &Csr| {
                csr(4, &[&c.row(n).0.iter().copied().zip(c.row(n).1.iter().copied()).collect::<Vec<_>>()])
            };
            again.add(&row(&exact), &row(&rounded));
        }
        assert_eq!(again.survival(), expect);
    }
}
