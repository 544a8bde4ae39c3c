//! A batch through a dictionary in training, forward (DESIGN §4, NUMERICS §2–3).
//!
//!   s  = y/C_out                  the target, unit mean square; y = x and C_out = C for an autoencoder
//!   x' = x/C − b_dec              input of the encoder (a transcoder: x/C)
//!   z  = W_enc x' + b_enc         kept where the objective needs it: never an [N, F] buffer
//!   f                             by the objective
//!   ŝ  = b_dec + Σ_j f_j W_dec,j  features ascending (a transcoder with a skip: + W_skip x')
//!   L  = mean over rows of ‖ŝ − s‖² + penalty
//!
//! Features come in blocks (`blocks.rs`): ŝ begins as b_dec and every block adds its own. The error is kept in M *views*
//! of each row, [N, M, D_out]: one per nested prefix and one for a second reconstruction (`objectives/matryoshka.rs`);
//! M = 1 in the usual case.

use crate::objectives::Gate;
use crate::objectives::matryoshka::{Second, Views};
use crate::tiles::{self, Sum};
use crate::transcoder;
use crate::{DictionaryPlan, Parameters};
use lapidary_kernels::{Csr, Device};
use rayon::prelude::*;
use std::ops::Range;

/// Rows that one task handles; boundaries do not depend on the number of threads.
const ROWS_PER_TASK: usize = 64;

/// The rows of a step.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// What is read, raw [N, D].
    pub input: &'a [f32],
    /// What is to be reconstructed, raw [N, D_out].
    pub output: &'a [f32],
}

impl<'a> From<&'a [f32]> for Batch<'a> {
    /// Rows that an autoencoder reads and reconstructs.
    fn from(rows: &'a [f32]) -> Batch<'a> {
        Batch { input: rows, output: rows }
    }
}

/// What a step saw before its update.
pub struct Seen {
    /// s [N, D_out]
    pub target: Vec<f32>,
    /// The whole loss, penalty included.
    pub loss: f64,
    /// Mean over rows of ‖ŝ − s‖².
    pub mse: f64,
    /// Mean number of active features of a row.
    pub l0: f64,
    /// Pre-activations inside their window, over all N·F.
    pub window_share: f64,
    /// λ of this step.
    pub lambda: f64,
}

/// The forward pass under way.
pub(crate) struct Forward<'a> {
    pub views: &'a Views,
    device: Device,
    /// D_out
    d_out: usize,
    /// s [N, D_out]
    target: Vec<f32>,
    /// x' [N, D]
    pub input: Vec<f32>,
    /// ŝ as far as it is decoded, then ŝ − s, then its gradient [N, M, D_out].
    pub error: Vec<f32>,
    /// Active features of each row [N].
    pub l0: Vec<u32>,
    in_window: u64,
}

/// z of what `gate` keeps of `block`, from x' [N, D]; rows are tokens, columns count from the block's first.
pub(crate) fn encode(
    input: &[f32],
    parameters: &Parameters,
    gate: &dyn Gate,
    block: &Range<usize>,
    d: usize,
    device: Device,
) -> Csr {
    let w_enc = &parameters.w_enc[block.start * d..block.end * d];
    device.encode(input, w_enc, &gate.bias(parameters)[block.clone()], &gate.lo()[block.clone()], d)
}

fn divided(x: &[f32], c: f64) -> Vec<f32> {
    let c = c as f32;
    x.par_iter().with_min_len(1 << 14).map(|x| x / c).collect()
}

