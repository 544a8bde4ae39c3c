//! `lapidary lm`: look into a language model without any dictionary. `info` reads the config and counts, `logits` and
//! `tap` write what the model computes as safetensors, `generate` continues a text.

use crate::global::Global;
use crate::organism::{SCHEME, carries};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use lapidary_files::tensors::{self, Dtype, Tensor};
use lapidary_lm::text::{Tokenizer, read_text};
use lapidary_lm::{Batch, Model, Sampling, Site, SiteKind, Spec};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::PathBuf;

/// Longest text that is read from a file, bytes; the context is checked in tokens.
const MAX_TEXT: u64 = 64 << 20;

#[derive(Subcommand)]
pub enum LmCommand {
    /// Family, sizes, widths of the sites, special tokens, parameters
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
    /// Folder of a Hugging Face model: config.json, safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
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
    /// New tokens at most; ends earlier at an EOS token or when the context is full
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
        LmCommand::Info(args) => info(args, global),
        LmCommand::Logits(args) => logits(args, global),
        LmCommand::Tap(args) => tap(args, global),
        LmCommand::Generate(args) => generate(args, global),
    }
}

impl ModelArgs {
    /// The folder as named, inside `--data`, or what the program carries; of what is nowhere, the loader says more.
    fn folder(&self, global: &Global) -> anyhow::Result<PathBuf> {
        let is_embedded = carries(&self.model) || self.model.to_string_lossy().starts_with(SCHEME);
        match global.find(&self.model) {
            Err(error) if is_embedded => Err(error),
            found => Ok(found.unwrap_or_else(|_| self.model.clone())),
        }
    }

