//! Rotary position embedding (<https://arxiv.org/abs/2104.09864>) with the halves' pairing of Hugging Face: component j
//! turns with component j + A/2.
//!
//! At position p the pair turns by p·f_j, f_j = θ^{−2j/A}, stretched as [`RopeScaling`] says. Frequencies and angles are
//! f32, as in transformers; powers, sines and cosines are taken in f64 and rounded, so that they do not depend on the
//! machine's f32 library.

use crate::spec::{RopeScaling, Spec};
use std::f32::consts::PI;
use std::ops::Range;

/// f [A/2], radians per token.
pub(crate) fn frequencies(spec: &Spec) -> Vec<f32> {
    let plain = |j: usize| {
        let exponent = (2 * j) as f32 / spec.d_head as f32;
        1.0 / spec.rope_theta.powf(f64::from(exponent)) as f32
    };
    (0..spec.d_head / 2).map(|j| stretch(plain(j), spec.rope_scaling)).collect()
}

fn stretch(f: f32, scaling: RopeScaling) -> f32 {
    match scaling {
        RopeScaling::None => f,
        RopeScaling::Linear { factor } => f / factor as f32,
        RopeScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, original_context } => {
            let wavelength = 2.0 * PI / f;
            if wavelength > (original_context / low) as f32 {
                f / factor as f32
            } else if wavelength < (original_context / high) as f32 {
                f
            } else {
                let smooth = (original_context as f32 / wavelength - low as f32) / (high - low) as f32;
                (1.0 - smooth) * f / factor as f32 + smooth * f
            }
        }
    }
}

/// Cosines and sines of a range of positions.
pub(crate) struct Rotations {
    first: usize,
    half: usize,
    turns: Vec<(f32, f32)>, // (cos, sin) [P, A/2]
}

impl Rotations {
    pub(crate) fn new(spec: &Spec, positions: Range<usize>) -> Rotations {
        let frequencies = frequencies(spec);
        let turn = |p: usize, f: f32| {
            let angle = f64::from(p as f32 * f);
            (angle.cos() as f32, angle.sin() as f32)
        };
        let first = positions.start;
        let turns = positions.flat_map(|p| frequencies.iter().map(move |&f| turn(p, f))).collect();
        Rotations { first, half: spec.d_head / 2, turns }
    }

    /// Turns every head of one row [heads · A], which stands at `position`.
    pub(crate) fn apply(&self, row: &mut [f32], position: usize) {
        let turns = &self.turns[(position - self.first) * self.half..][..self.half];
        for head in row.chunks_exact_mut(2 * self.half) {
            let (low, high) = head.split_at_mut(self.half);
            for ((a, b), &(cos, sin)) in low.iter_mut().zip(high).zip(turns) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}
