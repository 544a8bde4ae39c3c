//! `evaluation.json`: the scores of a run's dictionaries and what they were measured on.

use crate::ReleaseError;
use crate::error::invalid;
use crate::metrics::{DictionaryMetrics, Pair, Spread};
use crate::partial::Partial;
use crate::transfer::Transfer;
use lapidary_catalog::TextIdentity;
use lapidary_evaluation::Scores;
use lapidary_files::{Identity, hash};
use lapidary_ground_truth::TruthTable;
use lapidary_report::number::{count, significant};
use lapidary_suite::RunPlan;
use lapidary_suite::folder::dictionary_folder;
use lapidary_text::{Corpus, Split};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Version of the layout. Version 1 said neither which documents were scored nor which weights; it has no zero-ablation.
const FORMAT: u32 = 2;
/// Longest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 30;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub struct EvaluationFile {
    /// Version of the layout.
    pub format: u32,
    /// What the dictionaries were spliced into.
    pub model: Identity,
    /// The evaluated documents.
    pub text: TextIdentity,
    /// Which documents these are; none in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scored: Option<Scored>,
    /// Hash of the run's plan; none for dictionaries from elsewhere.
    pub plan_hash: Option<String>,
    /// blake3 of the weights of every scored dictionary of a run, by name; empty for dictionaries from elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, String>,
    /// The scores that are of a dictionary of another model than `model`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<Foreign>,
    /// The dictionaries of a run that a controller of λ did not bring to the L0 that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Missed>,
    /// In the order in which dictionaries were named.
    pub scores: Vec<Scores>,
    /// Scores against the truth, where it is known and was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<TruthTable>,
    /// What else was measured of each, in the order of `scores`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<DictionaryMetrics>,
    /// Dictionaries of one site against each other on the same tokens, and curves at matched L0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
    /// Of dictionaries that differ in their run's seed only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<Spread>,
    /// The dictionaries on another model, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
}

/// A dictionary whose L0 is more than a tenth off the one that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Missed {
    /// Which.
    pub name: String,
    /// The L0 that was asked for.
    pub asked: f64,
    /// That of its scores.
    pub ended: f64,
}

/// How far from the L0 that was asked for is a miss, on these rows.
const MISSED: f64 = 0.1;

impl Missed {
    fn of(scores: &Scores, plan: &RunPlan) -> Option<Missed> {
        let d = plan.training.dictionaries.iter().find(|d| d.name == scores.name)?;
        let (asked, ended) = (d.target_l0?, scores.l0.value);
        let missed = !((ended / asked - 1.0).abs() <= MISSED);
        missed.then(|| Missed { name: d.name.clone(), asked, ended })
    }
}

/// A dictionary that was scored on another model than its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Foreign {
    /// Place of its scores in [`EvaluationFile::scores`]: dictionaries of two runs may have one name.
    pub scores: usize,
    /// The model that it was trained on.
    pub model: Identity,
}

/// Which documents were scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scored {
    /// Held out, of the training, or all.
    pub split: Split,
    /// The text had more windows: only so many, the first, were scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_windows: Option<usize>,
    /// Are these documents of the text that was trained on, by its hash? None: a dictionary does not say, or they differ.
    pub own_text: Option<bool>,
}

impl Scored {
    /// `trained` are the hashes of the texts of training, as far as dictionaries say them.
    pub fn new(
        corpus: &Corpus,
        split: Split,
        max_windows: Option<usize>,
        trained: &[Option<&str>],
    ) -> Scored {
        let own: Vec<Option<bool>> =
            trained.iter().map(|hash| hash.map(|hash| corpus.trained_on(hash))).collect();
        let all_alike = own.windows(2).all(|pair| pair[0] == pair[1]);
        Scored {
            split,
            first_windows: max_windows.filter(|&n| n < corpus.windows.len()),
            own_text: own.first().copied().flatten().filter(|_| all_alike),
        }
    }

