//! What an atlas says, as plain data: the suite, lists of features, the page of one. Names are those of the HTTP routes, so that a
//! server writes them out as they are.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A suite: its model, text and dictionaries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuitePage {
    /// What people call it.
    pub name: String,
    /// In a sentence or two.
    pub description: String,
    /// Whose activations these are.
    pub model: ModelInfo,
    /// What the features were looked at on.
    pub text: TextInfo,
    /// Is it known what is true of every token?
    pub has_truth: bool,
    /// Scores that at least one dictionary has.
    pub scores: Vec<ScoreColumn>,
    /// In the order of the model's run.
    pub dictionaries: Vec<DictionaryInfo>,
    /// What a reader would not expect, a sentence each.
    pub notes: Vec<String>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelInfo {
    /// Its name in the ids of features.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// L.
    pub layers: usize,
    /// D.
    pub width: usize,
    /// H.
    pub heads: usize,
    /// V.
    pub vocab: usize,
    /// blake3 of its weights.
    pub hash: String,
}

/// A text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TextInfo {
    /// What people call it.
    pub name: String,
    /// Documents that were read.
    pub documents: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Positions that are no special token: what densities are shares of.
    pub rows: u64,
    /// Tokens per window, BOS included.
    pub context: usize,
    /// Which documents: held-out, train, …
    pub split: String,
    /// blake3 over the documents.
    pub hash: String,
    /// What becomes of BOS and other special tokens.
    pub special_tokens_policy: String,
}

/// A score that dictionaries may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScoreColumn {
    /// Its key in [`DictionaryInfo::scores`].
    pub key: String,
    /// What tables call it.
    pub label: String,
    /// Of its values; empty for a share.
    pub unit: String,
    /// "lower", "higher" or "none".
    pub better: String,
}

/// A dictionary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DictionaryInfo {
    /// `LAYER-SET`, its name in the ids of features.
    pub source: String,
    /// What it reads.
    pub site: String,
    /// What it writes; the site but for a transcoder.
    pub site_out: String,
    /// Of its site; none at the embedding.
    pub layer: Option<usize>,
    /// Of its site.
    pub kind: String,
    /// As its run or folder calls it.
    pub name: String,
    /// `JumpReLU`, `TopK`, `Gated`.
    pub architecture: String,
    /// F.
    pub features: usize,
    /// D, the width of its site.
    pub width: usize,
    /// Features that fired at least once.
    pub alive: usize,
    /// Mean features per row, by the atlas's own pass.
    pub mean_active: f64,
    /// By key; none where it is not finite.
    pub scores: BTreeMap<String, Option<f64>>,
    /// 95 % intervals of some of these.
    pub intervals: BTreeMap<String, [f64; 2]>,
    /// blake3 of its weights.
    pub weights: String,
}

/// A feature in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeatureRow {
    /// Its number.
    pub index: u32,
    /// Share of rows in which it fires.
    pub density: f64,
    /// Its largest value.
    pub max: f32,
    /// The first of its explanations.
    pub explanation: Option<String>,
    /// The token at which it most often fires most.
    pub top_token: String,
    /// Of the variable that it matches best, where the truth is known.
    pub f1: Option<f64>,
}

/// Part of a sorted list of a dictionary's features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeatureList {
    /// The dictionary.
    pub source: String,
    /// Features that were asked for, in all.
    pub total: u64,
    /// The first of these that is listed.
    pub offset: u64,
    /// The list.
    pub features: Vec<FeatureRow>,
}

/// All about a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeaturePage {
    /// `MODEL/SOURCE/INDEX`
    pub id: String,
    /// The model's name.
    pub model: String,
    /// The dictionary's.
    pub source: String,
    /// What the dictionary reads.
    pub site: String,
    /// Its number.
    pub index: u32,
    /// F.
    pub features: usize,
    /// Share of rows in which it fires.
    pub density: f64,
    /// Rows in which it fires.
    pub count: u64,
    /// Its largest value.
    pub max: f32,
    /// Did it never fire?
    pub dead: bool,
    /// Its values above 0.
    pub histogram: Histogram,
    /// What its direction says of the next token; none where it does not write into the residual stream, or is 0.
    pub logits: Option<Logits>,
    /// Where it fires.
    pub contexts: Contexts,
    /// Features with a similar direction.
    pub neighbours: Neighbours,
    /// Features that fire with it.
    pub correlated: Correlations,
    /// At attention's heads: whose output it is.
    pub heads: Option<Vec<HeadShare>>,
    /// What people and programs say that it means, the best first.
    pub explanations: Vec<Explanation>,
    /// The variable that it matches best, where the truth is known.
    pub truth: Option<TruthMatch>,
    /// The feature before it.
    pub previous: Option<u32>,
    /// The feature after it.
    pub next: Option<u32>,
}

