//! `lapidary evaluate`: scores of a run's dictionaries, or of any dictionaries, on held-out text; and against the truth,
//! where the text is of the language.

use crate::evaluation_file::{EvaluationFile, Foreign, Scored, lines, remarks, row};
use crate::global::Global;
use lapidary_catalog::Opened;
use crate::plan::is_release;
use lapidary_catalog::{ModelIdentity, TextIdentity};
use crate::progress::Progress;
use crate::subjects::{self, Named, Run, Sites, check_alike, check_model};
use crate::terminal;
use lapidary_catalog::text::{Text, World};
use crate::truth_scores::{self, TruthSubject, truth_scores};
use crate::truth_table::TruthTable;
use anyhow::{Context, bail};
use lapidary_evaluation::{Options, Scores, Subject, evaluate, truth};
use lapidary_lm::{Site, Spec};
use lapidary_report::number::count;
use lapidary_report::scores::{ScoreRow, sheet_text, suite_text};
use lapidary_report::truth::truth_text;
use lapidary_text::{Corpus, SPLIT_RULE, Split, resolve_context};
use std::path::{Path, PathBuf};

/// Tokens that run through the model at a time.
const BATCH_TOKENS: usize = 8_192;

/// Score dictionaries on held-out text
///
/// For a run folder the model, the text and the context are those it was trained with, and the documents are those that
/// training never saw; scores are also saved as RUN/evaluation.json. For dictionary folders name --model and --text.
/// Units: L0 features per row; FVU and loss recovered are shares; Δloss and CE are nats per target; intervals are 95 %,
/// by bootstrap over documents.
///
/// With --truth world, features are also compared with what the language says of every token: which variables does the
/// model represent, which did the dictionary find, and does it beat its baselines?
#[derive(clap::Args)]
pub struct EvaluateArgs {
    /// Run folders, or dictionaries (SAELens folders, Gemma Scope params.npz)
    #[arg(required = true, value_name = "RUN|DICT")]
    subjects: Vec<PathBuf>,
    /// Model folder [default: the run's]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Text files or folders [default: the run's]
    #[arg(long, value_name = "F", num_args = 1..)]
    text: Vec<PathBuf>,
    /// Site of dictionaries that do not say theirs, like 3.res; not of those of a run
    #[arg(long)]
    site: Option<String>,
    /// Site that a transcoder reconstructs, if it does not say it [default: what it says, else the site that it reads]
    #[arg(long, value_name = "SITE")]
    site_out: Option<String>,
    /// Tokens per window, BOS included [default: the run's, else the model's, at most 1,024]
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Documents to score on: held-out, which training never sees; train; or all
    #[arg(long, value_name = "SPLIT", default_value_t = Split::HeldOut)]
    split: Split,
    /// The former name of --split all
    #[arg(long, hide = true, conflicts_with = "split")]
    all_documents: bool,
    /// Only the first N windows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_windows: Option<u32>,
    /// Score dictionaries of another model on this one too, which the scores then say; else they are refused
    #[arg(long)]
    foreign_model: bool,
    /// Compare features with the truth about every token; `world`, for text of the language
    #[arg(long, value_name = "LANGUAGE")]
    truth: Option<Language>,
    /// Rows that are compared, about
    #[arg(long, value_name = "N", default_value_t = truth_scores::DEFAULT_ROWS as u32, requires = "truth")]
    truth_rows: u32,
    /// Resamples of the bootstrap, at most a million; 0: no intervals
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    resamples: u32,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Languages whose truth is known.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Language {
    World,
}

pub fn run(args: EvaluateArgs, global: &Global) -> anyhow::Result<()> {
    let args = args.found(global)?;
    let runs = Run::among(&args.subjects)?;
    let only_run = runs.first().filter(|run| args.subjects.len() == 1 && !is_release(&run.folder));
    only_run.map_or(Ok(()), |run| global.rewritten_file(&run.folder.join("evaluation.json")))?;
    args.check(&runs)?;
    let sites = Sites { reads: args.site.as_deref(), writes: args.site_out.as_deref() };
    let subjects = subjects::read(&args.subjects, &runs, sites, args.truth.is_some(), global)?;
    let model = args.model(runs.first())?;
    let text = args.text(runs.first(), global)?;
    let world = args.truth.map(|Language::World| language(&text)).transpose()?;
    let ignored = runs.first().map_or(&[][..], |run| &run.places.ignore_config_keys);
    let opened = Opened::open(model, ignored, &global.catalog)?;
    let context = args.context(runs.first(), &opened.spec)?;
    let corpus = text.corpus(&opened, context, args.split())?;
    if global.dry_run {
        return args.dry_run(&corpus, context, &subjects, global);
    }
    let model = ModelIdentity { name: opened.name.clone(), hash: opened.hash()?.to_owned() };
    if !args.foreign_model {
        check_model(&subjects, &model, &opened.folder.display().to_string())?;
    }
    let scores = score(&args, &opened, &corpus, &subjects, global)?;
    let truth = world.map(|world| truth(&args, &opened, world, &corpus, &subjects, global)).transpose()?;
    let file = EvaluationFile { truth, ..args.file(model, &corpus, context, &subjects, scores) };
    let file = match only_run {
        Some(run) => file.of_run(&run.folder, run.plan.hash())?,
        None => file,
    };
    // Saved or not, the scores are shown.
    let saved = only_run.map(|run| (&run.folder, file.save(&run.folder)));
    print(&file, &subjects, global)?;
    saved.map_or(Ok(()), |(run, saved)| saved.and_then(|()| print_saved(run, global)))
}

impl EvaluateArgs {
    /// With subjects where they are, and sites by the names that we use.
    fn found(self, global: &Global) -> anyhow::Result<EvaluateArgs> {
        let site = |name: &Option<String>| {
            name.as_deref().map(str::parse::<Site>).transpose().map(|site| site.map(|site| site.to_string()))
        };
        let subjects =
            self.subjects.iter().map(|subject| global.catalog.find(subject)).collect::<Result<_, _>>()?;
        Ok(EvaluateArgs { subjects, site: site(&self.site)?, site_out: site(&self.site_out)?, ..self })
    }

