//! What one step of training computes, for every architecture: the loss, its gradients written out by hand, and the update.
//!
//! Reading order: `plan` (one dictionary), `rates` (the numbers of one step), `objectives` (what is minimised, one file each),
//! `parameters` and `slot` (a tensor with its moments), `workspace` (rows in training units), then one `step` — `forward` (normalise, encode, decode, loss), `backward` (gradients by feature, projection, lazy
//! Adam of `optimizer`, renormalisation), both by `blocks` of features and with sums shared by `tiles`, with `select` where features
//! compete and `transcoder` where two sites do — beside its readable dense twin `naive`.
//!
//! After the encoder product everything is sparse: decode, gradients and update touch active features and those inside the
//! straight-through window, nothing else; no `[N, F]` buffer exists.
//!
//! Knows one step: no run, no schedule, no file.
#![forbid(unsafe_code)]

mod backward;
mod blocks;
mod forward;
pub mod memory;
pub mod naive;
mod objectives;
mod optimizer;
mod parameters;
mod plan;
mod rates;
mod row_weights;
mod select;
mod slot;
mod step;
mod tiles;
mod transcoder;
mod workspace;

pub use lapidary_dictionary::Baseline;

pub use forward::Seen;
pub use objectives::batchtopk;
pub use objectives::matryoshka::default_prefixes;
pub use objectives::{AuxK, Objective, Penalty};
pub use parameters::{Hints, Parameters, Running, Stopped, Tensors, Training, View};
pub use plan::{DictionaryPlan, Measured, row_set};
pub use rates::{Rates, Threshold};
pub use row_weights::row_weights;
pub use slot::Slot;
pub use step::{Phase, step};
pub use transcoder::Transcoder;
pub use workspace::{Batch, Workspace};
