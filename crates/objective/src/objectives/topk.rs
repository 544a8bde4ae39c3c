//! TopK (Gao et al. 2024, arXiv 2406.04093 §2.3): f = relu(z) of the k largest z of a row, ties by lower feature; no penalty.
//!
//! The gradient goes through the chosen features only. `select.rs` chooses, `auxk.rs` brings dead features back. Which
//! features are active depends on the whole row, so it is released with k and no threshold. Differs from the paper: AuxK
//! is not normalised by the error's variance, decoder rows are renormalised after the update (not before).

use super::{Entries, Gate, Gradient};

/// Every entry was chosen, so every entry is active.
pub(crate) struct TopK;

impl Gate for TopK {
    fn lo(&self) -> &[f32] {
        unreachable!("entries of a top-k objective are chosen by select.rs")
    }

    fn value(&self, _j: usize, z: f32) -> Option<f32> {
        Some(z)
    }

    fn backward(&self, _j: usize, entries: Entries<'_>, out: &mut Gradient) {
        out.fired = !entries.rows.is_empty();
        out.rows.extend_from_slice(entries.rows);
        out.f.extend_from_slice(entries.z);
        out.dz.extend_from_slice(entries.df);
    }
}
