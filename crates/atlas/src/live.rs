//! A text that somebody types, read by the model and every dictionary at once: what fires at its tokens.
//!
//! A text longer than the model's context is read in windows, as a corpus is; the BOS of all but the first is not shown. Special
//! positions fire nothing.

use crate::pieces::pieces;
use crate::{AtlasError, Subject};
use lapidary_kernels::Csr;
use lapidary_lm::{Batch, Model, Site};
use lapidary_text::{Tokenizer, Window};

/// A text as the model reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveText {
    /// Ids that are shown [T].
    pub tokens: Vec<u32>,
    /// What each adds to the text [T]; a special token's is its name.
    pub pieces: Vec<String>,
    /// Which fire nothing [T].
    pub special: Vec<bool>,
    /// What the model reads.
    windows: Vec<Window>,
    /// Which of the windows' tokens, one after another, are shown.
    shown: Vec<usize>,
}

/// A feature of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveFeature {
    /// Number of its dictionary.
    pub subject: usize,
    /// Its number there.
    pub feature: u32,
    /// At each token [T].
    pub values: Vec<f32>,
    /// The largest of them.
    pub max: f32,
    /// Where it is.
    pub peak: usize,
}

impl LiveText {
    /// Reads a text.
    ///
    /// # Errors
    /// It has no tokens or more than `most`, or the tokenizer fails.
    pub fn read(
        tokenizer: &Tokenizer,
        model: &Model,
        text: &str,
        most: usize,
    ) -> Result<LiveText, AtlasError> {
        let spec = &model.spec;
        let ids = tokenizer.encode(text)?;
        if ids.is_empty() || ids.len() > most {
            let found = ids.len();
            return Err(AtlasError::Request(format!(
                "text: expected 1 to {most} tokens, found {found}; shorten it"
            )));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= spec.vocab) {
            let vocab = spec.vocab;
            return Err(AtlasError::Request(format!(
                "text: expected tokens of the model's vocabulary of {vocab}, found id {id}; is this the model's own tokenizer?"
            )));
        }
        let first = usize::from(spec.bos.is_some());
        let mut all = LiveText::empty();
        for (n, chunk) in ids.chunks(spec.context.saturating_sub(first).max(1)).enumerate() {
            let tokens: Vec<u32> = spec.bos.into_iter().chain(chunk.iter().copied()).collect();
            let pos = (n * (spec.context - first)) as u32;
            let before = all.windows.iter().map(|w: &Window| w.tokens.len()).sum::<usize>();
            let skipped = if n == 0 { 0 } else { first };
            all.shown.extend((skipped..tokens.len()).map(|at| before + at));
            all.windows.push(Window { doc: 0, pos, tokens });
        }
        let mut texts = pieces(tokenizer, &ids)?;
        texts.splice(..0, spec.bos.map(|bos| tokenizer.name(bos).unwrap_or_default()));
        let special = |window: &Window| {
            let rows: Vec<usize> = window.row_positions(spec).collect();
            (0..window.tokens.len()).map(|at| rows.binary_search(&at).is_err()).collect::<Vec<_>>()
        };
        let special: Vec<bool> = all.windows.iter().flat_map(special).collect();
        let tokens: Vec<u32> = all.windows.iter().flat_map(|w| &w.tokens).copied().collect();
        all.special = all.shown.iter().map(|&at| special[at]).collect();
        all.tokens = all.shown.iter().map(|&at| tokens[at]).collect();
        Ok(LiveText { pieces: texts, ..all })
    }

    fn empty() -> LiveText {
        LiveText { tokens: vec![], pieces: vec![], special: vec![], windows: vec![], shown: vec![] }
    }

