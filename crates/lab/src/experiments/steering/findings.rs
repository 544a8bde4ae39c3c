//! What came of steering: areas under effect against fluency, verdicts, the table, the plot and the answer in one sentence.

use super::{ADDED, ARMS, Arm, CLAMPED, MEAN, MOST_COST, OfSeed, PROMPTED, RANDOM, STEERING, STRENGTHS};
use crate::Lab;
use crate::measure::sampling_error;
use crate::plots::{Curve, curves};
use crate::report::{Check, Report, Table, Value};
use crate::rung::Rung;
use crate::verdict::{Gap, Outcome, judge};
use lapidary_report::number::significant;
use lapidary_report::plot::{Axis, Scale};

/// Mean over costs from 0 to [`MOST_COST`] of the best effect at that cost or less; doing nothing costs and gives nothing.
fn area(points: &[(f64, f64)]) -> f64 {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut best, mut at, mut area) = (0.0f64, 0.0, 0.0);
    for (cost, effect) in sorted {
        let cost = cost.clamp(0.0, MOST_COST);
        area += best * (cost - at);
        at = cost;
        if cost < MOST_COST {
            best = best.max(effect);
        }
    }
    (area + best * (MOST_COST - at)) / MOST_COST
}

pub(super) fn report(lab: &Lab<'_>, rung: &Rung, by_seed: &[OfSeed]) -> Report {
    let mut report = Report::new(lab, STEERING.name, rung);
    let methods = [MEAN, ADDED, CLAMPED, RANDOM, PROMPTED];
    let areas = |of: &OfSeed, method: &str| -> Vec<f64> {
        of.arms.iter().filter(|arm| arm.method == method).map(|arm| area(&arm.points)).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let concepts = by_seed[0].arms.len() / methods.len();
    let mut untold: Vec<String> = by_seed.iter().flat_map(|of| of.untold.clone()).collect();
    untold.dedup();
    for (seed, of) in lab.seeds().into_iter().zip(by_seed) {
        report.sae_hashes.insert(format!("sae seed {seed}"), of.hash.clone());
        for arm in &of.arms {
            report.cell(&format!("{}: {}", arm.method, arm.concept), Some(seed), "area", area(&arm.points));
        }
    }
    for method in methods {
        let means: Vec<f64> = by_seed.iter().map(|of| mean(&areas(of, method))).collect();
        let value =
            Value::new(&means, sampling_error(&areas(&by_seed[0], method), lab.seed), concepts as u64);
        let list =
            if [RANDOM, PROMPTED].contains(&method) { &mut report.baselines } else { &mut report.metrics };
        list.insert(format!("{method}: area"), value);
    }
    let gap = |a: &str, b: &str| {
        let pairs =
            |of: &OfSeed| areas(of, a).iter().zip(areas(of, b)).map(|(a, b)| a - b).collect::<Vec<_>>();
        let sampling = sampling_error(&pairs(&by_seed[0]), lab.seed);
        Gap { by_seed: by_seed.iter().map(|of| mean(&pairs(of))).collect(), sampling }
    };
    let control = judge("", &gap(MEAN, RANDOM), None, &[]);
    report.validity.push(Check {
        name: "the difference of means less a random direction".into(),
        value: control.margin,
        needed: "an interval above 0".into(),
        holds: control.outcome == Outcome::Better,
    });
    let objections = report.objections();
    for (a, b) in [(ADDED, MEAN), (CLAMPED, MEAN), (CLAMPED, ADDED), (MEAN, PROMPTED), (ADDED, RANDOM)] {
        let claim = format!("{a} gives more effect at the same cost than {b}");
        report.verdicts.push(judge(&claim, &gap(a, b), None, &objections));
    }
    report.tables.push(table(&by_seed[0]));
    report.plots.push(plot(by_seed));
    report.notes.push(format!(
        "{concepts} concepts; effect is read from tokens, so that no direction of the model judges itself."
    ));
    if !untold.is_empty() {
        report.notes.push(format!(
            "Left out, because the judge cannot tell them from their absence: {}.",
            untold.join(", ")
        ));
    }
    report
}

/// One row for each concept, of the first seed.
fn table(of: &OfSeed) -> Table {
    let named = |method: &'static str| of.arms.iter().filter(move |arm| arm.method == method);
    let row = |arm: &Arm| {
        let of = |method| {
            named(method).find(|other| other.concept == arm.concept).map_or(f64::NAN, |o| area(&o.points))
        };
        let numbers = [arm.phi, of(MEAN), of(ADDED), of(CLAMPED), of(RANDOM), of(PROMPTED)];
        std::iter::once(arm.concept.clone()).chain(numbers.map(|x| significant(x, 3))).collect()
    };
    Table {
        title: "Areas by concept, first seed".into(),
        columns: ["concept", "φ", MEAN, ADDED, CLAMPED, RANDOM, PROMPTED].map(String::from).to_vec(),
        rows: named(MEAN).map(row).collect(),
    }
}

/// Effect against cost, strength by strength.
fn plot(by_seed: &[OfSeed]) -> crate::report::Plot {
    let curve = |method: &&str| {
        let points = (0..STRENGTHS.len()).map(|i| {
            let of = |of: &OfSeed, get: fn(&(f64, f64)) -> f64| {
                let all: Vec<f64> = of
                    .arms
                    .iter()
                    .filter(|arm| arm.method == *method)
                    .map(|arm| get(&arm.points[i]))
                    .collect();
                all.iter().sum::<f64>() / all.len().max(1) as f64
            };
            let cost = by_seed.iter().map(|s| of(s, |p| p.0)).sum::<f64>() / by_seed.len() as f64;
            let effects: Vec<f64> = by_seed.iter().map(|s| of(s, |p| p.1)).collect();
            let effect = Value::new(&effects, 0.0, 1);
            (cost, effect.value, effect.ci95)
        });
        Curve { name: (*method).into(), is_baseline: *method == RANDOM, points: points.collect() }
    };
    curves(
        "pareto",
        "What a push gives, and what it costs",
        "Means over concepts, one point for each strength, with 95 % intervals over three seeds. Up and left is better.",
        Axis::new("Δloss", "nats per token", Scale::FromZero),
        Axis::new("effect", "", Scale::FromZero),
        &ARMS.iter().map(curve).collect::<Vec<_>>(),
    )
}

pub(super) fn answer(reports: &[Report]) -> String {
    let of = |report: &Report| {
        let word = |claim: &str| match report
            .verdicts
            .iter()
            .find(|v| v.claim.starts_with(claim))
            .map(|v| v.outcome)
        {
            Some(Outcome::Better) => "beats",
            Some(Outcome::Worse) => "loses to",
            Some(Outcome::Invalid) => "cannot be compared with",
            _ => "is not separable from",
        };
        let [added, clamped, prompted] = [
            word("feature, added gives more effect at the same cost than difference"),
            word("feature, clamped gives more effect at the same cost than difference"),
            word("difference of means"),
        ];
        format!(
            "On the rung {}, adding a feature {added} the difference of means, clamping it {clamped} it, and the difference of means {prompted} prompting.",
            report.rung
        )
    };
    reports.iter().map(of).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Effect 0.5 from cost 0.25 on, 1 from 0.5 on; what costs 2 does not count: 0.25 · 0.5 + 0.5 · 1.
    #[test]
    fn the_area_by_hand() {
        assert_eq!(area(&[(0.5, 1.0), (0.25, 0.5), (2.0, 9.0)]), 0.625);
        assert_eq!(area(&[(-0.1, 0.5)]), 0.5, "what costs less than nothing costs nothing");
        assert_eq!(area(&[(0.1, -3.0)]), 0.0, "doing nothing is always possible");
        assert_eq!(area(&[]), 0.0);
    }
}
