//! `lapidary lm`: look into a language model without any dictionary. `info` reads the config and counts, `logits` and
//! `tap` write what the model computes as safetensors, `generate` continues a text.

mod generate;
mod info;

use crate::global::Global;
use crate::terminal;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use lapidary_catalog::embedded::{SCHEME, carries};
use lapidary_catalog::model::open_folder;
use lapidary_files::file_name;
use lapidary_files::tensors::{self, Dtype, Tensor};
use lapidary_lm::{Batch, ModelFolder, Spec};
use lapidary_text::{Tokenizer, read_text};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Longest text that is read from a file, bytes; the context is checked in tokens.
const MAX_TEXT: u64 = 64 << 20;

#[derive(Subcommand)]
pub enum LmCommand {
    /// Family, sizes and every other number that the config resolves to, parameters; reads no weights
    Info(InfoArgs),
    /// Write the logits of every position
    ///
    /// The file holds `logits` [T, V] f32 and `tokens` [T] i64.
    Logits(LogitsArgs),
    /// Write the activations of every position at chosen sites
    ///
    /// The file holds one tensor [T, D] f32 per site, named by the site, and `tokens` [T] i64.
    Tap(TapArgs),
    /// Continue a text; prints prompt and continuation
    Generate(GenerateArgs),
}

#[derive(Args)]
struct ModelArgs {
    /// Folder of a Hugging Face model (config.json, safetensors, tokenizer.json), or a GGUF file
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct InputArgs {
    /// A text; the model's BOS is put before it, so "" is a lone BOS
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    text: Option<String>,
    /// A file with the text, as it is, or - for standard input; the model's BOS is put before it
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
    /// Token ids, verbatim; needs no tokenizer
    #[arg(long, value_name = "ID,ID,…", value_delimiter = ',', allow_hyphen_values = true, value_parser = token_id)]
    tokens: Option<Vec<u32>>,
}

#[derive(Args)]
pub struct InfoArgs {
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Args)]
pub struct LogitsArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    /// File to write
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

#[derive(Args)]
pub struct TapArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    /// Sites: `all`, or a list such as `embed,0.res,3.mlp,*.att`
    ///
    /// Kinds: res (stream after the layer), att (heads before W_O), attn (what attention adds), mid (stream between
    /// attention and MLP), mlp-in (MLP input without the norm's gain), mlp (what the MLP adds), embed. TransformerLens's and
    /// Hugging Face's names of these are understood too: blocks.3.hook_resid_post, model.layers.3.self_attn.o_proj.
    #[arg(long, value_name = "SITES")]
    sites: String,
    /// File to write
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

#[derive(Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    /// New tokens at most; ends earlier at an EOS token of generation_config.json (else config.json) or when the context is full
    #[arg(long, value_name = "N", default_value_t = 128)]
    max_tokens: usize,
    /// Divides the logits; 0 always takes the most probable token
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_hyphen_values = true)]
    temperature: f64,
    /// Keep the most probable tokens that together reach this probability
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_hyphen_values = true)]
    top_p: f64,
    /// Seed of the draws: the same seed gives the same text
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Runs one of the verbs.
pub fn run(command: LmCommand, global: &Global) -> anyhow::Result<()> {
    match command {
        LmCommand::Info(args) => info::info(args, global),
        LmCommand::Logits(args) => logits(args, global),
        LmCommand::Tap(args) => tap(args, global),
        LmCommand::Generate(args) => generate::generate(args, global),
    }
}

impl ModelArgs {
    /// The folder as named, inside `--data`, or what the program carries; of what is nowhere, the loader says more.
    fn folder(&self, global: &Global) -> anyhow::Result<PathBuf> {
        let is_embedded = carries(&self.model) || self.model.to_string_lossy().starts_with(SCHEME);
        match global.catalog.find(&self.model) {
            Err(error) if is_embedded => Err(error.into()),
            found => Ok(found.unwrap_or_else(|_| self.model.clone())),
        }
    }

    /// Config and headers; the weights are read when everything else has been checked.
    fn open(&self, global: &Global) -> anyhow::Result<ModelFolder> {
        Ok(open_folder(&self.folder(global)?, &[], &global.catalog)?)
    }

    fn tokenizer(&self, global: &Global) -> anyhow::Result<Tokenizer> {
        Tokenizer::load(&self.folder(global)?)
            .context("--text needs a tokenizer; with --tokens none is needed")
    }
}

/// One of `--tokens`; spaces around it do not count.
fn token_id(text: &str) -> Result<u32, String> {
    let text = text.trim();
    text.parse().map_err(|_| format!("expected token ids from 0, separated by commas, found `{text}`"))
}

