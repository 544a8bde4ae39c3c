//! The same dictionary in the field's own numbers, under their own names, to be read beside ours: two tools give two values, and here one
//! sees why. Sums over n rows x, x̂ [n, D]; μ is their mean.
//!
//! SAELens, `run_evals`:
//!   explained_variance          1 − Σ‖x − x̂‖²/Σ‖x − μ‖² since 6.45.1, which is 1 − FVU
//!   explained_variance_legacy   mean of 1 − ‖x − x̂‖²/‖x − μ‖² over rows: a row near μ outweighs all others
//!   mse                         mean of ‖x − x̂‖²
//!   cossim, l2_ratio            mean of ⟨x, x̂⟩/(‖x‖‖x̂‖), of ‖x̂‖/‖x‖
//!   relative_reconstruction_bias  Σ‖x̂‖²/Σ⟨x, x̂⟩
//!   l1                          mean of Σ|f|
//!   ce_loss_score               (CE zero-ablated − CE spliced)/(CE zero-ablated − CE): zeros, where ours has the mean
//!
//! SAEBench 0.6.0, core:
//!   explained_variance          1 − E‖x − x̂‖²/(S − (S/D)²), S = E‖x‖²: x² stands where the mean should, and the denominator is neither
//!                               the variance nor always positive
//!
//! Theirs go over batches of their own and by other rules of what is special; with one batch and our rows they are these.

use crate::scores::{Interval, Score};
use lapidary_stats::bootstrap;
use serde::{Deserialize, Deserializer, Serialize};

/// Sums over rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peers {
    rows: f64,
    error: f64,
    squares: f64,
    ratio: f64,
    cosine: f64,
    length: f64,
    recon_squares: f64,
    dots: f64,
    l1: f64,
}

/// Number of sums.
const SUMS: usize = 9;

/// Their numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerScores {
    /// Of SAELens.
    pub sae_lens: SaeLens,
    /// Of SAEBench.
    pub sae_bench: SaeBench,
}

/// Of `run_evals`, since 6.45.1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SaeLens {
    #[serde(deserialize_with = "score")]
    pub explained_variance: Score,
    #[serde(deserialize_with = "score")]
    pub explained_variance_legacy: Score,
    #[serde(deserialize_with = "score")]
    pub mse: Score,
    #[serde(deserialize_with = "score")]
    pub cossim: Score,
    #[serde(deserialize_with = "score")]
    pub l2_ratio: Score,
    #[serde(deserialize_with = "score")]
    pub relative_reconstruction_bias: Score,
    #[serde(deserialize_with = "score")]
    pub l1: Score,
    #[serde(deserialize_with = "score")]
    pub ce_loss_score: Score,
}

/// Of the core evaluation, 0.6.0, where it differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SaeBench {
    #[serde(deserialize_with = "score")]
    pub explained_variance: Score,
}

/// A score, or the number alone that earlier files have.
fn score<'de, D: Deserializer<'de>>(from: D) -> Result<Score, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Saved {
        Score(Score),
        Number(#[serde(with = "crate::number")] f64),
    }
    Ok(match Saved::deserialize(from)? {
        Saved::Score(score) => score,
        Saved::Number(value) => {
            let interval = Interval::Missing { reason: "saved before it was measured".into() };
            Score { value, n: 0, interval }
        }
    })
}

impl Peers {
    /// Adds a row x [D], its reconstruction and the values of its active features; μ [D] is the mean row.
    pub fn add(&mut self, x: &[f32], recon: &[f32], mean: &[f64], values: &[f32]) {
        let (mut error, mut distance, mut square, mut recon_square, mut dot) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for ((&x, &r), m) in x.iter().zip(recon).zip(mean) {
            let (x, r) = (f64::from(x), f64::from(r));
            error += (x - r).powi(2);
            distance += (x - m).powi(2);
            square += x * x;
            recon_square += r * r;
            dot += x * r;
        }
        self.rows += 1.0;
        self.error += error;
        self.squares += square;
        self.ratio += error / distance;
        self.cosine += dot / (square.sqrt() * recon_square.sqrt());
        self.length += recon_square.sqrt() / square.sqrt();
        self.recon_squares += recon_square;
        self.dots += dot;
        self.l1 += values.iter().map(|v| f64::from(v.abs())).sum::<f64>();
    }

    fn to_array(self) -> [f64; SUMS] {
        let Peers { rows, error, squares, ratio, cosine, length, recon_squares, dots, l1 } = self;
        [rows, error, squares, ratio, cosine, length, recon_squares, dots, l1]
    }
}

