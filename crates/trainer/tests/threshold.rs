//! θ of BatchTopK: released as a JumpReLU, a dictionary fires k features on rows that it has never seen, after a run of any
//! length. Rows are drawn anew from one distribution, so that k is what must come out; counted in plain f64.

use lapidary_kernels::Device;
use lapidary_objective::naive;
use lapidary_store::{Batches, Order, RowSource, SiteRows, SourceError};
use lapidary_trainer::{
    AuxK, DictionaryPlan, Objective, Plan, Recipe, Run, TrainError, Training, Transcoder, to_dictionary,
    train,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeMap;
use std::path::Path;

const D: usize = 24;
const D_OUT: usize = 12;
const WIDTH: usize = 128;
const K: usize = 6;
const WINDOW: usize = 40;

/// Five of 64 directions at a time and a little noise, by the number of the window.
struct Planted {
    sites: Vec<SiteRows>,
    rows: Vec<u32>,
    directions: Vec<f32>,
}

fn uniform(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1 << 24) as f32
}

fn planted(windows: usize) -> Planted {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut directions: Vec<f32> = (0..64 * D).map(|_| uniform(&mut rng) - 0.5).collect();
    for row in directions.chunks_exact_mut(D) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    let site = |site: &str, width| SiteRows { site: site.into(), width };
    let sites = vec![site("0.res", D), site("0.mlp", D_OUT)];
    Planted { sites, rows: vec![WINDOW as u32; windows], directions }
}

impl Planted {
    fn window(&self, window: u32) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(100 + u64::from(window));
        let mut out = vec![0.0; WINDOW * D];
        for row in out.chunks_exact_mut(D) {
            row.iter_mut().for_each(|x| *x = 0.1 * (uniform(&mut rng) - 0.5));
            for _ in 0..5 {
                let at = (rng.next_u32() % 64) as usize * D;
                let weight = 0.3 + 0.4 * uniform(&mut rng);
                row.iter_mut().zip(&self.directions[at..at + D]).for_each(|(x, d)| *x += weight * d);
            }
        }
        out
    }
}

impl RowSource for Planted {
    fn sites(&self) -> &[SiteRows] {
        &self.sites
    }
    fn window_rows(&self) -> &[u32] {
        &self.rows
    }
    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
        out.iter_mut().for_each(Vec::clear);
        for &w in windows {
            let rows = self.window(w);
            rows.chunks_exact(D).for_each(|row| out[1].extend_from_slice(&row[..D_OUT]));
            out[0].extend(rows);
        }
        Ok(())
    }
}

/// A BatchTopK, a Matryoshka with AuxK, and a transcoder.
fn plan(steps: u64, batch: usize) -> Plan {
    let aux = Some(AuxK { alpha: 0.03, k: 6, dead_rows: 600 });
    let plain = DictionaryPlan {
        name: "plain".into(),
        site: "0.res".into(),
        d: D,
        width: WIDTH,
        lambda: 0.0,
        c: 1.3,
        theta_init: 0.1,
        baseline: None,
        objective: Objective::BatchTopK { k: K, aux: None },
        prefixes: Vec::new(),
        transcoder: None,
        target_l0: None,
        start: None,
        bandwidth: None,
        row_cap: None,
        measured: None,
    };
    let nested = DictionaryPlan {
        name: "nested".into(),
        objective: Objective::BatchTopK { k: K, aux },
        prefixes: vec![32, WIDTH],
        ..plain.clone()
    };
    let transcoder = Some(Transcoder { output: "0.mlp".into(), d_out: D_OUT, c_out: 0.9, skip: true });
    let to = DictionaryPlan { name: "to".into(), transcoder, ..plain.clone() };
    let recipe = Recipe { batch, ..Recipe::short(steps, D) };
    Plan { recipe, dictionaries: vec![plain, nested, to], seed: 4, checkpoint_every: 7, log_every: 10 }
}

fn run(
    plan: &Plan,
    folder: &Path,
    windows: usize,
    stop: Option<u64>,
    resume: bool,
) -> Result<Vec<Training>, TrainError> {
    let order = Order { seed: plan.seed, pool_rows: 1_000 };
    let mut batches = Batches::new(planted(windows), order, plan.recipe.batch).unwrap();
    let (device, start) = (Device::detect(), &BTreeMap::new());
    let run = Run { plan, plan_hash: "hash", built_by: "test", folder, device, start };
    let done = std::cell::Cell::new(0);
    train(&run, &mut batches, resume, &|| stop.is_some_and(|stop| done.get() >= stop), &mut |event| {
        if let lapidary_trainer::Event::Step(step, _) = event {
            done.set(step);
        }
    })
}

/// z of raw rows, in f64.
fn pre_activations(training: &Training, plan: &DictionaryPlan, x: &[f32]) -> Vec<f64> {
    let p = training.parameters();
    let bias = |i: usize| if plan.has_pre_bias() { f64::from(p.b_dec[i]) } else { 0.0 };
    let mut out = Vec::new();
    for row in x.chunks_exact(D) {
        let u: Vec<f64> = row.iter().enumerate().map(|(i, &x)| f64::from(x) / plan.c - bias(i)).collect();
        for (w, &b) in p.w_enc.chunks_exact(D).zip(p.b_enc) {
            out.push(f64::from(b) + w.iter().zip(&u).map(|(&w, u)| f64::from(w) * u).sum::<f64>());
        }
    }
    out
}

