//! `lapidary evaluate`: scores of a run's dictionaries, or of any dictionaries, on held-out text; and against the truth,
//! where the text is of the language.

use crate::global::Global;
use crate::machine;
use crate::terminal;
use crate::terminal::progress::Progress;
use anyhow::{Context, bail};
use lapidary_catalog::{Opened, Text, World};
use lapidary_evaluation::Scores;
use lapidary_ground_truth::score::DEFAULT_ROWS;
use lapidary_lm::{Site, Spec};
use lapidary_release::EvaluationFile;
use lapidary_release::cost::{self, Cost};
use lapidary_release::entry::Entry;
use lapidary_release::evaluate::{
    self, AgainstTruth, Beside, JudgeAt, On, evaluate, read_the_model, that_fit,
};
use lapidary_release::file::remarks;
use lapidary_release::labels::TokenLabels;
use lapidary_release::metrics::Kinds;
use lapidary_release::report::{FILE_NAME as REPORT_HTML, REPORT, Report};
use lapidary_release::rows::{lines, row, truth_rows};
use lapidary_release::sets::Sets;
use lapidary_release::tables::texts;
use lapidary_release::transfer;
use lapidary_report::number::{bytes, count, duration};
use lapidary_report::scores::{ScoreRow, sheet_text, suite_text};
use lapidary_report::truth::truth_text;
use lapidary_suite::plan::is_release;
use lapidary_suite::subjects::{self, Named, Run, Sites, check_alike, check_model};
use lapidary_text::{Corpus, Split, resolve_context};
use std::path::{Path, PathBuf};

