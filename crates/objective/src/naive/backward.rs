//! The gradients of the loss, by the chain rule. An objective turns ∂L/∂f into ∂L/∂z; all else is shared:
//!
//!   ∂L/∂f_j     = ⟨g, W_dec,j⟩                      g = ∂L/∂ŝ of the prefixes that have j
//!   ∂L/∂W_dec,j = Σ_n f_j·g
//!   ∂L/∂W_enc,j = Σ_n ∂L/∂z_j·x'        ∂L/∂b_enc,j = Σ_n ∂L/∂z_j
//!   ∂L/∂b_dec   = Σ_n g − Σ_n Σ_j ∂L/∂z_j·W_enc,j     the second part through x' = u − b_dec; not in a transcoder
//!   ∂L/∂W_skip  = Σ_n g uᵀ

use super::{
    Dense, Forward, Matrix, Setting, auxk, gated, jumprelu, l1, matrix, matryoshka, topk, transcoder,
};
use crate::Objective;

/// ∂L/∂p, and which features' rows have one: Adam moves no others.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// Of the loss, not yet projected.
    pub of: Dense,
    /// Does anything return to z of this feature in any row? [F]: W_enc, b_enc, W_dec, r and b_mag have a gradient.
    pub active: Vec<bool>,
    /// Does anything return to θ? [F]
    pub window: Vec<bool>,
}

/// All gradients, from what [`super::forward`] saw at `p` (held fixed there too).
pub fn gradients(p: &Dense, seen: &Forward, setting: &Setting<'_>) -> Gradients {
    let (plan, features) = (setting.plan, p.b_enc.rows);
    let (active, window) = (vec![false; features], vec![false; features]);
    let mut out = Gradients { of: p.zeros(), active, window };
    let g: Vec<Matrix> = (0..features).map(|j| matryoshka::seen_by(j, seen, plan)).collect();
    let whole = &g[0];

    let df = Matrix::from_fn(whole.rows, features, |n, j| matrix::dot(g[j].row(n), p.w_dec.row(j)));
    out.of.w_dec = Matrix::from_fn(features, p.w_dec.columns, |j, i| {
        (0..whole.rows).map(|n| seen.f[(n, j)] * g[j][(n, i)]).sum()
    });
    let mut dz = by_objective(p, seen, &df, setting, &mut out);
    if let Some(aux) = plan.objective.aux() {
        auxk::backward(p, seen, setting.dead, aux, &mut dz, &mut out);
    }
    out.of.w_enc = dz.transposed_times(&seen.input);
    if plan.objective != Objective::Gated {
        out.of.b_enc = dz.sum_as_column();
    }
    out.of.b_dec = whole.sum_of_rows();
    if plan.has_pre_bias() {
        out.of.b_dec = &out.of.b_dec - &dz.times(&p.w_enc).sum_of_rows();
    }
    if plan.transcoder.as_ref().is_some_and(|t| t.skip) {
        out.of.w_skip = transcoder::skip_gradient(whole, &seen.input);
    }
    out
}

/// ∂L/∂z [N, F] (of a gated dictionary ∂L/∂(W_enc x')), and what the objective has of its own.
fn by_objective(
    p: &Dense,
    seen: &Forward,
    df: &Matrix,
    setting: &Setting<'_>,
    out: &mut Gradients,
) -> Matrix {
    match setting.plan.objective {
        Objective::JumpRelu { penalty } => jumprelu::backward(p, seen, df, penalty, setting, out),
        Objective::L1 => l1::backward(&seen.f, df, setting.rates.lambda, out),
        Objective::Gated => gated::backward(p, seen, df, setting.rates.lambda, out),
        Objective::TopK { .. } | Objective::BatchTopK { .. } => topk::backward(&seen.f, df, out),
    }
}
