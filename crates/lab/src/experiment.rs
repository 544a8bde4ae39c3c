//! The form of an experiment, and the list of those that run. Each is one file under `experiments/` that opens with its question, method,
//! baselines, metric and pass line; the same is here for the page that newcomers read. To add one: write the file, name it below.

use crate::experiments;
use crate::report::Report;
use crate::rung::RungName;
use crate::{Lab, LabError};

/// An experiment.
pub struct Experiment {
    /// `lapidary lab NAME`; also names its question.
    pub name: &'static str,
    /// What it asks in one plain sentence, for a newcomer.
    pub plain: &'static str,
    /// How it is answered, with the sources of the method.
    pub method: &'static str,
    /// What must be beaten, and why.
    pub baselines: &'static str,
    /// The number that decides.
    pub metric: &'static str,
    /// What was expected before the first run.
    pub pass: &'static str,
    /// What would change our mind.
    pub doubt: &'static str,
    /// What it can run on.
    pub rungs: &'static [RungName],
    /// Runs it on one rung.
    pub run: fn(&mut Lab<'_>, RungName) -> Result<Report, LabError>,
    /// The answer in one sentence, from what came out on every rung.
    pub answer: fn(&[Report]) -> String,
}

/// Those that run.
pub const EXPERIMENTS: &[&Experiment] = &[
    &experiments::truth::TRUTH,
    &experiments::quant::QUANT,
    &experiments::transcoder::TRANSCODER,
    &experiments::missing::MISSING,
];
