//! Explanations that need no language model: the variable that a feature matches, where the truth is known, and the token at which
//! it most often fires most.

use crate::pages::Explanation;
use crate::record::FeatureRecord;
use std::collections::BTreeMap;

/// A match or a rule below this F1 explains nothing.
pub const LEAST_F1: f64 = 0.2;
/// A match from this F1 on is said first.
pub const GOOD_F1: f64 = 0.5;
/// How these are found.
pub const MATCHED: &str = "matched variable";
/// How rules are found, which another crate induces.
pub const INDUCED: &str = "rule induction";
/// How these are found.
pub const PEAK: &str = "most frequent peak token";

/// Who wrote these.
const AUTHOR: &str = "lapidary";

/// The explanations of a feature that fires, the best first; `peaks` are the pieces of its strongest places.
pub fn explanations(record: &FeatureRecord, peaks: &[String], rows: u64) -> Vec<Explanation> {
    let matched = record.truth.as_ref().filter(|m| m.f1 >= LEAST_F1).map(|m| Explanation {
        text: m.phrase.clone(),
        author: AUTHOR.into(),
        method: MATCHED.into(),
        score: Some(m.f1),
        score_name: "F1".into(),
        how_measured: format!(
            "F1 of \"the feature fires\" and \"{}\" over {rows} rows, on which it was also chosen among all variables",
            m.variable
        ),
    });
    let peak = most_frequent(peaks).map(|(token, count)| Explanation {
        text: format!("“{}”", token.trim()),
        author: AUTHOR.into(),
        method: PEAK.into(),
        score: Some(count as f64 / peaks.len() as f64),
        score_name: "share of top contexts".into(),
        how_measured: format!(
            "{count} of the {} strongest contexts, one of each document, peak at this token",
            peaks.len()
        ),
    });
    let matched_first = record.truth.as_ref().is_some_and(|m| m.f1 >= GOOD_F1);
    match matched_first {
        true => matched.into_iter().chain(peak).collect(),
        false => peak.into_iter().chain(matched).collect(),
    }
}

/// The piece that is found most often, and how often; of equals the one that comes first.
pub fn most_frequent(pieces: &[String]) -> Option<(&str, usize)> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (place, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.trim().is_empty()) {
        counts.entry(piece).or_insert((0, place)).0 += 1;
    }
    let best = counts.into_iter().max_by_key(|(_, (count, place))| (*count, std::cmp::Reverse(*place)))?;
    Some((best.0, best.1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_piece() {
        let pieces = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        assert_eq!(most_frequent(&pieces(&["b", "a", "b", " ", " ", " "])), Some(("b", 2)));
        assert_eq!(most_frequent(&pieces(&["b", "a"])), Some(("b", 1)), "the first of equals");
        assert_eq!(most_frequent(&[]), None);
    }
}
