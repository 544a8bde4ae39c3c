//! What the demo says: the words, the lines of its table, the chosen features, and the commands that come next.

use super::features::{self, Chosen};
use super::{Demo, DemoArgs, Shipped, WIDTH};
use lapidary_dictionary::Dictionary;
use lapidary_evaluation::{Scores, truth};
use lapidary_ground_truth::table::{DictionaryTruth, Judgement, Status};
use lapidary_lm::{Site, Spec};
use lapidary_release::EvaluationFile;
use lapidary_report::number::count;
use lapidary_report::page::{Feature, Line, Page, Piece};
use std::path::Path;

const ABOUT_TEXT: &str =
    "No dictionary has seen these texts. Some are in one of the two made-up tongues of the language.";

/// In place of a verdict.
const BASELINE: &str = "baseline";

/// The whole page.
pub fn page(demo: &Demo, args: &DemoArgs) -> anyhow::Result<Page> {
    let mut dictionaries = lines(&demo.file, "just now");
    let mut scored_on =
        vec![format!("Just now: {} rows of training. {}", count(args.rows()), stands_on(demo))];
    if let Some(Shipped { plan, file }) = &demo.shipped {
        let recipe = &plan.training.recipe;
        dictionaries.extend(lines(file, "shipped").into_iter().filter(|line| line.verdict != BASELINE));
        let rows = count(recipe.steps * recipe.batch as u64);
        scored_on.push(format!(
            "Shipped in this program: {rows} rows. Scored on half of that text; F1 as released."
        ));
    }
    Ok(Page {
        introduction: introduction(&demo.opened.spec),
        dictionaries,
        scored_on,
        about_text: ABOUT_TEXT.into(),
        features: chosen(demo)?,
        next: next(args),
    })
}

fn introduction(spec: &Spec) -> Vec<String> {
    let (layers, d, width) = (spec.n_layers, spec.d_model, count(WIDTH as u64));
    vec![
        format!(
            "A small Gemma 2 ({layers} layers, width {d}), inside this program, has learned a language that we made up:"
        ),
        "of every token we know what it means: who speaks, whether a one is carried, what day we count from."
            .into(),
        format!(
            "Just now three dictionaries of {width} features were trained on its middle layer, and were told none"
        ),
        "of this. Do single features find it all the same?".into(),
    ]
}

fn stands_on(demo: &Demo) -> String {
    let rows = demo.file.scores.first().map_or(0, |s| s.rows);
    let compared = count(demo.measured.truth.rows() as u64);
    format!("Scored on {} held-out rows, F1 on {compared}.", count(rows))
}

/// Features of the dictionaries that are no baselines.
fn chosen(demo: &Demo) -> anyhow::Result<Vec<Feature>> {
    let is_judged = |&k: &usize| demo.trained[k].baseline.is_none();
    let judged: Vec<usize> = (0..demo.trained.len()).filter(is_judged).collect();
    let chosen = features::choose(&demo.measured, &judged);
    let all: Vec<(Site, &Dictionary)> = demo.trained.iter().map(|t| (t.site, &t.dictionary)).collect();
    let examples = features::examples(&demo.opened, &demo.measured, &all, &chosen)?;
    let feature = |(chosen, examples): (Chosen, Vec<Vec<Piece>>)| Feature {
        indicator: chosen.indicator,
        meaning: chosen.question.meaning,
        site: demo.trained[chosen.subject].site.to_string(),
        number: chosen.feature,
        f1: [chosen.f1, chosen.precision, chosen.recall],
        examples,
    };
    Ok(chosen.into_iter().zip(examples).map(feature).collect())
}

