//! What training changes: the parameters of one dictionary, their moments, and who was touched when.

use crate::slot::Slot;
use crate::{DictionaryPlan, Objective, Threshold};
use lapidary_kernels::elementwise;

/// The tensors of a dictionary, each a `T`; those that its objective does not have are none. In training units: x' = x/C − b_dec,
/// z = W_enc x' + b_enc, x̂ = C·(W_decᵀ f + b_dec).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensors<T> {
    /// [F, D]
    pub w_enc: T,
    /// [F]
    pub b_enc: T,
    /// [F], θ or log θ, as the rates say.
    pub threshold: Option<T>,
    /// [F, D_out], rows of unit norm.
    pub w_dec: T,
    /// [D_out]
    pub b_dec: T,
    /// r [F] of a gated dictionary. (Its b_enc is b_gate.)
    pub r_mag: Option<T>,
    /// [F] of a gated dictionary.
    pub b_mag: Option<T>,
    /// [D_out, D] of a transcoder with a skip.
    pub w_skip: Option<T>,
}

/// What is trained, by itself.
pub type Parameters = Tensors<Vec<f32>>;

/// What is trained, to be read.
pub type View<'a> = Tensors<&'a [f32]>;

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
    /// L0 of the last step, for the controller.
    pub last_l0: Option<f64>,
    /// Running mean of ‖ŝ − s‖², for the controller.
    pub mse: Option<f64>,
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
    /// What is trained, with its moments.
    pub slots: Tensors<Slot>,
    /// [F], 1 + the last step in which W_enc, W_dec and b_enc had a gradient: the age of their moments. 0: never.
    pub active_stamp: Vec<u32>,
    /// [F], 1 + the last step in which θ had a gradient: the age of its moment. 0: never.
    pub window_stamp: Vec<u32>,
    /// [F], 1 + the last step in which the feature fired; none where that is `active_stamp`.
    pub fired_stamp: Option<Vec<u32>>,
    /// The controller's and BatchTopK's memory.
    pub running: Running,
    /// Of the last step.
    pub hints: Hints,
    /// Set when it was given up: a loss that is not finite, an error beyond all measure, parameters that are not finite.
    pub stopped: Option<Stopped>,
}

impl<T> Tensors<T> {
    /// Every tensor made another thing.
    pub fn map<U>(self, mut of: impl FnMut(T) -> U) -> Tensors<U> {
        Tensors {
            w_enc: of(self.w_enc),
            b_enc: of(self.b_enc),
            threshold: self.threshold.map(&mut of),
            w_dec: of(self.w_dec),
            b_dec: of(self.b_dec),
            r_mag: self.r_mag.map(&mut of),
            b_mag: self.b_mag.map(&mut of),
            w_skip: self.w_skip.map(&mut of),
        }
    }

    /// All of them, to be read.
    pub fn each(&self) -> Tensors<&T> {
        Tensors {
            w_enc: &self.w_enc,
            b_enc: &self.b_enc,
            threshold: self.threshold.as_ref(),
            w_dec: &self.w_dec,
            b_dec: &self.b_dec,
            r_mag: self.r_mag.as_ref(),
            b_mag: self.b_mag.as_ref(),
            w_skip: self.w_skip.as_ref(),
        }
    }

    /// All of them, to be changed.
    pub fn each_mut(&mut self) -> Tensors<&mut T> {
        Tensors {
            w_enc: &mut self.w_enc,
            b_enc: &mut self.b_enc,
            threshold: self.threshold.as_mut(),
            w_dec: &mut self.w_dec,
            b_dec: &mut self.b_dec,
            r_mag: self.r_mag.as_mut(),
            b_mag: self.b_mag.as_mut(),
            w_skip: self.w_skip.as_mut(),
        }
    }

    /// The tensors that this dictionary has, by name, in a fixed order.
    pub fn named(self) -> impl Iterator<Item = (&'static str, T)> {
        let all = [
            ("w_enc", Some(self.w_enc)),
            ("b_enc", Some(self.b_enc)),
            ("threshold", self.threshold),
            ("w_dec", Some(self.w_dec)),
            ("b_dec", Some(self.b_dec)),
            ("r_mag", self.r_mag),
            ("b_mag", self.b_mag),
            ("w_skip", self.w_skip),
        ];
        all.into_iter().filter_map(|(name, tensor)| Some((name, tensor?)))
    }
}

impl<T: AsRef<[f32]>> Tensors<T> {
    /// Their values.
    pub fn view(&self) -> View<'_> {
        self.each().map(AsRef::as_ref)
    }

    /// The tensors that this dictionary has, by name, with their shapes, in the order of [`Tensors::named`].
    pub fn tensors(&self) -> impl Iterator<Item = (&'static str, Vec<usize>, &T)> {
        let (f, d_out) = (self.b_enc.as_ref().len(), self.b_dec.as_ref().len());
        let d = self.w_enc.as_ref().len() / f.max(1);
        let shape = move |name: &str| match name {
            "w_enc" => vec![f, d],
            "w_dec" => vec![f, d_out],
            "b_dec" => vec![d_out],
            "w_skip" => vec![d_out, d],
            _ => vec![f],
        };
        self.each().named().map(move |(name, tensor)| (name, shape(name), tensor))
    }

    /// θ [F], where the objective has thresholds.
    pub fn theta(&self, parameterisation: Threshold) -> Option<Vec<f32>> {
        let threshold = self.threshold.as_ref()?.as_ref();
        Some(match parameterisation {
            Threshold::Raw => threshold.to_vec(),
            Threshold::Log => threshold.iter().map(|&t| elementwise::exp(t)).collect(),
        })
    }
}

impl Parameters {
    /// All zero, with the tensors that the plan's objective has.
    pub fn zeros(plan: &DictionaryPlan) -> Parameters {
        let (f, d, d_out) = (plan.width, plan.d, plan.d_out());
        let features = |has: bool| has.then(|| vec![0.0; f]);
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
            w_skip: skip.then(|| vec![0.0; d_out * d]),
        }
    }
}

impl Training {
    /// Before step 0; first moments are kept where `beta1` is above 0.
    pub fn new(parameters: Parameters, plan: &DictionaryPlan, beta1: f64) -> Training {
        let stamps = || vec![0; plan.width];
        Training {
            slots: parameters.map(|p| Slot::new(p, beta1)),
            active_stamp: stamps(),
            window_stamp: stamps(),
            fired_stamp: plan.objective.moves_silent_features().then(stamps),
            running: Running::default(),
            hints: Hints::default(),
            stopped: None,
        }
    }

    /// What is trained.
    pub fn parameters(&self) -> View<'_> {
        self.slots.view()
    }

    /// [F], 1 + the last step in which each feature fired. 0: never.
    pub fn fired(&self) -> &[u32] {
        self.fired_stamp.as_ref().unwrap_or(&self.active_stamp)
    }
}
