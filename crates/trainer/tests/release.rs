//! What is released computes on raw rows what training computed on its own, for every objective; and a dictionary begins a
//! training as the same function. The expected features are the papers' formulas in f64 on the trained parameters.

use lapidary_dictionary::{Activation, Dictionary};
use lapidary_kernels::Device;
use lapidary_trainer::{
    Batch, DictionaryPlan, Objective, Penalty, Recipe, Threshold, TrainError, Training, Transcoder, View,
    from_dictionary, initial_parameters, to_dictionary, train_step,
};

const WIDTH: usize = 60;
const ROWS: usize = 50;

/// Numbers in (−1, 1).
fn noise(seed: u64, n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i as f64 * 0.7391 + seed as f64 * 1.37).sin() * 4_391.7).fract() as f32).collect()
}

fn recipe(threshold: Threshold) -> Recipe {
    Recipe { batch: ROWS, lr: 3e-3, lr_warmup: 2, threshold, ..Recipe::gemma_scope(40) }
}

fn plan(objective: Objective, transcoder: Option<Transcoder>) -> DictionaryPlan {
    DictionaryPlan {
        lambda: 0.01,
        c: 2.5,
        theta_init: 0.1,
        objective,
        transcoder,
        ..DictionaryPlan::new("a", "0.res", 16, WIDTH)
    }
}

/// A few steps, so that all parameters are their own.
fn trained(plan: &DictionaryPlan, recipe: &Recipe) -> Training {
    let mut p = initial_parameters(plan, recipe, 3);
    p.b_dec.iter_mut().zip(noise(4, plan.d_out())).for_each(|(b, v)| *b = 0.1 * v);
    let mut training = Training::new(p, plan, recipe.beta1);
    for step in 0..recipe.steps {
        let (input, output) = (noise(step, ROWS * plan.d), noise(step + 9, ROWS * plan.d_out()));
        let batch = if plan.transcoder.is_some() {
            Batch { input: &input, output: &output }
        } else {
            (&input[..]).into()
        };
        train_step(&mut training, batch, plan, recipe, step, Device::detect(), &mut |_| ());
    }
    assert_eq!(training.stopped, None);
    if let Objective::BatchTopK { .. } = plan.objective {
        training.running.threshold = Some(0.3); // as if fitted
    }
    training
}

/// f of feature j for a row u in training units, and how far its decision is from being another.
fn feature(p: View<'_>, plan: &DictionaryPlan, threshold: f64, u: &[f64], j: usize) -> (f64, f64) {
    let bias = |i: usize| if plan.transcoder.is_some() { 0.0 } else { f64::from(p.b_dec[i]) };
    let product: f64 =
        u.iter().enumerate().map(|(i, u)| (u - bias(i)) * f64::from(p.w_enc[j * plan.d + i])).sum();
    let z = product + f64::from(p.b_enc[j]);
    if plan.objective == Objective::Gated {
        let m = f64::from(p.r_mag.unwrap()[j]).exp() * product + f64::from(p.b_mag.unwrap()[j]);
        return (if z > 0.0 { m.max(0.0) } else { 0.0 }, z.abs().min(m.abs()));
    }
    (if z > threshold { z } else { 0.0 }, (z - threshold).abs())
}

/// Leaves the k largest of a row; the others are 0.
fn keep_largest(row: &mut [(f64, f64)], k: usize) {
    let mut sorted: Vec<f64> = row.iter().map(|&(f, _)| f).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let apart = sorted[k - 1] - sorted[k];
    for (f, distance) in row {
        if *f < sorted[k - 1] {
            *f = 0.0;
        }
        *distance = if apart < 1e-5 { 0.0 } else { *distance };
    }
}

/// Compares the dictionary on raw rows with training's formulas, where no decision is near.
fn same_function(training: &Training, plan: &DictionaryPlan, recipe: &Recipe, dictionary: &Dictionary) {
    let p = training.parameters();
    let thetas = p.theta(recipe.threshold);
    let x = noise(77, ROWS * plan.d);
    let features = dictionary.encode(Device::detect(), &x);
    let recon = dictionary.reconstruct(Device::detect(), &x, &features);
    let mut active = 0;
    for n in 0..ROWS {
        let u: Vec<f64> = x[n * plan.d..][..plan.d].iter().map(|&x| f64::from(x) / plan.c).collect();
        let mut expected: Vec<f64> = p.b_dec.iter().map(|&b| f64::from(b)).collect();
        for (row, expected) in p.w_skip.unwrap_or_default().chunks_exact(plan.d).zip(&mut expected) {
            *expected += row.iter().zip(&u).map(|(&w, u)| f64::from(w) * u).sum::<f64>();
        }
        let constant = training.running.threshold.unwrap_or(0.0);
        let theta = |j: usize| thetas.as_ref().map_or(constant, |theta| f64::from(theta[j]));
        let mut row: Vec<(f64, f64)> = (0..WIDTH).map(|j| feature(p, plan, theta(j), &u, j)).collect();
        if let Objective::TopK { k, .. } = plan.objective {
            keep_largest(&mut row, k);
        }
        let (index, value) = features.row(n);
        for (j, &(f, distance)) in row.iter().enumerate() {
            let found = index.iter().position(|&i| i as usize == j).map_or(0.0, |at| f64::from(value[at]));
            let near = distance < 1e-5;
            assert!(near || (found - plan.c * f).abs() < 1e-4, "{:?} {n} {j}: {found}, {f}", plan.objective);
            active += usize::from(f > 0.0);
            for (i, expected) in expected.iter_mut().enumerate() {
                *expected += f * f64::from(p.w_dec[j * plan.d_out() + i]);
            }
        }
        let clear = row.iter().all(|&(_, distance)| distance >= 1e-5);
        for (i, expected) in expected.iter().enumerate().filter(|_| clear) {
            let found = f64::from(recon[n * plan.d_out() + i]);
            assert!((found - plan.c_out() * expected).abs() < 1e-3, "{:?}: {found}", plan.objective);
        }
    }
    assert!(active > ROWS && active < ROWS * WIDTH * 9 / 10, "{:?}: {active} active", plan.objective);
}

