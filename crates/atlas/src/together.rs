//! Which features fire together: Σ f_i f_j for all pairs of a dictionary of at most 4,096 features, exactly; in a larger one the
//! heavy hitters of each feature, over the first 2²⁰ rows.
//!
//! The heavy hitters are those of a mergeable Misra–Gries summary (Agarwal et al. 2012): partners are collected exactly until there
//! are [`ROOM`], then the (KEPT + 1)-th largest sum is taken from all and what is not above 0 is dropped. A sum is too small by
//! at most what was taken in all, which is kept: the error bound.

use lapidary_kernels::Csr;
use serde::{Deserialize, Serialize};

/// Features of a dictionary whose pairs are all counted.
pub const EXACT: usize = 4_096;
/// Rows that are looked at in a larger one.
pub const ROWS: u64 = 1 << 20;
/// Partners that are kept of a feature.
const KEPT: usize = 64;
/// Partners that are held at a time.
const ROOM: usize = 192;

/// One feature's sums over rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partners {
    /// Σ f_i.
    pub sum: f64,
    /// Σ f_i².
    pub squares: f64,
    /// Σ f_i f_j, by j.
    sums: Sums,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Sums {
    /// Of j = i + 1 and on.
    All(Vec<f64>),
    /// Of some j ascending, and how much each may be too small.
    Heavy(Vec<(u32, f64)>, f64),
}

impl Default for Sums {
    fn default() -> Sums {
        Sums::All(Vec::new())
    }
}

impl Partners {
    /// Of feature i of a dictionary of `width`.
    pub fn new(i: usize, width: usize) -> Partners {
        let sums = match width <= EXACT {
            true => Sums::All(vec![0.0; width - i - 1]),
            false => Sums::Heavy(Vec::new(), 0.0),
        };
        Partners { sums, ..Partners::default() }
    }

    /// Takes the rows `at` of a batch, in which feature i has these values.
    pub fn see(&mut self, i: usize, at: &[u32], values: &[f32], batch: &Csr) {
        for (&n, &value) in at.iter().zip(values) {
            let value = f64::from(value);
            self.sum += value;
            self.squares += value * value;
            let (index, others) = batch.row(n as usize);
            if let Sums::All(sums) = &mut self.sums {
                let after = index.partition_point(|&j| j as usize <= i);
                for (&j, &other) in index[after..].iter().zip(&others[after..]) {
                    sums[j as usize - i - 1] += value * f64::from(other);
                }
            }
        }
        if let Sums::Heavy(sums, taken) = &mut self.sums {
            let products = at.iter().zip(values).flat_map(|(&n, &value)| {
                let (index, others) = batch.row(n as usize);
                let product = move |(&j, &other): (&u32, &f32)| (j, f64::from(value) * f64::from(other));
                index.iter().zip(others).map(product).filter(move |(j, _)| *j as usize != i)
            });
            *sums = added(std::mem::take(sums), products.collect());
            if sums.len() > ROOM {
                *taken += pruned(sums);
            }
        }
    }
}

/// Both lists as one, ascending; sums of the same partner are added in the order of the rows.
fn added(sums: Vec<(u32, f64)>, new: Vec<(u32, f64)>) -> Vec<(u32, f64)> {
    let mut all = sums;
    all.extend(new);
    all.sort_by_key(|(j, _)| *j); // stable
    let mut out: Vec<(u32, f64)> = Vec::with_capacity(all.len());
    for (j, sum) in all {
        match out.last_mut() {
            Some((last, total)) if *last == j => *total += sum,
            _ => out.push((j, sum)),
        }
    }
    out
}

/// Takes the (KEPT + 1)-th largest sum from all and drops what is not above 0; how much was taken.
fn pruned(sums: &mut Vec<(u32, f64)>) -> f64 {
    let mut sorted: Vec<f64> = sums.iter().map(|(_, sum)| *sum).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let taken = sorted[KEPT].max(0.0);
    sums.iter_mut().for_each(|(_, sum)| *sum -= taken);
    sums.retain(|(_, sum)| *sum > 0.0);
    taken
}

/// A feature and how it goes with another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correlated {
    /// The other one.
    pub feature: u32,
    /// Pearson's r over the rows.
    pub pearson: f32,
}

/// The most correlated features of each feature, and how much a coefficient may be too small.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MostCorrelated {
    /// None if the coefficients are exact.
    pub error_bound: Option<f32>,
    /// The strongest first; above 0.
    pub features: Vec<Correlated>,
}

