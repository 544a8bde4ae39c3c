//! What training changes: the parameters of one dictionary, their moments, and who was touched when.

use crate::{DictionaryPlan, Objective, Threshold};
use lapidary_kernels::elementwise;

/// Parameters in training units: x' = x/C − b_dec, z = W_enc x' + b_enc, x̂ = C·(W_decᵀ f + b_dec).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// [F, D]
    pub w_enc: Vec<f32>,
    /// [F]
    pub b_enc: Vec<f32>,
    /// [F], θ or log θ, as the rates say; empty where the objective has none.
    pub threshold: Vec<f32>,
    /// [F, D_out], rows of unit norm.
    pub w_dec: Vec<f32>,
    /// [D_out]
    pub b_dec: Vec<f32>,
    /// r [F] of a gated dictionary, else empty. (Its b_enc is b_gate.)
    pub r_mag: Vec<f32>,
    /// [F] of a gated dictionary, else empty.
    pub b_mag: Vec<f32>,
    /// [D_out, D] of a transcoder with a skip, else empty.
    pub w_skip: Vec<f32>,
}

/// Why and where a dictionary was given up; its parameters are those before that step, or those that the last one left.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stopped {
    /// The step in which it was seen.
    pub step: u64,
    /// What was seen.
    pub reason: String,
}

/// What a run remembers beside parameters; part of a checkpoint where it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Running {
    /// log(λ/λ of the plan), moved by the controller.
    pub log_lambda: f64,
    /// Running mean of L0, for the controller.
    pub l0: Option<f64>,
    /// θ of BatchTopK, fitted after the last step.
    pub threshold: Option<f64>,
}

/// What the last step saw: how the next one goes about its work. Changes no bit, and is not part of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hints {
    /// Entries that the encoder kept: how features are cut into blocks.
    pub entries: Option<usize>,
    /// Where a top-k objective begins to look.
    pub guess: f32,
}

/// One dictionary in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// What is trained.
    pub parameters: Parameters,
    /// Adam's first moments, of the same shapes; all empty where β₁ = 0.
    pub means: Parameters,
    /// Adam's second moments, of the same shapes.
    pub moments: Parameters,
    /// [F], 1 + the last step in which W_enc, W_dec and b_enc had a gradient: the age of their moments. 0: never.
    pub active_stamp: Vec<u32>,
    /// [F], 1 + the last step in which θ had a gradient: the age of its moment. 0: never.
    pub window_stamp: Vec<u32>,
    /// [F], 1 + the last step in which the feature fired; empty where that is `active_stamp`.
    pub fired_stamp: Vec<u32>,
    /// The controller's and BatchTopK's memory.
    pub running: Running,
    /// Of the last step.
    pub hints: Hints,
    /// Set when it was given up: a loss that is not finite, an error beyond all measure, parameters that are not finite.
    pub stopped: Option<Stopped>,
}

impl Parameters {
    /// All zero, with the tensors that the plan's objective has.
    pub fn zeros(plan: &DictionaryPlan) -> Parameters {
        let (f, d, d_out) = (plan.width, plan.d, plan.d_out());
        let features = |has: bool| vec![0.0; if has { f } else { 0 }];
        let gated = plan.objective == Objective::Gated;
        let skip = plan.transcoder.as_ref().is_some_and(|t| t.skip);
        Parameters {
            w_enc: vec![0.0; f * d],
            b_enc: vec![0.0; f],
            threshold: features(plan.objective.has_thresholds()),
            w_dec: vec![0.0; f * d_out],
            b_dec: vec![0.0; d_out],
            r_mag: features(gated),
            b_mag: features(gated),
            w_skip: vec![0.0; if skip { d_out * d } else { 0 }],
        }
    }

    /// θ [F].
    pub fn theta(&self, parameterisation: Threshold) -> Vec<f32> {
        match parameterisation {
            Threshold::Raw => self.threshold.clone(),
            Threshold::Log => self.threshold.iter().map(|&t| elementwise::exp(t)).collect(),
        }
    }

    /// The tensors that this dictionary has, by name, with their shapes, in a fixed order.
    pub fn tensors(&self) -> Vec<(&'static str, Vec<usize>, &[f32])> {
        let (f, d_out) = (self.b_enc.len(), self.b_dec.len());
        let d = self.w_enc.len() / f.max(1);
        let all = [
            ("w_enc", vec![f, d], self.w_enc.as_slice()),
            ("b_enc", vec![f], &self.b_enc),
            ("threshold", vec![f], &self.threshold),
            ("w_dec", vec![f, d_out], &self.w_dec),
            ("b_dec", vec![d_out], &self.b_dec),
            ("r_mag", vec![f], &self.r_mag),
            ("b_mag", vec![f], &self.b_mag),
            ("w_skip", vec![d_out, d], &self.w_skip),
        ];
        all.into_iter().filter(|(_, _, values)| !values.is_empty()).collect()
    }

    /// The same tensors, to be filled.
    pub fn tensors_mut(&mut self) -> Vec<(&'static str, &mut Vec<f32>)> {
        let all = [
            ("w_enc", &mut self.w_enc),
            ("b_enc", &mut self.b_enc),
            ("threshold", &mut self.threshold),
            ("w_dec", &mut self.w_dec),
            ("b_dec", &mut self.b_dec),
            ("r_mag", &mut self.r_mag),
            ("b_mag", &mut self.b_mag),
            ("w_skip", &mut self.w_skip),
        ];
        all.into_iter().filter(|(_, values)| !values.is_empty()).collect()
    }
}

impl Training {
    /// Before step 0; first moments are kept where `beta1` is above 0.
    pub fn new(parameters: Parameters, plan: &DictionaryPlan, beta1: f64) -> Training {
        let f = plan.width;
        Training {
            parameters,
            means: if beta1 > 0.0 { Parameters::zeros(plan) } else { Parameters::default() },
            moments: Parameters::zeros(plan),
            active_stamp: vec![0; f],
            window_stamp: vec![0; f],
            fired_stamp: vec![0; if plan.objective.moves_silent_features() { f } else { 0 }],
            running: Running::default(),
            hints: Hints::default(),
            stopped: None,
        }
    }

    /// [F], 1 + the last step in which each feature fired. 0: never.
    pub fn fired(&self) -> &[u32] {
        if self.fired_stamp.is_empty() { &self.active_stamp } else { &self.fired_stamp }
    }
}
