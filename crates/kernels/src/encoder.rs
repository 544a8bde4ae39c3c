//! The encoder's product: which of a matrix' outputs pass a threshold, by the way that is fastest for them.
//!
//! Three ways give the same bits: a screen of integers with exact rechecks (`cpu/screen.rs`), where few entries pass and the
//! processor multiplies integers; the packed product (`cpu/packed.rs`); the product by rows (`cpu/product.rs`), which needs no
//! copy of w. A copy costs as much as some hundred rows of x: whoever encodes many batches makes it once, as an [`Encoder`].

use crate::cpu::packed::{self, Packed};
use crate::cpu::product;
use crate::cpu::screen::{self, Block};
use crate::cpu::strassen;
use crate::naive::LANES;
use crate::{Csr, Device};
use rayon::prelude::*;

/// Rows and columns of the sample by which a way is chosen, at most.
const SAMPLE: (usize, usize) = (16, 256);

/// w [F, D] with its biases and thresholds, ready for any number of batches.
pub struct Encoder<'a> {
    device: Device,
    /// [F, D]
    w: &'a [f32],
    /// [F]
    b: &'a [f32],
    /// [F]
    lo: &'a [f32],
    d: usize,
    ready: Ready,
}

/// How w was made ready.
enum Ready {
    Screen(Vec<Block>),
    Packed(Packed),
    None,
}

/// The three ways.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Screen,
    Packed,
    Rows,
}

impl Way {
    /// Columns whose copy is made at a time where it serves one batch only.
    fn columns_at_a_time(self, d: usize) -> usize {
        match self {
            Way::Screen => screen::columns_at_a_time(d),
            Way::Packed => packed::columns_at_a_time(d),
            Way::Rows => usize::MAX,
        }
    }
}

impl Device {
    /// z = dot(x[n], w[f]) + b[f]; keeps (f, z) where `!(z <= lo[f])`. x [N, D], w [F, D], b and lo [F].
    pub fn encode(self, x: &[f32], w: &[f32], b: &[f32], lo: &[f32], d: usize) -> Csr {
        check(x, w, b, lo, d);
        let rows = x.len() / d;
        let way = self.way(x, rows, w, b, lo, d);
        let columns = way.columns_at_a_time(d).min(b.len()).max(1);
        let parts = w.chunks(columns * d).zip(b.chunks(columns)).zip(lo.chunks(columns));
        Csr::beside(rows, parts.map(|((w, b), lo)| Encoder::new(self, w, b, lo, d, way).encode(x)))
    }

    /// Makes w ready to encode `rows` rows in all, of which x [N, D] are the first. A copy takes up to three times the memory of w.
    pub fn encoder<'a>(
        self,
        x: &[f32],
        rows: usize,
        w: &'a [f32],
        b: &'a [f32],
        lo: &'a [f32],
        d: usize,
    ) -> Encoder<'a> {
        check(x, w, b, lo, d);
        Encoder::new(self, w, b, lo, d, self.way(x, rows, w, b, lo, d))
    }

    /// The share of entries [N, F] that [`Device::encode`] multiplies exactly because a screen could not exclude them, by the
    /// first rows of x; `None` where it uses no screen.
    pub fn recheck_share(self, x: &[f32], w: &[f32], b: &[f32], lo: &[f32], d: usize) -> Option<f64> {
        let rows = x.len() / d;
        if self.way(x, rows, w, b, lo, d) != Way::Screen {
            return None;
        }
        let sample = rows.min(screen::panel_rows(rows));
        let found = self.count_candidates(&x[..sample * d], d, &screen_blocks(self, w, b, lo, d));
        Some(found as f64 / (sample * b.len()) as f64)
    }

    fn way(self, x: &[f32], rows: usize, w: &[f32], b: &[f32], lo: &[f32], d: usize) -> Way {
        if self.multiplies_integers() && screen::pays(rows, d) && self.is_sparse(x, w, b, lo, d) {
            Way::Screen
        } else if packed::pays(rows) {
            Way::Packed
        } else {
            Way::Rows
        }
    }

    /// Do few entries pass, by a sample?
    fn is_sparse(self, x: &[f32], w: &[f32], b: &[f32], lo: &[f32], d: usize) -> bool {
        let row_step = (x.len() / d).div_ceil(SAMPLE.0).max(1);
        let column_step = b.len().div_ceil(SAMPLE.1).max(1);
        let (mut seen, mut kept) = (0, 0);
        for x in x.chunks_exact(d).step_by(row_step) {
            for f in (0..b.len()).step_by(column_step) {
                seen += 1;
                kept += usize::from(!(self.dot(x, &w[f * d..][..d]) + b[f] <= lo[f]));
            }
        }
        kept * screen::MIN_SPARSITY <= seen
    }
}