/// Of all features of a dictionary, over `rows` rows.
pub fn most_correlated(all: &[Partners], rows: u64, most: usize) -> Vec<MostCorrelated> {
    let n = rows as f64;
    let mean = |p: &Partners| p.sum / n;
    let deviation: Vec<f64> =
        all.iter().map(|p| (p.squares / n - mean(p) * mean(p)).max(0.0).sqrt()).collect();
    let pearson = |i: usize, j: usize, sum: f64| {
        let r = (sum / n - mean(&all[i]) * mean(&all[j])) / (deviation[i] * deviation[j]);
        Some(r as f32).filter(|r| *r > 0.0)
    };
    let mut out = vec![MostCorrelated::default(); all.len()];
    for (i, partners) in all.iter().enumerate() {
        match &partners.sums {
            Sums::All(sums) => {
                for (j, &sum) in (i + 1..).zip(sums).filter(|(_, sum)| **sum != 0.0) {
                    if let Some(r) = pearson(i, j, sum) {
                        out[i].add(j, r, most);
                        out[j].add(i, r, most);
                    }
                }
            }
            Sums::Heavy(sums, taken) => {
                let found =
                    sums.iter().filter_map(|&(j, sum)| Some((j as usize, pearson(i, j as usize, sum)?)));
                found.for_each(|(j, r)| out[i].add(j, r, most));
                let least = out[i].features.iter().map(|c| deviation[c.feature as usize]);
                let least = least.fold(f64::INFINITY, f64::min);
                let bound = (taken / n / (deviation[i] * least)) as f32;
                out[i].error_bound = Some(if bound.is_finite() { bound } else { 0.0 });
            }
        }
    }
    out
}

impl MostCorrelated {
    fn add(&mut self, feature: usize, pearson: f32, most: usize) {
        let at = self.features.partition_point(|c| c.pearson >= pearson);
        if at < most {
            self.features.insert(at, Correlated { feature: feature as u32, pearson });
            self.features.truncate(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of few features, by a multiplicative generator; features 0 and 1 of a row go together.
    fn rows(width: usize, n: usize) -> Csr {
        let mut csr = Csr::with_columns(width);
        let mut state = 1u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        for _ in 0..n {
            let mut row: Vec<u32> = (0..6).map(|_| (2 + draw() % (width - 2)) as u32).collect();
            if draw() % 5 == 0 {
                row.extend([0, 1]);
            }
            row.sort_unstable();
            row.dedup();
            csr.value.extend(row.iter().map(|_| 1.0 + (draw() % 100) as f32 / 100.0));
            csr.index.extend(row);
            csr.row_start.push(csr.index.len());
        }
        csr
    }

    fn seen(csr: &Csr, width: usize) -> Vec<Partners> {
        let t = csr.transpose();
        let mut all: Vec<Partners> = (0..csr.columns).map(|i| Partners::new(i, width)).collect();
        for (i, partners) in all.iter_mut().enumerate() {
            let (at, values) = t.row(i);
            partners.see(i, at, values, csr);
        }
        all
    }

    /// Pearson's r as it is defined, from dense columns.
    fn pearson(csr: &Csr, i: usize, j: usize) -> f64 {
        let column = |f: usize| -> Vec<f64> {
            (0..csr.rows())
                .map(|n| {
                    csr.row(n)
                        .0
                        .iter()
                        .position(|&k| k as usize == f)
                        .map_or(0.0, |at| f64::from(csr.row(n).1[at]))
                })
                .collect()
        };
        let (a, b) = (column(i), column(j));
        let n = a.len() as f64;
        let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
        let cov = a.iter().zip(&b).map(|(x, y)| (x - ma) * (y - mb)).sum::<f64>();
        let var = |c: &[f64], m: f64| c.iter().map(|x| (x - m).powi(2)).sum::<f64>();
        cov / (var(&a, ma) * var(&b, mb)).sqrt()
    }

    #[test]
    fn exact_coefficients_are_those_of_the_definition() {
        let csr = rows(40, 500);
        let found = most_correlated(&seen(&csr, 40), 500, 5);
        assert_eq!((found[0].features[0].feature, found[1].features[0].feature), (1, 0));
        for (i, of) in found.iter().enumerate() {
            assert_eq!(of.error_bound, None);
            let mut by_hand: Vec<f64> = (0..40).filter(|&j| j != i).map(|j| pearson(&csr, i, j)).collect();
            by_hand.sort_by(|a, b| b.total_cmp(a));
            for (c, hand) in of.features.iter().zip(by_hand) {
                assert!((f64::from(c.pearson) - hand).abs() < 1e-5, "{i}: {c:?} {hand}");
            }
        }
    }

    /// More partners than there is room for: what is said is never above the truth, and within the bound of it.
    #[test]
    fn heavy_hitters_are_within_their_bound() {
        let csr = rows(600, 6_000);
        let found = most_correlated(&seen(&csr, EXACT + 1), 6_000, 5);
        assert_eq!(found[0].features[0].feature, 1);
        assert!(found.iter().any(|f| f.error_bound > Some(0.0)), "nothing was pruned");
        for (i, of) in found.iter().enumerate().take(50) {
            for c in &of.features {
                let exact = pearson(&csr, i, c.feature as usize);
                let (r, bound) = (f64::from(c.pearson), f64::from(of.error_bound.unwrap()));
                assert!(r <= exact + 1e-5 && exact <= r + bound + 1e-5, "{i}: {c:?} {exact} {bound}");
            }
        }
    }
}
