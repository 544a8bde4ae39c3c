//! Contrast pairs: sentences with two ends, one of which has a concept and the other its opposite. JSON lines with `concept`, `prompt`, `on` and
//! `off`; forty pairs of each of six concepts are part of the program, `--pairs FILE` reads others.

use crate::LabError;
use crate::error::invalid;
use lapidary_files::read_string;
use serde::{Deserialize, Serialize};
use std::path::Path;

const EMBEDDED: &str = include_str!("pairs.jsonl");
/// Longest file that is read, bytes.
const MAX_BYTES: u64 = 64 << 20;
/// Fewest pairs of a concept: half of them choose, half judge.
const FEWEST: usize = 8;

/// A sentence with two ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    pub(super) concept: String,
    /// The beginning of both.
    pub(super) prompt: String,
    pub(super) on: String,
    pub(super) off: String,
}

/// Those of `path`, or the embedded ones.
pub(super) fn read(path: Option<&Path>) -> Result<Vec<Pair>, LabError> {
    let Some(path) = path else { return parse(EMBEDDED, Path::new("the embedded pairs")) };
    parse(&read_string(path, MAX_BYTES)?, path)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Pair>, LabError> {
    let mut pairs: Vec<Pair> = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(pair) => pairs.push(pair),
            Err(error) => invalid!(
                "{}: line {number}: expected {{\"concept\", \"prompt\", \"on\", \"off\"}}, found {error}; mend the line",
                path.display()
            ),
        }
    }
    if pairs.is_empty() {
        invalid!("{}: expected contrast pairs, found none; write one a line", path.display());
    }
    for pair in &pairs {
        let found = pairs.iter().filter(|other| other.concept == pair.concept).count();
        if found < FEWEST {
            let concept = &pair.concept;
            invalid!(
                "{}: {concept}: expected {FEWEST} pairs or more, found {found}; add some",
                path.display()
            );
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_pairs_are_whole() {
        let pairs = read(None).unwrap();
        let mut concepts: Vec<&str> = pairs.iter().map(|p| p.concept.as_str()).collect();
        concepts.dedup();
        assert_eq!(concepts, ["sentiment", "mood", "courtesy", "safety", "wealth", "certainty"]);
        for pair in &pairs {
            assert!(pair.on.starts_with(' ') && pair.off.starts_with(' ') && pair.on != pair.off, "{pair:?}");
            assert!(!pair.prompt.ends_with(' '), "{pair:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let parse = |text: &str| parse(text, Path::new("p.jsonl")).unwrap_err().to_string();
        assert!(parse("{\"concept\": \"x\"}\n").contains("p.jsonl: line 1"));
        assert!(parse("\n").contains("found none"));
        let one = r#"{"concept": "x", "prompt": "a", "on": " b", "off": " c"}"#;
        assert!(parse(one).contains("x: expected 8 pairs or more, found 1"));
    }
}
