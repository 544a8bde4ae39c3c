//! Plots: points with intervals in, an SVG picture and its data as CSV out.
//!
//! One form for every picture of the project: lines with bands, points with whiskers, histograms, bars by name. A picture is 440
//! units wide with text of 13, so that it is read on a phone; it follows the reader's light or dark (`prefers-color-scheme`) and
//! prints on white. Series differ by colour (Okabe and Ito's, made for colour-blind readers) and by shape or dashes as well;
//! baselines are grey. What cannot be drawn (NaN; zero on a logarithmic axis) is counted below the picture, never dropped silently.

mod csv;
mod draw;
mod marks;
mod scale;
mod style;

pub(crate) use draw::escaped;
pub use style::STYLE;

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// Above the picture; what it shows.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Drawn in this order, baselines below the others.
    pub series: Vec<Series>,
}

/// What an axis measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// `L0`
    pub label: String,
    /// `nats per target`; empty if it has none.
    pub unit: String,
    /// How values become places.
    pub scale: Scale,
}

/// How values become places on an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// As far as the data go.
    Linear,
    /// As far as the data go, and zero.
    FromZero,
    /// As far as the data go; no ticks between whole numbers.
    Whole,
    /// By the logarithm: positive values only.
    Log,
    /// The same, with ticks at the powers of two: for widths.
    Doubling,
    /// Value i is the i-th name; at most one axis is of names. Vertically the first is on top.
    Names(Vec<String>),
}

/// Values that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// In the legend, which names a series only if it is not empty.
    pub name: String,
    /// How they are drawn.
    pub mark: Mark,
    /// Of which colour.
    pub tone: Tone,
    /// The values; lines join them in this order.
    pub points: Vec<Point>,
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A line; intervals of y are a band.
    Line,
    /// Points with whiskers.
    Points,
    /// Points with whiskers, joined by a thin line.
    Path,
    /// A histogram: `x_interval` are a bin's edges, y is its height.
    Steps,
    /// A bar from zero for each, on an axis of names.
    Bars,
    /// A horizontal line across the picture at the y of each, with a band; x is not looked at.
    Level,
}

/// Of which colour a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// The n-th colour and shape; the same n in two pictures is the same thing.
    Colour(usize),
    /// Grey: what is there to be beaten. The n-th shape.
    Grey(usize),
}

/// A value, with 95 % intervals where they are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// On the horizontal axis.
    pub x: f64,
    /// On the vertical axis.
    pub y: f64,
    /// Ends of the interval of x.
    pub x_interval: Option<(f64, f64)>,
    /// Ends of the interval of y.
    pub y_interval: Option<(f64, f64)>,
    /// What it is: shown where the pointer rests, and in the CSV.
    pub label: String,
}

impl Plot {
    /// A file of its own, with its style.
    pub fn svg(&self) -> String {
        draw::svg(self, true)
    }

    /// For a page of HTML, which has [`STYLE`] in a `<style>` once.
    pub fn inline_svg(&self) -> String {
        draw::svg(self, false)
    }

    /// Every point as it is: `series,label,x,x low,x high,y,y low,y high` under the axes' names; nothing where there is no interval.
    pub fn csv(&self) -> String {
        csv::csv(self)
    }
}

impl Axis {
    /// Of a label, a unit and a scale.
    pub fn new(label: &str, unit: &str, scale: Scale) -> Axis {
        Axis { label: label.into(), unit: unit.into(), scale }
    }

    /// `Δloss, nats per target`
    fn text(&self) -> String {
        match self.unit.as_str() {
            "" => self.label.clone(),
            unit => format!("{}, {unit}", self.label),
        }
    }

    fn names(&self) -> Option<&[String]> {
        if let Scale::Names(names) = &self.scale { Some(names) } else { None }
    }
}

impl Point {
    /// Without intervals and label.
    pub fn new(x: f64, y: f64) -> Point {
        Point { x, y, ..Point::default() }
    }
}
