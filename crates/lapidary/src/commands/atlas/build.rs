//! `lapidary atlas build`: one pass over a text, and every feature's page.

use super::Bars;
use crate::global::Global;
use crate::terminal;
use lapidary_atlas::ATLAS;
use lapidary_atlas::build::SHARD_ROWS;
use lapidary_release::atlas::Asked;
use lapidary_report::number::count;
use lapidary_text::Split;
use std::path::{Path, PathBuf};

/// Build an atlas: every feature of a run, a release or dictionaries
///
/// One pass over the text looks at all features of all dictionaries at once: how often they fire and how strongly, their
/// strongest and some typical places, what fires with them; and, by their weights, which next tokens they speak for and which
/// other features point where they do. Of a run or a release, model, text and context are its own; for dictionaries name
/// --model and --text. A build that was stopped goes on with --resume.
#[derive(clap::Args)]
pub struct BuildArgs {
    /// Run or release folders, or dictionaries (SAELens folders, Gemma Scope params.npz)
    #[arg(required = true, value_name = "RUN|RELEASE|DICT")]
    subjects: Vec<PathBuf>,
    /// Atlas folder; must be empty or missing, unless --overwrite or --resume is given
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on with a build of the same inputs
    #[arg(long)]
    resume: bool,
    /// What the suite is called [default: name of the first folder]
    #[arg(long)]
    name: Option<String>,
    /// Model folder or GGUF file [default: the run's]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Text files or folders [default: the run's, or that of a release's truth scores]
    #[arg(long, value_name = "F", num_args = 1..)]
    text: Vec<PathBuf>,
    /// Site of dictionaries that do not say theirs, like 3.res
    #[arg(long)]
    site: Option<String>,
    /// Site that a transcoder writes, if it does not say it
    #[arg(long, value_name = "SITE")]
    site_out: Option<String>,
    /// Tokens per window, BOS included [default: the run's, else the model's, at most 1,024]
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Documents: held-out, which training never sees; validation; train; or all
    #[arg(long, value_name = "SPLIT", default_value_t = Split::HeldOut)]
    split: Split,
    /// Only the first N windows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_windows: Option<u32>,
    /// Rows after which what was seen is saved, for --resume
    #[arg(long, value_name = "N", default_value_t = SHARD_ROWS, value_parser = clap::value_parser!(u64).range(1..))]
    shard_rows: u64,
}

pub fn run(args: BuildArgs, global: &Global) -> anyhow::Result<()> {
    let inputs: Vec<&Path> = args.subjects.iter().map(PathBuf::as_path).collect();
    let out = global.output_folder(&args.out, &ATLAS, args.resume, &inputs)?;
    let (folder, shard_rows) = (args.out.clone(), args.shard_rows);
    let prepared = args.asked().open(&global.catalog, &|line| terminal::note(line))?;
    let (many, windows) = (prepared.named.len(), prepared.corpus.windows.len());
    let Some(out) = out else {
        let json = serde_json::json!({ "dictionaries": many, "windows": windows });
        return global.tell(&json, format_args!("{many} dictionaries on {windows} windows"));
    };
    let (subjects, outputs) = prepared.subjects();
    let mut bars = Bars::new(global);
    let manifest =
        prepared.job(&subjects, &outputs, shard_rows)?.build(&out.path, &mut |stage| bars.show(stage))?;
    out.finish()?;
    let suite = &manifest.suite;
    let features: usize = suite.dictionaries.iter().map(|d| d.features).sum();
    let json = serde_json::json!({ "atlas": folder, "dictionaries": many, "features": features, "rows": suite.text.rows });
    let (features, rows) = (count(features as u64), count(suite.text.rows));
    let at = folder.display();
    global.tell(&json, format_args!("{features} features of {many} dictionaries on {rows} rows, in {at}"))
}

impl BuildArgs {
    fn asked(self) -> Asked {
        let BuildArgs { subjects, name, model, text, site, site_out, context, split, max_windows, .. } = self;
        let max_windows = max_windows.map(|n| n as usize);
        Asked { subjects, model, text, site, site_out, context, split, max_windows, name }
    }
}
