//! The loop: same bytes for any number of threads, after any interruption, beside a neighbour that goes NaN.

use lapidary_kernels::Device;
use lapidary_store::{Batches, Order, RowSource, SiteRows, SourceError};
use lapidary_trainer::{
    AuxK, Baseline, DictionaryPlan, Event, Objective, Penalty, Plan, Recipe, Run, TrainError, Training,
    Transcoder, initial_parameters, latest_checkpoint, train,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

/// Windows of a few rows at two sites and at one of a randomised model, computed from the window's number; `0.mlp` turns
/// NaN at a window.
struct Planted {
    sites: Vec<SiteRows>,
    window_rows: Vec<u32>,
    nan_window: Option<u32>,
}

const SITES: [&str; 3] = ["0.res", "0.mlp", "0.res@random-lm"];
const WIDTHS: [usize; 3] = [20, 24, 20];

fn planted(nan_window: Option<u32>) -> Planted {
    let sites = SITES.iter().zip(WIDTHS).map(|(s, width)| SiteRows { site: s.to_string(), width });
    Planted { sites: sites.collect(), window_rows: (0..400).map(|w| 3 + w % 5).collect(), nan_window }
}

impl RowSource for Planted {
    fn sites(&self) -> &[SiteRows] {
        &self.sites
    }
    fn window_rows(&self) -> &[u32] {
        &self.window_rows
    }
    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
        for (site, out) in out.iter_mut().enumerate() {
            out.clear();
            for &w in windows {
                for r in 0..self.window_rows[w as usize] {
                    let value =
                        |i: usize| ((w * 31 + r * 7) as f32 * 0.37 + i as f32 * 1.7 + site as f32).sin();
                    out.extend((0..WIDTHS[site]).map(value));
                    if site == 1 && self.nan_window == Some(w) {
                        *out.last_mut().unwrap() = f32::NAN;
                    }
                }
            }
        }
        Ok(())
    }
}

fn plan(steps: u64) -> Plan {
    let dictionary = |name: &str, site: usize, lambda| DictionaryPlan {
        lambda,
        c: 3.0,
        theta_init: 0.1,
        ..DictionaryPlan::new(name, SITES[site], WIDTHS[site], 130)
    };
    let baseline = |name, baseline| DictionaryPlan { baseline: Some(baseline), ..dictionary(name, 0, 0.001) };
    let recipe = Recipe { batch: 200, ..Recipe::short(steps, WIDTHS[0]) };
    let dictionaries = vec![
        dictionary("a", 0, 0.001),
        dictionary("b", 1, 0.001),
        dictionary("c", 0, 0.01),
        baseline("frozen", Baseline::FrozenDecoder),
        baseline("random", Baseline::RandomLm),
    ];
    Plan { recipe, dictionaries, seed: 9, checkpoint_every: 7, log_every: 3 }
}

/// One of each kind, at two sites.
fn family(steps: u64) -> Plan {
    let plan = plan(steps);
    let aux = Some(AuxK { alpha: 0.03, k: 5, dead_rows: 600 });
    let tanh = Penalty::Tanh { scale: 5.0, bandwidth: 0.2, pre_activation: 0.01, dead_rows: 400 };
    let objectives = [
        Objective::gemma_scope_2(9.0),
        Objective::JumpRelu { penalty: tanh },
        Objective::L1,
        Objective::Gated,
        Objective::TopK { k: 7, aux },
        Objective::BatchTopK { k: 7, aux },
    ];
    let mut dictionaries = Vec::new();
    for (i, objective) in objectives.into_iter().enumerate() {
        let first = plan.dictionaries[i % 2].clone();
        let target_l0 = objective.has_lambda().then_some(10.0);
        let autoencoder = DictionaryPlan { name: format!("{i}"), objective, target_l0, ..first };
        let transcoder = Transcoder { output: SITES[1].into(), d_out: WIDTHS[1], c_out: 2.0, skip: true };
        dictionaries.push(DictionaryPlan {
            name: format!("{i}t"),
            site: SITES[0].into(),
            d: WIDTHS[0],
            transcoder: Some(transcoder),
            prefixes: vec![20, 64, 130],
            ..autoencoder.clone()
        });
        dictionaries.push(autoencoder);
    }
    for baseline in [Baseline::FrozenEncoder, Baseline::Random] {
        let (name, baseline) = (baseline.to_string(), Some(baseline));
        dictionaries.push(DictionaryPlan { name, baseline, ..plan.dictionaries[0].clone() });
    }
    Plan { dictionaries, ..plan }
}

