//! Explanations of an atlas's features that are measured before they are written: rules, which need no language model, and
//! sentences by a judge that is asked. Either sees one half of the documents; its score is of the other half.

use crate::ReleaseError;
use crate::atlas::Prepared;
use crate::endpoint::Endpoint;
use crate::error::invalid;
use crate::evaluate::JudgeAt;
use crate::judging;
use crate::measure::{frequent, spread};
use lapidary_atlas::Truth;
use lapidary_atlas::edit::Addition;
use lapidary_atlas::explain::{INDUCED, LEAST_F1};
use lapidary_atlas::pages::{Explanation, SuitePage};
use lapidary_atlas::pieces::vocabulary;
use lapidary_evaluation::columns::Columns;
use lapidary_evaluation::judge::Judged;
use lapidary_evaluation::{Labels, Sample, halves, rules, sample};
use lapidary_kernels::Csr;
use lapidary_lm::Site;
use lapidary_text::Window;
use std::collections::BTreeSet;

/// Who writes rules.
pub const RULES: &str = "rules";
/// How a judge's sentences are found.
pub const ASKED: &str = "language model, asked";
/// Tokens that run through the model at once.
const BATCH_TOKENS: usize = 4_096;
/// Windows whose activations are held at once.
const WINDOWS: usize = 512;

/// What is explained, on what.
pub struct Explainer<'a> {
    /// Model, dictionaries, and the text of which the atlas has the first windows.
    pub prepared: &'a Prepared,
    /// What the atlas is of.
    pub atlas: &'a SuitePage,
    /// Of the halves of the documents.
    pub seed: u64,
}

/// Who explains.
pub enum By<'a> {
    /// Rules of at most four literals, of every feature that fires often enough.
    Rules,
    /// A judge behind an endpoint, of a number of features of each dictionary.
    Judge(JudgeAt<'a>),
}

impl By<'_> {
    /// Name and way, under which its explanations stand.
    pub fn author(&self) -> (&str, &'static str) {
        match self {
            By::Rules => (RULES, INDUCED),
            By::Judge(at) => (at.model, ASKED),
        }
    }
}

/// What was found.
pub struct Explained {
    /// Numbers of the atlas's dictionaries that were looked at, ascending.
    pub dictionaries: Vec<usize>,
    /// One for each feature that has an explanation, by dictionary and feature.
    pub additions: Vec<Addition>,
    /// Rules that are too weak to mean anything: their F1 is below [`LEAST_F1`].
    pub left_out: u64,
}

impl Explained {
    /// Mean of the scores; none where there are none.
    pub fn mean(&self) -> Option<f64> {
        let scores: Vec<f64> = self.additions.iter().filter_map(|a| a.explanation.score).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }
}

/// The rows of a site.
struct Rows<'a> {
    sample: Sample,
    is_fitted: Vec<bool>,
    words: &'a [String],
}

