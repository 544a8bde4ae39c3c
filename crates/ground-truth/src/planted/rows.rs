//! Rows of a planted dictionary (`world::planted`) as a source for the trainer, and fresh rows with their truth for scoring.
//!
//! Row i is a function of (seed, i) alone, so windows are runs of 1,024 row numbers, may be read in any order and are made in
//! parallel: the bytes depend neither on the order nor on the number of threads. There is no end to the rows; an *epoch* is as
//! many as were asked for, and rows from there on were never trained on.

use lapidary_kernels::Csr;
use lapidary_store::{RowSource, SiteRows, SourceError};
use lapidary_world::planted::{Coefficients, Planted, PlantedConfig, Size};
use rayon::prelude::*;
use serde::Serialize;
use std::io::Write;

/// What the only site of these rows is called.
pub const SITE: &str = "planted";
/// Rows of a window, but for the last one.
pub const WINDOW: usize = 1_024;
/// Rows that are shuffled together, and over which C is measured: one pool, so that it is made once for both.
pub const POOL_ROWS: usize = 65_536;

/// Which planted dictionary.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Which {
    /// How large.
    pub size: SizeName,
    /// Of the planted dictionary, its rows, and training.
    pub seed: u64,
}

/// A size by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeName {
    /// D 128, 2,048 directions, drawn in a second.
    Everyday,
    /// D 768, 16,384 directions, drawn in minutes.
    Full,
}

impl std::str::FromStr for SizeName {
    type Err = String;

    fn from_str(name: &str) -> Result<SizeName, String> {
        match name {
            "everyday" => Ok(SizeName::Everyday),
            "full" => Ok(SizeName::Full),
            _ => Err(format!("expected everyday or full, found {name}")),
        }
    }
}

impl std::fmt::Display for SizeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SizeName::Everyday => "everyday",
            SizeName::Full => "full",
        })
    }
}

impl Which {
    /// Every number of it.
    pub fn config(self) -> PlantedConfig {
        match self.size {
            SizeName::Everyday => Size::Everyday.config(),
            SizeName::Full => Size::Full.config(),
        }
    }

    /// The directions, drawn.
    pub fn draw(self) -> Planted {
        Planted::new(self.seed, self.config())
    }
}

/// The first rows of a planted dictionary. Fields are private: windows and sites are those of the rows.
pub struct PlantedRows<'a> {
    planted: &'a Planted,
    sites: [SiteRows; 1],
    window_rows: Vec<u32>,
}

impl<'a> PlantedRows<'a> {
    /// Rows 0 .. `rows`.
    pub fn new(planted: &'a Planted, rows: u64) -> PlantedRows<'a> {
        let window = WINDOW as u64;
        let window_rows = (0..rows.div_ceil(window)).map(|w| (rows - w * window).min(window) as u32);
        let site = SiteRows { site: SITE.into(), width: planted.config.d };
        PlantedRows { planted, sites: [site], window_rows: window_rows.collect() }
    }
}

impl RowSource for PlantedRows<'_> {
    fn sites(&self) -> &[SiteRows] {
        &self.sites
    }

    fn window_rows(&self) -> &[u32] {
        &self.window_rows
    }

    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
        let (d, out) = (self.planted.config.d, &mut out[0]);
        let rows_of = |w: u32| self.window_rows[w as usize] as usize;
        out.resize(windows.iter().map(|&w| rows_of(w)).sum::<usize>() * d, 0.0);
        let mut rest = out.as_mut_slice();
        let mut parts = Vec::with_capacity(windows.len());
        for &w in windows {
            let (part, after) = rest.split_at_mut(rows_of(w) * d);
            parts.push((u64::from(w) * WINDOW as u64, part));
            rest = after;
        }
        parts.into_par_iter().for_each(|(first, part)| self.planted.rows(first, part.len() / d, part, None));
        Ok(())
    }
}