fn cases() -> Vec<(DictionaryPlan, Recipe)> {
    let to = || Transcoder { output: "0.mlp".into(), d_out: 9, c_out: 0.75, skip: true };
    let objectives = [
        Objective::GEMMA_SCOPE,
        Objective::L1,
        Objective::Gated,
        Objective::BatchTopK { k: 6, aux: None },
        Objective::TopK { k: 6, aux: None },
    ];
    let mut cases = Vec::new();
    for objective in objectives {
        for transcoder in [None, Some(to())] {
            for threshold in [Threshold::Raw, Threshold::Log] {
                cases.push((plan(objective.clone(), transcoder.clone()), recipe(threshold)));
            }
        }
    }
    cases
}

#[test]
fn every_objective_is_released_as_the_function_it_was_trained_as() {
    for (plan, recipe) in cases() {
        let training = trained(&plan, &recipe);
        same_function(&training, &plan, &recipe, &to_dictionary(&training, &plan, &recipe));
    }
}

/// Released, scaled as a peer might have it (decoder rows of norm 3), and taken up again.
#[test]
fn a_dictionary_begins_a_training_as_the_same_function() {
    for (plan, recipe) in cases() {
        let mut dictionary = to_dictionary(&trained(&plan, &recipe), &plan, &recipe);
        let norm = if let Objective::TopK { .. } = plan.objective { 1.0 } else { 3.0 };
        dictionary.w_dec.iter_mut().for_each(|w| *w *= norm);
        let parts = [&mut dictionary.w_enc, &mut dictionary.b_enc, &mut dictionary.threshold];
        parts.into_iter().flatten().for_each(|v| *v /= norm);
        let begun = from_dictionary(&dictionary, &plan, &recipe).unwrap();
        for row in begun.slots.w_dec.p.chunks_exact(plan.d_out()) {
            assert!((row.iter().map(|w| w * w).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        same_function(&begun, &plan, &recipe, &to_dictionary(&begun, &plan, &recipe));
        let again = to_dictionary(&begun, &plan, &recipe);
        let x = noise(5, ROWS * plan.d);
        let recon = |d: &Dictionary| d.reconstruct(Device::detect(), &x, &d.encode(Device::detect(), &x));
        for (a, b) in recon(&dictionary).iter().zip(recon(&again)) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }
}

/// θ = +∞ switches a feature off, and a training that begins so neither switches it on nor turns anything infinite.
#[test]
fn features_that_are_switched_off_do_no_harm() {
    let mut anthropic = Objective::anthropic(WIDTH);
    if let Objective::JumpRelu { penalty: Penalty::Tanh { dead_rows, .. } } = &mut anthropic {
        *dead_rows = 2 * ROWS as u64;
    }
    for (objective, threshold) in [
        (Objective::GEMMA_SCOPE, Threshold::Raw),
        (anthropic.clone(), Threshold::Raw),
        (anthropic, Threshold::Log),
        (Objective::Gated, Threshold::Raw),
        (Objective::BatchTopK { k: 6, aux: None }, Threshold::Raw),
    ] {
        let (plan, recipe) = (plan(objective, None), recipe(threshold));
        let mut start = to_dictionary(&trained(&plan, &recipe), &plan, &recipe);
        start.threshold[3] = f32::INFINITY;
        let mut training = from_dictionary(&start, &plan, &recipe).unwrap();
        let x = noise(7, ROWS * plan.d);
        for step in 0..8 {
            let batch = Batch::from(x.as_slice());
            train_step(&mut training, batch, &plan, &recipe, step, Device::detect(), &mut |_| ());
        }
        assert!(training.stopped.is_none(), "{:?}", training.stopped);
        let end = to_dictionary(&training, &plan, &recipe);
        let parts = [&end.w_enc, &end.w_dec, &end.b_enc, &end.b_dec];
        assert!(parts.into_iter().flatten().all(|v| v.is_finite()), "{:?}", plan.objective);
        let off = |theta: &&f32| **theta == f32::INFINITY;
        let expected = if let Objective::BatchTopK { .. } = plan.objective { 0 } else { 1 };
        assert_eq!(end.threshold.iter().filter(off).count(), expected, "{:?} {threshold:?}", plan.objective);
        assert!(end.threshold.iter().all(|theta| !theta.is_nan()));
    }
}

#[test]
fn what_cannot_begin_a_training_is_refused() {
    let (plan, recipe) = (plan(Objective::L1, None), recipe(Threshold::Raw));
    let mut dictionary = to_dictionary(&trained(&plan, &recipe), &plan, &recipe);
    let wider = DictionaryPlan { width: WIDTH + 1, ..plan.clone() };
    let refused = |dictionary: &Dictionary, plan: &DictionaryPlan| {
        let error = from_dictionary(dictionary, plan, &recipe).unwrap_err();
        assert!(matches!(error, TrainError::Start { .. }), "{error}");
        error.to_string()
    };
    assert!(refused(&dictionary, &wider).contains("expected 61 features from width 16 to 16, found 60"));
    dictionary.activation = Activation::TopK { k: 3 };
    dictionary.w_dec[..16].fill(0.5);
    assert!(refused(&dictionary, &plan).contains("found 2 in row 0"));
    dictionary.w_dec[..16].fill(0.0);
    assert!(refused(&dictionary, &plan).contains("found 0 in row 0"));
}
