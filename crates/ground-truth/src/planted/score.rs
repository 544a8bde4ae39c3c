//! What a dictionary recovered of a planted one: the scores of `evaluation::truth`, and one more that published figures use.
//!
//! *F1 by cosine* is how SynthSAEBench scores (arXiv 2602.14687): a feature stands for the planted direction with the largest
//! |cos| to its decoder row, several may stand for one, and the mean is over the dictionary's features. Here those whose
//! planted feature never occurs in the rows are left out (there they count as 0). The *oracle* is the true coefficients as
//! features and the true directions as decoder: what is not 1 for it is wrong with the score.

use crate::planted::rows::KnownRows;
use lapidary_dictionary::{Activation, Baseline, Dictionary};
use lapidary_evaluation::reconstruction::{Moments, fvu, squared_error};
use lapidary_evaluation::truth::{Firings, MeanF1, Options, Truth, recovery, score};
use lapidary_kernels::{Csr, Device};
use lapidary_world::planted::Planted;
use serde::Serialize;

/// |cos| from which on a direction counts as recovered.
pub const RECOVERED: f64 = 0.9;

/// Whose scores.
#[derive(Clone, Debug, Serialize)]
pub struct Subject {
    /// Its name in the run, or its folder.
    pub name: String,
    /// What a table calls it.
    #[serde(skip)]
    pub label: String,
    /// What it was trained as; none where nobody says.
    pub architecture: Option<&'static str>,
    /// F.
    pub width: usize,
    /// At the end of its training; none where λ sets nothing.
    pub lambda: Option<f64>,
    /// The L0 that was asked for.
    pub target_l0: Option<f64>,
    /// What it was trained as, to be beaten.
    pub baseline: Option<Baseline>,
}

impl Subject {
    /// Something of which only the name is known.
    pub fn named(name: &str, width: usize) -> Subject {
        let (architecture, lambda, target_l0, baseline) = (None, None, None, None);
        Subject { name: name.into(), label: name.into(), architecture, width, lambda, target_l0, baseline }
    }
}

/// The scores of one dictionary; all but FVU are 1 at best.
#[derive(Clone, Debug, Serialize)]
pub struct PlantedScores {
    /// Whose they are.
    #[serde(flatten)]
    pub subject: Subject,
    /// Mean features per row.
    pub l0: f64,
    /// Share of variance unexplained.
    pub fvu: f64,
    /// Features that never fire in the rows.
    pub silent: usize,
    /// One-to-one F1 of firing, mean over the planted features that are neither too rare nor too frequent in the rows.
    pub matched_f1: MeanF1,
    /// See above: mean over the dictionary's features.
    pub f1_by_cosine: f64,
    /// Mean |cos| of the min(M, F) assigned pairs of directions.
    pub mean_correlation: f64,
    /// Share of the M directions whose assigned |cos| is at least [`RECOVERED`].
    pub recovered: f64,
}

/// What every score of a planted dictionary needs.
pub struct Scorer<'a> {
    planted: &'a Planted,
    known: &'a KnownRows,
    truth: Truth,
    options: Options,
    device: Device,
}

impl<'a> Scorer<'a> {
    /// `known` are rows of `planted`.
    pub fn new(planted: &'a Planted, known: &'a KnownRows, device: Device) -> Scorer<'a> {
        let truth = Truth::planted(&firings(&known.truth));
        Scorer { planted, known, truth, options: Options::standard(planted.seed), device }
    }

    /// Scores of a dictionary in the units of the rows.
    pub fn dictionary(&self, subject: Subject, dictionary: &Dictionary) -> PlantedScores {
        self.measure(subject, dictionary, &dictionary.encode(self.device, &self.known.x))
    }

    /// Scores of the planted dictionary itself.
    pub fn oracle(&self) -> PlantedScores {
        let Planted { config, directions, bias, .. } = self.planted;
        let dictionary = Dictionary {
            w_enc: directions.clone(),
            b_enc: vec![0.0; config.features],
            threshold: vec![f32::INFINITY; config.features], // it has no encoder: features are given
            w_dec: directions.clone(),
            b_dec: bias.clone(),
            w_skip: None,
            activation: Activation::JumpRelu,
            d_in: config.d,
            d_out: config.d,
        };
        self.measure(Subject::named("oracle", config.features), &dictionary, &self.known.truth)
    }

    fn measure(&self, subject: Subject, dictionary: &Dictionary, features: &Csr) -> PlantedScores {
        let (d, firings) = (self.planted.config.d, firings(features));
        let matched = score(&subject.name, &self.truth, &firings, None, &self.options);
        let found = recovery(self.planted.directions(), &dictionary.w_dec, d, RECOVERED, self.device);
        PlantedScores {
            l0: firings.index.len() as f64 / firings.rows() as f64,
            fvu: self.fvu(&dictionary.reconstruct(self.device, &self.known.x, features)),
            silent: firings.counts().iter().filter(|&&n| n == 0).count(),
            matched_f1: matched.matched_f1,
            f1_by_cosine: self.f1_by_cosine(&dictionary.w_dec, &firings),
            mean_correlation: found.mean_correlation,
            recovered: found.recovered,
            subject,
        }
    }

    fn fvu(&self, reconstruction: &[f32]) -> f64 {
        let (d, x) = (self.planted.config.d, &self.known.x);
        let mut moments = Moments::new(d);
        moments.add(x);
        let rows = x.chunks_exact(d).zip(reconstruction.chunks_exact(d));
        fvu(rows.map(|(x, y)| squared_error(x, y)).sum(), moments.variance())
    }

    fn f1_by_cosine(&self, decoder: &[f32], firings: &Firings) -> f64 {
        let nearest = self.nearest(decoder);
        let mut occurs = vec![0u32; self.truth.indicators.len()];
        self.truth.on.iter().for_each(|&v| occurs[v as usize] += 1);
        let mut both = vec![0u32; nearest.len()];
        for n in 0..firings.rows() {
            for &j in firings.row(n) {
                both[j as usize] += u32::from(self.truth.row(n).binary_search(&nearest[j as usize]).is_ok());
            }
        }
        let (mut sum, mut features) = (0.0, 0);
        for ((both, n), v) in both.iter().zip(firings.counts()).zip(nearest) {
            let occurs = occurs[v as usize];
            if occurs > 0 {
                sum += 2.0 * f64::from(*both) / (f64::from(n) + f64::from(occurs));
                features += 1;
            }
        }
        sum / f64::from(features)
    }

    /// The planted direction with the largest |cos| to each decoder row [F], whatever its length: directions are unit vectors.
    fn nearest(&self, decoder: &[f32]) -> Vec<u32> {
        let (d, m) = (self.planted.config.d, self.planted.config.features);
        let mut nearest = Vec::with_capacity(decoder.len() / d);
        for rows in decoder.chunks(256 * d) {
            let mut cosines = vec![0.0; rows.len() / d * m];
            self.device.linear(rows, self.planted.directions(), None, d, &mut cosines);
            let largest =
                |row: &[f32]| (0..m).max_by(|&a, &b| row[a].abs().total_cmp(&row[b].abs())).unwrap_or(0);
            nearest.extend(cosines.chunks_exact(m).map(|row| largest(row) as u32));
        }
        nearest
    }
}

