//! `lapidary train`: a suite file becomes a run folder. Rows come from one fused pass of the model, or from a store.

use crate::differences::differences;
use crate::estimate::{self, Estimate};
use crate::global::Global;
use lapidary_catalog::Opened;
use crate::output::RUN;
use crate::plan::{Places, RunPlan};
use crate::progress::Progress;
use crate::random_rows::{WithRandom, site_rows};
use crate::stopwatch::Stopwatch;
use crate::tensorboard::EventFiles;
use lapidary_catalog::text::{Text, unscorable};
use crate::{run_folder, start, terminal};
use anyhow::{Context, bail};
use lapidary_files::OutFolder;
use lapidary_harvest::FusedRows;
use lapidary_lm::{Site, Spec};
use lapidary_store::{Batches, Order, RowSource, SiteRows, StoreReader, norms};
use lapidary_suite::file::{Suite, presets};
use lapidary_text::{Corpus, Split, resolve_context};
use lapidary_trainer::{Baseline, DictionaryPlan, Event, Run, Training, train};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

/// Train the dictionaries of a suite file
///
/// Writes into the run folder: `plan.json` (every number, derived from the suite), `metrics.jsonl` (training health) and the
/// same as `tensorboard/` event files, `checkpoints/`, and at the end `dictionaries/`, one folder each. Rows come from one pass of the language model that
/// feeds every dictionary, or from a store when the suite says `[rows] store = "STORE"`. Stop it at any time: Ctrl-C (or
/// SIGTERM) saves the step that it has come to, and the same command with --resume continues from there and ends with the
/// same bytes. A dictionary whose loss is no number, or beyond all measure, is given up; the others go on, and the command
/// ends with exit code 1 and the reason.
///
/// Keys of a suite: model (and ignore_config_keys), text, context, tokens, seed, preset (short if left out, gemma-scope; for
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
    train_suite(&args, global, true)
}

/// With `tell`, the plan goes to stderr and what was trained to stdout; bars are shown either way.
pub fn train_suite(args: &TrainArgs, global: &Global, tell: bool) -> anyhow::Result<()> {
    let suite = Suite::read(&args.suite)?;
    let text = Text::parse(&suite.text, &global.catalog)?;
    let store = suite.rows.store.as_ref().map(|s| global.catalog.find(s)).transpose()?;
    let out = output(args, &suite, &text, store.as_deref(), global)?;
    let opened = Opened::open(&suite.model, &suite.ignore_config_keys, &global.catalog)?;
    let spec = &opened.spec;
    let context = resolve_context(spec, suite.context)?;
    let random = |baseline| baseline == Some(Baseline::RandomLm);
    let sites = sites_of(&suite, spec, |baseline| !random(baseline))?;
    let random_sites = sites_of(&suite, spec, random)?;
    let corpus = text.corpus(&opened, context, Split::Train)?;
    unscorable(&corpus).iter().for_each(terminal::note);
    let ignore_config_keys = [&suite.ignore_config_keys[..], &global.catalog.ignore_config_keys].concat();
    let model = absolute(&opened.folder)?;
    let places = Places { model, text: text.places()?, store: store.clone(), ignore_config_keys };
    let (suite, opened, corpus) = (&suite, &opened, &corpus);
    let job = Job { args, suite, opened, corpus, context, places, global, tell };
    job.run_on(store, &sites, &random_sites, out)
}

/// The run's folder, before anything large is read.
fn output(
    args: &TrainArgs,
    suite: &Suite,
    text: &Text,
    store: Option<&Path>,
    global: &Global,
) -> anyhow::Result<Option<OutFolder>> {
    let model = global.catalog.find(&suite.model).unwrap_or_default(); // what is wrong with it is said when it is opened
    let inits: Vec<PathBuf> = suite.inits().filter_map(|init| global.catalog.find(init).ok()).collect();
    let mut inputs = vec![args.suite.as_path(), &model];
    inputs.extend(store);
    inputs.extend(text.files().iter().chain(&inits).map(PathBuf::as_path));
    global.output_folder(&args.out, &RUN, args.resume, &inputs)
}

