//! `lapidary release`: a finished, evaluated run becomes a folder that people can load.

use crate::evaluation_file::{EvaluationFile, broken, lines, remarks, row};
use crate::global::Global;
use crate::output::RELEASE;
use crate::plan::RunPlan;
use crate::run_folder::{given_up_lines, read_dictionaries};
use crate::{terminal, words};
use anyhow::bail;
use lapidary_dictionary::{Dictionary, Meta, Probe, hooks, save_sae_lens};
use lapidary_evaluation::Scores;
use lapidary_kernels::Device;
use lapidary_lm::Spec;
use lapidary_lm::load_spec;
use lapidary_report::Setting;
use lapidary_report::card::{Card, Kind, Output, Suite};
use lapidary_report::number::{count, significant};
use lapidary_store::RowDtype;
use lapidary_trainer::{Baseline, DictionaryPlan, Objective};
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
    let args = ReleaseArgs { run: global.catalog.find(&args.run)?, ..args };
    let out = global.output_folder(&args.out, &RELEASE, false, &[&args.run])?;
    let plan = RunPlan::read(&args.run)?;
    let file = EvaluationFile::read(&args.run, &plan.hash())?;
    let Choice { mut released, left_out } = choose(&args, &plan, &file)?;
    if !global.quiet {
        left_out.iter().for_each(|why| terminal::note(why.trim_end_matches('.')));
    }
    let json = serde_json::json!({ "release": args.out, "dictionaries": released.len() });
    let (many, to) = (released.len(), args.out.display());
    let Some(out) = out else {
        return global.tell(&json, format_args!("{many} dictionaries, to {to}"));
    };
    let spec = crate::plan::Places::read(&args.run)
        .ok()
        .and_then(|p| load_spec(&p.model, &p.ignore_config_keys).ok());
    let from = Source { plan: &plan, file: &file, weights: args.weights, spec: spec.as_ref() };
    for Released { plan: d, dictionary, meta, scores } in &mut released {
        round(dictionary, meta, args.weights, global.catalog.device);
        meta.l0 = scores.map(|s| s.l0.value);
        save_sae_lens(&out.path.join(&d.name), dictionary, meta, &from.card(d, meta, *scores).markdown())?;
    }
    for name in ["plan.json", "evaluation.json"] {
        let bytes = lapidary_files::read(&args.run.join(name), 1 << 30)?;
        lapidary_files::publish(&out.path.join(name), &bytes)?;
    }
    let page = from.page(&args, &released, left_out).markdown();
    lapidary_files::publish(&out.path.join("README.md"), page.as_bytes())?;
    lapidary_files::inventory::write(&out.path)?;
    out.finish()?;
    let readme = args.out.join("README.md");
    global.tell(&json, format_args!("{many} dictionaries in {to}; start with {}", readme.display()))
}

/// A dictionary that is released; without scores it reads a randomised model.
struct Released<'a> {
    plan: DictionaryPlan,
    dictionary: Dictionary,
    meta: Meta,
    scores: Option<&'a Scores>,
}

/// What of a run is released, and what is not, a sentence each.
struct Choice<'a> {
    released: Vec<Released<'a>>,
    left_out: Vec<String>,
}

