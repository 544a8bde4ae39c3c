//! Documents in two halves, one to choose on and one to score on: no row of a document is in both.
//!
//! Drawn by a seed, since generators of text may take turns.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Is each row [N] in the half that is fitted? `documents` [N] are those of the rows; the rows of a document are consecutive.
pub fn halves(documents: &[u32], seed: u64) -> Vec<bool> {
    let starts = document_starts(documents);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<(u64, usize)> = (1..starts.len()).map(|k| (rng.next_u64(), k - 1)).collect();
    order.sort_unstable();
    let mut is_fitted = vec![false; documents.len()];
    for &(_, k) in &order[..order.len() / 2] {
        is_fitted[starts[k]..starts[k + 1]].fill(true);
    }
    is_fitted
}

/// First row of each run of rows of one document, and N [documents + 1]; [0] of no rows.
pub(crate) fn document_starts(documents: &[u32]) -> Vec<usize> {
    let rows = documents.len();
    let is_first = |&n: &usize| n == 0 || n == rows || documents[n] != documents[n - 1];
    (0..=rows).filter(is_first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_documents_in_one_half() {
        let documents: Vec<u32> = (0..40).map(|n| n / 4).collect();
        let is_fitted = halves(&documents, 7);
        let per_document: Vec<usize> =
            is_fitted.chunks(4).map(|rows| rows.iter().filter(|f| **f).count()).collect();
        assert!(per_document.iter().all(|n| [0, 4].contains(n)), "{per_document:?}");
        assert_eq!(per_document.iter().sum::<usize>(), 20);
        assert_ne!(is_fitted, halves(&documents, 8));
        assert_eq!(halves(&[], 7), [] as [bool; 0]);
    }
}
