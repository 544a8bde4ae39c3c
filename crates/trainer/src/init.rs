//! Parameters before the first step: W_dec He-uniform with rows normalised to 1, W_enc = W_dec (untied from then on),
//! biases 0, θ = θ₀ (arXiv 2408.05147 §3.2). A transcoder's W_enc is drawn in the same way, apart; r and W_skip are 0.

use crate::{DictionaryPlan, Parameters, Recipe, Threshold};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The seed of a dictionary depends on the run's seed, its site and its width: a λ sweep and its baselines start from one
/// point.
fn rng(plan: &DictionaryPlan, seed: u64) -> ChaCha8Rng {
    let text = format!("lapidary init 1\nseed {seed}\nsite {}\nwidth {}", plan.site, plan.width);
    ChaCha8Rng::from_seed(*blake3::hash(text.as_bytes()).as_bytes())
}

/// Uniform in (−1, 1]: 24 bits, as f32 rounds them.
fn uniform(rng: &mut ChaCha8Rng) -> f32 {
    ((rng.next_u32() >> 8) as f32 + 0.5) / (1 << 23) as f32 - 1.0
}

/// The parameters of `plan` before step 0. He's bound √(6/D) cancels in the normalisation.
pub fn initial_parameters(plan: &DictionaryPlan, recipe: &Recipe, seed: u64) -> Parameters {
    let mut rng = rng(plan, seed);
    let mut p = Parameters::zeros(plan);
    unit_rows(&mut p.w_dec, plan.d_out(), &mut rng);
    if plan.transcoder.is_some() {
        unit_rows(&mut p.w_enc, plan.d, &mut rng);
    } else {
        p.w_enc.copy_from_slice(&p.w_dec);
    }
    let theta = match recipe.threshold {
        Threshold::Raw => plan.theta_init,
        Threshold::Log => f64::from(plan.theta_init).ln() as f32,
    };
    p.threshold.iter_mut().for_each(|threshold| threshold.fill(theta));
    p
}

/// Makes a dictionary begin about the mean rows, raw, of what it reads [D] and of what it reconstructs [D_out]: b_dec is the
/// latter, and a transcoder, which takes nothing off its input, has W_enc times the former in its biases.
pub fn centre(p: &mut Parameters, plan: &DictionaryPlan, input: &[f64], output: &[f64]) {
    let c_out = plan.c_out();
    p.b_dec.iter_mut().zip(output).for_each(|(b, mean)| *b = (mean / c_out) as f32);
    if plan.has_pre_bias() {
        return;
    }
    for (j, row) in p.w_enc.chunks_exact(plan.d).enumerate() {
        let z: f64 = row.iter().zip(input).map(|(&w, mean)| f64::from(w) * mean / plan.c).sum();
        p.b_enc[j] = -z as f32;
        p.b_mag.iter_mut().for_each(|b_mag| b_mag[j] = -z as f32);
    }
}

/// Fills `rows` [F, D] with random rows of norm 1.
fn unit_rows(rows: &mut [f32], d: usize, rng: &mut ChaCha8Rng) {
    for row in rows.chunks_exact_mut(d) {
        row.iter_mut().for_each(|w| *w = uniform(rng));
        let norm = row.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
        row.iter_mut().for_each(|w| *w = (f64::from(*w) / norm) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::test_dictionary;

    #[test]
    fn starts_as_the_paper_says() {
        let plan = |lambda| DictionaryPlan { lambda, theta_init: 0.001, ..test_dictionary(24, 500) };
        let recipe = Recipe::gemma_scope(10);
        let p = initial_parameters(&plan(0.1), &recipe, 7);
        assert_eq!(p, initial_parameters(&plan(0.2), &recipe, 7), "λ must not matter");
        assert_ne!(p, initial_parameters(&plan(0.1), &recipe, 8));
        assert_eq!(p.w_enc, p.w_dec);
        for row in p.w_dec.chunks_exact(24) {
            let norm: f64 = row.iter().map(|&w| f64::from(w).powi(2)).sum();
            assert!((norm - 1.0).abs() < 1e-6);
        }
        let mean = p.w_dec.iter().map(|&w| f64::from(w)).sum::<f64>() / p.w_dec.len() as f64;
        assert!(mean.abs() < 4.0 * (1.0 / 24.0f64 / 12_000.0).sqrt(), "mean {mean}");
        assert!(p.theta(Threshold::Log).unwrap().iter().all(|t| (t / 0.001 - 1.0).abs() < 1e-6));
    }
}
