//! Rows that are sums of planted directions (`world::planted`): a source for the trainer, and what a dictionary recovered.

pub mod rows;
pub mod score;

pub use rows::{PlantedRows, SizeName, Which};
pub use score::{PlantedScores, Scorer, Subject};
