//! What a terminal shows of a training, and what it keeps of it beside the log: the bar, wall times, TensorBoard's files.

use super::progress::Progress;
use super::stopwatch::Stopwatch;
use super::tensorboard::EventFiles;
use crate::global::Global;
use anyhow::Context;
use lapidary_trainer::{Event, Health, Plan};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

/// What is wrong with each dictionary at the end, in sentences; nothing: it is fine.
pub type Verdicts = Vec<(String, Vec<String>)>;

/// Watches one training.
pub struct Watch {
    bar: Option<Progress>,
    quiet: bool,
    /// Where the time goes.
    pub stopwatch: Stopwatch,
    logs: Option<Logs>,
    /// The trainer's last words.
    pub verdicts: Verdicts,
    batch: u64,
    damaged: bool,
}

/// Files with wall times, which are no part of the bytes that a plan determines.
struct Logs {
    folder: PathBuf,
    names: Vec<String>,
    timing: Timing,
    /// Best effort, as for timing: whatever these files would say stands in the log.
    board: Option<EventFiles>,
}

impl Watch {
    /// Of a training that has not begun.
    pub fn new(global: &Global) -> Watch {
        Watch {
            bar: None,
            quiet: global.quiet,
            stopwatch: Stopwatch::start(),
            logs: None,
            verdicts: Vec::new(),
            batch: 1,
            damaged: false,
        }
    }

    /// Its steps come next. Wall times and TensorBoard's files are kept in a folder, which an earlier start may have begun.
    pub fn begin(&mut self, plan: &Plan, logs: Option<(&Path, bool)>) -> anyhow::Result<()> {
        self.batch = plan.recipe.batch as u64;
        self.bar = Some(Progress::new(self.quiet, "training", plan.recipe.steps * self.batch, "rows"));
        if let Some((folder, resume)) = logs {
            let timing = Timing::open(folder, resume)?;
            let names = plan.dictionaries.iter().map(|d| d.name.clone()).collect();
            self.logs = Some(Logs { folder: folder.to_path_buf(), names, timing, board: None });
        }
        self.stopwatch = Stopwatch::start();
        Ok(())
    }

    /// What the trainer tells.
    pub fn see(&mut self, event: Event<'_>) {
        match event {
            Event::Skipped(error) => {
                self.damaged = true;
                self.say(&format!("passing over a damaged checkpoint: {error}"));
            }
            Event::OddLog(odd) => self.say(odd),
            Event::Began(step) => self.began(step),
            Event::Stopped(name, stopped) => {
                let (step, reason) = (stopped.step, &stopped.reason);
                self.say(&format!("{name} stopped at step {step}: {reason}; the others go on"));
            }
            Event::Warning(name, ailment) => self.say(&format!("{name}: {ailment}")),
            Event::Verdict(name, wrong) => {
                let wrong = wrong.iter().map(ToString::to_string).collect();
                self.verdicts.push((name.into(), wrong));
            }
            Event::Rows => self.stopwatch.lap(None),
            Event::Phase(phase) => self.stopwatch.lap(Some(phase)),
            Event::Settling => self.message("fitting thresholds".into()),
            Event::Checkpoint(_) => self.stopwatch.skip(),
            Event::Step(done, lines) => self.step(done, lines),
        }
    }

    fn began(&mut self, step: u64) {
        match step {
            0 if self.damaged => self.say("no whole checkpoint is left: training from the first step"),
            0 => {}
            _ => {
                self.say(&format!("resuming after step {step}"));
                let done = step * self.batch;
                self.bar.iter_mut().for_each(|bar| bar.resume_at(done));
            }
        }
        if let Some(logs) = &mut self.logs {
            let names: Vec<&str> = logs.names.iter().map(String::as_str).collect();
            logs.board = EventFiles::begin(&logs.folder, &names, step).ok();
        }
    }

    fn step(&mut self, done: u64, lines: &[Health]) {
        let rows = done * self.batch;
        self.bar.iter_mut().for_each(|bar| bar.set(rows));
        let Some(first) = lines.first() else { return };
        let mean = |f: fn(&Health) -> f64| lines.iter().map(f).sum::<f64>() / lines.len() as f64;
        self.message(format!("mean L0 {:.1}, FVU {:.3}", mean(|h| h.l0), mean(|h| h.fvu)));
        if let Some(logs) = &mut self.logs {
            logs.timing.line(first.step, rows);
            lines.iter().for_each(|line| drop(logs.board.as_ref().map(|board| board.add(line))));
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.say(text),
            None => super::note(text),
        }
    }

    fn message(&self, text: String) {
        self.bar.iter().for_each(|bar| bar.message(text.clone()));
    }

    /// Removes the bar.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }
}

/// Set by Ctrl-C, and by SIGTERM or SIGHUP: the run then saves its state after the current step and ends. The second one ends
/// the program at once.
pub fn stop_on_interrupt() -> anyhow::Result<&'static AtomicBool> {
    static STOP: AtomicBool = AtomicBool::new(false);
    let stop = || {
        if STOP.swap(true, SeqCst) {
            std::process::exit(1);
        }
    };
    ctrlc::set_handler(stop).context("cannot listen for Ctrl-C")?;
    Ok(&STOP)
}

/// `timing.jsonl`: with TensorBoard's files the only one with wall times.
struct Timing {
    file: std::fs::File,
    began: Instant,
}

impl Timing {
    fn open(folder: &Path, resume: bool) -> anyhow::Result<Timing> {
        let path = lapidary_files::Target::of(&folder.join("timing.jsonl"))?.path;
        let file =
            std::fs::OpenOptions::new().create(true).append(resume).truncate(!resume).write(true).open(&path);
        Ok(Timing { file: file.with_context(|| path.display().to_string())?, began: Instant::now() })
    }

    /// Best effort: a lost line of timing costs nothing.
    fn line(&mut self, step: u64, rows: u64) {
        let seconds = self.began.elapsed().as_secs_f64();
        let _ = writeln!(self.file, "{{\"step\":{step},\"rows\":{rows},\"seconds\":{seconds:.3}}}");
    }
}
