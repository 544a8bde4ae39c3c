//! What can go wrong with rows: always what was expected, what was found, what to do next.

use lapidary_files::FileError;

/// A store or a source of rows cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of the store is missing, damaged or of another kind.
    #[error(transparent)]
    File(#[from] FileError),
    /// The source has no rows at all.
    #[error("expected rows to train on, found {windows} windows without any row; give more text")]
    NoRows {
        /// Windows of the source.
        windows: usize,
    },
    /// A batch or a pool of no rows was asked for.
    #[error("expected {what} of at least 1 row, found 0; choose a larger one")]
    Zero {
        /// "a batch" or "a pool".
        what: &'static str,
    },
    /// The rows of a site cannot be normalised.
    #[error(
        "site {site}: expected rows of a finite, positive mean square, found {mean_square} over {rows} rows; \
         check the model's weights, or leave this site out"
    )]
    Norm {
        /// The site's name.
        site: String,
        /// Mean of ‖x‖².
        mean_square: f64,
        /// Rows looked at.
        rows: u64,
    },
}