    /// `held-out documents`
    fn documents(&self) -> &'static str {
        match self.split {
            Split::HeldOut => "held-out documents",
            Split::Train | Split::NotHeldOut => "documents of the training split",
            Split::Validation => "validation documents",
            Split::All => "documents, held out or not",
        }
    }

    /// What a reader would not expect of scores, one sentence each.
    fn caveats(&self) -> Vec<String> {
        let mut out = Vec::new();
        if let Some(windows) = self.first_windows {
            out.push(format!("Only the first {} windows of the text were scored.", count(windows as u64)));
        }
        out.extend(match (self.own_text, self.split) {
            (Some(true), Split::HeldOut) => None,
            (Some(true), Split::Train | Split::NotHeldOut) => {
                Some("Training saw all of these documents.".to_owned())
            }
            (Some(true), Split::Validation) => {
                Some("Constants may have been chosen on these documents.".into())
            }
            (Some(true), Split::All) => Some("Training saw about three in four of these documents.".into()),
            (Some(false), _) => Some("The text is not the one of the training.".into()),
            (None, _) => Some("Whether training saw these documents is not known.".into()),
        });
        out
    }
}

impl EvaluationFile {
    /// Scores of dictionaries from elsewhere; nobody is foreign.
    pub fn new(model: Identity, text: TextIdentity, scored: Scored, scores: Vec<Scores>) -> Self {
        EvaluationFile {
            format: FORMAT,
            model,
            text,
            scored: Some(scored),
            plan_hash: None,
            weights: BTreeMap::new(),
            foreign: Vec::new(),
            missed: Vec::new(),
            scores,
            truth: None,
            metrics: Vec::new(),
            pairs: Vec::new(),
            spread: Vec::new(),
            transfer: None,
        }
    }

    /// The same as scores of a run: of this plan, and of the weights that now lie in its folder.
    pub fn of_run(self, run: &Path, plan: &RunPlan) -> Result<Self, ReleaseError> {
        let name = |scores: &Scores| Ok((scores.name.clone(), weights_hash(run, &scores.name)?));
        let weights = self.scores.iter().map(name).collect::<Result<_, ReleaseError>>()?;
        let missed = self.scores.iter().filter_map(|scores| Missed::of(scores, plan)).collect();
        Ok(EvaluationFile { plan_hash: Some(plan.hash()), weights, missed, ..self })
    }

