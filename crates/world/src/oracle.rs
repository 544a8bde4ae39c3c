//! The oracle and the parser: the grammar itself, followed along every way that a given text may have come about.
//!
//! A hypothesis is a script of draws. It is run until it says a word that is not yet known; at a draw that the script does not
//! cover it forks into all options, with their probabilities. So the leaves carry the exact distribution of the next word given
//! the prefix alone; observing a word keeps the leaves that say it. What no leaf says is not of the language. The cost is one
//! run of the current segment per leaf, at most a few hundred.

use crate::document::{Config, Document};
use crate::grammar::write_next;
use crate::lexicon::Word;
use crate::text::Sample;
use crate::trace::{Halt, Trace};
use std::rc::Rc;

/// Leaves beyond which a position counts as not computable.
const LEAVES: usize = 50_000;

#[derive(Clone)]
struct Hypothesis {
    /// As it was at the beginning of the current segment.
    document: Rc<Document>,
    /// Draws of all segments before.
    past: Rc<Vec<u16>>,
    /// Draws of the current segment.
    script: Vec<u16>,
    /// Words of the current segment that are known.
    known: usize,
    probability: f64,
}

/// Follows a text word by word.
pub struct Oracle {
    config: Config,
    /// Hypotheses after the last observed word.
    survivors: Vec<Hypothesis>,
    /// The same, run on to their next word; `None` where there were too many.
    leaves: Option<Vec<(Hypothesis, Word)>>,
    words: usize,
}

/// What a text says, read back.
pub struct Parsed {
    /// Its tokens with their truth, of the most probable derivation.
    pub sample: Sample,
    /// Derivations of the text.
    pub derivations: usize,
    /// Whether the document could end here.
    pub complete: bool,
}

impl Oracle {
    /// Before the first word of a document.
    pub fn new(config: Config) -> Oracle {
        let start = Hypothesis {
            document: Rc::new(Document::new(config)),
            past: Rc::default(),
            script: Vec::new(),
            known: 0,
            probability: 1.0,
        };
        let leaves = leaves(std::slice::from_ref(&start));
        Oracle { config, survivors: vec![start], leaves, words: 0 }
    }

    /// Probability of every possible next word, by id; they sum to 1. `None` if it is not computable here, or if the text
    /// has ended or left the language.
    pub fn next(&self) -> Option<Vec<(Word, f64)>> {
        let leaves = self.leaves.as_ref()?;
        let mut next: Vec<(Word, f64)> = leaves.iter().map(|(h, word)| (*word, h.probability)).collect();
        next.sort_by_key(|&(word, _)| word);
        next.dedup_by(|b, a| {
            let same = a.0 == b.0;
            a.1 += if same { b.1 } else { 0.0 };
            same
        });
        let sum: f64 = next.iter().map(|&(_, p)| p).sum();
        next.iter_mut().for_each(|(_, p)| *p /= sum);
        (!next.is_empty()).then_some(next)
    }

    /// Goes on by a word; false if no text of the language has it here (then the oracle stays where it was).
    pub fn observe(&mut self, word: Word) -> bool {
        let Some(leaves) = &self.leaves else { return false };
        let agreed = leaves.iter().filter(|(_, said)| *said == word);
        let mut survivors: Vec<Hypothesis> =
            agreed.map(|(h, _)| Hypothesis { known: h.known + 1, ..h.clone() }).collect();
        if survivors.is_empty() {
            return false;
        }
        let sum: f64 = survivors.iter().map(|h| h.probability).sum();
        survivors.iter_mut().for_each(|h| h.probability /= sum);
        self.leaves = self::leaves(&survivors);
        self.survivors = survivors;
        self.words += 1;
        true
    }

    /// What was observed, with the truth of its most probable derivation.
    pub fn parsed(&self) -> Parsed {
        let best = self.survivors.iter().max_by(|a, b| a.probability.total_cmp(&b.probability));
        let best = best.expect("an oracle always has a hypothesis");
        let script: Vec<u16> = best.past.iter().chain(&best.script).copied().collect();
        let mut trace = Trace::follow(&script, self.words, true);
        let mut document = Document::new(self.config);
        while !trace.halted() && write_next(&mut document, &mut trace) {}
        let complete = self.leaves.as_ref().is_some_and(Vec::is_empty);
        Parsed { sample: Sample::of(trace), derivations: self.survivors.len(), complete }
    }
}

/// Reads a text back; `Err` is the position of the first word that is not of the language.
pub fn parse(config: Config, tokens: &[Word]) -> Result<Parsed, usize> {
    let mut oracle = Oracle::new(config);
    for (position, &token) in tokens.iter().enumerate() {
        if !oracle.observe(token) {
            return Err(position);
        }
    }
    Ok(oracle.parsed())
}

/// Runs hypotheses on until each says its next word, forking at every draw.
fn leaves(from: &[Hypothesis]) -> Option<Vec<(Hypothesis, Word)>> {
    let (mut open, mut leaves) = (from.to_vec(), Vec::new());
    while let Some(mut h) = open.pop() {
        let mut document = (*h.document).clone();
        let mut trace = Trace::follow(&h.script, h.known, false);
        let goes_on = write_next(&mut document, &mut trace);
        match trace.halt() {
            Some(Halt::Said(word)) => leaves.push((h, word)),
            Some(Halt::Fork(odds)) => {
                let possible = odds.iter().enumerate().filter(|(_, p)| **p > 0.0);
                open.extend(possible.map(|(option, &p)| {
                    let script = h.script.iter().copied().chain([option as u16]).collect();
                    Hypothesis { script, probability: h.probability * p, ..h.clone() }
                }));
            }
            None if goes_on => {
                h.past = Rc::new(h.past.iter().chain(&h.script).copied().collect());
                (h.document, h.script, h.known) = (Rc::new(document), Vec::new(), 0);
                open.push(h);
            }
            None => {}
        }
        if open.len() + leaves.len() > LEAVES {
            return None;
        }
    }
    Some(leaves)
}
