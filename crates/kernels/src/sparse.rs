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

    /// N.
    pub fn rows(&self) -> usize {
        self.row_start.len() - 1
    }

    /// The entries of row n: columns and values.
    pub fn row(&self, n: usize) -> (&[u32], &[f32]) {
        let span = self.row_start[n]..self.row_start[n + 1];
        (&self.index[span.clone()], &self.value[span])
    }
}

/// The numbers of one Adam step with β₁ = 0 on one row.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Learning rate of this step.
    pub lr: f32,
    /// β₂^Δ, Δ = steps since the row was last touched.
    pub decay: f32,
    /// 1 − β₂.
    pub one_minus_beta2: f32,
    /// 1/√(1 − β₂^t), t = global step counted from 1.
    pub inv_sqrt_correction: f32,
    /// Added to the root.
    pub epsilon: f32,
}
