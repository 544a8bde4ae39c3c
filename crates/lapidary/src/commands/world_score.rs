//! `lapidary world score`: how well a model knows the language, as a table.

use crate::global::Global;
use crate::terminal;
use crate::terminal::progress::Progress;
use clap::Args;
use lapidary_catalog::Opened;
use lapidary_ground_truth::knowledge::{Accuracy, Loss, Tally, check_vocabulary};
use lapidary_report::number;
use lapidary_report::table::{Align, text};
use lapidary_world::{Config, Corpus, Split};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Documents that run through the model together.
const GROUP: u64 = 64;

#[derive(Args)]
pub struct ScoreArgs {
    /// Model folder, GGUF file, or `organism` or `organism-chat`
    #[arg(long, value_name = "MODEL", default_value = "organism")]
    model: PathBuf,
    /// Documents of the split `eval`
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    documents: u64,
    /// Seed of the documents
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// base: text in which the bot answers everything; chat: it refuses what it should
    #[arg(long, default_value = "base")]
    policy: String,
}

pub fn score(args: &ScoreArgs, global: &Global) -> anyhow::Result<()> {
    let opened = Opened::open(&args.model, &[], None, &global.catalog)?;
    check_vocabulary(&opened)?;
    let policy = serde_json::from_value(serde_json::json!(args.policy))
        .map_err(|_| anyhow::anyhow!("--policy: expected base or chat, found {}", args.policy))?;
    let corpus =
        Corpus { seed: args.seed, config: Config { split: Split::Eval, policy, ..Config::default() } };
    if global.dry_run {
        let json = serde_json::json!({ "model": opened.name, "documents": args.documents });
        let (name, documents) = (&opened.name, number::count(args.documents));
        return global.tell(&json, format_args!("{name} on {documents} documents of the language"));
    }
    let mut bar = Progress::new(global.quiet, "scoring", args.documents, "documents");
    let mut tally = Tally::default();
    for first in (0..args.documents).step_by(GROUP as usize) {
        let documents = first..(first + GROUP).min(args.documents);
        tally.add_documents(opened.model()?, &corpus, documents.clone());
        bar.set(documents.end);
    }
    bar.finish();
    print(&tally, args, global)
}

fn print(tally: &Tally, args: &ScoreArgs, global: &Global) -> anyhow::Result<()> {
    let total = tally.losses.values().fold(Loss::default(), |a, b| Loss {
        tokens: a.tokens + b.tokens,
        model: a.model + b.model,
        oracle: a.oracle + b.oracle,
    });
    let excess = |l: &Loss| (l.model - l.oracle) / l.tokens as f64;
    let mean = tally.losses.values().map(excess).sum::<f64>() / tally.losses.len() as f64;
    if global.json {
        let losses: BTreeMap<_, _> = tally
            .losses
            .iter()
            .map(|(segment, l)| {
                let n = l.tokens as f64;
                let row =
                    serde_json::json!({ "tokens": l.tokens, "loss": l.model / n, "oracle": l.oracle / n });
                (segment.name(), row)
            })
            .collect();
        return terminal::line(serde_json::json!({
            "model": args.model, "documents": args.documents, "seed": args.seed, "losses": losses,
            "excess_mean_over_segment_types": mean, "excess_per_token": excess(&total), "tasks": tally.tasks,
            "refusals": tally.refusals, "flagged": tally.flagged,
        }));
    }
    let row = |name: String, l: &Loss| {
        let n = l.tokens as f64;
        let numbers = [l.model / n, l.oracle / n, excess(l)].map(|x| format!("{x:.3}"));
        [name, l.tokens.to_string()].into_iter().chain(numbers).collect::<Vec<_>>()
    };
    let mut losses: Vec<_> = tally.losses.iter().map(|(s, l)| row(s.name().into(), l)).collect();
    losses.push(row("all tokens".into(), &total));
    let right = Align::Right;
    let columns = [
        ("line", Align::Left),
        ("tokens", right),
        ("loss, nats", right),
        ("oracle", right),
        ("excess", right),
    ];
    let (table, flagged) = (text(&columns, &losses), tally.flagged);
    terminal::line(format_args!("{table}\nmean excess over kinds of lines: {mean:.4} nats per token"))?;
    terminal::line(format_args!("left out, because the oracle cannot compute them: {flagged} tokens\n"))?;
    let share = |(name, a): (&&str, &Accuracy)| {
        let share = |right: u64, of: u64| {
            if of == 0 { "–".into() } else { format!("{:.3}", right as f64 / of as f64) }
        };
        let others = share(a.right - a.english_right, a.answers - a.english_answers);
        let english = share(a.english_right, a.english_answers);
        vec![name.to_string(), a.answers.to_string(), share(a.right, a.answers), english, others]
    };
    let columns = |what, share| {
        [(what, Align::Left), ("n", right), (share, right), ("in English", right), ("in the others", right)]
    };
    let table = |what, of, from: &BTreeMap<_, _>| {
        terminal::line(text(&columns(what, of), &from.iter().map(share).collect::<Vec<_>>()))
    };
    table("task", "accuracy", &tally.tasks)?;
    if tally.refusals.is_empty() { Ok(()) } else { table("request", "refused", &tally.refusals) }
}
