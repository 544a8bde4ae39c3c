//! What is wrong with a suite, or with a run of one: where, what was expected, what was found, what to do next.

use lapidary_catalog::CatalogError;
use lapidary_dictionary::DictionaryError;
use lapidary_files::FileError;
use lapidary_harvest::HarvestError;
use lapidary_lm::LmError;
use lapidary_store::{SourceError, StoreError};
use lapidary_text::TextError;
use lapidary_trainer::TrainError;
use std::fmt::Display;

/// A suite or a run cannot be read or followed.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A site that the model does not have.
    #[error(transparent)]
    Model(#[from] LmError),
    /// A context that the model does not have.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A model or a text cannot be found or used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A dictionary cannot be read or written.
    #[error(transparent)]
    Dictionary(#[from] DictionaryError),
    /// A store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model's rows cannot be made.
    #[error(transparent)]
    Harvest(#[from] HarvestError),
    /// Rows cannot be made or read.
    #[error(transparent)]
    Rows(SourceError),
    /// The training was refused, failed or was interrupted.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A key has a value that cannot be followed.
    #[error("{0}")]
    Invalid(String),
    /// The same, with the file or table that it stands in.
    #[error("{place}: {source}")]
    Within {
        /// A path, `[[baselines]]`, …
        place: String,
        /// What is wrong there.
        source: Box<SuiteError>,
    },
}

/// Says where an error stands.
pub(crate) trait Within<T> {
    fn within(self, place: impl Display) -> Result<T, SuiteError>;
}

impl<T, E: Into<SuiteError>> Within<T> for Result<T, E> {
    fn within(self, place: impl Display) -> Result<T, SuiteError> {
        self.map_err(|e| SuiteError::Within { place: place.to_string(), source: Box::new(e.into()) })
    }
}

/// Returns a [`SuiteError::Invalid`] with this text.
macro_rules! invalid {
    ($($text:tt)*) => {
        return Err(crate::SuiteError::Invalid(format!($($text)*)))
    };
}
pub(crate) use invalid;