/// Token ids of the input, checked against the model.
fn tokens(input: &InputArgs, model: &ModelArgs, spec: &Spec, global: &Global) -> anyhow::Result<Vec<u32>> {
    let tokens = match (&input.tokens, &input.text, &input.text_file) {
        (Some(tokens), ..) => tokens.clone(),
        (_, Some(text), _) => with_bos(text, model, spec, global)?,
        (_, _, Some(file)) => with_bos(&read_text(file, MAX_TEXT)?, model, spec, global)?,
        (None, None, None) => bail!("give --text, --text-file or --tokens"), // clap has said so already
    };
    spec.check_tokens(&tokens)?;
    Ok(tokens)
}

fn with_bos(text: &str, model: &ModelArgs, spec: &Spec, global: &Global) -> anyhow::Result<Vec<u32>> {
    let mut tokens: Vec<u32> = spec.bos.into_iter().collect();
    if !text.is_empty() {
        tokens.extend(model.tokenizer(global)?.encode(text)?);
    }
    Ok(tokens)
}

fn logits(args: LogitsArgs, global: &Global) -> anyhow::Result<()> {
    check_output(&args.out, &args.model, &args.input, global)?;
    let files = args.model.open(global)?;
    let tokens = tokens(&args.input, &args.model, &files.spec, global)?;
    let places = [("logits".to_string(), files.spec.vocab)];
    if global.dry_run {
        return describe(&args.out, tokens.len(), &places, global);
    }
    let model = files.load(global.catalog.device, global.catalog.precision.unwrap_or_default())?;
    let residual = model.forward(&Batch::new([tokens.as_slice()]), &[], &mut |_, _| {});
    write(&args.out, &tokens, &places, &[model.unembed(&residual)], global)
}

fn tap(args: TapArgs, global: &Global) -> anyhow::Result<()> {
    check_output(&args.out, &args.model, &args.input, global)?;
    let files = args.model.open(global)?;
    let sites = files.spec.parse_sites(&args.sites)?;
    let tokens = tokens(&args.input, &args.model, &files.spec, global)?;
    let places: Vec<_> = sites.iter().map(|&site| (site.to_string(), files.spec.width(site))).collect();
    if global.dry_run {
        return describe(&args.out, tokens.len(), &places, global);
    }
    let model = files.load(global.catalog.device, global.catalog.precision.unwrap_or_default())?;
    let mut rows = Vec::new();
    model.tap(&Batch::new([tokens.as_slice()]), &sites, &mut |_, x| rows.push(x.to_vec()));
    write(&args.out, &tokens, &places, &rows, global)
}

/// Publishes `tokens` [T] and `rows`, a tensor [T, width] of f32 for each of `places` (name, width).
fn write(
    path: &Path,
    ids: &[u32],
    places: &[(String, usize)],
    rows: &[Vec<f32>],
    global: &Global,
) -> anyhow::Result<()> {
    let bytes: Vec<u8> = ids.iter().flat_map(|&id| i64::from(id).to_le_bytes()).collect();
    let length = [ids.len()];
    let shapes: Vec<[usize; 2]> = places.iter().map(|(_, width)| [ids.len(), *width]).collect();
    let tokens = Tensor { name: "tokens", dtype: Dtype::I64, shape: &length, bytes: &bytes };
    let named = places.iter().zip(rows).zip(&shapes);
    let tensors: Vec<Tensor> = std::iter::once(tokens)
        .chain(named.map(|(((name, _), x), shape)| Tensor::f32(name, shape, x)))
        .collect();
    tensors::write(path, &tensors, &HashMap::from([("format_version".to_string(), "1".to_string())]))?;
    describe(path, ids.len(), places, global)
}

/// Says what the file of [`write`] holds for a sequence of `length` tokens.
fn describe(path: &Path, length: usize, places: &[(String, usize)], global: &Global) -> anyhow::Result<()> {
    let rows = places.iter().map(|(name, width)| (name.as_str(), vec![length, *width]));
    let tensors: Vec<(&str, Vec<usize>)> = std::iter::once(("tokens", vec![length])).chain(rows).collect();
    if global.json {
        let tensors: Vec<_> =
            tensors.iter().map(|(name, shape)| serde_json::json!({ "name": name, "shape": shape })).collect();
        return terminal::line(format_args!("{:#}", serde_json::json!({ "file": path, "tensors": tensors })));
    }
    terminal::write(|out| tensors.iter().try_for_each(|(name, shape)| writeln!(out, "{name:<8} {shape:?}")))
}

/// Before the model is read.
fn check_output(out: &Path, model: &ModelArgs, input: &InputArgs, global: &Global) -> anyhow::Result<()> {
    file_name::safetensors(out)?;
    let folder = model.folder(global)?;
    let mut inputs = vec![folder.as_path()];
    inputs.extend(input.text_file.as_deref());
    global.output_file(out, &inputs)
}
