//! From training units to a released dictionary (NUMERICS §6): every objective but TopK is a JumpReLU by then.
//!
//!   jumprelu  θ as trained           l1  θ = 0           batchtopk  θ = the running mean of the smallest chosen value
//!   gated     W' = e^r W_enc, b' = b_mag, θ' = max(0, b_mag − e^r b_gate)
//!
//! A transcoder's outputs were divided by C_out, its inputs by C: features come out in units of C, so its decoder rows, its
//! b_dec and its skip are scaled by C_out/C (1 where both are divided by one C, as in Gemma Scope).

use crate::{DictionaryPlan, Objective, Recipe, Training};
use lapidary_dictionary::{Dictionary, Units, fold};

impl Training {
    /// The dictionary in raw units.
    pub fn dictionary(&self, plan: &DictionaryPlan, recipe: &Recipe) -> Dictionary {
        let p = &self.parameters;
        let constant = |theta: f64| vec![theta as f32; plan.width];
        let (w_enc, b_enc, theta) = match plan.objective {
            Objective::JumpRelu { .. } => (p.w_enc.clone(), p.b_enc.clone(), p.theta(recipe.threshold)),
            Objective::Gated => self.gated(plan.d),
            Objective::BatchTopK { .. } => {
                (p.w_enc.clone(), p.b_enc.clone(), constant(self.running.threshold.unwrap_or(0.0)))
            }
            // A TopK dictionary needs `Activation::TopK { k }`, which lapidary-dictionary does not have yet; until then
            // this is its encoder with all positive features.
            Objective::L1 | Objective::TopK { .. } => (p.w_enc.clone(), p.b_enc.clone(), constant(0.0)),
        };
        let units = Units { c: plan.c, pre_bias: plan.has_pre_bias() };
        let mut dictionary = fold(&w_enc, &b_enc, &theta, &p.w_dec, &p.b_dec, units);
        if plan.c_out() != plan.c {
            let times = |v: &[f32], by: f64| v.iter().map(|&v| (f64::from(v) * by) as f32).collect();
            dictionary.w_dec = times(&p.w_dec, plan.c_out() / plan.c);
            dictionary.b_dec = times(&p.b_dec, plan.c_out());
        }
        // W_skip·C_out/C belongs here, as `w_skip`, which lapidary-dictionary does not have yet.
        dictionary
    }

    fn gated(&self, d: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let p = &self.parameters;
        let mut w_enc = p.w_enc.clone();
        let mut theta = Vec::with_capacity(p.b_enc.len());
        for (j, row) in w_enc.chunks_exact_mut(d).enumerate() {
            let scale = f64::from(p.r_mag[j]).exp();
            row.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
            theta.push((f64::from(p.b_mag[j]) - scale * f64::from(p.b_enc[j])).max(0.0) as f32);
        }
        (w_enc, p.b_mag.clone(), theta)
    }
}