/// Baselines stay behind unless they are asked for; what stopped or is broken stays behind too.
fn choose<'a>(args: &ReleaseArgs, plan: &RunPlan, file: &'a EvaluationFile) -> anyhow::Result<Choice<'a>> {
    let (mut released, mut left_out, mut baselines) = (Vec::new(), Vec::new(), 0);
    let finished = read_dictionaries(&args.run, plan)?;
    left_out.extend(given_up_lines(&args.run).into_iter().map(|line| line + "."));
    for (d, dictionary, meta) in finished {
        if d.baseline.is_some() && !args.with_baselines {
            baselines += 1;
            continue;
        }
        dictionary_check(args, &d, &meta, plan)?;
        let scores = file.scores_of(&args.run, &d.name)?;
        // What reads a randomised model is compared with the truth only: it cannot be spliced into the model itself.
        if scores.is_none() && d.baseline != Some(Baseline::RandomLm) {
            bail!("{}: not in evaluation.json; evaluate again", d.name);
        }
        match scores.and_then(broken) {
            Some(why) => left_out.push(format!("{} is left out: {why}.", d.name)),
            None => released.push(Released { plan: d, dictionary, meta, scores }),
        }
    }
    if baselines > 0 {
        left_out.push(format!("{baselines} baselines of the run are left out: they are there to be beaten."));
    }
    if released.is_empty() {
        let (run, why) = (args.run.display(), left_out.join(" "));
        bail!("{run}: expected a dictionary to release, found none ({why}); train again");
    }
    Ok(Choice { released, left_out })
}

/// Rounds the weights; the probe then says what the rounded ones give.
fn round(dictionary: &mut Dictionary, meta: &mut Meta, weights: RowDtype, device: Device) {
    if weights != RowDtype::F32 {
        weights.round(&mut dictionary.w_enc);
        weights.round(&mut dictionary.w_dec);
        dictionary.w_skip.iter_mut().for_each(|w| weights.round(w));
        meta.probe = Probe::record(dictionary, device, &meta.probe.x.concat());
    }
}

fn dictionary_check(
    args: &ReleaseArgs,
    d: &DictionaryPlan,
    meta: &Meta,
    plan: &RunPlan,
) -> anyhow::Result<()> {
    let found = meta.training.as_ref().map(|t| t.plan_hash.as_str());
    if found != Some(plan.hash().as_str()) {
        bail!("{}: {} is of another plan; resume the run to write it again", args.run.display(), d.name);
    }
    Ok(())
}

/// What cards and page are made from.
struct Source<'a> {
    plan: &'a RunPlan,
    file: &'a EvaluationFile,
    weights: RowDtype,
    /// None: the model is no longer where it was.
    spec: Option<&'a Spec>,
}

impl Source<'_> {
    fn card(&self, d: &DictionaryPlan, meta: &Meta, scores: Option<&Scores>) -> Card {
        let hook = hooks::hook(&d.site, false);
        let is_apart = d.transcoder.is_none(); // SAELens' transcoders join no heads
        let joined = |_: &&Spec| is_apart && hook.as_ref().is_some_and(|h| h.heads);
        let heads = self.spec.filter(joined).map(|s| (s.heads, s.d_head));
        let lambda = meta.training.as_ref().map_or(d.lambda, |t| t.lambda);
        let mut training = [of_dictionary(d, lambda), training(self.plan)].concat();
        training.push(("C, root mean square norm of the site".into(), significant(d.c, 6)));
        let output = d.transcoder.as_ref().map(|t| {
            training.push(("C of the output".into(), significant(t.c_out, 6)));
            let hook = hooks::hook(&t.output, false).map(|h| h.hook_name).unwrap_or_default();
            Output { site: t.output.clone(), hook, d: t.d_out }
        });
        Card {
            name: d.name.clone(),
            model: meta.model.name.clone(),
            kind: kind(d),
            baseline: d.baseline.map(words::baseline),
            output,
            site: d.site.clone(),
            hook: hook.map(|h| h.hook_name).unwrap_or_default(),
            d_in: d.d,
            width: d.width,
            heads,
            training,
            scores: scores.map(lines).unwrap_or_default(),
            scored_on: self.file.scored_on(),
            remarks: scores.map(remarks).unwrap_or_default(),
            limits: self.limits(),
        }
    }

    fn page(&self, args: &ReleaseArgs, released: &[Released<'_>], left_out: Vec<String>) -> Suite {
        let dictionaries = || released.iter().map(|r| &r.plan).filter(|d| d.baseline.is_none());
        let scored = || released.iter().filter_map(|r| Some((&r.plan, r.scores?)));
        let of = |s: &Scores| {
            remarks(s).into_iter().map(|remark| format!("{}: {remark}", s.name)).collect::<Vec<_>>()
        };
        Suite {
            name: args.out.file_name().map_or("release".into(), |n| n.to_string_lossy().into_owned()),
            model: self.plan.model.name.clone(),
            kinds: sorted(dictionaries().map(kind).collect()),
            example: dictionaries().find(|d| kind(d).loads_in_sae_lens()).map(|d| d.name.clone()),
            baselines: (released.iter())
                .filter_map(|r| Some((r.plan.name.clone(), words::baseline(r.plan.baseline?))))
                .collect(),
            training: training(self.plan),
            rows: scored().map(|(d, s)| row(s, &words::label(d), Some(words::setting(d)))).collect(),
            scored_on: self.file.scored_on(),
            remarks: scored().flat_map(|(_, s)| of(s)).collect(),
            left_out,
            limits: self.limits(),
        }
    }

    fn limits(&self) -> Vec<String> {
        let documents = count(self.plan.text.documents as u64);
        let own_text = self.file.scored.as_ref().is_none_or(|s| s.own_text != Some(false));
        let text = match own_text {
            true => format!(
                "Trained and scored on one text only ({documents} documents); other text was not tested."
            ),
            false => format!(
                "Trained on one text ({documents} documents) and scored on another; no third was tested."
            ),
        };
        let meaning = match self.file.truth {
            None => "Features are not labelled, and none was checked for meaning.",
            Some(_) => {
                "Features are not labelled; what they have to do with the truth of the language is in evaluation.json."
            }
        };
        let mut limits = vec![text, meaning.into()];
        limits.push("BOS, EOS and padding positions were never seen: leave them out.".into());
        if self.weights != RowDtype::F32 {
            limits
                .push(format!("Weights are rounded to {}; the scores are those before that.", self.weights));
        }
        limits
    }
}

