//! Planted dictionaries: how many of the known directions did a dictionary recover?
//!
//!   mean correlation coefficient = Σ |cos(direction, assigned decoder row)| / min(M, F)
//!   recovered fraction = share of the M directions whose assigned |cos| reaches a threshold
//!
//! The assignment is one to one with the largest total |cos|. Firing is compared by `matching`, on [`Truth::planted`].
//! Memory: 4·M·F bytes, twice that if M > F.
//!
//! [`Truth::planted`]: super::Truth::planted

use crate::number;
use lapidary_kernels::Device;
use lapidary_stats::assignment;
use serde::{Deserialize, Serialize};

/// How well decoder rows are the planted directions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// M.
    pub directions: usize,
    /// F.
    pub features: usize,
    /// Mean |cos| over the min(M, F) assigned pairs.
    #[serde(with = "number")]
    pub mean_correlation: f64,
    /// Share of the M directions whose assigned |cos| is at least `threshold`.
    #[serde(with = "number")]
    pub recovered: f64,
    /// Where a direction counts as recovered; 0.9 is usual.
    pub threshold: f64,
    /// The feature of each direction [M], if it has one.
    pub feature: Vec<Option<usize>>,
    /// |cos| with it, 0 without [M].
    pub cosine: Vec<f64>,
}

/// Compares `directions` [M, D] with `decoder` rows [F, D]; neither needs to have length 1, and rows of length 0, or not finite, match nothing.
pub fn recovery(directions: &[f32], decoder: &[f32], d: usize, threshold: f64, device: Device) -> Recovery {
    assert!(d > 0 && directions.len().is_multiple_of(d), "recovery: directions [M, {d}]");
    assert!(decoder.len().is_multiple_of(d), "recovery: decoder [F, {d}]");
    let (m, f) = (directions.len() / d, decoder.len() / d);
    let mut cosines = vec![0.0; m * f];
    device.linear(&unit_rows(directions, d), &unit_rows(decoder, d), None, d, &mut cosines);
    cosines.iter_mut().for_each(|c| *c = c.abs());
    let feature = assignment(&cosines, m, f);
    drop(cosines);
    let exact = |(m, j): (usize, &Option<usize>)| {
        j.map_or(0.0, |j| cosine(&directions[m * d..][..d], &decoder[j * d..][..d]))
    };
    let cosine: Vec<f64> = feature.iter().enumerate().map(exact).collect();
    let recovered = cosine.iter().filter(|&&c| c >= threshold).count();
    Recovery {
        directions: m,
        features: f,
        mean_correlation: cosine.iter().sum::<f64>() / m.min(f) as f64,
        recovered: recovered as f64 / m as f64,
        threshold,
        feature,
        cosine,
    }
}

/// Rows of length 1, or 0 where there is no direction.
fn unit_rows(x: &[f32], d: usize) -> Vec<f32> {
    let unit = |row: &[f32]| {
        let norm = dot(row, row).sqrt();
        let is_direction = norm > 0.0 && norm.is_finite();
        row.iter()
            .map(|&x| if is_direction { (f64::from(x) / norm) as f32 } else { 0.0 })
            .collect::<Vec<f32>>()
    };
    x.chunks_exact(d).flat_map(unit).collect()
}

/// |cos| in f64: exactly 1 for equal rows, because √(s·s) = s.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let squares = dot(a, a) * dot(b, b);
    if squares > 0.0 && squares.is_finite() { (dot(a, b).abs() / squares.sqrt()).min(1.0) } else { 0.0 }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
