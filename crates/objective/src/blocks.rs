//! Features in blocks, so that memory stays bounded even where half of all features fire (the first steps of a run).
//!
//! A step passes twice over the features: forward (encode, decode) and backward (gradients, row updates). What a block
//! encoded is kept from one pass to the other as long as there is room, else it is encoded again; a feature's rows change
//! only in the backward pass, after its own block was encoded, so both times give the same bits. In the usual sparse case
//! one block holds all features and is kept: nothing is done twice.
//!
//! At D 2,304, F 131,072, N 4,096 parameters and moments take 4.5 GiB; the limits below add less than 1 GiB. How many entries
//! there will be is foretold by the step before (at first: half of all); a step with a hundred times as many, which no
//! training is known to make, would take that much more for its blocks.

use lapidary_kernels::Csr;
use std::ops::Range;

/// Features that one task owns in the backward pass, and the unit of blocks; boundaries do not depend on the number of
/// threads, nor sums on the blocks.
pub(crate) const FEATURES_PER_TASK: usize = 32;

/// How many entries (8 bytes each) may exist at a time. They bound memory and change no bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Entries that a block is meant to have. (While a block is decoded it exists three times, a gated one four times: `memory.rs`.)
    pub block: usize,
    /// Entries kept from the forward to the backward pass.
    pub kept: usize,
}

impl Limits {
    /// 8 Mi and 64 Mi entries: at most 256 MiB and 512 MiB.
    pub(crate) const USUAL: Limits = Limits { block: 8 << 20, kept: 64 << 20 };
}

/// The features cut into blocks of one size, a multiple of [`FEATURES_PER_TASK`], so that each has about `limits.block`
/// of the `expected` entries.
pub(crate) fn blocks(width: usize, expected: usize, limits: Limits) -> Vec<Range<usize>> {
    let count = expected.div_ceil(limits.block.max(1)).max(1);
    let size = width.div_ceil(count).next_multiple_of(FEATURES_PER_TASK);
    (0..width).step_by(size.max(1)).map(|first| first..(first + size).min(width)).collect()
}

/// What the forward pass leaves of its blocks.
pub(crate) struct Kept {
    blocks: Vec<Option<Csr>>,
    room: usize,
    /// Entries of all blocks.
    pub entries: usize,
}

impl Kept {
    pub(crate) fn new(limits: Limits) -> Kept {
        Kept { blocks: Vec::new(), room: limits.kept, entries: 0 }
    }

    /// Keeps the entries of the next block, if there is room.
    pub(crate) fn push(&mut self, z: Csr) {
        let size = z.index.len();
        self.entries += size;
        let fits = size <= self.room;
        self.room -= if fits { size } else { 0 };
        self.blocks.push(fits.then_some(z));
    }

    /// The entries of block `i`, if they were kept; they are freed when the backward pass has used them.
    pub(crate) fn take(&mut self, i: usize) -> Option<Csr> {
        self.blocks[i].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_each_other_and_are_no_larger_than_asked() {
        let limits = Limits { block: 100, kept: 0 };
        assert_eq!(blocks(70, 100, limits).len(), 1, "sparse: one block");
        assert_eq!(blocks(70, 101, limits), [0..64, 64..70]);
        assert_eq!(blocks(70, 1_000_000, limits), [0..32, 32..64, 64..70]);
        assert_eq!(blocks(131_072, 4096 * 65_536, Limits::USUAL).len(), 32, "half of 2¹⁷ features fire");
    }

    #[test]
    fn what_does_not_fit_is_not_kept_and_what_comes_after_may_be() {
        let csr = |entries: usize| Csr {
            columns: 9,
            row_start: vec![0, entries],
            index: vec![0; entries],
            value: vec![0.0; entries],
        };
        let mut kept = Kept::new(Limits { block: 9, kept: 5 });
        [3, 4, 2, 1].into_iter().for_each(|entries| kept.push(csr(entries)));
        assert_eq!(kept.entries, 10);
        let found: Vec<Option<usize>> = (0..4).map(|i| kept.take(i).map(|z| z.index.len())).collect();
        assert_eq!(found, [Some(3), None, Some(2), None]);
    }
}
