//! Dictionaries against each other on the same tokens: every pair at one site as they are, every pair of curves at matched L0, and how far
//! apart those are that differ in their seed only.

use crate::metrics::{DictionaryMetrics, ExampleScores, Pair, Spread};
use lapidary_dictionary::Activation;
use lapidary_evaluation::comparison::{Comparison, Metric, Point, compare, compare_at, levels};
use lapidary_evaluation::outcome::{Lines, judge};
use lapidary_evaluation::probing::ProbeMeans;
use lapidary_evaluation::{Measured, Options, Scores};
use lapidary_suite::subjects::Named;
use std::collections::BTreeMap;

/// Levels of L0 at which curves are compared.
const LEVELS: usize = 5;

/// Every pair of dictionaries at one site, and every pair of curves there.
pub(crate) fn pairs(subjects: &[&Named], measured: &[Measured], options: Options) -> Vec<Pair> {
    let mut out = Vec::new();
    for a in 0..subjects.len() {
        for b in (a + 1..subjects.len()).filter(|&b| subjects[a].output == subjects[b].output) {
            for metric in [Metric::L0, Metric::Fvu, Metric::DeltaLoss] {
                let (a_sums, b_sums) = (&measured[a].documents, &measured[b].documents);
                let comparison = compare(a_sums, b_sums, metric, options.resamples, options.seed);
                out.push(pair(&subjects[a].name, &subjects[b].name, comparison));
            }
        }
    }
    out.extend(curves(subjects, measured, options));
    out
}

/// Of dictionaries that differ in their run's seed only, in whatever was measured of all of them.
pub(crate) fn spread(
    subjects: &[&Named],
    measured: &[Measured],
    metrics: &[DictionaryMetrics],
) -> Vec<Spread> {
    let mut alike: BTreeMap<(String, &str), BTreeMap<u64, usize>> = BTreeMap::new();
    for (k, subject) in subjects.iter().enumerate().filter(|(_, subject)| subject.run.0 > 0) {
        let setting = subject.setting.map(|s| format!(", {s}")).unwrap_or_default();
        let from =
            if subject.site == subject.output { String::new() } else { format!("{} → ", subject.site) };
        let kind = (from + &curve(subject) + &setting, &subject.recipe[..]);
        alike.entry(kind).or_default().entry(subject.run.1).or_insert(k);
    }
    let mut out = Vec::new();
    for ((name, _), members) in alike.into_iter().filter(|(_, members)| members.len() > 1) {
        let of = |&k: &usize| numbers(&measured[k].scores, metrics.iter().find(|m| m.scores == k));
        let all: Vec<(u64, Vec<(String, f64)>)> = members.iter().map(|(seed, k)| (*seed, of(k))).collect();
        for (metric, _) in &all[0].1 {
            let value = |(seed, numbers): &(u64, Vec<(String, f64)>)| {
                Some((*seed, numbers.iter().find(|number| number.0 == *metric)?.1))
            };
            if let Some(values) = all.iter().map(value).collect::<Option<Vec<(u64, f64)>>>() {
                out.push(Spread::of(name.clone(), &values, metric));
            }
        }
    }
    out
}

/// What there is to compare over seeds.
fn numbers(scores: &Scores, beside: Option<&DictionaryMetrics>) -> Vec<(String, f64)> {
    let plain = [
        (Metric::L0, &scores.l0),
        (Metric::Fvu, &scores.fvu),
        (Metric::DeltaLoss, &scores.delta_loss),
        (Metric::LossRecovered, &scores.loss_recovered),
    ];
    let mut out: Vec<(String, f64)> = plain.map(|(metric, score)| (metric.name().into(), score.value)).into();
    out.push(("alive".into(), scores.firing.alive as f64));
    let Some(m) = beside else { return out };
    let probe = |p: &ProbeMeans| Some((format!("probe F1 of {} features", p.k?), p.f1));
    out.extend(m.probing.iter().filter(|p| p.source == "features").filter_map(probe));
    out.extend(m.absorption.iter().map(|a| ("narrow absorption".into(), a.narrow)));
    let ravel = m.ravel.iter().flat_map(|r| &r.sources).filter(|s| s.source == "features");
    out.extend(ravel.map(|s| ("interchange".into(), s.score)));
    out.extend(m.rules.iter().map(|r| ("rule F1".into(), r.means.f1)));
    let examples = |e: &ExampleScores| [("intruder", e.intruder.value), ("embedding", e.embedding.value)];
    out.extend(m.examples.iter().flat_map(examples).map(|(name, value)| (name.into(), value)));
    out.extend(m.uniformity.iter().map(|u| ("uniformity of effects".into(), u.effect)));
    out
}

fn curves(subjects: &[&Named], measured: &[Measured], options: Options) -> Vec<Pair> {
    let mut curves: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (k, subject) in subjects.iter().enumerate() {
        curves.entry(curve(subject)).or_default().push(k);
    }
    let curves: Vec<_> = curves.into_iter().filter(|(_, members)| members.len() > 1).collect();
    let mut out = Vec::new();
    for (k, (a_name, a)) in curves.iter().enumerate() {
        for (b_name, b) in &curves[k + 1..] {
            if subjects[a[0]].output == subjects[b[0]].output {
                out.extend(matched((a_name, a), (b_name, b), measured, options));
            }
        }
    }
    out
}

fn matched(
    a: (&String, &Vec<usize>),
    b: (&String, &Vec<usize>),
    measured: &[Measured],
    options: Options,
) -> Vec<Pair> {
    let documents = |of: &[usize]| of.iter().map(|&k| &measured[k].documents[..]).collect::<Vec<_>>();
    let points = |of: &[usize]| -> Vec<Point> {
        let point = |&k: &usize| {
            let s = &measured[k].scores;
            Point { l0: s.l0.value, value: s.fvu.value }
        };
        of.iter().map(point).collect()
    };
    let Some(levels) = levels(&points(a.1), &points(b.1), LEVELS) else { return Vec::new() };
    let (of_a, of_b) = (documents(a.1), documents(b.1));
    let of = |metric| {
        let (resamples, seed) = (options.resamples, options.seed);
        pair(a.0, b.0, compare_at(&of_a, &of_b, &levels, metric, resamples, seed))
    };
    [Metric::Fvu, Metric::DeltaLoss].map(of).to_vec()
}

fn pair(a: &str, b: &str, comparison: Comparison) -> Pair {
    let judged = judge(&comparison, Lines::standard());
    Pair { a: a.into(), b: b.into(), comparison, judged }
}

/// Which curve of L0 a dictionary is a point of: all but how sparse it was asked to be.
fn curve(named: &Named) -> String {
    let kind = match named.dictionary.activation {
        Activation::JumpRelu => "JumpReLU",
        Activation::TopK { .. } => "TopK",
        Activation::Gated { .. } => "gated",
    };
    let baseline = named.baseline.map(|b| format!(" {b}")).unwrap_or_default();
    format!("{} width {} {kind}{baseline}", named.output, named.dictionary.width())
}
