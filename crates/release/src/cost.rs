//! What an evaluation will cost, before it begins: multiply-adds, from which a machine's speed makes seconds, and bytes. Rough, and said
//! to be: within a factor of two for the scores; the metrics beside them are told apart by their own factors.

use crate::metrics::{Kind, Kinds};
use lapidary_lm::{Site, SiteKind, Spec};
use lapidary_suite::estimate::multiply_adds;
use lapidary_suite::subjects::Named;

/// Of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Tokens that run through the model or a suffix of it.
    pub tokens: f64,
    /// All of them.
    pub multiply_adds: f64,
    /// Bytes held at the peak: the model, the dictionaries, a batch.
    pub memory: f64,
}

impl Cost {
    /// Both, one after the other, with both models in memory.
    pub fn and(self, other: Cost) -> Cost {
        Cost {
            tokens: self.tokens + other.tokens,
            multiply_adds: self.multiply_adds + other.multiply_adds,
            memory: self.memory + other.memory,
        }
    }
}

/// Norms, softmax, copies and sums around the products.
const AROUND_PRODUCTS: f64 = 1.2;
/// Passes of the scores that low precision costs.
const PRECISION_PASSES: f64 = 3.0;

/// Of `subjects` on `tokens` tokens in windows of `context`.
pub fn of(
    subjects: &[&Named],
    (spec, parameters): (&Spec, usize),
    (tokens, context, batch): (usize, usize, usize),
    kinds: &Kinds,
) -> Cost {
    let layer = multiply_adds(spec, 1, context);
    let head = (spec.d_model * spec.vocab) as f64;
    let suffix = |site: Site| layer * (spec.n_layers - first_layer(site)) as f64 + head;
    let whole = layer * spec.n_layers as f64;
    let mut sites: Vec<Site> = subjects.iter().map(|s| s.output).collect();
    sites.sort_by_key(|site| site.rank());
    sites.dedup();
    let dictionaries: f64 = subjects.iter().map(|s| suffix(s.output) + encoder(s)).sum();
    let passes = if kinds.0.contains(&Kind::Precision) { 1.0 + PRECISION_PASSES } else { 1.0 };
    let ablated: f64 = sites.iter().map(|site| 2.0 * suffix(*site)).sum();
    let per_token = 2.0 * whole + head + ablated + passes * dictionaries;
    let passes_of_tokens = 2.0 + 2.0 * sites.len() as f64 + passes * subjects.len() as f64;
    let weights: usize = subjects.iter().map(|s| s.dictionary.w_enc.len() + s.dictionary.w_dec.len()).sum();
    let widest = spec.d_model.max(spec.d_mlp).max(spec.vocab);
    let held = batch * (spec.d_model * (2 * sites.len() + 4) + widest);
    Cost {
        tokens: tokens as f64 * passes_of_tokens,
        multiply_adds: tokens as f64 * per_token * AROUND_PRODUCTS,
        memory: 4.0 * (parameters + weights + held) as f64,
    }
}

/// The layer from which a splice at a site reruns the model.
fn first_layer(site: Site) -> usize {
    if site.kind == SiteKind::Res { site.layer + 1 } else { site.layer }
}

/// Multiply-adds of encoding a row; decoding is sparse.
fn encoder(named: &Named) -> f64 {
    (named.dictionary.d_in * named.dictionary.width()) as f64
}
