//! Numbers that several experiments share.

use crate::LabError;
use crate::rung::{Known, Rung};
use lapidary_dictionary::Dictionary;
use lapidary_evaluation::reconstruction::{Moments, fvu, squared_error};
use lapidary_evaluation::truth::{Firings, Options, Truth, TruthScores, score};
use lapidary_evaluation::{Scores, Subject, evaluate};
use lapidary_kernels::{Csr, Device};
use lapidary_lm::Site;
use lapidary_stats::bootstrap;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Rows that are encoded at a time.
const ROWS: usize = 4_096;
/// Draws of every bootstrap.
const RESAMPLES: usize = 1_000;

/// A dictionary on rows x [N, D].
#[derive(Clone, Debug)]
pub struct Encoded {
    /// When its features fire.
    pub firings: Firings,
    /// Mean features per row.
    pub l0: f64,
    /// Share of variance unexplained.
    pub fvu: f64,
}

/// Encodes rows and reconstructs `target` [N, D_out].
pub fn encoded(dictionary: &Dictionary, device: Device, x: &[f32], target: &[f32]) -> Encoded {
    let (d, d_out) = (dictionary.d_in, dictionary.d_out);
    let mut firings = Firings::with_columns(dictionary.width());
    let mut moments = Moments::new(d_out);
    let mut error = 0.0;
    for (x, target) in x.chunks(ROWS * d).zip(target.chunks(ROWS * d_out)) {
        let features = dictionary.encode(device, x);
        let recon = dictionary.reconstruct(device, x, &features);
        moments.add(target);
        error += target
            .chunks_exact(d_out)
            .zip(recon.chunks_exact(d_out))
            .map(|(a, b)| squared_error(a, b))
            .sum::<f64>();
        firings.push(&features);
    }
    let l0 = firings.index.len() as f64 / firings.rows().max(1) as f64;
    Encoded { firings, l0, fvu: fvu(error, moments.variance()) }
}

/// What is spliced into the model: where it reads, where it writes, and what.
pub struct Spliced<'a> {
    /// How errors call it.
    pub name: String,
    /// Where it reads.
    pub site: Site,
    /// What it reconstructs.
    pub output: Site,
    /// What.
    pub dictionary: &'a Dictionary,
}

/// Scores of dictionaries in the running model, on the first `windows` fresh windows; nothing on planted rows.
///
/// # Errors
/// The model cannot be read, or a dictionary does not fit it.
pub fn spliced(rung: &Rung, windows: usize, all: &[Spliced<'_>]) -> Result<Option<Vec<Scores>>, LabError> {
    let Some(model) = rung.model()? else { return Ok(None) };
    let subjects: Vec<Subject<'_>> = all
        .iter()
        .map(|s| Subject { name: &s.name, site: s.site, output: s.output, dictionary: s.dictionary })
        .collect();
    let options = lapidary_evaluation::Options {
        seed: 0,
        resamples: 0,
        batch_tokens: 8_192,
        max_windows: Some(windows),
    };
    Ok(Some(evaluate(model, &rung.known()?.windows.windows, &subjects, options, &mut |_, _| ())?))
}

/// Scores of firings against the truth of a rung; nothing where it is not known.
///
/// # Errors
/// The rung's rows cannot be made.
pub fn against_truth(
    rung: &Rung,
    name: &str,
    firings: &Firings,
    seed: u64,
) -> Result<Option<TruthScores>, LabError> {
    let Known { truth: Some(truth), .. } = rung.known()? else { return Ok(None) };
    let options = Options { resamples: 0, shifts: 2, ..Options::standard(seed) };
    Ok(Some(score(name, truth, firings, rung.probes()?, &options)))
}

/// The truth itself as features: whoever scores it must find all of it.
pub fn oracle(truth: &Truth) -> Firings {
    Firings { columns: truth.indicators.len(), row_start: truth.starts.clone(), index: truth.on.clone() }
}

/// The oracle, made worse: of its firings the share `lost` stays out, and as many come at random.
pub fn degraded(truth: &Truth, lost: f64, seed: u64) -> Firings {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let columns = truth.indicators.len();
    let mut out = Firings::with_columns(columns);
    for n in 0..truth.rows() {
        let mut row: Vec<u32> = Vec::new();
        for &v in truth.row(n) {
            let is_lost = (rng.next_u64() as f64) < lost * u64::MAX as f64;
            row.push(if is_lost { (rng.next_u64() % columns as u64) as u32 } else { v });
        }
        row.sort_unstable();
        row.dedup();
        out.index.extend(row);
        out.row_start.push(out.index.len());
    }
    out
}

/// Kendall's τ of two lists without ties.
pub fn kendall(a: &[f64], b: &[f64]) -> f64 {
    let (mut sum, n) = (0.0, a.len());
    for i in 0..n {
        for j in 0..i {
            sum += ((a[i] - a[j]) * (b[i] - b[j])).signum();
        }
    }
    sum / (n * (n - 1) / 2) as f64
}

/// Spearman's rank correlation; ties share their mean rank.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    pearson(&ranks(a), &ranks(b))
}

