//! A dictionary inside a running model: what would the model have said, had it seen these rows instead of its own?
//!
//! [`Base`] runs a batch of windows through the untouched model once and keeps the rows at the sites that matter and the
//! streams that enter their layers. [`Base::splice`] then replaces the rows at one site, at non-special positions only, and
//! reruns nothing but the suffix: the site's own layer and those after it. Memory is bounded by the batch.
//!
//! Every suffix gives the bits that a full run with the same replacement gives. This crate measures nothing.
#![forbid(unsafe_code)]

mod base;

pub use base::{Base, Splice, rows};
