//! Labels of tokens from a file of JSON lines, for metrics that need to know what is true of a text.
//!
//! Each line is `{"label": NAME, "document": HASH, "tokens": [K, …]}`: the label is on at these tokens, counted from 0 in the document's
//! own tokens without BOS; HASH is the blake3 (hex) of the document's text without white space around it, or at least its first eight digits. So
//! labels of one text are never taken for those of another. A document of the text without a line has no label on.

use crate::ReleaseError;
use crate::error::invalid;
use lapidary_evaluation::Labels;
use lapidary_lm::Spec;
use lapidary_text::Window;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Longest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 30;
/// Fewest digits of a hash.
const LEAST_DIGITS: usize = 8;

/// Where labels are on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenLabels {
    /// By label: (document among all read documents, token) pairs, ascending.
    on: BTreeMap<String, Vec<(u32, u32)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    label: String,
    document: String,
    tokens: Vec<u32>,
}

impl TokenLabels {
    /// Reads `path`; `hashes` are the blake3 (hex) of all documents of the text, in reading order.
    ///
    /// # Errors
    /// A file that cannot be read, a line that is not as above, or a document that the text does not have.
    pub fn read(path: &Path, hashes: &[String]) -> Result<TokenLabels, ReleaseError> {
        let text = lapidary_files::read_string(path, MAX_BYTES)?;
        let mut labels = TokenLabels::default();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            labels.add(line, hashes).map_err(|what| {
                ReleaseError::Invalid(format!("{}: line {number}: {what}", path.display()))
            })?;
        }
        if labels.on.is_empty() {
            invalid!("{}: expected labels, one JSON object on each line, found none", path.display());
        }
        labels.on.values_mut().for_each(|on| on.sort_unstable());
        labels.on.values_mut().for_each(Vec::dedup);
        Ok(labels)
    }

    fn add(&mut self, line: &str, hashes: &[String]) -> Result<(), String> {
        let Line { label, document, tokens } = serde_json::from_str(line).map_err(|e| {
            format!("expected {{\"label\": NAME, \"document\": HASH, \"tokens\": [K, …]}}, found {e}")
        })?;
        if document.len() < LEAST_DIGITS {
            let found = document.len();
            return Err(format!(
                "expected {LEAST_DIGITS} digits of a document's hash or more, found {found}"
            ));
        }
        let is_it = |hash: &String| hash.starts_with(&document);
        let Some(place) = hashes.iter().position(is_it) else {
            return Err(format!(
                "expected a document of the text, found {document}, which is none of its {}; are these labels of another text?",
                hashes.len()
            ));
        };
        let on = self.on.entry(label).or_default();
        on.extend(tokens.into_iter().map(|token| (place as u32, token)));
        Ok(())
    }

    /// Of the rows of `windows`.
    pub(crate) fn of_rows(&self, windows: &[Window], spec: &Spec) -> Result<Labels, ReleaseError> {
        let mut places = Vec::new();
        for window in windows {
            let of = |p| (window.doc, window.document_position(p, spec));
            places.extend(window.row_positions(spec).map(of));
        }
        let rows = |on: &Vec<(u32, u32)>| -> Vec<u32> {
            let is_on = |n: &usize| on.binary_search(&places[*n]).is_ok();
            (0..places.len()).filter(is_on).map(|n| n as u32).collect()
        };
        let rows: Vec<Vec<u32>> = self.on.values().map(rows).collect();
        if rows.iter().all(Vec::is_empty) {
            invalid!(
                "labels: expected some in the {} tokens that are looked at, found none; are they of the documents of this \
                 split?",
                places.len()
            );
        }
        let documents = places.iter().map(|place| place.0).collect();
        Ok(Labels { names: self.on.keys().cloned().collect(), rows, documents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Result<TokenLabels, String> {
        let hashes = ["aaaaaaaa11", "bbbbbbbb22"].map(String::from);
        let mut labels = TokenLabels::default();
        lines.lines().try_for_each(|line| labels.add(line, &hashes))?;
        Ok(labels)
    }

    #[test]
    fn labels_belong_to_documents_by_hash() {
        let found = read(
            "{\"label\": \"x\", \"document\": \"bbbbbbbb\", \"tokens\": [3, 1]}\n{\"label\": \"x\", \"document\": \"aaaaaaaa11\", \"tokens\": [0]}",
        );
        let on = BTreeMap::from([("x".to_string(), vec![(1, 3), (1, 1), (0, 0)])]);
        assert_eq!(found, Ok(TokenLabels { on }));
        let message = |line: &str| read(line).expect_err("must be refused");
        assert!(message("{}").starts_with("expected {\"label\": NAME"));
        assert!(message("{\"label\": \"x\", \"document\": \"b\", \"tokens\": []}").contains("8 digits"));
        let other = message("{\"label\": \"x\", \"document\": \"cccccccc\", \"tokens\": []}");
        assert!(other.contains("found cccccccc, which is none of its 2"), "{other}");
    }
}
