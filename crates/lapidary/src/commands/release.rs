//! `lapidary release`: a finished, evaluated run becomes a folder that people can load.

use crate::evaluation_file::{EvaluationFile, lines, row};
use crate::global::Global;
use crate::plan::RunPlan;
use crate::run_folder::read_dictionaries;
use crate::words;
use anyhow::bail;
use lapidary_dictionary::{Dictionary, Meta, Probe, hooks, save_sae_lens};
use lapidary_evaluation::Scores;
use lapidary_kernels::Device;
use lapidary_lm::Spec;
use lapidary_lm::model::load_spec;
use lapidary_report::Setting;
use lapidary_report::card::{Card, Kind, Output, Suite};
use lapidary_report::number::{count, significant};
use lapidary_store::RowDtype;
use lapidary_trainer::{Baseline, DictionaryPlan, Objective};
use std::path::PathBuf;

/// Write a finished run as a folder that people can load
///
/// One folder per dictionary that SAELens loads as it is (but TopK transcoders, which it has not), with lapidary.json (units,
/// site, hashes, a probe with expected outputs) and card.md; a README.md with the table of scores; the plan and the scores.
/// Baselines are left out.
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
    let args = ReleaseArgs { run: global.find(&args.run)?, ..args };
    let plan = RunPlan::read(&args.run)?;
    let scores = EvaluationFile::read(&args.run, &plan.hash())?;
    let (baselines, dictionaries): (Vec<_>, Vec<_>) = read_dictionaries(&args.run, &plan)?
        .into_iter()
        .partition(|(d, ..)| d.baseline.is_some() && !args.with_baselines);
    if dictionaries.is_empty() {
        bail!("{}: expected a dictionary to release, found baselines only; train again", args.run.display());
    }
    if !baselines.is_empty() && !global.quiet {
        eprintln!("{} baselines of the run are left out: they are there to be beaten", baselines.len());
    }
    if global.dry_run {
        println!("{} dictionaries, to {}", dictionaries.len(), args.out.display());
        return Ok(());
    }
    let spec = crate::plan::Places::read(&args.run).ok().and_then(|p| load_spec(&p.model).ok());
    global.output_dir(&args.out)?;
    let (mut rows, mut kinds, mut released) = (Vec::new(), Vec::new(), 0);
    for (d, mut dictionary, mut meta) in dictionaries {
        round(&mut dictionary, &mut meta, args.weights, global.device);
        dictionary_check(&args, &d, &meta, &plan)?;
        let scored = scores.scores.iter().find(|s| s.name == d.name);
        // What reads a randomised model is compared with the truth only: it cannot be spliced into the model itself.
        if scored.is_none() && d.baseline != Some(Baseline::RandomLm) {
            bail!("{}: not in evaluation.json; evaluate again", d.name);
        }
        let meta = Meta { l0: scored.map(|s| s.l0.value), ..meta };
        let card = card(&plan, &d, &meta, scored, &scores, spec.as_ref()).markdown();
        save_sae_lens(&args.out.join(&d.name), &dictionary, &meta, &card)?;
        rows.extend(scored.map(|s| row(s, &words::label(&d), Some(words::setting(&d)))));
        kinds.push(kind(&d));
        released += 1;
    }
    let suite = Suite {
        name: args.out.file_name().map_or("release".into(), |n| n.to_string_lossy().into_owned()),
        model: plan.model.name.clone(),
        kinds: sorted(kinds),
        training: training(&plan),
        rows,
        scored_on: scores.scored_on(),
        limits: limits(&plan),
    };
    for name in ["plan.json", "evaluation.json"] {
        let bytes = lapidary_files::read(&args.run.join(name), 1 << 30)?;
        lapidary_files::publish(&args.out.join(name), &bytes)?;
    }
    lapidary_files::publish(&args.out.join("README.md"), suite.markdown().as_bytes())?;
    if global.json {
        println!("{}", serde_json::json!({ "release": args.out, "dictionaries": released }));
    } else {
        println!(
            "{} dictionaries in {}; start with {}",
            released,
            args.out.display(),
            args.out.join("README.md").display()
        );
    }
    Ok(())
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

fn card(
    plan: &RunPlan,
    d: &DictionaryPlan,
    meta: &Meta,
    scored: Option<&Scores>,
    file: &EvaluationFile,
    spec: Option<&Spec>,
) -> Card {
    let hook = hooks::hook(&d.site, false);
    let is_apart = d.transcoder.is_none(); // SAELens' transcoders join no heads
    let heads =
        spec.filter(|_| is_apart && hook.as_ref().is_some_and(|h| h.heads)).map(|s| (s.heads, s.d_head));
    let lambda = meta.training.as_ref().map_or(d.lambda, |t| t.lambda);
    let mut training = [of_dictionary(d, lambda), training(plan)].concat();
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
        output,
        site: d.site.clone(),
        hook: hook.map(|h| h.hook_name).unwrap_or_default(),
        d_in: d.d,
        width: d.width,
        heads,
        training,
        scores: scored.map(lines).unwrap_or_default(),
        scored_on: file.scored_on(),
        limits: limits(plan),
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

fn limits(plan: &RunPlan) -> Vec<String> {
    vec![
        format!(
            "Trained and scored on one text only ({} documents); other text was not tested.",
            count(plan.text.documents as u64)
        ),
        "Features are not labelled, and none was checked for meaning.".into(),
        "BOS, EOS and padding positions were never seen: leave them out.".into(),
    ]
}