impl<'a> Forward<'a> {
    /// s, x', and ŝ before any feature.
    pub(crate) fn begin(
        batch: Batch<'_>,
        p: &Parameters,
        plan: &DictionaryPlan,
        views: &'a Views,
        device: Device,
    ) -> Forward<'a> {
        let (d, d_out, n) = (plan.d, plan.d_out(), batch.input.len() / plan.d);
        assert!(
            batch.input.len() == n * d && batch.output.len() == n * d_out,
            "a batch: input [N, {d}], output [N, {d_out}]"
        );
        let target = divided(batch.output, plan.c_out());
        let mut input = divided(batch.input, plan.c);
        if plan.has_pre_bias() {
            input.par_chunks_mut(ROWS_PER_TASK * d).for_each(|rows| {
                for x in rows.chunks_exact_mut(d) {
                    x.iter_mut().zip(&p.b_dec).for_each(|(x, b)| *x -= b);
                }
            });
        }
        let mut error = vec![0.0; n * views.count() * d_out];
        let skipped = transcoder::skip(&input, p, d, device);
        error.par_chunks_mut(views.count() * d_out).enumerate().for_each(|(n, row)| {
            let start = skipped.as_ref().map_or(&p.b_dec[..], |s| &s[n * d_out..][..d_out]);
            row[..d_out].copy_from_slice(start);
            if views.second == Some(Second::Gate) {
                row[views.last() * d_out..].copy_from_slice(start);
            }
        });
        Forward { views, device, d_out, target, input, error, l0: vec![0; n], in_window: 0 }
    }

    /// Adds the active features of `block` to ŝ.
    pub(crate) fn decode(&mut self, block: &Range<usize>, z: &Csr, p: &Parameters, gate: &dyn Gate) {
        let (d, views, device) = (self.d_out, self.views, self.device);
        let w_dec = &p.w_dec[block.start * d..block.end * d];
        let row_floats = views.count() * d;
        let tasks = self.error.par_chunks_mut(ROWS_PER_TASK * row_floats);
        let in_window: Vec<u64> = tasks
            .zip(self.l0.par_chunks_mut(ROWS_PER_TASK))
            .enumerate()
            .map(|(task, (out, l0))| {
                let mut in_window = 0;
                let mut rows: Vec<Row> = (0..l0.len()).map(|_| Row::default()).collect();
                for (i, (row, l0)) in rows.iter_mut().zip(l0.iter_mut()).enumerate() {
                    in_window += row.fill(z.row(task * ROWS_PER_TASK + i), block.start, gate, views);
                    *l0 += row.index.len() as u32;
                }
                let mut out: Vec<&mut [f32]> = out.chunks_exact_mut(row_floats).collect();
                add(&mut out, &rows, block, w_dec, d, views, device);
                in_window
            })
            .collect();
        self.in_window += in_window.iter().sum::<u64>();
    }

    /// Adds the dead features that help, `z` [N, F], to the last view.
    pub(crate) fn decode_dead(&mut self, z: &Csr, p: &Parameters) {
        let (d, last, device) = (self.d_out, self.views.last(), self.device);
        self.error.par_chunks_mut(self.views.count() * d).enumerate().for_each(|(n, row)| {
            let (index, value) = z.row(n);
            device.accumulate(value, index, &p.w_dec, &mut row[last * d..]);
        });
    }

    /// After the last block: ŝ becomes ŝ − s and then the gradient of the loss at ŝ. The loss is still without its penalty.
    pub(crate) fn finish(&mut self, width: usize) -> Seen {
        let (d, views, n) = (self.d_out, self.views, self.l0.len());
        let target = std::mem::take(&mut self.target);
        let row_floats = views.count() * d;
        let tasks = self.error.par_chunks_mut(ROWS_PER_TASK * row_floats);
        let sums: Vec<(f64, f64)> = tasks
            .zip(target.par_chunks(ROWS_PER_TASK * d))
            .map(|(error, target)| {
                let (mut whole, mut rest) = (0.0, 0.0);
                for (row, s) in error.chunks_exact_mut(row_floats).zip(target.chunks_exact(d)) {
                    rest += row_error(row, s, views);
                    let error = &row[(views.ends.len() - 1) * d..][..d];
                    whole = error.iter().fold(whole, |sum, &e| sum + f64::from(e) * f64::from(e));
                    row_gradient(row, n, d, views);
                }
                (whole, rest)
            })
            .collect();
        let (mut whole, mut rest) = (0.0, 0.0);
        for sum in sums {
            whole += sum.0;
            rest += sum.1;
        }
        let n = n as f64;
        let active: u64 = self.l0.iter().map(|&l0| u64::from(l0)).sum();
        Seen {
            mse: whole / n,
            loss: whole / n / views.ends.len() as f64 + rest / n,
            l0: active as f64 / n,
            window_share: self.in_window as f64 / (n * width as f64),
            lambda: 0.0,
            target,
        }
    }
}

/// The active features of one row of a block, and room for them.
#[derive(Default)]
struct Row {
    /// Columns of the block, ascending, and f.
    index: Vec<u32>,
    value: Vec<f32>,
    /// For the second reconstruction.
    all: Vec<u32>,
    second: Vec<f32>,
}

