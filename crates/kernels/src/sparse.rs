//! Rows with few entries: what an encoder leaves of its product.

use rayon::prelude::*;

/// Columns that one task transposes; each looks for its own in every row.
const COLUMNS_PER_TASK: usize = 1024;

/// Compressed sparse rows: row n holds `index[row_start[n]..row_start[n + 1]]` (ascending) with its `value`s.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Csr {
    /// Number of columns, F.
    pub columns: usize,
    /// [N + 1], from 0 to the number of entries.
    pub row_start: Vec<usize>,
    /// [nnz], column of each entry, ascending within a row.
    pub index: Vec<u32>,
    /// [nnz]
    pub value: Vec<f32>,
}

impl Csr {
    /// No rows yet.
    pub fn with_columns(columns: usize) -> Csr {
        Csr { columns, row_start: vec![0], index: Vec::new(), value: Vec::new() }
    }

    /// Adds rows with the same columns below.
    pub fn extend(&mut self, rows: &Csr) {
        assert_eq!(self.columns, rows.columns, "the same columns");
        let before = self.index.len();
        self.row_start.extend(rows.row_start[1..].iter().map(|start| before + start));
        self.index.extend_from_slice(&rows.index);
        self.value.extend_from_slice(&rows.value);
    }

    /// From the (column, value) entries of each row, columns ascending.
    pub(crate) fn from_rows(columns: usize, rows: &[Vec<(u32, f32)>]) -> Csr {
        let mut out = Csr::with_columns(columns);
        for row in rows {
            out.index.extend(row.iter().map(|e| e.0));
            out.value.extend(row.iter().map(|e| e.1));
            out.row_start.push(out.index.len());
        }
        out
    }

    /// Parts one below the other, all with the same columns.
    pub(crate) fn below(columns: usize, parts: &[Csr]) -> Csr {
        let mut out = Csr::with_columns(columns);
        let mut before = 0;
        for part in parts {
            out.row_start.extend(part.row_start[1..].iter().map(|s| before + s));
            before += part.index.len();
        }
        (out.index, out.value) = (vec![0; before], vec![0.0; before]);
        let sizes = parts.iter().map(|part| part.index.len());
        let places: Vec<_> = pieces(&mut out.index, &mut out.value, sizes).collect();
        places.into_par_iter().zip(parts).for_each(|((index, value), part)| {
            index.copy_from_slice(&part.index);
            value.copy_from_slice(&part.value);
        });
        out
    }

    /// Parts with `rows` rows each, side by side: the columns of a part follow those of the part before.
    pub(crate) fn beside(rows: usize, parts: impl Iterator<Item = Csr>) -> Csr {
        let mut parts: Vec<Csr> = parts.collect();
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let mut out = Csr::with_columns(parts.iter().map(|p| p.columns).sum());
        for n in 0..rows {
            let mut first = 0;
            for part in &parts {
                let (index, value) = part.row(n);
                out.index.extend(index.iter().map(|i| first + i));
                out.value.extend_from_slice(value);
                first += part.columns as u32;
            }
            out.row_start.push(out.index.len());
        }
        out
    }

    /// N.
    pub fn rows(&self) -> usize {
        self.row_start.len() - 1
    }

    /// The entries of row n: columns and values.
    pub fn row(&self, n: usize) -> (&[u32], &[f32]) {
        let span = self.row_start[n]..self.row_start[n + 1];
        (&self.index[span.clone()], &self.value[span])
    }

    /// Rows become columns; within each new row the entries ascend. Tasks own ranges of columns.
    pub fn transpose(&self) -> Csr {
        let mut row_start = vec![0; self.columns + 1];
        let counts = row_start[1..].par_chunks_mut(COLUMNS_PER_TASK).enumerate();
        counts.for_each(|(task, counts)| {
            self.each_of(task, |_, column, _| counts[column] += 1);
        });
        for column in 0..self.columns {
            row_start[column + 1] += row_start[column];
        }
        let nnz = self.index.len();
        let mut out = Csr { columns: self.rows(), row_start, index: vec![0; nnz], value: vec![0.0; nnz] };
        let starts: Vec<&[usize]> = out.row_start[..self.columns].chunks(COLUMNS_PER_TASK).collect();
        let end = |task: usize| starts.get(task + 1).map_or(nnz, |next| next[0]);
        let sizes = starts.iter().enumerate().map(|(task, start)| end(task) - start[0]);
        let places: Vec<_> = pieces(&mut out.index, &mut out.value, sizes).collect();
        places.into_par_iter().zip(&starts).enumerate().for_each(|(task, ((index, value), start))| {
            let mut next: Vec<usize> = start.iter().map(|at| at - start[0]).collect();
            self.each_of(task, |n, column, z| {
                let slot = &mut next[column];
                (index[*slot], value[*slot]) = (n, z);
                *slot += 1;
            });
        });
        out
    }

    /// Calls `entry(row, column from the task's first, value)` for all entries in the columns of a task, rows ascending.
    fn each_of(&self, task: usize, mut entry: impl FnMut(u32, usize, f32)) {
        let first = task * COLUMNS_PER_TASK;
        for n in 0..self.rows() {
            let (columns, values) = self.row(n);
            let below = |end: usize| columns.partition_point(|&column| (column as usize) < end);
            let here = below(first)..below(first + COLUMNS_PER_TASK);
            for (&column, &value) in columns[here.clone()].iter().zip(&values[here]) {
                entry(n as u32, column as usize - first, value);
            }
        }
    }
}

/// Cuts both into pieces of these sizes.
fn pieces<'a>(
    mut index: &'a mut [u32],
    mut value: &'a mut [f32],
    sizes: impl Iterator<Item = usize>,
) -> impl Iterator<Item = (&'a mut [u32], &'a mut [f32])> {
    sizes.map(move |size| {
        let here = index.split_off_mut(..size).expect("as many indices as the sizes say");
        (here, value.split_off_mut(..size).expect("as many values as the sizes say"))
    })
}
