//! The loop over batches: every dictionary of the plan takes one step on each batch, in order; lines go to the log, state
//! to checkpoints at fixed steps. Killed at any moment and resumed, it ends with the same bytes (docs/numerics.md §5).

use crate::checkpoint::{Identity, Resumed, resume, save_checkpoint};
use crate::health::{GivenUp, check_last};
use crate::init::centre;
use crate::judge::Patient;
use crate::log::{Inspected, inspect};
use crate::measure::mean_rows;
use crate::{
    Ailment, Batch, DictionaryPlan, Health, Phase, Plan, Stopped, TrainError, Training, fit,
    initial_parameters, train_step,
};
use lapidary_files::{FileError, Log};
use lapidary_kernels::Device;
use lapidary_store::{Batches, RowSource};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A run on disk and where it computes.
pub struct Run<'a> {
    /// What to train.
    pub plan: &'a Plan,
    /// Hash of the plan, with all that caused the rows.
    pub plan_hash: &'a str,
    /// Version and instruction set: a resumed run must have the same.
    pub built_by: &'a str,
    /// The run's folder: `metrics.jsonl` and `checkpoints/` are written here.
    pub folder: &'a Path,
    /// Where to compute.
    pub device: Device,
    /// What dictionaries begin as, by name, where that is not their seed's; see [`crate::from_dictionary`].
    pub start: &'a BTreeMap<String, Training>,
}

