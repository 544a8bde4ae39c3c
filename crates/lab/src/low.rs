//! Training with parameters in 16 bits: after every step W_enc and W_dec are rounded to bf16, and the moments with which the next
//! step goes on are those of before. Biases, θ and sums stay f32.
//!
//! *Stochastic rounding* goes up with the probability that keeps the mean: a change smaller than a bf16's last bit then happens
//! now and then, where rounding to nearest would lose it in every step (Gupta et al. 2015, arXiv 1502.02551). The draws are a function of (seed, step,
//! place), so the same seed gives the same bytes.

use crate::LabError;
use crate::held::HeldRows;
use half::bf16;
use lapidary_dictionary::Dictionary;
use lapidary_kernels::Device;
use lapidary_store::{Batches, RowSource};
use lapidary_trainer::{
    Batch, DictionaryPlan, Plan, Training, centre, initial_parameters, mean_rows, to_dictionary, train_step,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

/// Numbers that share a stream of draws.
const CHUNK: usize = 4_096;

/// How parameters are rounded after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameters {
    /// To the nearest bf16.
    Nearest,
    /// Up or down by chance, right in the mean.
    Stochastic,
}

/// Trains one dictionary of `plan` with rounded parameters. `after_step` is told how many are done, and may stop it.
pub(crate) fn train_rounded(
    plan: &Plan,
    d: &DictionaryPlan,
    how: Parameters,
    batches: &mut Batches<HeldRows<'_>>,
    device: Device,
    after_step: &mut dyn FnMut(u64) -> Result<(), LabError>,
) -> Result<Dictionary, LabError> {
    let site =
        batches.source().sites().iter().position(|s| s.site == d.row_set()).expect("the rung has the site");
    let mut parameters = initial_parameters(d, &plan.recipe, plan.seed);
    if let Some(measured) = &d.measured {
        let means = mean_rows(batches, measured.rows).map_err(LabError::Rows)?;
        centre(&mut parameters, d, &means[site], &means[site]);
    }
    let mut training = Training::new(parameters, d, plan.recipe.beta1);
    batches.seek(0);
    for step in 0..plan.recipe.steps {
        let rows = batches.next().map_err(LabError::Rows)?;
        let batch = Batch { input: &rows[site], output: &rows[site] };
        train_step(&mut training, batch, d, &plan.recipe, step, device, &mut |_| ());
        for (tensor, p) in [&mut training.slots.w_enc.p, &mut training.slots.w_dec.p].into_iter().enumerate()
        {
            round(p, how, plan.seed ^ (step << 1 | tensor as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        }
        after_step(step + 1)?;
    }
    Ok(to_dictionary(&training, d, &plan.recipe))
}

fn round(values: &mut [f32], how: Parameters, seed: u64) {
    match how {
        Parameters::Nearest => values.par_iter_mut().for_each(|x| *x = bf16::from_f32(*x).to_f32()),
        Parameters::Stochastic => values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(i as u64);
            chunk.iter_mut().for_each(|x| *x = stochastic(*x, rng.next_u32()));
        }),
    }
}

/// The bf16 above or below in magnitude, up with the probability of what is cut off: add 16 random bits below the last one, and cut.
fn stochastic(x: f32, random: u32) -> f32 {
    let bits = x.to_bits();
    if x.is_finite() { f32::from_bits(bits.wrapping_add(random & 0xFFFF) & 0xFFFF_0000) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between 1 and the next bf16, 1 + 2⁻⁷, at a quarter: three of four stay down. 40,000 draws deviate by 0.0022.
    #[test]
    fn stochastic_rounding_is_right_in_the_mean() {
        let x = 1.0 + 2f32.powi(-9);
        let mut values = vec![x; 40_000];
        round(&mut values, Parameters::Stochastic, 7);
        let up = values.iter().filter(|&&v| v == 1.0 + 2f32.powi(-7)).count();
        assert!(values.iter().all(|&v| v == 1.0 || v == 1.0 + 2f32.powi(-7)));
        assert!((up as f64 / 40_000.0 - 0.25).abs() < 0.01, "{up}");
        let mut again = vec![x; 40_000];
        round(&mut again, Parameters::Stochastic, 7);
        assert!(values == again);
        assert_eq!(stochastic(0.5, 0xFFFF), 0.5, "what is a bf16 stays");
    }
}
