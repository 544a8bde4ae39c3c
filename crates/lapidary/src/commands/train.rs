//! `lapidary train`: a suite file becomes a run folder. Rows come from one fused pass of the model, or from a store.

use crate::global::Global;
use crate::terminal::watch::{Watch, stop_on_interrupt};
use crate::{machine, terminal};
use lapidary_catalog::text::unscorable;
use lapidary_files::OutFolder;
use lapidary_release::describe::{self, describe, preset};
use lapidary_suite::estimate::{Estimate, must_fit};
use lapidary_suite::folder::{self, RUN};
use lapidary_suite::train::{How, Trained};
use lapidary_suite::{Event, Found, Job, RunPlan};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

mod pace;
mod report;

/// Train the dictionaries of a suite file
///
/// Writes into the run folder: `plan.json` (every number, derived from the suite), `metrics.jsonl` (training health) and the
/// same as `tensorboard/` event files, `checkpoints/`, and at the end `dictionaries/`, one folder each. Rows come from one pass of the language model that
/// feeds every dictionary, or from a store when the suite says `[rows] store = "STORE"`. Stop it at any time: Ctrl-C (or
/// SIGTERM) saves the step that it has come to, and the same command with --resume continues from there and ends with the
/// same bytes. A dictionary whose loss is no number, or beyond all measure, is given up; the others go on, and the command
/// ends with exit code 1 and the reason.
///
/// Keys of a suite: model (and ignore_config_keys, precision: f32 or bf16), text, context, tokens, seed, preset (short if left out, gemma-scope; for
/// jumprelu also gemma-scope-2 and anthropic, which choose the penalty); and, at the top or in a [[dictionaries]] table for
/// several kinds side by side:
/// architecture (jumprelu, topk, batchtopk, matryoshka, gated, l1), sites, transcoders = ["3.mlp-in -> 3.mlp"] with skip,
/// widths, lambdas or target_l0 (k; the target of a quadratic penalty; or a controller of λ: the printed plan says which),
/// prefixes, init = "DICT" (fine-tunes it). [[baselines]] have the same keys and baseline = "frozen-decoder",
/// "frozen-encoder", "random" or "random-lm". [rows], [recipe] and [aux] set numbers by hand.
#[derive(clap::Args)]
pub struct TrainArgs {
    /// Suite file (TOML)
    suite: PathBuf,
    /// Run folder; must be empty or missing, unless --resume or --overwrite is given. With --overwrite an old run there is
    /// kept until the new one, written beside it as RUN.lapidary-new, is finished; --resume then continues the new one
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Continue the run in --out from its last checkpoint
    #[arg(long)]
    resume: bool,
}

pub fn run(args: TrainArgs, global: &Global) -> anyhow::Result<()> {
    let found = Found::read(&args.suite, &global.catalog)?;
    let inputs: Vec<&Path> = found.inputs.iter().map(PathBuf::as_path).collect();
    let out = global.output_folder(&args.out, &RUN, args.resume, &inputs)?;
    let resumed = out.as_ref().filter(|_| args.resume).map(|out| out.path.as_path());
    let job = Job::open(found, resumed, &global.catalog)?;
    unscorable(&job.corpus).iter().for_each(terminal::note);
    let draft = job.draft()?;
    let estimate = pace::estimate(&job, &draft, global.catalog.device)?;
    let Some(out) = out else {
        let text = describe("dry run", &draft, &estimate) + &preset(&job.suite);
        return global.tell(&describe::json(&draft, &estimate), text);
    };
    must_fit(estimate.memory.total(), machine::memory(), "fewer widths or sites")?;
    draft.training.check()?;
    train(job, &args, &estimate, out, global)
}

fn train(
    job: Job<'_>,
    args: &TrainArgs,
    estimate: &Estimate,
    out: OutFolder,
    global: &Global,
) -> anyhow::Result<()> {
    let preset = preset(&job.suite);
    let planned = |plan: &RunPlan| describe(&format!("{:.12}", plan.hash()), plan, estimate) + &preset;
    let began = Instant::now();
    let (trained, watch) = steps(job, &out.path, args.resume, global, &|plan| {
        if !global.quiet {
            terminal::note(planned(plan));
        }
    })?;
    let Trained { plan, states, before } = &trained;
    if *before {
        let run = out.path.display();
        terminal::note(format_args!("{run}: this run is finished, nothing is left to do"));
    }
    let files = out.path.clone();
    out.finish()?;
    let run = if *before { &files } else { &args.out };
    let time = (!before).then(|| (began.elapsed().as_secs_f64(), &watch.stopwatch));
    report::print(run, plan, states, time, &watch.verdicts, global)?;
    Ok(folder::check_all(&args.out, plan, states)?)
}

/// Trains with a bar; `planned` is told the plan before the first step.
pub fn steps(
    job: Job<'_>,
    folder: &Path,
    resume: bool,
    global: &Global,
    planned: &dyn Fn(&RunPlan),
) -> anyhow::Result<(Trained, Watch)> {
    let stop = stop_on_interrupt()?;
    let mut watch = Watch::new(global);
    let mut logs = Ok(());
    let mut observe = |event: Event<'_>| match event {
        Event::Norms(rows) if !global.quiet => {
            terminal::note(format_args!("measuring the norm of each site over {rows} rows"));
        }
        Event::Norms(_) => {}
        Event::Planned(plan) => {
            planned(plan);
            logs = watch.begin(&plan.training, Some((folder, resume)));
        }
        Event::Training(event) => watch.see(event),
    };
    let how = How { folder, resume, interrupted: &|| stop.load(SeqCst) };
    let trained = job.train(&how, &mut observe)?;
    watch.end();
    logs?;
    Ok((trained, watch))
}
