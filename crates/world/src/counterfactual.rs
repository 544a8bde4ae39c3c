//! Minimal pairs: one draw of a document replaced, all others kept by their own keys.

use crate::lexicon::{Word, mix};
use crate::text::{Corpus, Sample, render};
use crate::trace::{Choice, Swap};
use crate::variables::Var;
use serde::Serialize;

/// A document, its twin, and what changed.
#[derive(Clone, Debug)]
pub struct Pair {
    /// As it was.
    pub base: Sample,
    /// With the swap.
    pub twin: Sample,
    /// The replaced draw.
    pub choice: Choice,
    /// Option in its place.
    pub option: u16,
    /// Tokens of the twin that differ, ascending. If the twin is longer or shorter: all between the common beginning and
    /// the common end.
    pub changed: Vec<usize>,
}

/// A pair as a line of JSON.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct PairLine {
    pub document: u64,
    pub variable: &'static str,
    pub segment: u16,
    pub index: u16,
    pub from: u16,
    pub to: u16,
    pub text: String,
    pub twin: String,
    /// First changed token: the swapped variable shows here.
    pub position: usize,
    /// Later tokens that must change with it.
    pub must_change: Vec<usize>,
}

impl Pair {
    /// As a line of JSON.
    pub fn line(&self, document: u64) -> PairLine {
        PairLine {
            document,
            variable: self.choice.var.name(),
            segment: self.choice.segment,
            index: self.choice.index,
            from: self.choice.option,
            to: self.option,
            text: render(&self.base.tokens),
            twin: render(&self.twin.tokens),
            position: self.changed.first().copied().unwrap_or(self.base.tokens.len()),
            must_change: self.changed.iter().skip(1).copied().collect(),
        }
    }
}

impl Corpus {
    /// Document n with `choice` (one of its [`Corpus::choices`]) replaced by `option`.
    pub fn pair(&self, n: u64, choice: Choice, option: u16) -> Pair {
        let swap = Swap { segment: choice.segment, var: choice.var, index: choice.index, option };
        let (base, twin) = (self.sample(n), self.swapped(n, &[swap]));
        let changed = changed(&base.tokens, &twin.tokens);
        Pair { base, twin, choice, option, changed }
    }

    /// The pair of document n that a seeded draw picks among its draws of content (not of layout, such as how many lines follow).
    pub fn random_pair(&self, n: u64) -> Pair {
        let content = |c: &Choice| {
            c.options > 1 && !matches!(c.var, Var::Segment | Var::More | Var::Form | Var::Domain | Var::Event)
        };
        let choices: Vec<Choice> = self.choices(n).into_iter().filter(content).collect();
        let mut key = mix(mix(self.seed ^ 0xc0_7e57) ^ n);
        loop {
            let choice = choices[(key % choices.len() as u64) as usize];
            key = mix(key);
            let skipped = (key % u64::from(choice.options - 1)) as u16;
            let pair = self.pair(n, choice, skipped + u16::from(skipped >= choice.option));
            if !pair.changed.is_empty() {
                return pair;
            }
        }
    }
}

fn changed(base: &[Word], twin: &[Word]) -> Vec<usize> {
    if base.len() == twin.len() {
        return (0..twin.len()).filter(|&i| base[i] != twin[i]).collect();
    }
    let shorter = base.len().min(twin.len());
    let head = (0..shorter).take_while(|&i| base[i] == twin[i]).count();
    let tail =
        (0..shorter - head).take_while(|&i| base[base.len() - 1 - i] == twin[twin.len() - 1 - i]).count();
    (head..twin.len() - tail).collect()
}
