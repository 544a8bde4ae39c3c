//! What the demo says: the words, and the commands that come next.

use super::{Demo, DemoArgs, Shipped, WIDTH};
use lapidary_lm::Spec;
use lapidary_release::rows::{BASELINE, page_lines};
use lapidary_release::showcase::features;
use lapidary_report::number::count;
use lapidary_report::page::{Feature, Line, Page, Piece};
use std::path::Path;

const ABOUT_TEXT: &str =
    "No dictionary has seen these texts. Some are in one of the two made-up tongues of the language.";

/// The whole page.
pub fn page(demo: &Demo, args: &DemoArgs) -> anyhow::Result<Page> {
    let mut dictionaries = page_lines(&demo.file, "just now");
    let mut scored_on =
        vec![format!("Just now: {} rows of training. {}", count(args.rows()), stands_on(demo))];
    if let Some(Shipped { plan, file }) = &demo.shipped {
        let recipe = &plan.training.recipe;
        dictionaries.extend(page_lines(file, "shipped").into_iter().filter(|line| line.verdict != BASELINE));
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
        features: features(&demo.opened, &demo.measured, &demo.trained)?,
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
