//! The control of "Automated Interpretability Metrics Do Not Distinguish Trained and Random Transformers" (Heap et al. 2025,
//! arXiv 2501.17727): the same model with nothing learned in its matrices.
//!
//! Every matrix, the embedding, learned positions and an untied head among them, is drawn anew from N(0, σ²), σ the root mean square of what
//! training left there; so each keeps its scale (the paper keeps its mean too, which is near 0). Norm gains and biases stay.
//! A dictionary of this model's rows says how much of a score needs no learning.

use crate::model::Model;
use crate::values::{Precision, Values};
use crate::weights::{Weights, in_layers};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use std::f64::consts::TAU;

impl Model {
    /// The same spec with every matrix drawn anew; matrix i depends on (seed, i) and its own σ alone.
    pub fn randomised(&self, seed: u64) -> Model {
        let mut model = self.clone();
        if self.spec.tied_head {
            model.weights.head = None;
        }
        matrices(&mut model.weights)
            .into_par_iter()
            .enumerate()
            .for_each(|(i, matrix)| redraw(matrix, &mut rng(seed, i)));
        if self.precision == Precision::Bf16 {
            model.weights = model.weights.rounded();
        }
        model
    }
}

/// Every matrix, in a fixed order.
fn matrices(weights: &mut Weights) -> Vec<&mut Values> {
    let mut out = vec![&mut weights.embed];
    out.extend(in_layers(&mut weights.layers));
    out.extend(&mut weights.head);
    out.extend(&mut weights.positions);
    out
}

fn rng(seed: u64, matrix: usize) -> ChaCha8Rng {
    let text = format!("lapidary randomised model 1\nseed {seed}\nmatrix {matrix}");
    ChaCha8Rng::from_seed(*blake3::hash(text.as_bytes()).as_bytes())
}

/// Replaces all entries by draws from N(0, σ²), σ their root mean square.
fn redraw(matrix: &mut Values, rng: &mut ChaCha8Rng) {
    let mut values = std::mem::take(matrix).into_f32();
    let squares: f64 = values.iter().map(|&w| f64::from(w).powi(2)).sum();
    let sigma = (squares / values.len() as f64).sqrt();
    for pair in values.chunks_mut(2) {
        pair.iter_mut().zip(normal_pair(rng)).for_each(|(w, n)| *w = (sigma * n) as f32);
    }
    *matrix = Values::F32(values);
}

/// Two draws from N(0, 1), by Box and Muller.
fn normal_pair(rng: &mut ChaCha8Rng) -> [f64; 2] {
    let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 2f64.powi(32); // in (0, 1): its logarithm is finite
    let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), TAU * uniform());
    [radius * angle.cos(), radius * angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Batch;
    use lapidary_kernels::Device;
    use std::path::Path;

    fn fixture(name: &str) -> Model {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lm").join(name);
        Model::load(&folder, Device::detect()).unwrap()
    }

    /// One of each family.
    const FIXTURES: &str = "gemma-old gemma2-new gemma3-new gpt-neox-old gpt2-old llama-old mistral-new olmo2-new phi3-old \
                            qwen2-old qwen3-new";

    fn mean(values: impl Iterator<Item = f64>) -> f64 {
        let (sum, n) = values.fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
        sum / n
    }

    /// Moments of the normal distribution: E n² = 1, E n⁴ = 3, P(|n| < 1) = 0.6827; each within five standard errors.
    #[test]
    fn draws_are_normal() {
        let mut rng = rng(0, 0);
        let draws: Vec<f64> = (0..100_000).flat_map(|_| normal_pair(&mut rng)).collect();
        let error = |variance: f64| 5.0 * (variance / draws.len() as f64).sqrt();
        assert!(mean(draws.iter().copied()).abs() < error(1.0));
        assert!((mean(draws.iter().map(|n| n * n)) - 1.0).abs() < error(2.0));
        assert!((mean(draws.iter().map(|n| n.powi(4))) - 3.0).abs() < error(96.0));
        let inside = mean(draws.iter().map(|n| f64::from(u8::from(n.abs() < 1.0))));
        assert!((inside - 0.682_689).abs() < error(0.217));
        assert!(mean(draws.chunks(2).map(|p| p[0] * p[1])).abs() < 1.5 * error(1.0), "a pair is independent");
    }

    /// Root mean squares agree within five standard errors of a matrix of that size.
    #[test]
    fn every_matrix_keeps_its_scale_and_nothing_else_changes() {
        for name in FIXTURES.split(' ') {
            let (mut trained, mut random) = (fixture(name), fixture(name).randomised(3));
            let pairs = matrices(&mut trained.weights).into_iter().zip(matrices(&mut random.weights));
            for (i, (old, new)) in pairs.enumerate() {
                let square = |m: &Values| mean(m.to_f32().iter().map(|&w| f64::from(w).powi(2)));
                let off = square(new) / square(old) - 1.0;
                assert!(off.abs() < 5.0 * (2.0 / new.len() as f64).sqrt(), "{name} matrix {i}: {off}");
                assert!(old.to_f32().iter().zip(new.to_f32()).all(|(a, b)| *a != b), "{name} matrix {i}");
                new.clone_from(old);
            }
            assert_eq!(format!("{:?}", trained.weights), format!("{:?}", random.weights), "gains and biases");
        }
    }

    #[test]
    fn seeds_and_matrices_have_draws_of_their_own() {
        let model = fixture("gemma2-new");
        let draw = |seed| model.randomised(seed).weights;
        assert_eq!(draw(5).embed, draw(5).embed);
        assert_ne!(draw(5).embed, draw(6).embed);
        let same_shape = draw(5);
        let scaled = |l: usize| {
            let w = same_shape.layers[l].up.weight.to_f32();
            let first = f64::from(w[0]);
            w.iter().take(8).map(|&w| f64::from(w) / first).collect::<Vec<_>>()
        };
        assert!(scaled(0).iter().zip(scaled(1)).skip(1).all(|(a, b)| (a - b).abs() > 1e-6));
    }

    /// The rows are others, but live on the same scale: a model that exploded would be no control.
    #[test]
    fn rows_change_and_keep_their_order_of_magnitude() {
        for name in FIXTURES.split(' ') {
            let model = fixture(name);
            let length = model.spec.context.min(60) as u32;
            let tokens: Vec<u32> = (0..length).map(|i| (i * i * 7 + i * 13) % 67).collect();
            let batch = Batch::new([tokens.as_slice()]);
            let sites = model.spec.parse_sites("all").unwrap();
            let rows = |model: &Model| {
                let mut seen = Vec::new();
                model.tap(&batch, &sites, &mut |site, rows| seen.push((site, rows.to_vec())));
                seen
            };
            for ((site, real), (_, random)) in rows(&model).into_iter().zip(rows(&model.randomised(1))) {
                assert!(
                    real.iter().zip(&random).filter(|(a, b)| a == b).count() < real.len() / 100,
                    "{site}"
                );
                let scale = |x: &[f32]| mean(x.iter().map(|&x| f64::from(x).powi(2))).sqrt();
                let ratio = scale(&random) / scale(&real);
                assert!((0.1..10.0).contains(&ratio), "{name} {site}: {ratio}");
            }
        }
    }
}
