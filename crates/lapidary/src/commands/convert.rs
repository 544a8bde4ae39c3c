//! `lapidary convert`: a dictionary in another file format, every parameter with the same bits.

use crate::global::Global;
use lapidary_dictionary::gemma_scope::FILE_NAME;
use lapidary_dictionary::{Conversion, DICTIONARY, Dictionary, Meta, save_sae_lens, write_npz};
use lapidary_files::OutFolder;
use lapidary_files::file_name::{self, is_named};
use lapidary_lm::Site;
use std::path::{Path, PathBuf};

/// Rewrite a dictionary in another format
///
/// Reads a release folder, a SAELens folder, a Gemma Scope folder or its params.npz. Parameters keep every bit, but
/// for what is folded into them in f64: b_dec where the source takes it off its input, a choice by decoder norm, and, for
/// gemma-scope, a gate. What the source's owner computes stays: a θ below 0 of a SAELens folder or an npz is read as 0.
#[derive(clap::Args)]
pub struct ConvertArgs {
    /// Dictionary to read
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Format to write: a folder for SAELens with lapidary.json, or one with params.npz
    #[arg(long, value_name = "FORMAT")]
    to: Format,
    /// Folder to write; must be empty or missing, unless --overwrite is given. For gemma-scope also a file that ends in .npz
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Site that the dictionary reads, e.g. 3.res [default: what the source says; a params.npz says nothing]
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Site that a transcoder writes [default: what the source says; an SAE writes where it reads]
    #[arg(long, value_name = "SITE")]
    site_out: Option<String>,
    /// Model that the dictionary belongs to [default: what the source says]
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
    /// The source reads the unscaled embedding, as Gemma Scope's embedding dictionaries do; write one that reads the scaled
    /// embedding (W_enc/√d, W_dec·√d, b_dec·√d). For what reads and writes the site embed only
    #[arg(long)]
    unscaled_embedding: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// cfg.json, sae_weights.safetensors, lapidary.json, card.md
    SaeLens,
    /// params.npz
    GemmaScope,
}

/// Runs the verb.
pub fn run(args: ConvertArgs, global: &Global) -> anyhow::Result<()> {
    let asked = Conversion {
        source: global.catalog.find(&args.source)?,
        site: args.site.as_deref().map(site_name).transpose()?,
        site_out: args.site_out.as_deref().map(site_name).transpose()?,
        model_name: args.model_name,
        unscaled_embedding: args.unscaled_embedding,
    };
    let out = Output::open(args.to, &args.out, &asked.source, global)?;
    let device = global.catalog.device;
    let (dictionary, meta) = asked.read(device)?;
    let meta = match args.to {
        Format::SaeLens => Some(asked.described(&dictionary, meta, device)?),
        Format::GemmaScope => None,
    };
    let (d, f, d_out) = (dictionary.d_in, dictionary.width(), dictionary.d_out);
    let what = format!("{f} features, [{d}] → [{d_out}], in {}", args.out.display());
    let json = serde_json::json!({ "out": args.out, "d_in": d, "features": f, "d_out": d_out });
    let Some(out) = out else {
        return global.tell(&json, format_args!("{what}: {} MiB", (f as u64 * (d + d_out) as u64 * 4) >> 20));
    };
    out.write(&dictionary, meta.as_ref(), &asked.card())?;
    global.tell(&json, what)
}

/// Where the dictionary goes.
enum Output {
    Folder(OutFolder),
    /// An npz by itself.
    File(PathBuf),
}

impl Output {
    /// Before anything is read; `None` in a dry run. The name agrees with what is written.
    fn open(to: Format, out: &Path, source: &Path, global: &Global) -> anyhow::Result<Option<Output>> {
        match to {
            Format::GemmaScope if is_named(out, "npz") => {
                global.output_file(out, &[source])?;
                return Ok((!global.dry_run).then(|| Output::File(out.to_path_buf())));
            }
            Format::GemmaScope => {
                file_name::folder(out, "a folder with params.npz, or a file that ends in .npz")?
            }
            Format::SaeLens => file_name::folder(out, "a folder for SAELens")?,
        }
        Ok(global.output_folder(out, &DICTIONARY, false, &[source])?.map(Output::Folder))
    }

    fn write(self, dictionary: &Dictionary, meta: Option<&Meta>, card: &str) -> anyhow::Result<()> {
        match (self, meta) {
            (Output::File(npz), _) => write_npz(&npz, dictionary)?,
            (Output::Folder(out), None) => {
                write_npz(&out.path.join(FILE_NAME), dictionary)?;
                out.finish()?;
            }
            (Output::Folder(out), Some(meta)) => {
                save_sae_lens(&out.path, dictionary, meta, card)?;
                out.finish()?;
            }
        }
        Ok(())
    }
}

/// A site by any of its names; rows of a planted dictionary have one that no model has.
fn site_name(name: &str) -> anyhow::Result<String> {
    match name {
        "planted" => Ok(name.to_string()),
        _ => Ok(name.parse::<Site>()?.to_string()),
    }
}
