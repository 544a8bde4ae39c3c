//! Scores as the report crate wants them: lines of tables and sheets.

use crate::EvaluationFile;
use lapidary_dictionary::Setting;
use lapidary_evaluation::comparison::Metric;
use lapidary_evaluation::truth::Baseline;
use lapidary_evaluation::{Interval, Score, Scores};
use lapidary_ground_truth::TruthTable;
use lapidary_ground_truth::table::{DictionaryTruth, Judgement};
use lapidary_report::page;
use lapidary_report::scores::Line;
use lapidary_report::truth::TruthRow;
use lapidary_report::{Measure, ScoreRow};

/// In place of a verdict.
pub const BASELINE: &str = "baseline";

/// A score as the report crate wants it.
fn measure(score: &Score) -> Measure {
    Measure { value: score.value, interval: known(&score.interval), n: score.n }
}

/// A line of the suite's table, under a label.
pub fn row(scores: &Scores, label: &str, setting: Option<Setting>) -> ScoreRow {
    ScoreRow {
        name: scores.name.clone(),
        site: label.into(),
        width: scores.width,
        setting: setting.map(|setting| setting.to_string()),
        l0: measure(&scores.l0),
        fvu: measure(&scores.fvu),
        delta_loss: measure(&scores.delta_loss),
        loss_recovered: measure(&scores.loss_recovered),
        alive: scores.firing.alive,
    }
}

/// The sheet of one dictionary.
pub fn lines(scores: &Scores) -> Vec<Line> {
    let plain = |metric: &str, unit: &str, score: &Score| Line {
        metric: metric.into(),
        unit: unit.into(),
        measure: measure(score),
    };
    let counted = |metric: &str, unit: &str, value: u64| {
        let measure = Measure { value: value as f64, interval: None, n: scores.rows };
        Line { metric: metric.into(), unit: unit.into(), measure }
    };
    let optional =
        |metric: &str, unit: &str, score: &Option<Score>| score.as_ref().map(|s| plain(metric, unit, s));
    let nats = "nats per target";
    let lines = [
        Some(plain("L0", "features per row", &scores.l0)),
        Some(counted("L0, median", "features per row", scores.l0_percentiles.p50)),
        Some(counted("L0, 95th percentile", "features per row", scores.l0_percentiles.p95)),
        Some(plain("FVU", "share of variance", &scores.fvu)),
        Some(plain("Δloss", nats, &scores.delta_loss)),
        Some(plain("loss recovered (mean)", "share", &scores.loss_recovered)),
        optional("loss recovered (zero)", "share", &scores.loss_recovered_zero),
        Some(plain("CE", nats, &scores.ce)),
        Some(plain("CE, spliced", nats, &scores.ce_spliced)),
        Some(plain("CE, mean-ablated", nats, &scores.ce_ablated)),
        optional("CE, zero-ablated", nats, &scores.ce_zero_ablated),
        Some(counted("alive", "features", scores.firing.alive)),
        Some(counted("never fired in n", "features", scores.firing.never_fired)),
        Some(counted(
            "firing in more than 10 % of rows",
            "features",
            scores.firing.ultra_frequent.len() as u64,
        )),
    ];
    lines.into_iter().flatten().collect()
}

/// Scores on another model, and what they are, if there are any.
pub fn elsewhere(file: &EvaluationFile, scores: &Scores) -> Option<(String, Vec<Line>)> {
    let place = file.scores.iter().position(|own| std::ptr::eq(own, scores) || own == scores)?;
    let (model, found) = file.elsewhere(place)?;
    let there = |metric: &str, unit: &str, score: &Score| Line {
        metric: metric.into(),
        unit: unit.into(),
        measure: measure(score),
    };
    let change = |metric: Metric, unit: &str, n: u64| {
        let change = found.change(metric)?;
        let measure = Measure { value: change.difference, interval: known(&change.interval), n };
        Some(Line { metric: format!("{}, less that at home", metric.name()), unit: unit.into(), measure })
    };
    let (s, f, nats) = (&found.scores, &found.firing, "nats per target");
    let both = Measure { value: f.both as f64, interval: None, n: s.rows };
    let alike = Measure { value: f.correlation, interval: known(&f.interval), n: f.both };
    let lines = [
        Some(there("L0", "features per row", &s.l0)),
        change(Metric::L0, "features per row", s.rows),
        Some(there("FVU", "share of variance", &s.fvu)),
        change(Metric::Fvu, "share of variance", s.rows),
        Some(there("Δloss", nats, &s.delta_loss)),
        change(Metric::DeltaLoss, nats, s.targets),
        Some(Line { metric: "alive here and at home".into(), unit: "features".into(), measure: both }),
        Some(Line {
            metric: "ln frequency here and at home".into(),
            unit: "correlation".into(),
            measure: alike,
        }),
    ];
    let text = format!("On the same tokens of {model}, which it was not trained on.");
    Some((text, lines.into_iter().flatten().collect()))
}

