//! `lapidary lab`: the open problems of the Gemma Scope paper as experiments; `lapidary lab list` says which run.

use crate::global::Global;
use crate::terminal;
use crate::terminal::progress::Progress;
use crate::terminal::watch::stop_on_interrupt;
use anyhow::bail;
use lapidary_lab::run::Found;
use lapidary_lab::rung::{Real, RungName};
use lapidary_lab::{EXPERIMENTS, Effort, Event, Experiment, LAB, Lab, QUESTIONS};
use lapidary_report::number::significant;
use lapidary_report::table::{Align, text};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

/// Run an open problem of the Gemma Scope paper as an experiment; `list` shows all, with those that run
///
/// An experiment trains small dictionaries where the truth is known (rows of known directions; the embedded organism), and,
/// with --model and --text, on any model; it measures them beside what they must beat, and says better, worse, not separable or
/// invalid. It writes report.json, table.csv, plots and a page, README.md, that begins with the answer in one sentence. What
/// is finished is kept in cells, so a run that was stopped goes on with --resume.
#[derive(clap::Args)]
pub struct LabArgs {
    /// Its name, or `list`
    name: String,
    /// Two minutes on two cores: shows the form, and large effects
    #[arg(long)]
    quick: bool,
    /// Where to run it: planted, organism, model [default: all that it can, model if one is named]
    #[arg(long, value_name = "RUNG,…", value_delimiter = ',', value_parser = rung)]
    rungs: Vec<RungName>,
    /// Model folder or GGUF file of the rung `model`
    #[arg(long, value_name = "MODEL", requires = "text")]
    model: Option<PathBuf>,
    /// Its text, files or folders
    #[arg(long, value_name = "F", num_args = 1.., requires = "model")]
    text: Vec<PathBuf>,
    /// Where to look in it, like 3.res [default: the residual stream in its middle]
    #[arg(long, requires = "model")]
    site: Option<String>,
    /// A dictionary of the model, to steer with in place of those that `steering` would train
    #[arg(long, value_name = "DICT", requires = "model")]
    sae: Option<PathBuf>,
    /// Contrast pairs to steer by, JSON lines with concept, prompt, on, off [default: forty of each of six concepts, in English]
    #[arg(long, value_name = "FILE", requires = "model")]
    pairs: Option<PathBuf>,
    /// From which all seeds follow
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder to write [default: lab/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue in --out, with what is finished there
    #[arg(long)]
    resume: bool,
}

fn rung(name: &str) -> Result<RungName, String> {
    let all = [RungName::Planted, RungName::Organism, RungName::Model];
    all.into_iter()
        .find(|rung| rung.to_string() == name)
        .ok_or_else(|| format!("expected planted, organism or model, found {name}"))
}

pub fn run(args: &LabArgs, global: &Global) -> anyhow::Result<()> {
    if args.name == "list" {
        return list(global);
    }
    let experiment = args.experiment()?;
    let rungs = args.rungs(experiment)?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("lab").join(&args.name));
    let inputs: Vec<&Path> = args
        .model
        .iter()
        .chain(&args.text)
        .chain(&args.sae)
        .chain(&args.pairs)
        .map(PathBuf::as_path)
        .collect();
    let Some(out) = global.output_folder(&out, &LAB, args.resume, &inputs)? else {
        let names: Vec<String> = rungs.iter().map(ToString::to_string).collect();
        let json = serde_json::json!({ "lab": args.name, "rungs": names, "quick": args.quick });
        return global.tell(&json, format_args!("{} on {}", args.name, names.join(", ")));
    };
    let began = Instant::now();
    let found = with_bars(args, experiment, &rungs, &out.path, global)?;
    let seconds = serde_json::json!({ "seconds": began.elapsed().as_secs_f64() });
    lapidary_files::publish(&out.path.join("timing.json"), seconds.to_string().as_bytes())?;
    let page = args.out.clone().unwrap_or_else(|| Path::new("lab").join(&args.name)).join("README.md");
    out.finish()?;
    if global.json { terminal::line(serde_json::to_string_pretty(&found)?) } else { print(&found, &page) }
}

