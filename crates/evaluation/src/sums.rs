//! What one document adds to every sum, and the metrics as functions of total sums: the form that the bootstrap resamples.
//!
//! All sums are f64 and are made in the order of the text, value by value, so they depend neither on the batch nor on the
//! number of threads.

use crate::{cross_entropy, reconstruction, sparsity};
use serde::{Deserialize, Serialize};

/// Sums over one document, or over many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Rows.
    pub rows: f64,
    /// Active features.
    pub active: f64,
    /// ‖x − x̂‖².
    pub error: f64,
    /// ‖x − μ‖², μ over all documents.
    pub variance: f64,
    /// Targets.
    pub targets: f64,
    /// −ln p of the targets, nats.
    pub base: f64,
    /// The same with x̂ spliced in.
    pub spliced: f64,
    /// The same with μ spliced in.
    pub ablated: f64,
    /// The same with zeros spliced in.
    pub zeroed: f64,
}

/// Number of metrics, M.
const METRICS: usize = 9;

/// The metrics in the order of [`Sums::metrics`].
pub(crate) struct Metrics<T> {
    pub(crate) l0: T,
    pub(crate) fvu: T,
    pub(crate) ce: T,
    pub(crate) ce_spliced: T,
    pub(crate) ce_ablated: T,
    pub(crate) ce_zero_ablated: T,
    pub(crate) delta_loss: T,
    pub(crate) loss_recovered: T,
    pub(crate) loss_recovered_zero: T,
}

impl Sums {
    /// Number of sums, K.
    pub const COUNT: usize = 9;

    /// In the order of the fields [K].
    pub fn to_array(self) -> [f64; Sums::COUNT] {
        let Sums { rows, active, error, variance, targets, base, spliced, ablated, zeroed } = self;
        [rows, active, error, variance, targets, base, spliced, ablated, zeroed]
    }

    /// The way back.
    pub fn from_slice(sums: &[f64]) -> Sums {
        let &[rows, active, error, variance, targets, base, spliced, ablated, zeroed] = sums else {
            panic!("sums [{}], found {}", Sums::COUNT, sums.len())
        };
        Sums { rows, active, error, variance, targets, base, spliced, ablated, zeroed }
    }

    pub(crate) fn metrics(self) -> Metrics<f64> {
        let ce = |sum| cross_entropy::mean_loss(sum, self.targets);
        let (base, spliced) = (ce(self.base), ce(self.spliced));
        let (ablated, zeroed) = (ce(self.ablated), ce(self.zeroed));
        Metrics {
            l0: sparsity::l0(self.active, self.rows),
            fvu: reconstruction::fvu(self.error, self.variance),
            ce: base,
            ce_spliced: spliced,
            ce_ablated: ablated,
            ce_zero_ablated: zeroed,
            delta_loss: spliced - base,
            loss_recovered: cross_entropy::loss_recovered(base, spliced, ablated),
            loss_recovered_zero: cross_entropy::loss_recovered(base, spliced, zeroed),
        }
    }
}

impl<T> Metrics<T> {
    pub(crate) fn into_array(self) -> [T; METRICS] {
        let Metrics {
            l0,
            fvu,
            ce,
            ce_spliced,
            ce_ablated,
            ce_zero_ablated,
            delta_loss,
            loss_recovered,
            loss_recovered_zero,
        } = self;
        [
            l0,
            fvu,
            ce,
            ce_spliced,
            ce_ablated,
            ce_zero_ablated,
            delta_loss,
            loss_recovered,
            loss_recovered_zero,
        ]
    }

    pub(crate) fn from_array(values: [T; METRICS]) -> Metrics<T> {
        let [
            l0,
            fvu,
            ce,
            ce_spliced,
            ce_ablated,
            ce_zero_ablated,
            delta_loss,
            loss_recovered,
            loss_recovered_zero,
        ] = values;
        Metrics {
            l0,
            fvu,
            ce,
            ce_spliced,
            ce_ablated,
            ce_zero_ablated,
            delta_loss,
            loss_recovered,
            loss_recovered_zero,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four rows, 10 actives, error 2 of 8; two targets of 1, 1.5, 3 and 2 nats.
    #[test]
    fn metrics_by_hand() {
        let sums = Sums {
            rows: 4.0,
            active: 10.0,
            error: 2.0,
            variance: 8.0,
            targets: 2.0,
            base: 2.0,
            spliced: 3.0,
            ablated: 6.0,
            zeroed: 4.0,
        };
        assert_eq!(Sums::from_slice(&sums.to_array()), sums);
        assert_eq!(sums.metrics().into_array(), [2.5, 0.25, 1.0, 1.5, 3.0, 2.0, 0.5, 0.75, 0.5]);
    }
}