impl Explainer<'_> {
    /// Explains; `observe` is told dictionaries, done and in all.
    ///
    /// # Errors
    /// A dictionary is none of the atlas, the model cannot be read, or the judge does not answer.
    pub fn explain(&self, by: &By<'_>, observe: &mut dyn FnMut(u64, u64)) -> Result<Explained, ReleaseError> {
        let numbers = self.numbers()?;
        let opened = &self.prepared.opened;
        let words = vocabulary(&opened.tokenizer, opened.spec.vocab)?;
        let mut endpoint = match by {
            By::Rules => None,
            By::Judge(at) => Some(Endpoint::open(at.url, at.model, at.log)?),
        };
        let named = &self.prepared.named;
        let windows = self.windows()?;
        let (mut additions, mut left_out, mut done, total) = (Vec::new(), 0, 0, named.len() as u64);
        let mut sites: Vec<Site> = named.iter().map(|n| n.site).collect();
        sites.sort_by_key(|site| site.rank());
        sites.dedup();
        for site in sites {
            let here: Vec<usize> = (0..named.len()).filter(|&k| named[k].site == site).collect();
            let (rows, features) = self.sample(windows, (site, &here), &words)?;
            for (&k, features) in here.iter().zip(features) {
                observe(done, total);
                let columns = Columns::of(&features);
                let found = match (by, &mut endpoint) {
                    (By::Judge(at), Some(endpoint)) => self.ask(&rows, &columns, (endpoint, at))?,
                    _ => {
                        let all = induced(&rows, &columns);
                        let (good, weak): (Vec<_>, Vec<_>) =
                            all.into_iter().partition(|(_, e)| e.score >= Some(LEAST_F1));
                        left_out += weak.len() as u64;
                        good
                    }
                };
                let addition = |(index, explanation)| Addition { dictionary: numbers[k], index, explanation };
                additions.extend(found.into_iter().map(addition));
                done += 1;
            }
        }
        observe(total, total);
        additions.sort_by_key(|a| (a.dictionary, a.index));
        let dictionaries = numbers.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        Ok(Explained { dictionaries, additions, left_out })
    }

    /// The number in the atlas of each dictionary, by its weights.
    fn numbers(&self) -> Result<Vec<usize>, ReleaseError> {
        let of = |subject: &lapidary_atlas::Subject<'_>| {
            let weights = lapidary_atlas::build::weights_hash(subject);
            match self
                .atlas
                .dictionaries
                .iter()
                .position(|d| d.weights == weights && d.site == subject.site.to_string())
            {
                Some(number) => Ok(number),
                None => invalid!(
                    "{}: expected a dictionary that the atlas was built of, found other weights or another site; name those, \
                     or build the atlas again",
                    subject.name
                ),
            }
        };
        self.prepared.subjects().0.iter().map(of).collect()
    }

    /// The windows that the atlas was built of.
    fn windows(&self) -> Result<&[Window], ReleaseError> {
        let (Prepared { opened, corpus, .. }, of) = (self.prepared, &self.atlas.text);
        let windows = sample::first_windows(&corpus.windows, &opened.spec, of.rows as usize);
        let rows: usize = windows.iter().map(|window| window.row_positions(&opened.spec).count()).sum();
        if corpus.hash != of.hash || rows as u64 != of.rows {
            invalid!(
                "{}: expected the text that the atlas was built of ({} rows, documents with blake3 {:.8}…), found another \
                 ({rows} rows, {:.8}…); name that text with --text",
                of.name,
                of.rows,
                of.hash,
                corpus.hash
            );
        }
        Ok(windows)
    }

    /// The rows of a site, and what the dictionaries with these numbers make of them.
    fn sample<'a>(
        &self,
        windows: &[Window],
        (site, here): (Site, &[usize]),
        words: &'a [String],
    ) -> Result<(Rows<'a>, Vec<Csr>), ReleaseError> {
        let Prepared { opened, named, truth, .. } = self.prepared;
        let (model, mut sample) = (opened.model()?, Sample::default());
        let mut features: Vec<Csr> =
            here.iter().map(|&k| Csr::with_columns(named[k].dictionary.width())).collect();
        for (before, windows) in (0u32..).step_by(WINDOWS).zip(windows.chunks(WINDOWS)) {
            let part = Sample::of(model, windows, &[site], BATCH_TOKENS, &mut |_| ());
            for (&k, all) in here.iter().zip(&mut features) {
                all.extend(&named[k].dictionary.encode(model.device, &part.x[&site]));
            }
            sample.tokens.extend(part.tokens);
            sample.windows.extend(part.windows.iter().map(|window| before + window));
            sample.labels.documents.extend(part.labels.documents);
        }
        if let Some(truth) = truth {
            let documents = std::mem::take(&mut sample.labels.documents);
            sample.labels = labels(truth, documents);
        }
        let is_fitted = halves(&sample.labels.documents, self.seed);
        Ok((Rows { sample, is_fitted, words }, features))
    }

    fn ask(
        &self,
        rows: &Rows<'_>,
        columns: &Columns,
        (endpoint, at): (&mut Endpoint, &JudgeAt<'_>),
    ) -> Result<Vec<(u32, Explanation)>, ReleaseError> {
        let (sample, is_fitted) = (&rows.sample, &rows.is_fitted[..]);
        let asked = judging::Rows { sample, is_fitted, token: &|token| rows.word(token) };
        let chosen = spread(frequent(columns), at.features);
        let found = judging::of(&asked, columns, &chosen, (endpoint, at.model), (1, self.seed))?;
        let said = |judged: Judged| (judged.feature, sentence(judged, at.model));
        Ok(found.features.into_iter().filter(|j| !j.explanation.is_empty()).map(said).collect())
    }
}

impl Rows<'_> {
    fn word(&self, token: u32) -> String {
        self.words.get(token as usize).cloned().unwrap_or_else(|| token.to_string())
    }

    /// Rows and documents of the half that explains, or of the one that scores.
    fn half(&self, explains: bool) -> (usize, usize) {
        let documents =
            self.sample.labels.documents.iter().zip(&self.is_fitted).filter(|(_, f)| **f == explains);
        let all: Vec<u32> = documents.map(|(d, _)| *d).collect();
        (all.len(), all.iter().collect::<BTreeSet<_>>().len())
    }
}

/// What is true of the first rows of a text, in words.
fn labels(truth: &Truth, documents: Vec<u32>) -> Labels {
    let mut rows = vec![Vec::new(); truth.names.len()];
    for n in 0..documents.len() {
        truth.row(n).iter().for_each(|&v| rows[v as usize].push(n as u32));
    }
    let name = |(name, phrase): (&String, &Option<String>)| phrase.clone().unwrap_or_else(|| name.clone());
    Labels { names: truth.names.iter().zip(&truth.phrases).map(name).collect(), rows, documents }
}

