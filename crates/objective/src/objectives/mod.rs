//! What a dictionary minimises: one file per objective, on one engine.
//!
//! The engine encodes, decodes, gathers gradients and updates rows; an objective says which pre-activations matter, which
//! features are active at which value, and what gradient returns to z and to the parameters of one feature. All are
//! trained with unit-norm decoder rows, the projected gradient, and a lazy Adam: where a peer moves every row in every
//! step or clips gradients, ours differs, and in exchange a feature without gradient rests exactly (docs/numerics.md §3).
//!
//! Reading order: `jumprelu` (with its three penalties), `l1`, `gated`, `topk` and `batchtopk` (whose entries `select.rs`
//! chooses), `auxk` (dead features), `matryoshka` (nested widths, for all of them).

pub(crate) mod auxk;
pub mod batchtopk;
mod gated;
mod jumprelu;
mod l1;
pub(crate) mod matryoshka;
pub(crate) mod topk;

use crate::select::Keep;
use crate::{DictionaryPlan, Rates, View};
use serde::{Deserialize, Serialize};

pub use auxk::AuxK;
pub use jumprelu::Penalty;

/// The objective of a dictionary, beside ‖ŝ − s‖².
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Objective {
    /// A threshold per feature, trained straight through; sparsity by a penalty.
    JumpRelu {
        /// What sparsity costs.
        penalty: Penalty,
    },
    /// ReLU, sparsity by λΣf.
    L1,
    /// Two paths, one that decides and one that measures; sparsity by λΣrelu(π).
    Gated,
    /// The k largest of each row.
    TopK {
        /// Features of a row.
        k: usize,
        /// What brings dead features back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aux: Option<AuxK>,
    },
    /// The k·N largest of a batch.
    BatchTopK {
        /// Mean number of features of a row.
        k: usize,
        /// What brings dead features back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aux: Option<AuxK>,
    },
}

impl Objective {
    /// Gemma Scope's: JumpReLU with λ‖f‖₀. Plans do not write it.
    pub const GEMMA_SCOPE: Objective = Objective::JumpRelu { penalty: Penalty::L0 };

    /// Gemma Scope 2's: a quadratic penalty around `target` active features of a row. λ_hf = λ is ours.
    pub fn gemma_scope_2(target: f64) -> Objective {
        Objective::JumpRelu { penalty: Penalty::Quadratic { target, high_frequency: 1.0 } }
    }

    /// Anthropic's, for rows of width `d`. Its λ is D times the plan's.
    pub fn anthropic(d: usize) -> Objective {
        Objective::JumpRelu { penalty: Penalty::anthropic(d) }
    }

    /// Is it what plans do not write?
    pub fn is_gemma_scope(&self) -> bool {
        *self == Objective::GEMMA_SCOPE
    }

    /// Does λ weigh its sparsity? (Else k sets it.)
    pub fn has_lambda(&self) -> bool {
        self.keep().is_none()
    }

    /// Does it train thresholds?
    pub(crate) fn has_thresholds(&self) -> bool {
        matches!(self, Objective::JumpRelu { .. })
    }

    /// Which pre-activations it keeps, where these are chosen against each other.
    pub(crate) fn keep(&self) -> Option<Keep> {
        match *self {
            Objective::TopK { k, .. } => Some(Keep::OfRow(k)),
            Objective::BatchTopK { k, .. } => Some(Keep::OfBatch(k)),
            Objective::JumpRelu { .. } | Objective::L1 | Objective::Gated => None,
        }
    }

    pub(crate) fn aux(&self) -> Option<AuxK> {
        match *self {
            Objective::TopK { aux, .. } | Objective::BatchTopK { aux, .. } => aux,
            Objective::JumpRelu { .. } | Objective::L1 | Objective::Gated => None,
        }
    }

