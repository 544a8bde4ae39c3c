//! Rows whose variables are known, scored: what of the truth did a dictionary find?
//!
//! For text of the language, which [`documents`] writes down, [`indicators`] says what is true of every row, [`score`] compares the
//! features of dictionaries with it, [`table`] is what is saved of that, and [`phrases`] are its variables in plain words;
//! [`knowledge`] is how well a model knows the language itself. [`planted`] has rows that are sums of known directions, and what a
//! dictionary recovered of those.
//!
//! Must not be in it: training, suites, tables for people ([`lapidary_evaluation::truth`] has the scores themselves).
#![forbid(unsafe_code)]

pub mod documents;
mod error;
pub mod indicators;
pub mod knowledge;
pub mod pairs;
pub mod phrases;
pub mod planted;
pub mod score;
pub mod table;

pub use error::TruthError;
pub use score::{Measured, TruthSubject, truth_scores};
pub use table::TruthTable;
