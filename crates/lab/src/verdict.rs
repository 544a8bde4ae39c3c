//! Who won: the only file that judges. Nothing is measured here.
//!
//! A *gap* is the difference between what was tried and what must be beaten, one per seed on the same rows, turned so that more is better. It
//! is *better* or *worse* iff its 95 % interval (Student's over seeds, joined with the error of sampling) does not hold 0, else
//! *not separable*; *invalid* if a check of the measurement itself failed, whatever the gap.

use crate::report::{Value, mean_and_error};
use crate::student::{quantile_95, two_sided_p};
use serde::Serialize;
use std::fmt;

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What was tried is better than what it is compared with.
    Better,
    /// It is worse.
    Worse,
    /// Nobody can say.
    Inseparable,
    /// The measurement is not to be believed.
    Invalid,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Better => "better",
            Outcome::Worse => "worse",
            Outcome::Inseparable => "not separable",
            Outcome::Invalid => "invalid",
        })
    }
}

/// A claim, judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What is claimed: "A finds more than B".
    pub claim: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The mean gap; more is better.
    pub margin: f64,
    /// Its 95 % interval, if it has one.
    pub ci95: Option<[f64; 2]>,
    /// P of a gap as large, if there is none; none without an interval.
    pub p: Option<f64>,
    /// The gap that was hoped for before the first run.
    pub pass_line: Option<f64>,
    /// Does the mean gap reach it, on a valid measurement that is better?
    pub passed: Option<bool>,
    /// Why it is invalid.
    pub reasons: Vec<String>,
}

/// A gap by seed, and the error of sampling that all seeds share (0: not known).
#[derive(Clone, Debug)]
pub struct Gap {
    /// More is better.
    pub by_seed: Vec<f64>,
    /// Standard error.
    pub sampling: f64,
}

/// Judges one claim; `objections` are failed checks of the measurement.
pub fn judge(claim: &str, gap: &Gap, pass_line: Option<f64>, objections: &[String]) -> Verdict {
    let (margin, error, dof) = mean_and_error(&gap.by_seed, gap.sampling);
    let half = error.map(|e| quantile_95(dof) * e);
    let outcome = match half {
        _ if !objections.is_empty() || !margin.is_finite() => Outcome::Invalid,
        Some(half) if margin > half => Outcome::Better,
        Some(half) if -margin > half => Outcome::Worse,
        _ => Outcome::Inseparable,
    };
    let nothing = || "the gap is not a number".to_string();
    let reasons = if margin.is_finite() { objections.to_vec() } else { vec![nothing()] };
    Verdict {
        claim: claim.into(),
        outcome,
        margin,
        ci95: half.map(|half| [margin - half, margin + half]),
        p: error
            .map(|e| if e > 0.0 { two_sided_p(margin / e, dof) } else { f64::from(u8::from(margin == 0.0)) }),
        pass_line,
        passed: pass_line.map(|line| outcome == Outcome::Better && margin >= line),
        reasons,
    }
}

/// Does a number reach a line? *Better*: its whole interval lies above it (without an interval, itself); *worse*: below.
pub fn reaches(claim: &str, value: &Value, line: f64, objections: &[String]) -> Verdict {
    let [low, high] = value.ci95.unwrap_or([value.value; 2]);
    let outcome = match () {
        () if !objections.is_empty() || !value.value.is_finite() => Outcome::Invalid,
        () if low >= line => Outcome::Better,
        () if high < line => Outcome::Worse,
        () => Outcome::Inseparable,
    };
    Verdict {
        claim: claim.into(),
        outcome,
        margin: value.value - line,
        ci95: value.ci95.map(|[low, high]| [low - line, high - line]),
        p: None,
        pass_line: Some(0.0),
        passed: Some(outcome != Outcome::Invalid && value.value >= line),
        reasons: objections.to_vec(),
    }
}

/// The same for a number that should be small.
pub fn stays_below(claim: &str, value: &Value, line: f64, objections: &[String]) -> Verdict {
    let turned =
        Value { value: -value.value, ci95: value.ci95.map(|[low, high]| [-high, -low]), ..value.clone() };
    reaches(claim, &turned, -line, objections)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(by_seed: &[f64], sampling: f64, objections: &[String]) -> Outcome {
        judge("", &Gap { by_seed: by_seed.to_vec(), sampling }, None, objections).outcome
    }

    /// 0.3, 0.31, 0.32: standard error 0.0058, half of the interval 0.025. With a sampling error of 0.2 it is 0.39 and more.
    #[test]
    fn a_gap_is_judged_by_its_interval() {
        assert_eq!(of(&[0.3, 0.31, 0.32], 0.0, &[]), Outcome::Better);
        assert_eq!(of(&[-0.3, -0.31, -0.32], 0.0, &[]), Outcome::Worse);
        assert_eq!(of(&[0.3, 0.31, 0.32], 0.2, &[]), Outcome::Inseparable);
        assert_eq!(of(&[0.3, -0.1, 0.32], 0.0, &[]), Outcome::Inseparable);
        assert_eq!(of(&[0.3], 0.0, &[]), Outcome::Inseparable, "one seed says nothing");
        assert_eq!(of(&[0.3, 0.31, 0.32], 0.0, &["oracle".into()]), Outcome::Invalid);
        assert_eq!(of(&[f64::NAN, 1.0], 0.0, &[]), Outcome::Invalid);
    }

    #[test]
    fn a_pass_line_needs_a_gap_that_is_better() {
        let verdict =
            |line| judge("", &Gap { by_seed: vec![0.3, 0.31, 0.32], sampling: 0.0 }, Some(line), &[]).passed;
        assert_eq!((verdict(0.2), verdict(0.5)), (Some(true), Some(false)));
    }

    #[test]
    fn a_line_is_reached_by_the_whole_interval() {
        let value = Value::new(&[0.90, 0.91, 0.92], 0.0, 5);
        assert_eq!(reaches("", &value, 0.8, &[]).outcome, Outcome::Better);
        assert_eq!(reaches("", &value, 0.9, &[]).outcome, Outcome::Inseparable);
        assert_eq!(reaches("", &value, 0.95, &[]).outcome, Outcome::Worse);
        assert_eq!(stays_below("", &value, 0.95, &[]).outcome, Outcome::Better);
    }
}
