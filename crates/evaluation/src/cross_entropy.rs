//! What a splice costs the model in predicting the next token; nats (natural logarithm) per target.
//!
//!   CE = −Σ ln p(target) / targets
//!   Δloss = CE(x̂ spliced in at every row) − CE
//!   loss recovered = 1 − Δloss / (CE(mean row spliced in at every row) − CE)
//!   loss recovered (zero) = 1 − Δloss / (CE(zeros spliced in at every row) − CE), other people's reference point
//!
//! A target is a token with a position before it in its window and that is not special; the one that is predicted from BOS
//! counts. Rows are the non-special positions, so the target after BOS is scored though BOS itself is never replaced.
//! Loss recovered is 1 for a perfect splice, 0 for one as bad as the mean (or zeros), and says little where ablation costs
//! little.

use lapidary_lm::{Batch, Model, Spec};

/// The targets of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// Position in the batch from which each is predicted [targets].
    pub positions: Vec<usize>,
    /// Token ids [targets].
    pub tokens: Vec<u32>,
}

impl Targets {
    /// All targets of a batch, in its order.
    pub fn of(batch: &Batch, spec: &Spec) -> Targets {
        let in_window = batch.starts.windows(2).flat_map(|span| span[0]..span[1].saturating_sub(1));
        let positions: Vec<usize> = in_window.filter(|&p| !spec.is_special(batch.tokens[p + 1])).collect();
        let tokens = positions.iter().map(|&p| batch.tokens[p + 1]).collect();
        Targets { positions, tokens }
    }

    /// −ln p of each target in nats [targets], from the stream after the last layer [N, D].
    pub fn losses(&self, model: &Model, residual: &[f32]) -> Vec<f64> {
        let d = model.spec.d_model;
        let rows: Vec<f32> = self.positions.iter().flat_map(|&p| &residual[p * d..][..d]).copied().collect();
        model.cross_entropy(&rows, &self.tokens)
    }
}

/// CE from sums.
pub fn mean_loss(sum: f64, targets: f64) -> f64 {
    sum / targets
}

/// Loss recovered from three CEs.
pub fn loss_recovered(base: f64, spliced: f64, ablated: f64) -> f64 {
    1.0 - (spliced - base) / (ablated - base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_recovered_by_hand() {
        assert_eq!(loss_recovered(1.5, 2.0, 3.5), 0.75);
        assert_eq!(loss_recovered(1.5, 1.5, 3.5), 1.0);
        assert_eq!(loss_recovered(1.5, 3.5, 3.5), 0.0);
        assert!(loss_recovered(1.5, 1.5, 1.5).is_nan());
    }
}
