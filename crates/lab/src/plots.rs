//! The few kinds of plots that experiments draw, all by `lapidary_report::plot`.

use crate::report::{Plot, Value};
use lapidary_report::plot::{self, Axis, Mark, Point, Scale, Series, Tone};

/// One line of a plot by name.
pub(crate) struct Named<'a> {
    /// On the vertical axis.
    pub(crate) name: String,
    /// Where the point is, with its whiskers.
    pub(crate) value: &'a Value,
    /// Grey: there to be beaten.
    pub(crate) is_baseline: bool,
}

/// Points with whiskers, one line for each name.
pub(crate) fn by_name(name: &str, title: &str, label: &str, caption: &str, lines: &[Named<'_>]) -> Plot {
    let point = |(i, line): (usize, &Named<'_>)| Point {
        x: line.value.value,
        y: i as f64,
        x_interval: line.value.ci95.map(|[low, high]| (low, high)),
        label: line.name.clone(),
        ..Point::default()
    };
    let of =
        |baseline: bool| lines.iter().enumerate().filter(move |(_, l)| l.is_baseline == baseline).map(point);
    let series =
        |name: &str, tone, points: Vec<Point>| Series { name: name.into(), mark: Mark::Points, tone, points };
    let drawn = plot::Plot {
        title: title.into(),
        x: Axis::new(label, "", Scale::FromZero),
        y: Axis::new("", "", Scale::Names(lines.iter().map(|l| l.name.clone()).collect())),
        series: vec![
            series("trained", Tone::Colour(0), of(false).collect()),
            series("to be beaten", Tone::Grey(0), of(true).collect()),
        ]
        .into_iter()
        .filter(|s| !s.points.is_empty())
        .collect(),
    };
    Plot { name: name.into(), caption: caption.into(), svg: drawn.svg() }
}

/// A curve: a name, whether it is a baseline, and its points (x, y, interval of y).
pub(crate) struct Curve {
    /// In the legend.
    pub(crate) name: String,
    /// Grey.
    pub(crate) is_baseline: bool,
    /// Left to right.
    pub(crate) points: Vec<(f64, f64, Option<[f64; 2]>)>,
}

/// Points joined by lines; axes as (label, unit, scale).
pub(crate) fn curves(name: &str, title: &str, caption: &str, x: Axis, y: Axis, curves: &[Curve]) -> Plot {
    let (mut colours, mut greys) = (0.., 0..);
    let series = curves
        .iter()
        .map(|curve| Series {
            name: curve.name.clone(),
            mark: Mark::Path,
            tone: match curve.is_baseline {
                true => Tone::Grey(greys.next().unwrap_or(0)),
                false => Tone::Colour(colours.next().unwrap_or(0)),
            },
            points: curve
                .points
                .iter()
                .map(|&(x, y, i)| Point {
                    y_interval: i.map(|[a, b]| (a, b)),
                    label: curve.name.clone(),
                    ..Point::new(x, y)
                })
                .collect(),
        })
        .collect();
    let drawn = plot::Plot { title: title.into(), x, y, series };
    Plot { name: name.into(), caption: caption.into(), svg: drawn.svg() }
}
