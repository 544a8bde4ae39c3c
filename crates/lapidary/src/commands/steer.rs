//! `lapidary steer`: how a model goes on, and how it goes on while chosen features are changed; with --sweep, effect against
//! fluency over strengths.

mod report;

use crate::global::Global;
use crate::terminal;
use anyhow::{Context, bail};
use lapidary_catalog::Opened;
use lapidary_lm::Sampling;
use lapidary_release::atlas::find;
use lapidary_splice::sweep::Probe;
use lapidary_splice::{Asked, Intervention, Placed, Positions, Steering};
use lapidary_suite::subjects::{self, Named, Run, Sites};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Steer a model by features while it writes
///
/// Prints the default continuation of a prompt and the one under the interventions. Each --feature is one of them,
/// SOURCE/INDEX:METHOD:STRENGTH; x is a row, d the feature's decoder row, f its value, p = <x, d> / |d|²: `add` x + s·d; `clamp`
/// x + (s − f)·d; `cap` x − max(0, p − s)·d; `orthogonal` x + (s − 1)·p·d; `ablate` x − f·d (no strength). What the dictionary does
/// not explain of x is kept. --sweep tries the first feature at several strengths: effect (mean value of the feature where the
/// untouched model reads the answer), Δloss (how much less likely the untouched model finds it, nats per token) and KL.
#[derive(clap::Args)]
pub struct SteerArgs {
    /// Run folders or dictionaries whose features are named [default: the embedded organism-suite]
    #[arg(long, value_name = "RUN|DICT", num_args = 1.., default_value = "organism-suite")]
    dictionary: Vec<PathBuf>,
    /// What is done: SOURCE/INDEX:METHOD:STRENGTH; several times for several features, made in this order
    #[arg(long, value_name = "SOURCE/INDEX:METHOD:STRENGTH", required = true, allow_hyphen_values = true)]
    feature: Vec<Asked>,
    /// Text to go on from; the model's BOS is put before it
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: String,
    /// Model folder or GGUF file [default: the run's]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Site of a dictionary that does not say its own, like 3.res
    #[arg(long)]
    site: Option<String>,
    /// Which tokens' rows are changed: all, prompt or answer
    #[arg(long, value_name = "WHICH", default_value = "all")]
    positions: Positions,
    /// Replace the rows by the dictionary's reconstruction before they are changed
    #[arg(long)]
    drop_error: bool,
    /// Try the first feature at these strengths
    #[arg(long, value_name = "S,S,…", value_delimiter = ',', allow_hyphen_values = true)]
    sweep: Vec<f32>,
    /// New tokens at most
    #[arg(long, value_name = "N", default_value_t = 48)]
    max_tokens: usize,
    /// Divides the logits; 0 always takes the most probable token
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_hyphen_values = true)]
    temperature: f64,
    /// Keep the most probable tokens that together reach this probability
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_hyphen_values = true)]
    top_p: f64,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub fn run(args: SteerArgs, global: &Global) -> anyhow::Result<()> {
    let paths =
        args.dictionary.iter().map(|name| global.catalog.find(name)).collect::<Result<Vec<_>, _>>()?;
    let runs = Run::among(&paths)?;
    let sites = Sites { reads: args.site.as_deref(), writes: None };
    let named = subjects::read(&paths, &runs, sites, false, &|line| terminal::note(line))?;
    let opened = args.open(runs.first(), global)?;
    let mut prompt: Vec<u32> = opened.spec.bos.into_iter().collect();
    prompt.extend(opened.tokenizer.encode(&args.prompt)?);
    opened.spec.check_tokens(&prompt)?;
    let sampling = Sampling { temperature: args.temperature, top_p: args.top_p, seed: args.seed };
    sampling.check()?;
    if global.dry_run {
        let (features, given) = (args.feature.len(), prompt.len());
        let json = serde_json::json!({ "interventions": features, "prompt": prompt });
        return global.tell(&json, format_args!("{features} interventions on {given} tokens of prompt"));
    }
    let asked = args.feature.iter().map(|asked| intervention(asked, &named));
    let interventions = asked.collect::<anyhow::Result<Vec<_>>>()?;
    let model = opened.model()?;
    let first = interventions[0];
    let probe = Probe {
        model,
        of: first.of,
        feature: first.feature,
        prompt: &prompt,
        max_tokens: args.max_tokens,
        sampling,
    };
    let go_on = &mut |_| ControlFlow::Continue(());
    let default = probe.default(go_on)?;
    let mut points = Vec::new();
    if args.sweep.is_empty() {
        let steering = Steering::new(model, interventions, args.positions, !args.drop_error)?;
        points.push((None, probe.point(&steering, go_on)?));
    }
    for &strength in &args.sweep {
        let mut interventions = vec![Intervention { strength, ..first }];
        interventions.extend(asked_after_first(&args, &named)?);
        let steering = Steering::new(model, interventions, args.positions, !args.drop_error)?;
        points.push((Some(strength), probe.point(&steering, go_on)?));
    }
    report::tell(&opened.tokenizer, &args.prompt, &prompt, &default, &points, global)
}

/// All but the first of the interventions.
fn asked_after_first<'a>(args: &SteerArgs, named: &'a [Named]) -> anyhow::Result<Vec<Intervention<'a>>> {
    args.feature[1..].iter().map(|asked| intervention(asked, named)).collect()
}

fn intervention<'a>(asked: &Asked, named: &'a [Named]) -> anyhow::Result<Intervention<'a>> {
    let of = find(named, &asked.source)?;
    let of = Placed { name: &of.name, site: of.site, output: of.output, dictionary: &of.dictionary };
    Ok(Intervention { of, feature: asked.feature, method: asked.method, strength: asked.strength })
}

impl SteerArgs {
    fn open(&self, run: Option<&Run>, global: &Global) -> anyhow::Result<Opened> {
        let model = self.model.as_ref().or(run.map(|run| &run.places.model));
        let model = model.context("no run folder is named: add --model DIR")?;
        if self.max_tokens == 0 {
            bail!("--max-tokens: expected at least 1, found 0");
        }
        let ignored = run.map_or(&[][..], |run| &run.places.ignore_config_keys);
        let recorded = run.and_then(|run| run.plan.model.precision.as_deref());
        Ok(Opened::open(model, ignored, recorded, &global.catalog)?)
    }
}