fn run(
    folder: &Path,
    plan: &Plan,
    source: Planted,
    resume: bool,
    stop_after: Option<u64>,
) -> Result<Vec<Training>, TrainError> {
    let order = Order { seed: plan.seed, pool_rows: 300 };
    let mut batches = Batches::new(source, order, plan.recipe.batch).unwrap();
    let (device, start) = (Device::detect(), &BTreeMap::new());
    let run = Run { plan, plan_hash: "hash", built_by: "test", folder, device, start };
    let done = Cell::new(0);
    let interrupted = || stop_after.is_some_and(|s| done.get() >= s);
    train(&run, &mut batches, resume, &interrupted, &mut |event| {
        if let Event::Step(step, _) = event {
            done.set(step);
        }
    })
}

fn bytes(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let checkpoint = std::fs::read(latest_checkpoint(folder).unwrap()).unwrap();
    (checkpoint, std::fs::read(folder.join("metrics.jsonl")).unwrap())
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    [plan(12), family(12)].iter().for_each(threads_give_the_same_bytes);
}

fn threads_give_the_same_bytes(plan: &Plan) {
    let outcomes: Vec<_> = [1, 2, 3, 7]
        .iter()
        .map(|&threads| {
            let folder = tempfile::tempdir().unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let workers = pool.install(|| {
                run(folder.path(), plan, planted(None), false, None).unwrap();
                rayon::current_num_threads()
            });
            assert_eq!(workers, threads);
            bytes(folder.path())
        })
        .collect();
    assert!(outcomes.iter().all(|o| *o == outcomes[0]));
}

#[test]
fn interrupted_anywhere_and_resumed_is_never_interrupted() {
    interrupted_and_resumed(&plan(23), &[vec![1], vec![7], vec![8, 9], vec![13, 14, 22]]);
}

#[test]
fn every_member_of_the_family_resumes() {
    interrupted_and_resumed(&family(23), &[vec![8, 15]]);
}

fn interrupted_and_resumed(plan: &Plan, interruptions: &[Vec<u64>]) {
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), plan, planted(None), false, None).unwrap();
    for stops in interruptions {
        let folder = tempfile::tempdir().unwrap();
        for (i, stop) in stops.iter().enumerate() {
            let ended = run(folder.path(), plan, planted(None), i > 0, Some(*stop));
            let Err(error) = ended else { panic!("it was not interrupted") };
            assert!(matches!(error, TrainError::Interrupted { steps: 23, .. }), "{error}");
        }
        run(folder.path(), plan, planted(None), true, None).unwrap();
        assert!(bytes(folder.path()) == bytes(whole.path()), "after stops at {stops:?}");
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let plan = plan(23);
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), &plan, planted(None), false, None).unwrap();
    let damage: [fn(&mut Vec<u8>); 4] = [
        |b| b.truncate(b.len() / 2),
        |b| b.truncate(5),
        |b| {
            let last = b.len() - 9;
            b[last] ^= 1;
        },
        |b| {
            let step = br#"\"step\":16"#;
            let at = b.windows(step.len()).position(|w| w == step).unwrap();
            b[at + step.len() - 1] ^= 1;
        },
    ];
    for damage in damage {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &plan, planted(None), false, Some(16)).unwrap_err();
        let newest = latest_checkpoint(folder.path()).unwrap();
        let mut content = std::fs::read(&newest).unwrap();
        damage(&mut content);
        std::fs::write(&newest, content).unwrap();
        run(folder.path(), &plan, planted(None), true, None).unwrap();
        assert!(bytes(folder.path()) == bytes(whole.path()));
    }
}

