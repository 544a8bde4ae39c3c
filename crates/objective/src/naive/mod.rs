//! One training step of every architecture as the formulas read: dense [N, F] matrices, f64, one sum after the other.
//! Nothing here is fast, and nothing of the fast step is used but its plans and rates. `step.rs` and all that is
//! behind it must agree with this folder, and PyTorch's autograd with both (the tests of the crates `objective` and `trainer`).
//!
//! To check a formula against its paper, open one file; each writes the loss and beside it the gradient that is derived
//! from it by hand, which central differences tie to each other.
//!
//! | file | what | where from |
//! |---|---|---|
//! | `forward` | x', z, ŝ and the loss | Gemma Scope, arXiv 2408.05147 §2.2, §3.2 |
//! | `jumprelu` | f = z·1[z > θ]; L0, quadratic and tanh penalties | arXiv 2407.14435 §3; Gemma Scope 2 eq. 5; Anthropic, January 2025 |
//! | `l1` | f = relu(z), λΣf | Bricken et al. 2023, "Towards Monosemanticity" |
//! | `gated` | one path decides, one measures, an auxiliary loss | arXiv 2404.16014 eq. 6–9 |
//! | `topk`, `batchtopk` | the k largest of a row; the k·N largest of a batch | arXiv 2406.04093 §2.3; 2412.06410 |
//! | `auxk` | dead features learn what is left over | arXiv 2406.04093 §2.4, appendix A.2 |
//! | `matryoshka` | nested prefixes | arXiv 2503.17547 |
//! | `row_weights` | rows far longer than the others count less | ours |
//! | `transcoder` | another site is the target; the affine skip | arXiv 2406.11944; 2501.18823 |
//! | `backward` | what all of them share of the gradients | the chain rule |
//! | `update` | projection, Adam, clamped θ, renormalisation, what a baseline freezes | arXiv 2408.05147 §3.2; 1412.6980 algorithm 1 |
//!
//! Names as in docs/design.md §1: N rows, D and D_out widths, F features, n a row, j a feature.

mod auxk;
mod backward;
mod batchtopk;
mod dense;
mod forward;
mod gated;
mod jumprelu;
mod l1;
mod matrix;
mod matryoshka;
mod row_weights;
mod topk;
mod transcoder;
mod update;

pub use backward::{Gradients, gradients};
pub use batchtopk::batch_threshold;
pub use dense::Dense;
pub use forward::{Forward, forward};
pub use matrix::Matrix;

use crate::{Batch, DictionaryPlan, Parameters, Rates};

/// What is given in a step, beside parameters and rows.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The dictionary.
    pub plan: &'a DictionaryPlan,
    /// The numbers of the step, λ among them.
    pub rates: &'a Rates,
    /// Which features are dead [F].
    pub dead: &'a [bool],
}

/// A dictionary in training.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Parameters.
    pub p: Dense,
    /// Adam's first moments.
    pub m: Dense,
    /// Adam's second moments.
    pub v: Dense,
    /// [F], 1 + the last step in which each feature was active; 0: never.
    pub fired: Vec<u64>,
    /// Given up: a loss was not finite.
    pub stopped: bool,
}

impl State {
    /// Before the first step.
    pub fn new(parameters: &Parameters) -> State {
        let p = Dense::from(parameters);
        let (m, v, fired) = (p.zeros(), p.zeros(), vec![0; p.b_enc.rows]);
        State { p, m, v, fired, stopped: false }
    }

    /// Which features have not been active in the last `dead_rows` rows before step `step` [F].
    pub fn dead(&self, plan: &DictionaryPlan, rows: usize, step: u64) -> Vec<bool> {
        let silent = |&fired: &u64| (step - fired) * rows as u64;
        let limit = plan.objective.dead_rows().unwrap_or(u64::MAX);
        self.fired.iter().map(|fired| silent(fired) >= limit).collect()
    }
}

/// One whole step. A loss that is not finite stops the dictionary instead, with its parameters as they were. Returns what
/// was seen before the update.
pub fn step(state: &mut State, batch: Batch<'_>, plan: &DictionaryPlan, rates: &Rates) -> Forward {
    let dead = state.dead(plan, batch.input.len() / plan.d, rates.step);
    let setting = Setting { plan, rates, dead: &dead };
    let seen = forward(&state.p, &state.p, batch, &setting);
    if !seen.loss.is_finite() {
        state.stopped = true;
        return seen;
    }
    let gradients = gradients(&state.p, &seen, &setting);
    update::update(state, &gradients, plan, rates);
    for (n, j) in seen.f.places() {
        if seen.f[(n, j)] != 0.0 {
            state.fired[j] = rates.step + 1;
        }
    }
    seen
}
