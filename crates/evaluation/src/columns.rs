//! Features by column: in which rows each fires, and how strongly. The other way to look at sparse rows.

use lapidary_kernels::Csr;

/// Compressed sparse columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    /// N.
    pub rows: usize,
    start: Vec<usize>, // [F + 1]
    row: Vec<u32>,     // [nnz], ascending within a column
    value: Vec<f32>,   // [nnz]
}

impl Columns {
    /// Of features [N, F].
    pub fn of(features: &Csr) -> Columns {
        let mut start = vec![0; features.columns + 1];
        features.index.iter().for_each(|&f| start[f as usize + 1] += 1);
        (0..features.columns).for_each(|f| start[f + 1] += start[f]);
        let mut next = start.clone();
        let (mut row, mut value) = (vec![0; features.index.len()], vec![0.0; features.index.len()]);
        for n in 0..features.rows() {
            let (index, values) = features.row(n);
            for (&f, &v) in index.iter().zip(values) {
                let place = &mut next[f as usize];
                (row[*place], value[*place]) = (n as u32, v);
                *place += 1;
            }
        }
        Columns { rows: features.rows(), start, row, value }
    }

    /// F.
    pub fn width(&self) -> usize {
        self.start.len() - 1
    }

    /// Rows in which feature f fires, ascending, and its values there.
    pub fn feature(&self, f: usize) -> (&[u32], &[f32]) {
        let span = self.start[f]..self.start[f + 1];
        (&self.row[span.clone()], &self.value[span])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_the_transpose() {
        let mut features = Csr::with_columns(3);
        features.index = vec![0, 2, 2];
        features.value = vec![1.0, 2.0, 3.0];
        features.row_start = vec![0, 2, 2, 3];
        let columns = Columns::of(&features);
        assert_eq!((columns.rows, columns.width()), (3, 3));
        assert_eq!(columns.feature(0), (&[0][..], &[1.0][..]));
        assert_eq!(columns.feature(1), (&[][..], &[][..]));
        assert_eq!(columns.feature(2), (&[0, 2][..], &[2.0, 3.0][..]));
    }
}
