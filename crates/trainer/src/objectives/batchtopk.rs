//! BatchTopK (Bussmann et al. 2024, arXiv 2412.06410): f = relu(z) of the k·N largest z of a batch, ties by lower row, then by
//! lower feature; so rows may have more or fewer than k features.
//!
//! Used alone, a row has no batch: the running mean (0.99) of each batch's smallest chosen value becomes the threshold of
//! all features, and the dictionary is released as a JumpReLU. Differs from the paper: see `topk.rs`.

/// Weight of the past in the running mean.
const MEMORY: f64 = 0.99;

/// The threshold after a batch whose smallest chosen value was `least`; it begins as the first one.
pub(crate) fn threshold(before: Option<f64>, least: f32) -> f64 {
    before.map_or(f64::from(least), |before| MEMORY * before + (1.0 - MEMORY) * f64::from(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_begins_as_the_first_and_follows_slowly() {
        assert_eq!(threshold(None, 0.5), 0.5);
        assert!((threshold(Some(0.5), 1.5) - 0.51).abs() < 1e-12);
    }
}
