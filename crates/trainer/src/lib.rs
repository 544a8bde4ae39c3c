//! Rows and a plan become dictionaries.
//!
//! Reading order: `recipe` and `plan` (every number of a run; `limits`: which they may be), `objectives` (what is minimised, one file each), `schedule`,
//! `parameters` and `init`, then one training `step` — `forward` (normalise, encode, decode, loss), `backward` (gradients by
//! feature, projection, lazy Adam, renormalisation), both by `blocks` of features, with `select` where features compete and
//! `transcoder` where two sites do — beside its readable dense twin `naive`; then `controller`, `health`, `run` (the loop
//! over batches), `fit` (what is found after the last), `log` (as found on resume), `checkpoint` (exact resume) and `release`.
//!
//! The first recipe is Gemma Scope's (arXiv 2408.05147 §2.2, §3.2; JumpReLU: arXiv 2407.14435), written out in docs/design.md §4
//! and docs/numerics.md §3. After the encoder product everything is sparse: decode, gradients and update touch active features and
//! those inside the straight-through window, nothing else; no `[N, F]` buffer exists.
//!
//! Knows rows, not where they come from: no language model, no text, no clock, no printing.
#![forbid(unsafe_code)]

mod backward;
mod blocks;
mod checkpoint;
mod controller;
mod error;
mod fit;
mod forward;
mod health;
mod init;
mod limits;
mod log;
pub mod naive;
mod objectives;
mod optimizer;
mod parameters;
mod plan;
mod recipe;
mod release;
mod run;
mod schedule;
mod select;
mod step;
mod tiles;
mod transcoder;

pub use lapidary_dictionary::Baseline;

pub use checkpoint::{latest_checkpoint, load_checkpoint, progress};
pub use error::TrainError;
pub use forward::{Batch, Seen};
pub use health::Health;
pub use init::initial_parameters;
pub use objectives::matryoshka::default_prefixes;
pub use objectives::{AuxK, Objective, Penalty};
pub use parameters::{Hints, Parameters, Running, Stopped, Training};
pub use plan::{DictionaryPlan, Plan, row_set};
pub use recipe::{Preset, Recipe, SHORT_EXPLAINED, Threshold};
pub use run::{Event, Run, train};
pub use step::{Phase, train_step};
pub use transcoder::Transcoder;
