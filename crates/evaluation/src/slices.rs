//! The same scores of parts of the text: by position, by kind of text, by who speaks.
//!
//! A *slicing* puts positions of windows into named slices, or into none. A row belongs to the slice of its position, and so does the
//! target that is predicted there. So the target predicted from BOS, whose row is never spliced, is in no slice of positions.
//! Scores of a slice are those of docs/numerics.md §4 over its rows and targets, with the slice's own mean in FVU; what mean-ablation
//! splices in is the mean of all rows.

use crate::{Score, Sums};
use lapidary_lm::Spec;
use lapidary_stats::bootstrap;
use lapidary_text::Window;
use serde::{Deserialize, Serialize};

/// No slice.
pub const NONE: u16 = u16::MAX;

/// Positions in slices.
#[derive(Clone, Debug, PartialEq)]
pub struct Slicing {
    /// What it slices by, `position`.
    pub name: String,
    /// Its slices.
    pub slices: Vec<String>,
    /// The slice of every position of every window, or [`NONE`].
    pub of: Vec<Vec<u16>>,
}

impl Slicing {
    /// By position in the window, in bins that double: 1, 2, 3–4, 5–8 and so on; the first ordinary token has position 1.
    pub fn by_position(windows: &[Window], spec: &Spec) -> Slicing {
        let first = usize::from(spec.bos.is_some());
        let longest = windows.iter().map(|w| w.tokens.len()).max().unwrap_or(0);
        let bins = bin(longest.max(2) + 1 - first) + 1;
        let name = |k: u32| match (1u64 << k.saturating_sub(1), 1u64 << k) {
            (_, last) if last <= 2 => last.to_string(),
            (before, last) => format!("{}–{last}", before + 1),
        };
        let of = |w: &Window| {
            let bin = |p: usize| if p < first { NONE } else { bin(p + 1 - first) as u16 };
            (0..w.tokens.len()).map(bin).collect()
        };
        Slicing {
            name: "position".into(),
            slices: (0..bins).map(name).collect(),
            of: windows.iter().map(of).collect(),
        }
    }

    /// Each window as a whole, by the slice that `of` gives it.
    pub fn by_window(
        name: &str,
        slices: Vec<String>,
        windows: &[Window],
        of: impl Fn(usize) -> u16,
    ) -> Slicing {
        let of = windows.iter().enumerate().map(|(w, window)| vec![of(w); window.tokens.len()]).collect();
        Slicing { name: name.into(), slices, of }
    }

    /// By what is known of rows: `of` [N] is the slice of each row, in the order of the windows. Windows after the rows end are in no slice.
    pub fn by_row(name: &str, slices: Vec<String>, windows: &[Window], spec: &Spec, of: &[u16]) -> Slicing {
        let mut next = of.iter().copied();
        let of = windows.iter().map(|window| {
            let mut here = vec![NONE; window.tokens.len()];
            window.row_positions(spec).for_each(|p| here[p] = next.next().unwrap_or(NONE));
            here
        });
        Slicing { name: name.into(), slices, of: of.collect() }
    }
}

/// 1, 2, 3–4, 5–8 … of positions from 1 on.
fn bin(position: usize) -> u32 {
    usize::BITS - (position - 1).leading_zeros()
}

/// Scores of a slice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceScores {
    /// Its name in the slicing.
    pub slice: String,
    /// Features per row.
    pub l0: Score,
    /// Share of the slice's variance.
    pub fvu: Score,
    /// Nats per target, of the untouched model.
    pub ce: Score,
    /// Nats per target.
    pub delta_loss: Score,
    /// Against mean-ablation.
    pub loss_recovered: Score,
}

/// Of all slices of a slicing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sliced {
    /// What it slices by.
    pub by: String,
    /// Those with rows.
    pub slices: Vec<SliceScores>,
}

/// Scores of a slice from what each document adds; none without rows.
pub(crate) fn score(slice: &str, documents: &[Sums], resamples: usize, seed: u64) -> Option<SliceScores> {
    let within: Vec<&Sums> = documents.iter().filter(|sums| sums.rows + sums.targets > 0.0).collect();
    let flat: Vec<f64> = within.iter().flat_map(|sums| sums.to_array()).collect();
    let mut total = [0.0; Sums::COUNT];
    flat.chunks_exact(Sums::COUNT).for_each(|sums| total.iter_mut().zip(sums).for_each(|(t, x)| *t += x));
    let total = Sums::from_slice(&total);
    let of = |sums: &Sums| {
        let m = sums.metrics();
        [m.l0, m.fvu, m.ce, m.delta_loss, m.loss_recovered]
    };
    let intervals = bootstrap(&flat, Sums::COUNT, resamples, seed, |sums| of(&Sums::from_slice(sums)));
    let (values, rows, targets) = (of(&total), total.rows as u64, total.targets as u64);
    let score = |k: usize, n: u64| Score { value: values[k], n, interval: intervals[k].into() };
    (rows > 0).then(|| SliceScores {
        slice: slice.into(),
        l0: score(0, rows),
        fvu: score(1, rows),
        ce: score(2, targets),
        delta_loss: score(3, targets),
        loss_recovered: score(4, targets),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_double() {
        let found: Vec<u32> = (1..=9).map(bin).collect();
        assert_eq!(found, [0, 1, 2, 2, 3, 3, 3, 3, 4]);
    }

    /// Two documents with rows in the slice and one without: L0 of 4 rows with 10 active, error 2 of 8.
    #[test]
    fn scores_by_hand() {
        let sums = |rows, active, error| Sums {
            rows,
            active,
            error,
            variance: 2.0 * rows,
            targets: rows,
            base: rows,
            spliced: 1.5 * rows,
            ablated: 3.0 * rows,
            zeroed: 0.0,
        };
        let documents = [sums(1.0, 4.0, 2.0), Sums::default(), sums(3.0, 6.0, 0.0)];
        let found = score("x", &documents, 50, 1).expect("rows");
        let values = [found.l0.value, found.fvu.value, found.ce.value, found.delta_loss.value];
        assert_eq!(values, [2.5, 0.25, 1.0, 0.5]);
        assert_eq!((found.loss_recovered.value, found.l0.n), (0.75, 4));
        // Every resample draws two of the two documents that have rows, so that none is empty.
        assert!(
            matches!(found.l0.interval, crate::Interval::Known { low, high } if low >= 2.0 && high <= 4.0)
        );
        assert_eq!(score("x", &[Sums::default()], 50, 1), None);
    }
}
