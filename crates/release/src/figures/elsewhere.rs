//! Dictionaries on another model than the one that they were scored on: each score there, in colour, beside the one at home, in grey.

use super::{DELTA_LOSS, FVU, Figure, Metric, distinct, interval};
use crate::EvaluationFile;
use crate::entry::Entry;
use lapidary_evaluation::Scores;
use lapidary_report::number::count;
use lapidary_report::plot::{Axis, Mark, Plot, Point, Scale, Series, Tone};

/// One picture for each score, if another model was asked.
pub(crate) fn figures(file: &EvaluationFile, entries: &[Entry<'_>]) -> Vec<Figure> {
    let Some(transfer) = file.transfer.as_ref().filter(|t| !t.dictionaries.is_empty()) else {
        return Vec::new();
    };
    let pairs: Vec<Pair<'_>> = (transfer.dictionaries.iter())
        .filter_map(|t| {
            let entry = entries.iter().find(|e| e.number == t.home)?;
            Some(Pair { name: name(entry, entries), home: entry.scores, there: &t.scores })
        })
        .collect();
    let models = [file.model.name.as_str(), transfer.model.name.as_str()];
    [FVU, DELTA_LOSS].into_iter().map(|metric| figure(metric, &pairs, models)).collect()
}

/// Its place, what differs among the others, and what is there to be beaten: `2.res topk 512`, `2.res, frozen decoder`.
fn name(entry: &Entry<'_>, all: &[Entry<'_>]) -> String {
    let differs = |is_same: &dyn Fn(&Entry<'_>) -> bool| all.iter().any(|other| !is_same(other));
    let architecture = differs(&|e| e.architecture == entry.architecture).then(|| entry.architecture.clone());
    let width = differs(&|e| e.scores.width == entry.scores.width).then(|| count(entry.scores.width as u64));
    let setting = entry.setting.filter(|_| differs(&|e| e.setting == entry.setting)).map(|s| s.to_string());
    let parts: Vec<String> =
        [Some(entry.place.clone()), architecture, width, setting].into_iter().flatten().collect();
    let baseline = entry.baseline.as_ref().map(|b| format!(", {b}")).unwrap_or_default();
    parts.join(" ") + &baseline
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::scores;

    #[test]
    fn a_name_says_what_differs() {
        let own =
            [scores("2.res", 64, 5.0, 0.1), scores("3.res", 64, 5.0, 0.1), scores("2.res", 1024, 5.0, 0.1)];
        let entries = |labels: &[&str]| -> Vec<Entry<'_>> {
            own.iter().zip(labels).map(|(own, label)| Entry::new(own, label, None)).collect()
        };
        let names = |labels: &[&str]| -> Vec<String> {
            let entries = entries(labels);
            entries.iter().map(|entry| name(entry, &entries)).collect()
        };
        assert_eq!(names(&["2.res", "3.res"]), ["2.res", "3.res"]);
        let labels = ["2.res topk", "3.res", "2.res frozen-decoder"];
        assert_eq!(
            names(&labels),
            ["2.res topk 64", "3.res jumprelu 64", "2.res jumprelu 1,024, frozen decoder"]
        );
    }
}
