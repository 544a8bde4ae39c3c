//! A run's whole state in one safetensors file per checkpoint: parameters, moments with their stamps (never
//! flushed), stopped dictionaries, the step, and how long the log was. Published atomically, with a checksum over all
//! tensors; the order of rows is a pure function of (seed, step) and needs no state. Two checkpoints of the plan's steps
//! are kept. One from between them (Ctrl-C) is kept beside these until the next one of the plan's is there, so that a
//! run ends with the same files, interrupted or not. No other file in the folder is ever touched.

use crate::{DictionaryPlan, Parameters, Plan, Running, Slot, Stopped, TrainError, Training};
use lapidary_files::FileError;
use lapidary_files::tensors::{self, Dtype, Tensor, TensorFile};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Version of the layout; readers refuse others.
const FORMAT: u32 = 2;
/// Key of the JSON marks in the file's metadata.
const MARKS: &str = "lapidary_checkpoint";
const KEPT: usize = 2;

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marks {
    format: u32,
    /// Steps done.
    pub step: u64,
    /// Hash of the run's plan.
    pub plan_hash: String,
    /// Version of Lapidary and instruction set. A run goes on with the same only: versions may differ in bits, and a run is no
    /// place to find out whether instruction sets do.
    pub built_by: String,
    /// Length of the log when the checkpoint was made.
    pub log_bytes: u64,
    stopped: BTreeMap<String, Stopped>,
    /// Bits of what each dictionary remembers beside its tensors, if it does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    running: BTreeMap<String, Vec<u64>>,
    /// blake3 over these marks with no checksum, then the bytes of all tensors in their order.
    checksum: String,
}

/// Identity of a run, written into each checkpoint and compared on resume.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub plan_hash: &'a str,
    pub built_by: &'a str,
}

fn folder(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

fn path_of(run: &Path, step: u64) -> PathBuf {
    folder(run).join(format!("step-{step:09}.safetensors"))
}

/// The step that a checkpoint's name says. Other files have none: whoever put them there keeps them.
fn step_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let step = name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()?;
    path_of(Path::new(""), step).ends_with(name).then_some(step)
}

/// Checkpoints of a run with their steps, newest first. A folder that is not there has none.
fn checkpoints(run: &Path) -> Vec<(u64, PathBuf)> {
    let entries = folder(run).read_dir().into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.filter_map(|e| Some((step_of(&e.path())?, e.path()))).collect();
    found.sort();
    found.reverse();
    found
}

/// The newest checkpoint's path, if there is one.
pub fn latest_checkpoint(run: &Path) -> Option<PathBuf> {
    checkpoints(run).into_iter().next().map(|(_, path)| path)
}

/// Of the newest checkpoint that can be read: the steps that are done, and the dictionaries that were given up by then.
/// Reads no tensor.
pub fn progress(run: &Path) -> Option<(u64, BTreeMap<String, Stopped>)> {
    let read = |path: &Path| marks(&TensorFile::open(path).ok()?).ok();
    let marks = checkpoints(run).iter().find_map(|(_, path)| read(path))?;
    Some((marks.step, marks.stopped))
}

/// Every tensor of a run in a fixed order: (name, shape, floats) then (name, shape, stamps).
fn layout<'a>(plan: &'a Plan, state: &'a [Training]) -> Vec<(String, Vec<usize>, Dtype, &'a [u8])> {
    let mut out = Vec::new();
    for (d, t) in plan.dictionaries.iter().zip(state) {
        let kinds = |slot: &'a Slot| {
            [("parameter", Some(&slot.p)), ("mean", slot.m.as_ref()), ("moment", Some(&slot.v))]
        };
        for kind in 0..3 {
            for (name, shape, slot) in t.slots.tensors() {
                let (kind, values) = kinds(slot)[kind];
                let Some(values) = values else { continue };
                let bytes = bytemuck::cast_slice(values);
                out.push((format!("{}/{kind}/{name}", d.name), shape, Dtype::F32, bytes));
            }
        }
        for (name, stamps) in stamps(t) {
            let bytes = bytemuck::cast_slice(stamps.as_slice());
            out.push((format!("{}/stamp/{name}", d.name), vec![stamps.len()], Dtype::U32, bytes));
        }
    }
    out
}

/// The stamps that a dictionary has.
fn stamps(t: &Training) -> impl Iterator<Item = (&'static str, &Vec<u32>)> {
    let all = [
        ("active", Some(&t.active_stamp)),
        ("window", Some(&t.window_stamp)),
        ("fired", t.fired_stamp.as_ref()),
    ];
    all.into_iter().filter_map(|(name, stamps)| Some((name, stamps?)))
}