    fn load(&self, global: &Global) -> anyhow::Result<Model> {
        Ok(Model::load(&self.folder(global)?, global.device)?)
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

fn info(args: InfoArgs, global: &Global) -> anyhow::Result<()> {
    let model = args.model.load(global)?;
    let spec = &model.spec;
    let kinds = SiteKind::IN_ORDER.into_iter().chain([SiteKind::Embed]);
    let widths: BTreeMap<String, usize> =
        kinds.map(|k| (k.to_string(), spec.width(Site::new(0, k)))).collect();
    let parameters = model.weights.count();
    let mut out = std::io::stdout().lock();
    if global.json {
        let json = serde_json::json!({
            "family": spec.family.to_string(), "layers": spec.n_layers, "d_model": spec.d_model, "widths": widths,
            "heads": spec.heads, "kv_heads": spec.kv_heads, "d_head": spec.d_head, "d_mlp": spec.d_mlp,
            "vocab": spec.vocab, "context": spec.context, "parameters": parameters, "windows": spec.windows,
            "tied_head": spec.tied_head, "bos": spec.bos, "eos": spec.eos, "pad": spec.pad,
        });
        return Ok(writeln!(out, "{json:#}")?);
    }
    let ids = |ids: &[u32]| match ids {
        [] => "none".to_string(),
        ids => ids.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    };
    let sites: Vec<String> = widths.iter().map(|(kind, width)| format!("{kind} {width}")).collect();
    let slides = spec.windows.iter().flatten().count();
    let window = match spec.windows.iter().flatten().next() {
        Some(window) => format!("{window} tokens in {slides} of {} layers", spec.n_layers),
        None => "none".to_string(),
    };
    let rows = [
        ("family", spec.family.to_string()),
        ("layers", spec.n_layers.to_string()),
        ("d_model", spec.d_model.to_string()),
        ("site widths", sites.join(", ")),
        ("heads", format!("{} of width {}, {} for keys and values", spec.heads, spec.d_head, spec.kv_heads)),
        ("MLP width", spec.d_mlp.to_string()),
        ("sliding window", window),
        (
            "vocabulary",
            format!("{}, head {}", spec.vocab, if spec.tied_head { "tied" } else { "of its own" }),
        ),
        ("context", format!("{} tokens", spec.context)),
        ("parameters", parameters.to_string()),
        ("bos", ids(spec.bos.as_slice())),
        ("eos", ids(&spec.eos)),
        ("pad", ids(spec.pad.as_slice())),
    ];
    rows.into_iter().try_for_each(|(name, value)| writeln!(out, "{name:<15} {value}"))?;
    Ok(())
}

fn logits(args: LogitsArgs, global: &Global) -> anyhow::Result<()> {
    global.output_file(&args.out)?;
    let model = args.model.load(global)?;
    let tokens = tokens(&args.input, &args.model, &model.spec, global)?;
    let residual = model.forward(&Batch::new([tokens.as_slice()]), &[], &mut |_, _| {});
    let logits = vec![("logits".to_string(), model.spec.vocab, model.unembed(&residual))];
    write(&args.out, &tokens, &logits, global)
}

fn tap(args: TapArgs, global: &Global) -> anyhow::Result<()> {
    global.output_file(&args.out)?;
    let model = args.model.load(global)?;
    let sites = model.spec.parse_sites(&args.sites)?;
    let tokens = tokens(&args.input, &args.model, &model.spec, global)?;
    let mut rows = Vec::new();
    model.tap(&Batch::new([tokens.as_slice()]), &sites, &mut |site, x| {
        rows.push((site.to_string(), model.spec.width(site), x.to_vec()));
    });
    write(&args.out, &tokens, &rows, global)
}

/// Publishes `tokens` [T] and tensors [T, width] of f32.
fn write(
    path: &PathBuf,
    ids: &[u32],
    rows: &[(String, usize, Vec<f32>)],
    global: &Global,
) -> anyhow::Result<()> {
    let bytes: Vec<u8> = ids.iter().flat_map(|&id| i64::from(id).to_le_bytes()).collect();
    let length = [ids.len()];
    let shapes: Vec<[usize; 2]> = rows.iter().map(|(_, width, _)| [ids.len(), *width]).collect();
    let tokens = Tensor { name: "tokens", dtype: Dtype::I64, shape: &length, bytes: &bytes };
    let tensors: Vec<Tensor> = std::iter::once(tokens)
        .chain(rows.iter().zip(&shapes).map(|((name, _, x), shape)| Tensor::f32(name, shape, x)))
        .collect();
    if !global.dry_run {
        tensors::write(path, &tensors, &HashMap::from([("format_version".to_string(), "1".to_string())]))?;
    }
    let written =
        tensors.iter().map(|t| serde_json::json!({ "name": t.name, "shape": t.shape })).collect::<Vec<_>>();
    let mut out = std::io::stdout().lock();
    if global.json {
        writeln!(out, "{:#}", serde_json::json!({ "file": path, "tensors": written }))?;
    } else {
        tensors.iter().try_for_each(|t| writeln!(out, "{:<8} {:?}", t.name, t.shape))?;
    }
    Ok(())
}

fn generate(args: GenerateArgs, global: &Global) -> anyhow::Result<()> {
    let model = args.model.load(global)?;
    let prompt = tokens(&args.input, &args.model, &model.spec, global)?;
    let sampling = Sampling { temperature: args.temperature, top_p: args.top_p, seed: args.seed };
    let new = model.generate(&prompt, args.max_tokens, &sampling, &mut |_| {})?;
    let whole = [prompt.as_slice(), &new].concat();
    // With ids as input the tokenizer is welcome, not needed.
    let text = match args.model.tokenizer(global) {
        Ok(tokenizer) => Some(tokenizer.decode(&whole)?),
        Err(_) if args.input.tokens.is_some() => None,
        Err(e) => return Err(e),
    };
    let mut out = std::io::stdout().lock();
    match text {
        _ if global.json => {
            writeln!(out, "{:#}", serde_json::json!({ "text": text, "prompt": prompt, "tokens": new }))?
        }
        Some(text) => writeln!(out, "{text}")?,
        None => writeln!(out, "{}", whole.iter().map(u32::to_string).collect::<Vec<_>>().join(","))?,
    }
    Ok(())
}
