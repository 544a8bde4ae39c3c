//! Problems that a seed draws, and batches on which no decision is near another.

use lapidary_objective::naive::{self, Forward, Setting, State};
use lapidary_objective::{
    AuxK, Baseline, Batch, DictionaryPlan, Objective, Parameters, Penalty, Rates, Threshold, Transcoder,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Steps of each problem.
pub(crate) const STEPS: u64 = 8;
/// Learning rate after its warm-up.
pub(crate) const LR: f64 = 5e-3;
/// Adam's.
pub(crate) const EPSILON: f64 = 0.1;
/// λ after its warm-up.
const LAMBDA: f64 = 0.05;
/// The nearest that a decision may be.
const MARGIN: f64 = 1e-4;

pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub(crate) fn seeded(seed: u64) -> Draw {
        Draw(ChaCha8Rng::seed_from_u64(seed))
    }

    /// In (−1, 1).
    fn signed(&mut self) -> f64 {
        (f64::from(self.0.next_u32()) + 0.5) / 2f64.powi(31) - 1.0
    }

    /// One of `range`.
    pub(crate) fn within(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        range.start() + self.0.next_u32() as usize % (range.end() - range.start() + 1)
    }

    /// Once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.within(1..=n) == 1
    }
}

/// The seven kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    L0,
    Quadratic,
    Tanh,
    L1,
    Gated,
    TopK,
    BatchTopK,
}

impl Kind {
    fn objective(self, width: usize, rows: usize, draw: &mut Draw) -> Objective {
        let dead_rows = 2 * rows as u64;
        let k = draw.within(0..=width.min(9) + 1);
        let aux = AuxK { alpha: 0.25, k: draw.within(0..=4), dead_rows };
        let aux = (!draw.once_in(3)).then_some(aux);
        let (target, high_frequency) = (1.0 + width as f64 / 5.0, 1.5);
        let tanh = Penalty::Tanh { scale: 3.0, bandwidth: 0.15, pre_activation: 0.05, dead_rows };
        match self {
            Kind::L0 => Objective::GEMMA_SCOPE,
            Kind::Quadratic => Objective::JumpRelu { penalty: Penalty::Quadratic { target, high_frequency } },
            Kind::Tanh => Objective::JumpRelu { penalty: tanh },
            Kind::L1 => Objective::L1,
            Kind::Gated => Objective::Gated,
            Kind::TopK => Objective::TopK { k, aux },
            Kind::BatchTopK => Objective::BatchTopK { k, aux },
        }
    }
}

pub(crate) struct Problem {
    pub(crate) plan: DictionaryPlan,
    /// N
    pub(crate) rows: usize,
    /// After both warm-ups.
    pub(crate) rates: Rates,
    /// Steps over which the rate and λ warm up.
    warmups: [usize; 2],
    pub(crate) start: Parameters,
    /// Every second feature and row that is read is as the one before it, and row 0 is 0.
    tied: bool,
}

/// Sizes are `largest` at most. No differences can be taken across a tie.
pub(crate) fn problem(kind: Kind, largest: usize, ties: bool, draw: &mut Draw) -> Problem {
    let mut size = || draw.within(1..=largest);
    let (d, d_out, width, rows) = (size(), size(), size(), size());
    let (rates, warmups) = (rates(draw), [draw.within(0..=4), draw.within(0..=3)]);
    let plan = plan(kind, (d, d_out, width, rows), draw);
    let (tied, silent) = (draw.once_in(3) && ties, draw.once_in(6));
    let mut start = beginning(&plan, draw);
    perturb(&mut start, rates.threshold, draw);
    for j in 0..width {
        let weak = j % 5 == 3;
        start.w_enc[j * d..(j + 1) * d].iter_mut().for_each(|w| *w *= if weak { 0.2 } else { 1.0 });
        if silent || j % 7 == 4 {
            start.b_enc[j] = -10.0;
        }
    }
    if tied {
        start.b_dec.fill(0.0);
        tie(&mut start, d);
    }
    Problem { plan, rows, rates, warmups, start, tied }
}

fn rates(draw: &mut Draw) -> Rates {
    Rates {
        step: 0,
        lr: LR,
        lr_decoder: if draw.once_in(2) { 1.0 } else { 2.0 },
        lambda: LAMBDA,
        bandwidth: 0.1,
        threshold: if draw.once_in(2) { Threshold::Raw } else { Threshold::Log },
        beta1: if draw.once_in(2) { 0.0 } else { 0.9 },
        beta2: if draw.once_in(2) { 0.999 } else { 0.9 },
        adam_epsilon: EPSILON as f32,
    }
}

