//! The concepts that a model is steered towards, with the direction and the feature that stand for each, chosen on one half of the marked rows.

use super::marked::Marked;
use crate::LabError;
use crate::rung::Rung;
use lapidary_dictionary::Dictionary;
use lapidary_kernels::Csr;

/// A concept lasts: where it is on, it is on at the next token with this probability or more.
const PERSISTENCE: f64 = 0.9;

/// A concept, and everything that is known of it.
pub(super) struct Concept {
    pub(super) number: u32,
    pub(super) name: String,
    /// Difference of means `[D]`.
    pub(super) difference: Vec<f32>,
    pub(super) feature: usize,
    /// Correlation of the concept with the feature's firing, over rows that say something about it.
    pub(super) phi: f64,
    pub(super) largest: f32,
}

/// Contrast pairs say what the concepts are. Of variables, those are taken that the model represents, that are neither rare nor everywhere and
/// that last for many tokens, spread over their frequencies.
pub(super) fn numbers(rung: &Rung, marked: &Marked<'_>, most: usize) -> Result<Vec<u32>, LabError> {
    let Some(truth) = marked.truth() else {
        return Ok((0..marked.names.len().min(most) as u32).collect());
    };
    let mut counts = vec![0u64; truth.indicators.len()];
    (0..truth.rows()).flat_map(|n| truth.row(n)).for_each(|&v| counts[v as usize] += 1);
    let auroc = rung.probes()?.map(|probes| probes.auroc.clone()).unwrap_or_default();
    let share = |v: usize| counts[v] as f64 / truth.rows() as f64;
    let lasts = persistence(marked, &counts);
    let fits = |v: &usize| {
        (0.01..0.5).contains(&share(*v))
            && lasts[*v] >= PERSISTENCE
            && !truth.indicators[*v].starts_with("word ")
            && auroc.get(*v).is_some_and(|&a| a >= 0.9)
    };
    let mut all: Vec<usize> = (0..counts.len()).filter(fits).collect();
    all.sort_by_key(|&v| (counts[v], v));
    let wanted = most.min(all.len());
    Ok((0..wanted).map(|i| all[(2 * i + 1) * all.len() / (2 * wanted)] as u32).collect())
}

/// Of the tokens at which each variable is on, the share after which it still is, within a text [V].
fn persistence(marked: &Marked<'_>, counts: &[u64]) -> Vec<f64> {
    let truth = marked.truth().expect("only variables last");
    let (mut on, mut stays) = (vec![0u64; counts.len()], vec![0u64; counts.len()]);
    for n in (1..marked.rows.len()).filter(|&n| marked.follows(n, n - 1)) {
        for &v in truth.row(n - 1) {
            on[v as usize] += 1;
            stays[v as usize] += u64::from(marked.state(n, v) == Some(true));
        }
    }
    on.iter().zip(stays).map(|(&on, stays)| stays as f64 / on.max(1) as f64).collect()
}

impl Concept {
    /// What the half that chooses knows of concept `number`. `features`: the dictionary's, of all rows.
    pub(super) fn new(number: u32, marked: &Marked<'_>, features: &Csr, dictionary: &Dictionary) -> Concept {
        let (d, mut seen) = (dictionary.d_in, Seen::new(dictionary));
        for n in (0..marked.rows.len()).filter(|&n| marked.rows[n].chooses) {
            if let Some(on) = marked.state(n, number) {
                seen.add(on, &marked.x[n * d..][..d], features.row(n));
            }
        }
        let feature =
            (0..dictionary.width()).fold(0, |best, f| if seen.phi(f) > seen.phi(best) { f } else { best });
        Concept {
            number,
            name: marked.names[number as usize].clone(),
            difference: seen.difference(),
            feature,
            phi: seen.phi(feature),
            largest: seen.largest[feature],
        }
    }
}

/// Sums over rows where a concept is off `[0]` and on `[1]`.
struct Seen {
    sums: [Vec<f64>; 2], // [D]
    rows: [u64; 2],
    fires: [Vec<u64>; 2], // [F]
    largest: Vec<f32>,    // [F]
}

impl Seen {
    fn new(of: &Dictionary) -> Seen {
        let (sums, fires) = (vec![0.0; of.d_in], vec![0; of.width()]);
        Seen {
            sums: [sums.clone(), sums],
            rows: [0; 2],
            fires: [fires.clone(), fires],
            largest: vec![0.0; of.width()],
        }
    }

    fn add(&mut self, on: bool, x: &[f32], (index, value): (&[u32], &[f32])) {
        let side = usize::from(on);
        self.rows[side] += 1;
        self.sums[side].iter_mut().zip(x).for_each(|(sum, &x)| *sum += f64::from(x));
        for (&f, &value) in index.iter().zip(value) {
            self.fires[side][f as usize] += 1;
            self.largest[f as usize] = self.largest[f as usize].max(value);
        }
    }

    /// Pearson's correlation of two yes/no variables, the concept and the firing of f; 0 where one never varies.
    fn phi(&self, f: usize) -> f64 {
        let [a, b] = [self.fires[1][f] as f64, self.fires[0][f] as f64];
        let [on, off] = [self.rows[1] as f64, self.rows[0] as f64];
        let varies = (a + b) * (on + off - a - b) * on * off;
        if varies > 0.0 { (a * off - b * on) / varies.sqrt() } else { 0.0 }
    }

    fn difference(&self) -> Vec<f32> {
        let mean = |side: usize, i: usize| self.sums[side][i] / self.rows[side].max(1) as f64;
        (0..self.sums[0].len()).map(|i| (mean(1, i) - mean(0, i)) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 4 rows with the concept the feature fires at 3, of 4 without at 1: φ = (3·3 − 1·1)/√(4·4·4·4) = ½.
    #[test]
    fn phi_by_hand() {
        let mut seen = Seen {
            sums: [vec![0.0], vec![0.0]],
            rows: [0; 2],
            fires: [vec![0, 0], vec![0, 0]],
            largest: vec![0.0; 2],
        };
        for (on, fires) in [(true, true), (true, true), (true, true), (true, false)] {
            seen.add(on, &[2.0], if fires { (&[0, 1], &[1.0, 1.0]) } else { (&[1], &[3.0]) });
        }
        for fires in [true, false, false, false] {
            seen.add(false, &[0.5], if fires { (&[0, 1], &[5.0, 1.0]) } else { (&[1], &[1.0]) });
        }
        assert!((seen.phi(0) - 0.5).abs() < 1e-12);
        assert_eq!(seen.phi(1), 0.0, "it fires everywhere");
        assert_eq!((seen.difference(), seen.largest[0]), (vec![1.5], 5.0));
    }
}
