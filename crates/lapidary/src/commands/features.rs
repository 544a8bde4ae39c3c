//! `lapidary features`: features of dictionaries, and the places in held-out text where they fire most.

use crate::global::Global;
use crate::terminal;
use crate::terminal::progress::Progress;
use anyhow::{Context, bail};
use lapidary_atlas::{Contexts, Subject, contexts};
use lapidary_catalog::{Opened, Text};
use lapidary_release::features::Shown;
use lapidary_report::contexts::{FeatureContexts, text};
use lapidary_suite::subjects::{self, Named, Run, Sites};
use lapidary_text::{Corpus, Split, resolve_context};
use std::path::{Path, PathBuf};

/// Show features and the places where they fire most
///
/// One pass over held-out text looks at every feature of every dictionary. Shown are features from frequent to rare, or those of
/// --feature: how often they fire, which next tokens their direction speaks for (by the final norm and the head alone), and their
/// strongest places, one for each document. For a run folder model, text and context are the run's; for dictionaries name --model
/// and --text.
#[derive(clap::Args)]
pub struct FeaturesArgs {
    /// Run folder, or a dictionary (SAELens folder, Gemma Scope params.npz)
    #[arg(value_name = "RUN|DICT")]
    subject: PathBuf,
    /// Only this dictionary of the run
    #[arg(long, value_name = "NAME")]
    dictionary: Option<String>,
    /// These features [default: some, from frequent to rare]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    feature: Vec<u32>,
    /// How many features of each dictionary, where none is named
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    count: u32,
    /// Places of each feature
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=50))]
    top: u32,
    /// Model folder or GGUF file [default: the run's]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Text files or folders [default: the run's]
    #[arg(long, value_name = "F", num_args = 1..)]
    text: Vec<PathBuf>,
    /// Site of a dictionary that does not say its own, like 3.res
    #[arg(long)]
    site: Option<String>,
    /// Tokens per window, BOS included [default: the run's, else the model's, at most 1,024]
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Documents: held-out, which training never sees; train; or all
    #[arg(long, value_name = "SPLIT", default_value_t = Split::HeldOut)]
    split: Split,
    /// Only the first N windows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_windows: Option<u32>,
}

pub fn run(args: FeaturesArgs, global: &Global) -> anyhow::Result<()> {
    let path = global.catalog.find(&args.subject)?;
    let runs = Run::among(std::slice::from_ref(&path))?;
    let named = args.named(&path, &runs)?;
    let (opened, corpus) = args.open(runs.first(), global)?;
    if global.dry_run {
        let (many, windows) = (named.len(), corpus.windows.len());
        let json = serde_json::json!({ "dictionaries": many, "windows": windows });
        return global.tell(&json, format_args!("{many} dictionaries on {windows} windows"));
    }
    let subjects: Vec<Subject<'_>> =
        named.iter().map(|s| Subject { name: &s.name, site: s.site, dictionary: &s.dictionary }).collect();
    let mut bar = Progress::new(global.quiet, "features", corpus.windows.len() as u64, "windows");
    let seen = contexts(opened.model()?, &corpus, &subjects, args.top as usize, &mut |done| bar.set(done));
    bar.finish();
    let mut shown = Vec::new();
    for ((subject, named), seen) in subjects.iter().zip(&named).zip(&seen?) {
        for feature in args.chosen(&named.name, seen)? {
            shown.push(Shown { opened: &opened, corpus: &corpus, subject, named, seen, feature }.card()?);
        }
    }
    let json: Vec<_> = shown.iter().map(|(_, json)| json).collect();
    let cards: Vec<FeatureContexts> = shown.iter().map(|(card, _)| card.clone()).collect();
    if global.json {
        terminal::line(serde_json::json!(json))
    } else {
        terminal::print(text(&cards, global.colour()))
    }
}

impl FeaturesArgs {
    fn named(&self, path: &Path, runs: &[Run]) -> anyhow::Result<Vec<Named>> {
        let sites = Sites { reads: self.site.as_deref(), writes: None };
        let paths = [path.to_path_buf()];
        let mut named = subjects::read(&paths, runs, sites, false, &|line| terminal::note(line))?;
        let Some(wanted) = &self.dictionary else { return Ok(named) };
        let known = named.iter().map(|s| s.name.clone()).collect::<Vec<_>>().join(", ");
        named.retain(|s| s.name == *wanted);
        if named.is_empty() {
            bail!("{}: expected a dictionary {wanted}, found {known}; name one of them", path.display());
        }
        Ok(named)
    }

    fn open(&self, run: Option<&Run>, global: &Global) -> anyhow::Result<(Opened, Corpus)> {
        let model = self.model.as_ref().or(run.map(|run| &run.places.model));
        let model = model.context("no run folder is named: add --model DIR")?;
        let names = match (self.text.is_empty(), run) {
            (true, Some(run)) if !run.places.text.is_empty() => &run.places.text,
            (true, _) => bail!("no run folder is named: add --text FILE"),
            (false, _) => &self.text,
        };
        let texts = Text::parse(names, &global.catalog)?;
        let ignored = run.map_or(&[][..], |run| &run.places.ignore_config_keys);
        let recorded = run.and_then(|run| run.plan.model.precision.as_deref());
        let opened = Opened::open(model, ignored, recorded, &global.catalog)?;
        let asked = self.context.or(run.map(|run| run.plan.text.context));
        let context = resolve_context(&opened.spec, asked)?;
        let mut corpus = texts.corpus(&opened, context, self.split)?;
        corpus.windows.truncate(self.max_windows.map_or(usize::MAX, |n| n as usize));
        Ok((opened, corpus))
    }

    /// The features that were named, or some from frequent to rare.
    fn chosen(&self, name: &str, seen: &Contexts) -> anyhow::Result<Vec<u32>> {
        let width = seen.features.len() as u32;
        if let Some(f) = self.feature.iter().find(|&&f| f >= width) {
            bail!("--feature: expected features 0 to {} of {name}, found {f}", width - 1);
        }
        if !self.feature.is_empty() {
            return Ok(self.feature.clone());
        }
        Ok(seen.spread(self.count as usize))
    }
}
