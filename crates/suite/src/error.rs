//! What is wrong with a suite file: where, what was expected, what was found, what to do next.

use lapidary_files::FileError;
use lapidary_lm::LmError;
use std::fmt::Display;

/// A suite cannot be read or followed.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A site that the model does not have.
    #[error(transparent)]
    Model(#[from] LmError),
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
