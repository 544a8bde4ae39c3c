//! `lapidary world planted`: dictionaries trained on rows whose true sparse code is known, and what they recovered of it.
//!
//! The rows come from `world::planted`, the training from `trainer` as in any run (C, preset, checkpoints), the scores from
//! `evaluation::truth` on rows that were never trained on. Each λ has a frozen-decoder baseline, and the oracle is always
//! scored too. A planted dictionary has no text, so nothing here is a suite, and `lapidary evaluate` has no use for the run.

use crate::commands::train::stop_on_interrupt;
use crate::global::Global;
use crate::grid::check_grid;
use crate::planted_cost::{Cost, Job};
use crate::planted_rows::{POOL_ROWS, PlantedRows, SITE, WINDOW, known_rows};
use crate::planted_scores::{PlantedScores, RECOVERED, Scorer, Subject};
use crate::progress::Progress;
use anyhow::bail;
use clap::{Args, ValueEnum};
use lapidary_report::number::{count, significant};
use lapidary_report::table::{Align, text};
use lapidary_store::{Batches, Order, norms};
use lapidary_trainer::{
    Baseline, DictionaryPlan, Event, Objective, Plan, Recipe, Run, TrainError, Training, train,
};
use lapidary_world::planted::{Planted, PlantedConfig, Size};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;

/// Version of `planted.json` and of the printed JSON.
const FORMAT: u32 = 1;

