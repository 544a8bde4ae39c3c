//! Gradients from three sides (NUMERICS §3): central differences of the loss for all parameters but θ; the expected true
//! loss of a planted one-feature problem for θ; and the dense f64 twin for whole steps.

use lapidary_kernels::Device;
use lapidary_trainer::naive::{self, Dense};
use lapidary_trainer::{
    Baseline, Batch, DictionaryPlan, Objective, Parameters, Recipe, Threshold, Training, initial_parameters,
    train_step,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (f64::from(rng.next_u32()) + 0.5) / 2f64.powi(32)
}

fn plan(d: usize, width: usize, lambda: f64) -> DictionaryPlan {
    let (name, site) = ("a".into(), "0.res".into());
    let (c, theta_init, baseline) = (1.5, 0.1, None);
    let objective = Objective::GEMMA_SCOPE;
    let (prefixes, transcoder, target_l0, start) = (Vec::new(), None, None, None);
    DictionaryPlan {
        name,
        site,
        d,
        width,
        lambda,
        c,
        theta_init,
        baseline,
        objective,
        prefixes,
        transcoder,
        target_l0,
        start,
    }
}

fn recipe(threshold: Threshold) -> Recipe {
    Recipe { lr: 3e-3, lr_warmup: 5, lambda_warmup: 3, bandwidth: 0.06, threshold, ..Recipe::gemma_scope(60) }
}

/// Rows [n, d] and parameters with non-zero biases.
fn problem(d: usize, width: usize, n: usize, recipe: &Recipe, seed: u64) -> (Parameters, Vec<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut p = initial_parameters(&plan(d, width, 0.0), recipe, seed);
    for v in p.b_enc.iter_mut().chain(&mut p.b_dec).chain(&mut p.w_enc) {
        *v += (uniform(&mut rng) - 0.5) as f32 * 0.1;
    }
    (p, (0..n * d).map(|_| (uniform(&mut rng) * 2.0 - 1.0) as f32).collect())
}

#[test]
fn all_but_theta_by_central_differences() {
    let recipe = recipe(Threshold::Raw);
    let (d, width, n) = (7, 19, 11);
    let plan = plan(d, width, 0.02);
    let (p, x) = problem(d, width, n, &recipe, 3);
    let p = Dense::from(&p);
    let seen = naive::forward(&p, &x, &plan, &recipe, plan.lambda);
    let edge = seen.z.iter().enumerate().map(|(i, z)| (z - p.threshold[i % width]).abs()).fold(1.0, f64::min);
    let h = 1e-6;
    assert!(edge > 20.0 * h, "a pre-activation sits {edge} from its threshold: choose another seed");
    let mut g = naive::gradients(&p, &seen, &plan, &recipe, plan.lambda);
    let mut checked = 0;
    for tensor in [0, 1, 3, 4] {
        for i in 0..g.tensors_mut()[tensor].len() {
            let loss = |h: f64| {
                let mut p = p.clone();
                p.tensors_mut()[tensor][i] += h;
                naive::forward(&p, &x, &plan, &recipe, plan.lambda).loss
            };
            let numeric = (loss(h) - loss(-h)) / (2.0 * h);
            let written = g.tensors_mut()[tensor][i];
            assert!(
                (numeric - written).abs() < 1e-8 + 1e-6 * written.abs(),
                "{tensor}[{i}]: {numeric} {written}"
            );
            checked += usize::from(written != 0.0);
        }
    }
    assert!(checked > 100, "only {checked} gradients were not zero");
}

/// One unit-norm feature w, rows s = z·w with z uniform on (0, 1), so density p = 1; x̂ = z·w where z > θ, else 0.
///
/// Expected loss: ∫₀^θ z² dz + λ(1 − θ), so its derivative is θ² − λ. ∂L/∂f is 0 where active (the reconstruction is
/// exact) and −2z where not, so the mean straight-through gradient is (θ/ε)·∫_{θ−ε/2}^{θ} 2z dz − λ = θ² − θε/4 − λ:
/// off by θε/4, the bound of NUMERICS §3 with p = 1 (plus the grid of z). Either half of the window alone must fail.
#[test]
fn theta_by_the_expected_true_loss() {
    let (theta, lambda, n) = (0.5f64, 0.2, 20_000);
    let x: Vec<f32> = (0..n)
        .map(|i| (i as f64 + 0.5) / n as f64)
        .flat_map(|z| [(0.6 * z) as f32, (0.8 * z) as f32])
        .collect();
    for (epsilon, threshold) in [(0.1f32, Threshold::Raw), (0.02, Threshold::Raw), (0.1, Threshold::Log)] {
        let recipe = Recipe { bandwidth: epsilon, ..recipe(threshold) };
        let plan = DictionaryPlan { c: 1.0, ..plan(2, 1, lambda) };
        let (t, chain) = if threshold == Threshold::Log { (theta.ln(), theta) } else { (theta, 1.0) };
        let w = vec![0.6, 0.8];
        let p =
            Dense { w_enc: w.clone(), b_enc: vec![0.0], threshold: vec![t], w_dec: w, b_dec: vec![0.0; 2] };
        let seen = naive::forward(&p, &x, &plan, &recipe, lambda);
        let mean = naive::gradients(&p, &seen, &plan, &recipe, lambda).threshold[0] / chain;
        let bound = theta * f64::from(epsilon) / 4.0 + 1e-3;
        let off = |estimate: f64| (estimate - (theta * theta - lambda)).abs();
        assert!(off(mean) < bound, "ε {epsilon} {threshold:?}: {mean}");
        let upper_half = -lambda / 2.0; // ∂L/∂f is 0 there
        let lower_half = mean + lambda / 2.0;
        assert!(off(upper_half) > 2.0 * bound && off(lower_half) > 2.0 * bound, "half a window would pass");
    }
}

