//! A concept on the stage: the model continues prompts under every method at every strength, and a judge reads the answers.

use super::concept::Concept;
use super::judge::Judge;
use super::marked::Marked;
use super::{ADDED, ANSWER, ARMS, Arm, MEAN, MOST_COST, PROMPTED, RANDOM, STRENGTHS};
use crate::LabError;
use lapidary_dictionary::{Activation, Dictionary};
use lapidary_lm::{Model, Sampling, Site};
use lapidary_splice::sweep::{Probe, Reading};
use lapidary_splice::{Intervention, Method, Placed, Positions, SpliceError, Steering};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use std::ops::ControlFlow;

/// Where a concept is tried.
pub(super) struct Stage<'a> {
    pub(super) model: &'a Model,
    pub(super) of: Placed<'a>,
    pub(super) marked: &'a Marked<'a>,
    pub(super) prompts: usize,
    pub(super) seed: u64,
}

/// An answer, judged.
#[derive(Clone, Copy)]
struct Judged {
    /// The untouched model's, nats per token; none of an empty answer.
    loss: Option<f64>,
    effect: f64,
}

impl Stage<'_> {
    /// Every method at every strength; `go_on` is asked before each.
    pub(super) fn arms(
        &self,
        concept: &Concept,
        judge: &Judge<'_>,
        go_on: &dyn Fn() -> Result<(), LabError>,
    ) -> Result<Vec<Arm>, LabError> {
        let prompts = self.marked.prompts(concept.number, self.prompts);
        let default = |_, prompt: &[u32]| self.probe(prompt).default(&mut |_| ControlFlow::Continue(()));
        let defaults = self.judged(&prompts, judge, default)?;
        let along = direction(&concept.difference);
        let astray = direction(&random(&concept.difference, self.seed, u64::from(concept.number)));
        let mut arms = Vec::new();
        for method in ARMS {
            let one = |strength: f32| {
                go_on()?;
                let intervention = self.intervention(concept, method, strength, [&along, &astray]);
                Ok(mean(&self.steered(&prompts, judge, intervention)?, &defaults))
            };
            let points = STRENGTHS.into_iter().map(one).collect::<Result<Vec<_>, LabError>>()?;
            arms.push(self.arm(method, concept, points));
        }
        let point = mean(&self.prompted(concept, &prompts, judge)?, &defaults);
        arms.push(self.arm(PROMPTED, concept, vec![point]));
        Ok(arms)
    }

    fn arm(&self, method: &str, concept: &Concept, points: Vec<(f64, f64)>) -> Arm {
        Arm { method: method.into(), concept: concept.name.clone(), phi: concept.phi, points }
    }

    fn intervention<'b>(
        &'b self,
        concept: &Concept,
        method: &'static str,
        strength: f32,
        [along, astray]: [&'b Dictionary; 2],
    ) -> Intervention<'b> {
        let site: Site = self.of.site;
        let vector = |dictionary| Intervention {
            of: Placed { name: method, site, output: site, dictionary },
            feature: 0,
            method: Method::Add,
            strength,
        };
        let feature = |method| Intervention {
            of: self.of,
            feature: concept.feature,
            method,
            strength: strength * concept.largest,
        };
        match method {
            MEAN => vector(along),
            RANDOM => vector(astray),
            ADDED => feature(Method::Add),
            _ => feature(Method::Clamp),
        }
    }

    fn probe<'b>(&'b self, prompt: &'b [u32]) -> Probe<'b> {
        let (model, of) = (self.model, self.of);
        Probe { model, of, feature: 0, prompt, max_tokens: ANSWER, sampling: self.sampling() }
    }

    fn sampling(&self) -> Sampling {
        Sampling { temperature: 1.0, top_p: 1.0, seed: self.seed }
    }

    /// The answers to the prompts, in their order.
    fn judged(
        &self,
        prompts: &[Vec<u32>],
        judge: &Judge<'_>,
        answer: impl Fn(usize, &[u32]) -> Result<Reading, SpliceError> + Send + Sync,
    ) -> Result<Vec<Judged>, SpliceError> {
        let one = |(i, prompt): (usize, &Vec<u32>)| {
            let reading = answer(i, prompt)?;
            Ok(Judged { loss: reading.loss, effect: judge.effect(i, &reading.tokens) })
        };
        prompts.par_iter().enumerate().map(one).collect()
    }

    /// Steered answers, as the untouched model reads them.
    fn steered(
        &self,
        prompts: &[Vec<u32>],
        judge: &Judge<'_>,
        intervention: Intervention<'_>,
    ) -> Result<Vec<Judged>, SpliceError> {
        let steering = Steering::new(self.model, vec![intervention], Positions::All, true)?;
        self.judged(prompts, judge, |_, prompt| {
            let go_on = &mut |_| ControlFlow::Continue(());
            Ok(self.probe(prompt).reading(steering.generate(prompt, ANSWER, &self.sampling(), go_on)?))
        })
    }

    /// Answers to the prompt after a stretch of text in which the concept is on; read as answers to the prompt alone.
    fn prompted(
        &self,
        concept: &Concept,
        prompts: &[Vec<u32>],
        judge: &Judge<'_>,
    ) -> Result<Vec<Judged>, SpliceError> {
        let examples = self.marked.examples(concept.number, prompts.len());
        let bos = usize::from(self.model.spec.bos.is_some());
        self.judged(prompts, judge, |i, prompt| {
            let whole = match examples.is_empty() {
                true => prompt.to_vec(),
                false => [&examples[i % examples.len()], &prompt[bos..]].concat(),
            };
            let answer = self.probe(&whole).default(&mut |_| ControlFlow::Continue(()))?;
            Ok(self.probe(prompt).reading(answer.tokens))
        })
    }
}