const NOTHING: u64 = f64::NAN.to_bits();

fn to_bits(running: &Running) -> Vec<u64> {
    let optional = |v: Option<f64>| v.map_or(NOTHING, f64::to_bits);
    vec![
        running.log_lambda.to_bits(),
        optional(running.l0),
        optional(running.threshold),
        optional(running.mse),
        optional(running.last_l0),
    ]
}

/// What a file does not have is not remembered: the mean squared error came later than the rest.
fn from_bits(bits: &[u64]) -> Running {
    let at = |i: usize| bits.get(i).copied().filter(|&bits| bits != NOTHING).map(f64::from_bits);
    Running { log_lambda: at(0).unwrap_or(0.0), l0: at(1), threshold: at(2), mse: at(3), last_l0: at(4) }
}

fn checksum(layout: &[(String, Vec<usize>, Dtype, &[u8])], marks: &Marks) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&json(&Marks { checksum: String::new(), ..marks.clone() }));
    layout.iter().for_each(|(_, _, _, bytes)| {
        hasher.update(bytes);
    });
    hasher.finalize().to_hex().to_string()
}

fn json(marks: &Marks) -> Vec<u8> {
    serde_json::to_vec(marks).expect("marks are plain data")
}

/// Publishes the state after `step` steps and removes older checkpoints.
pub(crate) fn save_checkpoint(
    run: &Path,
    plan: &Plan,
    state: &[Training],
    identity: Identity<'_>,
    step: u64,
    log_bytes: u64,
) -> Result<PathBuf, FileError> {
    let layout = layout(plan, state);
    let named = || plan.dictionaries.iter().map(|d| d.name.clone()).zip(state);
    let stopped = named().filter_map(|(name, t)| Some((name, t.stopped.clone()?))).collect();
    let remembers = named().filter(|(_, t)| t.running != Running::default());
    let running = remembers.map(|(name, t)| (name, to_bits(&t.running))).collect();
    let mut marks = Marks {
        format: FORMAT,
        step,
        plan_hash: identity.plan_hash.into(),
        built_by: identity.built_by.into(),
        log_bytes,
        stopped,
        checksum: String::new(),
        running,
    };
    marks.checksum = checksum(&layout, &marks);
    let json = String::from_utf8(json(&marks)).expect("JSON is UTF-8");
    let tensors: Vec<Tensor<'_>> = layout
        .iter()
        .map(|(name, shape, dtype, bytes)| Tensor { name, dtype: *dtype, shape, bytes })
        .collect();
    let path = path_of(run, step);
    lapidary_files::create_dir(&folder(run))?;
    tensors::write(&path, &tensors, &HashMap::from([(MARKS.to_string(), json)]))?;
    prune(run, plan, step)?;
    Ok(path)
}

/// Removes checkpoints from before `newest`: of the plan's steps all but two (with `newest`), and all from between them.
/// Those after it are damaged (a run was resumed before them) and must not count: they are replaced when the run comes by.
pub(crate) fn prune(run: &Path, plan: &Plan, newest: u64) -> Result<(), FileError> {
    let planned = |step: u64| step.is_multiple_of(plan.checkpoint_every) || step == plan.recipe.steps;
    let mut kept = 0;
    for (step, path) in checkpoints(run).into_iter().filter(|(step, _)| *step <= newest) {
        kept += usize::from(planned(step));
        if (planned(step) && kept > KEPT) || (!planned(step) && step != newest) {
            std::fs::remove_file(&path).map_err(FileError::io(&path, "remove"))?;
        }
    }
    Ok(())
}