/// Pearson's correlation; 0 where one of them does not vary.
pub fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&a, &b)| f(a - ma, b - mb)).sum::<f64>();
    let square = sum(&|a, _| a * a) * sum(&|_, b| b * b);
    if square > 0.0 { sum(&|a, b| a * b) / square.sqrt() } else { 0.0 }
}

/// Ranks from 0; ties share their mean.
pub(crate) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let (mut out, mut start) = (vec![0.0; values.len()], 0);
    while start < order.len() {
        let same = order[start..].iter().take_while(|&&i| values[i] == values[order[start]]).count();
        order[start..start + same].iter().for_each(|&i| out[i] = start as f64 + (same - 1) as f64 / 2.0);
        start += same;
    }
    out
}

/// Standard error of the mean of values, by drawing them anew: variables are a sample of those that a language has.
pub fn sampling_error(values: &[f64], seed: u64) -> f64 {
    let sums: Vec<f64> = values.iter().flat_map(|&x| [x, 1.0]).collect();
    let [interval] = bootstrap(&sums, 2, RESAMPLES, seed, |s| [s[0] / s[1]]);
    interval.map_or(0.0, |i| (i.high - i.low) / (2.0 * 1.96))
}

/// The value at an L0 of `target`, of points (L0, values), between the two nearest by log L0; outside of them the nearest.
pub fn at_l0(points: &[(f64, Vec<f64>)], target: f64) -> Vec<f64> {
    let mut points: Vec<&(f64, Vec<f64>)> = points.iter().collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let above = points.partition_point(|p| p.0 < target);
    let (low, high) = (points[above.saturating_sub(1)], points[above.min(points.len() - 1)]);
    let span = (high.0 / low.0).ln();
    let share = if span > 0.0 { ((target / low.0).ln() / span).clamp(0.0, 1.0) } else { 0.0 };
    low.1.iter().zip(&high.1).map(|(a, b)| a + share * (b - a)).collect()
}

/// Share of the features of one decoder [F, D] that another has too: each is the other's nearest, with a cosine of 0.7 or more.
pub fn shared(a: &[f32], b: &[f32], d: usize, device: Device) -> f64 {
    let (fa, fb) = (a.len() / d, b.len() / d);
    let mut cosines = vec![0.0; fa * fb];
    device.linear(&unit(a, d), &unit(b, d), None, d, &mut cosines);
    let nearest = |row: &[f32]| (0..row.len()).max_by(|&i, &j| row[i].total_cmp(&row[j])).unwrap_or(0);
    let column =
        |j: usize| (0..fa).max_by(|&i, &k| cosines[i * fb + j].total_cmp(&cosines[k * fb + j])).unwrap_or(0);
    let back: Vec<usize> = (0..fb).map(column).collect();
    let is_shared = |i: &usize| {
        let row = &cosines[i * fb..][..fb];
        let j = nearest(row);
        row[j] >= 0.7 && back[j] == *i
    };
    (0..fa).filter(is_shared).count() as f64 / fa as f64
}

/// Rows of length 1; those of length 0 stay.
pub fn unit(rows: &[f32], d: usize) -> Vec<f32> {
    let scaled = |row: &[f32]| {
        let norm = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let by = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        row.iter().map(|&x| (f64::from(x) * by) as f32).collect::<Vec<f32>>()
    };
    rows.chunks_exact(d).flat_map(scaled).collect()
}

/// A batch's firings as they are.
pub fn firings(features: &Csr) -> Firings {
    let mut firings = Firings::with_columns(features.columns);
    firings.push(features);
    firings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_correlations_are_those_of_hand_calculation() {
        let a = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(kendall(&a, &[1.0, 3.0, 2.0, 4.0]), 4.0 / 6.0, "five pairs agree, one does not");
        assert!((spearman(&a, &[1.0, 3.0, 2.0, 4.0]) - 0.8).abs() < 1e-12, "1 − 6·2/(4·15)");
        assert_eq!(ranks(&[5.0, 1.0, 5.0]), [1.5, 0.0, 1.5]);
        assert_eq!(pearson(&a, &[2.0; 4]), 0.0);
    }

    /// Between L0 4 and 16, 8 is half-way by logarithm.
    #[test]
    fn values_at_an_l0_lie_between_their_neighbours() {
        let points = [(16.0, vec![1.0, 0.0]), (4.0, vec![0.0, 2.0])];
        assert_eq!(at_l0(&points, 8.0), [0.5, 1.0]);
        assert_eq!(at_l0(&points, 2.0), [0.0, 2.0]);
        assert_eq!(at_l0(&points[..1], 8.0), [1.0, 0.0]);
    }

    #[test]
    fn a_decoder_shares_what_is_the_same_direction() {
        let (a, b) = ([1.0, 0.0, 0.0, 2.0], [0.0, 1.0, -1.0, 0.1]);
        assert_eq!(shared(&a, &b, 2, Device::detect()), 0.5);
    }
}
