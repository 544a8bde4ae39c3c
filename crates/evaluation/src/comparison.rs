//! Two dictionaries on the same tokens: how far apart are they in one metric? The measurement; `outcome.rs` judges it.
//!
//! Everything is a function of what documents add to the sums ([`Sums`]), resampled together for both (`lapidary_stats::paired`).
//! Between two dictionaries the difference is what it is, also where their L0 differ. *At matched L0* a whole curve stands on
//! either side, the dictionaries of one kind by L0, and is read off between its points: linearly in ln L0, never outside of
//! them. What is compared is the mean over levels of L0 that both curves reach, evenly spaced in ln L0.

use crate::{Interval, Sums};
use lapidary_stats::paired;
use serde::{Deserialize, Serialize};

/// What is compared; of each, less is better, but of [`Metric::LossRecovered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Active features per row.
    L0,
    /// Share of variance.
    Fvu,
    /// Nats per target.
    DeltaLoss,
    /// Share.
    LossRecovered,
}

impl Metric {
    /// Of sums.
    pub fn of(self, sums: &Sums) -> f64 {
        let metrics = sums.metrics();
        match self {
            Metric::L0 => metrics.l0,
            Metric::Fvu => metrics.fvu,
            Metric::DeltaLoss => metrics.delta_loss,
            Metric::LossRecovered => metrics.loss_recovered,
        }
    }

    /// Is less better?
    pub fn less_is_better(self) -> bool {
        self != Metric::LossRecovered
    }

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Metric::L0 => "L0",
            Metric::Fvu => "FVU",
            Metric::DeltaLoss => "Δloss",
            Metric::LossRecovered => "loss recovered",
        }
    }
}

/// One metric of a and b.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Of what.
    pub metric: Metric,
    /// Of the first.
    #[serde(with = "crate::number")]
    pub a: f64,
    /// Of the second.
    #[serde(with = "crate::number")]
    pub b: f64,
    /// a − b.
    #[serde(with = "crate::number")]
    pub difference: f64,
    /// 95 % of the difference, paired over documents.
    pub interval: Interval,
    /// Two-sided, of no difference.
    pub p: f64,
    /// Documents.
    pub n: u64,
    /// Levels of L0 that it is the mean over; empty where two dictionaries were compared as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<f64>,
}

/// a less b. Both [documents], of the same documents in the same order.
pub fn compare(a: &[Sums], b: &[Sums], metric: Metric, resamples: usize, seed: u64) -> Comparison {
    measure(&[a], &[b], &[], metric, resamples, seed)
}

/// The curve of the dictionaries `a`, each [documents], less that of `b`, the mean over `levels` of L0 (see [`levels`]).
pub fn compare_at(
    a: &[&[Sums]],
    b: &[&[Sums]],
    levels: &[f64],
    metric: Metric,
    resamples: usize,
    seed: u64,
) -> Comparison {
    assert!(!levels.is_empty(), "compare at matched L0: no level");
    measure(a, b, levels, metric, resamples, seed)
}

fn measure(
    a: &[&[Sums]],
    b: &[&[Sums]],
    levels: &[f64],
    metric: Metric,
    resamples: usize,
    seed: u64,
) -> Comparison {
    let all: Vec<&[Sums]> = a.iter().chain(b).copied().collect();
    let (flat, k) = beside(&all);
    let sides = |totals: &[f64]| {
        let points: Vec<Point> =
            totals.chunks_exact(Sums::COUNT).map(|s| Point::of(&Sums::from_slice(s), metric)).collect();
        let (a, b) = points.split_at(a.len());
        (height(a, levels), height(b, levels))
    };
    let mut totals = vec![0.0; k];
    flat.chunks_exact(k).for_each(|document| totals.iter_mut().zip(document).for_each(|(t, x)| *t += x));
    let (of_a, of_b) = sides(&totals);
    let difference = paired(&flat, k, resamples, seed, |totals| {
        let (a, b) = sides(totals);
        a - b
    });
    Comparison {
        metric,
        a: of_a,
        b: of_b,
        difference: difference.value,
        interval: difference.interval.into(),
        p: difference.p,
        n: (flat.len() / k) as u64,
        levels: levels.to_vec(),
    }
}

/// [documents, dictionaries × sums].
fn beside(all: &[&[Sums]]) -> (Vec<f64>, usize) {
    let documents = all[0].len();
    assert!(all.iter().all(|one| one.len() == documents), "compare: the same documents");
    let flat = (0..documents).flat_map(|n| all.iter().flat_map(move |one| one[n].to_array())).collect();
    (flat, all.len() * Sums::COUNT)
}

/// A dictionary in the plane of L0 and a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Features per row.
    pub l0: f64,
    /// The metric there.
    pub value: f64,
}

impl Point {
    /// Of sums.
    pub fn of(sums: &Sums, metric: Metric) -> Point {
        Point { l0: Metric::L0.of(sums), value: metric.of(sums) }
    }
}

/// The metric of a curve at an L0: linear in ln L0 between neighbours, points in any order. None outside of them, or without
/// points.
pub fn interpolate(points: &[Point], l0: f64) -> Option<f64> {
    let (low, high) = ends(points)?;
    (low <= l0 && l0 <= high).then(|| read_off(points, l0))
}

