//! What real residual streams are like and toys are not — a mean row with half of the energy, three dimensions with half of the
//! rest, one row in two thousand eighty times as long as the others and with most of the variance — and still: the L0 that was asked for is reached without swinging, with the constants that are measured on the rows.

use lapidary_kernels::Device;
use lapidary_store::{Batches, Order, RowSource, SiteRows, SourceError};
use lapidary_trainer::{DictionaryPlan, Event, Measured, Objective, Plan, Recipe, Run, measure, train};
use std::collections::BTreeMap;

/// Directions of a row, and its outlier dimensions.
const OF_A_ROW: u64 = 8;
const OUTLIERS: usize = 3;
/// Long rows: how seldom, and how long. Those of SmolLM2-135M at 15.res are one in a thousand, 100 times the median.
const SELDOM: u64 = 2_000;
const LONG: f64 = 250.0;

/// How large a problem is.
#[derive(Clone, Copy)]
struct Size {
    d: usize,
    width: usize,
    /// Directions that rows are made of.
    directions: usize,
    steps: u64,
    batch: usize,
    /// Is one row in [`SELDOM`] long?
    long: bool,
}

const SMALL: Size = Size { d: 96, width: 512, directions: 400, steps: 240, batch: 512, long: false };
const LONG_ROWS: Size = Size { long: true, ..SMALL };
/// Gemma 2 2B's width. With long rows too it ends a fifth too high (LOG.md, 29 November 2026): in batches this small one such row, in
/// which a thousand features fire, is half of the L0.
const LARGE: Size = Size { d: 2_304, width: 16_384, directions: 8_000, steps: 300, batch: 256, long: false };

/// A number in (−1, 1) for a place.
fn noise(a: u64, b: u64) -> f64 {
    let mut x = a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_mul(0xD1B5_4A32_D192_ED03);
    for _ in 0..2 {
        x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// Windows of 64 rows.
struct Residual {
    size: Size,
    sites: Vec<SiteRows>,
    window_rows: Vec<u32>,
    directions: Vec<Vec<f64>>,
}

fn residual(size: Size) -> Residual {
    let direction = |i: u64| {
        let row: Vec<f64> = (0..size.d as u64).map(|k| noise(i, k)).collect();
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter().map(|x| x / norm).collect()
    };
    let sites = vec![SiteRows { site: "0.res".into(), width: size.d }];
    let directions = (0..size.directions as u64).map(direction).collect();
    Residual { size, sites, window_rows: vec![64; 1_300], directions }
}

impl Residual {
    /// About the origin each row has mean square 8·E[w²] = 8·.58 = 4.7 from its directions, which is also what the outliers add
    /// (3·1.57), and the mean row has twice that.
    fn row(&self, n: u64) -> Vec<f32> {
        let Size { d, directions, .. } = self.size;
        let mut row = vec![(2.0 * 4.7 / d as f64).sqrt(); d];
        for i in 0..OF_A_ROW {
            // Few directions often, many seldom.
            let at = (noise(n, 100 + i).abs().powi(2) * directions as f64) as usize;
            let weight = 0.5 + 0.5 * noise(n, 200 + i).abs();
            row.iter_mut().zip(&self.directions[at]).for_each(|(x, d)| *x += weight * d);
        }
        for k in 0..OUTLIERS {
            row[7 * k + 2] += (3.0_f64 * 1.57).sqrt() * noise(n, 300 + k as u64);
        }
        if self.size.long && n % SELDOM == 17 {
            row[1] += LONG * (1.0 + 0.1 * noise(n, 400));
            row[4] -= 0.5 * LONG * (1.0 + 0.1 * noise(n, 401));
        }
        row.iter().map(|&x| x as f32).collect()
    }
}

impl RowSource for Residual {
    fn sites(&self) -> &[SiteRows] {
        &self.sites
    }
    fn window_rows(&self) -> &[u32] {
        &self.window_rows
    }
    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
        out[0].clear();
        for &w in windows {
            (0..64).for_each(|r| out[0].extend(self.row(u64::from(w) * 64 + r)));
        }
        Ok(())
    }
}

fn batches(size: Size) -> Batches<Residual> {
    Batches::new(residual(size), Order { seed: 1, pool_rows: 4_096 }, size.batch).unwrap()
}

/// What a suite would plan for these rows.
fn plan(size: Size, (measured, c): &(Measured, f64), objectives: &[(Objective, f64, f64)]) -> Plan {
    let Size { d, width, steps, batch, .. } = size;
    let recipe = Recipe { batch, ..Recipe::short(steps, d) };
    let dictionary = |(i, (objective, target, lambda)): (usize, &(Objective, f64, f64))| DictionaryPlan {
        name: format!("{i}"),
        site: "0.res".into(),
        d,
        width,
        lambda: *lambda,
        c: *c,
        theta_init: recipe.theta_init(d, width, Some(measured)),
        baseline: None,
        objective: objective.clone(),
        prefixes: Vec::new(),
        transcoder: None,
        target_l0: Some(*target),
        start: None,
        bandwidth: recipe.bandwidth_of(measured),
        row_cap: recipe.row_cap(d, measured),
        measured: Some(measured.clone()),
    };
    let dictionaries = objectives.iter().enumerate().map(dictionary).collect();
    Plan { dictionaries, recipe, seed: 0, checkpoint_every: steps, log_every: 1 }
}

/// L0 of every step of every dictionary, and what was said at the end.
fn courses(size: Size, plan: &Plan) -> (BTreeMap<String, Vec<f64>>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let run = Run {
        plan,
        plan_hash: "p",
        built_by: "b",
        folder: folder.path(),
        device: Device::detect(),
        start: &BTreeMap::new(),
    };
    let (mut courses, mut said) = (BTreeMap::<String, Vec<f64>>::new(), Vec::new());
    let mut observe = |event: Event<'_>| match event {
        Event::Step(_, lines) => {
            lines.iter().for_each(|line| courses.entry(line.dictionary.clone()).or_default().push(line.l0));
        }
        Event::Verdict(name, wrong) => said.extend(wrong.iter().map(|wrong| format!("{name}: {wrong}"))),
        _ => {}
    };
    train(&run, &mut batches(size), false, &|| false, &mut observe).unwrap();
    (courses, said)
}

