//! Requests and answers of our own routes, as plain data.

use crate::error::Refusal;
use lapidary_splice::{Asked, Method};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which features are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `index`, `density`, `max` or `f1`.
    pub(super) sort: Option<String>,
    /// `asc` or `desc`; if neither, numbers from the lowest, all else from the largest.
    pub(super) order: Option<String>,
    /// Lowest share of tokens at which it fires.
    pub(super) min_density: Option<f64>,
    /// Highest share.
    pub(super) max_density: Option<f64>,
    /// Lowest of the largest values.
    pub(super) min_max: Option<f64>,
    /// Lowest score of its best explanation.
    pub(super) min_score: Option<f64>,
    /// Only features that fire?
    pub(super) alive: Option<bool>,
    /// How many are skipped.
    pub(super) offset: Option<u64>,
    /// How many are listed.
    pub(super) limit: Option<u64>,
}

/// Of which dictionary.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct SourceQuery {
    /// Of any, if none is named.
    pub(super) source: Option<String>,
}

/// What is searched.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// Words or a token.
    pub(super) q: String,
    /// `explanation` or `token`.
    pub(super) kind: Option<String>,
    /// Only in this dictionary.
    pub(super) source: Option<String>,
    /// `density`, `max`, `index` or `f1`; if none, what fits best comes first.
    pub(super) sort: Option<String>,
    /// `asc` or `desc`; if neither, numbers from the lowest, all else from the largest.
    pub(super) order: Option<String>,
    /// Lowest share of tokens at which it fires.
    pub(super) min_density: Option<f64>,
    /// Highest share.
    pub(super) max_density: Option<f64>,
    /// Lowest of the largest values.
    pub(super) min_max: Option<f64>,
    /// Lowest score of the explanation that is found; by a token, of any of the feature's.
    pub(super) min_score: Option<f64>,
    /// How many are skipped.
    pub(super) offset: Option<u64>,
    /// How many are listed.
    pub(super) limit: Option<u64>,
}

/// A text for the microscope, or for one feature.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ActivationsRequest {
    pub(super) text: String,
    /// Only this dictionary.
    pub(super) source: Option<String>,
    /// Only this feature of it.
    pub(super) index: Option<u32>,
    /// Strongest features that are listed at each token.
    #[serde(default = "five")]
    pub(super) features_per_token: usize,
    /// Features of a higher density are left out.
    #[serde(default = "a_fifth")]
    pub(super) hide_dense_above: f64,
}

fn five() -> usize {
    5
}

fn a_fifth() -> f64 {
    0.2
}

/// What fires at the tokens of a text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Microscope {
    /// Byte-exact pieces.
    pub(super) tokens: Vec<String>,
    /// Which are special, and fire nothing.
    pub(super) special: Vec<bool>,
    pub(super) sources: Vec<Seen>,
}

/// What fires of one dictionary.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Seen {
    pub(super) source: String,
    pub(super) site: String,
    /// The strongest at each token.
    pub(super) tokens: Vec<Vec<Firing>>,
}

/// A feature at a token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Firing {
    pub(super) index: u32,
    pub(super) value: f32,
    pub(super) density: f64,
    pub(super) explanation: Option<String>,
}

/// One feature at the tokens of a text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tested {
    pub(super) tokens: Vec<String>,
    pub(super) special: Vec<bool>,
    /// 0 where it is silent.
    pub(super) values: Vec<f32>,
}

/// A text whose features are wanted.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct TextSearch {
    pub(super) text: String,
    /// Only these dictionaries.
    #[serde(default)]
    pub(super) sources: Vec<String>,
    /// Sort by the value at this token, not by the largest.
    pub(super) sort_token: Option<usize>,
    /// Features of a higher density are left out.
    pub(super) max_density: Option<f64>,
    pub(super) limit: Option<usize>,
}

/// Features of a text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TextFound {
    pub(super) tokens: Vec<String>,
    pub(super) results: Vec<TextHit>,
}

/// A feature of a text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TextHit {
    pub(super) source: String,
    pub(super) index: u32,
    pub(super) values: Vec<f32>,
    pub(super) max: f32,
    pub(super) explanation: Option<String>,
    pub(super) density: f64,
}

/// A feature whose like are wanted.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct SimilarRequest {
    pub(super) source: String,
    pub(super) index: u32,
    pub(super) limit: Option<usize>,
}

/// A continuation with and without interventions.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(super) struct SteerRequest {
    pub(super) prompt: String,
    pub(super) features: Vec<SteeredFeature>,
    /// `all`, `prompt` or `answer`.
    #[serde(default = "all")]
    pub(super) positions: String,
    /// Keep what the dictionary does not explain?
    #[serde(default = "yes")]
    pub(super) keep_error: bool,
    #[serde(default = "forty_eight")]
    pub(super) max_tokens: usize,
    #[serde(default)]
    pub(super) temperature: f64,
    #[serde(default = "one")]
    pub(super) top_p: f64,
    #[serde(default)]
    pub(super) seed: u64,
}

fn all() -> String {
    "all".into()
}

fn yes() -> bool {
    true
}

fn forty_eight() -> usize {
    48
}

fn one() -> f64 {
    1.0
}

/// An intervention.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(super) struct SteeredFeature {
    pub(super) source: String,
    pub(super) index: u32,
    /// `add`, `clamp`, `cap`, `orthogonal` or `ablate`.
    pub(super) method: String,
    #[serde(default)]
    pub(super) strength: f32,
}

impl SteeredFeature {
    pub(super) fn asked(&self) -> Result<Asked, Refusal> {
        let method: Method = self.method.parse()?;
        Ok(Asked {
            source: self.source.clone(),
            feature: self.index as usize,
            method,
            strength: self.strength,
        })
    }
}

/// A feature at several strengths.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(super) struct SweepRequest {
    pub(super) prompt: String,
    pub(super) feature: SteeredFeature,
    pub(super) strengths: Vec<f32>,
    #[serde(default = "all")]
    pub(super) positions: String,
    #[serde(default = "forty_eight")]
    pub(super) max_tokens: usize,
    #[serde(default)]
    pub(super) temperature: f64,
    #[serde(default)]
    pub(super) seed: u64,
}

/// The plots of a suite.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Plots {
    pub(super) pareto: Vec<ParetoPoint>,
    pub(super) notes: Vec<String>,
}

/// A dictionary in the plot of sparsity against fidelity, with 95 % intervals over documents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParetoPoint {
    pub(super) source: String,
    pub(super) site: String,
    pub(super) l0: f64,
    pub(super) l0_ci: Option<[f64; 2]>,
    pub(super) fvu: Option<f64>,
    pub(super) fvu_ci: Option<[f64; 2]>,
    pub(super) delta_loss: Option<f64>,
    pub(super) delta_loss_ci: Option<[f64; 2]>,
}
