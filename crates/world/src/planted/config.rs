//! The numbers of a planted dictionary, at two sizes, with their sources: SynthSAEBench-16k (arXiv 2602.14687, and the page of
//! the benchmark in the documentation of SAELens), and what is ours.

use super::normal::{exp, ln};

/// The two sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// D = 128, M = 2,048: built in a second, for every machine.
    Everyday,
    /// D = 768, M = 16,384, as published: for a GPU or a night.
    Full,
}

/// Every number of a planted dictionary. "Published" is SynthSAEBench-16k.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlantedConfig {
    /// Width of a row, D. Published: 768.
    pub d: usize,
    /// Features, M. Published: 16,384.
    pub features: usize,
    /// Trees; their features are the most frequent ones, level by level. Published: 128.
    pub roots: usize,
    /// Children of a feature, all exclusive. Published: 4.
    pub branching: usize,
    /// Levels below a root. Published: 3.
    pub depth: usize,
    /// Circles: the last 2 · `circles` features in pairs (ours).
    pub circles: usize,
    /// Rate of the first circle and of the last, even in log between (ours: at their Zipf rank few rows would show them).
    pub circle_rates: (f64, f64),
    /// Asked rate of feature i (from 0) falls as (i + 1)^−exponent. Published: 0.5.
    pub zipf_exponent: f64,
    /// Asked rate of the first feature and of the last. Published: 0.4 and 5e-4.
    pub rates: (f64, f64),
    /// Rank of the copula's correlation, R. Published: 25.
    pub correlation_rank: usize,
    /// Standard deviation of an entry of w. Published: 0.1, so that two drives correlate by about ±0.05.
    pub correlation_scale: f64,
    /// Adam steps that make the directions more orthogonal. Published: 100.
    pub orthogonal_steps: usize,
    /// Rate of these steps. Published: 3e-4.
    pub orthogonal_lr: f32,
    /// Mean magnitude of the first feature and of the last, linear between. Published: 5 and 4.
    pub magnitude_means: (f32, f32),
    /// A feature's magnitudes deviate by |N(a, b²)|, drawn once: (a, b). Published: (0.5, 0.5).
    pub magnitude_spread: (f32, f32),
    /// No magnitude is smaller (ours).
    pub least_magnitude: f32,
    /// Norm of the bias. Published: 0.5.
    pub bias_norm: f32,
}

impl Size {
    /// The numbers of this size. The everyday twin keeps the published ones but for D, M, roots and circles.
    pub fn config(self) -> PlantedConfig {
        let (d, features, roots, circles) = match self {
            Size::Everyday => (128, 2_048, 16, 8),
            Size::Full => (768, 16_384, 128, 32),
        };
        PlantedConfig {
            d,
            features,
            roots,
            branching: 4,
            depth: 3,
            circles,
            circle_rates: (0.05, 0.005),
            zipf_exponent: 0.5,
            rates: (0.4, 5e-4),
            correlation_rank: 25,
            correlation_scale: 0.1,
            orthogonal_steps: 100,
            orthogonal_lr: 3e-4,
            magnitude_means: (5.0, 4.0),
            magnitude_spread: (0.5, 0.5),
            least_magnitude: 0.1,
            bias_norm: 0.5,
        }
    }
}

impl PlantedConfig {
    /// Features that have children; feature f of them has children `children(f)`.
    pub fn parents(&self) -> usize {
        (0..self.depth).map(|level| self.roots * self.branching.pow(level as u32)).sum()
    }

    /// Features in trees: 0 .. tree_features(), level by level.
    pub fn tree_features(&self) -> usize {
        self.roots + self.branching * self.parents()
    }

    /// The children of a feature below `parents()`.
    pub fn children(&self, parent: usize) -> std::ops::Range<usize> {
        let first = self.roots + self.branching * parent;
        first..first + self.branching
    }

    /// The first of the 2 · circles features on circles.
    pub(super) fn first_circle(&self) -> usize {
        self.features - 2 * self.circles
    }

    /// Rate asked for feature i by the Zipf law, stretched to meet both ends.
    pub(super) fn zipf(&self, i: usize) -> f64 {
        let power = |rank: usize| exp(-self.zipf_exponent * ln(rank as f64));
        let last = power(self.features);
        self.rates.1 + (self.rates.0 - self.rates.1) * (power(i + 1) - last) / (1.0 - last)
    }

    /// Rate of both features of a circle.
    pub(super) fn circle_rate(&self, circle: usize) -> f64 {
        let (first, last) = self.circle_rates;
        let along = circle as f64 / (self.circles.max(2) - 1) as f64;
        first * exp(along * ln(last / first))
    }

    /// Panics if the numbers contradict each other.
    pub(super) fn check(&self) {
        let needed = self.tree_features() + 2 * self.circles;
        assert!(
            needed <= self.features,
            "trees and circles need {needed} features, there are {}",
            self.features
        );
        assert!(self.roots >= 1 && self.branching >= 1 && self.d >= 2, "empty dictionary");
        assert!(0.0 < self.rates.1 && self.rates.1 <= self.rates.0 && self.rates.0 < 1.0, "rates");
    }
}
