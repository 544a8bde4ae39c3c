//! How often features fire: histograms over the logarithm of the frequency, of canonical dictionaries. Features that never fired are
//! in no bin.

use super::{Curve, Figure, distinct, slug};
use crate::canonical::Canonical;
use crate::entry::Entry;
use lapidary_report::plot::{Axis, Mark, Plot, Point, Scale, Series, Tone};

/// Most histograms over one another, and up to how many they are drawn as steps.
const MOST: usize = 6;
const STEPS: usize = 3;

/// A picture for each kind of site; of many layers, six.
pub(crate) fn figures(entries: &[Entry<'_>], canonical: &Canonical) -> Vec<Figure> {
    let own: Vec<&Entry<'_>> = canonical.chosen.iter().map(|&n| &entries[n]).collect();
    let kinds = distinct(own.iter().map(|e| e.kind.as_str()));
    let of = |kind: &str| {
        let all: Vec<&Entry<'_>> = own.iter().filter(|e| e.kind == kind).copied().collect();
        let widest = all.iter().map(|e| e.scores.width).max();
        let own: Vec<&Entry<'_>> = all.into_iter().filter(|e| Some(e.scores.width) == widest).collect();
        let group = if own.len() == 1 { own[0].place.clone() } else { format!("all {kind}") };
        figure(&group, &spread(&own))
    };
    kinds.into_iter().map(of).collect()
}

/// Six of them, evenly.
fn spread<'e, 'a>(entries: &[&'e Entry<'a>]) -> Vec<&'e Entry<'a>> {
    let n = entries.len();
    match n > MOST {
        true => (0..MOST).map(|i| entries[i * (n - 1) / (MOST - 1)]).collect(),
        false => entries.to_vec(),
    }
}

/// One picture of these dictionaries.
pub(crate) fn figure(group: &str, entries: &[&Entry<'_>]) -> Figure {
    let mark = if entries.len() > STEPS { Mark::Line } else { Mark::Steps };
    let curves: Vec<Curve> = entries.iter().map(|e| Curve::of(e)).collect();
    let series = entries.iter().enumerate().map(|(n, e)| Series {
        name: curves[n].name(&curves),
        mark,
        tone: Tone::Colour(n),
        points: bins(e),
    });
    let plot = Plot {
        title: format!("{group}: how often features fire"),
        x: Axis::new("firing frequency", "share of rows", Scale::Log),
        y: Axis::new("features", "four bins to a decade", Scale::FromZero),
        series: series.collect(),
    };
    Figure { file: format!("firing-{}", slug(group)), plot }
}

fn bins(entry: &Entry<'_>) -> Vec<Point> {
    let histogram = &entry.scores.firing.histogram;
    let edges: Vec<f64> = histogram.log10_edges.iter().map(|&e| 10f64.powf(e)).collect();
    let bin = |(pair, &features): (&[f64], &u64)| Point {
        x: (pair[0] * pair[1]).sqrt(),
        y: features as f64,
        x_interval: Some((pair[0], pair[1])),
        label: entry.scores.name.clone(),
        ..Point::default()
    };
    edges.windows(2).zip(&histogram.features).map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::scores;

    /// Two of 64 features fire in each of 100 rows: both stand in the last bin, which ends at 1.
    #[test]
    fn every_feature_that_fired_is_in_a_bin() {
        let all: Vec<_> = (0..9).map(|l| scores(&format!("{l}.res"), 64, 5.0, 0.3)).collect();
        let entries: Vec<Entry<'_>> = all.iter().map(|s| Entry::new(s, &s.site, None)).collect();
        let found = figures(&entries, &Canonical::new(&entries, None));
        let [figure] = found.as_slice() else { panic!("one kind") };
        let names: Vec<&str> = figure.plot.series.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["layer 0", "layer 1", "layer 3", "layer 4", "layer 6", "layer 8"]);
        let last = figure.plot.series[0].points.last().expect("there are bins");
        assert_eq!((last.y, last.x_interval.map(|(_, high)| high)), (2.0, Some(1.0)));
        assert_eq!(figure.plot.series[0].points.iter().map(|p| p.y).sum::<f64>(), 2.0);
    }
}