/// Reads a checkpoint and verifies its checksum.
pub fn load_checkpoint(path: &Path, plan: &Plan) -> Result<(Marks, Vec<Training>), FileError> {
    let file = TensorFile::open(path)?;
    let marks = marks(&file)?;
    check_room(path, plan)?;
    let mut state = Vec::with_capacity(plan.dictionaries.len());
    for d in &plan.dictionaries {
        let mut t = Training::new(Parameters::zeros(d), d, plan.recipe.beta1);
        let shapes: Vec<_> = t.slots.tensors().map(|(_, shape, _)| shape).collect();
        for ((name, slot), shape) in t.slots.each_mut().named().zip(shapes) {
            let read = |kind: &str| file.read_f32(&format!("{}/{kind}/{name}", d.name), &shape);
            slot.p = read("parameter")?;
            slot.m = slot.m.is_some().then(|| read("mean")).transpose()?;
            slot.v = read("moment")?;
        }
        let read = |name: &str| file.read_pod(&format!("{}/stamp/{name}", d.name), Dtype::U32, &[d.width]);
        (t.active_stamp, t.window_stamp) = (read("active")?, read("window")?);
        t.fired_stamp = t.fired_stamp.is_some().then(|| read("fired")).transpose()?;
        t.stopped = marks.stopped.get(&d.name).cloned();
        t.running = marks.running.get(&d.name).map_or_else(Running::default, |bits| from_bits(bits));
        state.push(t);
    }
    let found = checksum(&layout(plan, &state), &marks);
    if found != marks.checksum {
        return Err(FileError::invalid(
            path,
            format!("checksum {}", marks.checksum),
            found,
            "the file is damaged",
        ));
    }
    Ok((marks, state))
}

/// Nothing is allocated on the word of a plan that the file has no bytes for.
fn check_room(path: &Path, plan: &Plan) -> Result<(), FileError> {
    let bytes = std::fs::metadata(path).map_err(FileError::io(path, "read"))?.len();
    // Parameters and moments of W_enc and W_dec.
    let of = |d: &DictionaryPlan| 8 * d.width as u128 * (d.d as u128 + d.d_out() as u128);
    let needs: u128 = plan.dictionaries.iter().map(of).sum();
    if needs > u128::from(bytes) {
        let expected = format!("at least {needs} bytes, for the dictionaries of the plan");
        return Err(FileError::invalid(path, expected, format!("{bytes}"), "is this the run's own plan?"));
    }
    Ok(())
}

fn marks(file: &TensorFile) -> Result<Marks, FileError> {
    let bad = |found: String| {
        FileError::invalid(file.path(), "a Lapidary checkpoint", found, "is this the right file?")
    };
    let text =
        file.metadata().remove(MARKS).ok_or_else(|| bad("a safetensors file without its marks".into()))?;
    let version: serde_json::Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    if version["format"] != FORMAT {
        return Err(bad(format!("format {}, this version reads {FORMAT}", version["format"])));
    }
    serde_json::from_value(version).map_err(|e| bad(e.to_string()))
}

/// What a run resumes from.
pub(crate) struct Resumed {
    /// The newest checkpoint that is whole, if there is one.
    pub found: Option<(Marks, Vec<Training>)>,
    /// Newer checkpoints that are damaged, with the reason.
    pub skipped: Vec<FileError>,
}

/// Looks for the newest checkpoint that is whole. A checkpoint of another run is an error, not skipped.
pub(crate) fn resume(run: &Path, plan: &Plan, identity: Identity<'_>) -> Result<Resumed, TrainError> {
    let mut skipped = Vec::new();
    for (_, path) in checkpoints(run) {
        let marks = TensorFile::open(&path).and_then(|file| marks(&file));
        if let Ok(marks) = &marks {
            check_identity(&path, marks, identity)?;
        }
        match marks.and_then(|_| load_checkpoint(&path, plan)) {
            Ok(found) => {
                prune(run, plan, found.0.step)?; // a run that was killed before it pruned
                return Ok(Resumed { found: Some(found), skipped });
            }
            Err(e) => skipped.push(e),
        }
    }
    Ok(Resumed { found: None, skipped })
}

