//! `lapidary release`: a finished, evaluated run becomes a folder that people can load.

use crate::global::Global;
use crate::terminal;
use lapidary_release::release::{RELEASE, Release};
use lapidary_store::RowDtype;
use std::path::PathBuf;

/// Write a finished run as a folder that people can load
///
/// One folder per dictionary that SAELens loads as it is (but TopK transcoders, which it has not), with lapidary.json (units,
/// site, hashes, a probe with expected outputs) and card.md; a README.md with the table of scores; the plan and the scores;
/// manifest.json with the blake3 of every file, which `lapidary verify` checks.
/// Baselines are left out, and so is what stopped in training or has scores that are not numbers; the README says which.
#[derive(clap::Args)]
pub struct ReleaseArgs {
    /// Run folder, evaluated
    run: PathBuf,
    /// Release folder; must be empty or missing, unless --overwrite is given
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Precision of the encoder's and decoder's weights: f32, or bf16 (half the bytes; scores were measured in f32)
    #[arg(long, value_name = "DTYPE", default_value_t = RowDtype::F32)]
    weights: RowDtype,
    /// Release the run's baselines too
    #[arg(long)]
    with_baselines: bool,
}

pub fn run(args: ReleaseArgs, global: &Global) -> anyhow::Result<()> {
    let run = global.catalog.find(&args.run)?;
    let out = global.output_folder(&args.out, &RELEASE, false, &[&run])?;
    let mut release = Release::of(&run, args.with_baselines)?;
    if !global.quiet {
        release.left_out.iter().for_each(|why| terminal::note(why.trim_end_matches('.')));
    }
    let (many, to) = (release.released.len(), args.out.display());
    let json = serde_json::json!({ "release": args.out, "dictionaries": many });
    let Some(out) = out else {
        return global.tell(&json, format_args!("{many} dictionaries, to {to}"));
    };
    let name = args.out.file_name().map_or("release".into(), |n| n.to_string_lossy());
    release.write(&out.path, &name, args.weights, global.catalog.device)?;
    out.finish()?;
    let readme = args.out.join("README.md");
    global.tell(&json, format_args!("{many} dictionaries in {to}; start with {}", readme.display()))
}
