//! What features fire at: one streaming pass over a text finds, for every feature of every dictionary at once, how often it
//! fires and where it fires most.
//!
//! [`contexts()`] is that for a few features that a terminal shows; [`excerpt`] shows such a place token by token; [`promoted`]
//! says which next tokens a feature's direction speaks for. An *atlas* is the same for all features, kept in a folder: [`build`]
//! makes it, [`query`] opens it and answers with [`pages`], [`search`] finds features in it, [`edit`] adds explanations, [`neuronpedia`] is another site's layout.
//!
//! Reading order: `levels`, `seen`, `together`, `truth` are what the `pass` remembers; `effects`, `neighbours` need the weights
//! only; `record`, `shard`, `rows`, `manifest` are how all is kept; `explain` says it in words.
//!
//! Memory grows with features, not with tokens. Must not be in it: printing, training, scores.
#![forbid(unsafe_code)]

pub mod build;
mod connections;
pub mod contexts;
pub mod edit;
pub mod effects;
mod error;
pub mod excerpt;
pub mod explain;
pub mod levels;
pub mod live;
pub mod manifest;
pub mod neighbours;
pub mod neuronpedia;
pub mod pages;
pub mod pass;
pub mod pieces;
pub mod promoted;
pub mod query;
pub mod record;
pub mod rows;
pub mod search;
pub mod seen;
pub mod shard;
pub mod together;
pub mod truth;

pub use contexts::{Context, Contexts, Feature, Subject, contexts};
pub use error::AtlasError;
pub use excerpt::{Excerpt, Piece, excerpts};
pub use manifest::{ATLAS, Manifest};
pub use promoted::promoted;
pub use query::{Atlas, Sort, Wanted};
pub use rows::VERSION as ROWS_VERSION;
pub use search::SearchKind;
pub use truth::Truth;
