//! Do the features find the variables? Matched F1 of each judged dictionary beside what it has to beat, in grey.

use super::Figure;
use lapidary_dictionary::Setting;
use lapidary_evaluation::Interval;
use lapidary_evaluation::truth::Baseline;
use lapidary_ground_truth::TruthTable;
use lapidary_ground_truth::table::DictionaryTruth;
use lapidary_report::plot::{Axis, Mark, Plot, Point, Scale, Series, Tone};

const BASELINES: [(Baseline, &str); 4] = [
    (Baseline::FrozenDecoder, "frozen decoder"),
    (Baseline::RandomLm, "random model"),
    (Baseline::Pca, "principal components"),
    (Baseline::Neurons, "neurons"),
];

/// One picture, if anything was judged.
pub(crate) fn figures(table: Option<&TruthTable>) -> Vec<Figure> {
    let all = table.map(|t| t.dictionaries.as_slice()).unwrap_or_default();
    let judged: Vec<&DictionaryTruth> = all.iter().filter(|d| d.judgement.is_some()).collect();
    if judged.is_empty() {
        return Vec::new();
    }
    let own =
        Series { name: "dictionary".into(), mark: Mark::Points, tone: Tone::Colour(0), points: f1(&judged) };
    let beaten = BASELINES.iter().enumerate().map(|(n, &(baseline, name))| Series {
        name: name.into(),
        mark: Mark::Points,
        tone: Tone::Grey(n + 1),
        points: untrained(&judged, baseline),
    });
    let series = std::iter::once(own).chain(beaten).filter(|s| !s.points.is_empty()).collect();
    let names = judged.iter().map(|d| name(d)).collect();
    let plot = Plot {
        title: "Matched F1 with the variables of the text".into(),
        x: Axis::new("F1", "mean over variables that the model represents", Scale::FromZero),
        y: Axis::new("dictionary", "", Scale::Names(names)),
        series,
    };
    vec![Figure { file: "truth-f1".into(), plot }]
}

/// `2.res topk 512 L0 16`
fn name(d: &DictionaryTruth) -> String {
    let setting = d.target_l0.map(Setting::L0).or(d.lambda.map(Setting::Lambda));
    let setting = setting.map(|setting| format!(" {setting}")).unwrap_or_default();
    format!("{} {}{setting}", d.label.as_ref().unwrap_or(&d.site), d.width)
}

fn f1(judged: &[&DictionaryTruth]) -> Vec<Point> {
    let point = |(n, d): (usize, &&DictionaryTruth)| {
        let f1 = &d.matched_f1_represented;
        let interval = match f1.interval {
            Interval::Known { low, high } => Some((low, high)),
            Interval::Missing { .. } => None,
        };
        Point { x: f1.value, y: n as f64, x_interval: interval, label: d.name.clone(), ..Point::default() }
    };
    judged.iter().enumerate().map(point).collect()
}

fn untrained(judged: &[&DictionaryTruth], baseline: Baseline) -> Vec<Point> {
    let of = |(n, d): (usize, &&DictionaryTruth)| {
        let comparisons = &d.judgement.as_ref()?.verdict.comparisons;
        let found = comparisons.iter().find(|c| c.baseline == baseline)?;
        Some(Point { label: d.name.clone(), ..Point::new(found.untrained, n as f64) })
    };
    judged.iter().enumerate().filter_map(of).collect()
}
