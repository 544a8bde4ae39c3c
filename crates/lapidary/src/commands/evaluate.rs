//! `lapidary evaluate`: scores of a run's dictionaries, or of any dictionaries, on held-out text; and against the truth,
//! where the text is of the language.

use crate::evaluation_file::{EvaluationFile, lines, row};
use crate::global::Global;
use crate::opened::Opened;
use crate::plan::{ModelIdentity, Places, RunPlan, TextIdentity, is_release};
use crate::progress::Progress;
use crate::run_folder::read_dictionaries;
use crate::text::{Text, World};
use crate::truth_scores::{self, TruthSubject, truth_scores};
use crate::truth_table::TruthTable;
use crate::words;
use anyhow::{Context, bail};
use lapidary_dictionary::sae_lens::provenance;
use lapidary_dictionary::{Activation, Dictionary, load};
use lapidary_evaluation::{Options, Scores, Subject, evaluate, truth};
use lapidary_lm::Site;
use lapidary_lm::text::{Corpus, SPLIT_RULE, Split, resolve_context};
use lapidary_report::number::count;
use lapidary_report::scores::{ScoreRow, Setting, sheet_text, suite_text};
use lapidary_report::truth::truth_text;
use lapidary_trainer::Baseline;
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
/// With --truth world, features are also compared with what the language says of every token: which latents does the
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
    /// Site of dictionaries that do not say theirs, like 3.res
    #[arg(long)]
    site: Option<String>,
    /// Tokens per window, BOS included [default: the run's, else the model's, at most 1,024]
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Score on all documents, not only the held-out eighth
    #[arg(long)]
    all_documents: bool,
    /// Only the first N windows
    #[arg(long, value_name = "N")]
    max_windows: Option<usize>,
    /// Compare features with the truth about every token; `world`, for text of the language
    #[arg(long, value_name = "LANGUAGE")]
    truth: Option<Language>,
    /// Rows that are compared, about
    #[arg(long, value_name = "N", default_value_t = truth_scores::DEFAULT_ROWS, requires = "truth")]
    truth_rows: usize,
    /// Resamples of the bootstrap
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    resamples: usize,
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
    let found = args.subjects.iter().map(|subject| global.find(subject)).collect::<anyhow::Result<_>>()?;
    let site = args.site.as_deref().map(str::parse::<Site>).transpose()?.map(|site| site.to_string());
    let args = EvaluateArgs { subjects: found, site, ..args };
    let run = args.subjects.iter().find(|s| s.join("plan.json").is_file());
    let causes =
        run.map(|run| Ok::<_, anyhow::Error>((RunPlan::read(run)?, Places::of(run)?))).transpose()?;
    let subjects = subjects(&args, global)?;
    let opened = open_model(&args, causes.as_ref(), global)?;
    let context = args.context.or(causes.as_ref().map(|(plan, _)| plan.text.context));
    let context = resolve_context(&opened.model.spec, context)?;
    let text = texts(&args, causes.as_ref(), global)?;
    let world = args.truth.map(|Language::World| language(&args, &text)).transpose()?;
    let split = if args.all_documents { Split::All } else { Split::HeldOut };
    let corpus = text.corpus(&opened, context, split)?;
    if global.dry_run {
        let windows = corpus.windows.len().min(args.max_windows.unwrap_or(usize::MAX)) as u64;
        let (documents, scored) = (count(corpus.documents as u64), read_the_model(&subjects).count());
        println!(
            "{scored} dictionaries on {} windows of {context} tokens, of {documents} documents",
            count(windows)
        );
        return Ok(());
    }
    let scores = score(&args, &opened, &corpus, &subjects, global)?;
    let truth = world.map(|world| truth(&args, &opened, world, &corpus, &subjects, global)).transpose()?;
    let text = TextIdentity {
        context,
        split: SPLIT_RULE.into(),
        hash: corpus.hash.clone(),
        documents: corpus.documents,
    };
    let model = ModelIdentity { name: opened.name.clone(), hash: opened.hash.clone() };
    let only_run = run.filter(|run| args.subjects.len() == 1 && !is_release(run));
    let plan_hash = causes.as_ref().filter(|_| only_run.is_some()).map(|(plan, _)| plan.hash());
    let file = EvaluationFile::new(model, text, plan_hash, scores, truth);
    if let Some(run) = only_run {
        lapidary_files::publish(&run.join("evaluation.json"), file.json().as_bytes())?;
    }
    print(&file, &subjects, only_run.map(PathBuf::as_path), global);
    Ok(())
}