/// Counts between edges; each bin is half-open, [a, b).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Histogram {
    /// [n + 1], ascending; empty for no counts.
    pub edges: Vec<f64>,
    /// [n]
    pub counts: Vec<u64>,
}

/// Direct logit effects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Logits {
    /// These are with the final norm's gain.
    pub with_gain: bool,
    /// Tokens that it raises most.
    pub top: Vec<TokenEffect>,
    /// Tokens that it lowers most.
    pub bottom: Vec<TokenEffect>,
    /// Over the vocabulary.
    pub histogram: Histogram,
    /// The same without the gain, as peers show it.
    pub without_gain: TokenEffects,
    /// What is left out.
    pub note: String,
}

/// The ends of a list of effects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenEffects {
    /// Raised most.
    pub top: Vec<TokenEffect>,
    /// Lowered most.
    pub bottom: Vec<TokenEffect>,
}

/// A token and what the feature adds to its logit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenEffect {
    /// Its text.
    pub token: String,
    /// Its id.
    pub id: u32,
    /// For a unit of the feature's value.
    pub value: f32,
}

/// Places where it fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Contexts {
    /// Strongest first, one of each document.
    pub top: Vec<Context>,
    /// A uniform sample of its firings, by strength, the strongest first.
    pub quantiles: Vec<Quantile>,
}

/// Part of its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quantile {
    /// They begin here,
    pub low: f64,
    /// and are below this.
    pub high: f64,
    /// Of its firings.
    pub share: f64,
    /// Some of them.
    pub contexts: Vec<Context>,
}

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Context {
    /// Which document.
    pub document: u32,
    /// Number in the document of the first token that is shown.
    pub start: u32,
    /// Byte-exact pieces; one that is empty is the beginning of a character that a later one shows.
    #[schema(value_type = Vec<String>)]
    pub tokens: Vec<CompactString>,
    /// The feature's value at each; 0: silent.
    pub values: Vec<f32>,
    /// Which token the place is.
    pub peak: usize,
    /// The value there.
    pub max: f32,
    /// What is true of each token at which it fires, where that is known; empty elsewhere, where nobody asks and pages would be ten
    /// times as long.
    pub truth: Option<Vec<String>>,
}

/// Features with a similar direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Neighbours {
    /// In its own dictionary.
    pub same: Vec<Similar>,
    /// In others.
    pub across: Vec<Similar>,
}

/// A feature with a similar direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Similar {
    /// Its dictionary.
    pub source: String,
    /// Its number.
    pub index: u32,
    /// Of the decoder rows.
    pub cosine: f32,
    /// The first of its explanations.
    pub explanation: Option<String>,
}

/// Features that fire with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Correlations {
    /// Are these the most correlated of all, exactly?
    pub exact: bool,
    /// If not, a coefficient may be too small by this much.
    pub error_bound: Option<f32>,
    /// The most correlated first; without the feature itself.
    pub features: Vec<Correlation>,
}

/// A feature that fires with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Correlation {
    /// Its number.
    pub index: u32,
    /// Pearson's r of the values over rows, zeros included.
    pub pearson: f32,
}

/// A head and its part in a decoder row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeadShare {
    /// Which.
    pub head: usize,
    /// ‖its part‖ over the sum of all parts' lengths.
    pub share: f32,
}

/// What somebody says that a feature means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// In words.
    pub text: String,
    /// Who says it.
    pub author: String,
    /// How it was found.
    pub method: String,
    /// How good it is, if that was measured.
    pub score: Option<f64>,
    /// What the score is: `F1`, …
    pub score_name: String,
    /// On what, and against what.
    pub how_measured: String,
}

/// A variable that a feature matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TruthMatch {
    /// Its name.
    pub variable: String,
    /// Of firing and truth, over all rows.
    pub f1: f64,
    /// Share of firings where it is true.
    pub precision: f64,
    /// Share of where it is true in which the feature fires.
    pub recall: f64,
    /// In plain words.
    pub phrase: String,
}

/// Features that a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchPage {
    /// What was asked.
    pub query: String,
    /// Found in all.
    pub total: u64,
    /// Why nothing was found.
    pub note: Option<String>,
    /// Part of them.
    pub results: Vec<Found>,
}

/// A feature that a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Found {
    /// Its dictionary.
    pub source: String,
    /// Its number.
    pub index: u32,
    /// The explanation that was found, or its first.
    pub explanation: Option<String>,
    /// Share of rows in which it fires.
    pub density: f64,
    /// Its largest value.
    pub max: f32,
    /// The token at which it most often fires most.
    pub top_token: String,
    /// Why it was found.
    pub why: String,
    /// Of the explanation that was found.
    pub score: Option<f64>,
    /// What the score is: `F1`, …
    pub score_name: String,
}

/// A feature's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeatureName {
    /// Its dictionary.
    pub source: String,
    /// Its number.
    pub index: u32,
}
