//! Tests of every objective's fast step against its readable dense twin, over problems of odd sizes that a seed draws:
//! D, D_out, F, N in 1..=40, any baseline, prefixes, transcoders with and without a skip, both parameterisations of θ, Adam
//! with and without a first moment, with tied values, rows of zeros, features that never fire, and nothing active at all.
//!
//! **Tolerance.** The twin is f64 and the trainer f32, so they differ by rounding. No sum here has more than N + D + F ≤ 120
//! terms; it rounds by γ(120) = 7e-6 of the sum of its terms' absolute values at worst, by √120·2⁻²⁴ = 7e-7 in practice, and
//! that sum is a few units where E‖x/C‖² = 1: [`GRADIENT`] bounds the error of a number in a gradient. From that follow the others.
//! m is a weighted mean of gradients with weights of sum 1 at most, and √v a weighted norm with such weights: neither is off
//! by more than a gradient is. Adam's move lr·m̂/(√v̂ + ε) has derivatives 1/ε by m̂ and at most (|m̂|/√v̂)/ε ≤ √t/ε by √v̂ (by
//! Cauchy and Schwarz |m̂| ≤ √t·√v̂ where β₁ = 0 or all weights are alike), so step t strays by lr·(1 + √t)·GRADIENT/ε, and the
//! steps add up. That is why ε is 0.1 here, and not 1e-8, where the sign of a gradient of 1e-9 moves a parameter by lr: the
//! published ε is what `gradients.rs` and PyTorch's fixtures are for.
//!
//! **Decisions.** Where z lies within 1e-4 of a threshold, a window's edge, a kink or another rank, rounding may decide. Such
//! rows are drawn anew (docs/numerics.md §3), and the tests count that these are few. An exact tie is no such case: it is one in f32 too.

mod problem;

use lapidary_kernels::Device;
use lapidary_objective::naive::{self, Forward, Setting, State};
use lapidary_objective::{Batch, Objective, Parameters, Penalty, Rates, Seen, Training, Workspace, step};
use problem::{Draw, EPSILON, Kind, LR, Rows, STEPS, problem};

/// How far a number in a gradient is off at most, over the tensor's largest or 1.
const GRADIENT: f64 = 4e-6;

/// What the problems of a test had in them.
#[derive(Debug, Default)]
struct Tally {
    rows: Rows,
    /// Steps in which nothing was active.
    empty: usize,
    /// Problems with features that never had a gradient.
    never: usize,
    /// Steps with dead features where these learn.
    dead: usize,
    /// Rows that count less than others.
    long: usize,
    /// Entries that are the same in two features or rows, one active, the other not.
    ties: usize,
    /// The farthest that a parameter strayed, over its tolerance.
    worst: f64,
}

impl Tally {
    fn note(&mut self, seen: &Forward, dead: &[bool]) {
        self.empty += usize::from(seen.l0 == 0.0);
        self.dead += usize::from(dead.contains(&true));
        self.long += seen.weights.iter().filter(|&&weight| weight < 0.9).count();
        let f = &seen.f;
        let tie = |a: (usize, usize), b| seen.z[a] == seen.z[b] && (f[a] == 0.0) != (f[b] == 0.0);
        let in_row = f.places().filter(|&(n, j)| j > 0 && tie((n, j - 1), (n, j))).count();
        let in_batch = f.places().filter(|&(n, j)| n > 0 && tie((n - 1, j), (n, j))).count();
        self.ties += in_row + in_batch;
    }

    /// Compares all that a step leaves behind.
    fn compare(&mut self, twin: &State, training: &Training, rates: &Rates, about: &str) {
        let step = rates.step;
        let moved = (1..=step + 1).map(|t| 1.0 + (t as f64).sqrt()).sum::<f64>();
        let rate = LR * rates.lr_decoder;
        for (name, _, found) in training.slots.tensors() {
            for (i, (&found, expected)) in found.p.iter().zip(&twin.p.clone().tensor(name).values).enumerate()
            {
                let rounding = (step + 1) as f64 * 2f64.powi(-23) * expected.abs();
                let tolerance = rate * moved * GRADIENT / EPSILON + rounding;
                let off = (f64::from(found) - expected).abs();
                self.worst = self.worst.max(off / tolerance);
                assert!(off <= tolerance, "{about} step {step} {name}[{i}]: {found}, twin {expected}");
            }
        }
        self.moments(twin, training, rates, about);
        let fired: Vec<u64> = training.fired().iter().map(|&stamp| u64::from(stamp)).collect();
        assert_eq!(fired, twin.fired, "{about} step {step}");
    }