/// Legacy explained variance, mse, cossim, l2_ratio, bias, l1; SAEBench's explained variance, of rows of width d.
fn numbers(sums: &[f64], d: f64) -> [f64; 7] {
    let &[n, error, squares, ratio, cosine, length, recon_squares, dots, l1] = sums else {
        panic!("peers: {SUMS} sums, found {}", sums.len())
    };
    let s = squares / n;
    let sae_bench = 1.0 - error / n / (s - (s / d).powi(2));
    [1.0 - ratio / n, error / n, cosine / n, length / n, recon_squares / dots, l1 / n, sae_bench]
}

/// Of what documents add, for rows of width d; with ours that are the same: FVU, and loss recovered from zero-ablation.
pub fn scores(
    documents: &[Peers],
    d: usize,
    (fvu, recovered): (&Score, &Score),
    (resamples, seed): (usize, u64),
) -> PeerScores {
    let flat: Vec<f64> = documents.iter().flat_map(|sums| sums.to_array()).collect();
    let mut total = [0.0; SUMS];
    flat.chunks_exact(SUMS).for_each(|sums| total.iter_mut().zip(sums).for_each(|(total, x)| *total += x));
    let values = numbers(&total, d as f64);
    let mut intervals = bootstrap(&flat, SUMS, resamples, seed, |sums| numbers(sums, d as f64)).into_iter();
    let mut scores = values.into_iter().map(|value| {
        let interval = intervals.next().expect("one for each").into();
        Score { value, n: total[0] as u64, interval }
    });
    let mut next = || scores.next().expect("seven");
    let sae_lens = SaeLens {
        explained_variance: Score {
            value: 1.0 - fvu.value,
            n: fvu.n,
            interval: match &fvu.interval {
                Interval::Known { low, high } => Interval::Known { low: 1.0 - high, high: 1.0 - low },
                missing => missing.clone(),
            },
        },
        explained_variance_legacy: next(),
        mse: next(),
        cossim: next(),
        l2_ratio: next(),
        relative_reconstruction_bias: next(),
        l1: next(),
        ce_loss_score: recovered.clone(),
    };
    PeerScores { sae_lens, sae_bench: SaeBench { explained_variance: next() } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconstruction::{Moments, fvu, squared_error};

    fn plain(value: f64) -> Score {
        Score { value, n: 1, interval: Interval::Known { low: value - 0.1, high: value + 0.2 } }
    }

    fn of(x: &[f32], recon: &[f32], d: usize) -> PeerScores {
        let (mut moments, mut peers) = (Moments::new(d), Peers::default());
        moments.add(x);
        let mean = moments.mean();
        for (x, recon) in x.chunks_exact(d).zip(recon.chunks_exact(d)) {
            peers.add(x, recon, &mean, &[]);
        }
        let fvu = plain(fvu(squared_error(x, recon), moments.variance()));
        scores(&[peers], d, (&fvu, &plain(0.5)), (0, 0))
    }

    /// x = 100 + N(0, 1) with x̂ = the mean explains nothing: 1 − FVU is 0. SAEBench's denominator there is
    /// 64·10,001 − 10,001² < 0, so that it says 1.0000006: better than perfect.
    #[test]
    fn the_mean_explains_nothing_but_by_saebench() {
        let d = 64;
        let normal = |n: usize| {
            let uniform = |k: usize| ((n * 12 + k) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            (0..12).map(|k| uniform(k) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
        };
        let x: Vec<f32> = (0..1_000 * d).map(|n| 100.0 + normal(n)).collect();
        let mut moments = Moments::new(d);
        moments.add(&x);
        let mean: Vec<f32> = moments.mean().iter().map(|m| *m as f32).collect();
        let found = of(&x, &mean.repeat(1_000), d);
        assert!(found.sae_lens.explained_variance.value.abs() < 1e-6, "{found:?}");
        assert!(found.sae_lens.explained_variance_legacy.value.abs() < 1e-6);
        assert!(found.sae_bench.explained_variance.value > 1.0, "{found:?}");
        assert!((found.sae_bench.explained_variance.value - 1.0) < 2e-6);
    }

    /// Rows ±e₀ of variance 1 around μ, ‖μ‖² = m, D = 64: S = 1 + m, and a reconstruction that misses 0.343 of 1 has
    /// 1 − FVU = 0.657. Where S − (S/64)² = 1.28, S = 1.2804, SAEBench says 1 − 0.343/1.28 = 0.732.
    #[test]
    fn saebench_says_732_where_657_is_right() {
        let d = 64;
        let s = 2048.0 * (1.0 - (1.0f64 - 1.28 / 1024.0).sqrt());
        let off = (s - 1.0).sqrt() as f32;
        let (mut x, mut recon) = (vec![0.0f32; 2 * d], vec![0.0f32; 2 * d]);
        for (row, sign) in [(0, 1.0), (1, -1.0)] {
            (x[row * d], x[row * d + 1]) = (sign, off);
            recon[row * d] = sign * (1.0 - 0.343f32.sqrt());
            recon[row * d + 1] = off;
        }
        let found = of(&x, &recon, d);
        assert!((found.sae_lens.explained_variance.value - 0.657).abs() < 1e-6, "{found:?}");
        assert!((found.sae_bench.explained_variance.value - 0.732).abs() < 1e-4, "{found:?}");
    }

    /// Rows (0, 0), (4, 0), (2, 0.1) and their μ = (2, 0.0333…): the last is near μ, and missing it by 0.1 counts in the legacy number as
    /// much as missing everything twice over, though it is nothing of the variance.
    #[test]
    fn the_legacy_number_is_ruled_by_rows_near_the_mean() {
        let x = [0.0, 0.0, 4.0, 0.0, 2.0, 0.1];
        let found = of(&x, &[0.0, 0.0, 4.0, 0.0, 2.0, 0.0], 2);
        assert!(found.sae_lens.explained_variance.value > 0.998, "{found:?}");
        // ‖x − x̂‖²/‖x − μ‖² of the last row is 0.01/0.00444… = 2.25, the mean over three rows 0.75.
        assert!((found.sae_lens.explained_variance_legacy.value - 0.25).abs() < 1e-5, "{found:?}");
    }

    /// x = (3, 4), x̂ = (6, 8), f = (1, −2): error 25, ratio and bias 2, cosine 1, L1 3.
    #[test]
    fn the_others_by_hand() {
        let mut peers = Peers::default();
        peers.add(&[3.0, 4.0], &[6.0, 8.0], &[0.0, 0.0], &[1.0, -2.0]);
        let SaeLens { mse, cossim, l2_ratio, relative_reconstruction_bias, l1, ce_loss_score, .. } =
            scores(&[peers], 2, (&plain(1.0), &plain(0.25)), (0, 0)).sae_lens;
        let found = [mse, cossim, l2_ratio, relative_reconstruction_bias, l1, ce_loss_score].map(|s| s.value);
        assert_eq!(found, [25.0, 1.0, 2.0, 2.0, 3.0, 0.25]);
    }

    /// Two documents of one row each, x = 1 in width 1, with errors of 1 and 3: mse 2, and a resample is twice the first, both, or twice the
    /// second, so that the interval of mse is [1, 3]. That of explained variance is that of FVU, turned around.
    #[test]
    fn intervals_are_over_documents() {
        let mut documents = [Peers::default(); 2];
        documents[0].add(&[1.0], &[2.0], &[0.0], &[1.0]);
        documents[1].add(&[1.0], &[1.0 + 3f32.sqrt()], &[0.0], &[1.0]);
        let found = scores(&documents, 1, (&plain(0.5), &plain(0.25)), (1_000, 0)).sae_lens;
        let Interval::Known { low, high } = found.mse.interval else { panic!("{found:?}") };
        assert!(
            (low - 1.0).abs() < 1e-6 && (high - 3.0).abs() < 1e-6 && (found.mse.value - 2.0).abs() < 1e-6
        );
        assert_eq!(found.mse.n, 2);
        assert_eq!(
            found.explained_variance.interval,
            Interval::Known { low: 1.0 - (0.5 + 0.2), high: 1.0 - (0.5 - 0.1) }
        );
        assert_eq!(found.ce_loss_score, plain(0.25));
    }

    #[test]
    fn numbers_alone_of_earlier_files_are_read() {
        let saved = r#"{"explained_variance":"NaN"}"#;
        let read: SaeBench = serde_json::from_str(saved).expect("an earlier file");
        assert!(read.explained_variance.value.is_nan() && read.explained_variance.n == 0);
        let read: SaeBench = serde_json::from_str(r#"{"explained_variance":0.5}"#).expect("an earlier file");
        assert_eq!(read.explained_variance.value, 0.5);
        let again: SaeBench =
            serde_json::from_str(&serde_json::to_string(&read).expect("plain data")).expect("read back");
        assert_eq!(again, read);
    }
}