/// Rows of norm 1, and thresholds.
fn beginning(plan: &DictionaryPlan, draw: &mut Draw) -> Parameters {
    let mut p = Parameters::zeros(plan);
    for (rows, d) in [(&mut p.w_dec, plan.d_out()), (&mut p.w_enc, plan.d)] {
        for row in rows.chunks_exact_mut(d) {
            row.iter_mut().for_each(|w| *w = draw.signed() as f32);
            let norm = row.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
            row.iter_mut().for_each(|w| *w = (f64::from(*w) / norm) as f32);
        }
    }
    if plan.transcoder.is_none() {
        p.w_enc.copy_from_slice(&p.w_dec);
    }
    p
}

fn plan(
    kind: Kind,
    (d, d_out, width, rows): (usize, usize, usize, usize),
    draw: &mut Draw,
) -> DictionaryPlan {
    let objective = kind.objective(width, rows, draw);
    let output = Transcoder { output: "0.mlp".into(), d_out, c_out: 0.8, skip: draw.once_in(2) };
    let mut prefixes: Vec<usize> = (0..draw.within(0..=3)).map(|_| draw.within(1..=width)).collect();
    if !prefixes.is_empty() {
        prefixes.push(width);
        prefixes.sort_unstable();
        prefixes.dedup();
    }
    let baselines = [Baseline::FrozenDecoder, Baseline::FrozenEncoder, Baseline::Random];
    DictionaryPlan {
        lambda: LAMBDA,
        c: 1.5,
        theta_init: 0.1,
        baseline: draw.once_in(3).then(|| baselines[draw.within(0..=2)]),
        prefixes,
        transcoder: draw.once_in(2).then_some(output),
        row_cap: draw.once_in(2).then_some(0.7), // of rows whose length is about 1
        objective,
        ..DictionaryPlan::new("a", "0.res", d, width)
    }
}

/// Parameters as they might be in the middle of a run; some θ are so near 0 that a step leads below.
fn perturb(p: &mut Parameters, threshold: Threshold, draw: &mut Draw) {
    for (name, values) in p.each_mut().named() {
        for (j, v) in values.iter_mut().enumerate() {
            let theta = if j % 6 == 1 { 0.002 } else { 0.11 + 0.1 * draw.signed() };
            *v = match (name, threshold) {
                ("w_dec", _) => *v,
                ("threshold", Threshold::Log) => theta.ln() as f32,
                ("threshold", Threshold::Raw) => theta as f32,
                _ => *v + 0.1 * draw.signed() as f32,
            };
        }
    }
}

/// Every second feature becomes the one before it; all but its decoder row.
fn tie(p: &mut Parameters, d: usize) {
    for j in (1..p.b_enc.len()).step_by(2) {
        p.w_enc.copy_within((j - 1) * d..j * d, j * d);
        p.b_enc[j] = p.b_enc[j - 1];
        for values in [&mut p.threshold, &mut p.r_mag, &mut p.b_mag].into_iter().flatten() {
            values[j] = values[j - 1];
        }
    }
}

/// How many rows were drawn, and how many of them in vain.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) drawn: usize,
    pub(crate) redrawn: usize,
}

/// |a − b|, where they are not the very same.
fn apart(a: f64, b: f64) -> f64 {
    if a == b { f64::INFINITY } else { (a - b).abs() }
}

/// How near another choice of the `k` largest of those above 0 is.
fn rank_margin(values: impl Iterator<Item = f64>, k: usize) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let kinks = sorted.iter().take(k).map(|&v| apart(v, 0.0)).fold(f64::INFINITY, f64::min);
    let last = k.checked_sub(1).and_then(|last| Some((sorted.get(last)?, sorted.get(k)?)));
    last.filter(|(chosen, _)| **chosen > 0.0).map_or(kinks, |(chosen, next)| kinks.min(apart(*chosen, *next)))
}

impl Problem {
    /// The rates of step `step`.
    pub(crate) fn at(&self, step: u64) -> Rates {
        let warm = |steps: usize| if steps == 0 { 1.0 } else { (step as f64 / steps as f64).min(1.0) };
        let [lr, lambda] = self.warmups.map(warm);
        Rates { step, lr: LR * (0.1 + 0.9 * lr), lambda: LAMBDA * lambda, ..self.rates }
    }

    fn forward(&self, twin: &State, batch: Batch<'_>, dead: &[bool]) -> Forward {
        let setting = Setting { plan: &self.plan, rates: &self.rates, dead };
        naive::forward(&twin.p, &twin.p, batch, &setting)
    }

