//! What a run becomes for others: [`evaluate`] scores its dictionaries, [`file`] is `evaluation.json`, [`release`] the folder that
//! people load, with its [`cards`], which [`verify`] looks at again; [`rows`] are scores as lines of tables, [`showcase`] features
//! with examples; [`words`] are what tables say of a plan, [`describe`] a plan and its cost before it is run.
//!
//! Must not be in it: training, the command line, printing.
#![forbid(unsafe_code)]

pub mod atlas;
pub mod cards;
pub mod describe;
mod error;
pub mod evaluate;
pub mod features;
pub mod file;
pub mod release;
pub mod rows;
pub mod showcase;
pub mod verify;
pub mod words;

pub use error::ReleaseError;
pub use evaluate::evaluate;
pub use file::{EvaluationFile, Foreign, Scored};
pub use release::Release;