/// Mean L0 of the released dictionary over fresh rows.
fn released_l0(training: &Training, plan: &Plan, d: &DictionaryPlan, x: &[f32]) -> f64 {
    let dictionary = to_dictionary(training, d, &plan.recipe);
    let features = dictionary.encode(Device::detect(), x);
    features.index.len() as f64 / (x.len() / D) as f64
}

#[test]
fn a_run_of_any_length_is_released_with_k_features_on_fresh_rows() {
    let source = planted(0);
    let fresh: Vec<f32> = (1_000_000..1_000_050).flat_map(|w| source.window(w)).collect();
    for (steps, batch, windows) in
        [(1, 128, 400), (5, 128, 400), (29, 128, 400), (200, 128, 400), (1, 32, 400), (3, 500, 400)]
    {
        let (plan, folder) = (plan(steps, batch), tempfile::tempdir().unwrap());
        let trained = run(&plan, folder.path(), windows, None, false).unwrap();
        for (training, d) in trained.iter().zip(&plan.dictionaries) {
            let l0 = released_l0(training, &plan, d, &fresh);
            let off = (l0 / K as f64 - 1.0).abs();
            assert!(off < 0.1, "{} after {steps} steps of {batch}: L0 {l0}, expected {K}", d.name);
            let z = pre_activations(training, d, &fresh);
            let theta = training.running.threshold.unwrap();
            let counted = z.iter().filter(|&&z| z > theta).count() as f64 / (fresh.len() / D) as f64;
            assert!((counted - l0).abs() < 1e-3 * l0, "counted by hand {counted}, released {l0}");
        }
    }
}

/// θ is that of sorting every z of the last batches, and the mean L0 over these rows is k.
#[test]
fn the_threshold_is_that_of_the_last_batches_sorted() {
    let (plan, folder) = (plan(300, 128), tempfile::tempdir().unwrap());
    let trained = run(&plan, folder.path(), 400, None, false).unwrap();
    let mut batches = Batches::new(planted(400), Order { seed: plan.seed, pool_rows: 1_000 }, 128).unwrap();
    batches.seek(300 - 128); // 2¹⁴ rows
    let rows: Vec<f32> = (0..128).flat_map(|_| batches.next().unwrap()[0].clone()).collect();
    for (training, d) in trained.iter().zip(&plan.dictionaries) {
        let z = pre_activations(training, d, &rows);
        let expected = naive::batch_threshold(&z, 1 << 14, K);
        let theta = training.running.threshold.unwrap();
        assert!((theta - expected).abs() <= 1e-5 * expected, "{}: {theta}, by sorting {expected}", d.name);
        let l0 = z.iter().filter(|&&z| z > theta).count() as f64 / (1 << 14) as f64;
        let full = expected > 0.0; // else fewer than k features of a row are above 0
        assert!(!full || (l0 - K as f64).abs() < 2e-3, "{}: {l0}", d.name);
        assert!(full || d.transcoder.is_some(), "{}", d.name);
    }
}

/// Even where the text has fewer rows than are fitted on, and where k is all there is.
#[test]
fn few_rows_and_large_k_are_fitted_too() {
    let mut plan = plan(4, 64);
    plan.dictionaries.truncate(2);
    plan.dictionaries[1] = DictionaryPlan {
        name: "all".into(),
        objective: Objective::BatchTopK { k: WIDTH, aux: None },
        ..plan.dictionaries[0].clone()
    };
    let folder = tempfile::tempdir().unwrap();
    let trained = run(&plan, folder.path(), 2, None, false).unwrap();
    let x: Vec<f32> = (0..2).flat_map(|w| planted(0).window(w)).collect();
    let l0 = released_l0(&trained[0], &plan, &plan.dictionaries[0], &x);
    assert!((l0 / K as f64 - 1.0).abs() < 0.1, "{l0}");
    assert_eq!(trained[1].running.threshold, Some(0.0), "not so many features are above 0");
}

#[test]
fn a_resumed_run_finds_the_same_bits() {
    let plan = plan(23, 64);
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = run(&plan, whole.path(), 30, None, false).unwrap();
    run(&plan, stopped.path(), 30, Some(10), false).unwrap_err();
    let found = run(&plan, stopped.path(), 30, None, true).unwrap();
    assert!(found == expected);
    let bits =
        |all: &[Training]| all.iter().map(|t| t.running.threshold.map(f64::to_bits)).collect::<Vec<_>>();
    assert!(bits(&found) == bits(&expected) && found[0].running.threshold.is_some());
    let again = run(&plan, stopped.path(), 30, None, true).unwrap();
    assert_eq!(bits(&again), bits(&expected), "a run that has ended keeps its threshold");
}