impl LabArgs {
    fn experiment(&self) -> anyhow::Result<&'static Experiment> {
        if let Some(found) = EXPERIMENTS.iter().find(|e| e.name == self.name) {
            return Ok(found);
        }
        let runs: Vec<&str> = EXPERIMENTS.iter().map(|e| e.name).collect();
        match QUESTIONS.iter().find(|q| q.name == self.name) {
            Some(q) => bail!("{}: does not run yet; those that do: {}", q.name, runs.join(", ")),
            None => {
                bail!("{}: expected list or one of {}, found no such experiment", self.name, runs.join(", "))
            }
        }
    }

    fn rungs(&self, experiment: &Experiment) -> anyhow::Result<Vec<RungName>> {
        if let Some(other) = self.rungs.iter().find(|rung| !experiment.rungs.contains(rung)) {
            let can: Vec<String> = experiment.rungs.iter().map(ToString::to_string).collect();
            bail!(
                "--rungs: expected one of {}, on which {} can run, found {other}",
                can.join(", "),
                self.name
            );
        }
        if !experiment.rungs.contains(&RungName::Model) && self.model.is_some() {
            bail!("--model: {} needs the truth, which is known of no such model; leave it out", self.name);
        }
        if self.name != "steering" && (self.sae.is_some() || self.pairs.is_some()) {
            bail!(
                "--sae and --pairs are for steering, found {}, which makes its own; leave them out",
                self.name
            );
        }
        if !self.rungs.is_empty() && !self.rungs.contains(&RungName::Model) && self.model.is_some() {
            bail!(
                "--rungs: expected model among them, because --model is named, found none; add it, or leave --model out"
            );
        }
        if self.rungs.contains(&RungName::Model) && self.model.is_none() {
            bail!("--rungs model: expected --model and --text, found none; name them");
        }
        let asked = |rung: &RungName| match self.rungs.as_slice() {
            [] => *rung != RungName::Model || self.model.is_some(),
            asked => asked.contains(rung),
        };
        Ok(experiment.rungs.iter().copied().filter(asked).collect())
    }
}

fn with_bars(
    args: &LabArgs,
    experiment: &'static Experiment,
    rungs: &[RungName],
    folder: &Path,
    global: &Global,
) -> anyhow::Result<Found> {
    let stop = stop_on_interrupt()?;
    let mut bar: Option<Progress> = None;
    let mut observe = |event: Event<'_>| {
        if let (Event::Began(_) | Event::Reused(_), Some(bar)) =
            (event, bar.take_if(|_| !matches!(event, Event::Progress(..))))
        {
            bar.finish();
        }
        match event {
            Event::Began(name) if !global.quiet => terminal::note(name),
            Event::Reused(name) if !global.quiet => terminal::note(format_args!("{name}: was finished")),
            Event::Note(line) => terminal::note(line),
            Event::Progress(done, total, unit) => {
                bar.get_or_insert_with(|| Progress::new(global.quiet, "", total, unit)).set_of(done, total);
            }
            _ => {}
        }
    };
    let real = args.model.clone().map(|model| Real {
        model,
        text: args.text.clone(),
        site: args.site.clone(),
        dictionary: args.sae.clone(),
        pairs: args.pairs.clone(),
    });
    let mut lab = Lab {
        effort: if args.quick { Effort::Quick } else { Effort::Full },
        seed: args.seed,
        catalog: &global.catalog,
        folder,
        real,
        observe: &mut observe,
        interrupted: &|| stop.load(SeqCst),
    };
    Ok(lapidary_lab::run(&mut lab, experiment, rungs)?)
}

fn print(found: &Found, page: &Path) -> anyhow::Result<()> {
    let columns =
        [("rung", Align::Left), ("claim", Align::Left), ("verdict", Align::Left), ("margin", Align::Right)];
    let mut rows = Vec::new();
    for report in &found.reports {
        for v in &report.verdicts {
            rows.push(vec![
                report.rung.clone(),
                v.claim.clone(),
                v.outcome.to_string(),
                significant(v.margin, 3),
            ]);
        }
    }
    terminal::print(format_args!(
        "{}\n\n{}\n\n{}\n{}\n",
        found.question,
        found.answer,
        text(&columns, &rows),
        page.display()
    ))
}

fn list(global: &Global) -> anyhow::Result<()> {
    if global.json {
        let json: Vec<serde_json::Value> = QUESTIONS
            .iter()
            .map(|q| serde_json::json!({ "number": q.number, "name": q.name, "question": q.text, "runs": q.experiment().is_some() }))
            .collect();
        return terminal::line(serde_json::Value::Array(json));
    }
    let mut section = "";
    for q in QUESTIONS {
        if q.section != section {
            section = q.section;
            terminal::line(format_args!("\n{section}"))?;
        }
        let runs = if q.experiment().is_some() { "runs" } else { "not yet" };
        terminal::line(format_args!("  {:<4} {:<16} {runs:<8} {}", q.number, q.name, q.text))?;
    }
    let running = QUESTIONS.iter().filter(|q| q.experiment().is_some()).count();
    terminal::line(format_args!("\n{running} of {} run: lapidary lab NAME [--quick]", QUESTIONS.len()))
}