/// Score dictionaries on held-out text
///
/// For a run folder the model, the text and the context are those it was trained with, and the documents are those that
/// training never saw; scores are also saved as RUN/evaluation.json, and as a page with plots, RUN/report.html. For dictionary folders name --model and --text.
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
    /// Model folder or GGUF file [default: the run's]
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Text files or folders [default: the run's]; as NAME=F, each of them, they are also scored apart
    #[arg(long, value_name = "F|NAME=F", num_args = 1..)]
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
    /// Documents to score on: held-out, which nothing else sees; validation, on which to choose; train; or all
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
    /// Score the dictionaries on this other model too, on the same tokens, beside their scores at home: those of a base model on its
    /// chat model, or back
    #[arg(long, value_name = "MODEL")]
    transfer: Option<PathBuf>,
    /// Compare features with the truth about every token; `world`, for text of the language
    #[arg(long, value_name = "LANGUAGE")]
    truth: Option<Language>,
    /// Rows that are compared, about
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ROWS as u32, requires = "truth")]
    truth_rows: u32,
    /// Write the scores as report.html with its plots into this folder; those of one run are written into it all the same
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// What else to measure: core; all; or names with commas between them, on top of the core
    ///
    /// core: position (scores by position in the window) and compare (pairs of dictionaries at one site, and curves at matched
    /// L0); they cost next to nothing.
    /// precision: the same dictionary in bf16, int8 and int4; costs the scores three times more.
    /// probing, absorption: of labels, from --labels or the language; seconds a dictionary.
    /// ravel: do features of an attribute change it and leave others, on the language's counterfactual pairs; seconds a dictionary.
    /// rules, examples: can features be read, without a judge; seconds a dictionary.
    /// uniformity: how evenly active features carry a prediction; some seconds a dictionary, minutes on a large model.
    #[arg(long, value_name = "core|all|NAME,…", default_value = "core", value_parser = parse_kinds)]
    metrics: Kinds,
    /// Labels of tokens, JSON lines {"label": NAME, "document": blake3 of its text, "tokens": [K, …]}; for text of the language they are
    /// known
    #[arg(long, value_name = "F.jsonl")]
    labels: Option<PathBuf>,
    /// Rows that probing, absorption, rules and examples look at, about
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..))]
    metric_rows: u32,
    /// Ask a model behind an OpenAI-compatible endpoint about features: it explains them, then is asked where they fire in other documents;
    /// eight questions a feature
    #[arg(long, value_name = "http://HOST:PORT/v1", requires = "judge_model")]
    judge: Option<String>,
    /// Its name there
    #[arg(long, value_name = "NAME", requires = "judge")]
    judge_model: Option<String>,
    /// Features of each dictionary that it is asked about, at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    judge_features: u32,
    /// Where questions and answers are kept; what it answers is not asked again
    #[arg(long, value_name = "F.jsonl", default_value = "judge.jsonl")]
    judge_log: PathBuf,
    /// Resamples of the bootstrap, at most a million; 0: no intervals
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    resamples: u32,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn parse_kinds(text: &str) -> Result<Kinds, String> {
    text.parse()
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
    let inputs: Vec<&Path> = args.subjects.iter().map(PathBuf::as_path).collect();
    let report =
        args.report.as_ref().map(|dir| global.output_folder(dir, &REPORT, false, &inputs)).transpose()?;
    let sites = Sites { reads: args.site.as_deref(), writes: args.site_out.as_deref() };
    let with_random = args.truth.is_some();
    let (subjects, unread) =
        subjects::read_each(&args.subjects, &runs, sites, with_random, &|line| terminal::note(line))?;
    let mut refused: Vec<String> = unread.iter().map(ToString::to_string).collect();
    let model = args.model(runs.first())?;
    let sets = Sets::parse(&args.text)?;
    let text = args.text(&sets, runs.first(), global)?;
    let world = args.truth.map(|Language::World| language(&text)).transpose()?;
    let ignored = runs.first().map_or(&[][..], |run| &run.places.ignore_config_keys);
    let recorded = subjects.first().and_then(|s| s.model.as_ref()).and_then(|m| m.precision.as_deref());
    let opened = Opened::open(model, ignored, recorded, &global.catalog)?;
    let context = args.context(runs.first(), &opened.spec)?;
    let corpus = text.corpus(&opened, context, args.split())?;
    let open = |other: &PathBuf| Opened::open(other, &[], recorded, &global.catalog);
    let other = args.transfer.as_ref().map(open).transpose()?;
    if global.dry_run {
        return args.dry_run([Some(&opened), other.as_ref()], &corpus, context, &subjects, global);
    }
    let model = opened.identity()?;
    if !args.foreign_model {
        check_model(&subjects, &model, &opened.folder.display().to_string())?;
    }
    if let Some(other) = &other {
        transfer::check(&opened, other, (&text, &corpus), context, args.split())?;
    }
    let (subjects, unfit) = that_fit(subjects, &opened)?;
    refused.extend(unfit.iter().map(ToString::to_string));
    refused.iter().for_each(|why| terminal::note(format!("{why}; the others are scored")));
    let labels = args.labels(&text)?;
    let beside = Beside {
        kinds: args.metrics.clone(),
        rows: Some(args.metric_rows as usize),
        world: text.world(),
        labels: labels.as_ref(),
        judge: args.judge_at(),
        sets: sets.windows(&global.catalog, &opened, context, args.split())?,
    };
    let run = only_run.map(|run| run.folder.as_path());
    let on = On { beside, run, elsewhere: other.as_ref(), ..args.on(&opened, &corpus, context, world) };
    let file = with_bars(&subjects, &on, global)?.file;
    let file = match only_run {
        Some(run) => file.of_run(&run.folder, &run.plan)?,
        None => file,
    };
    refused.extend(file.transfer.iter().flat_map(|transfer| transfer.missing.iter().cloned()));
    // Saved or not, the scores are shown.
    let saved = only_run.map(|run| (&run.folder, file.save(&run.folder)));
    print(&file, &subjects, &args.metrics, global)?;
    let entries = Entry::of_named(&file, read_the_model(&subjects));
    let title = args.subjects.iter().map(|path| name(path)).collect::<Vec<_>>().join(", ");
    let page = Report::new(&title, &file, entries, None);
    if let Some(out) = report.flatten() {
        page.write(&out.path)?;
        out.finish()?;
    }
    let Some((run, saved)) = saved else { return left_out(&refused) };
    saved?;
    page.write(run)?;
    print_saved(run, global)?;
    left_out(&refused)
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

    fn text(&self, sets: &Sets, run: Option<&Run>, global: &Global) -> anyhow::Result<Text> {
        match (sets.files.is_empty(), run) {
            (true, Some(run)) if !run.places.text.is_empty() => {
                Ok(Text::parse(&run.places.text, &global.catalog)?)
            }
            (true, _) => bail!("no run folder is named: add --text FILE"),
            (false, _) => Ok(Text::parse(&sets.files, &global.catalog)?),
        }
    }

    fn judge_at(&self) -> Option<JudgeAt<'_>> {
        let (url, model) = (self.judge.as_deref()?, self.judge_model.as_deref()?);
        Some(JudgeAt { url, model, log: &self.judge_log, features: self.judge_features as usize })
    }

    fn labels(&self, text: &Text) -> anyhow::Result<Option<TokenLabels>> {
        let Some(path) = &self.labels else { return Ok(None) };
        if text.world().is_some() {
            bail!(
                "--labels: expected a text from files, found the language, whose labels are known; leave it out"
            );
        }
        Ok(Some(TokenLabels::read(path, &lapidary_text::document_hashes(text.files())?)?))
    }

    fn context(&self, run: Option<&Run>, spec: &Spec) -> anyhow::Result<usize> {
        Ok(resolve_context(spec, self.context.or(run.map(|run| run.plan.text.context)))?)
    }

    fn dry_run(
        &self,
        models: [Option<&Opened>; 2],
        corpus: &Corpus,
        context: usize,
        subjects: &[Named],
        global: &Global,
    ) -> anyhow::Result<()> {
        let (scored, windows) = (read_the_model(subjects).collect::<Vec<_>>(), self.windows(corpus));
        let tokens = corpus.windows[..windows].iter().map(|w| w.tokens.len()).sum();
        let kinds = [self.metrics.clone(), Kinds::default()];
        let (mut cost, mut seconds) = (Cost::default(), 0.0);
        for (opened, kinds) in
            models.into_iter().zip(&kinds).filter_map(|(model, kinds)| Some((model?, kinds)))
        {
            let model = (&opened.spec, opened.parameters);
            let one = cost::of(&scored, model, (tokens, context, evaluate::BATCH_TOKENS), kinds);
            seconds += one.multiply_adds / machine::speed(opened.device);
            cost = cost.and(one);
        }
        let json = serde_json::json!({
            "dictionaries": scored.len(), "windows": windows, "context": context, "documents": corpus.documents,
            "tokens": cost.tokens, "seconds": seconds, "memory": cost.memory,
        });
        let (windows, documents) = (count(windows as u64), count(corpus.documents as u64));
        let text = format!(
            "{} dictionaries on {windows} windows of {context} tokens, of {documents} documents: {} tokens through the model or a \
             part of it, about {}, {}",
            scored.len(),
            count(cost.tokens as u64),
            duration(seconds),
            bytes(cost.memory as u64)
        );
        global.tell(&json, text)
    }

    /// How many windows are scored.
    fn windows(&self, corpus: &Corpus) -> usize {
        self.max_windows().unwrap_or(usize::MAX).min(corpus.windows.len())
    }

    fn max_windows(&self) -> Option<usize> {
        self.max_windows.map(|n| n as usize)
    }

    fn on<'a>(
        &self,
        opened: &'a Opened,
        corpus: &'a Corpus,
        context: usize,
        world: Option<&'a World>,
    ) -> On<'a> {
        let max_windows = self.max_windows();
        let rows = self.truth_rows as usize;
        On {
            opened,
            corpus,
            split: self.split(),
            context,
            max_windows,
            seed: self.seed,
            resamples: self.resamples as usize,
            truth: world.map(|world| AgainstTruth { world, rows, max_windows }),
            beside: Beside::default(),
            elsewhere: None,
            run: None,
        }
    }
}

