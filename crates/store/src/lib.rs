//! Rows of activations and the one order in which everybody sees them (docs/numerics.md §1).
//!
//! A [`RowSource`] knows windows and can produce the rows of any of them at every site. An [`Order`] says which window
//! comes when and how rows are mixed; [`Batches`] serves batch s as a pure function of (seed, s), so a resumed run needs
//! no saved buffer. Sources: a [`StoreReader`] over shards on disk, written by a [`StoreWriter`]; a running model
//! (crate `harvest`); planted rows in tests.
//!
//! Knows no model and no loss. Key: `N` rows, `D` width of a site, `W` windows.

#![forbid(unsafe_code)]

mod batches;
mod error;
mod manifest;
mod norms;
mod order;
mod reader;
mod source;
mod writer;

pub use batches::Batches;
pub use error::StoreError;
pub use manifest::{FORMAT_VERSION, Manifest, Norm, Shard, Stamp, StoreInfo, TextInfo};
pub use norms::norms;
pub use order::{EpochPlan, Order};
pub use reader::StoreReader;
pub use source::{RowDtype, RowSource, SiteRows, SourceError};
pub use writer::{DEFAULT_SHARD_BYTES, Labels, STORE, StoreWriter};
