//! What a strength buys and what it costs: effect against fluency, on a continuation that the steered model wrote.
//!
//! The *effect* is the mean value of the feature over the answer's tokens when the untouched model reads them: it sees the text, not
//! the intervention. *Δloss* is the untouched model's mean loss on the steered answer, in nats per token, less that on its own answer:
//! how much less likely it finds the text. *KL* is the mean over the answer's tokens of KL(steered ‖ untouched), the two models'
//! next-token distributions after the same text.

use crate::SpliceError;
use crate::steering::{Placed, Steering};
use lapidary_lm::{Batch, Model, Sampling};
use std::ops::ControlFlow;

/// Logits of one tile of the KL.
const LOGITS: usize = 1 << 20;

/// What is swept.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// Who writes and who reads.
    pub model: &'a Model,
    /// Whose feature is looked at.
    pub of: Placed<'a>,
    /// Its index.
    pub feature: usize,
    /// BOS included.
    pub prompt: &'a [u32],
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// How they are chosen.
    pub sampling: Sampling,
}

/// An answer, read by the untouched model.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The answer.
    pub tokens: Vec<u32>,
    /// Mean value of the feature over the answer; none of an empty answer.
    pub effect: Option<f64>,
    /// Mean loss over the answer, nats per token; none of an empty answer.
    pub loss: Option<f64>,
}

/// A steered answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The answer and how the untouched model reads it.
    pub reading: Reading,
    /// KL(steered ‖ untouched), nats per token; none of an empty answer.
    pub kl: Option<f64>,
}

impl Point {
    /// Loss of the steered answer less that of the default one.
    pub fn delta_loss(&self, default: &Reading) -> Option<f64> {
        Some(self.reading.loss? - default.loss?)
    }
}

impl Probe<'_> {
    /// The untouched model's own answer. `each` may end it early.
    ///
    /// # Errors
    /// A prompt that the model cannot read, or sampling parameters outside their range.
    pub fn default(&self, each: &mut dyn FnMut(u32) -> ControlFlow<()>) -> Result<Reading, SpliceError> {
        let tokens = self.model.generate(self.prompt, self.max_tokens, &self.sampling, each)?;
        Ok(self.reading(tokens))
    }

    /// The answer under `steering`, and what it buys and costs.
    ///
    /// # Errors
    /// As [`Probe::default`].
    pub fn point(
        &self,
        steering: &Steering<'_>,
        each: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Point, SpliceError> {
        let tokens = steering.generate(self.prompt, self.max_tokens, &self.sampling, each)?;
        let whole = [self.prompt, &tokens].concat();
        let (reading, untouched) = self.read(tokens);
        let steered = steering.forward(&whole, self.prompt.len())?;
        let rows = self.answer_rows(whole.len());
        let kl = kl(self.model, &steered[rows.clone()], &untouched[rows]);
        Ok(Point { reading, kl })
    }

    /// How the untouched model reads an answer that somebody wrote.
    pub fn reading(&self, tokens: Vec<u32>) -> Reading {
        self.read(tokens).0
    }

    /// How the untouched model reads an answer; with its residual stream `[N, D]`.
    fn read(&self, tokens: Vec<u32>) -> (Reading, Vec<f32>) {
        let (model, given) = (self.model, self.prompt.len());
        let whole = [self.prompt, &tokens].concat();
        let mut values = Vec::new();
        let residual = model.forward(&Batch::new([whole.as_slice()]), &[self.of.site], &mut |_, x| {
            let answer = &x[given * self.of.dictionary.d_in..];
            let features = self.of.dictionary.encode(model.device, answer);
            let of =
                |n| features.row(n).0.binary_search(&(self.feature as u32)).map(|at| features.row(n).1[at]);
            values = (0..features.rows()).map(|n| f64::from(of(n).unwrap_or(0.0))).collect();
        });
        let losses = model.cross_entropy(&residual[self.answer_rows(whole.len())], &tokens);
        (Reading { effect: mean(&values), loss: mean(&losses), tokens }, residual)
    }

    /// Where in a residual stream `[N, D]` the rows stand that predict the answer: from the prompt's last token to the last but one.
    fn answer_rows(&self, tokens: usize) -> std::ops::Range<usize> {
        let d = self.model.spec.d_model;
        (self.prompt.len() - 1) * d..(tokens - 1) * d
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Mean over rows of KL(p ‖ q) in nats, of the next-token distributions of two residual streams `[n, D]`.
fn kl(model: &Model, p: &[f32], q: &[f32]) -> Option<f64> {
    let (d, v) = (model.spec.d_model, model.spec.vocab);
    let rows = (LOGITS / v).max(1) * d;
    let mut each = Vec::new();
    for (p, q) in p.chunks(rows).zip(q.chunks(rows)) {
        let (p, q) = (model.unembed(p), model.unembed(q));
        each.extend(p.chunks_exact(v).zip(q.chunks_exact(v)).map(|(p, q)| row_kl(p, q)));
    }
    mean(&each)
}

/// KL(softmax p ‖ softmax q) in nats; sums in f64.
fn row_kl(p: &[f32], q: &[f32]) -> f64 {
    let (zp, zq) = (log_sum(p), log_sum(q));
    let term = |(&p, &q): (&f32, &f32)| {
        let (p, q) = (f64::from(p) - zp, f64::from(q) - zq);
        p.exp() * (p - q)
    };
    p.iter().zip(q).map(term).sum::<f64>().max(0.0)
}

/// ln Σ exp of a row.
pub(crate) fn log_sum(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(max) + logits.iter().map(|&x| (f64::from(x) - f64::from(max)).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// p = (1/2, 1/2), q = (3/4, 1/4): ½ ln(2/3) + ½ ln 2 = ½ ln(4/3).
    #[test]
    fn kl_is_what_its_formula_says() {
        let q = [3.0f32.ln(), 0.0];
        assert!((row_kl(&[5.0, 5.0], &q) - 0.5 * (4.0f64 / 3.0).ln()).abs() < 1e-7);
        assert!((row_kl(&q, &[5.0, 5.0]) - (0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln())).abs() < 1e-7);
        assert_eq!(row_kl(&q, &q), 0.0);
    }
}
