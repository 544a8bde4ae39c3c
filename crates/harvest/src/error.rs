//! What can go wrong between a model, a text and rows.

use lapidary_files::FileError;
use lapidary_lm::LmError;
use lapidary_store::SourceError;

/// Rows cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HarvestError {
    /// The model does not have what is asked of it.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// The store cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Reading rows, or measuring their norms, failed.
    #[error(transparent)]
    Rows(#[from] SourceError),
    /// A site is named twice.
    #[error("site {site}: expected each site once, found it twice; name it once")]
    Twice {
        /// The site's name.
        site: String,
    },
    /// Nothing to harvest.
    #[error("expected at least one site, found none; name some, for example --sites all")]
    NoSites,
}