    /// Refuses runs that were made for different scores, and flags that would be of no effect.
    fn check(&self, runs: &[Run]) -> anyhow::Result<()> {
        let given = [("--site", &self.site), ("--site-out", &self.site_out)];
        if let Some((flag, _)) = given.into_iter().find(|(_, site)| site.is_some())
            && runs.len() == self.subjects.len()
        {
            bail!(
                "{flag}: expected a dictionary that is named alone, found runs only, which know their sites; leave it out"
            );
        }
        if self.truth_rows == 0 {
            bail!("--truth-rows: expected at least 1, found 0");
        }
        if !self.foreign_model {
            let next = "score them on one model with --model and --foreign-model";
            check_alike(runs, "model", |plan| plan.model.hash.clone(), next)?;
        }
        if self.text.is_empty() {
            check_alike(runs, "text", |plan| plan.text.hash.clone(), "name one text for all with --text")?;
        }
        if self.context.is_none() {
            let next = "name one for all with --context";
            check_alike(runs, "context", |plan| plan.text.context.to_string(), next)?;
        }
        Ok(())
    }

    fn split(&self) -> Split {
        if self.all_documents { Split::All } else { self.split }
    }

    fn model<'a>(&'a self, run: Option<&'a Run>) -> anyhow::Result<&'a Path> {
        let folder = self.model.as_ref().or(run.map(|run| &run.places.model));
        folder.map(PathBuf::as_path).context("no run folder is named: add --model DIR")
    }

    fn text(&self, run: Option<&Run>, global: &Global) -> anyhow::Result<Text> {
        match (self.text.is_empty(), run) {
            (true, Some(run)) if !run.places.text.is_empty() => Ok(Text::parse(&run.places.text, &global.catalog)?),
            (true, _) => bail!("no run folder is named: add --text FILE"),
            (false, _) => Ok(Text::parse(&self.text, &global.catalog)?),
        }
    }

    fn context(&self, run: Option<&Run>, spec: &Spec) -> anyhow::Result<usize> {
        Ok(resolve_context(spec, self.context.or(run.map(|run| run.plan.text.context)))?)
    }

    fn dry_run(
        &self,
        corpus: &Corpus,
        context: usize,
        subjects: &[Named],
        global: &Global,
    ) -> anyhow::Result<()> {
        let (dictionaries, windows) = (read_the_model(subjects).count(), self.windows(corpus).len());
        let json = serde_json::json!({
            "dictionaries": dictionaries, "windows": windows, "context": context, "documents": corpus.documents,
        });
        let (windows, documents) = (count(windows as u64), count(corpus.documents as u64));
        let text = format!(
            "{dictionaries} dictionaries on {windows} windows of {context} tokens, of {documents} documents"
        );
        global.tell(&json, text)
    }

