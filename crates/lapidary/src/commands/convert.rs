//! `lapidary convert`: a dictionary in another file format, every parameter with the same bits.

use crate::global::Global;
use anyhow::{Context, bail};
use lapidary_dictionary::gemma_scope::FILE_NAME;
use lapidary_dictionary::{
    Dictionary, Meta, ModelRef, Probe, hooks, load, sae_lens, save_sae_lens, unscale_embedding, write_npz,
};
use lapidary_lm::Site;
use std::path::{Path, PathBuf};

/// Rewrite a dictionary in another format
///
/// Reads a release folder, a SAELens folder, a Gemma Scope folder or its params.npz. Parameters keep every bit, but
/// for what is folded into them in f64: b_dec where the source takes it off its input, gates, and a choice by decoder norm.
#[derive(clap::Args)]
pub struct ConvertArgs {
    /// Dictionary to read
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Format to write: a folder for SAELens with lapidary.json, or one with params.npz
    #[arg(long, value_name = "FORMAT")]
    to: Format,
    /// Folder to write; must be empty or missing, unless --overwrite is given
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Site that the dictionary reads, e.g. 3.res [default: what the source says; a params.npz says nothing]
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Site that a transcoder writes [default: what the source says, else the site that it reads]
    #[arg(long, value_name = "SITE")]
    site_out: Option<String>,
    /// Model that the dictionary belongs to [default: what the source says]
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
    /// The source reads the unscaled embedding, as Gemma Scope's embedding dictionaries do; write one that reads the scaled
    /// embedding (W_enc/√d, W_dec·√d, b_dec·√d)
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
        source: global.find(&args.source)?,
        site: args.site.as_deref().map(site_name).transpose()?,
        site_out: args.site_out.as_deref().map(site_name).transpose()?,
        ..args
    };
    let (mut dictionary, mut meta) = load(&args.source)?;
    if let Some(meta) = &meta {
        meta.probe.verify(&args.source, &dictionary, global.device)?;
    }
    if args.unscaled_embedding {
        dictionary = unscale_embedding(&dictionary);
        meta =
            meta.map(|meta| Meta { probe: Probe::synthetic(&dictionary, global.device, PROBE_ROWS), ..meta });
    }
    let meta = match args.to {
        Format::SaeLens => Some(described(&args, &dictionary, meta, global)?),
        Format::GemmaScope => None,
    };
    let (d, f, d_out) = (dictionary.d_in, dictionary.width(), dictionary.d_out);
    let what = format!("{f} features, [{d}] → [{d_out}], in {}", args.out.display());
    if global.dry_run {
        println!("{what}: {} MiB", (f as u64 * (d + d_out) as u64 * 4) >> 20);
        return Ok(());
    }
    check_apart(&args.source, &args.out)?;
    let card = card(&args);
    global.output_dir(&args.out)?;
    match &meta {
        Some(meta) => save_sae_lens(&args.out, &dictionary, meta, &card)?,
        None => write_npz(&args.out.join(FILE_NAME), &dictionary)?,
    }
    if global.json {
        println!("{}", serde_json::json!({ "out": args.out, "d_in": d, "features": f, "d_out": d_out }));
    } else {
        println!("{what}");
    }
    Ok(())
}

/// A site by any of its names; rows of a planted dictionary have one that no model has.
fn site_name(name: &str) -> anyhow::Result<String> {
    match name {
        "planted" => Ok(name.to_string()),
        _ => Ok(name.parse::<Site>()?.to_string()),
    }
}

/// Emptying the output must not take the source with it.
fn check_apart(source: &Path, out: &Path) -> anyhow::Result<()> {
    let (Ok(from), Ok(to)) = (source.canonicalize(), out.canonicalize()) else { return Ok(()) };
    if from.starts_with(&to) {
        bail!(
            "{}: expected a folder apart from the source, found the source in it; choose another",
            out.display()
        );
    }
    Ok(())
}

/// The source's meta data, with what the command line says; or fresh ones, with a probe made from the encoder's rows.
fn described(
    args: &ConvertArgs,
    dictionary: &Dictionary,
    meta: Option<Meta>,
    global: &Global,
) -> anyhow::Result<Meta> {
    let mut meta = match meta {
        Some(meta) => meta,
        None => fresh(args, dictionary, global)?,
    };
    if let Some(site) = &args.site {
        (meta.site, meta.site_out) = (site.clone(), site.clone());
        meta.hf_hook_name = None; // which module that is depends on the model's family
    }
    if let Some(site) = &args.site_out {
        meta.site_out = site.clone();
    }
    if let Some(name) = &args.model_name {
        meta.model = ModelRef { name: name.clone(), hash: None };
    }
    for site in [&meta.site, &meta.site_out] {
        hooks::hook(site, false).with_context(|| lapidary_dictionary::DictionaryError::Site(site.clone()))?;
    }
    Ok(meta)
}

fn fresh(args: &ConvertArgs, dictionary: &Dictionary, global: &Global) -> anyhow::Result<Meta> {
    let origin = match args.source.join("cfg.json").is_file() {
        true => sae_lens::provenance(&args.source)?,
        false => Default::default(),
    };
    let source = args.source.display();
    let unknown = |what: &str, flag: &str| {
        format!("{source}: expected it to say its {what}, found nothing; name it with {flag}")
    };
    let site = args.site.clone().or(origin.site).with_context(|| unknown("site", "--site"))?;
    let name = args.model_name.clone().or(origin.model).with_context(|| unknown("model", "--model-name"))?;
    Ok(Meta {
        site_out: origin.site_out.unwrap_or_else(|| site.clone()),
        site,
        hf_hook_name: None,
        model: ModelRef { name, hash: None },
        context: origin.context,
        prepend_bos: origin.prepend_bos.unwrap_or(true),
        special_tokens: Vec::new(),
        l0: None,
        training: None,
        probe: Probe::synthetic(dictionary, global.device, PROBE_ROWS),
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
