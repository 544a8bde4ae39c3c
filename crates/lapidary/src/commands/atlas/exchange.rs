//! `lapidary atlas export`, `import` and `upgrade`: an atlas in another layout, explanations from there, tables of an older version.

use crate::global::Global;
use crate::terminal::progress::Progress;
use lapidary_atlas::neuronpedia::{self, EXPORT, Named};
use lapidary_atlas::{Atlas, edit};
use serde_json::json;
use std::path::PathBuf;

/// Write an atlas in another site's layout
///
/// `neuronpedia`: config, releases, sources, and batches of features, activations and explanations, which Neuronpedia imports.
/// Where this differs from what SAEDashboard writes, and why: crates/atlas/README.md.
#[derive(clap::Args)]
pub struct ExportArgs {
    /// Atlas folder
    atlas: PathBuf,
    /// In whose layout
    #[arg(long, value_name = "LAYOUT", value_parser = ["neuronpedia"])]
    to: String,
    /// Folder to write; must be empty or missing, unless --overwrite is given
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the release [default: the suite's]
    #[arg(long)]
    release: Option<String>,
    /// Account that the rows belong to [default: the one that Neuronpedia's importer makes]
    #[arg(long, value_name = "ID", default_value = "clkht01d40000jv08hvalcvly")]
    creator: String,
    /// Date that every row says; a fixed one gives the same bytes each time
    #[arg(long, value_name = "ISO 8601", default_value = "2026-01-01T00:00:00.000Z")]
    created: String,
}

pub fn export(args: ExportArgs, global: &Global) -> anyhow::Result<()> {
    let from = global.catalog.find(&args.atlas)?;
    let out = global.output_folder(&args.out, &EXPORT, false, &[&from])?;
    let atlas = Atlas::open(&from)?;
    let many = atlas.suite().dictionaries.len();
    let (json, at) = (json!({ "export": args.out, "sources": many }), args.out.display());
    let Some(out) = out else { return global.tell(&json, format_args!("{many} sources, to {at}")) };
    let release = args.release.as_deref().unwrap_or(&atlas.suite().name);
    let named = Named { creator: &args.creator, release, created: &args.created };
    let features = atlas.suite().dictionaries.iter().map(|d| d.features as u64).sum();
    let mut bar = Progress::new(global.quiet, "exporting", features, "features");
    neuronpedia::export(&atlas, &out.path, &named, &mut |done, _| bar.set(done))?;
    bar.finish();
    out.finish()?;
    global.tell(&json, format_args!("{many} sources in {at}"))
}

/// Add explanations from a folder in Neuronpedia's layout
///
/// Reads explanations/batch-N.jsonl.gz of a source, a model or a whole export. What is there already stays as it is.
#[derive(clap::Args)]
pub struct ImportArgs {
    /// Atlas folder
    atlas: PathBuf,
    /// Folder to read
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// All of them are of this source, whatever they say
    #[arg(long)]
    source: Option<String>,
}

pub fn import(args: ImportArgs, global: &Global) -> anyhow::Result<()> {
    let atlas = Atlas::open(&args.atlas)?;
    let (found, foreign) = neuronpedia::read_explanations(&atlas, &args.from, args.source.as_deref())?;
    drop(atlas);
    let new = if global.dry_run { 0 } else { edit::add_explanations(&args.atlas, &found)? };
    let json = json!({ "found": found.len(), "added": new, "of_other_sources": foreign });
    let (found, at) = (found.len(), args.atlas.display());
    global.tell(
        &json,
        format_args!(
            "{found} explanations found, {new} of them new, added to {at}; {foreign} of other sources"
        ),
    )
}

/// Bring the tables of an atlas to this version
#[derive(clap::Args)]
pub struct UpgradeArgs {
    /// Atlas folder
    atlas: PathBuf,
}

pub fn upgrade(args: UpgradeArgs, global: &Global) -> anyhow::Result<()> {
    let from = edit::upgrade(&args.atlas)?;
    let to = lapidary_atlas::rows::VERSION;
    global.tell(&json!({ "from": from, "to": to }), format_args!("from version {from} to {to}"))
}
