//! What the grammar is written against. A segment of text is an ordinary function that *draws* variables and *says* words; a
//! [`Trace`] decides what a draw gives and what becomes of the words.
//!
//! Sampling: every draw has a random key of its own, (document, segment, variable, index), so that changing one draw leaves
//! all others as they were and a counterfactual is minimal. Following: draws come from a script; where the script ends, or where
//! a word beyond those already known is said, the trace halts and the rest of the segment runs through without effect. The
//! oracle and the parser are made of that (`oracle.rs`), which is why grammar, oracle and parser cannot disagree.

use crate::kinds::Task;
use crate::lexicon::{Class, LEXICON, Word, mix};
use crate::variables::{Var, lexeme};

/// A variable and its value at a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Which, as in [`crate::variables::table`].
    pub variable: u16,
    /// Its value; 1 for a binary variable that is present.
    pub value: u16,
}

/// One draw of a document: which variable, at which place, and what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Segment, from 0; 0 is the title.
    pub segment: u16,
    /// Variable.
    pub var: Var,
    /// Which draw of the variable within the segment.
    pub index: u16,
    /// Option drawn, from 0.
    pub option: u16,
    /// Options there were.
    pub options: u16,
    /// Tokens said before the draw.
    pub at: u16,
}

/// A draw to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Segment, from 0.
    pub segment: u16,
    /// Variable.
    pub var: Var,
    /// Which draw of the variable within the segment.
    pub index: u16,
    /// Option to take; one that cannot be drawn here changes nothing.
    pub option: u16,
}

/// Probabilities of a draw's options.
#[derive(Clone, Copy, Debug)]
pub enum Odds<'a> {
    /// n options, equally likely.
    Even(usize),
    /// Option 1 with this probability, else option 0.
    Chance(f64),
    /// Cumulative probabilities, the last one is 1.
    Table(&'a [f64]),
}

impl Odds<'_> {
    fn options(&self) -> usize {
        match self {
            Odds::Even(n) => *n,
            Odds::Chance(_) => 2,
            Odds::Table(cumulative) => cumulative.len(),
        }
    }

    /// The option at u in [0, 1).
    fn at(&self, u: f64) -> usize {
        match self {
            Odds::Even(n) => ((u * *n as f64) as usize).min(n - 1),
            Odds::Chance(p) => usize::from(u < *p),
            Odds::Table(cumulative) => cumulative.partition_point(|&c| c <= u).min(cumulative.len() - 1),
        }
    }

    fn probability(&self, option: usize) -> f64 {
        match self {
            Odds::Even(n) => 1.0 / *n as f64,
            Odds::Chance(p) => {
                if option == 1 {
                    *p
                } else {
                    1.0 - p
                }
            }
            Odds::Table(cumulative) => {
                cumulative[option] - if option == 0 { 0.0 } else { cumulative[option - 1] }
            }
        }
    }
}

/// Cumulative probabilities of weights.
pub(crate) fn cumulative(weights: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sum = 0.0;
    let mut table: Vec<f64> = weights
        .into_iter()
        .map(|weight| {
            sum += weight;
            sum
        })
        .collect();
    table.iter_mut().for_each(|c| *c /= sum);
    table
}

/// Why a followed segment stopped.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Halt {
    /// It said a word beyond the known ones.
    Said(Word),
    /// It drew beyond the script; probabilities of the options.
    Fork(Vec<f64>),
}

enum Source<'a> {
    Keys { key: u64, swaps: &'a [Swap], choices: Option<Vec<Choice>> },
    Script { options: &'a [u16], next: usize, known: usize, halt: Option<Halt> },
}

/// A document (or one segment of it) being written.
pub struct Trace<'a> {
    source: Source<'a>,
    segment: u16,
    /// 0: plain English; 1, 2: the artificial languages.
    pub(crate) language: usize,
    held: Vec<Mark>,
    /// Tokens said.
    pub tokens: Vec<Word>,
    /// Where each token's marks start, and all marks; empty unless asked for.
    pub(crate) truth: Option<(Vec<u32>, Vec<Mark>)>,
}

