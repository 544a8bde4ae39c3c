//! A run's whole state in one safetensors file per checkpoint: parameters, moments with their stamps (never
//! flushed), stopped dictionaries, the step, and how long the log was. Published atomically, with a checksum over all
//! tensors; the order of rows is a pure function of (seed, step) and needs no state. Two checkpoints are kept.

use crate::{Parameters, Plan, Running, Stopped, TrainError, Training};
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
    running: BTreeMap<String, [u64; 3]>,
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

/// Checkpoints of a run, newest first. A folder that is not there has none.
fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = folder(run).read_dir().into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "safetensors")).collect();
    paths.sort();
    paths.reverse();
    paths
}

/// The newest checkpoint's path, if there is one.
pub fn latest_checkpoint(run: &Path) -> Option<PathBuf> {
    checkpoints(run).into_iter().next()
}

/// Every tensor of a run in a fixed order: (name, shape, floats) then (name, shape, stamps).
fn layout<'a>(plan: &'a Plan, state: &'a [Training]) -> Vec<(String, Vec<usize>, Dtype, &'a [u8])> {
    let mut out = Vec::new();
    for (d, t) in plan.dictionaries.iter().zip(state) {
        for (kind, set) in [("parameter", &t.parameters), ("mean", &t.means), ("moment", &t.moments)] {
            for (name, shape, values) in set.tensors() {
                out.push((
                    format!("{}/{kind}/{name}", d.name),
                    shape,
                    Dtype::F32,
                    bytemuck::cast_slice(values),
                ));
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
fn stamps(t: &Training) -> Vec<(&'static str, &Vec<u32>)> {
    let all = [("active", &t.active_stamp), ("window", &t.window_stamp), ("fired", &t.fired_stamp)];
    all.into_iter().filter(|(_, stamps)| !stamps.is_empty()).collect()
}

const NOTHING: u64 = f64::NAN.to_bits();

fn to_bits(running: &Running) -> [u64; 3] {
    let optional = |v: Option<f64>| v.map_or(NOTHING, f64::to_bits);
    [running.log_lambda.to_bits(), optional(running.l0), optional(running.threshold)]
}

fn from_bits([log_lambda, l0, threshold]: [u64; 3]) -> Running {
    let optional = |bits| (bits != NOTHING).then(|| f64::from_bits(bits));
    Running { log_lambda: f64::from_bits(log_lambda), l0: optional(l0), threshold: optional(threshold) }
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
    prune(run, &path)?;
    Ok(path)
}

/// Removes all checkpoints but `newest` and the one before it. Those after it are damaged (a run was resumed before
/// them) and must not count: they are replaced when the run comes by.
pub(crate) fn prune(run: &Path, newest: &Path) -> Result<(), FileError> {
    for old in checkpoints(run).iter().filter(|path| path.as_path() <= newest).skip(KEPT) {
        std::fs::remove_file(old).map_err(FileError::io(old, "remove"))?;
    }
    Ok(())
}

/// Reads a checkpoint and verifies its checksum.
pub fn load_checkpoint(path: &Path, plan: &Plan) -> Result<(Marks, Vec<Training>), FileError> {
    let file = TensorFile::open(path)?;
    let marks = marks(&file)?;
    let mut state = Vec::with_capacity(plan.dictionaries.len());
    for d in &plan.dictionaries {
        let mut t = Training::new(Parameters::zeros(d), d, &plan.recipe);
        for (kind, set) in
            [("parameter", &mut t.parameters), ("mean", &mut t.means), ("moment", &mut t.moments)]
        {
            let shapes: Vec<_> = set.tensors().into_iter().map(|(_, shape, _)| shape).collect();
            for ((name, values), shape) in set.tensors_mut().into_iter().zip(shapes) {
                *values = file.read_f32(&format!("{}/{kind}/{name}", d.name), &shape)?;
            }
        }
        let all =
            [("active", &mut t.active_stamp), ("window", &mut t.window_stamp), ("fired", &mut t.fired_stamp)];
        for (name, stamps) in all.into_iter().filter(|(_, stamps)| !stamps.is_empty()) {
            *stamps = file.read_pod(&format!("{}/stamp/{name}", d.name), Dtype::U32, &[d.width])?;
        }
        t.stopped = marks.stopped.get(&d.name).cloned();
        t.running = marks.running.get(&d.name).map_or_else(Running::default, |bits| from_bits(*bits));
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
    for path in checkpoints(run) {
        let marks = TensorFile::open(&path).and_then(|file| marks(&file));
        if let Ok(marks) = &marks {
            check_identity(&path, marks, identity)?;
        }
        match marks.and_then(|_| load_checkpoint(&path, plan)) {
            Ok(found) => {
                prune(run, &path)?; // a run that was killed before it pruned
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
