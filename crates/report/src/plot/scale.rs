//! From values to places along an axis, and the ticks that a reader expects there.

use super::{Axis, Scale};
use crate::number;

/// An axis from one place of the picture to another.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) log: bool,
    whole: bool,
    doubling: bool,
    names: Vec<String>,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

/// A line of the grid.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    /// Empty between those that are written.
    pub(super) text: String,
}

/// Interval ends widen a logarithmic axis by this factor at most; beyond it they run into the edge.
const FURTHEST: f64 = 10.0;

impl Span {
    /// About the `values`, and the ends of intervals as far as they do not dwarf these.
    pub(super) fn new(axis: &Axis, values: &[f64], ends: &[f64]) -> Span {
        let (whole, doubling) = (axis.scale == Scale::Whole, axis.scale == Scale::Doubling);
        let log = doubling || axis.scale == Scale::Log;
        let names = axis.names().map(<[String]>::to_vec).unwrap_or_default();
        let drawn = |x: &&f64| x.is_finite() && !(log && **x <= 0.0);
        let range = |all: &[f64]| {
            all.iter().filter(drawn).fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)))
        };
        let (mut low, mut high) = range(values);
        if low > high {
            (low, high) = if log { (0.1, 1.0) } else { (0.0, 1.0) };
        }
        let (end_low, end_high) = range(ends);
        if end_low <= end_high {
            let (least, most) = if log { (low / FURTHEST, high * FURTHEST) } else { (f64::MIN, f64::MAX) };
            (low, high) = (low.min(end_low.max(least)), high.max(end_high.min(most)));
        }
        let (low, high) = match &axis.scale {
            Scale::Names(names) => (-0.5, names.len().max(1) as f64 - 0.5),
            Scale::Log | Scale::Doubling => wide_log(low, high),
            Scale::Linear | Scale::Whole => wide(low, high),
            Scale::FromZero => wide_from_zero(low, high),
        };
        Span { log, whole, doubling, names, low, high, from: 0.0, to: 1.0 }
    }

    /// Between these places.
    pub(super) fn placed(self, from: f64, to: f64) -> Span {
        Span { from, to, ..self }
    }

    /// Place of a value; beyond the ends it is an end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = match self.log {
            true => (value.max(self.low).ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
            false => (value - self.low) / (self.high - self.low),
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Can a value be drawn?
    pub(super) fn has(&self, value: f64) -> bool {
        value.is_finite() && !(self.log && value <= 0.0)
    }

    /// Distance of two names, or of the whole axis.
    pub(super) fn step(&self) -> f64 {
        (self.to - self.from).abs() / (self.high - self.low)
    }

    /// Its two ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    /// Names instead of numbers?
    pub(super) fn is_of_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// Where bars begin.
    pub(super) fn floor(&self) -> f64 {
        if self.log { self.low } else { 0f64.clamp(self.low, self.high) }
    }

    pub(super) fn ticks(&self) -> Vec<Tick> {
        if !self.names.is_empty() {
            return self
                .names
                .iter()
                .enumerate()
                .map(|(i, n)| Tick { at: i as f64, text: n.clone() })
                .collect();
        }
        match self.log {
            true if self.doubling => doubling_ticks(self.low, self.high),
            true => log_ticks(self.low, self.high),
            false => linear_ticks(self.low, self.high, if self.whole { 1.0 } else { 0.0 }),
        }
    }
}

/// With a margin, so that no point lies on the frame.
fn wide(low: f64, high: f64) -> (f64, f64) {
    let margin = match high - low {
        0.0 if low == 0.0 => 0.5,
        0.0 => 0.1 * low.abs(),
        range => 0.05 * range,
    };
    (low - margin, high + margin)
}

fn wide_from_zero(low: f64, high: f64) -> (f64, f64) {
    let (low, high) = (low.min(0.0), high.max(0.0));
    let margin = if high > low { 0.05 * (high - low) } else { 1.0 };
    (if low < 0.0 { low - margin } else { 0.0 }, if high > 0.0 || low == 0.0 { high + margin } else { 0.0 })
}

fn wide_log(low: f64, high: f64) -> (f64, f64) {
    let margin = if high > low { (high / low).powf(0.05) } else { 1.5 };
    (low / margin, high * margin)
}

/// Four to seven multiples of 1, 2 or 5 times a power of ten; fewer where they are not to be nearer than `least`.
fn linear_ticks(low: f64, high: f64, least: f64) -> Vec<Tick> {
    let raw = ((high - low) / 6.0).max(least);
    let power = 10f64.powf(raw.log10().floor());
    let step = power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= raw).unwrap_or(10.0);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let first = (low / step).ceil() as i64;
    (first..=first + 20)
        .map(|i| i as f64 * step)
        .take_while(|&at| at <= high * (1.0 + 1e-12))
        .map(|at| Tick { at, text: plain(at, decimals) })
        .collect()
}

