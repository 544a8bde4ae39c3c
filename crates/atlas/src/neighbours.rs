//! Features whose decoder directions are nearest: within a dictionary by its own rows, across dictionaries by what the rows add to
//! the residual stream. A zero row has no neighbours and is nobody's.

use lapidary_kernels::{Device, Operand};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Neighbours that are listed.
const LISTED: usize = 10;
/// Rows that are multiplied at once.
const BLOCK: usize = 128;

/// A neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Number of its dictionary in the atlas.
    pub dictionary: u32,
    /// Its number there.
    pub feature: u32,
    /// Cosine of the two directions.
    pub cosine: f32,
}

/// Directions [F, D] of length 1, or 0 where they were.
pub struct Units {
    /// [F, D]
    rows: Vec<f32>,
    d: usize,
}

impl Units {
    /// Of rows [F, D].
    pub fn of(rows: &[f32], d: usize) -> Units {
        let mut rows = rows.to_vec();
        rows.par_chunks_mut(d).for_each(|row| {
            let length = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
            let scale = if length > 0.0 && length.is_finite() { 1.0 / length } else { 0.0 };
            row.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
        });
        Units { rows, d }
    }

    fn len(&self) -> usize {
        self.rows.len() / self.d
    }

    fn is_zero(&self, row: usize) -> bool {
        self.rows[row * self.d..][..self.d].iter().all(|&x| x == 0.0)
    }
}

/// Adds those of every row of `of` in dictionary number `number`, whose directions are `among`, to the lists [F]; the same number is
/// the dictionary itself, whose rows are not their own neighbours.
pub fn add(
    lists: &mut [Vec<Neighbour>],
    of: &Units,
    among: &Units,
    number: usize,
    is_self: bool,
    device: Device,
) {
    assert_eq!(of.d, among.d, "neighbours: two widths");
    let matrix = device.matrix(Operand::F32(&among.rows), among.d, of.len());
    let silent: Vec<bool> = (0..among.len()).map(|row| among.is_zero(row)).collect();
    for (block, (rows, lists)) in of.rows.chunks(BLOCK * of.d).zip(lists.chunks_mut(BLOCK)).enumerate() {
        let mut cosines = vec![0.0; lists.len() * among.len()];
        device.multiply(rows, &matrix, None, &mut cosines);
        lists.par_iter_mut().zip(cosines.par_chunks(among.len())).enumerate().for_each(
            |(i, (list, cosines))| {
                let row = block * BLOCK + i;
                if of.is_zero(row) {
                    return;
                }
                for (feature, &cosine) in cosines.iter().enumerate() {
                    let full = list.len() == LISTED && cosine <= list[LISTED - 1].cosine;
                    if full || silent[feature] || is_self && feature == row {
                        continue;
                    }
                    let at = list.partition_point(|n| n.cosine >= cosine);
                    list.insert(at, Neighbour { dictionary: number as u32, feature: feature as u32, cosine });
                    list.truncate(LISTED);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: e1, e1 + e2, 0, −e1, 2 e2.
    #[test]
    fn neighbours_of_five_rows_by_hand() {
        let units = Units::of(&[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 2.0], 2);
        let mut lists = vec![Vec::new(); 5];
        add(&mut lists, &units, &units, 3, true, Device::detect());
        let of = |f: usize| {
            lists[f].iter().map(|n| (n.feature, (n.cosine * 100.0).round() as i32)).collect::<Vec<_>>()
        };
        assert_eq!(of(0), [(1, 71), (4, 0), (3, -100)]);
        assert_eq!(of(1), [(0, 71), (4, 71), (3, -71)]);
        assert!(of(2).is_empty());
        assert_eq!(of(4), [(1, 71), (0, 0), (3, 0)]);
        assert!(lists.iter().flatten().all(|n| n.dictionary == 3));
    }
}