/// What happens while a run goes on.
pub enum Event<'a> {
    /// A damaged checkpoint was passed over.
    Skipped(&'a FileError),
    /// The log is not as the checkpoint left it; training needs none of it and goes on.
    OddLog(&'a str),
    /// The run begins or resumes after this many steps.
    Began(u64),
    /// The rows of a step are there.
    Rows,
    /// A dictionary's step has passed this part.
    Phase(Phase),
    /// This many steps are done; lines of the log, if this step was logged.
    Step(u64, &'a [Health]),
    /// A dictionary was given up; the others go on.
    Stopped(&'a str, &'a Stopped),
    /// Something is wrong with a dictionary, said once.
    Warning(&'a str, &'a Ailment),
    /// The last step is done: what is wrong with a dictionary; nothing where it is fine.
    Verdict(&'a str, &'a [Ailment]),
    /// The last step is done; what is found after it comes next.
    Settling,
    /// A checkpoint was published.
    Checkpoint(&'a Path),
}

/// Trains all dictionaries of the plan to its last step and returns them.
///
/// With `resumed`, goes on from the newest whole checkpoint, if there is one; a run that has ended is left as it is.
/// `interrupted` is asked after every step: the state is then saved, and the run ends with [`TrainError::Interrupted`]. Where
/// every dictionary was given up, the remaining steps change nothing and are not made.
pub fn train<S: RowSource>(
    run: &Run<'_>,
    batches: &mut Batches<S>,
    resumed: bool,
    interrupted: &dyn Fn() -> bool,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<Vec<Training>, TrainError> {
    let sites = sites(run.plan, batches.source())?;
    let Begin { step, log_bytes, mut state } = begin(run, &sites, batches, resumed, observe)?;
    let steps = run.plan.recipe.steps;
    if step >= steps {
        observe(Event::Began(step));
        return Ok(state);
    }
    let mut ward = Ward::new(run.plan);
    let mut log = open_log(&run.folder.join("metrics.jsonl"), log_bytes, &mut ward, observe)?;
    observe(Event::Began(step));
    batches.seek(step);
    for s in step..steps {
        if state.iter().all(|training| training.stopped.is_some()) {
            break;
        }
        let batch = batches.next().map_err(TrainError::Source)?;
        observe(Event::Rows);
        let lines = one_step(run, &sites, batch, (&mut state, &mut log), s, observe)?;
        let done = s + 1;
        observe(Event::Step(done, &lines));
        ward.see(lines, observe);
        let stop = done < steps && interrupted();
        if done < steps && (stop || done % run.plan.checkpoint_every == 0) {
            let path = checkpoint(run, &state, &mut log, done)?;
            observe(Event::Checkpoint(&path));
        }
        if stop {
            return Err(TrainError::Interrupted { step: done, steps });
        }
    }
    ward.tell_verdicts(&state, observe);
    settle(run, &sites, batches, (&mut state, &mut log), observe)?;
    let path = checkpoint(run, &state, &mut log, steps)?;
    observe(Event::Checkpoint(&path));
    Ok(state)
}

/// What is found after the last step: parameters that are not finite, and thresholds.
fn settle<S: RowSource>(
    run: &Run<'_>,
    sites: &[(usize, usize)],
    batches: &mut Batches<S>,
    (state, log): (&mut [Training], &mut Log),
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<(), TrainError> {
    observe(Event::Settling);
    for (training, d) in state.iter_mut().zip(&run.plan.dictionaries) {
        let before = training.stopped.is_some();
        check_last(training, run.plan.recipe.steps - 1);
        if let (false, Some(stopped)) = (before, &training.stopped) {
            give_up(log, &d.name, stopped, observe)?;
        }
    }
    let inputs: Vec<usize> = sites.iter().map(|&(input, _)| input).collect();
    fit::thresholds(run.plan, &inputs, batches, state, run.device)
}

/// Who is judged: every dictionary by its own lines.
struct Ward<'a> {
    plan: &'a Plan,
    patients: Vec<Patient>,
}

impl<'a> Ward<'a> {
    fn new(plan: &'a Plan) -> Ward<'a> {
        Ward { plan, patients: vec![Patient::default(); plan.dictionaries.len()] }
    }

    fn place(&self, line: &Health) -> Option<usize> {
        self.plan.dictionaries.iter().position(|d| d.name == line.dictionary)
    }

    /// A line of the log from before the run was resumed.
    fn recall(&mut self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Health>(line) else { return };
        let Some(at) = self.place(&line) else { return };
        self.patients[at].see(line, &self.plan.dictionaries[at], &self.plan.recipe);
    }

    fn see(&mut self, lines: Vec<Health>, observe: &mut dyn FnMut(Event<'_>)) {
        for line in lines {
            let Some(at) = self.place(&line) else { continue };
            let d = &self.plan.dictionaries[at];
            let new = self.patients[at].see(line, d, &self.plan.recipe);
            new.iter().for_each(|ailment| observe(Event::Warning(&d.name, ailment)));
        }
    }

    /// A word on every dictionary that was not given up.
    fn tell_verdicts(&self, state: &[Training], observe: &mut dyn FnMut(Event<'_>)) {
        for ((d, patient), training) in self.plan.dictionaries.iter().zip(&self.patients).zip(state) {
            if training.stopped.is_none() {
                observe(Event::Verdict(&d.name, &patient.verdict(d, &self.plan.recipe)));
            }
        }
    }
}

struct Begin {
    step: u64,
    log_bytes: u64,
    state: Vec<Training>,
}

fn begin<S: RowSource>(
    run: &Run<'_>,
    sites: &[(usize, usize)],
    batches: &mut Batches<S>,
    resumed: bool,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<Begin, TrainError> {
    let identity = Identity { plan_hash: run.plan_hash, built_by: run.built_by };
    let nothing = Resumed { found: None, skipped: Vec::new() };
    let Resumed { found, skipped } = if resumed { resume(run.folder, run.plan, identity)? } else { nothing };
    skipped.iter().for_each(|e| observe(Event::Skipped(e)));
    if let Some((marks, state)) = found {
        return Ok(Begin { step: marks.step, log_bytes: marks.log_bytes, state });
    }
    let means = measured_means(run, batches)?;
    let fresh = |(d, &(input, output)): (&DictionaryPlan, &(usize, usize))| {
        let seeded = || seeded(run.plan, d, means.as_ref().map(|means| (&means[input], &means[output])));
        run.start.get(&d.name).cloned().unwrap_or_else(seeded)
    };
    Ok(Begin { step: 0, log_bytes: 0, state: run.plan.dictionaries.iter().zip(sites).map(fresh).collect() })
}

/// The mean row of each site of the source, if a dictionary begins about it.
fn measured_means<S: RowSource>(
    run: &Run<'_>,
    batches: &mut Batches<S>,
) -> Result<Option<Vec<Vec<f64>>>, TrainError> {
    let rows = run.plan.dictionaries.iter().filter_map(|d| d.measured.as_ref()).map(|m| m.rows).max();
    rows.map(|rows| mean_rows(batches, rows)).transpose().map_err(TrainError::Source)
}

/// A dictionary before its first step, about the mean rows of what it reads and reconstructs if these were measured.
fn seeded(plan: &Plan, d: &DictionaryPlan, means: Option<(&Vec<f64>, &Vec<f64>)>) -> Training {
    let mut parameters = initial_parameters(d, &plan.recipe, plan.seed);
    if let Some((input, output)) = means.filter(|_| d.measured.is_some()) {
        centre(&mut parameters, d, input, output);
    }
    Training::new(parameters, d, plan.recipe.beta1)
}

/// Index of the rows that each dictionary reads and of those that it reconstructs, among the source's sites.
fn sites<S: RowSource>(plan: &Plan, source: &S) -> Result<Vec<(usize, usize)>, TrainError> {
    let available = source.sites();
    let find = |rows: String, width: usize| {
        let found = available.iter().position(|s| s.site == rows && s.width == width);
        found.ok_or_else(|| TrainError::MissingSite {
            site: format!("{rows} of width {width}"),
            available: available
                .iter()
                .map(|s| format!("{} [{}]", s.site, s.width))
                .collect::<Vec<_>>()
                .join(", "),
        })
    };
    let both = |d: &DictionaryPlan| Ok((find(d.row_set(), d.d)?, find(d.output_row_set(), d.d_out())?));
    plan.dictionaries.iter().map(both).collect()
}

/// A step of every dictionary; its lines of the log, if it is to be logged.
fn one_step(
    run: &Run<'_>,
    sites: &[(usize, usize)],
    batch: &[Vec<f32>],
    (state, log): (&mut [Training], &mut Log),
    s: u64,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<Vec<Health>, TrainError> {
    let recipe = &run.plan.recipe;
    let logged = s.is_multiple_of(run.plan.log_every) || s + 1 == recipe.steps;
    let mut lines = Vec::new();
    for ((training, plan), &(input, output)) in state.iter_mut().zip(&run.plan.dictionaries).zip(sites) {
        if training.stopped.is_some() {
            continue;
        }
        let batch = Batch { input: &batch[input], output: &batch[output] };
        let mut phase = |phase| observe(Event::Phase(phase));
        let seen = train_step(training, batch, plan, recipe, s, run.device, &mut phase);
        if let Some(stopped) = &training.stopped {
            give_up(log, &plan.name, stopped, observe)?;
        } else if logged {
            let line = Health::measure(training, &seen, plan, recipe, s);
            append(log, &line)?;
            lines.push(line);
        }
    }
    Ok(lines)
}

fn give_up(
    log: &mut Log,
    dictionary: &str,
    stopped: &Stopped,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<(), TrainError> {
    observe(Event::Stopped(dictionary, stopped));
    append(log, &GivenUp { step: stopped.step, dictionary, stopped: &stopped.reason })
}

fn append(log: &mut Log, line: &impl serde::Serialize) -> Result<(), TrainError> {
    let json = serde_json::to_string(line).expect("a line is plain data");
    Ok(log.append(&format!("{json}\n"))?)
}

/// The log as a checkpoint left it, `bytes` long; with what is there of it, if that is less.
fn open_log(
    path: &Path,
    bytes: u64,
    ward: &mut Ward<'_>,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<Log, TrainError> {
    let Inspected { whole, odd } = inspect(path, bytes, &mut |line| ward.recall(line))?;
    odd.iter().for_each(|odd| observe(Event::OddLog(odd)));
    Ok(Log::open(path, whole)?)
}

fn checkpoint(run: &Run<'_>, state: &[Training], log: &mut Log, done: u64) -> Result<PathBuf, TrainError> {
    let log_bytes = log.sync()?;
    let identity = Identity { plan_hash: run.plan_hash, built_by: run.built_by };
    Ok(save_checkpoint(run.folder, run.plan, state, identity, done, log_bytes)?)
}