/// Nothing is left to train: the source is not read to the end, and the last checkpoint says so.
#[test]
fn a_run_whose_dictionaries_all_stopped_ends() {
    let mut plan = plan(23);
    plan.dictionaries.retain(|d| d.site == SITES[1]);
    let folder = tempfile::tempdir().unwrap();
    let mut rows = 0;
    for resumed in [false, true] {
        let mut batches =
            Batches::new(planted(Some(60)), Order { seed: plan.seed, pool_rows: 300 }, plan.recipe.batch)
                .unwrap();
        let (device, start) = (Device::detect(), &BTreeMap::new());
        let run =
            Run { plan: &plan, plan_hash: "hash", built_by: "test", folder: folder.path(), device, start };
        let ended = train(&run, &mut batches, resumed, &|| false, &mut |event| {
            rows += u32::from(matches!(event, Event::Rows));
        });
        assert!(ended.unwrap().iter().all(|training| training.stopped.is_some()));
        assert!((1..23).contains(&rows), "{rows} batches");
        assert!(latest_checkpoint(folder.path()).unwrap().ends_with("step-000000023.safetensors"));
    }
}

/// Files of a folder, with their bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = folder.read_dir().unwrap().map(|e| e.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_string();
    entries.filter(|path| path.is_file()).map(|path| (name(&path), std::fs::read(&path).unwrap())).collect()
}

/// Stopped between two checkpoints, a run goes on from the very step; in the end it has the files of a whole run.
#[test]
fn a_stop_loses_no_step_and_leaves_no_trace() {
    let plan = plan(23);
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(whole.path(), &plan, planted(None), false, None).unwrap();
    for (resume, at) in [(false, 1), (true, 2), (true, 13), (true, 14), (true, 16), (true, 22)] {
        let error = run(stopped.path(), &plan, planted(None), resume, Some(at)).unwrap_err();
        assert!(matches!(error, TrainError::Interrupted { step, .. } if step == at), "{error}");
        let newest = format!("checkpoints/step-{at:09}.safetensors");
        assert!(latest_checkpoint(stopped.path()).unwrap().ends_with(newest));
    }
    let kept: Vec<String> = files(&stopped.path().join("checkpoints")).into_keys().collect();
    assert_eq!(kept, [14, 21, 22].map(|step| format!("step-{step:09}.safetensors")));
    run(stopped.path(), &plan, planted(None), true, None).unwrap();
    for folder in ["", "checkpoints"] {
        assert!(files(&whole.path().join(folder)) == files(&stopped.path().join(folder)), "{folder}");
    }
}

/// Only checkpoints are ever removed: by their names, which somebody's own files do not have.
#[test]
fn files_of_others_among_the_checkpoints_are_kept() {
    let plan = plan(23);
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = folder.path().join("checkpoints");
    std::fs::create_dir(&checkpoints).unwrap();
    let foreign = ["best.safetensors", "step-000000003-copy.safetensors", "step-3.safetensors", "notes.txt"];
    foreign.iter().for_each(|name| std::fs::write(checkpoints.join(name), name).unwrap());
    run(folder.path(), &plan, planted(None), true, Some(9)).unwrap_err();
    run(folder.path(), &plan, planted(None), true, None).unwrap();
    let found = files(&checkpoints);
    assert!(foreign.iter().all(|name| found.get(*name).is_some_and(|b| b == name.as_bytes())), "{found:?}");
    assert_eq!(found.len(), foreign.len() + 2);
}

