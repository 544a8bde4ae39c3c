//! Dense matrices of f64, so that formulas read as formulas. Sums go from the first term to the last.

use std::ops::{Add, Index, IndexMut, Mul, Sub};

/// A matrix; a vector is one column or one row of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// How many rows.
    pub rows: usize,
    /// How many columns.
    pub columns: usize,
    /// Row after row [rows · columns].
    pub values: Vec<f64>,
}

impl Matrix {
    /// Of what `entry` says for each row and column.
    pub fn from_fn(rows: usize, columns: usize, entry: impl Fn(usize, usize) -> f64) -> Matrix {
        let values = (0..rows * columns).map(|at| entry(at / columns, at % columns)).collect();
        Matrix { rows, columns, values }
    }

    /// Of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Matrix {
        Matrix { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// Of these numbers, row after row; zeros where there are none.
    pub fn widened(values: &[f32], rows: usize, columns: usize) -> Matrix {
        assert_eq!(values.len(), rows * columns, "a matrix [{rows}, {columns}]");
        Matrix { rows, columns, values: values.iter().map(|&v| f64::from(v)).collect() }
    }

    /// The places of all entries, row after row.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let columns = self.columns;
        (0..self.values.len()).map(move |at| (at / columns, at % columns))
    }

    /// One row.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.columns..(i + 1) * self.columns]
    }

    /// Every entry put through `entry`, which is told its row and column.
    pub fn map(&self, entry: impl Fn(usize, usize, f64) -> f64) -> Matrix {
        Matrix::from_fn(self.rows, self.columns, |i, j| entry(i, j, self[(i, j)]))
    }

    /// A·B
    pub fn times(&self, other: &Matrix) -> Matrix {
        let sum = |i, j| (0..self.columns).map(|k| self[(i, k)] * other[(k, j)]).sum();
        Matrix::from_fn(self.rows, other.columns, sum)
    }

    /// A·Bᵀ: entry (i, j) is ⟨A_i, B_j⟩.
    pub fn times_transposed(&self, other: &Matrix) -> Matrix {
        Matrix::from_fn(self.rows, other.rows, |i, j| dot(self.row(i), other.row(j)))
    }

    /// Aᵀ·B
    pub fn transposed_times(&self, other: &Matrix) -> Matrix {
        let sum = |i, j| (0..self.rows).map(|k| self[(k, i)] * other[(k, j)]).sum();
        Matrix::from_fn(self.columns, other.columns, sum)
    }

    /// Σ over rows, as one row.
    pub fn sum_of_rows(&self) -> Matrix {
        Matrix::from_fn(1, self.columns, |_, j| (0..self.rows).map(|i| self[(i, j)]).sum())
    }

    /// Σ over rows, as one column.
    pub fn sum_as_column(&self) -> Matrix {
        Matrix { rows: self.columns, columns: 1, ..self.sum_of_rows() }
    }

    /// Σ of all entries.
    pub fn sum(&self) -> f64 {
        self.values.iter().sum()
    }

    /// Σ of all squares.
    pub fn squares(&self) -> f64 {
        self.values.iter().map(|v| v * v).sum()
    }
}

/// ⟨a, b⟩
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Index<(usize, usize)> for Matrix {
    type Output = f64;
    fn index(&self, (i, j): (usize, usize)) -> &f64 {
        &self.values[i * self.columns + j]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut f64 {
        &mut self.values[i * self.columns + j]
    }
}

/// Entries of a vector.
impl Index<usize> for Matrix {
    type Output = f64;
    fn index(&self, i: usize) -> &f64 {
        &self.values[i]
    }
}

impl IndexMut<usize> for Matrix {
    fn index_mut(&mut self, i: usize) -> &mut f64 {
        &mut self.values[i]
    }
}

impl Add for &Matrix {
    type Output = Matrix;
    fn add(self, other: &Matrix) -> Matrix {
        self.map(|i, j, v| v + other[(i, j)])
    }
}

impl Sub for &Matrix {
    type Output = Matrix;
    fn sub(self, other: &Matrix) -> Matrix {
        self.map(|i, j, v| v - other[(i, j)])
    }
}

impl Mul<&Matrix> for f64 {
    type Output = Matrix;
    fn mul(self, matrix: &Matrix) -> Matrix {
        matrix.map(|_, _, v| self * v)
    }
}
