//! From training units to a released dictionary (docs/numerics.md §6) and back: every objective but TopK is a JumpReLU by then.
//!
//!   jumprelu  θ as trained           l1  θ = 0           batchtopk  θ as fitted after the last step
//!   gated     W' = e^r W_enc, b' = b_mag, θ' = max(0, b_mag − e^r b_gate); as it is where some e^r is small: f32 would lose the gate
//!
//! A transcoder's outputs were divided by C_out, its inputs by C: features come out in units of C, so its decoder rows, its
//! b_dec and its skip are scaled by C_out/C (1 where both are divided by one C, as in Gemma Scope).
//!
//! Back: a dictionary of whatever origin begins a training; its decoder rows are made unit norm and its features scaled in
//! exchange (not of a TopK dictionary: that would change what it chooses). A gated one begins as r = 0, b_mag = b, b_gate =
//! b − θ, the same function where θ ≥ 0. A feature that is switched off (θ = +∞) stays so where features have a θ or a gate.

use crate::{DictionaryPlan, Objective, Parameters, Recipe, Threshold, TrainError, Training, View};
use lapidary_dictionary::{Activation, Dictionary, LEAST_SCALE, Units, fold, unfold};

/// The trained dictionary in raw units.
pub fn to_dictionary(training: &Training, plan: &DictionaryPlan, recipe: &Recipe) -> Dictionary {
    let p = training.parameters();
    let (w_enc, b_enc) = (p.w_enc.to_vec(), p.b_enc.to_vec());
    let constant = |theta: f64| vec![theta as f32; plan.width];
    let (w_enc, b_enc, threshold, activation) = match plan.objective {
        Objective::JumpRelu { .. } => {
            let theta = p.theta(recipe.threshold).expect("a JumpReLU has thresholds");
            (w_enc, b_enc, theta, Activation::JumpRelu)
        }
        Objective::Gated => gated(p, plan.d),
        Objective::BatchTopK { .. } => {
            (w_enc, b_enc, constant(training.running.threshold.unwrap_or(0.0)), Activation::JumpRelu)
        }
        Objective::L1 => (w_enc, b_enc, constant(0.0), Activation::JumpRelu),
        Objective::TopK { k, .. } => (w_enc, b_enc, constant(0.0), Activation::TopK { k }),
    };
    let trained = Dictionary {
        w_enc,
        b_enc,
        threshold,
        w_dec: p.w_dec.to_vec(),
        b_dec: p.b_dec.to_vec(),
        w_skip: p.w_skip.map(<[f32]>::to_vec),
        activation,
        d_in: plan.d,
        d_out: plan.d_out(),
    };
    fold(trained, units(plan))
}

/// The training that begins as `dictionary`, with moments at 0. Log θ cannot be negative: such θ begin as 1e-6.
pub fn from_dictionary(
    dictionary: &Dictionary,
    plan: &DictionaryPlan,
    recipe: &Recipe,
) -> Result<Training, TrainError> {
    check(dictionary, plan)?;
    let mut start = unfold(dictionary.clone(), units(plan));
    for j in 0..plan.width {
        let row = &mut start.w_dec[j * plan.d_out()..(j + 1) * plan.d_out()];
        let norm = row.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
        if !(norm.is_finite() && norm > 0.0) {
            let found = format!("{norm} in row {j}");
            return Err(bad(plan, "decoder rows of a positive norm".into(), found));
        }
        if let (Activation::TopK { .. }, true) = (&dictionary.activation, (norm - 1.0).abs() > 1e-4) {
            let found = format!("{norm} in row {j}");
            return Err(bad(plan, "decoder rows of norm 1, which a choice of k depends on".into(), found));
        }
        let scale = |v: &mut f32, by: f64| *v = (f64::from(*v) * by) as f32;
        row.iter_mut().for_each(|w| scale(w, 1.0 / norm));
        start.w_enc[j * plan.d..(j + 1) * plan.d].iter_mut().for_each(|w| scale(w, norm));
        scale(&mut start.b_enc[j], norm);
        scale(&mut start.threshold[j], norm);
    }
    let mut p = Parameters::zeros(plan);
    (p.w_enc, p.b_enc, p.w_dec, p.b_dec) = (start.w_enc, start.b_enc, start.w_dec, start.b_dec);
    p.w_skip = start.w_skip;
    Ok(begin(p, &start.threshold, plan, recipe))
}