/// A log that was cut, edited or replaced is told of; the training goes on and ends with the same dictionaries.
#[test]
fn an_odd_log_is_told_and_stops_nothing() {
    let plan = plan(23);
    let whole = tempfile::tempdir().unwrap();
    let expected = run(whole.path(), &plan, planted(None), false, None).unwrap();
    let damages: [fn(&mut Vec<u8>); 5] = [
        |log| log.clear(),
        |log| log.truncate(log.len() - 30),
        |log| log[0] = 0xff,
        |log| log.iter_mut().for_each(|b| *b = b'x'),
        |log| log.insert(5, b'\n'),
    ];
    for damage in damages {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &plan, planted(None), false, Some(16)).unwrap_err();
        let path = folder.path().join("metrics.jsonl");
        let mut log = std::fs::read(&path).unwrap();
        damage(&mut log);
        std::fs::write(&path, log).unwrap();
        let order = Order { seed: plan.seed, pool_rows: 300 };
        let mut batches = Batches::new(planted(None), order, plan.recipe.batch).unwrap();
        let (device, start) = (Device::detect(), &BTreeMap::new());
        let run =
            Run { plan: &plan, plan_hash: "hash", built_by: "test", folder: folder.path(), device, start };
        let mut told = Vec::new();
        let found = train(&run, &mut batches, true, &|| false, &mut |event| {
            if let Event::OddLog(odd) = event {
                told.push(odd.to_string());
            }
        });
        assert!(found.unwrap() == expected);
        assert!(told.len() == 1 && told[0].contains("metrics.jsonl: expected"), "{told:?}");
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(log.is_empty() || log.ends_with('\n'));
    }
}

/// A run that has ended is left as it is.
#[test]
fn a_finished_run_is_not_touched_by_resuming() {
    let plan = plan(23);
    let folder = tempfile::tempdir().unwrap();
    let trained = run(folder.path(), &plan, planted(None), false, None).unwrap();
    std::fs::write(folder.path().join("metrics.jsonl"), "gone").unwrap();
    let before = files(&folder.path().join("checkpoints"));
    let again = run(folder.path(), &plan, planted(None), true, None).unwrap();
    assert!(
        again.iter().zip(&trained).all(|(a, b)| a.parameters() == b.parameters() && a.stopped == b.stopped)
    );
    assert!(files(&folder.path().join("checkpoints")) == before);
    assert_eq!(std::fs::read(folder.path().join("metrics.jsonl")).unwrap(), b"gone");
}

/// Finite, but beyond all measure: given up by name, in the log too; its neighbours go on.
#[test]
fn a_dictionary_that_diverges_is_given_up() {
    let mut plan = plan(60);
    plan.recipe.lr = 1e9;
    let folder = tempfile::tempdir().unwrap();
    let trained = run(folder.path(), &plan, planted(None), false, None).unwrap();
    let log = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    for (training, d) in trained.iter().zip(&plan.dictionaries) {
        let stopped = training.stopped.as_ref().unwrap_or_else(|| panic!("{}", d.name));
        assert!(stopped.reason.starts_with("diverged, its squared error is"), "{stopped:?}");
        let line = format!(
            r#"{{"step":{},"dictionary":"{}","stopped":"{}"}}"#,
            stopped.step, d.name, stopped.reason
        );
        assert!(log.contains(&line), "{line} in {log}");
    }
}

#[test]
fn another_plan_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &plan(23), planted(None), false, Some(8)).unwrap_err();
    let order = Order { seed: 9, pool_rows: 300 };
    let mut batches = Batches::new(planted(None), order, 200).unwrap();
    let other = plan(23);
    let run = Run {
        plan: &other,
        plan_hash: "other",
        built_by: "test",
        folder: folder.path(),
        device: Device::detect(),
        start: &BTreeMap::new(),
    };
    let error = train(&run, &mut batches, true, &|| false, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("expected a checkpoint of plan other, found hash"), "{error}");
}

