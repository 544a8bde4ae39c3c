//! `lapidary world planted`: dictionaries trained on rows whose true sparse code is known, and what they recovered of it.
//! `lapidary world planted-rows`: the same rows for whoever else trains on them.
//!
//! The rows come from `world::planted`, the training from `trainer` as in any run (C, preset, checkpoints), the scores from
//! `evaluation::truth` on rows that were never trained on; the oracle is always scored too. A planted dictionary has no text,
//! so nothing here is a suite, and `lapidary evaluate` has no use for the run.

mod cost;
mod plan;
mod report;
mod run;

use crate::global::Global;
use crate::terminal;
use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use cost::{Cost, Job};
use lapidary_dictionary::{Dictionary, load};
use lapidary_ground_truth::planted::rows::{SizeName, WINDOW, Which, known_rows, write_rows};
use lapidary_ground_truth::planted::score::{Scorer, Subject};
use lapidary_trainer::{DictionaryPlan, Measured, Recipe};
use lapidary_world::planted::Planted;
use plan::{Asked, PlantedPlan};
use report::Report;
use run::{Folder, Trained, batches, measured, norm};
use std::path::{Path, PathBuf};

/// Which planted dictionary.
#[derive(Args, Clone, Copy)]
struct WhichArgs {
    /// everyday: D 128, 2,048 directions, drawn in a second; full: D 768, 16,384 directions, drawn in minutes
    #[arg(long, default_value_t = SizeName::Everyday, value_parser = size())]
    size: SizeName,
    /// Seed of the planted dictionary, its rows, and training
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// The sizes, which the manual lists.
fn size() -> impl TypedValueParser<Value = SizeName> {
    PossibleValuesParser::new(["everyday", "full"]).try_map(|name| name.parse::<SizeName>())
}

impl WhichArgs {
    fn which(self) -> Which {
        Which { size: self.size, seed: self.seed }
    }
}

/// Train on planted dictionaries, whose true features are known, and say how much of them was found
///
/// Rows are sums of a few of many known unit directions ("everyday": 2,048 in 128 dimensions; "full": 16,384 in 768, the numbers
/// of SynthSAEBench-16k), with Zipf rates, correlated firing, trees of features with exclusive siblings, and circles. One
/// dictionary per architecture and λ or L0 is trained on them, all in one pass, and for JumpReLU its frozen-decoder baseline;
/// then they are scored on fresh rows: one-to-one F1 of firing, mean correlation coefficient (MCC) and share of directions
/// recovered. The oracle, true coefficients on true directions, scores 1 on all of these. With --out the dictionaries are kept
/// in DIR/dictionaries; --score reads such folders, or SAELens', and scores them on the rows that follow --samples.
///
/// Caveat: the Zipf rates ask siblings together for more than their parent gives, so they share out nearly all of it: a parent
/// almost never fires without one of its children, and is nearly the union of them. Trained decoder rows then hold a child with
/// the parents above it (absorption), and few single directions count as recovered. In a run with the defaults, λ 0.01, 67 % of
/// the rows had |cos| of 0.9 or more with the span of one such path, and 1 % with a single direction.
#[derive(Args)]
pub struct PlantedArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Rows to train on; fresh rows are those after them
    #[arg(long, value_name = "ROWS", default_value_t = 2_000_000)]
    samples: u64,
    #[command(flatten)]
    asked: Asked,
    /// Recipe: short (rates derived from the number of steps) or gemma-scope (as published, for 10⁶ steps)
    #[arg(long, value_enum, default_value_t = PresetName::Short)]
    preset: PresetName,
    /// Fresh rows to score on
    #[arg(long, value_name = "ROWS", default_value_t = 50_000)]
    truth_rows: usize,
    /// Score the oracle only; train nothing
    #[arg(long)]
    oracle: bool,
    /// Score these dictionaries (folders of any format that is read); train nothing
    #[arg(
        long,
        value_name = "DICT",
        num_args = 1..,
        conflicts_with_all = ["oracle", "resume", "width", "architecture", "lambdas", "target_l0", "no_baselines", "preset"]
    )]
    score: Vec<PathBuf>,
    /// Folder to keep: plan, training health, checkpoints, dictionaries, scores [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the run in --out from its last checkpoint
    #[arg(long, requires = "out")]
    resume: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PresetName {
    Short,
    GemmaScope,
}

/// Write rows of a planted dictionary to stdout: raw little-endian f32 [count, D], no header
///
/// Rows 0 .. SAMPLES are what `lapidary world planted --samples SAMPLES` trains on, in another order. A reader may stop at any
/// row.
#[derive(Args)]
pub struct PlantedRowsArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// The first row
    #[arg(long, value_name = "ROW", default_value_t = 0)]
    first: u64,
    /// Rows to write
    #[arg(long, value_name = "ROWS")]
    count: u64,
}

pub fn planted_rows(args: &PlantedRowsArgs, global: &Global) -> anyhow::Result<()> {
    if args.first.checked_add(args.count).is_none() {
        bail!("--count: expected rows below 2^64, found {} from {} on; lower it", args.count, args.first);
    }
    if global.dry_run {
        let (count, d) = (args.count, args.which.which().config().d);
        let json = serde_json::json!({ "rows": count, "d": d, "bytes": 4 * u128::from(count) * d as u128 });
        return global.tell(&json, format_args!("{count} rows of {d} f32 to stdout"));
    }
    terminal::write(|out| write_rows(&args.which.which().draw(), args.first, args.count, out))
}