    /// Rows without firing after which a feature is dead, where that changes its gradient.
    pub(crate) fn dead_rows(&self) -> Option<u64> {
        match self {
            Objective::JumpRelu { penalty: Penalty::Tanh { dead_rows, .. } } => Some(*dead_rows),
            other => other.aux().map(|aux| aux.dead_rows),
        }
    }

    /// Can a feature have a gradient without firing? Then firing has stamps of its own.
    pub(crate) fn moves_silent_features(&self) -> bool {
        self.dead_rows().is_some() || *self == Objective::Gated
    }
}

/// How pre-activations become features, and how gradients return; one step of one dictionary.
pub(crate) trait Gate: Sync {
    /// Entries are kept where `!(z <= lo)`, [F].
    fn lo(&self) -> &[f32];

    /// What the product is biased with, [F].
    fn bias<'a>(&'a self, parameters: &'a View<'a>) -> &'a [f32] {
        parameters.b_enc
    }

    /// f, where feature j is active at z. NaN is active, so that it reaches the loss and is seen there.
    fn value(&self, j: usize, z: f32) -> Option<f32>;

    /// The value of an entry in the second reconstruction, for objectives that have one.
    fn second(&self, _j: usize, _z: f32) -> f32 {
        0.0
    }

    /// Does z lie inside the straight-through window of feature j?
    fn in_window(&self, _j: usize, _z: f32) -> bool {
        false
    }

    /// The part of the loss that depends on the number of active features of each row, `l0` [N], and its mean.
    fn row_penalty(&self, _l0: &[u32], _mean: f64) -> f64 {
        0.0
    }

    /// Fills `out` with what returns to z and to the numbers of feature j.
    fn backward(&self, j: usize, entries: Entries<'_>, out: &mut Gradient);
}

/// The entries of one feature.
pub(crate) struct Entries<'a> {
    /// Rows n, ascending, and their z.
    pub rows: &'a [u32],
    pub z: &'a [f32],
    /// ∂L/∂f of each.
    pub df: &'a [f32],
    /// The same through the second reconstruction, where there is one.
    pub second: &'a [f32],
    /// Active features of each row of the batch [N].
    pub l0: &'a [u32],
}

/// What one feature's entries give. Sums over entries are of the mean loss.
#[derive(Default)]
pub(crate) struct Gradient {
    /// Rows with a gradient, ascending; f there, and ∂L/∂z.
    pub rows: Vec<u32>,
    pub f: Vec<f32>,
    pub dz: Vec<f32>,
    /// Was it active in any row?
    pub fired: bool,
    /// ∂L/∂θ, if any entry reached it.
    pub threshold: Option<f64>,
    /// ∂L/∂b_enc, where it is not Σ ∂L/∂z.
    pub b_enc: Option<f32>,
    /// Of a gated feature.
    pub r_mag: f32,
    pub b_mag: f32,
    /// Its part of the loss's penalty.
    pub penalty: f64,
}

impl Gradient {
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.rows.reserve_exact(rows);
        self.f.reserve_exact(rows);
        self.dz.reserve_exact(rows);
    }

    pub(crate) fn push(&mut self, row: u32, f: f32, dz: f32) {
        self.rows.push(row);
        self.f.push(f);
        self.dz.push(dz);
    }
}

/// The gate of one step: `rows` = N, `dead` [F] where the objective asks for it.
pub(crate) fn gate(
    p: &View<'_>,
    plan: &DictionaryPlan,
    rates: &Rates,
    rows: usize,
    dead: Option<&[bool]>,
) -> Box<dyn Gate> {
    match &plan.objective {
        Objective::JumpRelu { penalty } => {
            Box::new(jumprelu::JumpRelu::new(p, rates, *penalty, rows, dead.unwrap_or_default()))
        }
        Objective::L1 => Box::new(l1::L1::new(plan.width, rates.lambda, rows)),
        Objective::Gated => Box::new(gated::Gated::new(p, rates.lambda, rows)),
        Objective::TopK { .. } | Objective::BatchTopK { .. } => Box::new(topk::TopK),
    }
}
