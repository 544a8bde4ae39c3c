//! Rotary position embedding (<https://arxiv.org/abs/2104.09864>) with the halves' pairing of Hugging Face: of the R
//! components that turn, j turns with j + R/2.
//!
//! At position p the pair turns by p·f_j, f_j = θ^{−2j/R}, stretched as [`RopeScaling`] says. Frequencies and angles are
//! f32, as in transformers; powers, sines and cosines are taken in f64 and rounded, so that they do not depend on the
//! machine's f32 library.

use crate::spec::{Rope, RopeScaling};
use std::f32::consts::PI;
use std::ops::Range;

/// f [R/2], radians per token.
pub(crate) fn frequencies(rope: &Rope) -> Vec<f32> {
    (0..rope.width / 2).map(|j| stretch(rope, j, 1.0 / power(rope, j))).collect()
}

/// θ^{2j/R}.
fn power(rope: &Rope, j: usize) -> f32 {
    rope.theta.powf(f64::from((2 * j) as f32 / rope.width as f32)) as f32
}

fn stretch(rope: &Rope, j: usize, f: f32) -> f32 {
    match &rope.scaling {
        RopeScaling::None | RopeScaling::Dynamic => f,
        RopeScaling::Linear { factor } => f / *factor as f32,
        RopeScaling::Long { factors, .. } => 1.0 / (factors[j] as f32 * power(rope, j)),
        RopeScaling::Yarn { factor, .. } => {
            let slow = ramp(rope, j);
            1.0 / (*factor as f32 * power(rope, j)) * slow + f * (1.0 - slow)
        }
        &RopeScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, original_context } => {
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

/// YaRN's share of the stretched frequency at component j: 0 where waves are fast, 1 where they are slow.
fn ramp(rope: &Rope, j: usize) -> f32 {
    let RopeScaling::Yarn { beta_fast, beta_slow, original_context, truncate, .. } = rope.scaling else {
        return 0.0;
    };
    let width = rope.width as f64;
    // The component whose wave turns this often in the first context.
    let component = |turns: f64| {
        width * (original_context / (turns * std::f64::consts::TAU)).ln() / (2.0 * rope.theta.ln())
    };
    let (low, high) = (component(beta_fast), component(beta_slow));
    let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
    let (low, high) = (low.max(0.0), high.min(width - 1.0));
    let span = if low == high { 0.001 } else { high - low };
    ((j as f32 - low as f32) / span as f32).clamp(0.0, 1.0)
}

/// Factor on cosines and sines.
fn attention_factor(rope: &Rope) -> f32 {
    match rope.scaling {
        RopeScaling::Yarn { attention_factor, .. } | RopeScaling::Long { attention_factor, .. } => {
            attention_factor as f32
        }
        _ => 1.0,
    }
}

/// Cosines and sines of a range of positions.
pub(crate) struct Rotations {
    first: usize,
    d_head: usize,
    half: usize,
    turns: Vec<(f32, f32)>, // (cos, sin) [P, R/2]
}

impl Rotations {
    /// For heads of width `d_head` = A.
    pub(crate) fn new(rope: &Rope, d_head: usize, positions: Range<usize>) -> Rotations {
        let (frequencies, factor) = (frequencies(rope), attention_factor(rope));
        let turn = |p: usize, f: f32| {
            let angle = f64::from(p as f32 * f);
            (angle.cos() as f32 * factor, angle.sin() as f32 * factor)
        };
        let first = positions.start;
        let turns = positions.flat_map(|p| frequencies.iter().map(move |&f| turn(p, f))).collect();
        Rotations { first, d_head, half: rope.width / 2, turns }
    }

    /// Turns every head of one row [heads · A], which stands at `position`.
    pub(crate) fn apply(&self, row: &mut [f32], position: usize) {
        let turns = &self.turns[(position - self.first) * self.half..][..self.half];
        for head in row.chunks_exact_mut(self.d_head) {
            let (low, high) = head[..2 * self.half].split_at_mut(self.half);
            for ((a, b), &(cos, sin)) in low.iter_mut().zip(high).zip(turns) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}
