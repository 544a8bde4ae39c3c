//! Better, worse or not separable: the verdict on a comparison, apart from what measured it.
//!
//! a is *better* than b iff the 95 % interval of the difference excludes 0, p is below [`Lines::p`], and the difference, counted so
//! that positive is in favour of a, is at least [`Lines::margin`]; *worse* the other way round. Else they are *not separable*,
//! also where there is no interval or a number is not finite.

use crate::Interval;
use crate::comparison::Comparison;
use serde::{Deserialize, Serialize};

/// Where the lines are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lines {
    /// p from which a difference is not told from chance; 0.05 is usual.
    pub p: f64,
    /// The least difference that counts, in the unit of the metric; 0 is usual.
    pub margin: f64,
}

impl Lines {
    /// The usual ones.
    pub fn standard() -> Lines {
        Lines { p: 0.05, margin: 0.0 }
    }
}

/// Of the first against the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The first is better.
    Better,
    /// The second is.
    Worse,
    /// Neither can be said.
    NotSeparable,
}

impl Outcome {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Better => "better",
            Outcome::Worse => "worse",
            Outcome::NotSeparable => "not separable",
        }
    }
}

/// The outcome with what it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Which.
    pub outcome: Outcome,
    /// By how much, in the unit of the metric; positive is in favour of the first.
    #[serde(with = "crate::number")]
    pub margin: f64,
    /// Two-sided.
    pub p: f64,
}

/// The verdict on a metric of which less or more is better.
pub fn judge(comparison: &Comparison, lines: Lines) -> Judged {
    let favour =
        if comparison.metric.less_is_better() { -comparison.difference } else { comparison.difference };
    judge_difference(favour, &comparison.interval, comparison.p, lines)
}

/// The same of any difference: `favour` is positive where the first is better; the interval may have either sign.
pub fn judge_difference(favour: f64, interval: &Interval, p: f64, lines: Lines) -> Judged {
    let excludes_zero = matches!(interval, Interval::Known { low, high } if *low > 0.0 || *high < 0.0);
    let is_told = excludes_zero && p < lines.p && favour.abs() >= lines.margin;
    let outcome = match (is_told, favour > 0.0) {
        (false, _) => Outcome::NotSeparable,
        (true, true) => Outcome::Better,
        (true, false) => Outcome::Worse,
    };
    Judged { outcome, margin: favour, p }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Metric;

    fn comparison(metric: Metric, difference: f64, (low, high): (f64, f64), p: f64) -> Comparison {
        let interval = Interval::Known { low, high };
        Comparison { metric, a: 0.0, b: 0.0, difference, interval, p, n: 9, levels: vec![] }
    }

    #[test]
    fn every_side_of_every_line() {
        let judged = |c: Comparison| judge(&c, Lines { p: 0.05, margin: 0.1 }).outcome;
        let fvu = |difference, interval, p| judged(comparison(Metric::Fvu, difference, interval, p));
        assert_eq!(fvu(-0.2, (-0.3, -0.1), 0.01), Outcome::Better);
        assert_eq!(fvu(0.2, (0.1, 0.3), 0.01), Outcome::Worse);
        assert_eq!(fvu(-0.2, (-0.3, 0.0), 0.01), Outcome::NotSeparable);
        assert_eq!(fvu(-0.2, (-0.3, -0.1), 0.05), Outcome::NotSeparable);
        assert_eq!(fvu(-0.09, (-0.3, -0.01), 0.01), Outcome::NotSeparable);
        assert_eq!(fvu(f64::NAN, (0.1, 0.2), 0.01), Outcome::NotSeparable);
        assert_eq!(judged(comparison(Metric::LossRecovered, 0.2, (0.1, 0.3), 0.01)), Outcome::Better);
        let missing = Interval::Missing { reason: "x".into() };
        let none = judge_difference(1.0, &missing, 0.0, Lines::standard());
        assert_eq!((none.outcome, none.margin), (Outcome::NotSeparable, 1.0));
    }
}