fn measured(size: Size) -> (Measured, f64) {
    let found = measure(&mut batches(size), 4_096).unwrap().remove(0);
    let c = lapidary_store::norms(&mut batches(size), 4_096).unwrap()[0];
    (found.measured, c)
}

#[test]
fn the_rows_are_as_they_are_described() {
    let m = measured(SMALL).0;
    assert!((0.4..0.6).contains(&m.mean_share) && (0.4..0.6).contains(&m.outlier_share), "{m:?}");
    assert!(m.spread < 0.8 / (SMALL.d as f64).sqrt() && m.long_rows_share == Some(0.0), "{m:?}");
    assert!(measured(LONG_ROWS).0.long_rows_share > Some(0.5));
}

/// L0 over the last twelve steps.
fn end(course: &[f64]) -> f64 {
    course[course.len() - 12..].iter().sum::<f64>() / 12.0
}

/// Within a tenth at the end; after the first third never more than half off.
fn meets(size: Size, targets: &[f64]) {
    let objectives: Vec<_> = targets.iter().map(|&t| (Objective::GEMMA_SCOPE, t, 0.3 / t)).collect();
    let (courses, said) = courses(size, &plan(size, &measured(size), &objectives));
    for (target, course) in targets.iter().zip(courses.values()) {
        let end = end(course);
        assert!((end / target - 1.0).abs() < 0.1, "asked {target}, ended at {end}: {course:?}");
        let later = &course[size.steps as usize / 3..];
        let off = later.iter().map(|l0| (l0 / target).max(target / l0)).fold(1.0, f64::max);
        assert!(off < 1.5, "asked {target}, {off} times off: {course:?}");
    }
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn targets_are_met_without_swinging() {
    meets(SMALL, &[10.0, 25.0]);
}

/// Where λ weighs Σf, the end is as near; on the way L1 is further off.
#[test]
fn gated_and_l1_end_at_their_targets() {
    let wanted =
        [(Objective::Gated, 10.0), (Objective::Gated, 25.0), (Objective::L1, 10.0), (Objective::L1, 25.0)];
    let objectives = wanted.clone().map(|(objective, target)| (objective, target, 0.3 / f64::sqrt(target)));
    let (courses, _) = courses(SMALL, &plan(SMALL, &measured(SMALL), &objectives));
    for ((objective, target), course) in wanted.iter().zip(courses.values()) {
        let end = end(course);
        assert!((end / target - 1.0).abs() < 0.1, "{objective:?} asked {target}, ended at {end}: {course:?}");
    }
}

#[test]
fn targets_are_met_where_a_few_rows_hold_nearly_all_of_the_variance() {
    meets(LONG_ROWS, &[10.0, 25.0]);
}

/// What the weights of rows are for: without them training serves the long rows alone.
#[test]
fn without_weights_a_few_long_rows_ruin_it() {
    let mut plan = plan(LONG_ROWS, &measured(LONG_ROWS), &[(Objective::GEMMA_SCOPE, 25.0, 0.3 / 25.0)]);
    plan.dictionaries[0].row_cap = None;
    assert_ne!(courses(LONG_ROWS, &plan).1, Vec::<String>::new());
}

#[test]
#[ignore = "several minutes: D 2,304 × F 16,384"]
fn targets_are_met_at_the_width_of_gemma() {
    meets(LARGE, &[60.0]);
}

/// A target that no λ reaches: the run says so.
#[test]
fn a_target_out_of_reach_is_said() {
    let plan = plan(SMALL, &measured(SMALL), &[(Objective::GEMMA_SCOPE, 500.0, 0.3 / 500.0)]);
    let (_, said) = courses(SMALL, &plan);
    assert!(said.iter().any(|said| said.starts_with("0: asked for L0 500, ended at")), "{said:?}");
}
