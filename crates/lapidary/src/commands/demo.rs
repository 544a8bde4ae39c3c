//! `lapidary demo`: three dictionaries of the embedded organism, trained before your eyes, and what their features stand for.
//!
//! The organism is a small Gemma 2 that learned a language of ours (`lapidary world`): what every token means is known. The
//! demo trains at one layer only and for minutes; the suite that the binary carries (`organism-suite`) was trained for longer
//! at all of them, and its scores are those that it was released with. What is said of all this is in `demo/page.rs`.

mod page;

use crate::commands::{evaluate, serve, train};
use crate::global::Global;
use crate::terminal;
use anyhow::bail;
use lapidary_catalog::embedded::carries;
use lapidary_catalog::{CatalogError, Opened, Text, World};
use lapidary_files::{Kind, Mode, OutFolder};
use lapidary_ground_truth::Measured;
use lapidary_release::EvaluationFile;
use lapidary_release::evaluate::{AgainstTruth, Beside, On};
use lapidary_report::page::text;
use lapidary_suite::subjects::{self, Named, Run, Sites};
use lapidary_suite::{Found, Job, RunPlan, folder};
use lapidary_text::{Corpus, Split};
use lapidary_trainer::Baseline;
use std::path::{Path, PathBuf};

/// What features are, in five minutes, offline
///
/// Trains three dictionaries and two baselines on the middle layer of the organism, a small Gemma 2 inside this program whose
/// language we wrote, scores them on held-out text against the truth about every token, and prints a page: a table of
/// dictionaries, and ten features with what they stand for and where they fire. Everything is in --out afterwards. Then the suite
/// that this program carries is opened in a web app, at the address that is printed last; Ctrl-C ends it.
#[derive(clap::Args)]
pub struct DemoArgs {
    /// Folder for everything that the demo writes
    #[arg(long, value_name = "DIR", default_value = "lapidary-demo")]
    out: PathBuf,
    /// Seed of text and training: the same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    seed: u32,
    /// Use the organism that was taught to chat and to refuse
    #[arg(long)]
    chat: bool,
    /// A minute instead of five: fewer rows, poorer features
    #[arg(long)]
    quick: bool,
    /// Rows to train on, at least 2,048 [default: 1,400,000; with --quick 160,000]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(2_048..=1_000_000_000))]
    tokens: Option<u64>,
    /// End with the page, and open no app: for scripts
    #[arg(long)]
    no_serve: bool,
}

/// The folder; its page says how to make a release beside the run. `train --resume` goes on with the run.
const DEMO: Kind = Kind {
    name: "demo",
    owns: &["suite.toml", "page.txt", "run/", "release/"],
    resumed_by: Some("suite.toml"),
};

/// The middle layer's sites, their width, and the weight of the L0 term.
const SITES: &str = "2.res,2.att,2.mlp";
const BASELINES_AT: &str = "2.res";
const WIDTH: usize = 1_024;
const LAMBDA: f64 = 0.002;

/// Tokens per window, BOS included: the organism's context.
const CONTEXT: usize = 128;
/// Rows from which the norms are measured, at most.
const NORM_ROWS: u64 = 20_000;
/// Seed of the text of the demo's seed 0; the organism and its suite read others.
const TEXT_SEED: u64 = 1_000_000;
/// Least text, tokens: an eighth of it is held out.
const LEAST_TEXT: u64 = 24_000;
/// Rows compared with the truth, at most.
const TRUTH_ROWS: usize = 60_000;
/// The suite that the program carries.
const SHIPPED: &str = "organism-suite";
/// Resamples of the bootstrap; the page shows no intervals, `lapidary evaluate` does.
const RESAMPLES: usize = 200;

impl DemoArgs {
    fn rows(&self) -> u64 {
        self.tokens.unwrap_or(if self.quick { 160_000 } else { 1_400_000 })
    }

    /// Windows in which the model runs with copies of its activations.
    fn windows(&self) -> usize {
        if self.quick { 80 } else { 200 }
    }

    fn model(&self) -> &'static str {
        if self.chat { "organism-chat" } else { "organism" }
    }

    fn text(&self) -> String {
        // Seven eighths are for training, and each row is to be seen about once.
        let tokens = (self.rows() / 7 * 8).max(LEAST_TEXT);
        let policy = if self.chat { ",policy=chat" } else { "" };
        format!("world:seed={},tokens={tokens}{policy}", TEXT_SEED + u64::from(self.seed))
    }

    fn suite(&self) -> String {
        let (model, text, rows, seed) = (self.model(), self.text(), self.rows(), self.seed);
        let norm_rows = rows.min(NORM_ROWS);
        let baseline = |kind| format!("\n[[baselines]]\nbaseline = \"{kind}\"\nsites = \"{BASELINES_AT}\"\n");
        format!(
            "# What `lapidary demo` trained; again by: lapidary train suite.toml --out RUN\n\
             model = \"{model}\"\ntext = [\"{text}\"]\ncontext = {CONTEXT}\nsites = \"{SITES}\"\nwidths = [{WIDTH}]\n\
             lambdas = [{LAMBDA}]\ntokens = {rows}\npreset = \"short\"\nseed = {seed}\n\n[rows]\nnorm_rows = {norm_rows}\n{}{}",
            baseline(Baseline::FrozenDecoder),
            baseline(Baseline::RandomLm)
        )
    }
}

