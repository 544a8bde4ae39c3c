//! A model and a text become rows: in flight ([`FusedRows`]) or into a store ([`write_store`]).
//!
//! Both run the model the same way, and both are a `RowSource`, so whoever trains cannot tell which it has: one pass of
//! the model feeds every site, special positions give no rows, and the rows are rounded to the plan's dtype. The default is
//! in flight, without touching the disk; a store is for re-use.
//!
//! Knows no dictionary. Key: `N` rows or tokens, `D` width of a site, `W` windows, `T` tokens of a window.

#![forbid(unsafe_code)]

mod error;
mod fused;
mod write;

pub use error::HarvestError;
pub use fused::{FusedRows, RUN_TOKENS};
pub use write::{StoreOptions, write_store};
