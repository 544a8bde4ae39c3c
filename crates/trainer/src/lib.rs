//! Rows and a plan become dictionaries.
//!
//! Reading order: `recipe` and `plan` (every number of a run; `limits`: which they may be), `schedule` and `controller` (rates and λ
//! over the steps), `init` (parameters before the first), `step` (one step of one dictionary, whose mathematics is the crate
//! `objective`; as it reads: `naive`); then `run` (the loop over batches), `health`, `fit` (what is found after the last step), `log` (as
//! found on resume), `checkpoint` (exact resume) and `release`.
//!
//! The first recipe is Gemma Scope's (arXiv 2408.05147 §2.2, §3.2; JumpReLU: arXiv 2407.14435), written out in docs/design.md §4
//! and docs/numerics.md §3.
//!
//! Knows rows, not where they come from: no language model, no text, no clock, no printing.
#![forbid(unsafe_code)]

mod checkpoint;
mod controller;
mod error;
mod fit;
mod health;
mod init;
mod judge;
mod limits;
mod log;
pub mod made;
mod measure;
pub mod naive;
mod plan;
mod recipe;
mod release;
mod run;
mod schedule;
mod step;

pub use lapidary_objective::{
    AuxK, Baseline, Batch, DictionaryPlan, Hints, Measured, Objective, Parameters, Penalty, Phase, Rates,
    Running, Seen, Slot, Stopped, Tensors, Threshold, Training, Transcoder, View, Workspace,
    default_prefixes, memory, row_set,
};

pub use checkpoint::{latest_checkpoint, load_checkpoint, progress};
pub use controller::last_lambda;
pub use error::TrainError;
pub use health::Health;
pub use init::{centre, initial_parameters};
pub use judge::Ailment;
pub use measure::{SiteMeasured, mean_rows, measure};
pub use plan::Plan;
pub use recipe::{Preset, Recipe, SHORT_EXPLAINED};
pub use release::{from_dictionary, to_dictionary};
pub use run::{Event, Run, train};
pub use step::{train_step, train_step_on};
