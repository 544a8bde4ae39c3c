//! Why something cannot be compared with the truth: what was expected, what was found, what to do next.

use lapidary_catalog::CatalogError;
use lapidary_harvest::HarvestError;
use lapidary_lm::LmError;
use lapidary_store::SourceError;
use lapidary_text::TextError;

/// A model or a dictionary cannot be compared with the truth.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// The model cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Its tokenizer fails.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Its rows cannot be made.
    #[error(transparent)]
    Harvest(#[from] HarvestError),
    /// The same.
    #[error(transparent)]
    Rows(SourceError),
    /// A dictionary is of a site that the model does not have.
    #[error("{name}: {source}")]
    Site {
        /// The dictionary.
        name: String,
        /// The site, and the nearest name.
        source: Box<LmError>,
    },
    /// Place, expected, found, next step.
    #[error("{0}")]
    Invalid(String),
}

/// Returns a [`TruthError::Invalid`] with this text.
macro_rules! invalid {
    ($($text:tt)*) => {
        return Err(crate::TruthError::Invalid(format!($($text)*)))
    };
}
pub(crate) use invalid;
