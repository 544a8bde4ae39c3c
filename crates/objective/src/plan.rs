//! One dictionary, explicit: what it reads, what it reconstructs, what it minimises.

use crate::{Objective, Transcoder};
use lapidary_dictionary::Baseline;
use serde::{Deserialize, Serialize};

/// One dictionary of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DictionaryPlan {
    /// Unique within the run; names its folder and its tensors in checkpoints.
    pub name: String,
    /// The site it reads and reconstructs.
    pub site: String,
    /// D, width of the site.
    pub d: usize,
    /// F, features.
    pub width: usize,
    /// λ, weight of the sparsity term after its warm-up; 0 where k sets the sparsity.
    pub lambda: f64,
    /// C of the site: E‖x/C‖² = 1.
    pub c: f64,
    /// θ before the first step.
    pub theta_init: f32,
    /// ε, width of its straight-through window, where it is not the recipe's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<f32>,
    /// Rows whose s − b_dec is longer than this count less, as `row_weights.rs` says; none: all count alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_cap: Option<f64>,
    /// What was measured where it reads, before the first step; b_dec then begins at the mean row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Set where it is trained to be beaten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What it minimises.
    #[serde(default = "gemma_scope", skip_serializing_if = "Objective::is_gemma_scope")]
    pub objective: Objective,
    /// Nested widths, ascending to F, each trained to be a dictionary; none: the whole alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<usize>,
    /// What it reconstructs, if not what it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcoder: Option<Transcoder>,
    /// The L0 that a controller finds λ for; `lambda` is then where λ begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_l0: Option<f64>,
    /// Hash of the dictionary that it begins as, if it does not begin at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
}

/// What was measured at the site that a dictionary reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// How many rows, the first of the order.
    pub rows: u64,
    /// ‖μ‖² in units of E‖x‖².
    pub mean_share: f64,
    /// Share of the three widest dimensions in E‖x − μ‖².
    pub outlier_share: f64,
    /// Median of ‖x − μ‖/√D, in units of √E‖x‖².
    pub spread: f64,
    /// Share of the rows that are longer than ten medians, ‖x − μ‖, in E‖x − μ‖²; not known of older plans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_rows_share: Option<f64>,
}

fn gemma_scope() -> Objective {
    Objective::GEMMA_SCOPE
}

impl DictionaryPlan {
    /// A JumpReLU dictionary of `width` features on rows `[N, d]` of a site, with C = θ = 1 and λ = 0.001; a plan's other keys are set
    /// by name: `DictionaryPlan { lambda, ..DictionaryPlan::new(…) }`.
    pub fn new(name: &str, site: &str, d: usize, width: usize) -> DictionaryPlan {
        DictionaryPlan {
            name: name.into(),
            site: site.into(),
            d,
            width,
            lambda: 0.001,
            c: 1.0,
            theta_init: 1.0,
            bandwidth: None,
            row_cap: None,
            measured: None,
            baseline: None,
            objective: Objective::GEMMA_SCOPE,
            prefixes: Vec::new(),
            transcoder: None,
            target_l0: None,
            start: None,
        }
    }

    /// The rows that it is trained on, as their source calls them.
    pub fn row_set(&self) -> String {
        row_set(&self.site, self.baseline)
    }

    /// The rows that it is to reconstruct.
    pub fn output_row_set(&self) -> String {
        let output = self.transcoder.as_ref().map_or(&self.site, |t| &t.output);
        row_set(output, self.baseline)
    }

    /// D_out
    pub fn d_out(&self) -> usize {
        self.transcoder.as_ref().map_or(self.d, |t| t.d_out)
    }

    /// What the rows to be reconstructed are divided by.
    pub fn c_out(&self) -> f64 {
        self.transcoder.as_ref().map_or(self.c, |t| t.c_out)
    }

    /// Is b_dec taken off the input? Not in a transcoder.
    pub fn has_pre_bias(&self) -> bool {
        self.transcoder.is_none()
    }

    /// Is W_dec trained?
    pub fn trains_decoder(&self) -> bool {
        !matches!(self.baseline, Some(Baseline::FrozenDecoder | Baseline::Random))
    }

    /// Are W_enc and b_enc trained?
    pub fn trains_encoder(&self) -> bool {
        !matches!(self.baseline, Some(Baseline::FrozenEncoder | Baseline::Random))
    }

    /// An autoencoder of F = `width` on D = `d` for tests.
    #[cfg(test)]
    pub(crate) fn test(d: usize, width: usize) -> DictionaryPlan {
        let new = DictionaryPlan::new("a", "0.res", d, width);
        DictionaryPlan { lambda: 0.01, c: 1.5, theta_init: 0.02, ..new }
    }
}

/// What a source calls the rows of a site: the site, or `2.res@random-lm` for the rows of the randomised model there.
pub fn row_set(site: &str, baseline: Option<Baseline>) -> String {
    match baseline {
        Some(random @ Baseline::RandomLm) => format!("{site}@{random}"),
        Some(Baseline::FrozenDecoder | Baseline::FrozenEncoder | Baseline::Random) | None => site.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AuxK;

    /// Plans from before there were baselines read, and keep their bytes and with them their hash.
    #[test]
    fn what_is_no_baseline_says_nothing_of_it() {
        let before =
            r#"{"name":"a","site":"3.res","d":4,"width":8,"lambda":0.001,"c":1.5,"theta_init":0.25}"#;
        let mut plan: DictionaryPlan = serde_json::from_str(before).unwrap();
        assert_eq!(serde_json::to_string(&plan).unwrap(), before);
        assert_eq!((plan.baseline, plan.row_set().as_str()), (None, "3.res"));
        plan.baseline = Some(Baseline::RandomLm);
        assert_eq!(plan.row_set(), "3.res@random-lm");
        plan.baseline = Some(Baseline::FrozenDecoder);
        assert_eq!(plan.row_set(), "3.res");
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(text, before.replace('}', r#","baseline":"frozen-decoder"}"#));
        assert_eq!(serde_json::from_str::<DictionaryPlan>(&text).unwrap(), plan);
    }

    /// A plan says what differs from Gemma Scope's objective, and reads it back.
    #[test]
    fn objectives_read_back() {
        let aux = Some(AuxK::new(64, 1 << 20));
        let objectives = [
            Objective::TopK { k: 32, aux },
            Objective::BatchTopK { k: 32, aux: None },
            Objective::Gated,
            Objective::L1,
            Objective::gemma_scope_2(50.0),
            Objective::anthropic(64),
        ];
        for objective in objectives {
            let transcoder = Transcoder { output: "0.mlp".into(), d_out: 5, c_out: 2.0, skip: true };
            let plan = DictionaryPlan {
                objective,
                prefixes: vec![4, 8],
                transcoder: Some(transcoder),
                target_l0: Some(20.0),
                ..DictionaryPlan::test(4, 8)
            };
            let text = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<DictionaryPlan>(&text).unwrap(), plan, "{text}");
            assert_eq!((plan.output_row_set().as_str(), plan.d_out()), ("0.mlp", 5));
            let unknown = text.replace("\"kind\":\"", "\"kind\":\"un");
            assert!(serde_json::from_str::<DictionaryPlan>(&unknown).is_err());
        }
    }
}
