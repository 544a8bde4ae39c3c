//! Matrices cut into strips of 64 columns, so that what many sums gather from fits a cache.
//!
//! A row of a wide matrix is a few KiB; sums over chosen rows of a large one read every row from memory. A strip of 4,096
//! rows is 1 MiB, lies in one piece, and a sum's 64 columns stay in registers while its rows pass. Rows may be taken in
//! ranges that fit an even nearer cache: sums then continue where they stopped.

use rayon::prelude::*;

/// Columns of a strip.
pub const STRIP: usize = 64;

/// A matrix [R, D] as [⌈D/64⌉, R, 64], zeros after D.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strips {
    /// R
    pub rows: usize,
    /// D
    pub d: usize,
    /// [⌈D/64⌉, R, 64]
    pub values: Vec<f32>,
}

impl Strips {
    /// Zeros.
    pub fn zeros(rows: usize, d: usize) -> Strips {
        Strips { rows, d, values: vec![0.0; d.div_ceil(STRIP) * rows * STRIP] }
    }

    /// Takes another shape, in the memory that it has. What it holds then is anything.
    pub fn reshape(&mut self, rows: usize, d: usize) {
        (self.rows, self.d) = (rows, d);
        self.values.resize(d.div_ceil(STRIP) * rows * STRIP, 0.0);
    }

    /// A copy of rows [R, D].
    pub fn new(rows: &[f32], d: usize) -> Strips {
        let mut strips = Strips::zeros(rows.len() / d, d);
        strips.strips_mut().for_each(|(column, strip)| cut(rows, d, column, strip));
        strips
    }

    /// The strip that begins with column 64·i: [R, 64].
    pub fn strip(&self, i: usize) -> &[f32] {
        &self.values[i * self.rows * STRIP..][..self.rows * STRIP]
    }

    /// The strips with their first columns, in parallel.
    pub fn strips_mut(&mut self) -> impl IndexedParallelIterator<Item = (usize, &mut [f32])> {
        let used = self.d.div_ceil(STRIP) * self.rows * STRIP;
        let strips = self.values[..used].par_chunks_exact_mut((self.rows * STRIP).max(1));
        strips.enumerate().map(|(i, strip)| (i * STRIP, strip))
    }

    /// The rows in tasks of `size`, to be written by rows: of each task its part of every strip, [`size`, 64] each (the last task
    /// has what is left).
    pub fn tasks_mut(&mut self, size: usize) -> Vec<Vec<&mut [f32]>> {
        let (strips, strip) = (self.d.div_ceil(STRIP), self.rows * STRIP);
        let task = |_| Vec::with_capacity(strips);
        let mut tasks: Vec<Vec<&mut [f32]>> = (0..self.rows.div_ceil(size)).map(task).collect();
        for strip in self.values[..strips * strip].chunks_exact_mut(strip.max(1)) {
            tasks.iter_mut().zip(strip.chunks_mut(size * STRIP)).for_each(|(task, part)| task.push(part));
        }
        tasks
    }

    /// The columns of row `r`, 64 at a time (of the last, those before D).
    pub fn row(&self, r: usize) -> impl Iterator<Item = &[f32]> {
        (0..self.d.div_ceil(STRIP)).map(move |i| &self.strip(i)[r * STRIP..][..STRIP.min(self.d - i * STRIP)])
    }

    /// Column `c` of all rows.
    pub fn column(&self, c: usize) -> impl Iterator<Item = f32> {
        self.strip(c / STRIP).chunks_exact(STRIP).map(move |row| row[c % STRIP])
    }

    /// Row `r`, into `out` [D].
    pub fn copy_row(&self, r: usize, out: &mut [f32]) {
        for (to, from) in out.chunks_mut(STRIP).zip(self.row(r)) {
            to.copy_from_slice(from);
        }
    }
}

/// Columns `column..column + 64` of rows [R, D], into `out` [R, 64]; what lies behind D stays as it is.
pub fn cut(rows: &[f32], d: usize, column: usize, out: &mut [f32]) {
    let width = STRIP.min(d - column);
    for (to, row) in out.chunks_exact_mut(STRIP).zip(rows.chunks_exact(d)) {
        to[..width].copy_from_slice(&row[column..column + width]);
    }
}

/// The terms of many sums over chosen rows, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// [K]; none for dot products.
    pub coeff: Vec<f32>,
    /// [K], the row of each term.
    pub index: Vec<u32>,
    /// [S], behind the last term of each sum.
    pub end: Vec<u32>,
}

/// What a sum begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// 0, whatever `out` holds.
    Zero,
    /// What `out` holds.
    Out,
}
