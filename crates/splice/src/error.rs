//! Why a model cannot be steered as it is asked: what was expected, what was found, what to do next.

use lapidary_lm::LmError;

/// An intervention that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SpliceError {
    /// The prompt or the sampling.
    #[error(transparent)]
    Model(#[from] LmError),
    /// Not of the form of an intervention.
    #[error(
        "{found}: expected SOURCE/INDEX:METHOD:STRENGTH, such as 2.res-width1024/17:clamp:30, or SOURCE/INDEX:ablate"
    )]
    Asked {
        /// As written.
        found: String,
    },
    /// No such method.
    #[error("method: expected add, clamp, cap, orthogonal or ablate, found `{found}`")]
    Method {
        /// As written.
        found: String,
    },
    /// No such set of positions.
    #[error("positions: expected all, prompt or answer, found `{found}`")]
    Positions {
        /// As written.
        found: String,
    },
    /// A feature beyond the dictionary's.
    #[error("{name}: expected a feature from 0 to {}, found {found}", .features.saturating_sub(1))]
    Feature {
        /// The dictionary.
        name: String,
        /// How many it has.
        features: usize,
        /// What was asked for.
        found: usize,
    },
    /// A decoder row without a direction.
    #[error(
        "{name}/{feature}: the feature's decoder row is the zero vector, so that it has no direction to steer along; choose a \
         feature that fires"
    )]
    ZeroVector {
        /// The dictionary.
        name: String,
        /// The feature.
        feature: usize,
    },
    /// A strength that is no number.
    #[error("{name}/{feature}: expected a finite strength, found {found}")]
    Strength {
        /// The dictionary.
        name: String,
        /// The feature.
        feature: usize,
        /// As given.
        found: f32,
    },
    /// A dictionary of another model or site.
    #[error("{name}: expected a dictionary {expected}, found {found}; check its model and site")]
    Width {
        /// The dictionary.
        name: String,
        /// Sites and widths of the model.
        expected: String,
        /// Widths of the dictionary.
        found: String,
    },
    /// Without errors, two reconstructions of one site.
    #[error(
        "{first} and {second} both reconstruct {site}; without their errors only one can: keep the errors, or steer one of them"
    )]
    TwoReconstructions {
        /// A dictionary.
        first: String,
        /// Another one.
        second: String,
        /// What both write.
        site: String,
    },
}
