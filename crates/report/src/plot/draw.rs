//! The picture around the marks: title, legend, axes, and what could not be drawn.

use super::marks::Inside;
use super::scale::{Span, Tick};
use super::style::STYLE;
use super::{Mark, Plot, Series};
use std::fmt::Write;

/// Width of a picture, and of its inside if names need no room.
const WIDTH: f64 = 440.0;
/// Height of the inside, or of each name.
const HEIGHT: f64 = 220.0;
const NAME_HEIGHT: f64 = 24.0;
const LINE: f64 = 19.0;
/// Widths of a character, about: of a title of 15, of text of 13.
const WIDE: f64 = 8.2;
const NARROW: f64 = 7.1;
const RIGHT: f64 = 16.0;

/// The picture, with its style inside or not.
pub(super) fn svg(plot: &Plot, style: bool) -> String {
    let (x, y) = spans(plot);
    let (x_ticks, y_ticks) = (x.ticks(), y.ticks());
    let head = Head::of(plot);
    let left = left_of(&y_ticks);
    let top = head.height + 6.0;
    let bottom = top + inside_height(plot);
    let inside = Inside { plot, x: x.placed(left, WIDTH - RIGHT), y: down(plot, y, top, bottom) };
    let lean = leaning(&inside.x, &x_ticks);
    let below = bottom + if lean > 0.0 { lean } else { LINE };
    let notes = notes(plot, &inside);
    let height = below + LINE + 6.0 + LINE * notes.len() as f64;
    let mut out = open(plot, height, style);
    out += &head.text;
    out += &y_axis(&inside, &y_ticks, left);
    out += &x_axis(&inside, &x_ticks, top, bottom, lean > 0.0);
    out += &inside.marks();
    let frame = format!("M{left:.1} {top:.1}L{left:.1} {bottom:.1}L{:.1} {bottom:.1}", WIDTH - RIGHT);
    let _ = writeln!(out, "<path d=\"{frame}\" class=\"frame\" fill=\"none\"/>");
    out += &x_name(&plot.x.text(), (left + WIDTH - RIGHT) / 2.0, below + LINE - 4.0);
    for (n, note) in (1..).zip(&notes) {
        out += &text(8.0, below + LINE * f64::from(n + 1) - 2.0, "start", "faint", note);
    }
    out + "</svg>\n"
}

/// Both axes about all values that have a place.
fn spans(plot: &Plot) -> (Span, Span) {
    let points = || plot.series.iter().flat_map(|s| s.points.iter().map(move |p| (s.mark, p)));
    let mut x: Vec<f64> = points().filter(|(mark, _)| *mark != Mark::Level).map(|(_, p)| p.x).collect();
    let mut x_ends = Vec::new();
    for (mark, p) in points() {
        let to = if mark == Mark::Steps { &mut x } else { &mut x_ends };
        to.extend(p.x_interval.into_iter().flat_map(|(a, b)| [a, b]));
    }
    let y: Vec<f64> = points().map(|(_, p)| p.y).collect();
    let y_ends: Vec<f64> = points().filter_map(|(_, p)| p.y_interval).flat_map(|(a, b)| [a, b]).collect();
    (Span::new(&plot.x, &x, &x_ends), Span::new(&plot.y, &y, &y_ends))
}

/// Numbers grow upwards; names are read downwards.
fn down(plot: &Plot, y: Span, top: f64, bottom: f64) -> Span {
    if plot.y.names().is_some() { y.placed(top, bottom) } else { y.placed(bottom, top) }
}

fn inside_height(plot: &Plot) -> f64 {
    match plot.y.names() {
        Some(names) => NAME_HEIGHT * names.len().max(2) as f64,
        None => HEIGHT,
    }
}

/// Room for what is written left of the axis; not more than two fifths.
fn left_of(ticks: &[Tick]) -> f64 {
    let longest = ticks.iter().map(|tick| tick.text.chars().count()).max().unwrap_or(0);
    (18.0 + NARROW * longest as f64).clamp(36.0, 0.4 * WIDTH)
}

/// Room below the axis for names that stand too close to lie: they lean. 0: they lie.
fn leaning(x: &Span, ticks: &[Tick]) -> f64 {
    let longest = ticks.iter().map(|tick| tick.text.chars().count()).max().unwrap_or(0) as f64;
    let named = x.is_of_names();
    if named && NARROW * longest > x.step() - 4.0 { 14.0 + 0.64 * NARROW * longest.min(24.0) } else { 0.0 }
}

fn open(plot: &Plot, height: f64, style: bool) -> String {
    let title = escaped(&plot.title);
    let style = if style { format!("<style>{STYLE}</style>") } else { String::new() };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\">{style}\n<rect class=\"paper\" width=\"{WIDTH}\" \
         height=\"{height:.0}\"/>\n"
    )
}

/// Title, legend and the name of the vertical axis.
struct Head {
    text: String,
    height: f64,
}