fn agrees_with_the_twin(
    recipe: Recipe,
    d: usize,
    width: usize,
    n: usize,
    baseline: Option<Baseline>,
) -> Training {
    let plan = DictionaryPlan { baseline, ..plan(d, width, 0.01) };
    let (p, _) = problem(d, width, n, &recipe, 11);
    let (mut dense, mut training) = (Dense::from(&p), Training::new(p, &plan, &recipe));
    let (mut m, mut v) = (dense.zeros(), dense.zeros());
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for s in 0..recipe.steps {
        let x = clear_batch(&dense, &plan, &recipe, n, &mut rng);
        let loss = naive::step(&mut dense, (&mut m, &mut v), &x, &plan, &recipe, s);
        let batch = Batch::from(x.as_slice());
        let seen = train_step(&mut training, batch, &plan, &recipe, s, Device::detect(), &mut |_| ());
        let lambda = plan.lambda * (s as f64 / 3.0).min(1.0);
        assert!((seen.mse + lambda * seen.l0 - loss).abs() < 1e-5 * loss.abs(), "step {s}: loss");
        let expected = dense.tensors_mut();
        for ((name, _, found), expected) in training.parameters.tensors().into_iter().zip(expected) {
            for (i, (f, e)) in found.iter().zip(expected.iter()).enumerate() {
                let off = (f64::from(*f) - e).abs();
                assert!(off < 0.01 * recipe.lr, "step {s} {name}[{i}]: {f}, twin {e}");
            }
        }
    }
    assert!(training.active_stamp.iter().any(|&s| s > 0));
    training
}

/// Rows none of whose pre-activations is within 1e-4 of θ or a window's edge.
fn clear_batch(
    p: &Dense,
    plan: &DictionaryPlan,
    recipe: &Recipe,
    n: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<f32> {
    let theta = p.theta(recipe.threshold);
    let half = f64::from(recipe.bandwidth) / 2.0;
    let mut x = Vec::new();
    while x.len() < n * plan.d {
        let row: Vec<f32> = (0..plan.d).map(|_| (uniform(rng) * 2.0 - 1.0) as f32).collect();
        let z = naive::forward(p, &row, plan, recipe, 0.0).z;
        let near = |(z, t): (&f64, &f64)| [-half, 0.0, half].iter().any(|h| (z - (t + h)).abs() < 1e-4);
        if !z.iter().zip(&theta).any(near) {
            x.extend(row);
        }
    }
    x
}

#[test]
fn steps_agree_with_the_dense_twin() {
    for (beta1, lr_decoder) in [(0.0, 1.0), (0.9, 2.0)] {
        let recipe = |threshold| Recipe { beta1, lr_decoder, ..recipe(threshold) };
        agrees_with_the_twin(recipe(Threshold::Raw), 9, 33, 13, None);
        agrees_with_the_twin(recipe(Threshold::Log), 17, 50, 70, None);
        agrees_with_the_twin(recipe(Threshold::Raw), 16, 1, 1, None);
    }
}

#[test]
fn a_frozen_decoder_stays_and_all_else_agrees_with_the_dense_twin() {
    for threshold in [Threshold::Raw, Threshold::Log] {
        let start = problem(17, 50, 70, &recipe(threshold), 11).0;
        let frozen = agrees_with_the_twin(recipe(threshold), 17, 50, 70, Some(Baseline::FrozenDecoder));
        assert!(frozen.parameters.w_dec == start.w_dec, "to the bit");
        assert!(frozen.moments.w_dec.iter().all(|&v| v == 0.0));
        for ((name, _, end), (_, _, start)) in frozen.parameters.tensors().into_iter().zip(start.tensors()) {
            assert_eq!(end == start, name == "w_dec", "{name}");
        }
    }
}
