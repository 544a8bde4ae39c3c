//! `README.md` of an experiment: what a newcomer reads. Question, answer, evidence, whether to believe it, what would change our mind.

use crate::Effort;
use crate::experiment::Experiment;
use crate::report::{Check, Plot, Report, Table, Value};
use crate::run::{Found, question};
use crate::verdict::Verdict;
use lapidary_report::number::{count, interval, significant};
use lapidary_report::table::{Align, markdown};
use std::collections::BTreeMap;

/// File of a plot below `plots/`.
pub(crate) fn plot_file(report: &Report, plot: &Plot) -> String {
    format!("{}-{}.svg", report.rung, plot.name)
}

/// The whole page.
pub(crate) fn page(experiment: &Experiment, found: &Found, effort: Effort) -> String {
    let question = question(experiment);
    let mut out = format!(
        "# {}: {}\n\n> {}\n>\n> — Gemma Scope (arXiv 2408.05147), {}\n\n{}\n\n",
        experiment.name,
        question.section,
        question.text,
        place(question.number),
        experiment.plain
    );
    out += &format!("**Answer.** {}\n\n", found.answer);
    if effort == Effort::Quick {
        out += "This is a quick run: small dictionaries, few rows, three seeds. It shows the form and large effects; for a statement run it \
                without `--quick`.\n\n";
    }
    out += &format!(
        "## How it was done\n\n{}\n\n**What must be beaten.** {}\n\n**What decides.** {}. Hoped for: {}.\n\n",
        experiment.method,
        experiment.baselines,
        sentence(experiment.metric),
        experiment.pass
    );
    out += "## Evidence\n\n";
    found.reports.iter().for_each(|report| out += &evidence(report));
    out += &format!("## What would change our mind\n\n{}\n\n", experiment.doubt);
    out + &words()
}

fn place(number: &str) -> String {
    if number == "B" { "appendix B".into() } else { format!("section 5, question {number} in our count") }
}

/// With a capital first letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn evidence(report: &Report) -> String {
    let mut out = format!("### {}\n\n", sentence(&report.rung_described));
    for plot in &report.plots {
        out += &format!("![{}](plots/{})\n\n*{}*\n\n", plot.caption, plot_file(report, plot), plot.caption);
    }
    report.tables.iter().for_each(|table| out += &table_text(table));
    out += &verdicts(&report.verdicts);
    out += &values(report);
    out += &checks(&report.validity);
    for note in &report.notes {
        out += &format!("- {note}\n");
    }
    let cost = &report.cost;
    out += &format!(
        "- Cost: {} dictionaries trained, {} rows each; {} tokens through a language model.\n\n",
        cost.dictionaries,
        count(cost.rows),
        count(cost.lm_tokens)
    );
    out
}

fn table_text(table: &Table) -> String {
    let align = |i: usize| if i == 0 { Align::Left } else { Align::Right };
    let columns: Vec<(&str, Align)> =
        table.columns.iter().enumerate().map(|(i, name)| (name.as_str(), align(i))).collect();
    format!("{}:\n\n{}\n", table.title, markdown(&columns, &table.rows))
}

fn verdicts(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let columns = [
        ("claim", Align::Left),
        ("verdict", Align::Left),
        ("margin [95 %]", Align::Right),
        ("p", Align::Right),
        ("as hoped", Align::Left),
    ];
    let row = |v: &Verdict| {
        let margin = match v.ci95 {
            Some([low, high]) => interval(v.margin, low, high, 3),
            None => significant(v.margin, 3),
        };
        let hoped = match v.passed {
            Some(true) => "yes",
            Some(false) => "no",
            None => "–",
        };
        let why = if v.reasons.is_empty() { String::new() } else { format!(" ({})", v.reasons.join("; ")) };
        vec![
            v.claim.clone(),
            format!("**{}**{why}", v.outcome),
            margin,
            v.p.map_or("–".into(), p),
            hoped.into(),
        ]
    };
    format!("Verdicts:\n\n{}\n", markdown(&columns, &verdicts.iter().map(row).collect::<Vec<_>>()))
}

fn p(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".into() } else { significant(p, 2) }
}

fn values(report: &Report) -> String {
    let columns = [
        ("number", Align::Left),
        ("value [95 %]", Align::Right),
        ("new seed moves it by", Align::Right),
        ("n", Align::Right),
    ];
    let row = |(name, v): (&String, &Value)| {
        let value = match v.ci95 {
            Some([low, high]) => interval(v.value, low, high, 3),
            None => significant(v.value, 3),
        };
        let cv = v.reseed_cv.map_or("–".into(), |cv| format!("{:.1} %", 100.0 * cv));
        vec![name.clone(), value, cv, count(v.n)]
    };
    let all = |of: &BTreeMap<String, Value>| of.iter().map(row).collect::<Vec<_>>();
    let rows = [all(&report.metrics), all(&report.baselines)].concat();
    if rows.is_empty() { String::new() } else { format!("Numbers:\n\n{}\n", markdown(&columns, &rows)) }
}

fn checks(checks: &[Check]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let columns = [
        ("can it be believed?", Align::Left),
        ("found", Align::Right),
        ("needed", Align::Left),
        ("holds", Align::Left),
    ];
    let row = |c: &Check| {
        let holds = if c.holds { "yes" } else { "**no**" };
        vec![c.name.clone(), significant(c.value, 3), c.needed.clone(), holds.into()]
    };
    format!("{}\n", markdown(&columns, &checks.iter().map(row).collect::<Vec<_>>()))
}

fn words() -> String {
    "## Words\n\n\
     *Dictionary*: a sparse autoencoder (SAE); it writes an activation as a sum of few of its features. *L0*: how many features fire per \
     token. *FVU*: share of the variance that the sum leaves unexplained. *Δloss*: how much worse the model predicts, in nats per token, when the \
     activation is replaced by the sum. *Verdict*: better or worse if the 95 % interval of the margin leaves 0 out, else not separable; \
     invalid if a check of the measurement failed. The interval is over seeds of training, joined with the error of having measured on a \
     sample.\n\n\
     `report.json` has every number, `table.csv` one line per dictionary and metric.\n"
        .into()
}