pub fn run(args: DemoArgs, global: &Global) -> anyhow::Result<()> {
    check_embedded(args.model(), global)?;
    let Some(out) = global.output_folder(&args.out, &DEMO, false, &[])? else {
        let (path, suite) = (args.out.join("suite.toml"), args.suite());
        let next = "run `lapidary train` on such a file with --dry-run for its cost";
        let json = serde_json::json!({ "suite_file": path, "suite": suite });
        return global.tell(&json, format_args!("{}:\n\n{suite}\n{next}", path.display()));
    };
    let (suite, run) = (out.path.join("suite.toml"), out.path.join("run"));
    lapidary_files::publish(&suite, args.suite().as_bytes())?;
    let say = |text: &str| {
        if !global.quiet {
            terminal::note(text)
        }
    };
    say("1/4  training 3 dictionaries and 2 baselines of the organism's middle layer, all in one pass");
    train(&suite, &run, global)?;
    say("2/4  scoring them on held-out text, and against the truth about every token");
    let demo = Demo::measure(&args, &run, global)?;
    say("3/4  finding features and where they fire");
    let page = page::page(&demo, &args)?;
    lapidary_files::publish(&out.path.join("page.txt"), text(&page, false).as_bytes())?;
    out.finish()?;
    match (global.json, global.colour()) {
        (true, _) => terminal::line(page::json(&page, &args.out.join("run")))?,
        (false, colour) => terminal::print(text(&page, colour))?,
    }
    if args.no_serve {
        return Ok(());
    }
    say("4/4  opening the app: its address comes last, and Ctrl-C ends it");
    match demo.shipped {
        Some(_) => serve::run(serve::ServeArgs::local(SHIPPED.into(), None), global),
        None => serve::run(serve::ServeArgs::local(run, Some(args.windows())), global),
    }
}

fn train(suite: &Path, run: &Path, global: &Global) -> anyhow::Result<()> {
    let out = OutFolder::open(run, &folder::RUN, Mode::New)?; // marked as a run, so that `train --resume` goes on with it
    let job = Job::open(Found::read(suite, &global.catalog)?, None, &global.catalog)?;
    let (trained, _) = train::steps(job, &out.path, false, global, &|_| {})?;
    out.finish()?;
    Ok(folder::check_all(run, &trained.plan, &trained.states)?)
}

fn check_embedded(model: &str, global: &Global) -> anyhow::Result<()> {
    if global.dry_run && carries(Path::new(model)) {
        return Ok(()); // to find it would be to unpack it
    }
    match global.catalog.find(Path::new(model)) {
        Err(error @ CatalogError::File(_)) => Err(error.into()),
        Err(_) => bail!(
            "{model}: expected this model inside the program, found none; use a build with models/{model} in the \
             repository, or put its folder into {}",
            global.catalog.data.display()
        ),
        Ok(_) => Ok(()),
    }
}

/// Everything that was measured.
struct Demo {
    opened: Opened,
    trained: Vec<Named>,
    measured: Measured,
    file: EvaluationFile,
    shipped: Option<Shipped>,
}

impl Demo {
    /// Scores the run and saves them as `lapidary evaluate --truth world` does.
    fn measure(args: &DemoArgs, run: &Path, global: &Global) -> anyhow::Result<Demo> {
        let opened = Opened::open(Path::new(args.model()), &[], None, &global.catalog)?;
        let trained = named(run, true)?;
        let world: World = args.text().parse()?;
        let corpus = Text::World(world).corpus(&opened, CONTEXT, Split::HeldOut)?;
        let against = AgainstTruth { world: &world, rows: TRUTH_ROWS, max_windows: None };
        let on = args.on(&opened, &corpus, args.windows(), Some(against));
        let evaluation = evaluate::with_bars(&trained, &on, global)?;
        let measured = evaluation.measured.expect("the truth was asked for");
        let shipped = Shipped::score(args, &opened, &corpus, global)?;
        let file = evaluation.file.of_run(run, &RunPlan::read(run)?)?;
        file.save(run)?;
        Ok(Demo { opened, trained, measured, file, shipped })
    }
}

/// The dictionaries of a run or a release.
fn named(run: &Path, with_random: bool) -> anyhow::Result<Vec<Named>> {
    let paths = [run.to_path_buf()];
    let quietly = |_: &str| {};
    Ok(subjects::read(&paths, &Run::among(&paths)?, Sites::default(), with_random, &quietly)?)
}

impl DemoArgs {
    fn on<'a>(
        &self,
        opened: &'a Opened,
        corpus: &'a Corpus,
        windows: usize,
        truth: Option<AgainstTruth<'a>>,
    ) -> On<'a> {
        On {
            opened,
            corpus,
            split: Split::HeldOut,
            context: CONTEXT,
            max_windows: Some(windows),
            seed: u64::from(self.seed),
            resamples: RESAMPLES,
            truth,
            beside: Beside::default(),
            elsewhere: None,
            run: None,
        }
    }
}

/// The suite that the program carries, scored now; its comparison with the truth is the one that it was released with.
struct Shipped {
    plan: RunPlan,
    file: EvaluationFile,
}

impl Shipped {
    /// None: the program carries none of this model.
    fn score(
        args: &DemoArgs,
        opened: &Opened,
        corpus: &Corpus,
        global: &Global,
    ) -> anyhow::Result<Option<Shipped>> {
        let Ok(folder) = global.catalog.find(Path::new(SHIPPED)) else { return Ok(None) };
        let plan = RunPlan::read(&folder)?;
        if plan.model.hash != opened.hash()? {
            return Ok(None);
        }
        let mut file = EvaluationFile::read(&folder, &plan.hash())?;
        let on = args.on(opened, corpus, args.windows() / 2, None);
        file.scores = evaluate::with_bars(&named(&folder, false)?, &on, global)?.file.scores;
        Ok(Some(Shipped { plan, file }))
    }
}
