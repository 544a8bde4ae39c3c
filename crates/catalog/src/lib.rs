//! A name becomes a model, a text or a dictionary: [`catalog`] looks names up in local folders and in what the program carries
//! ([`embedded`]), [`model`] opens a model with its tokenizer, [`text`] documents with their tokens; [`identity`] is what plans
//! say of both, by content, [`describe`] a model in words.
//!
//! Must not be in it: training, evaluation, the command line, the environment (folders and the device are arguments), printing
//! ([`Catalog::note`] is told what a user should know).
#![forbid(unsafe_code)]

pub mod catalog;
pub mod describe;
pub mod embedded;
mod error;
pub mod identity;
pub mod model;
pub mod text;

pub use catalog::{Catalog, expand_home};
pub use error::CatalogError;
pub use identity::TextIdentity;
pub use model::Opened;
pub use text::{Text, World};