fn plain(x: f64, decimals: usize) -> String {
    match x.abs() {
        0.0 => "0".into(),
        a if a >= 1e7 || decimals > 5 => number::significant(x, 2),
        a if a >= 1e3 && decimals == 0 => {
            let sign = if x < 0.0 { "−" } else { "" };
            format!("{sign}{}", number::count(a.round() as u64))
        }
        _ => format!("{x:.decimals$}").replace('-', "−"),
    }
}

/// Powers of ten on an axis up to which there are lines between them.
const MINOR: usize = 4;

/// Powers of ten; where fewer than three lie there, twice and five times them too; in less than that, as on a linear axis.
fn log_ticks(low: f64, high: f64) -> Vec<Tick> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let inside = |x: f64| (low..=high).contains(&x);
    let powers = (first..=last).filter(|&e| inside(10f64.powi(e))).count();
    let written: &[u32] = if powers >= 3 { &[1] } else { &[1, 2, 5] };
    let every = powers.div_ceil(7).max(1) as i32;
    let small = (first..=last).any(|e| inside(10f64.powi(e)) && !(-3..=4).contains(&e));
    let mut ticks = Vec::new();
    for e in first..=last {
        let digits = if powers > MINOR { 1..2 } else { 1..10u32 };
        for digit in digits.filter(|&digit| inside(f64::from(digit) * 10f64.powi(e))) {
            let is_written = written.contains(&digit) && e.rem_euclid(every) == 0;
            let text = if is_written { power(digit, e, small) } else { String::new() };
            ticks.push(Tick { at: f64::from(digit) * 10f64.powi(e), text });
        }
    }
    let many = ticks.iter().filter(|tick| !tick.text.is_empty()).count();
    if many < 3 { linear_ticks(low, high, 0.0) } else { ticks }
}

/// Powers of two, every second or third if there are many.
fn doubling_ticks(low: f64, high: f64) -> Vec<Tick> {
    let (first, last) = (low.log2().ceil() as i32, high.log2().floor() as i32);
    let every = ((last - first + 1) / 7 + 1).max(1) as usize;
    let exponents = (first..=last).step_by(every);
    exponents
        .map(|e| 2f64.powi(e))
        .map(|at| Tick { at, text: plain(at, if at < 1.0 { 3 } else { 0 }) })
        .collect()
}

/// `0.02`, or `2·10⁻²`
fn power(digit: u32, exponent: i32, as_power: bool) -> String {
    let decimals = (-exponent).max(0) as usize;
    match (as_power, digit) {
        (false, _) => plain(f64::from(digit) * 10f64.powi(exponent), decimals),
        (true, 1) => format!("10{}", superscript(exponent)),
        (true, _) => format!("{digit}·10{}", superscript(exponent)),
    }
}

fn superscript(n: i32) -> String {
    let high = |c: char| match c {
        '-' => '⁻',
        digit => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize - '0' as usize],
    };
    n.to_string().chars().map(high).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.text.as_str()).filter(|text| !text.is_empty()).collect()
    }

    #[test]
    fn ticks_are_round_numbers_inside() {
        assert_eq!(written(&linear_ticks(0.0, 1.05, 0.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(written(&linear_ticks(-0.13, 0.42, 0.0)), ["−0.1", "0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(written(&linear_ticks(0.0, 9300.0, 0.0)), ["0", "2,000", "4,000", "6,000", "8,000"]);
        assert_eq!(written(&linear_ticks(-0.1, 2.1, 1.0)), ["0", "1", "2"]);
        assert_eq!(written(&log_ticks(0.8, 1200.0)), ["1", "10", "100", "1,000"]);
        assert_eq!(written(&log_ticks(3.0, 60.0)), ["5", "10", "20", "50"]);
        assert_eq!(written(&log_ticks(2e-6, 1.5)), ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰"]);
        assert_eq!(written(&doubling_ticks(200.0, 2100.0)), ["256", "512", "1,024", "2,048"]);
        assert_eq!(written(&log_ticks(0.031, 0.047)), ["0.035", "0.040", "0.045"]);
    }

    /// Halfway in the logarithm of 1…100 is 10; a place beyond the ends is an end.
    #[test]
    fn places_follow_the_scale() {
        let axis = Axis::new("x", "", Scale::Log);
        let span = Span { low: 1.0, high: 100.0, ..Span::new(&axis, &[1.0], &[]).placed(50.0, 250.0) };
        assert!((span.at(10.0) - 150.0).abs() < 1e-9);
        assert_eq!((span.at(1e9), span.at(0.0)), (250.0, 50.0));
        assert!(!span.has(0.0) && !span.has(f64::NAN) && span.has(1e-9));
    }

    #[test]
    fn an_interval_does_not_dwarf_the_values_of_a_log_axis() {
        let span = Span::new(&Axis::new("x", "", Scale::Log), &[1.0, 2.0], &[1e-9, 3.0, -1.0]);
        assert!(span.low > 0.05 && span.low < 0.1 && span.high > 3.0 && span.high < 5.0, "{span:?}");
    }
}
