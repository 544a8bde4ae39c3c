//! What features fire at: one streaming pass over a text finds, for every feature of every dictionary at once, how often it
//! fires and where it fires most ([`contexts`]); [`excerpt`] shows such a place token by token; [`promoted`] says which next
//! tokens a feature's direction speaks for.
//!
//! Memory grows with features, not with tokens. Must not be in it: printing, training, scores.
#![forbid(unsafe_code)]

pub mod contexts;
mod error;
pub mod excerpt;
pub mod promoted;

pub use contexts::{Context, Contexts, Feature, Subject, contexts};
pub use error::AtlasError;
pub use excerpt::{Excerpt, Piece, excerpts};
pub use promoted::promoted;