pub fn planted(args: &PlantedArgs, global: &Global) -> anyhow::Result<()> {
    let recipe = args.recipe()?;
    let config = args.which.which().config();
    let inputs: Vec<&Path> = args.score.iter().map(PathBuf::as_path).collect();
    let folder = Folder::open(args.out.as_deref(), args.resume, &inputs, global)?;
    let given = args.given(config.d, global)?;
    let job = Job {
        config: &config,
        recipe: &recipe,
        dictionaries: &args.dictionaries(&recipe, 1.0, None)?,
        scored: &given.iter().map(|(_, dictionary)| dictionary.width()).collect::<Vec<_>>(),
        truth_rows: args.truth_rows,
        kept: args.out.is_some(),
    };
    let cost = Cost::of(&job, global.catalog.device);
    let Some(folder) = folder else { return global.tell(&job.json(&cost), job.describe(&cost)) };
    cost.check_memory()?;
    if !global.quiet {
        terminal::note(job.describe(&cost));
    }
    let planted = args.which.which().draw();
    let trained = if args.trains() { Some(args.train(&planted, recipe, &folder, global)?) } else { None };
    let report = args.report(&planted, trained.as_ref(), &given, &folder, global)?;
    let json = serde_json::to_string_pretty(&report)?;
    if folder.kept() {
        lapidary_files::publish(&folder.path.join("scores.json"), json.as_bytes())?;
    }
    folder.finish()?;
    if global.json {
        terminal::line(json)?
    } else {
        terminal::print(report.table())?
    }
    trained.map_or(Ok(()), |trained| trained.check_all())
}

impl PlantedArgs {
    fn trains(&self) -> bool {
        !self.oracle && self.score.is_empty()
    }

    /// Refuses what cannot be done, by name.
    fn recipe(&self) -> anyhow::Result<Recipe> {
        if self.truth_rows == 0 {
            bail!("--truth-rows: expected at least 1, found 0; some 10,000 show most directions");
        }
        let of = |steps| match self.preset {
            PresetName::Short => Recipe::short(steps, self.which.which().config().d),
            PresetName::GemmaScope => Recipe::gemma_scope(steps),
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

    /// The dictionaries of --score, each with what the report calls it.
    fn given(&self, d: usize, global: &Global) -> anyhow::Result<Vec<(String, Dictionary)>> {
        let mut out = Vec::new();
        for path in &self.score {
            let (name, (dictionary, _)) = (path.display().to_string(), load(&global.catalog.find(path)?)?);
            let (d_in, d_out) = (dictionary.d_in, dictionary.d_out);
            if (d_in, d_out) != (d, d) {
                bail!(
                    "{name}: expected a dictionary from {d} to {d} dimensions, as the rows have, found one from {d_in} to \
                     {d_out}; choose another --size or dictionary"
                );
            }
            out.push((name, dictionary));
        }
        Ok(out)
    }

    /// What is trained on rows of norm `c`.
    fn dictionaries(
        &self,
        recipe: &Recipe,
        c: f64,
        measured: Option<&Measured>,
    ) -> anyhow::Result<Vec<DictionaryPlan>> {
        if !self.trains() {
            return Ok(Vec::new());
        }
        self.asked.dictionaries(recipe, self.which.which().config().d, c, measured)
    }

    fn train(
        &self,
        planted: &Planted,
        recipe: Recipe,
        folder: &Folder,
        global: &Global,
    ) -> anyhow::Result<Trained> {
        let mut batches = batches(planted, self.samples, recipe.batch)?;
        let c = norm(&mut batches)?;
        let measured = measured(&mut batches)?;
        let dictionaries = self.dictionaries(&recipe, c, Some(&measured))?;
        let plan = PlantedPlan::new(self.which.which(), self.samples, recipe, dictionaries, folder.kept());
        Trained::run(plan, &mut batches, folder, global)
    }

    /// Scores on the rows after those of training; what was trained is saved on the way, if the folder is kept.
    fn report(
        &self,
        planted: &Planted,
        trained: Option<&Trained>,
        given: &[(String, Dictionary)],
        folder: &Folder,
        global: &Global,
    ) -> anyhow::Result<Report> {
        let known = known_rows(planted, self.samples, self.truth_rows);
        let scorer = Scorer::new(planted, &known, global.catalog.device);
        let mut scores = trained.map(|t| t.scores(&scorer)).unwrap_or_default();
        let score = |(name, dictionary): &(String, Dictionary)| {
            scorer.dictionary(Subject::named(name, dictionary.width()), dictionary)
        };
        scores.extend(given.iter().map(score));
        scores.push(scorer.oracle());
        let report = Report::new(self.which.which(), planted, (self.samples, self.truth_rows), scores);
        let Some(trained) = trained else { return Ok(report) };
        if folder.kept() {
            trained.save(&folder.path, &known.x, global.catalog.device)?;
        }
        Ok(report.trained(trained.rows(), &trained.hash))
    }
}
