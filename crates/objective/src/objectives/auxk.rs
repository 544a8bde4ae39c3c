//! AuxK (Gao et al. 2024, arXiv 2406.04093 §2.4, appendix A.2): dead features learn what the living leave over.
//!
//! With e = s − ŝ (not differentiated) and ê = Σ f_j W_dec,j over the k_aux = min(D/2, dead) largest relu(z) among the dead
//! features of each row, the loss gains α·‖e − ê‖², α = 1/32; only ê has a gradient. Dead: not chosen in the last
//! `dead_rows` rows. Differs from the paper: no normalisation by the error's variance, no b_dec in ê, and a NaN here ends
//! the run of the dictionary instead of being zeroed.

use crate::Training;
use serde::{Deserialize, Serialize};

/// Its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuxK {
    /// α
    pub alpha: f64,
    /// Dead features of a row that help, at most.
    pub k: usize,
    /// Rows without being chosen after which a feature is dead.
    pub dead_rows: u64,
}

impl AuxK {
    /// The paper's α and k for outputs of width `d`. The paper's 10⁷ rows are for runs of 10⁹; a run of fewer rows has a
    /// twentieth of them, at most 10⁶ (docs/numerics.md §4).
    pub fn new(d: usize, rows_of_run: u64) -> AuxK {
        AuxK { alpha: 1.0 / 32.0, k: d / 2, dead_rows: (rows_of_run / 20).clamp(1, 1_000_000) }
    }
}

/// Which features have not fired in the last `dead_rows` rows before step `step` of batches of `rows` rows [F].
pub(crate) fn dead(training: &Training, step: u64, rows: usize, dead_rows: u64) -> Vec<bool> {
    let since = |&stamp: &u32| (step - u64::from(stamp)) * rows as u64;
    training.fired().iter().map(|stamp| since(stamp) >= dead_rows).collect()
}
