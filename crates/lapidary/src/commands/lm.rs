//! `lapidary lm`: look into a language model without any dictionary. `info` reads the config and counts, `logits` and
//! `tap` write what the model computes as safetensors, `generate` continues a text.

use crate::global::Global;
use crate::organism::NAMES;
use crate::terminal;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use lapidary_files::tensors::{self, Dtype, Tensor};
use lapidary_lm::model::load_spec;
use lapidary_lm::text::Tokenizer;
use lapidary_lm::{Batch, Model, Sampling, Site, SiteKind, Spec};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

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
    /// A file with the text, as it is; the model's BOS is put before it
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
    /// Token ids, verbatim; needs no tokenizer
    #[arg(long, value_name = "ID,ID,…", value_delimiter = ',')]
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
    /// attention and MLP), mlp-in (MLP input without the norm's gain), mlp (what the MLP adds), embed.
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
        let is_embedded = NAMES.iter().any(|name| Path::new(name) == self.model);
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

/// Token ids of the input, checked against the model.
fn tokens(input: &InputArgs, model: &ModelArgs, spec: &Spec, global: &Global) -> anyhow::Result<Vec<u32>> {
    let tokens = match (&input.tokens, &input.text, &input.text_file) {
        (Some(tokens), ..) => tokens.clone(),
        (_, Some(text), _) => with_bos(text, model, spec, global)?,
        (_, _, Some(file)) => with_bos(&lapidary_files::read_string(file, MAX_TEXT)?, model, spec, global)?,
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
    if global.json {
        let json = serde_json::json!({
            "family": spec.family.to_string(), "layers": spec.n_layers, "d_model": spec.d_model, "widths": widths,
            "heads": spec.heads, "kv_heads": spec.kv_heads, "d_head": spec.d_head, "d_mlp": spec.d_mlp,
            "vocab": spec.vocab, "context": spec.context, "parameters": parameters, "windows": spec.windows,
            "tied_head": spec.tied_head, "bos": spec.bos, "eos": spec.eos, "pad": spec.pad,
        });
        return terminal::line(format_args!("{json:#}"));
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
    terminal::write(|out| rows.into_iter().try_for_each(|(name, value)| writeln!(out, "{name:<15} {value}")))
}

fn logits(args: LogitsArgs, global: &Global) -> anyhow::Result<()> {
    check_output(&args.out, &args.model, &args.input, global)?;
    let spec = load_spec(&args.model.folder(global)?)?;
    let tokens = tokens(&args.input, &args.model, &spec, global)?;
    if global.dry_run {
        return tell(&args.out, &tokens, &[("logits".to_string(), spec.vocab)], global);
    }
    let model = args.model.load(global)?;
    let residual = model.forward(&Batch::new([tokens.as_slice()]), &[], &mut |_, _| {});
    let logits = vec![("logits".to_string(), model.spec.vocab, model.unembed(&residual))];
    write(&args.out, &tokens, &logits, global)
}

fn tap(args: TapArgs, global: &Global) -> anyhow::Result<()> {
    check_output(&args.out, &args.model, &args.input, global)?;
    let spec = load_spec(&args.model.folder(global)?)?;
    let sites = spec.parse_sites(&args.sites)?;
    let tokens = tokens(&args.input, &args.model, &spec, global)?;
    if global.dry_run {
        let named = |&site: &Site| (site.to_string(), spec.width(site));
        return tell(&args.out, &tokens, &sites.iter().map(named).collect::<Vec<_>>(), global);
    }
    let model = args.model.load(global)?;
    let mut rows = Vec::new();
    model.tap(&Batch::new([tokens.as_slice()]), &sites, &mut |site, x| {
        rows.push((site.to_string(), model.spec.width(site), x.to_vec()));
    });
    write(&args.out, &tokens, &rows, global)
}

/// Publishes `tokens` [T] and tensors [T, width] of f32.
fn write(
    path: &Path,
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
    tensors::write(path, &tensors, &HashMap::from([("format_version".to_string(), "1".to_string())]))?;
    let places: Vec<_> = rows.iter().map(|(name, width, _)| (name.clone(), *width)).collect();
    tell(path, ids, &places, global)
}

/// What the file holds, or would hold: `tokens` [T] and tensors [T, width].
fn tell(path: &Path, ids: &[u32], places: &[(String, usize)], global: &Global) -> anyhow::Result<()> {
    let of = |(name, width): &(String, usize)| (name.clone(), vec![ids.len(), *width]);
    let all: Vec<_> =
        std::iter::once(("tokens".to_string(), vec![ids.len()])).chain(places.iter().map(of)).collect();
    if global.json {
        let json = |(name, shape): &(String, Vec<usize>)| serde_json::json!({ "name": name, "shape": shape });
        let tensors: Vec<_> = all.iter().map(json).collect();
        return terminal::line(format_args!("{:#}", serde_json::json!({ "file": path, "tensors": tensors })));
    }
    terminal::write(|out| all.iter().try_for_each(|(name, shape)| writeln!(out, "{name:<8} {shape:?}")))
}

/// Before the model is read.
fn check_output(out: &Path, model: &ModelArgs, input: &InputArgs, global: &Global) -> anyhow::Result<()> {
    let folder = model.folder(global)?;
    let mut inputs = vec![folder.as_path()];
    inputs.extend(input.text_file.as_deref());
    global.output_file(out, &inputs)
}

fn generate(args: GenerateArgs, global: &Global) -> anyhow::Result<()> {
    let spec = load_spec(&args.model.folder(global)?)?;
    let prompt = tokens(&args.input, &args.model, &spec, global)?;
    if global.dry_run {
        let (given, most) = (prompt.len(), args.max_tokens);
        let json = serde_json::json!({ "prompt": prompt, "max_tokens": most });
        return global.tell(&json, format_args!("{given} tokens, to be continued by at most {most}"));
    }
    let model = args.model.load(global)?;
    let sampling = Sampling { temperature: args.temperature, top_p: args.top_p, seed: args.seed };
    let new = model.generate(&prompt, args.max_tokens, &sampling, &mut |_| {})?;
    let whole = [prompt.as_slice(), &new].concat();
    // With ids as input the tokenizer is welcome, not needed.
    let text = match args.model.tokenizer(global) {
        Ok(tokenizer) => Some(tokenizer.decode(&whole)?),
        Err(_) if args.input.tokens.is_some() => None,
        Err(e) => return Err(e),
    };
    match text {
        _ if global.json => {
            let json = serde_json::json!({ "text": text, "prompt": prompt, "tokens": new });
            terminal::line(format_args!("{json:#}"))
        }
        Some(text) => terminal::line(text),
        None => terminal::line(whole.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    }
}
