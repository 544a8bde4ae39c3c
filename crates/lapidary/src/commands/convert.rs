//! `lapidary convert`: a dictionary in another file format, every parameter with the same bits.

use crate::file_name::{self, is_named};
use crate::global::Global;
use crate::output::DICTIONARY;
use anyhow::{Context, bail};
use lapidary_dictionary::gemma_scope::FILE_NAME;
use lapidary_dictionary::{
    Dictionary, Meta, ModelRef, Probe, Sites, load, sae_lens, save_sae_lens, sites, unscale_embedding,
    write_npz,
};
use lapidary_files::OutFolder;
use lapidary_lm::Site;
use std::path::PathBuf;

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

/// Rows of the probe of a dictionary that comes without one.
const PROBE_ROWS: usize = 4;

/// Runs the verb.
pub fn run(args: ConvertArgs, global: &Global) -> anyhow::Result<()> {
    let args = ConvertArgs {
        source: global.catalog.find(&args.source)?,
        site: args.site.as_deref().map(site_name).transpose()?,
        site_out: args.site_out.as_deref().map(site_name).transpose()?,
        ..args
    };
    let out = Output::open(&args, global)?;
    let (mut dictionary, mut meta) = load(&args.source)?;
    if let Some(meta) = &meta {
        meta.probe.verify(&args.source, &dictionary, global.catalog.device)?;
    }
    if args.unscaled_embedding {
        check_embedding(&args, &dictionary, meta.as_ref())?;
        dictionary = unscale_embedding(&dictionary);
        meta = meta.map(|meta| Meta {
            probe: Probe::synthetic(&dictionary, global.catalog.device, PROBE_ROWS),
            ..meta
        });
    }
    let meta = match args.to {
        Format::SaeLens => Some(described(&args, &dictionary, meta, global)?),
        Format::GemmaScope => None,
    };
    let (d, f, d_out) = (dictionary.d_in, dictionary.width(), dictionary.d_out);
    let what = format!("{f} features, [{d}] → [{d_out}], in {}", args.out.display());
    let json = serde_json::json!({ "out": args.out, "d_in": d, "features": f, "d_out": d_out });
    let Some(out) = out else {
        return global.tell(&json, format_args!("{what}: {} MiB", (f as u64 * (d + d_out) as u64 * 4) >> 20));
    };
    out.write(&dictionary, meta.as_ref(), &card(&args))?;
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
    fn open(args: &ConvertArgs, global: &Global) -> anyhow::Result<Option<Output>> {
        match args.to {
            Format::GemmaScope if is_named(&args.out, "npz") => {
                global.output_file(&args.out, &[&args.source])?;
                return Ok((!global.dry_run).then(|| Output::File(args.out.clone())));
            }
            Format::GemmaScope => {
                file_name::folder(&args.out, "a folder with params.npz, or a file that ends in .npz")?
            }
            Format::SaeLens => file_name::folder(&args.out, "a folder for SAELens")?,
        }
        Ok(global.output_folder(&args.out, &DICTIONARY, false, &[&args.source])?.map(Output::Folder))
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

/// Scaling the decoder is right only where it writes the embedding. An npz says no site: there the flag is its word.
fn check_embedding(args: &ConvertArgs, dictionary: &Dictionary, meta: Option<&Meta>) -> anyhow::Result<()> {
    let Sites { read, written } = places(args, dictionary, meta)?;
    if (read.as_str(), written.as_str()) != ("embed", "embed") {
        bail!(
            "{}: expected a dictionary that reads and writes embed, found one from {read} to {written}; convert it \
             without --unscaled-embedding",
            args.source.display()
        );
    }
    Ok(())
}

fn places(args: &ConvertArgs, dictionary: &Dictionary, meta: Option<&Meta>) -> anyhow::Result<Sites> {
    let silent = args.unscaled_embedding && !args.source.join("cfg.json").is_file();
    let site = args.site.as_deref().or(silent.then_some("embed"));
    Ok(sites(&args.source, dictionary, meta, site, args.site_out.as_deref())?)
}

/// A site by any of its names; rows of a planted dictionary have one that no model has.
fn site_name(name: &str) -> anyhow::Result<String> {
    match name {
        "planted" => Ok(name.to_string()),
        _ => Ok(name.parse::<Site>()?.to_string()),
    }
}

/// The source's meta data, with what the command line says; or fresh ones, with a probe made from the encoder's rows.
fn described(
    args: &ConvertArgs,
    dictionary: &Dictionary,
    meta: Option<Meta>,
    global: &Global,
) -> anyhow::Result<Meta> {
    let sites = places(args, dictionary, meta.as_ref())?;
    let mut meta = match meta {
        Some(meta) => meta,
        None => fresh(args, dictionary, &sites, global)?,
    };
    if meta.site != sites.read {
        meta.hf_hook_name = None; // which module that is depends on the model's family
    }
    (meta.site, meta.site_out) = (sites.read, sites.written);
    if let Some(name) = &args.model_name {
        meta.model = ModelRef { name: name.clone(), hash: None, precision: None };
    }
    Ok(meta)
}

fn fresh(
    args: &ConvertArgs,
    dictionary: &Dictionary,
    sites: &Sites,
    global: &Global,
) -> anyhow::Result<Meta> {
    let origin = match args.source.join("cfg.json").is_file() {
        true => sae_lens::provenance(&args.source)?,
        false => Default::default(),
    };
    let name = args.model_name.clone().or(origin.model).with_context(|| {
        let source = args.source.display();
        format!("{source}: expected it to say its model, found nothing; name it with --model-name")
    })?;
    let stays = origin.site.as_ref() == Some(&sites.read);
    Ok(Meta {
        site: sites.read.clone(),
        site_out: sites.written.clone(),
        hf_hook_name: origin.hf_hook_name.filter(|_| stays),
        model: ModelRef { name, hash: None, precision: None },
        context: origin.context,
        prepend_bos: origin.prepend_bos.unwrap_or(true),
        special_tokens: origin.special_tokens,
        l0: None,
        training: None,
        probe: Probe::synthetic(dictionary, global.catalog.device, PROBE_ROWS),
    })
}

/// The source's card, or a line that says where this comes from.
fn card(args: &ConvertArgs) -> String {
    let own = lapidary_files::read_string(&args.source.join("card.md"), 1 << 20);
    own.unwrap_or_else(|_| {
        let name = args.source.file_name().unwrap_or_default().to_string_lossy();
        format!("# A converted dictionary\n\nRewritten from `{name}` by `lapidary convert`. Nothing was measured.\n")
    })
}