    /// As it is saved.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("scores are plain data")
    }

    /// Publishes the file in a run's folder.
    pub fn save(&self, run: &Path) -> Result<(), ReleaseError> {
        lapidary_files::publish(&place(run), self.json().as_bytes())?;
        Partial::remove(run);
        Ok(())
    }

    /// Reads the file of a run, which must be of this plan.
    pub fn read(run: &Path, plan_hash: &str) -> Result<EvaluationFile, ReleaseError> {
        let path = place(run);
        if !path.is_file() {
            invalid!(
                "{}: expected evaluation.json, found none; run `lapidary evaluate {}` first",
                run.display(),
                run.display()
            );
        }
        let text = lapidary_files::read_string(&path, MAX_BYTES)?;
        let broken = |e: serde_json::Error| ReleaseError::Invalid(format!("{}: {e}", path.display()));
        let value: serde_json::Value = serde_json::from_str(&text).map_err(broken)?;
        if !(1..=u64::from(FORMAT)).contains(&value["format"].as_u64().unwrap_or(0)) {
            invalid!(
                "{}: expected format 1 to {FORMAT}, found {}; evaluate again, or use the version that wrote it",
                path.display(),
                value["format"]
            );
        }
        let file: EvaluationFile = serde_json::from_value(value).map_err(broken)?;
        if file.plan_hash.as_deref() != Some(plan_hash) {
            invalid!(
                "{}: expected scores of plan {plan_hash:.16}, found those of {:.16}; evaluate again",
                path.display(),
                file.plan_hash.as_deref().unwrap_or("no plan")
            );
        }
        Ok(file)
    }

    /// The scores of a dictionary of the run, as it now is; none if it was not scored.
    ///
    /// # Errors
    /// The scores are of other weights, or of a version that did not say of which.
    pub fn scores_of(&self, run: &Path, name: &str) -> Result<Option<&Scores>, ReleaseError> {
        let Some(scores) = self.scores.iter().find(|scores| scores.name == name) else { return Ok(None) };
        let found = weights_hash(run, name)?;
        match self.weights.get(name) {
            Some(scored) if *scored == found => Ok(Some(scores)),
            Some(scored) => invalid!(
                "{}: expected scores of {name} as it is ({found:.12}), found those of other weights ({scored:.12}); evaluate \
                 again",
                place(run).display()
            ),
            None => invalid!(
                "{}: expected to read which documents and weights were scored, found format {}, which does not say it; \
                 evaluate again",
                place(run).display(),
                self.format
            ),
        }
    }

    /// On what the scores stand: a sentence, and one for whatever a reader would not expect.
    pub fn scored_on(&self) -> String {
        let Some(s) = self.scores.first() else { return String::new() };
        let documents = self.scored.as_ref().map_or("documents", Scored::documents);
        let (rows, n) = (count(s.rows), count(s.documents));
        let mut said =
            vec![format!("Scored on {rows} rows of {n} {documents}, context {}.", self.text.context)];
        said.extend(self.scored.iter().flat_map(Scored::caveats));
        said.extend(self.said_of_the_model());
        said.join(" ")
    }

    /// Nothing, if all were scored on their own.
    fn said_of_the_model(&self) -> Option<String> {
        let mut models: Vec<String> = self.foreign.iter().map(|f| f.model.to_string()).collect();
        models.sort();
        models.dedup();
        let (model, all, some) = (&self.model, self.scores.len(), self.foreign.len());
        let whose = if some == all { String::new() } else { format!(" of {some} of the {all} dictionaries") };
        let models = models.join(", ");
        (some > 0)
            .then(|| format!("The model was {model}; it is not the one of the training{whose}, {models}."))
    }
}

/// `evaluation.json` of a run.
fn place(run: &Path) -> PathBuf {
    run.join("evaluation.json")
}

fn weights_hash(run: &Path, name: &str) -> Result<String, ReleaseError> {
    Ok(hash::file(&dictionary_folder(run, name).join("sae_weights.safetensors"))?)
}

/// What makes a dictionary useless, if anything does: then it is not released.
pub fn broken(scores: &Scores) -> Option<String> {
    let named = [("FVU", &scores.fvu), ("Δloss", &scores.delta_loss), ("L0", &scores.l0)];
    let (metric, score) = named.into_iter().find(|(_, score)| !score.value.is_finite())?;
    Some(format!("its {metric} is {}", score.value))
}

/// What a reader of the scores must not overlook, one sentence each.
pub fn remarks(file: &EvaluationFile, scores: &Scores) -> Vec<String> {
    let fvu = scores.fvu.value;
    let mut out = Vec::new();
    if let Some(missed) = file.missed.iter().find(|missed| missed.name == scores.name) {
        let (asked, ended) = (missed.asked, significant(missed.ended, 3));
        out.push(format!("Its target was missed: asked for L0 {asked}, ended at {ended}."));
    }
    if let Some(broken) = broken(scores) {
        out.push(format!("It is broken: {broken}."));
    }
    if fvu > 1.0 {
        out.push(format!("Its FVU of {} is above 1: the mean row reconstructs better.", significant(fvu, 3)));
    }
    if scores.ce_spliced.value > scores.ce_ablated.value {
        out.push("Spliced in, it costs the model more than the mean row does.".into());
    }
    if scores.firing.alive == 0 {
        out.push("None of its features fired.".into());
    }
    out
}