#[test]
fn nan_stops_one_dictionary_and_the_others_go_on() {
    let plan = plan(23);
    let (clean, dirty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clean = run(clean.path(), &plan, planted(None), false, None).unwrap();
    let found = run(dirty.path(), &plan, planted(Some(40)), false, None).unwrap();
    let stopped = found[1].stopped.as_ref().expect("b meets NaN");
    assert!(stopped.reason.contains("NaN"), "{stopped:?}");
    assert!(found[1].slots.w_enc.p.iter().all(|w| w.is_finite()), "kept as they were before that step");
    assert_eq!(found[0], clean[0]);
    assert_eq!(found[2..], clean[2..]);
    assert_eq!(clean[1].stopped, None);
}

/// What reads or reconstructs the site that turns NaN stops there, whatever its objective; the rest goes on.
#[test]
fn nan_stops_any_objective() {
    let plan = family(23);
    let (clean, dirty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clean = run(clean.path(), &plan, planted(None), false, None).unwrap();
    let found = run(dirty.path(), &plan, planted(Some(40)), false, None).unwrap();
    for ((d, found), clean) in plan.dictionaries.iter().zip(&found).zip(&clean) {
        let meets_nan = d.site == SITES[1] || d.transcoder.is_some();
        assert_eq!(found.stopped.is_some(), meets_nan, "{}", d.name);
        assert_eq!(found == clean, !meets_nan, "{}", d.name);
        assert!(found.slots.tensors().all(|(_, _, slot)| slot.p.iter().all(|v| v.is_finite())));
        assert!(found.running.threshold.is_none_or(f64::is_finite));
    }
}

/// Baselines that keep what they are named for; a random dictionary keeps everything.
#[test]
fn frozen_parts_stay_to_the_bit() {
    let plan = family(23);
    let folder = tempfile::tempdir().unwrap();
    let trained = run(folder.path(), &plan, planted(None), false, None).unwrap();
    let start = initial_parameters(plan.dictionaries.last().unwrap(), &plan.recipe, plan.seed);
    let [.., frozen, random] = trained.as_slice() else { panic!("two baselines") };
    assert!(random.parameters() == start.view() && random.active_stamp.iter().any(|&s| s > 0));
    assert!(frozen.slots.w_enc.p == start.w_enc && frozen.slots.b_enc.p == start.b_enc);
    assert!(frozen.slots.w_dec.p != start.w_dec && frozen.parameters().threshold != start.view().threshold);
}

/// All three start from one point (same site, same width); what becomes of them is what a baseline is for.
#[test]
fn baselines_train_on_their_own_rows_or_with_their_decoder_frozen() {
    let plan = plan(23);
    let folder = tempfile::tempdir().unwrap();
    let trained = run(folder.path(), &plan, planted(None), false, None).unwrap();
    let start = initial_parameters(&plan.dictionaries[0], &plan.recipe, plan.seed);
    let [real, _, _, frozen, random] = trained.as_slice() else { panic!("five dictionaries") };
    assert!(frozen.slots.w_dec.p == start.w_dec && frozen.slots.w_enc.p != start.w_enc);
    assert!(real.slots.w_dec.p != start.w_dec && random.slots.w_dec.p != start.w_dec);
    assert!(real.slots.w_enc.p != frozen.slots.w_enc.p && real.parameters() != random.parameters());
    let mut alone = plan.clone();
    alone.dictionaries.truncate(3);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), &alone, planted(None), false, None).unwrap(), trained[..3]);
}

/// A source without the randomised model's rows cannot serve its baseline.
#[test]
fn rows_of_a_randomised_model_are_not_taken_from_the_real_one() {
    let mut source = planted(None);
    source.sites.pop();
    let folder = tempfile::tempdir().unwrap();
    let error = run(folder.path(), &plan(23), source, false, None).unwrap_err().to_string();
    assert!(
        error.starts_with("no rows for site 0.res@random-lm of width 20: the source has 0.res"),
        "{error}"
    );
}
