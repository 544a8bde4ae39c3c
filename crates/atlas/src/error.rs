//! Why features cannot be shown.

use lapidary_harvest::HarvestError;
use lapidary_store::SourceError;
use lapidary_text::TextError;

/// Features cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum AtlasError {
    /// The model's rows cannot be made.
    #[error(transparent)]
    Harvest(#[from] HarvestError),
    /// The same.
    #[error(transparent)]
    Rows(SourceError),
    /// A token has no text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A dictionary is of another model or site.
    #[error(
        "{name}: expected a dictionary of {expected} inputs for {site}, found {found}; check its model and site"
    )]
    Width {
        /// The dictionary.
        name: String,
        /// What it is said to read.
        site: String,
        /// Width of that site.
        expected: usize,
        /// Inputs of the dictionary.
        found: usize,
    },
}