/// Train on planted dictionaries, whose true features are known, and say how much of them was found
///
/// Rows are sums of a few of many known unit directions ("everyday": 2,048 in 128 dimensions; "full": 16,384 in 768, the numbers
/// of SynthSAEBench-16k), with Zipf rates, correlated firing, trees of features with exclusive siblings, and circles. A JumpReLU
/// dictionary per λ and its frozen-decoder baseline are trained on them, then scored on fresh rows: one-to-one F1 of firing,
/// mean correlation coefficient (MCC) and share of directions recovered. The oracle, true coefficients on true directions,
/// scores 1 on all of these.
///
/// Caveat: the Zipf rates ask siblings together for more than their parent gives, so they share out nearly all of it: a parent
/// almost never fires without one of its children, and is nearly the union of them. Trained decoder rows then hold a child with
/// the parents above it (absorption), and few single directions count as recovered. In a run with the defaults, λ 0.01, 67 % of
/// the rows had |cos| of 0.9 or more with the span of one such path, and 1 % with a single direction.
#[derive(Args)]
pub struct PlantedArgs {
    /// everyday: D 128, 2,048 directions, drawn in a second; full: D 768, 16,384 directions, drawn in minutes
    #[arg(long, value_enum, default_value_t = SizeName::Everyday)]
    size: SizeName,
    /// Seed of the planted dictionary, its rows, and training
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Rows to train on
    #[arg(long, value_name = "ROWS", default_value_t = 2_000_000)]
    samples: u64,
    /// Features of each trained dictionary
    #[arg(long, value_name = "F", default_value_t = 512)]
    width: usize,
    /// Weights of the L0 term, as in a suite: one dictionary and one baseline for each
    #[arg(long, value_name = "L,…", value_delimiter = ',', default_value = "0.003,0.01")]
    lambdas: Vec<f64>,
    /// Recipe: short (rates derived from the number of steps) or gemma-scope (as published, for 10⁶ steps)
    #[arg(long, value_enum, default_value_t = PresetName::Short)]
    preset: PresetName,
    /// Fresh rows to score on
    #[arg(long, value_name = "ROWS", default_value_t = 50_000)]
    truth_rows: usize,
    /// Score the oracle only; train nothing
    #[arg(long)]
    oracle: bool,
    /// Folder to keep: plan, training health, checkpoints, scores [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the run in --out from its last checkpoint
    #[arg(long, requires = "out")]
    resume: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum SizeName {
    Everyday,
    Full,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PresetName {
    Short,
    GemmaScope,
}

/// `planted.json`: all that the numbers depend on.
#[derive(Serialize)]
struct PlantedPlan {
    format: u32,
    size: SizeName,
    seed: u64,
    samples: u64,
    training: Plan,
}

/// What is printed with --json, and kept as `scores.json`.
#[derive(Serialize)]
struct Report {
    format: u32,
    size: SizeName,
    seed: u64,
    /// M.
    directions: usize,
    /// D.
    d: usize,
    /// Expected, by the rates.
    true_l0: f64,
    /// Rows of training; 0 for the oracle alone.
    trained_rows: u64,
    truth_rows: usize,
    recovered_cosine: f64,
    /// Of `planted.json`.
    plan_hash: Option<String>,
    dictionaries: Vec<PlantedScores>,
}

pub fn planted(args: &PlantedArgs, global: &Global) -> anyhow::Result<()> {
    let recipe = args.recipe()?;
    let config = args.config();
    let job = args.job(&config, &recipe);
    let cost = Cost::of(&job, global.device);
    if global.dry_run {
        println!("{}", job.describe(&cost));
        return Ok(());
    }
    cost.check_memory()?;
    if !global.quiet {
        eprintln!("{}", job.describe(&cost));
    }
    let folder = Folder::open(args, global)?;
    let planted = Planted::new(args.seed, config);
    let trained =
        if args.oracle { None } else { Some(args.train(&planted, recipe, &folder.path, global)?) };
    let report = args.report(&planted, trained, global);
    let json = serde_json::to_string_pretty(&report)?;
    if args.out.is_some() {
        lapidary_files::publish(&folder.path.join("scores.json"), json.as_bytes())?;
    }
    if global.json {
        println!("{json}")
    } else {
        print!("{}", report.table())
    }
    Ok(())
}

impl PlantedArgs {
    fn config(&self) -> PlantedConfig {
        match self.size {
            SizeName::Everyday => Size::Everyday.config(),
            SizeName::Full => Size::Full.config(),
        }
    }

    /// Refuses what cannot be done, by name.
    fn recipe(&self) -> anyhow::Result<Recipe> {
        check_grid(&[self.width], &self.lambdas)?;
        if self.truth_rows == 0 {
            bail!("--truth-rows: expected at least 1, found 0; some 10,000 show most directions");
        }
        let of = match self.preset {
            PresetName::Short => Recipe::short,
            PresetName::GemmaScope => Recipe::gemma_scope,
        };
        let batch = of(1).batch as u64;
        if self.samples < batch {
            let found = self.samples;
            bail!("--samples: expected at least one batch of {batch} rows, found {found}; raise it");
        }
        let most = u64::from(u32::MAX) * WINDOW as u64;
        if self.samples > most {
            bail!("--samples: expected at most {most} rows, found {}; lower it", self.samples);
        }
        Ok(of(self.samples / batch))
    }

    fn job<'a>(&self, config: &'a PlantedConfig, recipe: &'a Recipe) -> Job<'a> {
        Job {
            config,
            recipe,
            width: self.width,
            lambdas: if self.oracle { 0 } else { self.lambdas.len() },
            truth_rows: self.truth_rows,
            kept: self.out.is_some(),
        }
    }

    /// What is trained: each λ, then its baseline.
    fn plan(&self, recipe: Recipe, c: f64) -> PlantedPlan {
        let (d, width) = (self.config().d, self.width);
        let theta_init = recipe.theta_init(d, width);
        let kinds = [None, Some(Baseline::FrozenDecoder)];
        let dictionary = |lambda: f64, baseline: Option<Baseline>| {
            let of = baseline.map(|b| format!("-{b}")).unwrap_or_default();
            let name = format!("{SITE}-width{width}-lambda{lambda}{of}");
            DictionaryPlan {
                name,
                site: SITE.into(),
                d,
                width,
                lambda,
                c,
                theta_init,
                baseline,
                objective: Objective::GEMMA_SCOPE,
                prefixes: Vec::new(),
                transcoder: None,
                target_l0: None,
                start: None,
            }
        };
        let dictionaries = self.lambdas.iter().flat_map(|&l| kinds.map(|kind| dictionary(l, kind))).collect();
        let every = |parts: u64| (recipe.steps / parts).max(1);
        // Nobody resumes a run without a folder.
        let checkpoint_every = if self.out.is_some() { every(20) } else { recipe.steps };
        let log_every = every(200);
        let training = Plan { recipe, dictionaries, seed: self.seed, checkpoint_every, log_every };
        PlantedPlan { format: FORMAT, size: self.size, seed: self.seed, samples: self.samples, training }
    }

    fn train(
        &self,
        planted: &Planted,
        recipe: Recipe,
        folder: &Path,
        global: &Global,
    ) -> anyhow::Result<Trained> {
        let order = Order { seed: self.seed, pool_rows: POOL_ROWS };
        let mut batches = Batches::new(PlantedRows::new(planted, self.samples), order, recipe.batch)?;
        let c = norms(&mut batches, POOL_ROWS as u64).map_err(anyhow::Error::from_boxed)?[0];
        let plan = self.plan(recipe, c);
        let json = serde_json::to_string_pretty(&plan)?;
        let hash = lapidary_files::hash::bytes(json.as_bytes());
        if !self.resume {
            lapidary_files::publish(&folder.join("planted.json"), json.as_bytes())?;
        }
        let built_by = format!("{} {:?}", env!("CARGO_PKG_VERSION"), global.device);
        let run = Run {
            plan: &plan.training,
            plan_hash: &hash,
            built_by: &built_by,
            folder,
            device: global.device,
            start: &BTreeMap::new(),
        };
        let stop = stop_on_interrupt()?;
        let batch = plan.training.recipe.batch as u64;
        let mut bar = Progress::new(global, "training", plan.training.recipe.steps * batch, "rows");
        let mut observe = |event: Event<'_>| match event {
            Event::Skipped(error) => bar.say(&format!("passing over a damaged checkpoint: {error}")),
            Event::Began(0) | Event::Rows | Event::Phase(_) | Event::Checkpoint(_) => {}
            Event::Began(step) => {
                bar.say(&format!("resuming after step {step}"));
                bar.resume_at(step * batch);
            }
            Event::Stopped(name, stopped) => {
                bar.say(&format!("{name} stopped at step {}: {}", stopped.step, stopped.reason));
            }
            Event::Step(done, _) => bar.set(done * batch),
        };
        let trained = train(&run, &mut batches, self.resume, &|| stop.load(SeqCst), &mut observe);
        bar.finish();
        match trained {
            Err(TrainError::Interrupted { step, steps }) if self.out.is_none() => {
                bail!("stopped at step {step} of {steps}; nothing is kept without --out")
            }
            trained => Ok(Trained { plan: plan.training, hash, dictionaries: trained? }),
        }
    }

    /// Scores on the rows after those of training.
    fn report(&self, planted: &Planted, trained: Option<Trained>, global: &Global) -> Report {
        let known = known_rows(planted, self.samples, self.truth_rows);
        let scorer = Scorer::new(planted, &known, global.device);
        let mut dictionaries = trained.as_ref().map(|t| t.scores(&scorer)).unwrap_or_default();
        dictionaries.push(scorer.oracle());
        let rows = |t: &Trained| t.plan.recipe.steps * t.plan.recipe.batch as u64;
        Report {
            format: FORMAT,
            size: self.size,
            seed: self.seed,
            directions: planted.config.features,
            d: planted.config.d,
            true_l0: planted.mean_l0(),
            trained_rows: trained.as_ref().map_or(0, rows),
            truth_rows: self.truth_rows,
            recovered_cosine: RECOVERED,
            plan_hash: trained.map(|t| t.hash),
            dictionaries,
        }
    }
}

/// A finished training.
struct Trained {
    plan: Plan,
    hash: String,
    dictionaries: Vec<Training>,
}

impl Trained {
    /// Of the dictionaries that were not given up.
    fn scores(&self, scorer: &Scorer<'_>) -> Vec<PlantedScores> {
        let pairs = self.plan.dictionaries.iter().zip(&self.dictionaries);
        let score = |(d, training): (&DictionaryPlan, &Training)| {
            let subject = Subject {
                name: d.name.clone(),
                width: d.width,
                lambda: Some(d.lambda),
                baseline: d.baseline,
            };
            scorer.dictionary(subject, &training.dictionary(d, &self.plan.recipe))
        };
        pairs.filter(|(_, training)| training.stopped.is_none()).map(score).collect()
    }
}

/// The run's folder; a temporary one goes away with this.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn open(args: &PlantedArgs, global: &Global) -> anyhow::Result<Folder> {
        let Some(out) = &args.out else {
            let name = format!("lapidary-planted-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            lapidary_files::create_dir(&path)?;
            return Ok(Folder { path, temporary: true });
        };
        if args.resume {
            if !out.join("planted.json").is_file() {
                let out = out.display();
                bail!("{out}: expected a run with planted.json in it, found none; start it without --resume");
            }
        } else {
            global.output_dir(out)?;
        }
        Ok(Folder { path: out.clone(), temporary: false })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.path); // best effort: the system clears its folder too
        }
    }
}

