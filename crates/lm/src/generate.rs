//! Sampling a continuation, one cached token at a time.
//!
//! Temperature divides the logits; top-p keeps the smallest set of most probable tokens whose probabilities reach p
//! (<https://arxiv.org/abs/1904.09751>). Temperature 0 takes the largest logit, the lowest id among equals. Draws come
//! from ChaCha8 seeded by the caller, so a seed fixes the text.

use crate::error::LmError;
use crate::model::{Cache, Model};
use crate::site::Site;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::ops::ControlFlow;

/// How a token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 is greedy.
    pub temperature: f64,
    /// Share of probability that is kept, in (0, 1].
    pub top_p: f64,
    /// Seed of the draws.
    pub seed: u64,
}

/// The tokens of one step of a generation: the prompt, then one after another.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// Position of the first.
    pub first: usize,
    /// In order; row n of a tap is that of `tokens[n]`.
    pub tokens: &'a [u32],
    /// Tokens of the prompt: positions from here on are the answer's.
    pub prompt: usize,
}

impl Model {
    /// Continues `prompt` by at most `max_tokens` tokens: ends before one of the spec's `stops`, or when the context is full.
    /// `each` is called with every new token, and may end it too.
    ///
    /// # Errors
    /// A prompt that the model cannot read, or sampling parameters outside their range.
    pub fn generate(
        &self,
        prompt: &[u32],
        max_tokens: usize,
        sampling: &Sampling,
        each: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Vec<u32>, LmError> {
        self.generate_tapped(prompt, max_tokens, sampling, &[], &mut |_, _, _| {}, each)
    }

    /// The same with taps, as in [`Model::extend`], which are told whose rows they see.
    ///
    /// # Errors
    /// As [`Model::generate`].
    pub fn generate_tapped(
        &self,
        prompt: &[u32],
        max_tokens: usize,
        sampling: &Sampling,
        sites: &[Site],
        tap: &mut dyn FnMut(Stretch<'_>, Site, &mut [f32]),
        each: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Vec<u32>, LmError> {
        self.spec.check_tokens(prompt)?;
        sampling.check()?;
        let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
        let room = max_tokens.min(self.spec.context - prompt.len());
        let mut cache = Cache::new(&self.spec, prompt.len() + room);
        let mut next = prompt.to_vec();
        let mut tokens = Vec::new();
        while tokens.len() < room {
            let stretch = Stretch { first: cache.len(), tokens: &next, prompt: prompt.len() };
            let residual = self.extend(&mut cache, &next, sites, &mut |site, rows| tap(stretch, site, rows));
            let logits = self.unembed(&residual[residual.len() - self.spec.d_model..]);
            let token = sampling.choose(&logits, &mut rng);
            if self.spec.stops.contains(&token) {
                break;
            }
            tokens.push(token);
            if each(token).is_break() {
                break;
            }
            next = vec![token];
        }
        Ok(tokens)
    }
}

impl Sampling {
    /// Are the parameters inside their ranges?
    ///
    /// # Errors
    /// Names the one that is not.
    pub fn check(&self) -> Result<(), LmError> {
        let bad = |name, found, expected| Err(LmError::Sampling { name, found, expected });
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return bad("temperature", self.temperature, "a number from 0 up");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return bad("top-p", self.top_p, "a number above 0, up to 1");
        }
        Ok(())
    }

    /// A token id by its logits [V].
    fn choose(&self, logits: &[f32], rng: &mut ChaCha8Rng) -> u32 {
        let descending =
            |&a: &u32, &b: &u32| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b));
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        if self.temperature == 0.0 {
            return order.into_iter().min_by(descending).expect("a vocabulary has tokens");
        }
        order.sort_by(descending);
        let max = f64::from(logits[order[0] as usize]);
        let weights = order.iter().map(|&t| ((f64::from(logits[t as usize]) - max) / self.temperature).exp());
        let weights: Vec<f64> = weights.collect();
        let kept = nucleus(&weights, self.top_p);
        let total: f64 = weights[..kept].iter().sum();
        let mut left = total * (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let hit = weights[..kept].iter().position(|w| {
            left -= w;
            left < 0.0
        });
        order[hit.unwrap_or(kept - 1)]
    }
}

/// How many of the descending `weights` reach the share `top_p` of their sum; at least one.
fn nucleus(weights: &[f64], top_p: f64) -> usize {
    let target = top_p * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let reached = weights.iter().position(|w| {
        sum += w;
        sum >= target
    });
    reached.map_or(weights.len(), |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nucleus_is_the_smallest_set_that_reaches_p() {
        let weights = [0.5, 0.25, 0.125, 0.125];
        assert_eq!(nucleus(&weights, 0.4), 1);
        assert_eq!(nucleus(&weights, 0.5), 1);
        assert_eq!(nucleus(&weights, 0.51), 2);
        assert_eq!(nucleus(&weights, 0.75), 2);
        assert_eq!(nucleus(&weights, 1.0), 4);
    }

    /// Frequencies of 40,000 draws against softmax(logits / temperature) cut at top-p; 5 standard errors.
    #[test]
    fn draws_follow_the_cut_and_heated_distribution() {
        let (logits, n) = ([1.0f32, 3.0, 2.0, -1.0], 40_000);
        let sampling = Sampling { temperature: 2.0, top_p: 0.9, seed: 7 };
        let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
        let mut counts = [0.0f64; 4];
        (0..n).for_each(|_| counts[sampling.choose(&logits, &mut rng) as usize] += 1.0);
        let heated = [0.5f64.exp(), 1.5f64.exp(), 1f64.exp()]; // token 3 has 0.074 and falls outside 0.9
        let total: f64 = heated.iter().sum();
        assert_eq!(counts[3], 0.0);
        for (count, weight) in counts.iter().zip(heated) {
            let p = weight / total;
            assert!((count / f64::from(n) - p).abs() < 5.0 * (p * (1.0 - p) / f64::from(n)).sqrt());
        }
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_largest() {
        let greedy = Sampling { temperature: 0.0, top_p: 1.0, seed: 0 };
        assert_eq!(greedy.choose(&[1.0, 4.0, 4.0], &mut ChaCha8Rng::seed_from_u64(0)), 1);
    }

    #[test]
    fn parameters_outside_their_range_are_named() {
        let error =
            |temperature, top_p| Sampling { temperature, top_p, seed: 0 }.check().unwrap_err().to_string();
        assert!(error(-1.0, 1.0).contains("temperature -1"));
        assert!(error(f64::NAN, 1.0).contains("temperature"));
        assert!(error(1.0, 0.0).contains("top-p 0"));
        assert!(error(1.0, 1.5).contains("top-p 1.5"));
    }
}
