//! What a run becomes for others: [`evaluate`] scores its dictionaries, [`file`] is `evaluation.json`, with what [`metrics`]
//! names beside the scores, [`release`] the folder that people load, with its [`cards`], which [`verify`] looks at again and
//! [`recompute`] measures again; [`report`] is the page of pictures, [`figures`] of what a run's [`entry`]s say, with the
//! [`canonical`] choice; [`rows`] are scores as lines of tables, [`tables`] all that was measured beside them, [`transfer`] on another model, [`showcase`] features
//! with examples, [`explain`] what an atlas says of each; [`words`] are what tables say of a plan, [`describe`] a plan and its cost before it is run.
//!
//! Must not be in it: training, the command line, printing.
#![forbid(unsafe_code)]

mod agreement;
pub mod atlas;
pub mod canonical;
pub mod cards;
pub mod cost;
pub mod describe;
pub mod endpoint;
pub mod entry;
mod error;
pub mod evaluate;
pub mod explain;
pub mod features;
pub mod figures;
pub mod file;
mod judging;
pub mod labels;
mod measure;
pub mod metrics;
mod pairs;
mod partial;
pub mod recompute;
pub mod release;
pub mod report;
pub mod rows;
pub mod sets;
pub mod showcase;
pub mod tables;
pub mod transfer;
pub mod verify;
pub mod words;

pub use error::ReleaseError;
pub use evaluate::evaluate;
pub use file::{EvaluationFile, Foreign, Scored};
pub use release::Release;