/// A dictionary to score.
struct Named {
    name: String,
    /// What tables call it.
    label: String,
    site: Site,
    /// What it reconstructs.
    output: Site,
    setting: Option<Setting>,
    baseline: Option<Baseline>,
    /// Number of its run among the subjects, and the seed of its plan; 0 for one that is named alone.
    run: (usize, u64),
    dictionary: Dictionary,
}

impl Named {
    /// Does it read the model as it is?
    fn reads_the_model(&self) -> bool {
        self.baseline != Some(Baseline::RandomLm)
    }

    fn for_truth(&self) -> TruthSubject<'_> {
        let kind = |baseline| match baseline {
            Baseline::FrozenDecoder => truth::Baseline::FrozenDecoder,
            Baseline::RandomLm => truth::Baseline::RandomLm,
            Baseline::FrozenEncoder => truth::Baseline::FrozenEncoder,
            Baseline::Random => truth::Baseline::Random,
        };
        let Named { name, label, site, setting, baseline, run: (run, seed), dictionary, .. } = self;
        TruthSubject {
            name,
            site: *site,
            dictionary,
            label: label.clone(),
            setting: *setting,
            baseline: baseline.map(kind),
            run: *run,
            seed: *seed,
        }
    }
}

fn subjects(args: &EvaluateArgs, global: &Global) -> anyhow::Result<Vec<Named>> {
    let mut out = Vec::new();
    for (number, path) in (1..).zip(&args.subjects) {
        if path.join("plan.json").is_file() {
            let plan = RunPlan::read(path)?;
            for (d, dictionary, _) in read_dictionaries(path, &plan)? {
                let named = Named {
                    label: words::label(&d),
                    site: d.site.parse()?,
                    output: d.transcoder.as_ref().map_or(&d.site, |t| &t.output).parse()?,
                    setting: Some(words::setting(&d)),
                    name: d.name,
                    baseline: d.baseline,
                    run: (number, plan.training.seed),
                    dictionary,
                };
                if !named.reads_the_model() && args.truth.is_none() {
                    if !global.quiet {
                        eprintln!("{}: skipped, it reads a randomised model; --truth scores it", named.name);
                    }
                    continue;
                }
                out.push(named);
            }
        } else {
            out.push(named(path, args.site.as_deref())?);
        }
    }
    Ok(out)
}

fn named(path: &Path, site: Option<&str>) -> anyhow::Result<Named> {
    let (dictionary, meta) = load(path)?;
    let said = provenance(path).unwrap_or_default();
    let known = meta.as_ref().map(|m| m.site.as_str()).or(said.site.as_deref());
    let site = site.or(known).with_context(|| {
        format!(
            "{}: expected a dictionary that says its site, found none; add --site, for example --site 3.res",
            path.display()
        )
    })?;
    let training = meta.as_ref().and_then(|m| m.training.as_ref());
    if training.and_then(|t| t.baseline) == Some(Baseline::RandomLm) {
        bail!(
            "{}: expected a dictionary of the model, found a random-lm baseline, which reads a randomised one; name its \
             run with --truth",
            path.display()
        );
    }
    let baseline = training.and_then(|t| t.baseline);
    // An SAE that is moved by --site writes where it then reads.
    let written = meta.as_ref().map(|m| m.site_out.as_str()).or(said.site_out.as_deref());
    let output = written.filter(|&output| Some(output) != known).unwrap_or(site);
    let to = if output == site { String::new() } else { format!(" → {output}") };
    let trained = training.map(|t| t.lambda).filter(|&lambda| lambda > 0.0);
    let (kind, setting) = match dictionary.activation {
        Activation::TopK { k } => (" topk", Some(Setting::L0(k as f64))),
        Activation::JumpRelu => ("", trained.map(Setting::Lambda)),
    };
    let of = baseline.map(|b| format!(" {b}")).unwrap_or_default();
    Ok(Named {
        name: path.display().to_string(),
        label: format!("{site}{to}{kind}{of}"),
        site: site.parse()?,
        output: output.parse()?,
        setting,
        baseline,
        run: (0, 0),
        dictionary,
    })
}