impl<'a> Trace<'a> {
    /// Samples with the document's key.
    pub(crate) fn sample(key: u64, swaps: &'a [Swap], truth: bool, choices: bool) -> Trace<'a> {
        let choices = choices.then(Vec::new);
        Trace::new(Source::Keys { key, swaps, choices }, truth)
    }

    /// Follows a script; halts at the first word after `known` words.
    pub(crate) fn follow(options: &'a [u16], known: usize, truth: bool) -> Trace<'a> {
        Trace::new(Source::Script { options, next: 0, known, halt: None }, truth)
    }

    fn new(source: Source<'a>, truth: bool) -> Trace<'a> {
        let truth = truth.then(|| (vec![0], Vec::new()));
        Trace { source, segment: 0, language: 0, held: Vec::new(), tokens: Vec::new(), truth }
    }

    /// Why a followed trace stopped; `None` while it goes on.
    pub(crate) fn halt(&mut self) -> Option<Halt> {
        match &mut self.source {
            Source::Script { halt, .. } => halt.take(),
            Source::Keys { .. } => None,
        }
    }

    pub(crate) fn halted(&self) -> bool {
        matches!(&self.source, Source::Script { halt: Some(_), .. })
    }

    /// The draws of a sampled trace that recorded them.
    pub(crate) fn into_choices(self) -> Vec<Choice> {
        match self.source {
            Source::Keys { choices, .. } => choices.unwrap_or_default(),
            Source::Script { .. } => Vec::new(),
        }
    }

    /// Begins the next segment; variables of the last one are forgotten, those of the document stay.
    pub(crate) fn begin(&mut self, segment: u16, of_document: usize) {
        self.segment = segment;
        self.held.truncate(of_document);
    }

    /// Variables that hold now.
    pub(crate) fn holds(&self) -> usize {
        self.held.len()
    }

    /// Draws the `index`-th value of a variable in this segment, which holds from the next token on.
    pub(crate) fn draw(&mut self, var: Var, index: usize, odds: Odds) -> usize {
        let option = self.choose(var, index, odds);
        self.hold(var, option);
        option
    }

    /// Draws without holding: the caller holds what follows from it.
    pub(crate) fn choose(&mut self, var: Var, index: usize, odds: Odds) -> usize {
        let (segment, at) = (self.segment, self.tokens.len() as u16);
        match &mut self.source {
            Source::Keys { key, swaps, choices } => {
                let own = mix(*key ^ mix((u64::from(segment) << 32) | ((var as u64) << 16) | index as u64));
                let same = |s: &&Swap| (s.segment, s.var, usize::from(s.index)) == (segment, var, index);
                let swap = swaps.iter().find(same).map(|swap| usize::from(swap.option));
                let possible = |option: &usize| *option < odds.options() && odds.probability(*option) > 0.0;
                let option = match swap.filter(possible) {
                    Some(option) => option,
                    None => odds.at((own >> 11) as f64 / (1u64 << 53) as f64),
                };
                if let Some(choices) = choices {
                    let (option, options) = (option as u16, odds.options() as u16);
                    choices.push(Choice { segment, var, index: index as u16, option, options, at });
                }
                option
            }
            Source::Script { halt: Some(_), .. } => 0,
            Source::Script { options, next, halt, .. } => match options.get(*next) {
                Some(&option) => {
                    *next += 1;
                    usize::from(option)
                }
                None => {
                    *halt = Some(Halt::Fork((0..odds.options()).map(|o| odds.probability(o)).collect()));
                    0
                }
            },
        }
    }

    /// Sets a variable from the next token on.
    pub(crate) fn hold(&mut self, var: Var, value: usize) {
        if self.truth.is_none() {
            return;
        }
        let mark = Mark { variable: var as u16, value: value as u16 };
        match self.held.iter_mut().find(|held| held.variable == mark.variable) {
            Some(held) => *held = mark,
            None => self.held.push(mark),
        }
    }

    /// Ends a variable's hold.
    pub(crate) fn drop(&mut self, var: Var) {
        self.held.retain(|held| held.variable != var as u16);
    }

    /// Says something that the text before it determines: [`Var::Answer`] holds meanwhile.
    pub(crate) fn answer(&mut self, task: Task, say: impl FnOnce(&mut Self)) {
        self.hold(Var::Answer, task as usize);
        say(self);
        self.drop(Var::Answer);
    }

    /// Says the words of a phrase, each of which must be in the lexicon.
    pub(crate) fn say(&mut self, phrase: &str) {
        for word in phrase.split_ascii_whitespace() {
            let id = LEXICON.find(word).unwrap_or_else(|| panic!("{word} is not in the lexicon"));
            self.push(id);
        }
    }

    /// Says the i-th word of a class.
    pub(crate) fn word(&mut self, class: Class, i: usize) {
        self.push(LEXICON.word(class, i));
    }

    /// Says a number, digit by digit.
    pub(crate) fn number(&mut self, number: usize) {
        let mut digits = [0; 4];
        let (mut rest, mut n) = (number, 0);
        loop {
            (digits[n], rest, n) = (rest % 10, rest / 10, n + 1);
            if rest == 0 {
                break;
            }
        }
        digits[..n].iter().rev().for_each(|&digit| self.word(Class::Digit, digit));
    }

    fn push(&mut self, word: Word) {
        if let Source::Script { halt, known, .. } = &mut self.source {
            if halt.is_some() {
                return;
            }
            if self.tokens.len() == *known {
                *halt = Some(Halt::Said(LEXICON.translate(word, self.language)));
                return;
            }
        }
        self.tokens.push(LEXICON.translate(word, self.language));
        if let Some((starts, marks)) = &mut self.truth {
            marks.extend_from_slice(&self.held);
            marks.extend(lexeme(word).map(|variable| Mark { variable, value: 1 }));
            starts.push(marks.len() as u32);
        }
    }
}
