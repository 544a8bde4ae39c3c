//! Gated SAEs (Rajamanoharan et al. 2024, arXiv 2404.16014, eq. 6–9): one path decides, the other measures.
//!
//!   π = W_enc x' + b_gate      m = e^r·(W_enc x') + b_mag      f = 1[π > 0]·relu(m)
//!
//!   penalty of a row: λ·Σ_j relu(π_j) + ‖s − (b_dec + W_decᵀ relu(π))‖², the decoder of the second term not trained by it
//!
//! r = b_mag = b_gate = 0 at first, b_gate being the parameter `b_enc`. With g₂ the gradient at the second reconstruction:
//!
//!   ∂L/∂π = ⟨g₂, W_dec⟩ + λ/N where π > 0      ∂L/∂m = ⟨g, W_dec⟩ where π, m > 0      ∂L/∂(W_enc x') = ∂L/∂π + e^r·∂L/∂m
//!
//! Exactly a JumpReLU at release: W' = e^r W_enc, b' = b_mag, θ' = max(0, b_mag − e^r b_gate). Differs from the paper:
//! decoder rows are unit-norm by projection and renormalisation, no resampling.

use super::{Entries, Gate, Gradient};
use crate::View;
use lapidary_kernels::elementwise;

/// Entries are products without a bias, kept where π > 0.
pub(super) struct Gated {
    /// Zeros [F]: the sign of W_enc x' + b_gate is that of the sum rounded, so nothing is lost by adding b_gate later.
    none: Vec<f32>,
    /// −b_gate [F]
    lo: Vec<f32>,
    /// e^r [F]
    scale: Vec<f32>,
    b_mag: Vec<f32>,
    lambda: f64,
    rows: f64,
}

impl Gated {
    pub(super) fn new(p: &View<'_>, lambda: f64, rows: usize) -> Gated {
        let expected = "a gated dictionary has r and b_mag";
        Gated {
            none: vec![0.0; p.b_enc.len()],
            lo: p.b_enc.iter().map(|b| -b).collect(),
            scale: p.r_mag.expect(expected).iter().map(|&r| elementwise::exp(r)).collect(),
            b_mag: p.b_mag.expect(expected).to_vec(),
            lambda,
            rows: rows as f64,
        }
    }

    fn magnitude(&self, j: usize, product: f32) -> f32 {
        self.scale[j] * product + self.b_mag[j]
    }
}

impl Gate for Gated {
    fn lo(&self) -> &[f32] {
        &self.lo
    }

    fn bias<'a>(&'a self, _: &'a View<'a>) -> &'a [f32] {
        &self.none
    }

    fn value(&self, j: usize, product: f32) -> Option<f32> {
        let m = self.magnitude(j, product);
        (!(m <= 0.0)).then_some(m)
    }

    fn second(&self, j: usize, product: f32) -> f32 {
        product - self.lo[j]
    }

    fn backward(&self, j: usize, entries: Entries<'_>, out: &mut Gradient) {
        let cost = self.lambda / self.rows;
        let (mut b_gate, mut b_mag, mut r_mag) = (0.0, 0.0, 0.0);
        for (k, (&row, &product)) in entries.rows.iter().zip(entries.z).enumerate() {
            let f = self.value(j, product);
            let dm = if f.is_some() { f64::from(entries.df[k]) } else { 0.0 };
            let dpi = f64::from(entries.second[k]) + cost;
            let through = f64::from(self.scale[j]) * dm;
            out.push(row, f.unwrap_or(0.0), (dpi + through) as f32);
            out.fired |= f.is_some();
            out.penalty += cost * f64::from(self.second(j, product));
            b_gate += dpi;
            b_mag += dm;
            r_mag += through * f64::from(product);
        }
        out.b_enc = Some(b_gate as f32);
        (out.b_mag, out.r_mag) = (b_mag as f32, r_mag as f32);
    }
}