impl Report {
    fn table(&self) -> String {
        let columns = [
            ("dictionary", Align::Left),
            ("width", Align::Right),
            ("L0", Align::Right),
            ("FVU", Align::Right),
            ("matched F1", Align::Right),
            ("F1 by cosine", Align::Right),
            ("MCC", Align::Right),
            ("recovered", Align::Right),
        ];
        let rows: Vec<Vec<String>> = self.dictionaries.iter().map(row).collect();
        format!("{}\n{}", text(&columns, &rows), self.explanation())
    }

    fn explanation(&self) -> String {
        let scored = self.dictionaries.last().map_or(0, |oracle| oracle.matched_f1.indicators);
        let mut out = format!(
            "Scored on {} fresh rows. matched F1: by firing, one to one, mean over {} planted features; F1 by cosine: each of the\n\
             dictionary's features against its nearest direction; MCC: mean |cos| of pairs; recovered: share of the {} directions\n\
             with |cos| of {RECOVERED} or more.",
            count(self.truth_rows as u64),
            count(scored),
            count(self.directions as u64),
        );
        if let Some(first) = self.dictionaries.iter().find(|d| d.subject.width < self.directions) {
            let most = first.subject.width as f64 / self.directions as f64;
            let f1 = (first.subject.width as f64 / scored.max(1) as f64).min(1.0);
            out += &format!(
                " Width {} can have matched F1 {} and recovered {} at most.",
                count(first.subject.width as u64),
                significant(f1, 3),
                significant(most, 3)
            );
        }
        out.push('\n');
        if matches!(self.size, SizeName::Full) {
            out += PUBLISHED;
        }
        out
    }
}

const PUBLISHED: &str = "Published on SynthSAEBench-16k: F1 (by cosine) 0.61, BatchTopK of width 4,096 at L0 25; that is another \
width, objective and number of rows.\n";

fn row(scores: &PlantedScores) -> Vec<String> {
    let PlantedScores { subject, l0, fvu, matched_f1, f1_by_cosine, mean_correlation, recovered, .. } =
        scores;
    let name = match (subject.lambda, subject.baseline) {
        (None, _) => subject.name.clone(),
        (Some(lambda), None) => format!("λ {lambda}"),
        (Some(lambda), Some(baseline)) => format!("λ {lambda}, {baseline}"),
    };
    let numbers = [*l0, *fvu, matched_f1.value, *f1_by_cosine, *mean_correlation, *recovered];
    let width = count(subject.width as u64);
    [name, width].into_iter().chain(numbers.map(|x| significant(x, 3))).collect()
}
