//! The cards of a release and its page: what each dictionary is, how it was trained, its scores and its limits.

use crate::EvaluationFile;
use crate::figures::Figure;
use crate::file::remarks;
use crate::release::Released;
use crate::report::{ELSEWHERE, Group, PLOTS, Report};
use crate::rows::{elsewhere, lines, row};
use crate::words;
use lapidary_dictionary::{Meta, Setting, hooks};
use lapidary_evaluation::Scores;
use lapidary_lm::Spec;
use lapidary_report::card::{Card, Kind, Output};
use lapidary_report::hub::Hub;
use lapidary_report::number::{count, significant};
use lapidary_report::suite::Suite;
use lapidary_store::RowDtype;
use lapidary_suite::RunPlan;
use lapidary_suite::words::{label, setting};
use lapidary_trainer::{DictionaryPlan, Objective};

/// What cards and page are made from.
pub(crate) struct Source<'a> {
    pub(crate) plan: &'a RunPlan,
    pub(crate) file: &'a EvaluationFile,
    pub(crate) weights: RowDtype,
    /// None: the model is no longer where it was.
    pub(crate) spec: Option<&'a Spec>,
    /// For the front matter.
    pub(crate) hub: &'a Hub,
}

impl Source<'_> {
    pub(crate) fn card(&self, d: &DictionaryPlan, meta: &Meta, scores: Option<&Scores>) -> Card {
        let hook = hooks::hook(&d.site, hooks::Modules::Llama);
        let is_apart = d.transcoder.is_none(); // SAELens' transcoders join no heads
        let joined = |_: &&Spec| is_apart && hook.as_ref().is_some_and(|h| h.heads);
        let heads = self.spec.filter(joined).map(|s| (s.heads, s.d_head));
        let lambda = meta.training.as_ref().map_or(d.lambda, |t| t.lambda);
        let mut training = [of_dictionary(d, lambda), training(self.plan)].concat();
        training.push(("C, root mean square norm of the site".into(), significant(d.c, 6)));
        let output = d.transcoder.as_ref().map(|t| {
            training.push(("C of the output".into(), significant(t.c_out, 6)));
            let hook = hooks::hook(&t.output, hooks::Modules::Llama).map(|h| h.hook_name).unwrap_or_default();
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
            elsewhere: scores.and_then(|scores| elsewhere(self.file, scores)),
            remarks: scores.map(|scores| remarks(self.file, scores)).unwrap_or_default(),
            limits: self.limits(),
            hub: self.hub.clone(),
        }
    }

    /// `report` is the page that lies beside it.
    pub(crate) fn page(&self, report: &Report<'_>, released: &[Released], left_out: &[String]) -> Suite {
        let dictionaries = || released.iter().map(|r| &r.plan).filter(|d| d.baseline.is_none());
        let scored = || released.iter().filter_map(|r| Some((&r.plan, r.scores.as_ref()?)));
        let of = |s: &Scores| {
            remarks(self.file, s)
                .into_iter()
                .map(|remark| format!("{}: {remark}", s.name))
                .collect::<Vec<_>>()
        };
        Suite {
            name: report.name.into(),
            model: self.plan.model.name.clone(),
            kinds: sorted(dictionaries().map(kind).collect()),
            example: dictionaries().find(|d| kind(d).loads_in_sae_lens()).map(|d| d.name.clone()),
            baselines: (released.iter())
                .filter_map(|r| Some((r.plan.name.clone(), words::baseline(r.plan.baseline?))))
                .collect(),
            training: training(self.plan),
            rows: scored().map(|(d, s)| row(s, &label(d), Some(setting(d)))).collect(),
            scored_on: self.file.scored_on(),
            remarks: scored().flat_map(|(_, s)| of(s)).collect(),
            left_out: left_out.to_vec(),
            limits: self.limits(),
            plots: pictures(report),
            canonical: canonical(report),
            hub: self.hub.clone(),
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

/// Most pictures on the page: all kinds of sites of a suite, not all sites.
const PICTURES: usize = 12;

/// Those of the first group, L0 against FVU and Δloss; and of another model, if there is one.
fn pictures(report: &Report<'_>) -> Vec<(String, String)> {
    let picture =
        |Figure { file, plot }: Figure| (plot.title.replace(['[', ']'], ""), format!("{PLOTS}/{file}.svg"));
    let (elsewhere, others): (Vec<Group>, Vec<Group>) =
        report.groups().into_iter().partition(|group| group.heading == ELSEWHERE);
    let pareto = others.into_iter().take(1).flat_map(|group| group.figures).take(PICTURES);
    pareto.chain(elsewhere.into_iter().flat_map(|group| group.figures)).map(picture).collect()
}

/// The rule and the names.
fn canonical(report: &Report<'_>) -> (String, Vec<String>) {
    let names = report.canonical.chosen.iter().map(|&n| report.entries[n].scores.name.clone());
    (report.canonical.rule(), names.collect())
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
    match setting(d) {
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
    let precision = plan.model.precision.as_ref().map(|p| pair("the model's products", p.clone()));
    let mut training = vec![
        pair("preset", recipe.preset.to_string()),
        pair("rows", format!("{} ({} steps of {})", count(rows), count(recipe.steps), recipe.batch)),
        pair("text", format!("{} documents, {:.16}", count(plan.text.documents as u64), plan.text.hash)),
        pair("context", plan.text.context.to_string()),
        pair("model weights", format!("{:.16}", plan.model.hash)),
        pair("seed", plan.training.seed.to_string()),
        pair("plan", plan.hash()),
    ];
    training.extend(precision);
    training
}
