//! `lapidary release`: a finished, evaluated run becomes a folder that people can load.

use crate::global::Global;
use crate::terminal;
use anyhow::{Context, bail};
use lapidary_release::release::{How, RELEASE, Release};
use lapidary_report::hub::Hub;
use lapidary_store::RowDtype;
use std::path::PathBuf;

/// Write a finished run as a folder that people can load
///
/// One folder per dictionary that SAELens loads as it is (but TopK transcoders, which it has not), with lapidary.json (units,
/// site, hashes, a probe with expected outputs) and card.md; a README.md with the table of scores and which dictionary of each site
/// and width is canonical; report.html, its plots and their data; the plan and the scores; manifest.json with the blake3 of every
/// file, which `lapidary verify` checks. README.md and cards have the front matter of the Hugging Face Hub.
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
    /// Canonical is, at each site and width, the dictionary whose L0 is nearest this [default: the median L0]
    #[arg(long, value_name = "L0")]
    target_l0: Option<f64>,
    /// The language model's name on the Hub, owner/name, for the front matter
    #[arg(long, value_name = "ID")]
    base_model: Option<String>,
    /// Licence of the dictionaries, such as cc-by-4.0, for the front matter
    #[arg(long, value_name = "NAME")]
    license: Option<String>,
    /// Release the run's baselines too
    #[arg(long)]
    with_baselines: bool,
}

pub fn run(args: ReleaseArgs, global: &Global) -> anyhow::Result<()> {
    let hub = Hub { base_model: args.base_model, license: args.license };
    hub.check().map_err(anyhow::Error::msg).context("--base-model, --license")?;
    if let Some(found) = args.target_l0.filter(|l0| !(l0.is_finite() && *l0 > 0.0)) {
        bail!("--target-l0: expected a number above 0, found {found}");
    }
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
    let name = args.out.file_name().map_or("release".into(), |n| n.to_string_lossy().into_owned());
    let how = How { name, weights: args.weights, target_l0: args.target_l0, hub };
    release.write(&out.path, &how, global.catalog.device)?;
    out.finish()?;
    let readme = args.out.join("README.md");
    global.tell(&json, format_args!("{many} dictionaries in {to}; start with {}", readme.display()))
}