/// W_enc, b_enc, θ and activation of a gated one: as JumpReLU, or as it is where some e^r is too small to be folded into W_enc.
fn gated(p: View<'_>, d: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>, Activation) {
    let expected = "a gated dictionary has r and b_mag";
    let (r_mag, b_mag) = (p.r_mag.expect(expected), p.b_mag.expect(expected));
    let mut w_enc = p.w_enc.to_vec();
    if r_mag.iter().any(|&r| f64::from(r).exp() < LEAST_SCALE) {
        let lo = p.b_enc.iter().map(|b| -b).collect();
        let activation = Activation::Gated { r_mag: r_mag.to_vec(), b_mag: b_mag.to_vec() };
        return (w_enc, vec![0.0; p.b_enc.len()], lo, activation);
    }
    let mut theta = Vec::with_capacity(p.b_enc.len());
    for (j, row) in w_enc.chunks_exact_mut(d).enumerate() {
        let scale = f64::from(r_mag[j]).exp();
        row.iter_mut().for_each(|w| *w = (f64::from(*w) * scale) as f32);
        theta.push((f64::from(b_mag[j]) - scale * f64::from(p.b_enc[j])).max(0.0) as f32);
    }
    (w_enc, b_mag.to_vec(), theta, Activation::JumpRelu)
}

fn units(plan: &DictionaryPlan) -> Units {
    Units { c_in: plan.c, c_out: plan.c_out(), pre_bias: plan.has_pre_bias() }
}

fn bad(plan: &DictionaryPlan, expected: String, found: String) -> TrainError {
    TrainError::Start { name: plan.name.clone(), expected, found }
}

fn check(dictionary: &Dictionary, plan: &DictionaryPlan) -> Result<(), TrainError> {
    let expected = (plan.width, plan.d, plan.d_out());
    let found = (dictionary.width(), dictionary.d_in, dictionary.d_out);
    if expected != found {
        let shape = |(f, d, d_out)| format!("{f} features from width {d} to {d_out}");
        return Err(bad(plan, shape(expected), shape(found)));
    }
    if let Activation::Gated { .. } = dictionary.activation {
        return Err(bad(
            plan,
            "a gate that is folded in (`without_gate`)".into(),
            "one beside its magnitudes".into(),
        ));
    }
    match (&dictionary.w_skip, plan.transcoder.as_ref().is_some_and(|t| t.skip)) {
        (Some(_), false) => Err(bad(plan, "a dictionary without a skip".into(), "one with a skip".into())),
        _ => Ok(()),
    }
}

/// Mean θ of the features that have one: neither always on where z > 0, nor switched off (+∞).
fn mean_threshold(theta: &[f32]) -> Option<f64> {
    let set: Vec<f64> = theta.iter().filter(|&&t| t > 0.0 && t.is_finite()).map(|&t| f64::from(t)).collect();
    (!set.is_empty()).then(|| set.iter().sum::<f64>() / set.len() as f64)
}

/// Parameters with what θ [F] is for the objective.
fn begin(mut p: Parameters, theta: &[f32], plan: &DictionaryPlan, recipe: &Recipe) -> Training {
    match plan.objective {
        Objective::JumpRelu { .. } => {
            p.threshold = Some(match recipe.threshold {
                Threshold::Raw => theta.to_vec(),
                Threshold::Log => theta.iter().map(|&t| f64::from(t.max(1e-6)).ln() as f32).collect(),
            });
        }
        Objective::Gated => {
            p.b_mag = Some(p.b_enc.clone());
            p.b_enc.iter_mut().zip(theta).for_each(|(b, t)| *b -= t);
        }
        Objective::L1 | Objective::TopK { .. } | Objective::BatchTopK { .. } => {}
    }
    let mut training = Training::new(p, plan, recipe.beta1);
    if let Objective::BatchTopK { .. } = plan.objective {
        training.running.threshold = mean_threshold(theta); // until it is fitted
    }
    training
}
