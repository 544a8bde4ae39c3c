//! A dictionary inside a running model: what would the model have said, had it seen these rows instead of its own?
//!
//! [`Base`] runs a batch of windows through the untouched model once and keeps the rows at the sites that matter and the
//! streams that enter their layers. [`Base::splice`] then replaces the rows at one site, at non-special positions only, and
//! reruns nothing but the suffix: the site's own layer and those after it. Memory is bounded by the batch.
//!
//! [`Steering`] changes rows while a model writes: single features, added to, clamped, capped or taken out, with the dictionary's
//! error kept (`intervention.rs` has the formulas). [`sweep`] measures what that buys and costs, [`candidates`] says what was likely
//! at every token.
//!
//! Every suffix gives the bits that a full run with the same replacement gives.
#![forbid(unsafe_code)]

mod base;
pub mod candidates;
mod error;
pub mod intervention;
pub mod steering;
pub mod sweep;

pub use base::{Base, Splice, rows};
pub use candidates::{Candidates, candidates};
pub use error::SpliceError;
pub use intervention::{Asked, Method, Positions};
pub use steering::{Intervention, Placed, Steering};