    /// Those that are scored.
    fn windows<'a>(&self, corpus: &'a Corpus) -> &'a [lapidary_text::Window] {
        let most = self.max_windows.map_or(usize::MAX, |n| n as usize);
        &corpus.windows[..most.min(corpus.windows.len())]
    }

    /// What is saved, without what only runs have.
    fn file(
        &self,
        model: ModelIdentity,
        corpus: &Corpus,
        context: usize,
        subjects: &[Named],
        scores: Vec<Scores>,
    ) -> EvaluationFile {
        let text = TextIdentity {
            context,
            split: SPLIT_RULE.into(),
            hash: corpus.hash.clone(),
            documents: corpus.documents,
        };
        let trained: Vec<Option<&str>> = subjects.iter().map(|s| s.text.as_deref()).collect();
        let scored = Scored::new(corpus, self.split(), self.max_windows.map(|n| n as usize), &trained);
        let of = |(scores, subject): (usize, &Named)| {
            Some(Foreign { scores, model: subject.foreign_to(&model)?.clone() })
        };
        let foreign = read_the_model(subjects).enumerate().filter_map(of).collect();
        EvaluationFile { foreign, ..EvaluationFile::new(model, text, scored, scores) }
    }
}

/// The language that the text is of.
fn language(text: &Text) -> anyhow::Result<&World> {
    text.world().with_context(|| {
        let files: Vec<String> = text.places().unwrap_or_default().iter().map(|p| p.display().to_string()).collect();
        format!(
            "--truth world: expected text of the language, found {}; add --text world:tokens=500000, or train on such text",
            files.join(", ")
        )
    })
}

fn read_the_model(subjects: &[Named]) -> impl Iterator<Item = &Named> {
    subjects.iter().filter(|s| s.reads_the_model())
}

fn score(
    args: &EvaluateArgs,
    opened: &Opened,
    corpus: &Corpus,
    subjects: &[Named],
    global: &Global,
) -> anyhow::Result<Vec<Scores>> {
    let views: Vec<Subject<'_>> = read_the_model(subjects)
        .map(|s| Subject { name: &s.name, site: s.site, output: s.output, dictionary: &s.dictionary })
        .collect();
    let options = Options {
        seed: args.seed,
        resamples: args.resamples as usize,
        batch_tokens: BATCH_TOKENS,
        max_windows: None,
    };
    let mut bar = Progress::new(global, "evaluating", 0, "tokens");
    let scores = evaluate(opened.model()?, args.windows(corpus), &views, options, &mut |done, total| {
        bar.set_of(done, total)
    })?;
    bar.finish();
    Ok(scores)
}

fn truth(
    args: &EvaluateArgs,
    opened: &Opened,
    world: &World,
    corpus: &Corpus,
    subjects: &[Named],
    global: &Global,
) -> anyhow::Result<TruthTable> {
    let subjects: Vec<TruthSubject<'_>> = subjects.iter().map(Named::for_truth).collect();
    let options = truth::Options::standard(args.seed);
    let mut bar = Progress::new(global, "truth", 0, "scores");
    let mut progress = |done, total| bar.set_of(done, total);
    let corpus = Corpus { windows: args.windows(corpus).to_vec(), ..Corpus::default() };
    let rows = args.truth_rows as usize;
    let measured = truth_scores(opened, world, &corpus, &subjects, rows, &options, &mut progress)?;
    bar.finish();
    Ok(measured.table)
}

fn table_row((scores, named): (&Scores, &Named)) -> ScoreRow {
    row(scores, &named.label, named.setting)
}

fn print(file: &EvaluationFile, subjects: &[Named], global: &Global) -> anyhow::Result<()> {
    if global.json {
        return terminal::line(file.json());
    }
    if let [scores] = file.scores.as_slice() {
        let label = read_the_model(subjects).next().map_or(&scores.site, |named| &named.label);
        let (name, width, sheet) = (&scores.name, scores.width, sheet_text(&lines(scores)));
        terminal::line(format_args!("{name} at {label}, {width} features\n{sheet}"))?;
    } else {
        let rows: Vec<_> = file.scores.iter().zip(read_the_model(subjects)).map(table_row).collect();
        terminal::line(suite_text(&rows))?;
    }
    terminal::line(file.scored_on())?;
    for scores in &file.scores {
        remarks(scores)
            .iter()
            .try_for_each(|remark| terminal::line(format_args!("{}: {remark}", scores.name)))?;
    }
    if let Some(truth) = &file.truth {
        terminal::line(format_args!("\n{}", truth_text(&truth.rows())))?;
        let (rows, documents) = (count(truth.rows), count(truth.documents));
        terminal::line(format_args!(
            "Compared with the truth of {rows} rows of {documents} documents of {}.",
            truth.text
        ))?;
    }
    Ok(())
}

fn print_saved(run: &Path, global: &Global) -> anyhow::Result<()> {
    if global.json {
        return Ok(());
    }
    terminal::line(format_args!("saved {}", run.join("evaluation.json").display()))?;
    terminal::line(format_args!("next: lapidary release {} --out DIR", run.display()))
}
