//! The controller brings every objective that λ drives to the L0 that was asked for, from a λ that is far off.

use lapidary_kernels::Device;
use lapidary_trainer::{Batch, DictionaryPlan, Objective, Recipe, Training, initial_parameters, train_step};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const D: usize = 24;
const WIDTH: usize = 96;
const ROWS: usize = 256;
/// A step of log λ, as in a sweep: 1.25 times.
const NEAR: f64 = 0.22;

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

/// Mean L0 of the last 50 steps, and λ of every step; without a target λ stays.
fn found(objective: &Objective, lambda: f64, target: Option<f64>, recipe: Recipe) -> (f64, Vec<f64>) {
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
        target_l0: target,
        start: None,
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
    (sum, lambdas)
}

/// How near is near enough? As near as λ gets where it is known to within a step of `NEAR` in log λ: trained from the start
/// with a λ that much smaller or larger than what the controller found, the same dictionary ends on either side of the target
/// and of the L0 that the controller reached. So the controller is at least as good as a search over fixed λ in such steps.
#[test]
fn every_objective_with_lambda_reaches_the_l0_asked_for() {
    let (far_below, far_above) = ((1e-4, 4.0), (1.0, 8.0));
    let cases = [
        (Objective::GEMMA_SCOPE, far_below),
        (Objective::anthropic(D), far_above),
        (Objective::L1, far_above),
        (Objective::Gated, far_below),
    ];
    for (objective, (start, target)) in cases {
        let recipe = || Recipe::short(1000, D);
        let (l0, lambdas) = found(&objective, start, Some(target), recipe());
        let lambda = lambdas[999];
        let [below, above] =
            [-NEAR, NEAR].map(|step| found(&objective, lambda * step.exp(), None, recipe()).0);
        for what in [target, l0] {
            assert!(
                above < what && what < below,
                "{objective:?}: {what} is not from {above} to {below}, λ {lambda}"
            );
        }
        let moved = (lambda / start).ln().abs();
        assert!(moved > 4.0 * NEAR, "{objective:?}: λ {start} was right from the first: {lambda}");
    }
}

#[test]
fn a_target_out_of_reach_lowers_lambda_by_a_factor_of_1000_at_most() {
    // Every feature may fire and still fewer than 500 do.
    let (l0, lambdas) = found(&Objective::GEMMA_SCOPE, 1e-3, Some(500.0), Recipe::short(700, D));
    let lambda = lambdas[699];
    assert!(l0 < 100.0, "{l0}");
    assert!((lambda / 1e-6 - 1.0).abs() < 1e-6, "{lambda:e}");
}

/// However long λ warms up, it rests in the last fifth.
#[test]
fn lambda_rests_at_the_end() {
    for lambda_warmup in [30, 150, 200] {
        let recipe = Recipe { lambda_warmup, ..Recipe::short(200, D) };
        let (_, lambdas) = found(&Objective::anthropic(D), 1.0, Some(8.0), recipe);
        assert!(lambdas[159] != lambdas[160] && lambdas[160] > 0.0, "{lambda_warmup}: it moved before");
        assert!(
            lambdas[160..].iter().all(|&lambda| lambda == lambdas[160]),
            "{lambda_warmup}: {:?}",
            &lambdas[160..]
        );
    }
}
