//! Why a run cannot be scored or released: where, what was expected, what was found, what to do next.

use lapidary_atlas::AtlasError;
use lapidary_catalog::CatalogError;
use lapidary_dictionary::DictionaryError;
use lapidary_evaluation::EvaluationError;
use lapidary_files::FileError;
use lapidary_ground_truth::TruthError;
use lapidary_harvest::HarvestError;
use lapidary_store::SourceError;
use lapidary_suite::SuiteError;

/// A run cannot be scored or released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A dictionary cannot be written.
    #[error(transparent)]
    Dictionary(#[from] DictionaryError),
    /// The run cannot be read.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// Dictionaries cannot be scored.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// Features cannot be shown.
    #[error(transparent)]
    Atlas(#[from] AtlasError),
    /// Or not against the truth.
    #[error(transparent)]
    Truth(#[from] TruthError),
    /// The model's rows cannot be made.
    #[error(transparent)]
    Harvest(#[from] HarvestError),
    /// The same.
    #[error(transparent)]
    Rows(SourceError),
    /// Place, expected, found, next step.
    #[error("{0}")]
    Invalid(String),
}

/// Returns a [`ReleaseError::Invalid`] with this text.
macro_rules! invalid {
    ($($text:tt)*) => {
        return Err(crate::ReleaseError::Invalid(format!($($text)*)))
    };
}
pub(crate) use invalid;
