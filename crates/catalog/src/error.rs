//! What can be wrong with a name: where, what was expected, what was found, what to do next.

use lapidary_files::FileError;
use lapidary_lm::LmError;
use lapidary_text::TextError;
use std::fmt::Display;

/// A name leads to nothing, or to something that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A model cannot be used.
    #[error(transparent)]
    Model(#[from] LmError),
    /// A text or a tokenizer cannot be used.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Place, expected, found, next step.
    #[error("{0}")]
    Invalid(String),
    /// The same, with what it stands in.
    #[error("{place}: {source}")]
    Within {
        /// A name as it was written.
        place: String,
        /// What is wrong there.
        source: Box<CatalogError>,
    },
}

/// Says where an error stands.
pub(crate) trait Within<T> {
    fn within(self, place: impl Display) -> Result<T, CatalogError>;
}

impl<T, E: Into<CatalogError>> Within<T> for Result<T, E> {
    fn within(self, place: impl Display) -> Result<T, CatalogError> {
        self.map_err(|e| CatalogError::Within { place: place.to_string(), source: Box::new(e.into()) })
    }
}

/// A [`CatalogError::Invalid`] with this text.
macro_rules! invalid {
    ($($text:tt)*) => {
        crate::CatalogError::Invalid(format!($($text)*))
    };
}
pub(crate) use invalid;