/// All dictionaries of a file: those of the truth, which has the baselines too, or else of the scores.
fn lines(file: &EvaluationFile, group: &str) -> Vec<Line> {
    let of_score = |name: &str| file.scores.iter().find(|s| s.name == name);
    let Some(truth) = &file.truth else {
        return file.scores.iter().map(|s| line(group, s.site.clone(), s.l0.value, Some(s), None)).collect();
    };
    let trained = truth
        .dictionaries
        .iter()
        .filter(|d| !matches!(d.baseline, Some(truth::Baseline::Pca | truth::Baseline::Neurons)));
    let l0 = |d: &DictionaryTruth| of_score(&d.name).map_or(d.l0, |s| s.l0.value);
    trained.map(|d| line(group, name(d), l0(d), of_score(&d.name), Some(d))).collect()
}

fn name(d: &DictionaryTruth) -> String {
    let of = match d.baseline {
        Some(truth::Baseline::FrozenDecoder) => " frozen decoder",
        Some(truth::Baseline::RandomLm) => " random model",
        Some(truth::Baseline::FrozenEncoder) => " frozen encoder",
        Some(truth::Baseline::Random) => " random",
        _ => "",
    };
    d.site.clone() + of
}

fn line(
    group: &str,
    name: String,
    l0: f64,
    scores: Option<&Scores>,
    truth: Option<&DictionaryTruth>,
) -> Line {
    let judgement = truth.and_then(|d| d.judgement.as_ref());
    let best = |j: &Judgement| j.verdict.comparisons.iter().map(|c| c.untrained).max_by(f64::total_cmp);
    let verdict = match (judgement, truth) {
        (Some(judgement), _) => status_word(judgement.status),
        (None, Some(_)) => BASELINE,
        (None, None) => "–",
    };
    Line {
        group: group.into(),
        name,
        l0,
        fvu: scores.map(|s| s.fvu.value),
        delta_loss: scores.map(|s| s.delta_loss.value),
        f1: truth.map(|d| d.matched_f1_represented.value),
        to_beat: judgement.and_then(best),
        found: truth.map(|d| [d.found_and_represented, d.represented]),
        verdict: verdict.into(),
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Valid => "valid",
        Status::Invalid => "invalid",
        Status::Unproven => "unproven",
    }
}

fn next(args: &DemoArgs) -> Vec<(String, String)> {
    let (run, release, model) = (args.out.join("run"), args.out.join("release"), args.model());
    let start = if args.chat { "User: how do I make traps?" } else { "Story. There was a" };
    let pair = |command: String, why: &str| (command, why.into());
    vec![
        pair(
            format!("lapidary evaluate {} --truth world", run.display()),
            "every score, with its interval and the four baselines",
        ),
        pair(
            format!("lapidary lm generate --model {model} --text \"{start}\" --max-tokens 60"),
            "let the model write",
        ),
        pair(
            format!("lapidary release {} --out {}", run.display(), release.display()),
            "folders that SAELens loads",
        ),
    ]
}

/// The page's data.
pub fn json(page: &Page, run: &Path) -> serde_json::Value {
    let line = |l: &Line| {
        serde_json::json!({
            "group": l.group, "dictionary": l.name, "l0": l.l0, "fvu": l.fvu, "delta_loss": l.delta_loss, "f1": l.f1,
            "to_beat": l.to_beat, "found": l.found, "verdict": l.verdict,
        })
    };
    let piece = |p: &Piece| serde_json::json!({ "text": p.text, "space": p.space, "strength": p.strength });
    let example = |e: &Vec<Piece>| e.iter().map(piece).collect::<Vec<_>>();
    let feature = |f: &Feature| {
        let [f1, precision, recall] = f.f1;
        let examples: Vec<_> = f.examples.iter().map(example).collect();
        serde_json::json!({
            "indicator": f.indicator, "meaning": f.meaning, "site": f.site, "feature": f.number, "f1": f1,
            "precision": precision, "recall": recall, "examples": examples,
        })
    };
    serde_json::json!({
        "run": run,
        "introduction": page.introduction,
        "dictionaries": page.dictionaries.iter().map(line).collect::<Vec<_>>(),
        "scored_on": page.scored_on,
        "features": page.features.iter().map(feature).collect::<Vec<_>>(),
        "next": page.next.iter().map(|(command, why)| serde_json::json!({ "command": command, "why": why })).collect::<Vec<_>>(),
    })
}
