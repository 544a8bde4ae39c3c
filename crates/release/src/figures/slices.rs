//! Δloss and FVU by position in the window, and by part of the text, of canonical dictionaries.

use super::{CURVES, Curve, Figure, distinct, interval, scale, slug};
use crate::canonical::Canonical;
use crate::entry::Entry;
use crate::metrics::DictionaryMetrics;
use lapidary_evaluation::Score;
use lapidary_evaluation::slices::{SliceScores, Sliced};
use lapidary_report::plot::{Axis, Mark, Plot, Point, Scale, Series, Tone};

/// How positions are sliced in `evaluation.json`.
const POSITION: &str = "position";

/// A dictionary with its slices.
type Own<'e, 'a> = (&'e Entry<'a>, &'e Sliced);

/// A metric of a slice.
struct Metric {
    file: &'static str,
    label: &'static str,
    unit: &'static str,
    of: fn(&SliceScores) -> &Score,
}

const METRICS: [Metric; 2] = [
    Metric { file: "delta-loss", label: "Δloss", unit: "nats per target", of: |s| &s.delta_loss },
    Metric { file: "fvu", label: "FVU", unit: "share of the part's variance", of: |s| &s.fvu },
];

/// By position: two pictures for each kind of site.
pub(crate) fn by_position(
    entries: &[Entry<'_>],
    metrics: &[DictionaryMetrics],
    canonical: &Canonical,
) -> Vec<Figure> {
    figures(entries, metrics, canonical, |by| by == POSITION)
}

/// By named text, by who speaks.
pub(crate) fn by_part(
    entries: &[Entry<'_>],
    metrics: &[DictionaryMetrics],
    canonical: &Canonical,
) -> Vec<Figure> {
    figures(entries, metrics, canonical, |by| by != POSITION)
}

fn figures(
    entries: &[Entry<'_>],
    metrics: &[DictionaryMetrics],
    canonical: &Canonical,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Figure> {
    let all: Vec<Own<'_, '_>> = canonical
        .chosen
        .iter()
        .filter_map(|&n| Some((&entries[n], metrics.iter().find(|m| m.is_of(&entries[n]))?)))
        .flat_map(|(entry, metrics)| metrics.slices.iter().map(move |sliced| (entry, sliced)))
        .filter(|(_, sliced)| wanted(&sliced.by))
        .collect();
    let groups = distinct(all.iter().map(|(e, s)| (e.kind.as_str(), s.by.as_str())));
    let of = |(kind, by): (&str, &str)| {
        let own: Vec<Own<'_, '_>> =
            all.iter().filter(|(e, s)| e.kind == kind && s.by == by).copied().collect();
        METRICS.map(|metric| figure(kind, by, &spread(&own), &metric))
    };
    groups.into_iter().flat_map(of).collect()
}

/// As many as can be told apart, evenly.
fn spread<T: Copy>(all: &[T]) -> Vec<T> {
    match all.len() {
        n if n > CURVES => (0..CURVES).map(|i| all[i * (n - 1) / (CURVES - 1)]).collect(),
        _ => all.to_vec(),
    }
}

fn figure(kind: &str, by: &str, own: &[Own<'_, '_>], metric: &Metric) -> Figure {
    let curves: Vec<Curve> = own.iter().map(|(e, _)| Curve::of(e)).collect();
    let parts = distinct(own.iter().flat_map(|(_, s)| s.slices.iter().map(|slice| slice.slice.clone())));
    let positions = by == POSITION;
    let series = own.iter().enumerate().map(|(n, (_, sliced))| Series {
        name: curves[n].name(&curves),
        mark: if positions { Mark::Line } else { Mark::Points },
        tone: Tone::Colour(n),
        points: sliced.slices.iter().filter_map(|slice| point(slice, positions, &parts, metric)).collect(),
    });
    let series: Vec<Series> = series.collect();
    let group = if own.len() == 1 { own[0].0.place.clone() } else { format!("all {kind}") };
    let named = Axis::new(by, "", Scale::Names(parts));
    let plot = match positions {
        true => Plot {
            title: format!("{group}: {} by position", metric.label),
            x: Axis::new("position in the window", "tokens", Scale::Log),
            y: Axis::new(
                metric.label,
                metric.unit,
                scale(series.iter().flat_map(|s| &s.points).map(|p| p.y)),
            ),
            series,
        },
        false => Plot {
            title: format!("{group}: {} by {by}", metric.label),
            x: Axis::new(
                metric.label,
                metric.unit,
                scale(series.iter().flat_map(|s| &s.points).map(|p| p.x)),
            ),
            y: named,
            series,
        },
    };
    Figure { file: format!("by-{}-{}-{}", slug(by), slug(&group), metric.file), plot }
}

fn point(slice: &SliceScores, positions: bool, parts: &[String], metric: &Metric) -> Option<Point> {
    let score = (metric.of)(slice);
    let label = format!("{} {}", if positions { "position" } else { "" }, slice.slice).trim().to_string();
    Some(match positions {
        true => {
            let (x, y_interval) = (middle(&slice.slice)?, interval(score));
            Point { x, y: score.value, y_interval, label, ..Point::default() }
        }
        false => {
            let y = parts.iter().position(|part| *part == slice.slice)? as f64;
            Point { x: score.value, y, x_interval: interval(score), label, ..Point::default() }
        }
    })
}

/// The geometric middle of `5–8`, or of `1`.
fn middle(slice: &str) -> Option<f64> {
    let (from, to) = slice.split_once('–').unwrap_or((slice, slice));
    let (from, to): (f64, f64) = (from.parse().ok()?, to.parse().ok()?);
    Some((from * to).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::scores;

    #[test]
    fn positions_are_a_line_and_parts_are_points() {
        let all = [scores("1.res", 64, 4.0, 0.1), scores("2.res", 64, 4.0, 0.1)];
        let entry = |(number, s)| Entry { number, ..Entry::new(s, "", None) };
        let entries: Vec<Entry<'_>> = all.iter().enumerate().map(entry).collect();
        let score = |value: f64| serde_json::json!({ "value": value, "n": 3, "interval": { "low": value / 2.0, "high": value * 2.0 } });
        let slice = |name: &str, x: f64| {
            serde_json::json!({ "slice": name, "fvu": score(x), "delta_loss": score(x / 10.0),
            "l0": score(1.0), "ce": score(3.0), "loss_recovered": score(0.9) })
        };
        let of = |n: usize| {
            serde_json::json!({ "scores": n, "name": all[n].name, "slices": [
                { "by": "position", "slices": [slice("1", 0.1), slice("5–20", 0.2)] },
                { "by": "turn", "slices": [slice("user", 0.3), slice("model", 0.4)] } ] })
        };
        let metrics: Vec<DictionaryMetrics> =
            serde_json::from_value(serde_json::json!([of(0), of(1)])).unwrap();
        let canonical = Canonical::new(&entries, None);
        let positions = by_position(&entries, &metrics, &canonical);
        assert_eq!(
            positions.iter().map(|f| f.file.as_str()).collect::<Vec<_>>(),
            ["by-position-all-res-delta-loss", "by-position-all-res-fvu"]
        );
        let line = &positions[1].plot.series[1];
        assert_eq!(
            (line.name.as_str(), line.mark, line.points[1].x, line.points[1].y),
            ("layer 2", Mark::Line, 10.0, 0.2)
        );
        let parts = by_part(&entries, &metrics, &canonical);
        let points: Vec<(f64, f64)> = parts[1].plot.series[0].points.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(points, [(0.3, 0.0), (0.4, 1.0)]);
        assert!(by_part(&entries, &[], &canonical).is_empty());
    }
}