/// The lines to print: what was judged, or the baselines if nothing was.
pub fn truth_rows(table: &TruthTable) -> Vec<TruthRow> {
    let judged: Vec<TruthRow> =
        table.dictionaries.iter().filter(|d| d.judgement.is_some()).map(truth_row).collect();
    if !judged.is_empty() {
        return judged;
    }
    let is_dictionary = |b: Option<Baseline>| !matches!(b, None | Some(Baseline::Pca | Baseline::Neurons));
    table.dictionaries.iter().filter(|d| is_dictionary(d.baseline)).map(truth_row).collect()
}

/// A dictionary's line of the table.
pub fn truth_row(d: &DictionaryTruth) -> TruthRow {
    let f1 = &d.matched_f1_represented;
    let of = d.baseline.map(|b| format!(" {b}")).unwrap_or_default();
    let of_baseline = |kind| {
        let comparisons = &d.judgement.as_ref()?.verdict.comparisons;
        comparisons.iter().find(|c| c.baseline == kind).map(|c| c.untrained)
    };
    TruthRow {
        site: d.label.clone().unwrap_or_else(|| d.site.clone() + &of),
        width: d.width,
        setting: d
            .target_l0
            .map(Setting::L0)
            .or(d.lambda.map(Setting::Lambda))
            .map(|setting| setting.to_string()),
        l0: d.l0,
        f1: Measure { value: f1.value, interval: known(&f1.interval), n: f1.indicators },
        null: d.null,
        counts: [d.found_and_represented, d.represented, d.known],
        baselines: [Baseline::FrozenDecoder, Baseline::RandomLm, Baseline::Pca, Baseline::Neurons]
            .map(of_baseline),
        verdict: d.judgement.as_ref().map_or(BASELINE, |j| j.status.word()).into(),
        reason: d.judgement.as_ref().and_then(Judgement::reason),
    }
}

fn known(interval: &Interval) -> Option<(f64, f64)> {
    match interval {
        Interval::Known { low, high } => Some((*low, *high)),
        Interval::Missing { .. } => None,
    }
}

/// The lines of the demo's page for all dictionaries of a file, under the name of a group: those of the truth, which has the
/// baselines too, or else of the scores.
pub fn page_lines(file: &EvaluationFile, group: &str) -> Vec<page::Line> {
    let of_score = |name: &str| file.scores.iter().find(|s| s.name == name);
    let Some(truth) = &file.truth else {
        return file
            .scores
            .iter()
            .map(|s| page_line(group, s.site.clone(), s.l0.value, Some(s), None))
            .collect();
    };
    let trained =
        truth.dictionaries.iter().filter(|d| !matches!(d.baseline, Some(Baseline::Pca | Baseline::Neurons)));
    let l0 = |d: &DictionaryTruth| of_score(&d.name).map_or(d.l0, |s| s.l0.value);
    trained.map(|d| page_line(group, page_name(d), l0(d), of_score(&d.name), Some(d))).collect()
}

fn page_name(d: &DictionaryTruth) -> String {
    let of = match d.baseline {
        Some(Baseline::FrozenDecoder) => " frozen decoder",
        Some(Baseline::RandomLm) => " random model",
        Some(Baseline::FrozenEncoder) => " frozen encoder",
        Some(Baseline::Random) => " random",
        _ => "",
    };
    d.site.clone() + of
}

fn page_line(
    group: &str,
    name: String,
    l0: f64,
    scores: Option<&Scores>,
    truth: Option<&DictionaryTruth>,
) -> page::Line {
    let judgement = truth.and_then(|d| d.judgement.as_ref());
    let best = |j: &Judgement| j.verdict.comparisons.iter().map(|c| c.untrained).max_by(f64::total_cmp);
    let verdict = match (judgement, truth) {
        (Some(judgement), _) => judgement.status.word(),
        (None, Some(_)) => BASELINE,
        (None, None) => "–",
    };
    page::Line {
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
