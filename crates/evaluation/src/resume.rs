//! What an evaluation has so far, so that a killed one goes on: the sums of the second pass after so many windows. The first pass is made
//! again. Sums are f64 and are added in the order of the text, so what is resumed ends with the same bits.
//!
//! Sums that are not finite cannot be written as JSON numbers and are not resumed: the evaluation begins again.

use crate::cells::Table;
use crate::peers::Peers;
use crate::sparsity::Counter;
use serde::{Deserialize, Serialize};

/// Batches after which the sums are offered to be kept.
pub(crate) const BLOCK: usize = 8;

/// Sums after some windows, of the same model, windows, subjects, slicings and options: the caller sees to that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// How many of the windows are done.
    pub windows: usize,
    pub(crate) shared: Table,
    pub(crate) sites: Vec<SavedSite>,
}

/// Of one site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSite {
    pub(crate) sums: Table,
    pub(crate) subjects: Vec<SavedSubject>,
}

/// Of one dictionary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSubject {
    pub(crate) counter: Counter,
    pub(crate) peers: Vec<Peers>,
    pub(crate) sums: Table,
}

/// Where an evaluation goes on, and who is offered its sums at the end of every block of documents.
pub struct Resume<'a> {
    /// Sums to go on from.
    pub saved: Option<Saved>,
    /// Keeps what it is given.
    pub keep: &'a mut dyn FnMut(Saved),
}