fn check_identity(path: &Path, marks: &Marks, run: Identity<'_>) -> Result<(), TrainError> {
    let pairs = [("plan", run.plan_hash, &marks.plan_hash), ("build", run.built_by, &marks.built_by)];
    for (what, expected, found) in pairs {
        if expected != found {
            return Err(TrainError::OtherRun {
                path: path.to_path_buf(),
                what,
                expected: expected.to_string(),
                found: found.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuxK, Objective, Recipe, Transcoder, initial_parameters, train_step};
    use lapidary_kernels::Device;
    use proptest::prelude::*;

    fn noise(seed: u64, n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i as f64 * 0.7391 + seed as f64 * 1.37).sin() * 4_391.7).fract() as f32).collect()
    }

    /// One dictionary of each kind, half of them transcoders.
    fn plan(d: usize, width: usize, beta1: f64) -> Plan {
        let aux = Some(AuxK { alpha: 0.03, k: 3, dead_rows: 1 });
        let objectives = [
            Objective::GEMMA_SCOPE,
            Objective::gemma_scope_2(5.0),
            Objective::anthropic(d),
            Objective::L1,
            Objective::Gated,
            Objective::TopK { k: 1, aux },
            Objective::BatchTopK { k: 1, aux: None },
        ];
        let to = Transcoder { output: "0.mlp".into(), d_out: 3, c_out: 2.0, skip: true };
        let dictionary = |(i, objective): (usize, Objective)| DictionaryPlan {
            name: format!("{i}"),
            target_l0: (objective.has_lambda() && i % 2 == 0).then_some(2.0),
            transcoder: (i % 2 == 0).then(|| to.clone()),
            objective,
            ..crate::plan::test_dictionary(d, width)
        };
        let dictionaries = objectives.into_iter().enumerate().map(dictionary).collect();
        let recipe = Recipe { batch: 9, beta1, ..Recipe::short(20, d) };
        Plan { recipe, dictionaries, seed: 3, checkpoint_every: 4, log_every: 1 }
    }

    /// Some steps of each, one of them given up, another with a threshold.
    fn state(plan: &Plan, seed: u64) -> Vec<Training> {
        let trained = |d: &DictionaryPlan| {
            let mut t = Training::new(initial_parameters(d, &plan.recipe, seed), d, plan.recipe.beta1);
            for step in 0..3 {
                let (x, y) = (noise(seed + step, 9 * d.d), noise(seed + step + 7, 9 * d.d_out()));
                let batch = crate::Batch { input: &x, output: if d.transcoder.is_some() { &y } else { &x } };
                train_step(&mut t, batch, d, &plan.recipe, step, Device::detect(), &mut |_| ());
            }
            t
        };
        let mut state: Vec<Training> = plan.dictionaries.iter().map(trained).collect();
        state[1].stopped = Some(Stopped { step: 2, reason: "loss is \"NaN\"\n".into() });
        state[6].running.threshold = Some(0.1 + seed as f64 / 7.0);
        state
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_written_is_read_back(d in 1usize..9, width in 1usize..40, seed in 0u64..1000, momentum: bool, step in 0u64..1 << 33, log_bytes: u64) {
            let plan = plan(d, width, if momentum { 0.9 } else { 0.0 });
            let mut state = state(&plan, seed);
            let (folder, identity) = (tempfile::tempdir().unwrap(), Identity { plan_hash: "p", built_by: "b" });
            let path = save_checkpoint(folder.path(), &plan, &state, identity, step, log_bytes).unwrap();
            let (marks, found) = load_checkpoint(&path, &plan).unwrap();
            prop_assert_eq!((marks.step, marks.log_bytes, marks.plan_hash.as_str()), (step, log_bytes, "p"));
            state.iter_mut().for_each(|t| t.hints = Default::default()); // no part of the state
            prop_assert!(found == state);
            prop_assert_eq!(latest_checkpoint(folder.path()), Some(path));
            let (done, stopped) = progress(folder.path()).unwrap();
            prop_assert_eq!((done, stopped.keys().cloned().collect::<Vec<_>>()), (step, vec!["1".to_string()]));
        }
    }

    /// A plan whose numbers the file has no bytes for, and bytes of any kind.
    #[test]
    fn nothing_is_allocated_for_numbers_that_are_not_there() {
        let plan = plan(4, 10, 0.9);
        let (folder, identity) = (tempfile::tempdir().unwrap(), Identity { plan_hash: "p", built_by: "b" });
        let path = save_checkpoint(folder.path(), &plan, &state(&plan, 1), identity, 3, 0).unwrap();
        let mut wide = plan.clone();
        wide.dictionaries[0].width = 1 << 38;
        let found = load_checkpoint(&path, &wide).unwrap_err().to_string();
        assert!(found.contains("for the dictionaries of the plan, found"), "{found}");
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(97) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            std::fs::write(&path, &bytes).unwrap();
            assert!(load_checkpoint(&path, &plan).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(load_checkpoint(&path, &plan).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn steps_are_read_from_names_of_ours_only() {
        for (name, step) in
            [("step-000000012.safetensors", Some(12)), ("step-4000000000.safetensors", Some(4_000_000_000))]
        {
            assert_eq!(step_of(Path::new(name)), step);
            assert_eq!(path_of(Path::new(""), step.unwrap()), Path::new("checkpoints").join(name));
        }
        for name in [
            "step-12.safetensors",
            "step-+00000012.safetensors",
            "step-000000012.tmp",
            "step-.safetensors",
            "best.safetensors",
        ] {
            assert_eq!(step_of(Path::new(name)), None, "{name}");
        }
    }
}
