//! The elements of a matrix as they are held, in the fewest bits that lose nothing, and the precision in which it is multiplied.

use lapidary_kernels::{Bf16, Operand};
use rayon::prelude::*;
use std::fmt;
use std::str::FromStr;

/// How a model's products are computed (docs/numerics.md §2). All else, the residual stream, norms, softmax, RoPE, is f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// The f32 product; weights of bf16 or f16 are widened exactly.
    #[default]
    F32,
    /// The bf16 product: both factors are rounded to bf16.
    Bf16,
}

impl Precision {
    /// All.
    pub const ALL: [Precision; 2] = [Precision::F32, Precision::Bf16];

    /// What plans, stores and dictionaries say of it: nothing of f32, which was once the only one.
    pub fn recorded(self) -> Option<String> {
        (self != Precision::F32).then(|| self.to_string())
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = String;
    fn from_str(s: &str) -> Result<Precision, String> {
        let found = Precision::ALL.into_iter().find(|p| p.to_string() == s);
        found.ok_or_else(|| format!("precision: expected f32 or bf16, found {s}"))
    }
}

/// A matrix's elements, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// As f32.
    F32(Vec<f32>),
    /// As bf16.
    Bf16(Vec<Bf16>),
    /// As bf16 for the bf16 product, which takes each of them as it is.
    Factors(Vec<Bf16>),
}

impl Default for Values {
    fn default() -> Values {
        Values::F32(Vec::new())
    }
}

/// Held as bf16 if each of them is one.
impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Values {
        match values.iter().map(|&v| Bf16::exactly(v)).collect() {
            Some(exact) => Values::Bf16(exact),
            None => Values::F32(values),
        }
    }
}

impl Values {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(v) => v.len(),
            Values::Bf16(v) | Values::Factors(v) => v.len(),
        }
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        match self {
            Values::F32(v) => size_of_val(&v[..]),
            Values::Bf16(v) | Values::Factors(v) => size_of_val(&v[..]),
        }
    }

    /// All as f32.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Values::F32(v) => v.clone(),
            Values::Bf16(v) | Values::Factors(v) => v.iter().map(|v| v.widen()).collect(),
        }
    }

    /// The same as f32.
    pub(crate) fn into_f32(self) -> Vec<f32> {
        match self {
            Values::F32(v) => v,
            halves => halves.to_f32(),
        }
    }

    /// The nearest numbers of bf16, for the bf16 product.
    pub(crate) fn rounded(self) -> Values {
        let halves = match self {
            Values::F32(v) => v.into_iter().map(Bf16::round).collect(),
            Values::Bf16(v) | Values::Factors(v) => v,
        };
        let small = |part: &[Bf16]| part.iter().filter(|v| !v.is_factor()).count();
        match halves.par_chunks(1 << 16).map(small).sum() {
            0usize => Values::Factors(halves),
            _ => Values::Bf16(halves),
        }
    }

    /// Calls `each(out[i], element i)` of row `row`, as wide as `out`.
    pub(crate) fn row(&self, row: usize, out: &mut [f32], each: impl Fn(&mut f32, f32)) {
        let at = row * out.len()..(row + 1) * out.len();
        match self {
            Values::F32(v) => out.iter_mut().zip(&v[at]).for_each(|(o, &v)| each(o, v)),
            Values::Bf16(v) | Values::Factors(v) => {
                out.iter_mut().zip(&v[at]).for_each(|(o, v)| each(o, v.widen()))
            }
        }
    }

    /// [in, out] → [out, in].
    pub(crate) fn transposed(&self, out: usize) -> Values {
        fn turned<T: Copy>(v: &[T], out: usize) -> Vec<T> {
            let out = if v.is_empty() { 0 } else { out }; // nothing was read
            (0..out).flat_map(|o| v.iter().skip(o).step_by(out)).copied().collect()
        }
        match self {
            Values::F32(v) => Values::F32(turned(v, out)),
            Values::Bf16(v) | Values::Factors(v) => Values::Bf16(turned(v, out)),
        }
    }

    /// Some rows of width `d`, in this order; nothing of nothing.
    pub(crate) fn pick(&self, d: usize, rows: impl Iterator<Item = usize>) -> Values {
        fn picked<T: Copy>(v: &[T], d: usize, rows: impl Iterator<Item = usize>) -> Vec<T> {
            if v.is_empty() {
                return Vec::new(); // nothing was read, and there may be very many rows
            }
            rows.flat_map(|r| &v[r * d..(r + 1) * d]).copied().collect()
        }
        match self {
            Values::F32(v) => Values::F32(picked(v, d, rows)),
            Values::Bf16(v) | Values::Factors(v) => Values::Bf16(picked(v, d, rows)),
        }
    }

    /// For a product of this precision, for which a model has rounded its matrices.
    pub(crate) fn operand(&self, precision: Precision) -> Operand<'_> {
        match (self, precision) {
            (Values::F32(v), Precision::F32) => Operand::F32(v),
            (Values::Bf16(v) | Values::Factors(v), Precision::F32) => Operand::Widened(v),
            (Values::Factors(v), Precision::Bf16) => Operand::Factors(v),
            (Values::Bf16(v), Precision::Bf16) => Operand::Rounded(v),
            (Values::F32(v), Precision::Bf16) => {
                assert!(v.is_empty(), "a matrix that was not rounded");
                Operand::F32(v)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bf16_can_say_is_held_as_bf16() {
        let exact = Values::from(vec![1.0, -0.5, 3e38f32.trunc() * 0.0, f32::MIN_POSITIVE]);
        assert!(matches!(exact, Values::Bf16(_)) && exact.bytes() == 8);
        let not = Values::from(vec![1.0, 1.001]);
        assert!(matches!(not, Values::F32(_)) && not.bytes() == 8);
        assert_eq!(not.rounded().to_f32(), [1.0, 1.0]);
        assert!(matches!(exact.rounded(), Values::Bf16(_)), "2⁻¹²⁶ is not a factor");
        assert!(matches!(Values::from(vec![1.0, 0.0]).rounded(), Values::Factors(_)));
    }

    #[test]
    fn precisions_have_names() {
        assert!(Precision::ALL.iter().all(|p| p.to_string().parse() == Ok(*p)));
        assert_eq!("fp8".parse::<Precision>().unwrap_err(), "precision: expected f32 or bf16, found fp8");
    }
}
