//! From training units to a released dictionary (NUMERICS §6) and back: every objective but TopK is a JumpReLU by then.
//!
//!   jumprelu  θ as trained           l1  θ = 0           batchtopk  θ = the running mean of the smallest chosen value
//!   gated     W' = e^r W_enc, b' = b_mag, θ' = max(0, b_mag − e^r b_gate)
//!
//! A transcoder's outputs were divided by C_out, its inputs by C: features come out in units of C, so its decoder rows, its
//! b_dec and its skip are scaled by C_out/C (1 where both are divided by one C, as in Gemma Scope).
//!
//! Back: a dictionary of whatever origin begins a training; its decoder rows are made unit norm and its features scaled in
//! exchange. A gated one begins as r = 0, b_mag = b, b_gate = b − θ, the same function where θ ≥ 0.

use crate::{DictionaryPlan, Objective, Parameters, Recipe, Threshold, TrainError, Training};
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

    /// The training that begins as `dictionary`, with moments at 0. Log θ cannot be negative: such θ begin as 1e-6.
    pub fn from_dictionary(
        dictionary: &Dictionary,
        plan: &DictionaryPlan,
        recipe: &Recipe,
    ) -> Result<Training, TrainError> {
        check(dictionary, plan)?;
        let mut p = Parameters::zeros(plan);
        let (d, d_out, c) = (plan.d, plan.d_out(), plan.c);
        p.b_dec = dictionary.b_dec.iter().map(|&b| (f64::from(b) / plan.c_out()) as f32).collect();
        let mut theta = Vec::with_capacity(plan.width);
        for j in 0..plan.width {
            let row = |w: &[f32], d: usize| w[j * d..(j + 1) * d].iter().map(|&w| f64::from(w)).collect();
            let (mut w_enc, mut w_dec): (Vec<f64>, Vec<f64>) =
                (row(&dictionary.w_enc, d), row(&dictionary.w_dec, d_out));
            let norm = w_dec.iter().map(|w| w * w).sum::<f64>().sqrt();
            if !(norm.is_finite() && norm > 0.0) {
                return Err(bad(
                    plan,
                    "decoder rows of a positive norm".into(),
                    format!("{norm} in row {j}"),
                ));
            }
            let scale = norm * c / plan.c_out();
            w_dec.iter_mut().for_each(|w| *w /= norm);
            w_enc.iter_mut().for_each(|w| *w *= scale);
            let through: f64 = if plan.has_pre_bias() {
                w_enc.iter().zip(&dictionary.b_dec).map(|(w, &b)| w * f64::from(b) / plan.c_out()).sum()
            } else {
                0.0
            };
            p.b_enc[j] = (scale * f64::from(dictionary.b_enc[j]) / c + through) as f32;
            theta.push((scale * f64::from(dictionary.threshold[j]) / c) as f32);
            p.w_enc[j * d..(j + 1) * d].iter_mut().zip(w_enc).for_each(|(p, w)| *p = w as f32);
            p.w_dec[j * d_out..(j + 1) * d_out].iter_mut().zip(w_dec).for_each(|(p, w)| *p = w as f32);
        }
        Ok(begin(p, &theta, plan, recipe))
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

fn bad(plan: &DictionaryPlan, expected: String, found: String) -> TrainError {
    TrainError::Start { name: plan.name.clone(), expected, found }
}

fn check(dictionary: &Dictionary, plan: &DictionaryPlan) -> Result<(), TrainError> {
    let expected = (plan.width, plan.d, plan.d_out());
    let found = (dictionary.width(), dictionary.d_in, dictionary.d_out);
    if expected == found {
        return Ok(());
    }
    let shape = |(f, d, d_out)| format!("{f} features from width {d} to {d_out}");
    Err(bad(plan, shape(expected), shape(found)))
}

/// Parameters with what θ [F] is for the objective.
fn begin(mut p: Parameters, theta: &[f32], plan: &DictionaryPlan, recipe: &Recipe) -> Training {
    match plan.objective {
        Objective::JumpRelu { .. } => {
            p.threshold = match recipe.threshold {
                Threshold::Raw => theta.to_vec(),
                Threshold::Log => theta.iter().map(|&t| f64::from(t.max(1e-6)).ln() as f32).collect(),
            }
        }
        Objective::Gated => {
            p.b_mag.copy_from_slice(&p.b_enc);
            p.b_enc.iter_mut().zip(theta).for_each(|(b, t)| *b -= t);
        }
        Objective::L1 | Objective::TopK { .. } | Objective::BatchTopK { .. } => {}
    }
    let mut training = Training::new(p, plan);
    if let Objective::BatchTopK { .. } = plan.objective {
        let mean = theta.iter().map(|&t| f64::from(t)).sum::<f64>() / theta.len() as f64;
        training.running.threshold = Some(mean);
    }
    training
}