/// Bytes of the copy of w [F, D] that [`Device::encode`] makes at a time, at most: whichever of its ways it takes.
pub fn copy_bytes(f: usize, d: usize) -> f64 {
    let of = |columns: usize, bytes: usize| f.min(columns) as f64 * bytes as f64;
    let screen = of(screen::columns_at_a_time(d), size_of::<i16>() * strassen::column_size(d));
    let packed = of(packed::columns_at_a_time(d), size_of::<f32>() * d.next_multiple_of(LANES));
    screen.max(packed)
}

fn check(x: &[f32], w: &[f32], b: &[f32], lo: &[f32], d: usize) {
    assert!(d > 0 && x.len().is_multiple_of(d), "encode: x [N, {d}]");
    assert!(w.len() == b.len() * d && lo.len() == b.len(), "encode: w [F, {d}], b [F], lo [F]");
}

fn screen_blocks(device: Device, w: &[f32], b: &[f32], lo: &[f32], d: usize) -> Vec<Block> {
    let columns = screen::COLUMNS;
    let parts = (w.par_chunks(columns * d), b.par_chunks(columns), lo.par_chunks(columns));
    let block = |(w, b, lo): (&[f32], &[f32], &[f32])| device.screen_block(w, b, lo, d);
    parts.into_par_iter().map(block).collect()
}

impl<'a> Encoder<'a> {
    fn new(device: Device, w: &'a [f32], b: &'a [f32], lo: &'a [f32], d: usize, way: Way) -> Encoder<'a> {
        let ready = match way {
            Way::Screen => Ready::Screen(screen_blocks(device, w, b, lo, d)),
            Way::Packed => Ready::Packed(Packed::new(w, d)),
            Way::Rows => Ready::None,
        };
        Encoder { device, w, b, lo, d, ready }
    }

    /// What [`Device::encode`] returns for x [N, D].
    pub fn encode(&self, x: &[f32]) -> Csr {
        let Encoder { device, w, b, lo, d, .. } = *self;
        assert!(x.len().is_multiple_of(d), "encode: x [N, {d}]");
        let (rows, f) = (x.len() / d, b.len());
        match &self.ready {
            Ready::Screen(blocks) => product::encode(x, d, screen::panel_rows(rows), f, |x| {
                device.encode_panel_screened(x, d, w, b, lo, blocks)
            }),
            Ready::Packed(packed) => product::encode(x, d, packed::panel_rows(rows), f, |x| {
                device.encode_packed(x, d, packed, b, lo)
            }),
            Ready::None => {
                product::encode(x, d, product::PANEL_ROWS, f, |x| device.encode_panel(x, w, b, lo, d))
            }
        }
    }

    /// By way of integers, whatever is faster.
    #[cfg(test)]
    pub(crate) fn screened(
        device: Device,
        w: &'a [f32],
        b: &'a [f32],
        lo: &'a [f32],
        d: usize,
    ) -> Encoder<'a> {
        Encoder::new(device, w, b, lo, d, Way::Screen)
    }

    /// By the packed product, whatever is faster.
    #[cfg(test)]
    pub(crate) fn packed(device: Device, w: &'a [f32], b: &'a [f32], lo: &'a [f32], d: usize) -> Encoder<'a> {
        Encoder::new(device, w, b, lo, d, Way::Packed)
    }
}
