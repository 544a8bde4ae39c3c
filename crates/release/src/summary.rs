//! What was measured beside the scores, as tables for a terminal.

use crate::EvaluationFile;
use crate::metrics::{DictionaryMetrics, Kind, Kinds, Pair};
use lapidary_evaluation::Interval;
use lapidary_evaluation::comparison::Metric;
use lapidary_report::number::{bytes, count, percent, significant};
use lapidary_report::table::{Align, text};

/// Pairs that are shown at most; all are saved.
const MOST_PAIRS: usize = 24;

/// Caption, header and rows.
type Told<'a> = (&'a str, &'a [&'a str], Vec<Vec<String>>);

/// Tables of what was asked for by name, each with its caption; slices and pairs are shown when they were, or when there are sets of texts.
pub fn tables(file: &EvaluationFile, kinds: &Kinds) -> Vec<String> {
    let mut out = slices(file, kinds);
    let of = |of: fn(&DictionaryMetrics) -> Vec<Vec<String>>| -> Vec<Vec<String>> {
        file.metrics.iter().flat_map(of).collect()
    };
    let tables: [Told<'_>; 6] = [
        (
            "Interpretability by a judge: detection and fuzzing (chance 0.5), simulation (correlation)",
            &["dictionary", "judge", "features", "detection", "fuzzing", "simulation", "unread"],
            of(judged),
        ),
        (
            "Low precision, against f32: Δ is the change of Δloss in nats per target, with p",
            &["dictionary", "bits", "size", "ΔL0", "ΔFVU", "Δ", "p", "flips", "survive"],
            of(precision),
        ),
        (
            "Probes of labels on documents that they were not fitted on, means over labels",
            &["dictionary", "of", "k", "labels", "AUROC", "F1"],
            of(probing),
        ),
        (
            "Absorption of labels: mean fraction, share in full, and what the labels themselves say",
            &["dictionary", "labels", "split", "F1", "fraction", "full", "by labels"],
            of(absorption),
        ),
        (
            "Interpretability without a judge: rules of at most 4 literals, on other documents; intruder (chance 0.2); example \
             embedding (chance 0.5)",
            &["dictionary", "features", "rule F1", "precision", "recall", "intruder", "embedding"],
            of(readable),
        ),
        (
            "Uniformity of active features: exp(entropy)/L0 of their effects on the next token's logit, and of their sizes",
            &["dictionary", "rows", "L0", "effects", "sizes"],
            of(uniformity),
        ),
    ];
    out.extend(
        tables.into_iter().filter(|(_, _, rows)| !rows.is_empty()).map(|(c, h, rows)| table(c, h, &rows)),
    );
    if kinds.0.len() > Kinds::default().0.len() || file.pairs.len() <= MOST_PAIRS {
        out.extend(pairs(&file.pairs));
    }
    out.extend(spread(file));
    out.extend(file.metrics.iter().flat_map(|m| m.missing.iter().map(|why| format!("{}: {why}", m.name))));
    out
}

fn table(caption: &str, header: &[&str], rows: &[Vec<String>]) -> String {
    let align = |k: usize| if k == 0 { Align::Left } else { Align::Right };
    let columns: Vec<(&str, Align)> = header.iter().enumerate().map(|(k, name)| (*name, align(k))).collect();
    format!("{caption}\n{}", text(&columns, rows))
}

/// The last part of a dictionary's name, which is its folder where it was named alone.
fn short(name: &str) -> String {
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name).into()
}

fn within(value: f64, interval: &Interval) -> String {
    match interval {
        Interval::Known { low, high } => format!("{value:.3} [{low:.3}, {high:.3}]"),
        Interval::Missing { .. } => format!("{value:.3}"),
    }
}

fn slices(file: &EvaluationFile, kinds: &Kinds) -> Vec<String> {
    let asked = kinds.0.len() > Kinds::default().0.len();
    let shown = |by: &str| by != "position" || (asked && kinds.0.contains(&Kind::Position));
    let mut names: Vec<&str> =
        file.metrics.iter().flat_map(|m| m.slices.iter().map(|s| s.by.as_str())).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    let of = |by: &str| {
        let rows = file.metrics.iter().flat_map(|m| {
            let slices = m.slices.iter().filter(|s| s.by == by).flat_map(|s| &s.slices);
            slices.map(|s| {
                let scores = [&s.fvu, &s.ce, &s.delta_loss].map(|x| within(x.value, &x.interval));
                let [fvu, ce, delta] = scores;
                vec![
                    short(&m.name),
                    s.slice.clone(),
                    count(s.l0.n),
                    format!("{:.1}", s.l0.value),
                    fvu,
                    ce,
                    delta,
                ]
            })
        });
        let header = ["dictionary", by, "rows", "L0", "FVU", "CE", "Δloss"];
        table(&format!("By {by}"), &header, &rows.collect::<Vec<_>>())
    };
    let has_rows =
        |by: &&str| file.metrics.iter().any(|m| m.slices.iter().any(|s| s.by == *by && !s.slices.is_empty()));
    names.into_iter().filter(|by| shown(by)).filter(has_rows).map(of).collect()
}