impl Head {
    fn of(plot: &Plot) -> Head {
        let mut head = Head { text: String::new(), height: 4.0 };
        for line in wrapped(&plot.title, ((WIDTH - 16.0) / WIDE) as usize) {
            head.height += LINE;
            head.text += &text(8.0, head.height - 4.0, "start", "title", &line);
        }
        head.legend(plot);
        if plot.y.names().is_none() {
            head.height += LINE;
            head.text += &text(8.0, head.height - 4.0, "start", "faint", &format!("↑ {}", plot.y.text()));
        }
        head
    }

    /// Keys in as many lines as they need.
    fn legend(&mut self, plot: &Plot) {
        let named: Vec<&Series> = plot.series.iter().filter(|s| !s.name.is_empty()).collect();
        let mut x = f64::MAX;
        for series in named {
            let width = 42.0 + NARROW * series.name.chars().count() as f64;
            if x + width > WIDTH {
                (x, self.height) = (8.0, self.height + LINE);
            }
            self.text += &key(series, x, self.height - 9.0);
            self.text += &text(x + 24.0, self.height - 4.0, "start", "", &series.name);
            x += width;
        }
    }
}

/// What a series looks like, in 18 units.
fn key(series: &Series, x: f64, y: f64) -> String {
    let line = |width: f64, dashes: &str| {
        format!("<path d=\"M{x:.1} {y:.1}h18\" stroke=\"currentColor\" stroke-width=\"{width}\"{dashes}/>")
    };
    let box_of = |opacity: f64| {
        let y = y - 5.0;
        format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"18\" height=\"10\" fill=\"currentColor\" fill-opacity=\"{opacity}\"/>"
        )
    };
    let (shape, dashes) = (series.tone.shape(x + 9.0, y), series.tone.dashes());
    let inner = match series.mark {
        Mark::Line | Mark::Level => line(2.0, &dashes),
        Mark::Points => shape,
        Mark::Path => line(1.2, &dashes) + &shape,
        Mark::Steps => box_of(0.12) + &line(1.5, &dashes),
        Mark::Bars => box_of(0.55),
    };
    format!("<g class=\"{}\">{inner}</g>", series.tone.class())
}

fn y_axis(inside: &Inside<'_>, ticks: &[Tick], left: f64) -> String {
    let mut out = String::new();
    for Tick { at, text: name } in ticks {
        let y = inside.y.at(*at);
        let class = if name.is_empty() { "minor" } else { "grid" };
        let _ = write!(out, "<path d=\"M{left:.1} {y:.1}H{:.1}\" class=\"{class}\"/>", WIDTH - RIGHT);
        if !name.is_empty() {
            out += &text(left - 6.0, y + 4.5, "end", "", &shortened(name, 21));
        }
    }
    out
}

fn x_axis(inside: &Inside<'_>, ticks: &[Tick], top: f64, bottom: f64, lean: bool) -> String {
    let mut out = String::new();
    for Tick { at, text: name } in ticks {
        let x = inside.x.at(*at);
        let class = if name.is_empty() { "minor" } else { "grid" };
        let _ = write!(out, "<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" class=\"{class}\"/>");
        out += &match (name.is_empty(), lean) {
            (true, _) => String::new(),
            (false, false) => text(x, bottom + 16.0, "middle", "", name),
            (false, true) => {
                let (y, name) = (bottom + 14.0, escaped(&shortened(name, 24)));
                let turn = format!("transform=\"rotate(-40 {x:.1} {y:.1})\"");
                format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\" {turn}>{name}</text>\n")
            }
        };
    }
    out
}

/// In the middle of the axis, or as near to it as it has room.
fn x_name(name: &str, middle: f64, y: f64) -> String {
    let half = NARROW * name.chars().count() as f64 / 2.0 + 4.0;
    text(middle.min(WIDTH - half).max(half.min(WIDTH / 2.0)), y, "middle", "", name)
}

/// What a reader would not see.
fn notes(plot: &Plot, inside: &Inside<'_>) -> Vec<String> {
    let is_log = inside.x.log || inside.y.log;
    match inside.left_out() {
        0 if plot.series.iter().all(|s| s.points.is_empty()) => vec!["There are no data.".into()],
        0 => Vec::new(),
        1 if is_log => vec!["Not drawn: 1 value that is not above 0 or not a number.".into()],
        n if is_log => vec![format!("Not drawn: {n} values that are not above 0 or not numbers.")],
        1 => vec!["Not drawn: 1 value that is not a number.".into()],
        n => vec![format!("Not drawn: {n} values that are not numbers.")],
    }
}

fn text(x: f64, y: f64, anchor: &str, class: &str, text: &str) -> String {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{class}>{}</text>\n", escaped(text))
}

/// At most `most` characters.
fn shortened(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.into(),
    }
}

/// Lines of at most `most` characters, where words allow.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                *line += &format!(" {word}")
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

/// For XML and HTML, in text and in attributes.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