/// The rule of each feature that fires often enough.
fn induced(rows: &Rows<'_>, columns: &Columns) -> Vec<(u32, Explanation)> {
    let Sample { tokens, windows, labels, .. } = &rows.sample;
    let options = rules::Options::standard();
    let literals = rules::Literals::of(rules::Text { tokens, windows, labels }, &rows.is_fitted, options);
    let found = rules::explain(&literals, columns, &frequent(columns));
    let halves = [false, true].map(|explains| rows.half(explains));
    let said = |e: rules::Explained| {
        let text = rules::words(&e.rule, &labels.names, &|token| rows.word(token));
        let fires = columns.feature(e.feature as usize).0.len() as u64;
        (e.feature, rule(text, &e, fires, halves))
    };
    found.into_iter().map(said).collect()
}

/// Of a feature that fires in so many rows; rows and documents of the half that scores, then of the one that explains.
fn rule(
    text: String,
    e: &rules::Explained,
    fires: u64,
    [(rows, documents), (fitted_rows, fitted_documents)]: [(usize, usize); 2],
) -> Explanation {
    Explanation {
        text,
        author: RULES.into(),
        method: INDUCED.into(),
        score: Some(e.f1),
        score_name: "F1".into(),
        how_measured: format!(
            "precision {:.3}, recall {:.3} on {rows} rows of {documents} documents, in {} of which the feature fires; the rule was \
             found on {fitted_rows} rows of {fitted_documents} other documents, in {} of which it fires: there F1 is {:.3}",
            e.precision,
            e.recall,
            e.n,
            fires - e.n,
            e.fitted_f1
        ),
    }
}

fn sentence(judged: Judged, model: &str) -> Explanation {
    let score =
        |value: Option<f64>| value.map_or("no answer that could be read".into(), |v| format!("{v:.2}"));
    Explanation {
        text: judged.explanation,
        author: model.into(),
        method: ASKED.into(),
        score: judged.detection,
        score_name: "detection".into(),
        how_measured: format!(
            "balanced accuracy of {model} at telling five texts in which the feature fires from five in which it does not, chance \
             0.5; fuzzing {} (is the marked token one of them? chance 0.5); simulation {} (correlation); written from other documents",
            score(judged.fuzzing),
            score(judged.simulation)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_kernels::Csr;

    /// Forty documents of ten rows; row 5 of each says token 3, and in even documents "it rains" is true of all rows. Feature 0
    /// fires at token 3 where it rains, feature 1 in nine rows, too few.
    fn planted() -> (Rows<'static>, Columns) {
        let (mut features, mut sample) = (Csr::with_columns(2), Sample::default());
        for n in 0..400u32 {
            sample.tokens.push(if n % 10 == 5 { 3 } else { 1 });
            sample.windows.push(n / 10);
            let fires = [n % 10 == 5 && n / 10 % 2 == 0, n < 9];
            (0..2).filter(|&f| fires[f as usize]).for_each(|f| {
                features.index.push(f);
                features.value.push(1.0);
            });
            features.row_start.push(features.index.len());
        }
        let mut truth = Truth { names: vec!["rain = 1".into()], starts: vec![0], ..Truth::default() };
        truth.phrases = vec![Some("it rains".into())];
        for n in 0..400 {
            truth.on.extend((n / 10 % 2 == 0).then_some(0));
            truth.starts.push(truth.on.len());
        }
        sample.labels = labels(&truth, sample.windows.clone());
        let is_fitted = (0..400).map(|n| n / 10 % 4 < 2).collect();
        static WORDS: std::sync::LazyLock<Vec<String>> =
            std::sync::LazyLock::new(|| ["", " a", " b", " wet"].map(String::from).to_vec());
        (Rows { sample, is_fitted, words: &WORDS }, Columns::of(&features))
    }

    #[test]
    fn a_planted_rule_is_said_and_measured() {
        let (rows, columns) = planted();
        let found = induced(&rows, &columns);
        assert_eq!(found.len(), 1, "the other fires too rarely");
        let (feature, e) = &found[0];
        assert_eq!((*feature, e.score, e.score_name.as_str()), (0, Some(1.0), "F1"));
        assert!(
            ["now \" wet\" and it rains", "it rains and now \" wet\""].contains(&e.text.as_str()),
            "{}",
            e.text
        );
        let how =
            "precision 1.000, recall 1.000 on 200 rows of 20 documents, in 10 of which the feature fires";
        assert!(e.how_measured.starts_with(how), "{}", e.how_measured);
    }

    #[test]
    fn a_judge_that_is_not_understood_has_no_score() {
        let judged = Judged {
            feature: 3,
            explanation: "wet words".into(),
            detection: None,
            fuzzing: Some(0.75),
            simulation: None,
            parse_failures: 2,
        };
        let said = sentence(judged, "somebody");
        assert_eq!(
            (said.author.as_str(), said.score, said.score_name.as_str()),
            ("somebody", None, "detection")
        );
        assert!(
            said.how_measured.contains("fuzzing 0.75") && said.how_measured.contains("simulation no answer")
        );
    }
}