    /// m and √v, brought up to date where a row has waited (docs/numerics.md §3).
    fn moments(&mut self, twin: &State, training: &Training, rates: &Rates, about: &str) {
        let step = rates.step;
        let kinds = [("m", twin.m.clone(), rates.beta1), ("v", twin.v.clone(), rates.beta2)];
        for (kind, mut twin, beta) in kinds {
            for (name, shape, slot) in training.slots.tensors() {
                let Some(found) = (if kind == "m" { slot.m.as_ref() } else { Some(&slot.v) }) else {
                    continue;
                };
                let stamp = |i: usize| match name {
                    "b_dec" | "w_skip" => step as u32 + 1,
                    "threshold" => training.window_stamp[i],
                    _ => training.active_stamp[i / (found.len() / shape[0])],
                };
                let root = |v: f64| if kind == "v" { v.sqrt() } else { v };
                let expected: Vec<f64> = twin.tensor(name).values.iter().map(|&v| root(v)).collect();
                let tolerance = GRADIENT * expected.iter().fold(1.0, |most, v| v.abs().max(most));
                for (i, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
                    let found = root(f64::from(found) * beta.powi(step as i32 + 1 - stamp(i) as i32));
                    let off = (found - expected).abs();
                    self.worst = self.worst.max(off / tolerance);
                    assert!(
                        off <= tolerance,
                        "{about} step {step} {kind} {name}[{i}]: {found}, twin {expected}"
                    );
                }
            }
        }
    }
}

fn compare_seen(found: &Seen, expected: &Forward, about: &str) {
    for (what, found, expected) in [
        ("loss", found.loss, expected.loss),
        ("mse", found.mse, expected.mse),
        ("weighted mse", found.weighted_mse, expected.weighted_mse),
        ("l0", found.l0, expected.l0),
    ] {
        let off = (found - expected).abs();
        assert!(off <= GRADIENT * expected.abs().max(1.0), "{about}: {what} {found}, twin {expected}");
    }
}

/// A feature without a gradient is as it was, to the bit.
fn rests(training: &Training, start: &Parameters) -> bool {
    let d = start.w_enc.len() / start.b_enc.len();
    let never = training.active_stamp.iter().enumerate().filter(|(_, stamp)| **stamp == 0);
    let rows: Vec<usize> = never.map(|(j, _)| j).collect();
    for &j in &rows {
        assert_eq!(training.slots.w_enc.p[j * d..(j + 1) * d], start.w_enc[j * d..(j + 1) * d]);
        assert_eq!(training.slots.b_enc.p[j], start.b_enc[j]);
    }
    !rows.is_empty()
}

fn follows(kind: Kind, seed: u64, tally: &mut Tally) {
    let mut draw = Draw::seeded(seed);
    let problem = problem(kind, 40, true, &mut draw);
    let plan = &problem.plan;
    let mut twin = State::new(&problem.start);
    let mut training = Training::new(problem.start.clone(), plan, problem.rates.beta1);
    let (about, mut rows) = (format!("{kind:?} seed {seed}"), Workspace::default());
    for s in 0..STEPS {
        let (rates, dead) = (problem.at(s), twin.dead(plan, problem.rows, s));
        let (input, output) = problem.batch(&twin, &dead, &mut tally.rows, &mut draw);
        let batch = Batch { input: &input, output: &output };
        let expected = naive::step(&mut twin, batch, plan, &rates);
        rows.load(batch, plan);
        let found = step(&mut training, &mut rows, plan, &rates, Device::detect(), &mut |_| ());
        assert!(!twin.stopped && training.stopped.is_none(), "{about}");
        compare_seen(&found, &expected, &format!("{about} step {s}"));
        tally.note(&expected, &dead);
        tally.compare(&twin, &training, &rates, &about);
    }
    tally.never += usize::from(rests(&training, &problem.start));
}