/// Mean cost and effect of answers, less those of the default ones. An answer that ends at once gives nothing and costs [`MOST_COST`].
fn mean(answers: &[Judged], defaults: &[Judged]) -> (f64, f64) {
    let one = |(a, default): (&Judged, &Judged)| match (a.loss, default.loss) {
        (_, None) => None,
        (None, Some(_)) => Some((MOST_COST, 0.0)),
        (Some(loss), Some(own)) => Some((loss - own, a.effect - default.effect)),
    };
    let each: Vec<(f64, f64)> = answers.iter().zip(defaults).filter_map(one).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| each.iter().map(of).sum::<f64>() / each.len().max(1) as f64;
    (mean(|p| p.0), mean(|p| p.1))
}

/// A vector as the only feature of a dictionary, which never fires by itself.
fn direction(vector: &[f32]) -> Dictionary {
    let d = vector.len();
    Dictionary {
        w_enc: vec![0.0; d],
        b_enc: vec![0.0],
        threshold: vec![f32::INFINITY],
        w_dec: vector.to_vec(),
        b_dec: vec![0.0; d],
        w_skip: None,
        activation: Activation::JumpRelu,
        d_in: d,
        d_out: d,
    }
}

/// A random vector as long as `like`: signs and places of its numbers drawn anew.
fn random(like: &[f32], seed: u64, stream: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let mut out = like.to_vec();
    for i in (1..out.len()).rev() {
        out.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
    out.iter_mut().for_each(|x| *x = if rng.next_u64() % 2 == 0 { *x } else { -*x });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three answers to defaults of loss 1 and effect .5: (1.5, .9), one that ended at once, and one whose default did: (.5 + 1)/2, (.4 + 0)/2.
    #[test]
    fn an_answer_that_ends_at_once_costs() {
        let judged = |loss, effect| Judged { loss, effect };
        let answers = [judged(Some(1.5), 0.9), judged(None, 0.0), judged(Some(2.0), 9.0)];
        let defaults = [judged(Some(1.0), 0.5), judged(Some(1.0), 0.5), judged(None, 0.0)];
        let (cost, effect) = mean(&answers, &defaults);
        assert!((cost - 0.75).abs() < 1e-12 && (effect - 0.2).abs() < 1e-12, "{cost} {effect}");
    }

    #[test]
    fn a_random_direction_is_as_long() {
        let like: Vec<f32> = (0..64).map(|i| i as f32 - 20.0).collect();
        let square = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let drawn = random(&like, 7, 1);
        assert_eq!(square(&drawn), square(&like));
        let cosine = drawn.iter().zip(&like).map(|(a, b)| f64::from(a * b)).sum::<f64>() / square(&like);
        assert!(cosine.abs() < 0.5, "{cosine}");
    }
}