/// The same; outside of the points that of the nearest end, which only resamples need.
fn read_off(points: &[Point], l0: f64) -> f64 {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.l0.total_cmp(&b.l0));
    let after = sorted.partition_point(|point| point.l0 < l0);
    let (Some(right), Some(left)) = (sorted.get(after), after.checked_sub(1).map(|k| sorted[k])) else {
        return sorted[after.min(sorted.len() - 1)].value;
    };
    if right.l0 == l0 {
        return right.value; // the point itself, to the bit
    }
    let share = (l0 / left.l0).ln() / (right.l0 / left.l0).ln();
    left.value + (right.value - left.value) * share
}

/// Lowest and highest L0.
fn ends(points: &[Point]) -> Option<(f64, f64)> {
    let low = points.iter().map(|p| p.l0).min_by(f64::total_cmp)?;
    Some((low, points.iter().map(|p| p.l0).max_by(f64::total_cmp)?))
}

/// `count` ≥ 1 levels of L0 that both curves reach, evenly spaced in ln L0 over what they share: its middle, if one. None where
/// they share nothing.
pub fn levels(a: &[Point], b: &[Point], count: usize) -> Option<Vec<f64>> {
    let ((a_low, a_high), (b_low, b_high)) = (ends(a)?, ends(b)?);
    let (low, high) = (a_low.max(b_low), a_high.min(b_high));
    if !(low > 0.0 && low <= high) || count == 0 {
        return None;
    }
    let step = |k: usize| if count == 1 { 0.5 } else { k as f64 / (count - 1) as f64 };
    Some((0..count).map(|k| (low * (high / low).powf(step(k))).clamp(low, high)).collect())
}

/// Of one dictionary its metric; of a curve the mean over `levels`.
fn height(points: &[Point], levels: &[f64]) -> f64 {
    if levels.is_empty() {
        return points[0].value;
    }
    levels.iter().map(|&l0| read_off(points, l0)).sum::<f64>() / levels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(active: f64, error: f64) -> Sums {
        Sums { rows: 1.0, active, error, variance: 1.0, targets: 1.0, ..Sums::default() }
    }

    /// (2, 0.8) and (8, 0.2): at L0 4, halfway in the logarithm, 0.5; at 2·√2 a quarter of the way, 0.65.
    #[test]
    fn a_curve_is_read_between_its_points_only() {
        let curve = [Point { l0: 8.0, value: 0.2 }, Point { l0: 2.0, value: 0.8 }];
        assert!((interpolate(&curve, 4.0).expect("inside") - 0.5).abs() < 1e-15);
        assert!((interpolate(&curve, 8f64.sqrt()).expect("inside") - 0.65).abs() < 1e-15);
        assert_eq!((interpolate(&curve, 2.0), interpolate(&curve, 8.0)), (Some(0.8), Some(0.2)));
        assert_eq!(
            (interpolate(&curve, 1.99), interpolate(&curve, 8.01), interpolate(&[], 1.0)),
            (None, None, None)
        );
    }

    #[test]
    fn levels_are_what_both_reach() {
        let curve = |l0s: &[f64]| l0s.iter().map(|&l0| Point { l0, value: 0.0 }).collect::<Vec<_>>();
        let (a, b) = (curve(&[1.0, 16.0]), curve(&[64.0, 4.0]));
        assert_eq!(levels(&a, &b, 3), Some(vec![4.0, 8.0, 16.0]));
        assert_eq!(levels(&a, &b, 1), Some(vec![8.0]));
        assert_eq!(levels(&a, &curve(&[17.0, 20.0]), 3), None);
        assert_eq!(levels(&a, &curve(&[4.0]), 2), Some(vec![4.0, 4.0]));
    }

    /// Two documents; b misses 0.1 more of each, though the documents differ by much more than that.
    #[test]
    fn two_dictionaries_are_paired_over_documents() {
        let a = [sums(3.0, 0.2), sums(5.0, 0.6)];
        let b = [sums(3.0, 0.3), sums(5.0, 0.7)];
        let found = compare(&a, &b, Metric::Fvu, 99, 1);
        assert!((found.a - 0.4).abs() < 1e-12 && (found.b - 0.5).abs() < 1e-12 && found.n == 2);
        let Interval::Known { low, high } = found.interval else { panic!("an interval") };
        assert!((low + 0.1).abs() < 1e-12 && (high + 0.1).abs() < 1e-12);
        assert!((found.p - 0.02).abs() < 1e-12);
        assert_eq!(compare(&a, &b, Metric::L0, 99, 1).difference, 0.0);
    }

    /// Both kinds lie on one line FVU = 1 − ln L0 / ln 16, a at L0 2 and 8, b at 4 and 16: point against point b looks better
    /// by far; at matched L0 there is no difference. Where b's line is lower by 0.1, that is what is found.
    #[test]
    fn matched_curves_do_not_confuse_sparsity_with_quality() {
        let line = |l0: f64, less: f64| sums(l0, 1.0 - l0.ln() / 16f64.ln() - less);
        let point = |l0, less| vec![line(l0, less); 3];
        let (a, b) = ([point(2.0, 0.0), point(8.0, 0.0)], [point(4.0, 0.0), point(16.0, 0.0)]);
        assert!(compare(&a[0], &b[1], Metric::Fvu, 9, 1).difference > 0.7);
        let matched = |a: &[Vec<Sums>], b: &[Vec<Sums>]| {
            let [a, b] = [a, b].map(|c| c.iter().map(Vec::as_slice).collect::<Vec<_>>());
            compare_at(&a, &b, &[4.0, 8.0], Metric::Fvu, 9, 1).difference
        };
        assert!(matched(&a, &b).abs() < 1e-12);
        let lower = [point(4.0, 0.1), point(16.0, 0.1)];
        assert!((matched(&a, &lower) - 0.1).abs() < 1e-12);
    }
}
