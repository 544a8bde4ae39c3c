//! Parameters in f64, or their gradients, or their moments. All eight tensors are always there: what an objective does
//! not use is 0, has no gradient, and stays 0.

use super::Matrix;
use crate::{Parameters, Threshold};

/// The tensors of [`Parameters`], widened.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// [F, D]
    pub w_enc: Matrix,
    /// [F, 1]; b_gate of a gated dictionary.
    pub b_enc: Matrix,
    /// [F, 1], θ or log θ.
    pub threshold: Matrix,
    /// [F, D_out], rows of norm 1.
    pub w_dec: Matrix,
    /// [1, D_out]
    pub b_dec: Matrix,
    /// [F, 1], r of a gated dictionary.
    pub r_mag: Matrix,
    /// [F, 1], of a gated dictionary.
    pub b_mag: Matrix,
    /// [D_out, D], of a transcoder with a skip.
    pub w_skip: Matrix,
}

impl Dense {
    /// Widened.
    pub fn from(p: &Parameters) -> Dense {
        let (f, d_out) = (p.b_enc.len(), p.b_dec.len());
        let d = p.w_enc.len() / f;
        let optional = |tensor: &Option<Vec<f32>>, rows, columns| {
            let widened = |values: &Vec<f32>| Matrix::widened(values, rows, columns);
            tensor.as_ref().map_or_else(|| Matrix::zeros(rows, columns), widened)
        };
        Dense {
            w_enc: Matrix::widened(&p.w_enc, f, d),
            b_enc: Matrix::widened(&p.b_enc, f, 1),
            threshold: optional(&p.threshold, f, 1),
            w_dec: Matrix::widened(&p.w_dec, f, d_out),
            b_dec: Matrix::widened(&p.b_dec, 1, d_out),
            r_mag: optional(&p.r_mag, f, 1),
            b_mag: optional(&p.b_mag, f, 1),
            w_skip: optional(&p.w_skip, d_out, d),
        }
    }

    /// Zeros of the same shapes.
    pub fn zeros(&self) -> Dense {
        let mut out = self.clone();
        out.tensors_mut().into_iter().for_each(|(_, tensor)| tensor.values.fill(0.0));
        out
    }

    /// All tensors by the names of [`crate::Tensors::named`], in that order.
    pub fn tensors_mut(&mut self) -> [(&'static str, &mut Matrix); 8] {
        [
            ("w_enc", &mut self.w_enc),
            ("b_enc", &mut self.b_enc),
            ("threshold", &mut self.threshold),
            ("w_dec", &mut self.w_dec),
            ("b_dec", &mut self.b_dec),
            ("r_mag", &mut self.r_mag),
            ("b_mag", &mut self.b_mag),
            ("w_skip", &mut self.w_skip),
        ]
    }

    /// The tensor of this name.
    pub fn tensor(&mut self, name: &str) -> &mut Matrix {
        let found = self.tensors_mut().into_iter().find(|(n, _)| *n == name);
        found.map(|(_, tensor)| tensor).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// θ [F, 1]: the parameter itself, or t = log θ is the parameter and θ = exp(t).
    pub fn theta(&self, parameterisation: Threshold) -> Matrix {
        match parameterisation {
            Threshold::Raw => self.threshold.clone(),
            Threshold::Log => self.threshold.map(|_, _, t| t.exp()),
        }
    }
}
