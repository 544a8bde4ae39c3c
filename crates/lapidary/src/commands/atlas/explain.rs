//! `lapidary atlas explain`: explanations of features, each with its score and how that was measured.

use super::subject::{Named, SubjectArgs};
use crate::global::Global;
use crate::terminal;
use crate::terminal::progress::Progress;
use anyhow::bail;
use lapidary_atlas::explain::LEAST_F1;
use lapidary_atlas::{Manifest, edit};
use lapidary_release::evaluate::JudgeAt;
use lapidary_release::explain::{By, Explained, Explainer};
use std::path::PathBuf;

/// Explain the features of an atlas, and measure every explanation
///
/// --rules: of every feature that fires in 20 rows or more, the rule of at most four literals (a token here or up to four before, or
/// what is known of the text) that says best when it fires; its score is the F1 on documents other than those it was found on, and
/// a rule below 0.2 is left out.
/// --judge: a model behind an OpenAI-compatible endpoint writes a sentence for some features, then is asked about other documents
/// (detection, fuzzing, simulation); eight questions a feature. Either reads what the atlas was built of, half of the documents to
/// explain by and half to score on, and replaces what it wrote before.
#[derive(clap::Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    of: SubjectArgs,
    /// By rules, without any language model
    #[arg(long, required_unless_present = "judge", conflicts_with = "judge")]
    rules: bool,
    /// By a model behind this endpoint
    #[arg(long, value_name = "http://HOST:PORT/v1", requires = "judge_model")]
    judge: Option<String>,
    /// Its name there
    #[arg(long, value_name = "NAME", requires = "judge")]
    judge_model: Option<String>,
    /// Features of each dictionary that it explains, evenly spread over those that fire in 20 rows or more
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Where questions and answers are kept; what it answers is not asked again
    #[arg(long, value_name = "F.jsonl", default_value = "judge.jsonl")]
    judge_log: PathBuf,
    /// Of the two halves of the documents
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub fn run(args: ExplainArgs, global: &Global) -> anyhow::Result<()> {
    if global.dry_run {
        let path = global.catalog.find(&args.of.subject)?;
        return global.tell(&serde_json::json!({ "atlas": path }), format_args!("{}", path.display()));
    }
    let Named { folder, asked, dictionaries } = args.of.open(global)?;
    let Some(dictionaries) = dictionaries else {
        bail!(
            "{}: expected the dictionaries that the atlas is of, found none named; add --dictionary RUN|RELEASE|DICT",
            folder.display()
        )
    };
    let prepared = asked.open_text(dictionaries, &global.catalog, &|line| terminal::note(line))?;
    let atlas = Manifest::read(&folder)?.suite;
    let explainer = Explainer { prepared: &prepared, atlas: &atlas, seed: args.seed };
    let by = args.by();
    let mut bar = Progress::new(global.quiet, "explaining", 0, "dictionaries");
    let found = explainer.explain(&by, &mut |done, total| bar.set_of(done, total))?;
    bar.finish();
    let Explained { dictionaries, additions, left_out } = &found;
    let changed = edit::replace_explanations(&folder, by.author(), dictionaries, additions)?;
    let (author, at, mean) = (by.author().0, folder.display(), found.mean());
    let json = serde_json::json!({
        "atlas": folder, "author": author, "explanations": additions.len(), "mean_score": mean, "changed": changed,
        "left_out": left_out,
    });
    let mean = mean.map_or(String::new(), |mean| format!(", mean score {mean:.3}"));
    let so = if changed { "in" } else { "as they were already in" };
    let weak = match left_out {
        0 => String::new(),
        _ => format!("; {left_out} rules with an F1 below {LEAST_F1} on other documents were left out"),
    };
    global.tell(&json, format_args!("{} explanations by {author}{mean}, {so} {at}{weak}", additions.len()))
}

impl ExplainArgs {
    fn by(&self) -> By<'_> {
        match (&self.judge, &self.judge_model) {
            (Some(url), Some(model)) => {
                By::Judge(JudgeAt { url, model, log: &self.judge_log, features: self.count as usize })
            }
            _ => By::Rules,
        }
    }
}