/// SAEs first, and what is alike together.
fn sorted(mut kinds: Vec<Kind>) -> Vec<Kind> {
    kinds.sort_by_key(|kind| (kind.transcoder, kind.skip, kind.k.is_some()));
    kinds
}

fn kind(d: &DictionaryPlan) -> Kind {
    let k = if let Objective::TopK { k, .. } = d.objective { Some(k) } else { None };
    let transcoder = d.transcoder.as_ref();
    Kind { k, transcoder: transcoder.is_some(), skip: transcoder.is_some_and(|t| t.skip) }
}

/// What it was trained as, how sparse, and from what; `lambda` at the end.
fn of_dictionary(d: &DictionaryPlan, lambda: f64) -> Vec<(String, String)> {
    let mut out = vec![("trained as".to_string(), words::objective(d))];
    match words::setting(d) {
        Setting::Lambda(_) => out.push(("λ".into(), significant(lambda, 3))),
        Setting::L0(_) => out.push(("sparsity".into(), words::sparsity(d))),
    }
    if d.target_l0.is_some() {
        out.push(("λ that was found".into(), significant(lambda, 3)));
    }
    if let Some(start) = &d.start {
        out.push(("began as".into(), format!("the dictionary with weights {start:.16}")));
    }
    out
}

fn training(plan: &RunPlan) -> Vec<(String, String)> {
    let recipe = &plan.training.recipe;
    let rows = recipe.steps * recipe.batch as u64;
    let pair = |k: &str, v: String| (k.to_string(), v);
    vec![
        pair("preset", recipe.preset.to_string()),
        pair("rows", format!("{} ({} steps of {})", count(rows), count(recipe.steps), recipe.batch)),
        pair("text", format!("{} documents, {:.16}", count(plan.text.documents as u64), plan.text.hash)),
        pair("context", plan.text.context.to_string()),
        pair("model weights", format!("{:.16}", plan.model.hash)),
        pair("seed", plan.training.seed.to_string()),
        pair("plan", plan.hash()),
    ]
}
