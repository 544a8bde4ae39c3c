//! Why an experiment cannot go on: where, what was expected, what was found, what to do next.

use lapidary_catalog::CatalogError;
use lapidary_evaluation::EvaluationError;
use lapidary_files::FileError;
use lapidary_ground_truth::TruthError;
use lapidary_harvest::HarvestError;
use lapidary_lm::LmError;
use lapidary_store::{SourceError, StoreError};
use lapidary_suite::SuiteError;
use lapidary_text::TextError;
use lapidary_trainer::TrainError;

/// An experiment cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model or its text cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The model has no such site.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// The text cannot be cut into windows.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A dictionary cannot be planned.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// Or not be trained; or the run was interrupted.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Or not be scored.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The model does not read the language whose truth is known.
    #[error(transparent)]
    Truth(#[from] TruthError),
    /// Rows cannot be made.
    #[error(transparent)]
    Harvest(#[from] HarvestError),
    /// The same.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same.
    #[error(transparent)]
    Rows(SourceError),
    /// The user wants to stop.
    #[error("stopped; what is finished is kept: continue with --resume")]
    Interrupted,
    /// Place, expected, found, next step.
    #[error("{0}")]
    Invalid(String),
}

/// Returns a [`LabError::Invalid`] with this text.
macro_rules! invalid {
    ($($text:tt)*) => {
        return Err(crate::LabError::Invalid(format!($($text)*)))
    };
}
pub(crate) use invalid;