impl Row {
    /// The active features of a range, as columns of a block that begins with feature `first`.
    fn between(&self, first: usize, range: Range<usize>) -> (&[u32], &[f32]) {
        let below = |end: usize| self.index.partition_point(|&j| first + (j as usize) < end);
        let span = below(range.start)..below(range.end);
        (&self.index[span.clone()], &self.value[span])
    }

    /// Sorts a row's entries; returns how many are in their window.
    fn fill(
        &mut self,
        (features, zs): (&[u32], &[f32]),
        first: usize,
        gate: &dyn Gate,
        views: &Views,
    ) -> u64 {
        let mut in_window = 0;
        for (&j, &z) in features.iter().zip(zs) {
            let feature = first + j as usize;
            if let Some(f) = gate.value(feature, z) {
                self.index.push(j);
                self.value.push(f);
            }
            in_window += u64::from(gate.in_window(feature, z));
        }
        if views.second == Some(Second::Gate) {
            self.all.extend_from_slice(features);
            self.second.extend(features.iter().zip(zs).map(|(&j, &z)| gate.second(first + j as usize, z)));
        }
        in_window
    }
}

/// Adds the features of `rows` to their views, `out` of [M, D_out]. A prefix begins as the one before it, complete by then.
fn add(
    out: &mut [&mut [f32]],
    rows: &[Row],
    block: &Range<usize>,
    w_dec: &[f32],
    d: usize,
    views: &Views,
    device: Device,
) {
    let mut begin = 0;
    for (view, &end) in views.ends.iter().enumerate() {
        let span = view * d..(view + 1) * d;
        if view > 0 && block.contains(&begin) {
            out.iter_mut().for_each(|out| out.copy_within(span.start - d..span.start, span.start));
        }
        let mut sums: Vec<Sum<'_>> = out
            .iter_mut()
            .zip(rows)
            .map(|(out, row)| {
                let (index, coeff) = row.between(block.start, begin..end);
                Sum { coeff, index, out: &mut out[span.clone()] }
            })
            .collect();
        tiles::accumulate(&mut sums, w_dec, d, device);
        begin = end;
    }
    if views.second == Some(Second::Gate) {
        let last = views.last() * d;
        let sums = out.iter_mut().zip(rows);
        let mut sums: Vec<Sum<'_>> = sums
            .map(|(out, row)| Sum { coeff: &row.second, index: &row.all, out: &mut out[last..] })
            .collect();
        tiles::accumulate(&mut sums, w_dec, d, device);
    }
}

/// The views of ŝ, `row` [M, D_out], become errors. Returns what the row adds to the loss beside ‖ŝ − s‖²/G.
fn row_error(row: &mut [f32], s: &[f32], views: &Views) -> f64 {
    let d = s.len();
    let g = views.ends.len();
    let square = |e: &[f32]| e.iter().map(|&e| f64::from(e) * f64::from(e)).sum::<f64>();
    let compared = if views.second == Some(Second::Gate) { g + 1 } else { g };
    for view in row.chunks_exact_mut(d).take(compared) {
        view.iter_mut().zip(s).for_each(|(e, s)| *e -= s);
    }
    let mut rest = 0.0;
    for view in row.chunks_exact(d).take(g - 1) {
        rest += square(view) / g as f64;
    }
    let (prefixes, last) = row.split_at_mut(g * d);
    match views.second {
        Some(Second::Gate) => rest += square(last),
        Some(Second::Dead(alpha)) => {
            last.iter_mut().zip(&prefixes[(g - 1) * d..]).for_each(|(e, whole)| *e += whole);
            rest += alpha * square(last);
        }
        None => {}
    }
    rest
}

/// The errors of a row become ∂L/∂ŝ: a feature's prefix and all wider ones (2/(N·G)), the second reconstruction (2/N, 2α/N).
fn row_gradient(row: &mut [f32], n: usize, d: usize, views: &Views) {
    let g = views.ends.len();
    let scale = 2.0 / (n * g) as f32;
    for view in (0..g - 1).rev() {
        let (narrow, wide) = row[view * d..(view + 2) * d].split_at_mut(d);
        narrow.iter_mut().zip(wide).for_each(|(narrow, wide)| *narrow += *wide);
    }
    row[..g * d].iter_mut().for_each(|e| *e *= scale);
    let second = match views.second {
        Some(Second::Gate) => 2.0 / n as f32,
        Some(Second::Dead(alpha)) => (2.0 * alpha / n as f64) as f32,
        None => return,
    };
    row[g * d..].iter_mut().for_each(|e| *e *= second);
}
