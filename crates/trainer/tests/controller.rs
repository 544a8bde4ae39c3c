//! The controller brings every objective that λ drives to the L0 that was asked for, from a λ that is far off.

use lapidary_kernels::Device;
use lapidary_trainer::{
    Batch, DictionaryPlan, Objective, Recipe, Running, Training, initial_parameters, train_step,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const D: usize = 24;
const WIDTH: usize = 96;
const ROWS: usize = 256;

fn uniform(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1 << 24) as f32
}

/// Rows of mean square 1 or so: five of 64 directions at a time, and a little noise.
fn rows(directions: &[f32], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut out = vec![0.0; ROWS * D];
    for row in out.chunks_exact_mut(D) {
        row.iter_mut().for_each(|x| *x = 0.1 * (uniform(rng) - 0.5));
        for _ in 0..5 {
            let at = (rng.next_u32() % 64) as usize * D;
            let weight = 0.3 + 0.4 * uniform(rng);
            row.iter_mut().zip(&directions[at..at + D]).for_each(|(x, d)| *x += weight * d);
        }
    }
    out
}

/// Mean L0 of the last 50 steps, λ of every step, and what the controller remembers.
fn found(objective: &Objective, lambda: f64, target: f64, recipe: Recipe) -> (f64, Vec<f64>, Running) {
    let plan = DictionaryPlan {
        name: "a".into(),
        site: "0.res".into(),
        d: D,
        width: WIDTH,
        lambda,
        c: 1.0,
        theta_init: 0.3,
        baseline: None,
        objective: objective.clone(),
        prefixes: Vec::new(),
        transcoder: None,
        target_l0: Some(target),
        start: None,
        bandwidth: None,
        row_cap: None,
        measured: None,
    };
    let (recipe, steps) = (Recipe { batch: ROWS, ..recipe }, recipe.steps);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut directions: Vec<f32> = (0..64 * D).map(|_| uniform(&mut rng) - 0.5).collect();
    for row in directions.chunks_exact_mut(D) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    let mut training = Training::new(initial_parameters(&plan, &recipe, 1), &plan, recipe.beta1);
    let (mut sum, mut lambdas) = (0.0, Vec::new());
    for step in 0..steps {
        let x = rows(&directions, &mut rng);
        let batch = Batch::from(x.as_slice());
        let seen = train_step(&mut training, batch, &plan, &recipe, step, Device::detect(), &mut |_| ());
        sum += if step + 50 >= steps { seen.l0 / 50.0 } else { 0.0 };
        lambdas.push(seen.lambda);
    }
    (sum, lambdas, training.running)
}

/// Within a twentieth, from a λ that is a factor of three and more off all the time.
#[test]
fn every_objective_with_lambda_reaches_the_l0_asked_for() {
    let cases = [
        (Objective::GEMMA_SCOPE, 1e-3, 4.0),
        (Objective::anthropic(D), 1.0, 8.0),
        (Objective::L1, 0.1, 8.0),
        (Objective::Gated, 1e-1, 4.0),
    ];
    for (objective, start, target) in cases {
        let (l0, lambdas, running) = found(&objective, start, target, Recipe::short(1_000, D));
        assert!((l0 / target - 1.0).abs() < 0.05, "{objective:?}: {l0} for {target}, λ {}", lambdas[999]);
        assert!(
            running.log_lambda.abs() > 1.0,
            "{objective:?}: λ {start} was right from the first: {running:?}"
        );
    }
}

#[test]
fn a_target_out_of_reach_lowers_lambda_by_a_factor_of_1000_at_most() {
    // Every feature may fire and still fewer than 500 do.
    let (l0, lambdas, running) = found(&Objective::GEMMA_SCOPE, 1e-3, 500.0, Recipe::short(700, D));
    assert!(l0 < 100.0, "{l0}");
    assert!((running.log_lambda + 1000f64.ln()).abs() < 1e-12, "{running:?}");
    assert!((1e-9 * lambdas[699]..=1e-6).contains(&lambdas[699]), "{:e}", lambdas[699]);
}
