//! Gradients by θ against the expected true loss of a planted one-feature problem (docs/numerics.md §3), and sixty steps with Adam's
//! published ε beside the dense f64 twin. All other gradients, and all other objectives: `naive/`.

use lapidary_kernels::Device;
use lapidary_objective::naive::{self, Dense, Setting, State};
use lapidary_objective::{
    Baseline, Batch, DictionaryPlan, Objective, Parameters, Penalty, Rates, Threshold, Training, Workspace,
    step,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Learning rate after its warm-up.
const LR: f64 = 3e-3;

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (f64::from(rng.next_u32()) + 0.5) / 2f64.powi(32)
}

fn plan(d: usize, width: usize, lambda: f64) -> DictionaryPlan {
    DictionaryPlan { lambda, c: 1.5, theta_init: 0.1, ..DictionaryPlan::new("a", "0.res", d, width) }
}

/// Gemma Scope's, at a higher rate and with a wider window.
fn rates(threshold: Threshold) -> Rates {
    let (step, lr, lr_decoder, lambda, bandwidth) = (0, LR, 1.0, 0.01, 0.06);
    let (beta1, beta2, adam_epsilon) = (0.0, 0.999, 1e-8);
    Rates { step, lr, lr_decoder, lambda, bandwidth, threshold, beta1, beta2, adam_epsilon }
}

/// Those of step `step`, after a warm-up of the rate over five steps and of λ over three.
fn at(rates: Rates, step: u64) -> Rates {
    let warm = |steps: f64| (step as f64 / steps).min(1.0);
    Rates { step, lr: rates.lr * (0.1 + 0.9 * warm(5.0)), lambda: rates.lambda * warm(3.0), ..rates }
}

/// Tied rows of norm 1, moved a little, and biases that are not 0.
fn problem(d: usize, width: usize, threshold: Threshold, seed: u64) -> Parameters {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut p = Parameters::zeros(&plan(d, width, 0.0));
    for row in p.w_dec.chunks_exact_mut(d) {
        row.iter_mut().for_each(|w| *w = (uniform(&mut rng) - 0.5) as f32);
        let norm = row.iter().map(|w| w * w).sum::<f32>().sqrt();
        row.iter_mut().for_each(|w| *w /= norm);
    }
    p.w_enc.copy_from_slice(&p.w_dec);
    p.threshold = Some(vec![if threshold == Threshold::Log { 0.1f32.ln() } else { 0.1 }; width]);
    for v in p.b_enc.iter_mut().chain(&mut p.b_dec).chain(&mut p.w_enc) {
        *v += (uniform(&mut rng) - 0.5) as f32 * 0.1;
    }
    p
}

/// A penalty, the derivative by θ of what it costs, and what the upper half of the window returns of it.
struct Known {
    penalty: Penalty,
    lambda: f64,
    derivative: f64,
    upper_half: f64,
    /// How far the straight-through gradient of the penalty itself is from the derivative.
    off: f64,
}

/// For one feature that is active where z > θ, z uniform on (0, 1):
///
/// - L0: λ(1 − θ), so −λ. The mean straight-through gradient is −λ, half of it from either half of the window.
/// - quadratic: λ(2/T)·((1 − T)²(1 − θ) + T²θ), so λ(2/T)(2T − 1); and λ_hf(1 − θ − 0.1), so −λ_hf. Above θ one more active
///   feature costs λ(4/T)(1 − T) + λ_hf, below −4λ + λ_hf; the mean of both is the derivative.
/// - tanh: λ∫_θ¹ tanh(cz) dz, so −λ·tanh(cθ). Straight through, −λ·cθ/2·(1 + sech²(cθ)): the trapezoid rule for
///   tanh(cθ) = ∫₀^{cθ} sech², which is off by (cθ)³/12·max|(sech²)″| ≤ (cθ)³/6.
fn known(theta: f64) -> [Known; 3] {
    let (lambda, target, weight, scale) = (0.2, 0.4, 1.5, 0.4);
    let quadratic = Penalty::Quadratic { target, high_frequency: weight };
    let above = lambda * (4.0 / target * (1.0 - target) + weight);
    let tanh = |bandwidth| Penalty::Tanh { scale, bandwidth, pre_activation: 0.0, dead_rows: 1 };
    let x = scale * theta;
    let slope = 2.0 / target * (2.0 * target - 1.0) - weight;
    let sech = 1.0 - x.tanh().powi(2);
    [
        Known { penalty: Penalty::L0, lambda, derivative: -lambda, upper_half: -lambda / 2.0, off: 0.0 },
        Known { penalty: quadratic, lambda, derivative: lambda * slope, upper_half: -above / 2.0, off: 0.0 },
        Known {
            penalty: tanh(0.0),
            lambda: 1.0,
            derivative: -x.tanh(),
            upper_half: -x / 2.0 * sech,
            off: x.powi(3) / 6.0,
        },
    ]
}