type Causes = (RunPlan, Places);

fn open_model(args: &EvaluateArgs, causes: Option<&Causes>, global: &Global) -> anyhow::Result<Opened> {
    let folder = args.model.as_ref().or(causes.map(|(_, places)| &places.model));
    let opened = Opened::load(folder.context("no run folder is named: add --model DIR")?, global)?;
    if let Some((plan, _)) = causes.filter(|(plan, _)| plan.model.hash != opened.hash) {
        bail!(
            "{}: expected the model of the run ({:.12}), found another ({:.12}); name the right one with --model",
            opened.folder.display(),
            plan.model.hash,
            opened.hash
        );
    }
    Ok(opened)
}

fn texts(args: &EvaluateArgs, causes: Option<&Causes>, global: &Global) -> anyhow::Result<Text> {
    match (args.text.is_empty(), causes) {
        (true, Some((_, places))) if !places.text.is_empty() => Text::parse(&places.text, global),
        (true, _) => bail!("no run folder is named: add --text FILE"),
        (false, _) => Text::parse(&args.text, global),
    }
}

/// The language that the text is of.
fn language<'a>(args: &EvaluateArgs, text: &'a Text) -> anyhow::Result<&'a World> {
    if args.truth_rows == 0 {
        bail!("--truth-rows: expected at least 1, found 0");
    }
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
        resamples: args.resamples,
        batch_tokens: BATCH_TOKENS,
        max_windows: args.max_windows,
    };
    let mut bar = Progress::new(global, "evaluating", 0, "tokens");
    let scores = evaluate(&opened.model, &corpus.windows, &views, options, &mut |done, total| {
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
    let windows = &corpus.windows[..args.max_windows.unwrap_or(usize::MAX).min(corpus.windows.len())];
    let corpus = Corpus { windows: windows.to_vec(), ..Corpus::default() };
    let measured = truth_scores(opened, world, &corpus, &subjects, args.truth_rows, &options, &mut progress)?;
    bar.finish();
    Ok(measured.table)
}

fn table_row((scores, named): (&Scores, &Named)) -> ScoreRow {
    row(scores, &named.label, named.setting)
}

fn print(file: &EvaluationFile, subjects: &[Named], run: Option<&Path>, global: &Global) {
    if global.json {
        println!("{}", file.json());
        return;
    }
    if let [scores] = file.scores.as_slice() {
        let label = read_the_model(subjects).next().map_or(&scores.site, |named| &named.label);
        println!("{} at {label}, {} features\n{}", scores.name, scores.width, sheet_text(&lines(scores)));
    } else {
        println!(
            "{}",
            suite_text(&file.scores.iter().zip(read_the_model(subjects)).map(table_row).collect::<Vec<_>>())
        );
    }
    println!("{}", file.scored_on());
    if let Some(truth) = &file.truth {
        println!("\n{}", truth_text(&truth.rows()));
        let (rows, documents) = (count(truth.rows), count(truth.documents));
        println!("Compared with the truth of {rows} rows of {documents} documents of {}.", truth.text);
    }
    if let Some(run) = run {
        println!("saved {}", run.join("evaluation.json").display());
        println!("next: lapidary release {} --out DIR", run.display());
    }
}
