//! The five arrays as SAELens and Gemma Scope both lay them out: W_enc `[D, F]`, W_dec `[F, D_out]`, `b_enc`, `b_dec`,
//! `threshold`. Ours differs only in W_enc, which is `[F, D]`, one row per feature.
//!
//! Shapes are checked before anything is read, values after.

use crate::error::invalid;
use crate::{Activation, Dictionary, DictionaryError};
use std::path::Path;

/// The arrays' names, in the order in which they are written.
pub(crate) const NAMES: [&str; 5] = ["W_enc", "W_dec", "b_enc", "b_dec", "threshold"];

/// D, F, D_out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) d_in: usize,
    pub(crate) features: usize,
    pub(crate) d_out: usize,
}

impl Shape {
    pub(crate) fn of(dictionary: &Dictionary) -> Shape {
        Shape { d_in: dictionary.d_in, features: dictionary.width(), d_out: dictionary.d_out }
    }

    /// The shape of each array, in the order of [`NAMES`].
    pub(crate) fn arrays(self) -> [Vec<usize>; 5] {
        let Shape { d_in, features, d_out } = self;
        [vec![d_in, features], vec![features, d_out], vec![features], vec![d_out], vec![features]]
    }

    /// Every side at least 1, F countable in 32 bits, and sizes that do not overflow.
    pub(crate) fn check(self, path: &Path) -> Result<(), DictionaryError> {
        let Shape { d_in, features, d_out } = self;
        let countable = u32::try_from(features).is_ok();
        let sized = d_in.max(d_out).checked_mul(features).and_then(|n| n.checked_mul(4)).is_some();
        if d_in == 0 || features == 0 || d_out == 0 || !countable || !sized {
            let found = format!("D {d_in}, F {features}, D_out {d_out}");
            return Err(invalid(
                path,
                "at least one feature and widths that fit in memory",
                found,
                "fetch the file again",
            ));
        }
        Ok(())
    }
}

/// The arrays of a file, in the order of [`NAMES`], become a dictionary.
pub(crate) fn into_dictionary(
    path: &Path,
    shape: Shape,
    arrays: [Vec<f32>; 5],
) -> Result<Dictionary, DictionaryError> {
    for ((name, values), dims) in NAMES.iter().zip(&arrays).zip(shape.arrays()) {
        assert_eq!(values.len(), dims.iter().product::<usize>(), "`{name}` {dims:?}");
        check_finite(path, name, values, &dims)?;
    }
    let Shape { d_in, features, d_out } = shape;
    let [w_enc, w_dec, b_enc, b_dec, threshold] = arrays;
    let w_enc = transposed(&w_enc, d_in, features);
    let activation = Activation::JumpRelu;
    Ok(Dictionary { w_enc, b_enc, threshold, w_dec, b_dec, w_skip: None, activation, d_in, d_out })
}

/// θ of an encoder that applies a ReLU before the jump, as everybody's but ours do: below 0 it is 0.
pub(crate) fn after_relu(threshold: &mut [f32]) {
    threshold.iter_mut().filter(|theta| **theta < 0.0).for_each(|theta| *theta = 0.0);
}

/// Refuses to write what [`into_dictionary`] would refuse to read.
pub(crate) fn check_parameters(path: &Path, dictionary: &Dictionary) -> Result<(), DictionaryError> {
    let Dictionary { w_enc, b_enc, threshold, w_dec, b_dec, w_skip, d_in, d_out, .. } = dictionary;
    let f = dictionary.width();
    assert!(
        w_enc.len() == f * d_in && w_dec.len() == f * d_out && b_dec.len() == *d_out && threshold.len() == f
    );
    match &dictionary.activation {
        Activation::JumpRelu => {}
        &Activation::TopK { k } => {
            assert!(threshold.iter().all(|&theta| theta == 0.0), "TopK has θ = 0");
            if k == 0 || k > f {
                let expected = format!("TopK with k from 1 to {f}");
                return Err(invalid(path, expected, format!("k = {k}"), "choose another k or width"));
            }
        }
        Activation::Gated { r_mag, b_mag } => {
            assert!(b_enc.iter().all(|&b| b == 0.0), "a gated encoder has b_enc = 0");
            assert!(r_mag.len() == f && b_mag.len() == f);
            check_finite(path, "r_mag", r_mag, &[f])?;
            check_finite(path, "b_mag", b_mag, &[f])?;
            check_finite(path, "b_gate", threshold, &[f])?;
        }
    }
    if let Some(w_skip) = w_skip {
        assert_eq!(w_skip.len(), d_out * d_in);
        check_finite(path, "W_skip", w_skip, &[*d_out, *d_in])?;
    }
    Shape::of(dictionary).check(path)?;
    check_finite(path, "W_enc", w_enc, &[f, *d_in])?;
    check_finite(path, "W_dec", w_dec, &[f, *d_out])?;
    check_finite(path, "b_enc", b_enc, &[f])?;
    check_finite(path, "b_dec", b_dec, &[*d_out])?;
    check_finite(path, "threshold", threshold, &[f])
}

/// NaN and infinities are errors; a threshold of +∞ is a feature that is switched off.
pub(crate) fn check_finite(
    path: &Path,
    tensor: &'static str,
    values: &[f32],
    dims: &[usize],
) -> Result<(), DictionaryError> {
    let off = |v: f32| tensor == "threshold" && v == f32::INFINITY;
    let Some(at) = values.iter().position(|&v| !v.is_finite() && !off(v)) else { return Ok(()) };
    let index = if dims.len() == 2 { vec![at / dims[1], at % dims[1]] } else { vec![at] };
    Err(DictionaryError::NotFinite { path: path.to_path_buf(), tensor, index, value: values[at] })
}

/// `[rows, columns]` becomes `[columns, rows]`, in blocks that stay in cache.
pub(crate) fn transposed(a: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const BLOCK: usize = 32;
    let mut out = vec![0.0; a.len()];
    for r0 in (0..rows).step_by(BLOCK) {
        for c0 in (0..columns).step_by(BLOCK) {
            for r in r0..rows.min(r0 + BLOCK) {
                for c in c0..columns.min(c0 + BLOCK) {
                    out[c * rows + r] = a[r * columns + c];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::tests::noise;

    #[test]
    fn transposing_moves_every_element() {
        let (rows, columns) = (45, 70);
        let a = noise(1, rows * columns);
        let b = transposed(&a, rows, columns);
        for r in 0..rows {
            for c in 0..columns {
                assert_eq!(a[r * columns + c], b[c * rows + r]);
            }
        }
    }

    #[test]
    fn a_bad_number_is_named_by_tensor_and_index() {
        let shape = Shape { d_in: 2, features: 3, d_out: 2 };
        let arrays = || shape.arrays().map(|dims| vec![1.0f32; dims.iter().product()]);
        let build = |arrays| into_dictionary(Path::new("d"), shape, arrays).map_err(|e| e.to_string());
        assert!(build(arrays()).is_ok());
        let mut bad = arrays();
        bad[0][4] = f32::NAN; // [1, 1] of [2, 3]
        assert!(build(bad).unwrap_err().contains("NaN at `W_enc`[1, 1]"));
        let mut bad = arrays();
        bad[3][1] = f32::INFINITY;
        assert!(build(bad).unwrap_err().contains("inf at `b_dec`[1]"));
        let mut off = arrays();
        off[4][0] = f32::INFINITY;
        off[4][1] = -3.0;
        assert!(build(off).is_ok());
    }
}
