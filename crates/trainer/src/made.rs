//! A problem made for a measurement of speed: rows, weights, and thresholds that give the L0 that was asked for.
//!
//! Rows are N(0, I/D), so of unit mean square (C = 1); weights are those of a dictionary before its first step, rows of unit
//! norm. Then z ~ N(0, 1/D) for every feature, and a feature that is to fire with frequency p has θ = Q⁻¹(p)/√D. Frequencies
//! are equal, or Zipf's: min(1/2, c/rank), ranks in random order. The number c is found by bisection on the measured L0 of a
//! sample of rows.

use crate::{DictionaryPlan, Parameters, Recipe, TrainError, initial_parameters};
use lapidary_files::tensors::{Tensor, write};
use lapidary_kernels::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Pre-activations of the sample on which L0 is set.
const SAMPLE: usize = 1 << 22;

/// Rows and a dictionary.
pub struct Made {
    /// [N, D]
    pub x: Vec<f32>,
    /// W_enc = W_dec, biases 0.
    pub parameters: Parameters,
}

impl Made {
    /// `n` rows, and a dictionary with this L0 on them whose features are equally frequent, or as Zipf's law says. The same for the same
    /// arguments.
    pub fn new(plan: &DictionaryPlan, recipe: &Recipe, seed: u64, n: usize, l0: f64, zipf: bool) -> Made {
        let (d, f) = (plan.d, plan.width);
        let mut x = vec![0.0; n * d];
        x.par_chunks_mut(d).enumerate().for_each(|(row, x)| normal_row(seed, row as u64, x));
        let mut parameters = initial_parameters(plan, recipe, seed);
        let weights = if zipf { one_over_rank(f, seed) } else { vec![1.0; f] };
        let rows = (SAMPLE / f).max(16).min(n);
        let mut z = vec![0.0; rows * f];
        // One instruction set is as good as another: all return the same bits.
        Device::detect().linear(&x[..rows * d], &parameters.w_enc, None, d, &mut z);
        parameters.threshold = Some(thresholds(&weights, &z, d, l0));
        Made { x, parameters }
    }

    /// θ [F]
    pub fn theta(&self) -> &[f32] {
        self.parameters.threshold.as_deref().expect("bench trains JumpReLU")
    }

    /// For peers, who get the same bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let p = &self.parameters;
        let (f, d) = (p.b_enc.len(), p.b_dec.len());
        let (x, w, features, width) = ([self.x.len() / d, d], [f, d], [f], [d]);
        let tensors = [
            Tensor::f32("x", &x, &self.x),
            Tensor::f32("w", &w, &p.w_enc),
            Tensor::f32("theta", &features, self.theta()),
            Tensor::f32("b_enc", &features, &p.b_enc),
            Tensor::f32("b_dec", &width, &p.b_dec),
        ];
        Ok(write(path, &tensors, &HashMap::new())?)
    }
}

/// N(0, 1/D), by Box and Muller, in a stream of its own.
fn normal_row(seed: u64, row: u64, x: &mut [f32]) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(row + 1);
    let scale = 1.0 / (x.len() as f64).sqrt();
    let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
    for pair in x.chunks_mut(2) {
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        for (x, value) in pair.iter_mut().zip([radius * angle.cos(), radius * angle.sin()]) {
            *x = (scale * value) as f32;
        }
    }
}

/// 1/rank of each feature [F]; ranks are a random permutation of 1..=F.
fn one_over_rank(f: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<(u32, usize)> = (0..f).map(|j| (rng.next_u32(), j)).collect();
    order.sort_unstable();
    let mut weights = vec![0.0; f];
    for (rank, (_, j)) in order.into_iter().enumerate() {
        weights[j] = 1.0 / (rank + 1) as f64;
    }
    weights
}

/// θ [F] of frequencies min(1/2, c·weight), with the c that gives `l0` active features in a row of `z` [rows, F].
fn thresholds(weights: &[f64], z: &[f32], d: usize, l0: f64) -> Vec<f32> {
    let f = weights.len();
    let theta = |c: f64| -> Vec<f32> {
        weights.par_iter().map(|w| (upper((c * w).min(0.5)) / (d as f64).sqrt()) as f32).collect()
    };
    let measured = |theta: &[f32]| {
        let active = |row: &[f32]| row.iter().zip(theta).filter(|(z, theta)| z > theta).count();
        z.par_chunks_exact(f).map(active).sum::<usize>() as f64 / (z.len() / f) as f64
    };
    // In log c: from hardly any to half of all features.
    let (mut low, mut high) = ((1e-12f64).ln(), (f as f64).ln());
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if measured(&theta(middle.exp())) < l0 { low = middle } else { high = middle }
    }
    theta(high.exp())
}

/// The number that N(0, 1) exceeds with probability p ≤ 1/2: Abramowitz and Stegun 26.2.23, error below 4.5e-4 (bisection
/// makes up for it).
fn upper(p: f64) -> f64 {
    let t = (-2.0 * p.ln()).sqrt();
    let above = 2.515517 + t * (0.802853 + t * 0.010328);
    let below = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308));
    (t - above / below).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Threshold;

    /// Q⁻¹ as tabulated.
    #[test]
    fn quantiles_are_those_of_tables() {
        for (p, u) in [(0.5, 0.0), (0.1, 1.281552), (0.01, 2.326348), (0.001, 3.090232), (1e-4, 3.719016)] {
            assert!((upper(p) - u).abs() < 5e-4, "{p}: {}", upper(p));
        }
    }

    #[test]
    fn l0_is_what_was_asked_for() {
        let recipe = Recipe { threshold: Threshold::Raw, ..Recipe::gemma_scope(1) };
        let (d, f, n) = (64, 512, 700);
        for (l0, zipf) in [(5.0, false), (5.0, true), (60.0, true), (256.0, false)] {
            let input = Made::new(&DictionaryPlan::new("bench", "bench", d, f), &recipe, 1, n, l0, zipf);
            let p = &input.parameters;
            let encoded = Device::detect().encode(&input.x, &p.w_enc, &p.b_enc, input.theta(), d);
            let measured = encoded.index.len() as f64 / n as f64;
            assert!((measured / l0 - 1.0).abs() < 0.01, "asked {l0}, measured {measured}");
        }
        let input = Made::new(&DictionaryPlan::new("bench", "bench", d, f), &recipe, 1, n, 5.0, false);
        let mean_square: f64 = input.x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n as f64;
        assert!((mean_square - 1.0).abs() < 0.02, "{mean_square}");
    }

    /// The second most frequent feature fires half as often as the first, and so on.
    #[test]
    fn zipf_s_ranks() {
        let mut weights = one_over_rank(100, 3);
        assert_ne!(weights, one_over_rank(100, 4));
        weights.sort_by(|a, b| b.total_cmp(a));
        assert!(weights.iter().enumerate().all(|(i, w)| *w == 1.0 / (i + 1) as f64));
    }
}