    /// The active features of each dictionary at the shown tokens [T, F].
    ///
    /// # Errors
    /// A dictionary of another model.
    pub fn encode(&self, model: &Model, subjects: &[Subject<'_>]) -> Result<Vec<Csr>, AtlasError> {
        let sites = crate::contexts::sites(model, subjects)?;
        let batch = Batch::new(self.windows.iter().map(|window| window.tokens.as_slice()));
        let mut out: Vec<Option<Csr>> = vec![None; subjects.len()];
        model.tap(&batch, &sites, &mut |site, rows| {
            let width = model.spec.width(site);
            let x: Vec<f32> = self.rows().flat_map(|n| &rows[n * width..][..width]).copied().collect();
            let here = subjects.iter().zip(&mut out).filter(|(subject, _)| subject.site == site);
            here.for_each(|(subject, out)| {
                *out = Some(self.spread(&subject.dictionary.encode(model.device, &x)))
            });
        });
        Ok(out.into_iter().map(|features| features.expect("every site was met")).collect())
    }

    /// What the model has at these sites, which are in the order of its run, at the last token: a vector for each.
    pub fn last(&self, model: &Model, sites: &[Site]) -> Vec<Vec<f32>> {
        let batch = Batch::new(self.windows.iter().map(|window| window.tokens.as_slice()));
        let (mut out, last) = (Vec::with_capacity(sites.len()), self.shown[self.shown.len() - 1]);
        model.tap(&batch, sites, &mut |site, rows| {
            let width = model.spec.width(site);
            out.push(rows[last * width..][..width].to_vec());
        });
        out
    }

    /// Rows of the batch that are shown and not special.
    fn rows(&self) -> impl Iterator<Item = usize> {
        self.shown.iter().zip(&self.special).filter(|(_, special)| !**special).map(|(&n, _)| n)
    }

    /// Features of the rows, with nothing at special tokens.
    fn spread(&self, features: &Csr) -> Csr {
        let (mut out, mut n) = (Csr::with_columns(features.columns), 0);
        for special in &self.special {
            if !special {
                let (index, value) = features.row(n);
                out.index.extend_from_slice(index);
                out.value.extend_from_slice(value);
                n += 1;
            }
            out.row_start.push(out.index.len());
        }
        out
    }
}

/// The strongest features at a token that `keep` keeps, at most `most`; equal ones by number.
pub fn strongest(features: &Csr, token: usize, most: usize, keep: impl Fn(u32) -> bool) -> Vec<(u32, f32)> {
    let (index, value) = features.row(token);
    let mut all: Vec<(u32, f32)> =
        index.iter().copied().zip(value.iter().copied()).filter(|(f, _)| keep(*f)).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(most);
    all
}

/// One feature's value at each token [T].
pub fn values(features: &Csr, feature: u32) -> Vec<f32> {
    let at = |n| features.row(n).0.binary_search(&feature).map_or(0.0, |at| features.row(n).1[at]);
    (0..features.rows()).map(at).collect()
}

/// The features of all dictionaries that fire and that `keep` keeps, at most `most`: the strongest first, by their sum over the
/// tokens `at`, or by their largest value where none is named.
pub fn rank(
    features: &[Csr],
    at: &[usize],
    most: usize,
    keep: impl Fn(usize, u32) -> bool,
) -> Vec<LiveFeature> {
    let mut ranked = Vec::new();
    for (subject, csr) in features.iter().enumerate() {
        let by_feature = csr.transpose();
        for feature in (0..by_feature.rows()).filter(|&f| keep(subject, f as u32)) {
            let (tokens, value) = by_feature.row(feature);
            let sum = |t: &usize| tokens.binary_search(&(*t as u32)).map_or(0.0, |i| f64::from(value[i]));
            let largest = value.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let score = if at.is_empty() { f64::from(largest) } else { at.iter().map(sum).sum() };
            if !tokens.is_empty() && score > 0.0 {
                ranked.push((score, subject, feature as u32));
            }
        }
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    ranked.truncate(most);
    ranked.into_iter().map(|(_, subject, feature)| whole(&features[subject], subject, feature)).collect()
}

/// A feature with its values.
fn whole(features: &Csr, subject: usize, feature: u32) -> LiveFeature {
    let values = values(features, feature);
    let (peak, max) = peak(&values);
    LiveFeature { subject, feature, values, max, peak }
}

/// Where the largest value is, and what it is; 0 and 0 of none.
pub fn peak(values: &[f32]) -> (usize, f32) {
    let first = (0, values.first().copied().unwrap_or(0.0));
    values.iter().copied().enumerate().fold(first, |best, (n, v)| if v > best.1 { (n, v) } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows: {0: 1, 2: 5}, {}, {1: 3, 2: 4}.
    fn csr() -> Csr {
        Csr {
            columns: 3,
            row_start: vec![0, 2, 2, 4],
            index: vec![0, 2, 1, 2],
            value: vec![1.0, 5.0, 3.0, 4.0],
        }
    }

    #[test]
    fn the_strongest_and_the_values_by_hand() {
        assert_eq!(strongest(&csr(), 0, 5, |_| true), [(2, 5.0), (0, 1.0)]);
        assert_eq!(strongest(&csr(), 2, 1, |f| f != 2), [(1, 3.0)]);
        assert!(strongest(&csr(), 1, 5, |_| true).is_empty());
        assert_eq!(values(&csr(), 2), [5.0, 0.0, 4.0]);
        assert_eq!((peak(&[0.0, 2.0, 2.0]), peak(&[])), ((1, 2.0), (0, 0.0)));
    }

    #[test]
    fn features_are_ranked_by_their_largest_value_or_at_tokens() {
        let all = [csr(), csr()];
        let names =
            |found: Vec<LiveFeature>| found.iter().map(|f| (f.subject, f.feature)).collect::<Vec<_>>();
        assert_eq!(names(rank(&all, &[], 3, |_, _| true)), [(0, 2), (1, 2), (0, 1)]);
        assert_eq!(names(rank(&all, &[2], 9, |s, _| s == 1)), [(1, 2), (1, 1)]);
        assert_eq!(
            names(rank(&all, &[0, 2], 1, |_, f| f < 2)),
            [(0, 1)],
            "3 at token 2 is above 1 at token 0"
        );
        assert!(rank(&all, &[1], 9, |_, _| true).is_empty());
    }

    #[test]
    fn special_tokens_fire_nothing() {
        let text = LiveText { special: vec![true, false, false, true, false], ..LiveText::empty() };
        let spread = text.spread(&csr());
        assert_eq!(spread.row_start, [0, 0, 2, 2, 2, 4]);
        assert_eq!(values(&spread, 2), [0.0, 5.0, 0.0, 0.0, 4.0]);
    }
}
