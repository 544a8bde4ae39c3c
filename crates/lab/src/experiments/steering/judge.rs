//! How much of a concept there is in an answer: 0 as in text without it or with its opposite, 1 as in text full of it. A judge knows the half of the marked rows that
//! chooses nothing, and reads tokens, never a direction of the model.
//!
//!   words      mean over the answer of ln p(word | on) / p(word | off), each word counted once       where much text is marked
//!   contexts   mean over the answer of ln p(token | texts that have it) − ln p(token | texts that have its opposite), by the untouched model
//!              with such texts before the prompt (as GeDi guides, 2009.06367); a prompt's own sentence is not among them

use super::marked::{Ends, Marked};
use lapidary_lm::{Cache, Model};

/// Added to every count of a word.
const SMOOTHING: f64 = 0.5;
/// Tokens of the texts before a prompt, at least, if there are as many.
pub(super) const CONTEXT: usize = 96;
/// A judge to whom texts with the concept and without it are nearer than this, in nats per token, cannot tell them apart.
const TELLS: f64 = 0.05;

/// A judge with its scale.
pub(super) struct Judge<'a> {
    reads: Reads<'a>,
    /// What texts score in which the concept is off, and on.
    off: f64,
    on: f64,
}

enum Reads<'a> {
    /// Log-odds of each token `[V]`.
    Words(Vec<f64>),
    Contexts(&'a Model, Vec<[Before; 2]>),
}

/// What the model has read before an answer: texts without the concept, or with it, and the prompt.
struct Before {
    cache: Cache,
    /// Of the prompt; it predicts the first of the answer.
    last: u32,
}

impl<'a> Judge<'a> {
    /// Of a concept with at most `most` prompts, whose answers have at most `answer` tokens.
    pub(super) fn new(
        marked: &Marked<'_>,
        concept: u32,
        model: &'a Model,
        most: usize,
        answer: usize,
    ) -> Judge<'a> {
        match marked.ends(concept) {
            Some(ends) => Judge::of_contexts(model, &ends, most, answer),
            None => Judge::of_words(marked, concept, model.spec.vocab, answer),
        }
    }

    fn of_words(marked: &Marked<'_>, concept: u32, vocab: usize, answer: usize) -> Judge<'a> {
        let texts = [false, true].map(|on| marked.stretches(concept, on, answer));
        let counts = texts.each_ref().map(|texts| {
            let mut counts = vec![0.0; vocab];
            texts.iter().flatten().for_each(|&t| counts[t as usize] += 1.0);
            counts
        });
        let totals = counts.each_ref().map(|counts| counts.iter().sum::<f64>());
        let log = |side: usize, t: usize| {
            ((counts[side][t] + SMOOTHING) / (totals[side] + SMOOTHING * vocab as f64)).ln()
        };
        let odds: Vec<f64> = (0..vocab).map(|t| log(1, t) - log(0, t)).collect();
        let [off, on] = [0, 1].map(|side: usize| {
            let sum: f64 = texts[side].iter().map(|text| by_words(&odds, text) * text.len() as f64).sum();
            sum / totals[side].max(1.0)
        });
        Judge { reads: Reads::Words(odds), off, on }
    }

    fn of_contexts(model: &'a Model, ends: &Ends<'_>, most: usize, answer: usize) -> Judge<'a> {
        let before = |i: usize| [false, true].map(|on| Before::new(model, ends, i, on, answer));
        let before: Vec<[Before; 2]> = (0..ends.prompts.len().min(most)).map(before).collect();
        let mean = |texts: &[&[u32]]| {
            let scores = before.iter().zip(texts).map(|(before, text)| by_contexts(model, before, text));
            scores.sum::<f64>() / before.len() as f64
        };
        let (off, on) = (mean(&ends.off), mean(&ends.on));
        Judge { reads: Reads::Contexts(model, before), off, on }
    }

    /// Can it tell texts with the concept from texts without it?
    pub(super) fn tells(&self) -> bool {
        self.on - self.off >= TELLS
    }

    /// Of an answer to the concept's prompt number i.
    pub(super) fn effect(&self, i: usize, answer: &[u32]) -> f64 {
        if answer.is_empty() {
            return 0.0;
        }
        let score = match &self.reads {
            Reads::Words(odds) => by_words(odds, answer),
            Reads::Contexts(model, before) => by_contexts(model, &before[i], answer),
        };
        (score - self.off) / (self.on - self.off)
    }
}

/// A word counts once, so that saying one word again and again gains nothing.
fn by_words(odds: &[f64], tokens: &[u32]) -> f64 {
    let firsts = tokens.iter().enumerate().filter(|(i, t)| !tokens[..*i].contains(t));
    firsts.map(|(_, &t)| odds[t as usize]).sum::<f64>() / tokens.len().max(1) as f64
}

impl Before {
    fn new(model: &Model, ends: &Ends<'_>, i: usize, on: bool, answer: usize) -> Before {
        let mut tokens = [&ends.context(on, i, CONTEXT), &ends.prompts[i][ends.bos..]].concat();
        let last = tokens.pop().expect("a prompt is not empty");
        let longest = ends.on[i].len().max(ends.off[i].len()).max(answer);
        let mut cache = Cache::new(&model.spec, tokens.len() + longest);
        model.extend(&mut cache, &tokens, &[], &mut |_, _| ());
        Before { cache, last }
    }

    /// Mean loss of an answer, nats per token.
    fn loss(&self, model: &Model, answer: &[u32]) -> f64 {
        let given = [&[self.last], &answer[..answer.len() - 1]].concat();
        let residual = model.extend(&mut self.cache.clone(), &given, &[], &mut |_, _| ());
        model.cross_entropy(&residual, answer).iter().sum::<f64>() / answer.len() as f64
    }
}

fn by_contexts(model: &Model, [off, on]: &[Before; 2], answer: &[u32]) -> f64 {
    off.loss(model, answer) - on.loss(model, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Odds 2 of word 1 and −2 of word 0, which full texts have in half of their places.
    #[test]
    fn a_word_counts_once() {
        let judge = Judge { reads: Reads::Words(vec![-2.0, 2.0, 0.0]), off: -1.0, on: 1.0 };
        let effect = |answer: &[u32]| judge.effect(0, answer);
        assert_eq!(effect(&[1, 2]), 1.0);
        assert_eq!(effect(&[1, 1, 1, 1]), 0.75);
        assert_eq!(effect(&[0, 2, 2, 2]), 0.25);
        assert_eq!(effect(&[]), 0.0);
    }

    #[test]
    fn a_context_has_other_texts_than_the_prompts_own() {
        let ends = Ends {
            prompts: vec![&[9, 0], &[9, 1], &[9, 2]],
            on: vec![&[10], &[11], &[12]],
            off: vec![&[20], &[21], &[22]],
            newline: &[7],
            bos: 1,
        };
        assert_eq!(ends.context(true, 1, 5), [9, 2, 12, 7, 0, 10, 7]);
        assert_eq!(ends.context(false, 2, 3), [9, 0, 20, 7], "there are enough tokens");
        assert_eq!(ends.context(false, 0, 99), [9, 1, 21, 7, 2, 22, 7], "never its own");
    }
}