    fn bandwidth(&self) -> f64 {
        f64::from(match self.plan.objective {
            Objective::JumpRelu { penalty: Penalty::Tanh { bandwidth, .. } } => bandwidth,
            _ => self.rates.bandwidth,
        })
    }

    /// How near any decision on one row is to being another.
    fn row_margin(&self, twin: &State, row: Batch<'_>, dead: &[bool]) -> f64 {
        let z = self.forward(twin, row, dead).z.values;
        let least = |margin: &dyn Fn(usize, f64) -> f64| {
            z.iter().enumerate().map(|(j, &z)| margin(j, z)).fold(f64::INFINITY, f64::min)
        };
        let (theta, half) = (twin.p.theta(self.rates.threshold), self.bandwidth() / 2.0);
        let magnitude = |j: usize, z: f64| twin.p.r_mag[j].exp() * (z - twin.p.b_enc[j]) + twin.p.b_mag[j];
        let ranks = match self.plan.objective {
            Objective::JumpRelu { .. } => least(&|j, z| {
                [-half, 0.0, half].iter().map(|h| apart(z, theta[j] + h)).fold(f64::INFINITY, f64::min)
            }),
            Objective::L1 => least(&|_, z| apart(z, 0.0)),
            Objective::Gated => least(&|j, z| apart(z, 0.0).min(apart(magnitude(j, z), 0.0))),
            Objective::TopK { k, .. } => rank_margin(z.iter().copied(), k),
            Objective::BatchTopK { .. } => f64::INFINITY,
        };
        let of_dead = |k| rank_margin(z.iter().zip(dead).filter(|(_, dead)| **dead).map(|(z, _)| *z), k);
        let aux = match self.plan.objective {
            Objective::TopK { aux, .. } | Objective::BatchTopK { aux, .. } => aux,
            _ => None,
        };
        ranks.min(aux.map_or(f64::INFINITY, |aux| of_dead(aux.k)))
    }

    /// One raw row to read and one to reconstruct; of zeros, or E‖x/C‖² = 1.
    fn row(&self, zero: bool, draw: &mut Draw) -> (Vec<f32>, Vec<f32>) {
        let scale = if zero { 0.0 } else { self.plan.c * (3.0 / self.plan.d as f64).sqrt() };
        let x: Vec<f32> = (0..self.plan.d).map(|_| (scale * draw.signed()) as f32).collect();
        let y = self.output(&x, draw);
        (x, y)
    }

    /// What is to be reconstructed of a row: itself, or another site's.
    fn output(&self, x: &[f32], draw: &mut Draw) -> Vec<f32> {
        let Some(t) = &self.plan.transcoder else { return x.to_vec() };
        (0..t.d_out).map(|i| (x[i % x.len()] + 0.3 * draw.signed() as f32).tanh()).collect()
    }

    /// A batch without a decision that is near another; rows that were drawn in vain are counted.
    pub(crate) fn batch(
        &self,
        twin: &State,
        dead: &[bool],
        rows: &mut Rows,
        draw: &mut Draw,
    ) -> (Vec<f32>, Vec<f32>) {
        for _ in 0..100 {
            let (x, y) = self.clear_rows(twin, dead, rows, draw);
            let Objective::BatchTopK { k, .. } = self.plan.objective else { return (x, y) };
            let z = self.forward(twin, Batch { input: &x, output: &y }, dead).z;
            if rank_margin(z.values.iter().copied(), k * z.rows) > MARGIN {
                return (x, y);
            }
            rows.redrawn += z.rows;
        }
        panic!("100 batches with a near decision: {:?}", self.plan)
    }

    fn clear_rows(
        &self,
        twin: &State,
        dead: &[bool],
        rows: &mut Rows,
        draw: &mut Draw,
    ) -> (Vec<f32>, Vec<f32>) {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for n in 0..self.rows {
            if self.tied && n % 2 == 1 {
                x.extend_from_within((n - 1) * self.plan.d..);
                y.extend(self.output(&x[n * self.plan.d..], draw));
                continue;
            }
            let mut zero = self.tied && n == 0;
            let (input, output) = loop {
                rows.drawn += 1;
                let (input, output) = self.row(zero, draw);
                if self.row_margin(twin, Batch { input: &input, output: &output }, dead) > MARGIN {
                    break (input, output);
                }
                (rows.redrawn, zero) = (rows.redrawn + 1, false);
            };
            x.extend(input);
            y.extend(output);
        }
        (x, y)
    }
}
