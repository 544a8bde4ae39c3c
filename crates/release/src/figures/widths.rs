//! What width buys: at each site and architecture with several widths, FVU and Δloss at one L0, between the dictionaries of each width.
//! Two dictionaries are never compared at different L0: the values are interpolated on each width's curve, in the logarithm of L0.

use super::{DELTA_LOSS, FVU, Figure, Metric, distinct, firing, interval, scale, slug};
use crate::entry::Entry;
use lapidary_evaluation::Score;
use lapidary_report::number::significant;
use lapidary_report::plot::{Axis, Mark, Plot, Point, Scale, Series, Tone};

/// Three pictures for each site and architecture with several widths; where no L0 is common to all, the histograms alone.
pub(crate) fn figures(entries: &[Entry<'_>]) -> Vec<Figure> {
    let own: Vec<&Entry<'_>> = entries.iter().filter(|e| e.baseline.is_none()).collect();
    let groups = distinct(own.iter().map(|e| (e.place.as_str(), e.architecture.as_str())));
    let of = |(place, architecture): (&str, &str)| {
        let here = |e: &&&Entry<'_>| e.place == place && e.architecture == architecture;
        let group = if groups.iter().filter(|g| g.0 == place).count() > 1 {
            format!("{place} {architecture}")
        } else {
            place.to_string()
        };
        at(&group, &own.iter().filter(here).copied().collect::<Vec<_>>())
    };
    groups.iter().flat_map(|&group| of(group)).collect()
}

fn at(group: &str, entries: &[&Entry<'_>]) -> Vec<Figure> {
    let mut widths = distinct(entries.iter().map(|e| e.scores.width));
    widths.sort_unstable();
    if widths.len() < 2 {
        return Vec::new();
    }
    let curves: Vec<Vec<&Entry<'_>>> = widths.iter().map(|&width| curve(entries, width)).collect();
    let common = common(&curves);
    let mut out: Vec<Figure> = common
        .iter()
        .flat_map(|&l0| [FVU, DELTA_LOSS].map(|metric| figure(group, &curves, l0, metric)))
        .collect();
    let aim = common.unwrap_or(curves[0][curves[0].len() / 2].scores.l0.value);
    let own: Vec<&Entry<'_>> = curves.iter().filter_map(|curve| nearest(curve, aim)).collect();
    let figure = firing::figure(&format!("{group}, L0 about {}", significant(aim, 2)), &own);
    out.push(Figure { file: format!("widths-{}-firing", slug(group)), ..figure });
    out
}

/// Of one width, by L0.
fn curve<'e, 'a>(entries: &[&'e Entry<'a>], width: usize) -> Vec<&'e Entry<'a>> {
    let mut own: Vec<&Entry<'_>> = entries.iter().filter(|e| e.scores.width == width).copied().collect();
    own.sort_by(|a, b| a.scores.l0.value.total_cmp(&b.scores.l0.value));
    own
}

fn nearest<'e, 'a>(curve: &[&'e Entry<'a>], l0: f64) -> Option<&'e Entry<'a>> {
    let distance = |e: &Entry<'_>| (e.scores.l0.value - l0).abs();
    curve.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).copied()
}

/// The L0 in the middle of what all curves reach, if there is any.
fn common(curves: &[Vec<&Entry<'_>>]) -> Option<f64> {
    let ends = curves.iter().filter_map(|c| Some((c.first()?.scores.l0.value, c.last()?.scores.l0.value)));
    let (low, high) =
        ends.fold((0.0, f64::MAX), |(low, high), (a, b)| (b.min(a).max(low), a.max(b).min(high)));
    (low > 0.0 && low <= high).then(|| (low * high).sqrt())
}

fn figure(group: &str, curves: &[Vec<&Entry<'_>>], l0: f64, metric: Metric) -> Figure {
    let points: Vec<Point> = curves.iter().filter_map(|curve| between(curve, l0, metric)).collect();
    let y = scale(points.iter().map(|p| p.y));
    let plot = Plot {
        title: format!("{group}: {} at L0 {}", metric.label, significant(l0, 3)),
        x: Axis::new("width", "features", Scale::Doubling),
        y: Axis::new(metric.label, metric.unit, y),
        series: vec![Series { name: String::new(), mark: Mark::Path, tone: Tone::Colour(0), points }],
    };
    Figure { file: format!("widths-{}-{}", slug(group), metric.file), plot }
}

/// On the line between the two dictionaries that have this L0 between them; the ends of the interval likewise.
fn between(curve: &[&Entry<'_>], l0: f64, metric: Metric) -> Option<Point> {
    let at = curve.iter().position(|e| e.scores.l0.value >= l0)?;
    let (a, b) = (curve[at.saturating_sub(1)], curve[at]);
    let (from, to) = (a.scores.l0.value.ln(), b.scores.l0.value.ln());
    let share = if to > from { (l0.ln() - from) / (to - from) } else { 1.0 };
    let mix = |a: f64, b: f64| a + share * (b - a);
    let (a, b): (&Score, &Score) = ((metric.of)(a.scores), (metric.of)(b.scores));
    let ends = interval(a).zip(interval(b)).map(|(a, b)| (mix(a.0, b.0), mix(a.1, b.1)));
    Some(Point {
        x: curve[at].scores.width as f64,
        y: mix(a.value, b.value),
        y_interval: ends,
        label: format!("between L0 {} and {}", significant(from.exp(), 3), significant(to.exp(), 3)),
        ..Point::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::scores;

    /// Width 64 reaches L0 2 to 32, 128 reaches 8 to 128: both have 8 to 32, in the middle 16. On the line of 64 from (2, .8) to
    /// (32, .4) in log L0, 16 is three quarters of the way: .5; of 128 from (8, .4) to (128, .2) a quarter: .35.
    #[test]
    fn widths_are_compared_at_one_l0() {
        let all = [
            scores("1.res", 64, 32.0, 0.4),
            scores("1.res", 64, 2.0, 0.8),
            scores("1.res", 128, 8.0, 0.4),
            scores("1.res", 128, 128.0, 0.2),
        ];
        let entries: Vec<Entry<'_>> = all.iter().map(|s| Entry::new(s, &s.site, None)).collect();
        let found = figures(&entries);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].plot.title, "1.res: FVU at L0 16.0");
        let points = &found[0].plot.series[0].points;
        assert!((points[0].y - 0.5).abs() < 1e-9 && (points[1].y - 0.35).abs() < 1e-9, "{points:?}");
        let (low, high) = points[0].y_interval.expect("both have intervals");
        assert!((low - 0.45).abs() < 1e-9 && (high - 0.55).abs() < 1e-9);
        // Nothing in common: only how often features fire.
        let apart: Vec<Entry<'_>> = [entries[1].clone(), entries[3].clone()].into();
        assert_eq!(figures(&apart).len(), 1);
        assert!(figures(&entries[..2]).is_empty());
    }
}
