//! Sums by document, and by document and slice, and where each row and target of a batch is added.

use crate::Sums;
use crate::slices::{NONE, Slicing};
use serde::{Deserialize, Serialize};

/// What one document adds, and what it adds in every slice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Table {
    /// [documents]
    pub(crate) documents: Vec<Sums>,
    /// For each slicing [slices, documents].
    pub(crate) slices: Vec<Vec<Vec<Sums>>>,
}

/// The document and the slices of each row, or target, of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// [n]
    pub(crate) documents: Vec<usize>,
    /// For each slicing [n], [`NONE`] among them.
    pub(crate) slices: Vec<Vec<u16>>,
}

impl Table {
    pub(crate) fn new(documents: usize, slicings: &[Slicing]) -> Table {
        let none = vec![Sums::default(); documents];
        let slices = slicings.iter().map(|s| vec![none.clone(); s.slices.len()]).collect();
        Table { documents: none, slices }
    }

    /// Adds each value to one sum of its document and of its slices, in order.
    pub(crate) fn add(&mut self, values: &[f64], places: &Places, field: fn(&mut Sums) -> &mut f64) {
        values.iter().zip(&places.documents).for_each(|(value, &d)| *field(&mut self.documents[d]) += value);
        for s in 0..self.slices.len() {
            self.add_to_slices(s, values, places, field);
        }
    }

    /// The same of one slicing only.
    pub(crate) fn add_to_slices(
        &mut self,
        s: usize,
        values: &[f64],
        places: &Places,
        field: fn(&mut Sums) -> &mut f64,
    ) {
        for ((value, &slice), &document) in values.iter().zip(&places.slices[s]).zip(&places.documents) {
            if slice != NONE {
                *field(&mut self.slices[s][slice as usize][document]) += value;
            }
        }
    }
}

impl Places {
    /// Of positions in a batch: `at` says the window, counted from 0 in the text, and the position in it.
    pub(crate) fn of(
        positions: impl Iterator<Item = (usize, usize)>,
        documents: &[usize],
        slicings: &[Slicing],
    ) -> Places {
        let mut places = Places { documents: Vec::new(), slices: vec![Vec::new(); slicings.len()] };
        for (window, position) in positions {
            places.documents.push(documents[window]);
            for (slices, slicing) in places.slices.iter_mut().zip(slicings) {
                slices.push(slicing.of[window][position]);
            }
        }
        places
    }
}