/// Where rows are read or written, for the dictionaries and baselines that `which` chooses; each site once.
fn sites_of(
    suite: &Suite,
    spec: &Spec,
    which: impl Fn(Option<Baseline>) -> bool,
) -> anyhow::Result<Vec<Site>> {
    let grids = suite.grids(spec)?;
    let chosen = grids.iter().filter(|grid| which(grid.baseline));
    let mut sites: Vec<Site> = chosen.flat_map(|grid| grid.sites()).collect();
    sites.sort_by_key(|site| site.rank());
    sites.dedup();
    Ok(sites)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}

/// A suite with everything that it names, opened.
struct Job<'a> {
    args: &'a TrainArgs,
    suite: &'a Suite,
    opened: &'a Opened,
    corpus: &'a Corpus,
    context: usize,
    places: Places,
    global: &'a Global,
    tell: bool,
}

impl Job<'_> {
    /// Trains on rows of the store, or on those of one pass of the model. `out` is where the run is written; without it, in a
    /// dry run, only the plan and its cost are told.
    fn run_on(
        &self,
        store: Option<PathBuf>,
        sites: &[Site],
        random_sites: &[Site],
        out: Option<OutFolder>,
    ) -> anyhow::Result<()> {
        let spec = &self.opened.spec;
        if let Some(folder) = store {
            let source = StoreReader::open(&folder)?;
            self.check_store(&source, &folder)?;
            let source = source.select(&sites.iter().map(ToString::to_string).collect::<Vec<_>>())?;
            let drafted = self.estimate(source.sites())?;
            return out.map_or_else(|| self.tell_cost(&drafted), |out| self.run(source, &drafted, out));
        }
        let drafted = self.estimate(&site_rows(spec, sites, random_sites))?;
        let Some(out) = out else { return self.tell_cost(&drafted) };
        let model = self.opened.model()?; // everything that can be wrong without it has been checked
        let dtype = self.suite.rows.dtype;
        let real = FusedRows::new(model, self.corpus, sites, dtype)?;
        if random_sites.is_empty() {
            return self.run(real, &drafted, out);
        }
        let random = model.randomised(self.suite.seed);
        let random = FusedRows::new(&random, self.corpus, random_sites, dtype)?;
        self.run(WithRandom::new(real, random), &drafted, out)
    }

    /// The plan, but for what is measured, and what it would cost.
    fn estimate(&self, sites: &[SiteRows]) -> anyhow::Result<(RunPlan, Estimate)> {
        let draft = self.draft(sites, &vec![1.0; sites.len()])?;
        let fused = self.places.store.is_none();
        let estimate = estimate::of(&draft, self.opened.parameters, self.corpus, self.global.catalog.device, fused);
        if !self.global.dry_run {
            estimate::check_memory(&estimate)?;
            draft.training.check()?;
        }
        Ok((draft, estimate))
    }

    fn tell_cost(&self, (draft, estimate): &(RunPlan, Estimate)) -> anyhow::Result<()> {
        let text = self.describe("dry run", draft, estimate);
        self.global.tell(&estimate::json(draft, estimate), text)
    }

    fn run<S: RowSource>(
        &self,
        source: S,
        (draft, estimate): &(RunPlan, Estimate),
        out: OutFolder,
    ) -> anyhow::Result<()> {
        let order = Order { seed: self.suite.seed, pool_rows: self.suite.rows.pool_rows };
        let sites = source.sites().to_vec();
        let mut batches = Batches::new(source, order, draft.training.recipe.batch)?;
        let folder = &out.path;
        let norms = self.norms(&mut batches, folder)?;
        let plan = self.resolve(&sites, &norms)?;
        if let Some(trained) = self.finished(folder, &plan)? {
            out.finish()?;
            return run_folder::check_all(&self.args.out, &plan, &trained);
        }
        self.prepare(folder, &plan)?;
        if self.tell && !self.global.quiet {
            terminal::note(self.describe(&format!("{:.12}", plan.hash()), &plan, estimate));
        }
        let began = Instant::now();
        let (trained, stopwatch) = self.train(&plan, &mut batches, folder)?;
        run_folder::write_dictionaries(folder, &plan, self.opened, &trained, &mut batches)?;
        out.finish()?;
        let seconds = began.elapsed().as_secs_f64();
        if self.tell {
            run_folder::print_trained(
                &self.args.out,
                &plan,
                &trained,
                Some((seconds, &stopwatch)),
                self.global,
            )?;
        }
        run_folder::check_all(&self.args.out, &plan, &trained)
    }

    /// What a resumed run has trained, if nothing is left to do: its last figures are shown, and nothing is touched.
    fn finished(&self, folder: &Path, plan: &RunPlan) -> anyhow::Result<Option<Vec<Training>>> {
        let ended = || run_folder::finished(folder, plan, self.global.catalog.device);
        let Some(trained) = self.args.resume.then(ended).flatten() else { return Ok(None) };
        if self.tell {
            let run = folder.display();
            terminal::note(format_args!("{run}: this run is finished, nothing is left to do"));
            run_folder::print_trained(folder, plan, &trained, None, self.global)?;
        }
        Ok(Some(trained))
    }

    /// The plan in words, and what stands in it because the suite does not say it.
    fn describe(&self, title: &str, plan: &RunPlan, estimate: &Estimate) -> String {
        let plan = estimate::describe(title, plan, estimate);
        match self.suite.preset_is_default() {
            true => format!(
                "{plan}\nThe suite names no preset, so that it is {}; there are {}.",
                self.suite.preset(),
                presets()
            ),
            false => plan,
        }
    }

    /// The plan without the model's hash, which costs a look at all weights.
    fn draft(&self, sites: &[SiteRows], norms: &[f64]) -> anyhow::Result<RunPlan> {
        RunPlan::draft(self.suite, self.opened, self.corpus, self.context, sites, norms, self.global)
    }

    fn resolve(&self, sites: &[SiteRows], norms: &[f64]) -> anyhow::Result<RunPlan> {
        let mut plan = self.draft(sites, norms)?;
        self.opened.hash()?.clone_into(&mut plan.model.hash);
        Ok(plan)
    }

    /// C of each site: from the plan when resuming, else measured.
    fn norms<S: RowSource>(&self, batches: &mut Batches<S>, folder: &Path) -> anyhow::Result<Vec<f64>> {
        if self.args.resume && folder.join("plan.json").is_file() {
            let plan = RunPlan::read(folder)?;
            let c = |d: &DictionaryPlan| [(d.row_set(), d.c), (d.output_row_set(), d.c_out())];
            let all: BTreeMap<String, f64> = plan.training.dictionaries.iter().flat_map(c).collect();
            let of = |rows: &str| all.get(rows).copied();
            let known: Option<Vec<f64>> = batches.source().sites().iter().map(|s| of(&s.site)).collect();
            if let Some(known) = known {
                return Ok(known);
            }
        }
        if !self.global.quiet {
            let rows = self.suite.rows.norm_rows;
            terminal::note(format_args!("measuring the norm of each site over {rows} rows"));
        }
        norms(batches, self.suite.rows.norm_rows).map_err(anyhow::Error::from_boxed)
    }

    /// Saves the plan; a resumed run must have the plan that it began with.
    fn prepare(&self, folder: &Path, plan: &RunPlan) -> anyhow::Result<()> {
        if self.args.resume && folder.join("plan.json").is_file() {
            let differing = plan.differences(&RunPlan::read(folder)?);
            if !differing.is_empty() {
                bail!(
                    "{}: expected a run of this suite, found one that differs in its plan: {}; resume with the suite, text \
                     and model it began with, or choose another --out",
                    folder.display(),
                    differing.join("; ")
                );
            }
            return self.places.save(folder);
        }
        let suite = lapidary_files::read_string(&self.args.suite, 1 << 20)?;
        lapidary_files::publish(&folder.join("suite.toml"), suite.as_bytes())?;
        self.places.save(folder)?;
        plan.save(folder)
    }

    fn train<S: RowSource>(
        &self,
        plan: &RunPlan,
        batches: &mut Batches<S>,
        folder: &Path,
    ) -> anyhow::Result<(Vec<Training>, Stopwatch)> {
        let inits: Vec<PathBuf> = self.suite.inits().cloned().collect();
        let start = start::trainings(&plan.training, &inits, self.global)?;
        let stop = stop_on_interrupt()?;
        let hash = plan.hash();
        let built_by = run_folder::built_by(self.global.catalog.device);
        let run = Run {
            plan: &plan.training,
            plan_hash: &hash,
            built_by: &built_by,
            folder,
            device: self.global.catalog.device,
            start: &start,
        };
        let recipe = &plan.training.recipe;
        let mut bar = Progress::new(self.global, "training", recipe.steps * recipe.batch as u64, "rows");
        let mut timing = Timing::open(folder, self.args.resume)?;
        let names: Vec<&str> = plan.training.dictionaries.iter().map(|d| d.name.as_str()).collect();
        let mut board = None;
        let (mut damaged, mut stopwatch) = (false, Stopwatch::start());
        let mut observe = |event: Event<'_>| match event {
            Event::Skipped(error) => {
                damaged = true;
                bar.say(&format!("passing over a damaged checkpoint: {error}"));
            }
            Event::OddLog(odd) => bar.say(odd),
            Event::Began(step) => {
                match step {
                    0 if damaged => bar.say("no whole checkpoint is left: training from the first step"),
                    0 => {}
                    _ => {
                        bar.say(&format!("resuming after step {step}"));
                        bar.resume_at(step * recipe.batch as u64);
                    }
                }
                // Best effort, as for timing: whatever these files would say stands in the log.
                board = EventFiles::begin(folder, &names, step).ok();
            }
            Event::Stopped(name, stopped) => {
                bar.say(&format!(
                    "{name} stopped at step {}: {}; the others go on",
                    stopped.step, stopped.reason
                ));
            }
            Event::Rows => stopwatch.lap(None),
            Event::Phase(phase) => stopwatch.lap(Some(phase)),
            Event::Settling => bar.message("fitting thresholds".into()),
            Event::Checkpoint(_) => stopwatch.skip(),
            Event::Step(done, lines) => {
                bar.set(done * recipe.batch as u64);
                if let Some(first) = lines.first() {
                    let mean = |f: fn(&lapidary_trainer::Health) -> f64| {
                        lines.iter().map(f).sum::<f64>() / lines.len() as f64
                    };
                    bar.message(format!("mean L0 {:.1}, FVU {:.3}", mean(|h| h.l0), mean(|h| h.fvu)));
                    timing.line(first.step, done * recipe.batch as u64);
                    lines.iter().for_each(|line| drop(board.as_ref().map(|board| board.add(line))));
                }
            }
        };
        let trained = train(&run, batches, self.args.resume, &|| stop.load(SeqCst), &mut observe)?;
        bar.finish();
        Ok((trained, stopwatch))
    }

    /// A store must hold the rows that the fused run would see.
    fn check_store(&self, store: &StoreReader, folder: &Path) -> anyhow::Result<()> {
        let manifest = store.manifest();
        // A dry run does without the model's hash.
        let own = if self.global.dry_run { &manifest.model.hash } else { self.opened.hash()? };
        let (model, text) = (&manifest.model, &manifest.text);
        let expected = json!({
            "model": own, "documents": self.corpus.hash, "context": self.context, "dtype": self.suite.rows.dtype,
        });
        let found = json!({
            "model": model.hash, "documents": text.hash, "context": text.context, "dtype": manifest.dtype,
        });
        let differing = differences(&expected, &found);
        if !differing.is_empty() {
            bail!(
                "{}: expected the rows of this suite, found others: {}; harvest again for this suite",
                folder.display(),
                differing.join("; ")
            );
        }
        Ok(())
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
