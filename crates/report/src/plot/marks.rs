//! What is drawn inside the frame: lines with bands, points with whiskers, histograms, bars.

use super::scale::Span;
use super::{Axis, Mark, Plot, Point, Series, Tone};
use crate::number;
use std::fmt::Write;

/// The inside of a picture.
pub(super) struct Inside<'a> {
    pub(super) plot: &'a Plot,
    pub(super) x: Span,
    pub(super) y: Span,
}

impl Inside<'_> {
    /// All series, baselines first.
    pub(super) fn marks(&self) -> String {
        let grey = |s: &&(usize, &Series)| matches!(s.1.tone, Tone::Grey(_));
        let all: Vec<(usize, &Series)> = self.plot.series.iter().enumerate().collect();
        let ordered = all.iter().filter(grey).chain(all.iter().filter(|s| !grey(s)));
        ordered.map(|(nth, series)| self.series(*nth, series)).collect()
    }

    /// How many points cannot be drawn.
    pub(super) fn left_out(&self) -> usize {
        let points = |s: &Series| s.points.iter().filter(|p| !self.has(s.mark, p)).count();
        self.plot.series.iter().map(points).sum()
    }

    fn has(&self, mark: Mark, p: &Point) -> bool {
        match mark {
            Mark::Level => self.y.has(p.y),
            // An empty bin is drawn, as nothing.
            Mark::Steps => {
                p.y.is_finite() && p.x_interval.is_some_and(|(a, b)| self.x.has(a) && self.x.has(b))
            }
            _ => self.x.has(p.x) && self.y.has(p.y),
        }
    }

    fn series(&self, nth: usize, series: &Series) -> String {
        let drawn: Vec<&Point> = series.points.iter().filter(|p| self.has(series.mark, p)).collect();
        let inner = match series.mark {
            Mark::Line => self.band(&drawn) + &self.line(&drawn, series.tone, 2.0),
            Mark::Points => self.points(nth, &drawn, series),
            Mark::Path => self.line(&drawn, series.tone, 1.2) + &self.points(nth, &drawn, series),
            Mark::Steps => self.steps(&drawn, series.tone),
            Mark::Bars => self.bars(nth, &drawn, series),
            Mark::Level => drawn.iter().map(|p| self.level(p, series)).collect(),
        };
        format!("<g class=\"{}\">{inner}</g>\n", series.tone.class())
    }

    fn place(&self, p: &Point) -> (f64, f64) {
        (self.x.at(p.x), self.y.at(p.y))
    }

    fn line(&self, points: &[&Point], tone: Tone, width: f64) -> String {
        let places = points.iter().map(|p| self.place(p));
        let path: Vec<String> = places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{}/>",
            path.join(" "),
            tone.dashes()
        )
    }

    /// Between the ends of the intervals of y; a gap where one is missing.
    fn band(&self, points: &[&Point]) -> String {
        let runs = points.split(|p| p.y_interval.is_none()).filter(|run| run.len() > 1);
        let corner = |p: &Point, end: f64| format!("{:.1},{:.1}", self.x.at(p.x), self.y.at(end));
        let of = |run: &[&Point]| {
            let ends = |p: &Point| p.y_interval.unwrap_or((p.y, p.y));
            let there = run.iter().map(|p| corner(p, ends(p).0));
            let back = run.iter().rev().map(|p| corner(p, ends(p).1));
            let corners: Vec<String> = there.chain(back).collect();
            format!("<polygon points=\"{}\" fill=\"currentColor\" fill-opacity=\"0.18\"/>", corners.join(" "))
        };
        runs.map(of).collect()
    }

    fn points(&self, nth: usize, points: &[&Point], series: &Series) -> String {
        let mut out = String::new();
        for p in points {
            let (x, y) = self.place(p);
            let (dx, dy) = self.dodge(nth);
            let (x, y) = (x + dx, y + dy);
            let whiskers = self.whiskers(p, x, y);
            let (shape, said) = (series.tone.shape(x, y), self.said(p, series));
            let _ = write!(out, "<g>{said}{whiskers}{shape}</g>");
        }
        out
    }

    /// Lines over the intervals of both axes, through a place.
    fn whiskers(&self, p: &Point, x: f64, y: f64) -> String {
        let line = |x1: f64, y1: f64, x2: f64, y2: f64| {
            format!(
                "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"currentColor\" stroke-width=\"1.3\"/>"
            )
        };
        let across = p.x_interval.map(|(a, b)| line(self.x.at(a), y, self.x.at(b), y));
        let up = p.y_interval.map(|(a, b)| line(x, self.y.at(a), x, self.y.at(b)));
        across.into_iter().chain(up).collect()
    }

    /// Series stand side by side at a name; what is grey, in the middle.
    fn dodge(&self, nth: usize) -> (f64, f64) {
        let is_grey = |series: &&Series| matches!(series.tone, Tone::Grey(_));
        let coloured = |series: &[Series]| series.iter().filter(|s| !is_grey(s)).count() as f64;
        let (before, many) = (coloured(&self.plot.series[..nth]), coloured(&self.plot.series));
        let of = |axis: &Axis, span: &Span| match axis.names() {
            Some(_) if !is_grey(&&self.plot.series[nth]) => {
                (before - (many - 1.0) / 2.0) * 0.7 * span.step() / many
            }
            _ => 0.0,
        };
        (of(&self.plot.x, &self.x), of(&self.plot.y, &self.y))
    }

    /// The outline of a histogram, filled a little.
    fn steps(&self, bins: &[&Point], tone: Tone) -> String {
        let floor = self.y.at(self.y.floor());
        let mut path = String::new();
        for (i, bin) in bins.iter().enumerate() {
            let (left, right) = bin.x_interval.unwrap_or((bin.x, bin.x));
            let (left, right, top) = (self.x.at(left), self.x.at(right), self.y.at(bin.y));
            if i == 0 {
                let _ = write!(path, "M{left:.1} {floor:.1}");
            }
            let _ = write!(path, "L{left:.1} {top:.1}L{right:.1} {top:.1}");
            if i + 1 == bins.len() {
                let _ = write!(path, "L{right:.1} {floor:.1}");
            }
        }
        format!(
            "<path d=\"{path}\" fill=\"currentColor\" fill-opacity=\"0.12\" stroke=\"currentColor\" stroke-width=\"1.5\"{}/>",
            tone.dashes()
        )
    }

    fn bars(&self, nth: usize, points: &[&Point], series: &Series) -> String {
        let mut out = String::new();
        for p in points {
            let (x, y) = self.place(p);
            let (dx, dy) = self.dodge(nth);
            let (bar, x, y) = match self.plot.y.names() {
                Some(_) => (self.bar((self.x.at(self.x.floor()), x), y + dy, &self.y, true), x, y + dy),
                None => (self.bar((self.y.at(self.y.floor()), y), x + dx, &self.x, false), x + dx, y),
            };
            let _ = write!(out, "<g>{}{bar}{}</g>", self.said(p, series), self.whiskers(p, x, y));
        }
        out
    }

    /// From one end to the other, about `middle` of the axis of names.
    fn bar(&self, ends: (f64, f64), middle: f64, names: &Span, lying: bool) -> String {
        let thick = 0.6 * names.step() / self.plot.series.len() as f64;
        let (from, length) = (ends.0.min(ends.1), (ends.0 - ends.1).abs());
        let side = middle - thick / 2.0;
        let (x, y, width, height) =
            if lying { (from, side, length, thick) } else { (side, from, thick, length) };
        format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"currentColor\" fill-opacity=\"0.55\"/>"
        )
    }

    fn level(&self, p: &Point, series: &Series) -> String {
        let (left, right) = self.x.ends();
        let y = self.y.at(p.y);
        let band = p.y_interval.map(|(a, b)| {
            let (low, high) = (self.y.at(a), self.y.at(b));
            format!(
                "<rect x=\"{left:.1}\" y=\"{high:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"currentColor\" fill-opacity=\"0.15\"/>",
                right - left,
                low - high
            )
        });
        let said = self.said(p, series);
        format!(
            "<g>{said}{}<path d=\"M{left:.1} {y:.1}L{right:.1} {y:.1}\" stroke=\"currentColor\" stroke-width=\"1.5\"{}/></g>",
            band.unwrap_or_default(),
            series.tone.dashes()
        )
    }

    /// What is shown where the pointer rests: `BatchTopK, L0 20: L0 20.8 [20.1, 21.5], FVU 0.079`
    fn said(&self, p: &Point, series: &Series) -> String {
        let value = |axis: &Axis, value: f64, interval: Option<(f64, f64)>| {
            let number = match (axis.names().and_then(|names| names.get(value as usize)), interval) {
                (Some(name), _) => return name.clone(),
                (None, Some((low, high))) => number::interval(value, low, high, 3),
                (None, None) => number::significant(value, 3),
            };
            format!("{} {number}", axis.label)
        };
        let head: Vec<&str> =
            [&*series.name, &*p.label].into_iter().filter(|text| !text.is_empty()).collect();
        let x = (series.mark != Mark::Level).then(|| value(&self.plot.x, p.x, p.x_interval));
        let values: Vec<String> = x.into_iter().chain([value(&self.plot.y, p.y, p.y_interval)]).collect();
        let colon = if head.is_empty() { "" } else { ": " };
        let text = format!("{}{colon}{}", head.join(", "), values.join(", "));
        format!("<title>{}</title>", super::draw::escaped(&text))
    }
}
