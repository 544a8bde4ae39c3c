//! L0 against FVU and against Δloss: a picture for each kind of site if its curves can be told apart there, else for each site.

use super::{CURVES, Curve, DELTA_LOSS, FVU, Figure, Metric, distinct, interval, l0_axis, slug};
use crate::entry::Entry;
use lapidary_report::plot::{Mark, Plot, Point, Series, Tone};

/// All pictures, those of a group side by side.
pub(crate) fn figures(entries: &[Entry<'_>]) -> Vec<Figure> {
    let kinds = distinct(entries.iter().map(|e| e.kind.as_str()));
    kinds.into_iter().flat_map(|kind| of_kind(kind, entries)).collect()
}

fn of_kind(kind: &str, entries: &[Entry<'_>]) -> Vec<Figure> {
    let own: Vec<&Entry<'_>> = entries.iter().filter(|e| e.kind == kind).collect();
    let places = distinct(own.iter().map(|e| e.place.as_str()));
    let curves = curves(&own);
    let lines = own.iter().filter(|e| e.baseline.is_none()).count() > curves.len();
    match places.as_slice() {
        [place] => pair(place, &own),
        _ if curves.len() > CURVES && lines => {
            let of = |place: &&str| -> Vec<&Entry<'_>> {
                own.iter().filter(|e| e.place == **place).copied().collect()
            };
            places.iter().flat_map(|place| pair(place, &of(place))).collect()
        }
        _ => pair(&format!("all {kind}"), &own),
    }
}

fn curves(entries: &[&Entry<'_>]) -> Vec<Curve> {
    distinct(entries.iter().filter(|e| e.baseline.is_none()).map(|e| Curve::of(e)))
}

fn pair(group: &str, entries: &[&Entry<'_>]) -> Vec<Figure> {
    [FVU, DELTA_LOSS].map(|metric| figure(group, entries, metric)).into()
}

/// One picture of a group of entries.
pub(crate) fn figure(group: &str, entries: &[&Entry<'_>], metric: Metric) -> Figure {
    let plot = Plot {
        title: format!("{group}: L0 against {}", metric.label),
        x: l0_axis(entries),
        y: metric.axis(entries),
        series: series(entries, metric),
    };
    Figure { file: format!("pareto-{}-{}", slug(group), metric.file), plot }
}

/// The curves, then the baselines in grey. Too many curves are told apart without their layers.
fn series(entries: &[&Entry<'_>], metric: Metric) -> Vec<Series> {
    let own: Vec<&&Entry<'_>> = entries.iter().filter(|e| e.baseline.is_none()).collect();
    let of = |e: &Entry<'_>, layers: bool| Curve { layer: e.layer.filter(|_| layers), ..Curve::of(e) };
    let layers = curves(entries).len() <= CURVES;
    let curves = distinct(own.iter().map(|e| of(e, layers)));
    let curve = |(n, curve): (usize, &Curve)| {
        let points: Vec<&Entry<'_>> = own.iter().filter(|e| of(e, layers) == *curve).map(|e| **e).collect();
        let mark = if layers && points.len() > 1 { Mark::Path } else { Mark::Points };
        let points = by_l0(points, metric);
        Series { name: curve.name(&curves), mark, tone: Tone::Colour(n), points }
    };
    let names = distinct(entries.iter().filter_map(|e| e.baseline.as_deref()));
    let baseline = |(n, name): (usize, &&str)| {
        let points = entries.iter().filter(|e| e.baseline.as_deref() == Some(*name)).copied().collect();
        let points = by_l0(points, metric);
        Series { name: (*name).into(), mark: Mark::Points, tone: Tone::Grey(n), points }
    };
    let curves = curves.iter().enumerate().map(curve);
    curves.chain(names.iter().enumerate().map(baseline)).collect()
}

fn by_l0(mut entries: Vec<&Entry<'_>>, metric: Metric) -> Vec<Point> {
    entries.sort_by(|a, b| a.scores.l0.value.total_cmp(&b.scores.l0.value));
    let point = |e: &&Entry<'_>| {
        let (x, y) = (&e.scores.l0, (metric.of)(e.scores));
        Point {
            x: x.value,
            y: y.value,
            x_interval: interval(x),
            y_interval: interval(y),
            label: e.scores.name.clone(),
        }
    };
    entries.iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::scores;

    fn entries(all: &[lapidary_evaluation::Scores]) -> Vec<Entry<'_>> {
        all.iter().map(|s| Entry::new(s, &s.site, None)).collect()
    }

    /// Two layers of two dictionaries each are two lines in one picture; eight layers of two are eight pictures, of one they are one.
    #[test]
    fn as_many_pictures_as_can_be_read() {
        let two: Vec<_> = [("1.res", 4.0), ("1.res", 2.0), ("2.res", 4.0), ("2.res", 2.0)]
            .map(|(site, l0)| scores(site, 64, l0, 1.0 / l0))
            .into();
        let figures_of_two = figures(&entries(&two));
        let files: Vec<&str> = figures_of_two.iter().map(|f| f.file.as_str()).collect();
        assert_eq!(files, ["pareto-all-res-fvu", "pareto-all-res-delta-loss"]);
        let [first, second] = figures_of_two[0].plot.series.as_slice() else { panic!("two lines") };
        assert_eq!(
            (first.name.as_str(), second.name.as_str(), first.mark),
            ("layer 1", "layer 2", Mark::Path)
        );
        // A line goes from the sparsest on.
        assert_eq!(first.points.iter().map(|p| (p.x, p.y)).collect::<Vec<_>>(), [(2.0, 0.5), (4.0, 0.25)]);
        let eight = |each: &[f64]| -> Vec<_> {
            let of = |layer: usize| each.iter().map(move |&l0| scores(&format!("{layer}.res"), 64, l0, 0.1));
            (0..8).flat_map(of).collect()
        };
        assert_eq!(figures(&entries(&eight(&[2.0, 4.0]))).len(), 16);
        let one = eight(&[2.0]);
        let one = figures(&entries(&one));
        assert_eq!((one.len(), one[0].plot.series.len(), one[0].plot.series[0].points.len()), (2, 1, 8));
    }

    #[test]
    fn baselines_are_grey() {
        let all = [scores("1.res", 64, 4.0, 0.1), scores("1.res", 64, 40.0, 0.3)];
        let mut entries = entries(&all);
        entries[1].baseline = Some("frozen decoder".into());
        let figures = figures(&entries);
        let tones: Vec<Tone> = figures[0].plot.series.iter().map(|s| s.tone).collect();
        assert_eq!(tones, [Tone::Colour(0), Tone::Grey(0)]);
        assert_eq!(figures[0].plot.title, "1.res: L0 against FVU");
    }
}