fn firings(features: &Csr) -> Firings {
    let mut firings = Firings::with_columns(features.columns);
    firings.push(features);
    firings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::rows::{known_rows, tests::tiny};

    #[test]
    fn the_oracle_scores_exactly_one() {
        let planted = tiny();
        let known = known_rows(&planted, 10_000, 3_000);
        let oracle = Scorer::new(&planted, &known, Device::detect()).oracle();
        assert_eq!(oracle.matched_f1.value, 1.0);
        assert_eq!((oracle.mean_correlation, oracle.recovered, oracle.f1_by_cosine), (1.0, 1.0, 1.0));
        assert!(oracle.matched_f1.indicators > 100, "{:?}", oracle.matched_f1);
        assert!(oracle.fvu < 1e-12, "{}", oracle.fvu);
        let rate = planted.mean_l0();
        assert!((oracle.l0 / rate - 1.0).abs() < 0.05, "true L0 {} of {rate}", oracle.l0);
    }

    /// The oracle cut down to the planted features 0, 1 and 2, the last with another's decoder row: by hand, two of 200
    /// directions are recovered, and F1 by cosine holds the third feature against the direction that it points along.
    #[test]
    fn part_of_the_oracle_scores_its_part() {
        let planted = tiny();
        let known = known_rows(&planted, 0, 3_000);
        let scorer = Scorer::new(&planted, &known, Device::detect());
        let (d, m) = (planted.config.d, planted.config.features);
        let mut part = Csr::with_columns(3);
        for n in 0..known.truth.rows() {
            let (index, value) = known.truth.row(n);
            let kept = index.partition_point(|&f| f < 3);
            part.index.extend(&index[..kept]);
            part.value.extend(&value[..kept]);
            part.row_start.push(part.index.len());
        }
        let mut w_dec = planted.directions[..3 * d].to_vec();
        w_dec[2 * d..].copy_from_slice(&planted.directions[3 * d..4 * d]);
        let dictionary = Dictionary {
            w_enc: vec![0.0; 3 * d],
            b_enc: vec![0.0; 3],
            threshold: vec![f32::INFINITY; 3],
            w_dec,
            b_dec: planted.bias.clone(),
            w_skip: None,
            activation: Activation::JumpRelu,
            d_in: d,
            d_out: d,
        };
        let scores = scorer.measure(Subject::named("part", 3), &dictionary, &part);
        assert_eq!((scores.mean_correlation, scores.recovered), (1.0, 3.0 / m as f64));
        let scored = scores.matched_f1.indicators as f64;
        assert!(
            (scores.matched_f1.value - 3.0 / scored).abs() < 1e-12,
            "matched by firing, not by direction"
        );
        let fires = |n: usize, f: u32| known.truth.row(n).0.contains(&f);
        let count = |of: &dyn Fn(usize) -> bool| (0..3_000).filter(|&n| of(n)).count() as f64;
        let both = count(&|n| fires(n, 2) && fires(n, 3));
        let third = 2.0 * both / (count(&|n| fires(n, 2)) + count(&|n| fires(n, 3)));
        assert!(third < 0.9 && (scores.f1_by_cosine - (2.0 + third) / 3.0).abs() < 1e-12);
        assert!(scores.fvu > 0.1 && scores.fvu.is_finite());
    }
}
