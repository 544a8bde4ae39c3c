//! Every indicator of a truth against every feature, and indicators against each other: counts of rows from which F1 and implications follow.

use lapidary_evaluation::truth::{Firings, Options, Truth};

/// An indicator implies another if the other is on in this share of its rows.
const IMPLIES: f64 = 0.95;

/// Counts of rows. Memory: 4 bytes for every pair.
pub(crate) struct Counts {
    /// Indicators that are neither too rare nor too frequent, by their number in the truth [V].
    pub(crate) kept: Vec<u32>,
    /// Rows in which each is on [V].
    pub(crate) on: Vec<u32>,
    /// Rows in which each feature fires [F].
    pub(crate) fires: Vec<u32>,
    both: Vec<u32>, // [V, F]
}

/// Place of each indicator among the kept.
fn places(truth: &Truth) -> (Vec<u32>, Vec<u32>, Vec<Option<u32>>) {
    let mut counts = vec![0u32; truth.indicators.len()];
    truth.on.iter().for_each(|&v| counts[v as usize] += 1);
    let (least, most) = (Options::standard(0).min_count, truth.rows() as u32 / 2);
    let kept: Vec<u32> =
        (0..counts.len() as u32).filter(|&v| (least..=most).contains(&counts[v as usize])).collect();
    let mut place = vec![None; counts.len()];
    kept.iter().enumerate().for_each(|(i, &v)| place[v as usize] = Some(i as u32));
    let on = kept.iter().map(|&v| counts[v as usize]).collect();
    (kept, on, place)
}

impl Counts {
    /// Of the rows of both.
    pub(crate) fn new(truth: &Truth, firings: &Firings) -> Counts {
        assert_eq!(truth.rows(), firings.rows(), "counts: rows of the truth, and of the features");
        let (kept, on, place) = places(truth);
        let f = firings.columns;
        let mut both = vec![0; kept.len() * f];
        for n in 0..truth.rows() {
            for v in truth.row(n).iter().filter_map(|&v| place[v as usize]) {
                let line = &mut both[v as usize * f..][..f];
                firings.row(n).iter().for_each(|&j| line[j as usize] += 1);
            }
        }
        Counts { kept, on, fires: firings.counts(), both }
    }

    /// F1 of the v-th kept indicator and feature j.
    pub(crate) fn f1(&self, v: usize, j: usize) -> f64 {
        let both = self.both[v * self.fires.len() + j];
        if both == 0 {
            0.0
        } else {
            2.0 * f64::from(both) / (f64::from(self.on[v]) + f64::from(self.fires[j]))
        }
    }

    /// The kept indicator with the highest F1 for a feature, and that.
    pub(crate) fn of_feature(&self, j: usize) -> (usize, f64) {
        best((0..self.kept.len()).map(|v| self.f1(v, j)))
    }

    /// The feature with the highest F1 for a kept indicator, and that.
    pub(crate) fn of_indicator(&self, v: usize) -> (usize, f64) {
        best((0..self.fires.len()).map(|j| self.f1(v, j)))
    }
}

fn best(f1: impl Iterator<Item = f64>) -> (usize, f64) {
    f1.enumerate().fold((0, 0.0), |best, (i, f1)| if f1 > best.1 { (i, f1) } else { best })
}

/// Which kept indicators imply which: `implies[v · V + u]`, u is on in (nearly) all rows of v.
pub(crate) fn implications(truth: &Truth) -> (Vec<u32>, Vec<bool>) {
    let (kept, on, place) = places(truth);
    let n_kept = kept.len();
    let mut both = vec![0u32; n_kept * n_kept];
    for n in 0..truth.rows() {
        let here: Vec<u32> = truth.row(n).iter().filter_map(|&v| place[v as usize]).collect();
        for &v in &here {
            here.iter().for_each(|&u| both[v as usize * n_kept + u as usize] += 1);
        }
    }
    let implies = |(i, &both): (usize, &u32)| f64::from(both) >= IMPLIES * f64::from(on[i / n_kept]);
    let implies = both.iter().enumerate().map(implies).collect();
    (kept, implies)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 80 rows: a on in the first 40, b in the first 20, c in rows 60..80; a feature fires in the first 30.
    fn truth() -> Truth {
        let mut truth = Truth {
            indicators: vec!["a".into(), "b".into(), "c".into()],
            starts: vec![0],
            on: Vec::new(),
            documents: (0..80).collect(),
            tokens: vec![0; 80],
        };
        for n in 0..80 {
            let on: Vec<u32> =
                [(0, n < 40), (1, n < 20), (2, n >= 60)].iter().filter(|p| p.1).map(|p| p.0).collect();
            truth.on.extend(on);
            truth.starts.push(truth.on.len());
        }
        truth
    }

    #[test]
    fn counts_and_implications_are_those_of_hand_calculation() {
        let truth = truth();
        let mut firings = Firings::with_columns(1);
        for n in 0..80 {
            firings.index.extend((n < 30).then_some(0));
            firings.row_start.push(firings.index.len());
        }
        let counts = Counts::new(&truth, &firings);
        assert_eq!(counts.f1(0, 0), 60.0 / 70.0);
        assert_eq!(counts.f1(1, 0), 40.0 / 50.0);
        assert_eq!(counts.of_feature(0), (0, 60.0 / 70.0));
        assert_eq!(counts.of_indicator(2), (0, 0.0));
        let (kept, implies) = implications(&truth);
        assert_eq!(kept, [0, 1, 2]);
        assert_eq!(implies, [true, false, false, true, true, false, false, false, true], "b implies a");
    }
}
