//! `lapidary bench lm`: how fast a language model is read, prefills and decodes, on token ids made for it.
//!
//! Medians of rounds, after one that is not counted. Only ratios of runs on one machine, interleaved, say anything: see
//! `benches/peers/lm.py`.

use crate::global::Global;
use crate::{machine, terminal};
use anyhow::{Context, bail};
use lapidary_catalog::model::open_folder;
use lapidary_kernels::Device;
use lapidary_lm::{Batch, Cache, Model, Site};
use lapidary_report::number::{bytes, significant};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Tokens before the first that is decoded.
const PROMPT: usize = 16;

#[derive(clap::Args)]
pub struct LmArgs {
    /// Folder of a Hugging Face model, or a GGUF file; its tokenizer is not needed
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// Sequences and their length: that many tokens in one batch
    #[arg(long, value_name = "BxT", default_value = "4x512", value_parser = shape)]
    prefill: (usize, usize),
    /// Tokens that are decoded one by one, after 16 that are given
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    decode: u32,
    /// Logits of every position too, where prefill else ends with the stream after the last layer
    #[arg(long)]
    logits: bool,
    /// Sites whose activations are copied out in the prefill, such as `all` or `0.res,*.mlp`
    #[arg(long, value_name = "LIST")]
    sites: Option<String>,
    /// Rounds that are measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
}

#[derive(Serialize)]
struct Report {
    bench: &'static str,
    isa: String,
    /// Does one instruction multiply pairs of bf16?
    bf16_instruction: bool,
    threads: usize,
    precision: String,
    tapped_sites: usize,
    prefill_tokens_per_s: f64,
    decode_tokens_per_s: f64,
    /// Of the layers' products (and the head's with `--logits`) over the whole time of a prefill.
    prefill_gflops: f64,
    /// Of the matrices, each read once for a token, over the whole time of a token.
    decode_gb_s: f64,
    peak_bytes: Option<u64>,
    load_s: f64,
}

/// `4x512`
fn shape(text: &str) -> Result<(usize, usize), String> {
    let parse = |part: &str| part.parse().ok().filter(|n| (1..=1_000_000).contains(n));
    let parts = text.split_once('x').and_then(|(b, t)| Some((parse(b)?, parse(t)?)));
    parts.ok_or_else(|| format!("expected sequences x tokens, such as 4x512, found `{text}`"))
}

pub fn run(args: &LmArgs, global: &Global) -> anyhow::Result<()> {
    let folder = global.catalog.find(&args.model)?;
    let files = open_folder(&folder, &[], &global.catalog)?;
    let context = files.spec.context;
    let longest = args.prefill.1.max(PROMPT + args.decode as usize);
    if longest > context {
        bail!(
            "expected at most {context} tokens, the model's context, found {longest}: shorten --prefill or --decode"
        );
    }
    if global.dry_run {
        let json = serde_json::json!({ "bench": "lm", "parameters": files.parameters() });
        return global.tell(&json, format_args!("bench lm: {} parameters", files.parameters()));
    }
    let began = Instant::now();
    let precision = global.catalog.precision.unwrap_or_default();
    let model = files.load(global.catalog.device, precision)?;
    let load_s = began.elapsed().as_secs_f64();
    let report = measure(args, &model, load_s)?;
    match global.json {
        true => terminal::line(serde_json::to_string_pretty(&report)?),
        false => report.print(),
    }
}

fn measure(args: &LmArgs, model: &Model, load_s: f64) -> anyhow::Result<Report> {
    let ((b, t), decode) = (args.prefill, args.decode as usize);
    let sites =
        args.sites.as_deref().map(|list| model.spec.parse_sites(list)).transpose()?.unwrap_or_default();
    let prefill_s = median(args.rounds, || prefill(model, (b, t), &sites, args.logits))?;
    let decode_s = median(args.rounds, || decode_seconds(model, decode))?;
    let Device::Cpu(isa) = model.device;
    let head = if args.logits { model.spec.vocab * model.spec.d_model } else { 0 };
    let operations = 2.0 * (model.weights.layer_parameters() + head) as f64 * (b * t) as f64;
    Ok(Report {
        bench: "lm",
        isa: isa.to_string(),
        bf16_instruction: model.device.multiplies_bf16(),
        threads: rayon::current_num_threads(),
        precision: model.precision.to_string(),
        tapped_sites: sites.len(),
        prefill_tokens_per_s: (b * t) as f64 / prefill_s,
        decode_tokens_per_s: decode as f64 / decode_s,
        prefill_gflops: 1e-9 * operations / prefill_s,
        decode_gb_s: 1e-9 * (model.weights.read_bytes() * decode) as f64 / decode_s,
        peak_bytes: machine::peak_bytes(),
        load_s,
    })
}

/// Seconds of one batch [B, T], a copy of its activations at `sites` included.
fn prefill(model: &Model, (b, t): (usize, usize), sites: &[Site], logits: bool) -> f64 {
    let ids: Vec<u32> = (0..b * t).map(|i| (i * 7919 % model.spec.vocab) as u32).collect();
    let mut taken = vec![Vec::new(); sites.len()];
    let (batch, began) = (Batch::new(ids.chunks(t)), Instant::now());
    let residual = model.forward(&batch, sites, &mut |site, values| {
        let at = sites.iter().position(|&s| s == site).expect("only what was asked for is tapped");
        taken[at].extend_from_slice(values);
    });
    if logits {
        residual.chunks(t * model.spec.d_model).for_each(|rows| drop(model.unembed(rows)));
    }
    began.elapsed().as_secs_f64()
}

/// Seconds of `tokens` tokens, each the most probable after the last.
fn decode_seconds(model: &Model, tokens: usize) -> f64 {
    let mut cache = Cache::new(&model.spec, PROMPT + tokens);
    let prompt: Vec<u32> = (0..PROMPT).map(|i| (i * 7919 % model.spec.vocab) as u32).collect();
    let mut residual = model.extend(&mut cache, &prompt, &[], &mut |_, _| {});
    let began = Instant::now();
    for _ in 0..tokens {
        let logits = model.unembed(&residual[residual.len() - model.spec.d_model..]);
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
        residual = model.extend(&mut cache, &[best as u32], &[], &mut |_, _| {});
    }
    began.elapsed().as_secs_f64()
}

fn median(rounds: u32, mut seconds: impl FnMut() -> f64) -> anyhow::Result<f64> {
    seconds();
    let mut all: Vec<f64> = (0..rounds).map(|_| seconds()).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().context("no rounds")
}

impl Report {
    fn print(&self) -> anyhow::Result<()> {
        let Report { isa, precision, threads, .. } = self;
        let of = |v: f64| significant(v, 3);
        terminal::line(format_args!(
            "{precision} by {isa}, {threads} threads, read in {} s",
            of(self.load_s)
        ))?;
        let (prefill, gflops) = (of(self.prefill_tokens_per_s), of(self.prefill_gflops));
        terminal::line(format_args!("prefill  {prefill} tokens/s, {gflops} GFLOP/s"))?;
        let (decode, speed) = (of(self.decode_tokens_per_s), of(self.decode_gb_s));
        terminal::line(format_args!("decode   {decode} tokens/s, {speed} GB/s"))?;
        let peak = self.peak_bytes.map_or("unknown".into(), bytes);
        terminal::line(format_args!("memory   {peak} at most"))
    }
}
