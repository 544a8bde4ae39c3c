//! Dictionaries on another model than the one that they were scored on: each score there, in colour, beside the one at home, in grey.

use super::{DELTA_LOSS, FVU, Figure, Metric, distinct, interval};
use crate::EvaluationFile;
use crate::entry::Entry;
use lapidary_evaluation::Scores;
use lapidary_report::plot::{Axis, Mark, Plot, Point, Scale, Series, Tone};

/// One picture for each score, if another model was asked.
pub(crate) fn figures(file: &EvaluationFile, entries: &[Entry<'_>]) -> Vec<Figure> {
    let Some(transfer) = file.transfer.as_ref().filter(|t| !t.dictionaries.is_empty()) else {
        return Vec::new();
    };
    let pairs: Vec<Pair<'_>> = (transfer.dictionaries.iter())
        .filter_map(|t| {
            let entry = entries.iter().find(|e| e.number == t.home)?;
            Some(Pair { name: name(entry), home: entry.scores, there: &t.scores })
        })
        .collect();
    let models = [file.model.name.as_str(), transfer.model.name.as_str()];
    [FVU, DELTA_LOSS].into_iter().map(|metric| figure(metric, &pairs, models)).collect()
}

/// `2.res topk 512 L0 16`, and whether it is there to be beaten.
fn name(entry: &Entry<'_>) -> String {
    let setting = entry.setting.map(|setting| format!(" {setting}")).unwrap_or_default();
    let baseline = entry.baseline.as_ref().map(|b| format!(", {b}")).unwrap_or_default();
    format!("{} {} {}{setting}{baseline}", entry.place, entry.architecture, entry.scores.width)
}

/// The scores of a dictionary on both models.
struct Pair<'a> {
    name: String,
    home: &'a Scores,
    there: &'a Scores,
}

fn figure(metric: Metric, pairs: &[Pair<'_>], [home, there]: [&str; 2]) -> Figure {
    let names = distinct(pairs.iter().map(|pair| pair.name.clone()));
    let point = |pair: &Pair<'_>, scores: &Scores| {
        let y = names.iter().position(|name| *name == pair.name).expect("it is one of them") as f64;
        let (score, label) = ((metric.of)(scores), scores.name.clone());
        Point { x: score.value, y, x_interval: interval(score), label, ..Point::default() }
    };
    let series = |name: &str, tone, points| Series { name: name.into(), mark: Mark::Points, tone, points };
    let own = pairs.iter().map(|pair| point(pair, pair.home)).collect();
    let elsewhere = pairs.iter().map(|pair| point(pair, pair.there)).collect();
    let plot = Plot {
        title: format!("{} on {there} and on {home}", metric.label),
        x: Axis::new(metric.label, metric.unit, Scale::FromZero),
        y: Axis::new("dictionary", "", Scale::Names(names.clone())),
        series: vec![series(home, Tone::Grey(1), own), series(there, Tone::Colour(0), elsewhere)],
    };
    Figure { file: format!("elsewhere-{}", metric.file), plot }
}
