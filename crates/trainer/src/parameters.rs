//! What training changes: the parameters of one dictionary, their second moments, and who was touched when.

use crate::{DictionaryPlan, Recipe, Threshold};
use lapidary_dictionary::{Dictionary, Units, fold};
use lapidary_kernels::elementwise;

/// Parameters in training units: x' = x/C − b_dec, z = W_enc x' + b_enc, x̂ = C·(W_decᵀ f + b_dec).
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// [F, D]
    pub w_enc: Vec<f32>,
    /// [F]
    pub b_enc: Vec<f32>,
    /// [F], θ or log θ, as the recipe says.
    pub threshold: Vec<f32>,
    /// [F, D], rows of unit norm.
    pub w_dec: Vec<f32>,
    /// [D]
    pub b_dec: Vec<f32>,
}

/// Why and where a dictionary was given up; its parameters are those before that step.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stopped {
    /// The step whose loss was not finite.
    pub step: u64,
    /// What was seen.
    pub reason: String,
}

/// One dictionary in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// What is trained.
    pub parameters: Parameters,
    /// Adam's second moments, of the same shapes.
    pub moments: Parameters,
    /// [F], 1 + the last step in which the feature was active: the age of the moments of W_enc, W_dec and b_enc. 0: never.
    pub active_stamp: Vec<u32>,
    /// [F], 1 + the last step in which a pre-activation lay inside the window: the age of θ's moment. 0: never.
    pub window_stamp: Vec<u32>,
    /// Entries that the last step's encoder kept: how the next step cuts its features into blocks. Changes no bit, and is
    /// not part of a checkpoint.
    pub entries: Option<usize>,
    /// Set when the loss became NaN or infinite.
    pub stopped: Option<Stopped>,
}

impl Parameters {
    /// All zero.
    pub fn zeros(d: usize, f: usize) -> Parameters {
        Parameters {
            w_enc: vec![0.0; f * d],
            b_enc: vec![0.0; f],
            threshold: vec![0.0; f],
            w_dec: vec![0.0; f * d],
            b_dec: vec![0.0; d],
        }
    }

    /// θ [F].
    pub fn theta(&self, parameterisation: Threshold) -> Vec<f32> {
        match parameterisation {
            Threshold::Raw => self.threshold.clone(),
            Threshold::Log => self.threshold.iter().map(|&t| elementwise::exp(t)).collect(),
        }
    }

    /// The five tensors by name, with their shapes, in a fixed order.
    pub fn tensors(&self) -> [(&'static str, Vec<usize>, &[f32]); 5] {
        let (f, d) = (self.b_enc.len(), self.b_dec.len());
        [
            ("w_enc", vec![f, d], &self.w_enc),
            ("b_enc", vec![f], &self.b_enc),
            ("threshold", vec![f], &self.threshold),
            ("w_dec", vec![f, d], &self.w_dec),
            ("b_dec", vec![d], &self.b_dec),
        ]
    }

    /// The same tensors, to be filled.
    pub fn tensors_mut(&mut self) -> [(&'static str, &mut Vec<f32>); 5] {
        [
            ("w_enc", &mut self.w_enc),
            ("b_enc", &mut self.b_enc),
            ("threshold", &mut self.threshold),
            ("w_dec", &mut self.w_dec),
            ("b_dec", &mut self.b_dec),
        ]
    }
}

impl Training {
    /// Before step 0.
    pub fn new(parameters: Parameters) -> Training {
        let (f, d) = (parameters.b_enc.len(), parameters.b_dec.len());
        Training {
            parameters,
            moments: Parameters::zeros(d, f),
            active_stamp: vec![0; f],
            window_stamp: vec![0; f],
            entries: None,
            stopped: None,
        }
    }

    /// The dictionary in raw units (NUMERICS §6).
    pub fn dictionary(&self, plan: &DictionaryPlan, recipe: &Recipe) -> Dictionary {
        let p = &self.parameters;
        let theta = p.theta(recipe.threshold);
        fold(&p.w_enc, &p.b_enc, &theta, &p.w_dec, &p.b_dec, Units { c: plan.c, pre_bias: true })
    }
}