fn precision(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let row = |r: &crate::metrics::Rounded| {
        let change = |metric: Metric| r.changes.iter().find(|c| c.metric == metric);
        let delta =
            |metric, digits| change(metric).map_or("–".into(), |c| significant(c.difference, digits));
        let p = change(Metric::DeltaLoss).map_or("–".into(), |c| format!("{:.3}", c.p));
        vec![
            short(&m.name),
            r.bits.name().into(),
            bytes(r.bytes),
            delta(Metric::L0, 2),
            delta(Metric::Fvu, 2),
            delta(Metric::DeltaLoss, 2),
            p,
            percent(r.survival.flip_rate),
            percent(r.survival.survival),
        ]
    };
    m.precision.iter().map(row).collect()
}

fn probing(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let row = |p: &lapidary_evaluation::probing::ProbeMeans| {
        let k = p.k.map_or("all".into(), |k| k.to_string());
        let [auroc, f1] = [within(p.auroc, &p.auroc_interval), within(p.f1, &p.f1_interval)];
        vec![short(&m.name), p.source.clone(), k, count(p.n), auroc, f1]
    };
    m.probing.iter().map(row).collect()
}

fn absorption(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let row = |a: &lapidary_evaluation::absorption::Absorption| {
        vec![
            short(&m.name),
            count(a.n),
            format!("{:.2}", a.split),
            format!("{:.3}", a.f1),
            within(a.fraction, &a.fraction_interval),
            within(a.full, &a.full_interval),
            within(a.exact, &a.exact_interval),
        ]
    };
    m.absorption.iter().map(row).collect()
}

fn readable(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    if m.rules.is_none() && m.examples.is_none() {
        return Vec::new();
    }
    let none = || "–".to_string();
    let rules = m.rules.as_ref().map(|r| &r.means);
    let n = rules.map(|r| r.n).or(m.examples.as_ref().map(|e| e.intruder.n)).unwrap_or(0);
    let mean = |mean: &lapidary_evaluation::examples::Mean| within(mean.value, &mean.interval);
    vec![vec![
        short(&m.name),
        count(n),
        rules.map_or_else(none, |r| within(r.f1, &r.interval)),
        rules.map_or_else(none, |r| format!("{:.3}", r.precision)),
        rules.map_or_else(none, |r| format!("{:.3}", r.recall)),
        m.examples.as_ref().map_or_else(none, |e| mean(&e.intruder)),
        m.examples.as_ref().map_or_else(none, |e| mean(&e.embedding)),
    ]]
}

fn judged(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let row = |j: &crate::judging::JudgeScores| {
        let [detection, fuzzing, simulation] =
            [&j.detection, &j.fuzzing, &j.simulation].map(|mean| within(mean.value, &mean.interval));
        let unread = count(j.parse_failures);
        vec![short(&m.name), j.model.clone(), count(j.n), detection, fuzzing, simulation, unread]
    };
    m.judge.iter().filter(|j| j.n > 0).map(row).collect()
}

fn uniformity(m: &DictionaryMetrics) -> Vec<Vec<String>> {
    let row = |u: &lapidary_evaluation::uniformity::Uniformity| {
        let effect = within(u.effect, &u.interval);
        vec![short(&m.name), count(u.n), format!("{:.1}", u.l0), effect, format!("{:.3}", u.size)]
    };
    m.uniformity.iter().map(row).collect()
}

fn spread(file: &EvaluationFile) -> Option<String> {
    let row = |s: &crate::metrics::Spread| {
        let numbers = [s.mean, s.deviation].map(|x| significant(x, 3));
        let [mean, deviation] = numbers;
        vec![s.of.clone(), s.metric.name().into(), count(s.seeds.len() as u64), mean, deviation]
    };
    let rows: Vec<Vec<String>> = file.spread.iter().map(row).collect();
    let header = ["dictionaries", "metric", "seeds", "mean", "deviation"];
    (!rows.is_empty()).then(|| table("Spread over the seeds of the runs", &header, &rows))
}

fn pairs(pairs: &[Pair]) -> Option<String> {
    let row = |pair: &Pair| {
        let c = &pair.comparison;
        let at = match c.levels.as_slice() {
            [] => "as they are".to_string(),
            [first, .., last] => format!("L0 {first:.1}–{last:.1}"),
            [one] => format!("L0 {one:.1}"),
        };
        let outcome = if c.metric == Metric::L0 { "–" } else { pair.judged.outcome.name() };
        let difference = within(c.difference, &c.interval);
        vec![
            short(&pair.a),
            short(&pair.b),
            at,
            c.metric.name().into(),
            difference,
            format!("{:.3}", c.p),
            outcome.into(),
        ]
    };
    let rows: Vec<Vec<String>> = pairs.iter().take(MOST_PAIRS).map(row).collect();
    let more = match pairs.len().saturating_sub(MOST_PAIRS) {
        0 => String::new(),
        more => format!("{more} more are in evaluation.json\n"),
    };
    let header = ["a", "b", "compared", "metric", "a − b", "p", "a is"];
    let caption = "Pairs at one site, on the same tokens, paired over documents";
    (!rows.is_empty()).then(|| table(caption, &header, &rows) + &more)
}