/// One unit-norm feature w, rows s = z·w with z uniform on (0, 1), so density p = 1; x̂ = z·w where z > θ, else 0.
///
/// Expected loss: ∫₀^θ z² dz and the penalty, so its derivative is θ² and the penalty's (see `known`). ∂L/∂f through ŝ is 0
/// where active (the reconstruction is exact) and −2z where not, so the mean straight-through gradient of the first part is
/// (θ/ε)·∫_{θ−ε/2}^{θ} 2z dz = θ² − θε/4: off by θε/4, the bound of docs/numerics.md §3 with p = 1 (plus the grid of z). Either
/// half of the window alone must fail.
#[test]
fn theta_by_the_expected_true_loss() {
    let (theta, n) = (0.5f64, 20_000);
    let x: Vec<f32> = (0..n)
        .map(|i| (i as f64 + 0.5) / n as f64)
        .flat_map(|z| [(0.6 * z) as f32, (0.8 * z) as f32])
        .collect();
    for (epsilon, threshold) in [(0.1f32, Threshold::Raw), (0.02, Threshold::Raw), (0.1, Threshold::Log)] {
        for Known { mut penalty, lambda, derivative, upper_half, off } in known(theta) {
            if let Penalty::Tanh { bandwidth, .. } = &mut penalty {
                *bandwidth = epsilon;
            }
            let rates = Rates { bandwidth: epsilon, lambda, ..rates(threshold) };
            let objective = Objective::JumpRelu { penalty };
            let plan = DictionaryPlan { c: 1.0, objective, ..plan(2, 1, lambda) };
            let (t, chain) = if threshold == Threshold::Log { (theta.ln(), theta) } else { (theta, 1.0) };
            let mut start = Parameters::zeros(&plan);
            (start.w_enc, start.w_dec) = (vec![0.6, 0.8], vec![0.6, 0.8]);
            let mut p = Dense::from(&start);
            p.threshold[0] = t;
            let setting = Setting { plan: &plan, rates: &rates, dead: &[false] };
            let seen = naive::forward(&p, &p, Batch::from(x.as_slice()), &setting);
            let mean = naive::gradients(&p, &seen, &setting).of.threshold[0] / chain;
            let bound = theta * f64::from(epsilon) / 4.0 + off + 1e-3;
            let off = |estimate: f64| (estimate - (theta * theta + derivative)).abs();
            assert!(off(mean) < bound, "{penalty:?} {threshold:?}: {mean}, off by {}", off(mean));
            let lower_half = mean - upper_half;
            assert!(
                off(upper_half) > 2.0 * bound && off(lower_half) > 2.0 * bound,
                "{penalty:?}: half a window would pass"
            );
        }
    }
}

fn agrees_with_the_twin(
    rates: Rates,
    d: usize,
    width: usize,
    n: usize,
    baseline: Option<Baseline>,
) -> Training {
    let plan = DictionaryPlan { baseline, ..plan(d, width, 0.01) };
    let p = problem(d, width, rates.threshold, 11);
    let (mut twin, mut training) = (State::new(&p), Training::new(p, &plan, rates.beta1));
    let (mut rng, mut rows) = (ChaCha8Rng::seed_from_u64(5), Workspace::default());
    for s in 0..60 {
        let rates = at(rates, s);
        let x = clear_batch(&twin, &plan, &rates, n, &mut rng);
        let batch = Batch::from(x.as_slice());
        let expected = naive::step(&mut twin, batch, &plan, &rates);
        rows.load(batch, &plan);
        let seen = step(&mut training, &mut rows, &plan, &rates, Device::detect(), &mut |_| ());
        assert!((seen.loss - expected.loss).abs() < 1e-5 * expected.loss.abs(), "step {s}: loss");
        for (name, _, found) in training.slots.tensors() {
            for (i, (f, e)) in found.p.iter().zip(&twin.p.tensor(name).values).enumerate() {
                let off = (f64::from(*f) - e).abs();
                assert!(off < 0.01 * LR, "step {s} {name}[{i}]: {f}, twin {e}");
            }
        }
    }
    assert!(training.active_stamp.iter().any(|&s| s > 0));
    training
}

/// Rows none of whose pre-activations is within 1e-4 of θ or a window's edge.
fn clear_batch(
    twin: &State,
    plan: &DictionaryPlan,
    rates: &Rates,
    n: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<f32> {
    let theta = twin.p.theta(rates.threshold).values;
    let half = f64::from(rates.bandwidth) / 2.0;
    let setting = Setting { plan, rates, dead: &[] };
    let mut x = Vec::new();
    while x.len() < n * plan.d {
        let row: Vec<f32> = (0..plan.d).map(|_| (uniform(rng) * 2.0 - 1.0) as f32).collect();
        let z = naive::forward(&twin.p, &twin.p, Batch::from(row.as_slice()), &setting).z.values;
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
        let rates = |threshold| Rates { beta1, lr_decoder, ..rates(threshold) };
        agrees_with_the_twin(rates(Threshold::Raw), 9, 33, 13, None);
        agrees_with_the_twin(rates(Threshold::Log), 17, 50, 70, None);
        agrees_with_the_twin(rates(Threshold::Raw), 16, 1, 1, None);
    }
}

#[test]
fn a_frozen_decoder_stays_and_all_else_agrees_with_the_dense_twin() {
    for threshold in [Threshold::Raw, Threshold::Log] {
        let start = problem(17, 50, threshold, 11);
        let frozen = agrees_with_the_twin(rates(threshold), 17, 50, 70, Some(Baseline::FrozenDecoder));
        assert!(frozen.slots.w_dec.p == start.w_dec, "to the bit");
        assert!(frozen.slots.w_dec.v.iter().all(|&v| v == 0.0));
        for ((name, _, end), (_, _, start)) in frozen.slots.tensors().zip(start.tensors()) {
            assert_eq!(end.p == *start, name == "w_dec", "{name}");
        }
    }
}
