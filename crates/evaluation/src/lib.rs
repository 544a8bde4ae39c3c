//! Named numbers with intervals: how well do dictionaries stand in for a model's activations, on held-out text?
//!
//! One file per family of metrics, its formula, unit and n on top (docs/numerics.md §4): [`sparsity`], [`reconstruction`],
//! [`cross_entropy`]. [`evaluate`] runs the passes that feed them all; [`Scores`] is what comes out, plain data that
//! serialises with every n and every interval, and with values that are not finite in plain sight.
//!
//! [`truth`] compares features with what is known to be true of every row.
//!
//! Nothing is trained here, and outside of `truth/verdict.rs` nothing is judged: there is no "good".
//! Dimension key: `N` positions, `n` rows (non-special positions), `D` width of a site, `F` features.
#![forbid(unsafe_code)]

pub mod absorption;
mod cells;
mod collect;
pub mod columns;
pub mod comparison;
pub mod cross_entropy;
pub mod disentangling;
mod error;
mod evaluate;
pub mod examples;
pub mod halves;
pub mod judge;
mod labels;
pub mod low_precision;
mod number;
pub mod outcome;
pub mod peers;
pub mod probing;
pub mod reconstruction;
mod resume;
pub mod rules;
pub mod sample;
mod scores;
pub mod slices;
pub mod sparsity;
mod sums;
pub mod transfer;
pub mod truth;
pub mod uniformity;

pub use error::EvaluationError;
pub use evaluate::{Measured, Options, Subject, evaluate, fits, measure, measure_on};
pub use halves::halves;
pub use labels::Labels;
pub use resume::{Resume, Saved};
pub use sample::Sample;
pub use scores::{Interval, Score, Scores};
pub use slices::Slicing;
pub use sums::Sums;