/// Fails where a dictionary was left out, after all others were scored.
fn left_out(refused: &[String]) -> anyhow::Result<()> {
    match refused {
        [] => Ok(()),
        [why] => bail!("one could not be scored: {why}"),
        [why, ..] => bail!("{} could not be scored, the first because of this: {why}", refused.len()),
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

/// Scores with a bar for each part.
pub fn with_bars(subjects: &[Named], on: &On<'_>, global: &Global) -> anyhow::Result<evaluate::Evaluation> {
    Ok(progress(global, |observe| evaluate(subjects, on, observe))?)
}

/// What `work` returns, with a bar for each part that it tells of.
pub fn progress<T>(global: &Global, work: impl FnOnce(&mut dyn FnMut(evaluate::Progress)) -> T) -> T {
    let (mut scores, mut truth, mut beside, mut elsewhere) = (None, None, None, None);
    work(&mut |progress| {
        let (bar, label, unit, (done, total)) = match progress {
            evaluate::Progress::Scores(done, total) => (&mut scores, "evaluating", "tokens", (done, total)),
            evaluate::Progress::Truth(done, total) => (&mut truth, "truth", "scores", (done, total)),
            evaluate::Progress::Beside(done, total) => {
                (&mut beside, "other metrics", "dictionaries", (done, total))
            }
            evaluate::Progress::Elsewhere(done, total) => {
                (&mut elsewhere, "on the other model", "tokens", (done, total))
            }
        };
        bar.get_or_insert_with(|| Progress::new(global.quiet, label, total, unit)).set_of(done, total);
        if done == total {
            bar.take().into_iter().for_each(Progress::finish);
        }
    })
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn table_row((scores, named): (&Scores, &Named)) -> ScoreRow {
    row(scores, &named.label, named.setting)
}

fn print(file: &EvaluationFile, subjects: &[Named], kinds: &Kinds, global: &Global) -> anyhow::Result<()> {
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
        remarks(file, scores)
            .iter()
            .try_for_each(|remark| terminal::line(format_args!("{}: {remark}", scores.name)))?;
    }
    let more = kinds.0.len() > Kinds::default().0.len();
    texts(file, more).iter().try_for_each(|table| terminal::line(format_args!("\n{table}")))?;
    if let Some(truth) = &file.truth {
        terminal::line(format_args!("\n{}", truth_text(&truth_rows(truth))))?;
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
    let (scores, page) = (run.join("evaluation.json"), run.join(REPORT_HTML));
    terminal::line(format_args!("saved {}; open {}", scores.display(), page.display()))?;
    terminal::line(format_args!("next: lapidary release {} --out DIR", run.display()))
}
