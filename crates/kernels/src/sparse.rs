//! Rows with few entries: what an encoder leaves of its product.

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

    /// Rows become columns; within each new row the entries ascend.
    pub fn transpose(&self) -> Csr {
        let mut row_start = vec![0usize; self.columns + 1];
        for &column in &self.index {
            row_start[column as usize + 1] += 1;
        }
        for column in 0..self.columns {
            row_start[column + 1] += row_start[column];
        }
        let mut next = row_start.clone();
        let mut out = Csr {
            columns: self.rows(),
            row_start,
            index: vec![0; self.index.len()],
            value: vec![0.0; self.value.len()],
        };
        for n in 0..self.rows() {
            let (columns, values) = self.row(n);
            for (&column, &value) in columns.iter().zip(values) {
                let slot = &mut next[column as usize];
                out.index[*slot] = n as u32;
                out.value[*slot] = value;
                *slot += 1;
            }
        }
        out
    }
}

/// The numbers of one Adam step on one row.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Learning rate of this step, over 1 − β₁^t.
    pub lr: f32,
    /// β₁^Δ.
    pub decay1: f32,
    /// 1 − β₁.
    pub one_minus_beta1: f32,
    /// β₂^Δ, Δ = steps since the row was last touched.
    pub decay: f32,
    /// 1 − β₂.
    pub one_minus_beta2: f32,
    /// 1/√(1 − β₂^t), t = global step counted from 1.
    pub inv_sqrt_correction: f32,
    /// Added to the root.
    pub epsilon: f32,
}
