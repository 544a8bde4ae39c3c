//! Δloss and FVU over the layers, of the canonical dictionary of each site.

use super::{DELTA_LOSS, FVU, Figure, Metric, distinct, interval};
use crate::canonical::Canonical;
use crate::entry::Entry;
use lapidary_report::number::count;
use lapidary_report::plot::{Axis, Mark, Plot, Point, Scale, Series, Tone};

/// Both pictures; none where no kind of site has two layers.
pub(crate) fn figures(entries: &[Entry<'_>], canonical: &Canonical) -> Vec<Figure> {
    let own: Vec<&Entry<'_>> =
        canonical.chosen.iter().map(|&n| &entries[n]).filter(|e| e.layer.is_some()).collect();
    let groups = distinct(own.iter().map(|e| (e.kind.as_str(), e.scores.width)));
    let of = |&(kind, width): &(&str, usize)| -> Vec<&Entry<'_>> {
        own.iter().filter(|e| e.kind == kind && e.scores.width == width).copied().collect()
    };
    let lines: Vec<Vec<&Entry<'_>>> = groups.iter().map(of).filter(|line| line.len() > 1).collect();
    match lines.is_empty() {
        true => Vec::new(),
        false => [DELTA_LOSS, FVU].map(|metric| figure(&lines, metric)).into(),
    }
}

fn figure(lines: &[Vec<&Entry<'_>>], metric: Metric) -> Figure {
    let all: Vec<&Entry<'_>> = lines.concat();
    let several = distinct(all.iter().map(|e| e.scores.width)).len() > 1;
    let series = lines.iter().enumerate().map(|(n, line)| {
        let width =
            if several { format!(", width {}", count(line[0].scores.width as u64)) } else { String::new() };
        let mut points: Vec<Point> = line.iter().map(|e| point(e, metric)).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Series { name: format!("{}{width}", line[0].kind), mark: Mark::Path, tone: Tone::Colour(n), points }
    });
    let plot = Plot {
        title: format!("{} over layers", metric.label),
        x: Axis::new("layer", "", Scale::Whole),
        y: metric.axis(&all),
        series: series.collect(),
    };
    Figure { file: format!("layers-{}", metric.file), plot }
}

fn point(entry: &Entry<'_>, metric: Metric) -> Point {
    let score = (metric.of)(entry.scores);
    Point {
        x: entry.layer.map_or(f64::NAN, f64::from),
        y: score.value,
        y_interval: interval(score),
        label: entry.scores.name.clone(),
        ..Point::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::scores;

    #[test]
    fn a_line_for_each_kind_with_two_layers() {
        let all =
            [scores("0.res", 64, 5.0, 0.3), scores("2.res", 64, 5.0, 0.2), scores("2.mlp", 64, 5.0, 0.1)];
        let entries: Vec<Entry<'_>> = all.iter().map(|s| Entry::new(s, &s.site, None)).collect();
        let found = figures(&entries, &Canonical::new(&entries, None));
        assert_eq!((found.len(), found[0].plot.series.len()), (2, 1));
        let points: Vec<(f64, f64)> = found[0].plot.series[0].points.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!((found[0].plot.series[0].name.as_str(), points), ("res", vec![(0.0, 0.3), (2.0, 0.2)]));
        assert!(figures(&entries[1..], &Canonical::new(&entries[1..], None)).is_empty());
    }
}
