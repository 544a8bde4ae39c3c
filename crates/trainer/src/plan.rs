//! A training run, explicit: what a suite file leaves out is derived before the first step and saved.

use crate::{DictionaryPlan, Recipe};
use serde::{Deserialize, Serialize};

/// A run: what [`crate::train`] needs besides rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The numbers shared by all dictionaries.
    pub recipe: Recipe,
    /// The dictionaries, trained in lockstep on the same batches.
    pub dictionaries: Vec<DictionaryPlan>,
    /// Seed of initialisation (rows have the same seed in their order).
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between lines of the log.
    pub log_every: u64,
}

/// An autoencoder of F = `width` on D = `d` for tests.
#[cfg(test)]
pub(crate) fn test_dictionary(d: usize, width: usize) -> DictionaryPlan {
    let new = DictionaryPlan::new("a", "0.res", d, width);
    DictionaryPlan { lambda: 0.01, c: 1.5, theta_init: 0.02, ..new }
}