/// Rows `first` .. `first + count` as little-endian f32 `[count, D]`, a pool at a time.
///
/// # Errors
/// Those of `out`.
pub fn write_rows(planted: &Planted, first: u64, count: u64, out: &mut dyn Write) -> std::io::Result<()> {
    let d = planted.config.d;
    let (mut x, mut bytes, mut done) = (Vec::new(), Vec::new(), 0);
    while done < count {
        let n = (count - done).min(POOL_ROWS as u64) as usize;
        x.resize(n * d, 0.0);
        x.par_chunks_mut(WINDOW * d).enumerate().for_each(|(i, part): (usize, &mut [f32])| {
            planted.rows(first + done + (i * WINDOW) as u64, part.len() / d, part, None);
        });
        bytes.clear();
        bytes.extend(x.iter().flat_map(|value| value.to_le_bytes()));
        out.write_all(&bytes)?;
        done += n as u64;
    }
    out.flush()
}

/// Rows whose truth is known.
pub struct KnownRows {
    /// `[n, D]`
    pub x: Vec<f32>,
    /// Their true coefficients `[n, M]`.
    pub truth: Csr,
}

/// Rows `first` .. `first + n`, with their truth.
pub fn known_rows(planted: &Planted, first: u64, n: usize) -> KnownRows {
    let d = planted.config.d;
    let mut x = vec![0.0; n * d];
    let parts = x.par_chunks_mut(WINDOW * d).enumerate().map(|(i, out)| {
        let mut coefficients = Coefficients::default();
        planted.rows(first + (i * WINDOW) as u64, out.len() / d, out, Some(&mut coefficients));
        coefficients
    });
    let parts: Vec<Coefficients> = parts.collect();
    let mut truth = Csr::with_columns(planted.config.features);
    for part in parts {
        let before = truth.index.len();
        truth.index.extend(part.indices);
        truth.value.extend(part.values);
        truth.row_start.extend(part.starts[1..].iter().map(|end| before + end));
    }
    KnownRows { x, truth }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 200 features in 24 dimensions, with trees and circles.
    pub(crate) fn tiny() -> Planted {
        let everyday = Size::Everyday.config();
        let config =
            PlantedConfig { d: 24, features: 200, roots: 4, branching: 3, depth: 2, circles: 3, ..everyday };
        Planted::new(7, config)
    }

    /// The rows as one thread makes them in one go.
    fn straight(planted: &Planted, first: u64, n: usize) -> (Vec<f32>, Coefficients) {
        let (mut x, mut coefficients) = (vec![0.0; n * planted.config.d], Coefficients::default());
        planted.rows(first, n, &mut x, Some(&mut coefficients));
        (x, coefficients)
    }

    #[test]
    fn windows_are_the_rows_whatever_order_and_threads() {
        let (planted, rows) = (tiny(), 2 * WINDOW + 100);
        let mut source = PlantedRows::new(&planted, rows as u64);
        assert_eq!(source.window_rows(), [1_024, 1_024, 100]);
        let (x, _) = straight(&planted, 0, rows);
        let d = planted.config.d;
        let window = |w: usize| &x[w * WINDOW * d..((w + 1) * WINDOW * d).min(x.len())];
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut out = vec![vec![f32::NAN; 7]];
            pool.install(|| source.read(&[2, 0, 1], &mut out)).unwrap();
            assert!(out[0] == [window(2), window(0), window(1)].concat(), "{threads} threads");
        }
    }

    #[test]
    fn known_rows_are_the_rows_and_their_coefficients() {
        let (planted, first, n) = (tiny(), 5_000, WINDOW + 77);
        let (x, coefficients) = straight(&planted, first, n);
        let known = known_rows(&planted, first, n);
        assert!(known.x == x);
        assert_eq!(known.truth.row_start, coefficients.starts);
        assert_eq!((known.truth.index, known.truth.value), (coefficients.indices, coefficients.values));
    }

    /// More than a pool, and from the middle of a window.
    #[test]
    fn written_rows_are_the_rows() {
        let (planted, first, n) = (tiny(), 1_000, POOL_ROWS + 2_345);
        let mut bytes = Vec::new();
        write_rows(&planted, first, n as u64, &mut bytes).unwrap();
        let expected: Vec<u8> = straight(&planted, first, n).0.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert!(bytes == expected);
    }
}