/// Central differences of the loss are the gradients that are written beside it, all of them: where no z lies in a window, the
/// straight-through gradient of θ is the true one. How many are not 0.
fn gradients_match(kind: Kind, seed: u64) -> usize {
    let mut draw = Draw::seeded(seed);
    let mut problem = problem(kind, 7, false, &mut draw);
    problem.rates.bandwidth = 1e-6;
    if let Objective::JumpRelu { penalty: Penalty::Tanh { bandwidth, .. } } = &mut problem.plan.objective {
        *bandwidth = 1e-6;
    }
    let twin = State::new(&problem.start);
    let dead: Vec<bool> = (0..problem.plan.width).map(|j| j % 2 == 1).collect();
    let (input, output) = problem.batch(&twin, &dead, &mut Rows::default(), &mut draw);
    let batch = Batch { input: &input, output: &output };
    let (plan, rates) = (&problem.plan, &problem.rates);
    let setting = Setting { plan, rates, dead: &dead };
    let seen = naive::forward(&twin.p, &twin.p, batch, &setting);
    let mut written = naive::gradients(&twin.p, &seen, &setting).of;
    let (h, mut checked) = (1e-6, 0);
    for (name, _, _) in problem.start.tensors() {
        for i in 0..written.tensor(name).values.len() {
            let loss = |h: f64| {
                let mut p = twin.p.clone();
                p.tensor(name)[i] += h;
                naive::forward(&p, &twin.p, batch, &setting).loss
            };
            let numeric = (loss(h) - loss(-h)) / (2.0 * h);
            let g = written.tensor(name)[i];
            let off = (numeric - g).abs();
            assert!(off < 1e-7 + 1e-6 * g.abs(), "{kind:?} seed {seed} {name}[{i}]: {numeric}, written {g}");
            checked += usize::from(g != 0.0);
        }
    }
    checked
}

fn check(kind: Kind) {
    let mut tally = Tally::default();
    (0..60).for_each(|seed| follows(kind, seed, &mut tally));
    assert!(tally.rows.redrawn * 10 < tally.rows.drawn, "{tally:?}");
    assert!(tally.worst > 0.02, "a tolerance fifty times too wide shows nothing: {tally:?}");
    let (chooses, tanh) = (matches!(kind, Kind::TopK | Kind::BatchTopK), kind == Kind::Tanh);
    assert!(tally.empty > 0 && tally.long > 100, "{tally:?}");
    assert!((tally.never > 0) != tanh, "all dead features learn below their threshold: {tally:?}");
    assert!(tally.dead > 0 || !(chooses || tanh), "{tally:?}");
    assert!(tally.ties > 0 || !chooses, "{tally:?}");
    let checked: usize = (0..60).map(|seed| gradients_match(kind, seed)).sum();
    assert!(checked > 1000, "only {checked} gradients were not zero");
}

macro_rules! agrees {
    ($($test:ident: $kind:ident),* $(,)?) => {
        $(#[test]
        fn $test() {
            check(Kind::$kind);
        })*
    };
}

agrees! {
    jumprelu_with_l0: L0,
    jumprelu_with_the_quadratic: Quadratic,
    jumprelu_with_tanh: Tanh,
    l1: L1,
    gated: Gated,
    topk: TopK,
    batchtopk: BatchTopK,
}

/// One value that is not finite, read or to be reconstructed, stops both, and neither has moved.
#[test]
fn a_row_that_is_not_finite_stops_both() {
    use Kind::{BatchTopK, Gated, L0, L1, Quadratic, Tanh, TopK};
    for (seed, kind) in
        [L0, Quadratic, Tanh, L1, Gated, TopK, BatchTopK].into_iter().cycle().take(70).enumerate()
    {
        let mut draw = Draw::seeded(seed as u64);
        let problem = problem(kind, 40, true, &mut draw);
        let (plan, rates) = (&problem.plan, &problem.rates);
        let mut twin = State::new(&problem.start);
        let mut training = Training::new(problem.start.clone(), plan, rates.beta1);
        let (mut input, mut output) =
            problem.batch(&twin, &vec![false; plan.width], &mut Rows::default(), &mut draw);
        let value = [f32::NAN, f32::INFINITY][draw.within(0..=1)];
        let row = draw.within(0..=problem.rows - 1);
        output[row * plan.d_out()] = value;
        if plan.transcoder.is_none() {
            input[row * plan.d] = value;
        }
        let before = (twin.p.clone(), training.slots.clone());
        let batch = Batch { input: &input, output: &output };
        naive::step(&mut twin, batch, plan, rates);
        let mut rows = Workspace::default();
        rows.load(batch, plan);
        step(&mut training, &mut rows, plan, rates, Device::detect(), &mut |_| ());
        assert!(twin.stopped && training.stopped.is_some(), "{kind:?} seed {seed}");
        assert!((&twin.p, &training.slots) == (&before.0, &before.1), "{kind:?} seed {seed}");
    }
}
