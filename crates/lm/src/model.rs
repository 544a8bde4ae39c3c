//! A model in memory, and what it runs on: a ragged batch, a cache. `forward` runs it.

use crate::attention::KeyValues;
use crate::spec::Spec;
use crate::values::Precision;
use crate::weights::Weights;
use lapidary_kernels::Device;

/// Sequences of any lengths, concatenated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Token ids [N].
    pub tokens: Vec<u32>,
    /// Sequence b is `starts[b]..starts[b + 1]`; [B + 1].
    pub starts: Vec<usize>,
}

impl Batch {
    /// Concatenates sequences.
    pub fn new<'a>(sequences: impl IntoIterator<Item = &'a [u32]>) -> Batch {
        let mut batch = Batch { tokens: Vec::new(), starts: vec![0] };
        for sequence in sequences {
            batch.tokens.extend_from_slice(sequence);
            batch.starts.push(batch.tokens.len());
        }
        batch
    }

    /// N.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// No tokens at all.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

/// Keys and values of one sequence in every layer, so that decoding a token costs one row.
#[derive(Clone, Debug)]
pub struct Cache {
    pub(crate) layers: Vec<KeyValues>, // [L]
}

impl Cache {
    /// Room for a sequence of `capacity` tokens.
    pub fn new(spec: &Spec, capacity: usize) -> Cache {
        Cache { layers: (0..spec.n_layers).map(|_| KeyValues::new(spec, capacity)).collect() }
    }

    /// Tokens so far.
    pub fn len(&self) -> usize {
        self.layers[0].len
    }

    /// Before the first token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Spec, weights, and who computes.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the weights mean.
    pub spec: Spec,
    /// All parameters.
    pub weights: Weights,
    /// Who computes.
    pub device: Device,
    /// How products are computed, for which the matrices are held.
    pub precision: Precision,
}
