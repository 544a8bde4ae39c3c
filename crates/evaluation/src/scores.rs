//! The scores of one dictionary: plain data, every number with the n that it was measured on and its interval.
//!
//! Serialises to JSON as it stands. A value that is not finite is written as "NaN", "inf" or "-inf", and an interval that
//! could not be had gives its reason; nothing turns into `null`.

use crate::number;
use crate::peers::PeerScores;
use crate::sparsity::{Firing, Percentiles};
use lapidary_stats::NoInterval;
use serde::{Deserialize, Serialize};

/// A number with what it stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The estimate over all rows or targets.
    #[serde(with = "number")]
    pub value: f64,
    /// How many rows or targets.
    pub n: u64,
    /// 95 %, percentile bootstrap over documents.
    pub interval: Interval,
}

/// An interval, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Interval {
    /// 2.5th and 97.5th percentile, both finite.
    Known {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// No interval.
    Missing {
        /// Why.
        reason: String,
    },
}

impl From<Result<lapidary_stats::Interval, NoInterval>> for Interval {
    fn from(interval: Result<lapidary_stats::Interval, NoInterval>) -> Interval {
        match interval {
            Ok(lapidary_stats::Interval { low, high }) => Interval::Known { low, high },
            Err(NoInterval::TooFew) => {
                Interval::Missing { reason: "fewer than two documents or no resamples".into() }
            }
            Err(NoInterval::NotFinite) => {
                Interval::Missing { reason: "not finite in at least one resample".into() }
            }
        }
    }
}

/// Everything that was measured of one dictionary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// The subject's name.
    pub name: String,
    /// Where it was spliced in, `3.res`.
    pub site: String,
    /// Where it reads, if that is elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<String>,
    /// F.
    pub width: usize,
    /// D, the width of what it reads.
    pub d_in: usize,
    /// Documents that the rows come from.
    pub documents: u64,
    /// n, rows: non-special positions.
    pub rows: u64,
    /// Targets: tokens that the model was asked to predict.
    pub targets: u64,
    /// Mean active features per row.
    pub l0: Score,
    /// Percentiles of the active features per row.
    pub l0_percentiles: Percentiles,
    /// Fraction of variance unexplained.
    pub fvu: Score,
    /// The untouched model's cross-entropy, nats per target.
    pub ce: Score,
    /// With x̂ spliced in, nats per target.
    pub ce_spliced: Score,
    /// With the mean row spliced in, nats per target.
    pub ce_ablated: Score,
    /// With zeros spliced in, nats per target; none in scores that were saved before it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ce_zero_ablated: Option<Score>,
    /// CE spliced − CE, nats per target.
    pub delta_loss: Score,
    /// 1 − Δloss / (CE mean-ablated − CE).
    pub loss_recovered: Score,
    /// 1 − Δloss / (CE zero-ablated − CE), as SAELens and SAEBench have it; none where its CE is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_recovered_zero: Option<Score>,
    /// How often each feature fired.
    pub firing: Firing,
    /// The field's own numbers; none in scores that were saved before they were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<PeerScores>,
    /// How many times the documents were resampled.
    pub resamples: usize,
    /// The seed of the resampling.
    pub seed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_written_out_and_read_back() {
        let known = Score { value: 0.1, n: 3, interval: Interval::Known { low: 0.05, high: 0.2 } };
        let text = serde_json::to_string(&known).expect("plain data");
        assert_eq!(text, r#"{"value":0.1,"n":3,"interval":{"low":0.05,"high":0.2}}"#);
        assert_eq!(serde_json::from_str::<Score>(&text).expect("round trip"), known);

        for (value, written) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
            let score = Score { value, n: 0, interval: Err(NoInterval::NotFinite).into() };
            let text = serde_json::to_string(&score).expect("plain data");
            let expect = r#""n":0,"interval":{"reason":"not finite in at least one resample"}}"#;
            assert_eq!(text, format!(r#"{{"value":"{written}",{expect}"#));
            let back: Score = serde_json::from_str(&text).expect("round trip");
            assert_eq!((back.value.total_cmp(&value).is_eq(), back.interval), (true, score.interval));
        }
        assert!(
            serde_json::from_str::<Score>(r#"{"value":"?","n":0,"interval":{"low":0,"high":0}}"#).is_err()
        );
    }
}
