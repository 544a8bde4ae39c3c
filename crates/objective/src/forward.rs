//! A batch through a dictionary in training, forward (docs/design.md §4, docs/numerics.md §2–3).
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
use crate::row_weights::row_weights;
use crate::tiles::{self, Source, Sum};
use crate::transcoder;
use crate::workspace::{ROWS_PER_TASK, get, put};
use crate::{DictionaryPlan, View};
use lapidary_kernels::strips::Begin;
use lapidary_kernels::{Csr, Device, STRIP, Strips};
use rayon::prelude::*;
use std::ops::Range;

/// What a step saw before its update.
pub struct Seen {
    /// The whole loss, penalty included.
    pub loss: f64,
    /// Mean over rows of ‖ŝ − s‖².
    pub mse: f64,
    /// Mean of ω·‖ŝ − s‖², as the loss counts rows.
    pub weighted_mse: f64,
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
    target: &'a [f32],
    /// x' [N, D]
    pub input: &'a [f32],
    /// ŝ as far as it is decoded, then its gradient [N·M, D_out].
    pub error: &'a mut Strips,
    /// ω [N], where rows do not count alike.
    weights: Option<Vec<f32>>,
    /// Active features of each row [N].
    pub l0: Vec<u32>,
    in_window: u64,
}

/// z of what `gate` keeps of `block`, from x' [N, D]; rows are tokens, columns count from the block's first.
pub(crate) fn encode(
    input: &[f32],
    parameters: &View<'_>,
    gate: &dyn Gate,
    block: &Range<usize>,
    d: usize,
    device: Device,
) -> Csr {
    let w_enc = &parameters.w_enc[block.start * d..block.end * d];
    device.encode(input, w_enc, &gate.bias(parameters)[block.clone()], &gate.lo()[block.clone()], d)
}

impl<'a> Forward<'a> {
    /// ŝ before any feature: b_dec, and what a skip adds.
    pub(crate) fn begin(
        (target, input, error): (&'a [f32], &'a [f32], &'a mut Strips),
        p: &View<'_>,
        plan: &DictionaryPlan,
        views: &'a Views,
        device: Device,
    ) -> Forward<'a> {
        let (d_out, m, n) = (plan.d_out(), views.count(), input.len() / plan.d);
        let skipped = transcoder::skip(input, p, plan.d, device);
        error.reshape(n * m, d_out);
        error.strips_mut().for_each(|(column, strip)| {
            strip.fill(0.0);
            let columns = column..(column + STRIP).min(d_out);
            for (n, row) in strip.chunks_exact_mut(m * STRIP).enumerate() {
                let start = skipped.as_ref().map_or(p.b_dec, |s| &s[n * d_out..][..d_out]);
                row[..columns.len()].copy_from_slice(&start[columns.clone()]);
                if views.second == Some(Second::Gate) {
                    row[views.last() * STRIP..][..columns.len()].copy_from_slice(&start[columns.clone()]);
                }
            }
        });
        let weights = plan.row_cap.map(|cap| row_weights(target, p.b_dec, cap));
        Forward { views, device, d_out, target, input, error, weights, l0: vec![0; n], in_window: 0 }
    }

    /// Adds the active features of `block` to ŝ. A prefix begins as the one before it, complete by then.
    pub(crate) fn decode(&mut self, block: &Range<usize>, z: &Csr, p: &View<'_>, gate: &dyn Gate) {
        let views = self.views;
        let w_dec = &p.w_dec[block.start * self.d_out..block.end * self.d_out];
        let rows = self.sorted(block, z, gate);
        let mut begin = 0;
        for (view, &end) in views.ends.iter().enumerate() {
            if view > 0 && block.contains(&begin) {
                self.copy_view(view - 1);
            }
            let sums: Vec<Sum<'_>> = rows.iter().map(|row| row.between(block.start, begin..end)).collect();
            self.add(&sums, w_dec, view);
            begin = end;
        }
        if views.second == Some(Second::Gate) {
            let second = rows.iter().map(|row| Sum { coeff: &row.second, index: &row.all });
            self.add(&second.collect::<Vec<_>>(), w_dec, views.last());
        }
    }

    /// Adds the dead features that help, `z` [N, F], to the last view.
    pub(crate) fn decode_dead(&mut self, z: &Csr, p: &View<'_>) {
        let rows = (0..z.rows()).map(|n| z.row(n));
        let sums: Vec<Sum<'_>> = rows.map(|(index, coeff)| Sum { coeff, index }).collect();
        self.add(&sums, p.w_dec, self.views.last());
    }

    /// The active features of each row of `block`, counted.
    fn sorted(&mut self, block: &Range<usize>, z: &Csr, gate: &dyn Gate) -> Vec<Row> {
        let rows = (0..self.l0.len()).into_par_iter().with_min_len(ROWS_PER_TASK);
        let rows: Vec<Row> = rows.map(|n| Row::new(z.row(n), block.start, gate, self.views)).collect();
        for (l0, row) in self.l0.iter_mut().zip(&rows) {
            *l0 += row.index.len() as u32;
            self.in_window += row.in_window;
        }
        rows
    }

    /// Begins the view after `view` as that.
    fn copy_view(&mut self, view: usize) {
        let (m, span) = (self.views.count(), view * STRIP..(view + 1) * STRIP);
        self.error.strips_mut().for_each(|(_, strip)| {
            let rows = strip.chunks_exact_mut(m * STRIP);
            rows.for_each(|row| row.copy_within(span.clone(), span.end));
        });
    }

    /// Adds a sum of decoder rows to `view` of each row.
    fn add(&mut self, sums: &[Sum<'_>], w_dec: &[f32], view: usize) {
        let at = (view, self.views.count());
        tiles::accumulate(sums, Source::Rows(w_dec), self.error, at, Begin::Out, self.device);
    }

    /// After the last block: ŝ becomes the gradient of the loss at ŝ. The loss is still without its penalty.
    pub(crate) fn finish(&mut self, width: usize) -> Seen {
        let Errors { whole, weighted, rest } = self.errors();
        let n = self.l0.len() as f64;
        let active: u64 = self.l0.iter().map(|&l0| u64::from(l0)).sum();
        Seen {
            mse: whole / n,
            weighted_mse: weighted / n,
            loss: weighted / n / self.views.ends.len() as f64 + rest / n,
            l0: active as f64 / n,
            window_share: self.in_window as f64 / (n * width as f64),
            lambda: 0.0,
        }
    }

    /// Makes gradients of ŝ, in one pass that takes each row out of its strips and puts it back: the squares of a row are summed
    /// from its first column to its last.
    fn errors(&mut self) -> Errors {
        let (d, m, views, n) = (self.d_out, self.views.count(), self.views, self.l0.len());
        let weights = self.weights.as_deref();
        let task = |(task, (mut strips, target)): (usize, (Vec<&mut [f32]>, &[f32]))| {
            let mut sums = Errors::default();
            let mut row = vec![0.0; m * d];
            for (i, s) in target.chunks_exact(d).enumerate() {
                row.chunks_exact_mut(d).enumerate().for_each(|(view, row)| get(&strips, i * m + view, row));
                let weight = weights.map_or(1.0, |weights| weights[task * ROWS_PER_TASK + i]);
                sums.rest += f64::from(weight) * row_error(&mut row, s, views);
                sums.add(&row[(views.ends.len() - 1) * d..][..d], weight);
                row_gradient(&mut row, n, d, views);
                if weight != 1.0 {
                    row.iter_mut().for_each(|g| *g *= weight);
                }
                row.chunks_exact(d).enumerate().for_each(|(view, row)| put(&mut strips, i * m + view, row));
            }
            sums
        };
        let tasks = self.error.tasks_mut(ROWS_PER_TASK * m).into_par_iter();
        let tasks = tasks.zip(self.target.par_chunks(ROWS_PER_TASK * d)).enumerate();
        let sums: Vec<Errors> = tasks.map(task).collect();
        sums.into_iter().fold(Errors::default(), |all, sum| Errors {
            whole: all.whole + sum.whole,
            weighted: all.weighted + sum.weighted,
            rest: all.rest + sum.rest,
        })
    }
}

/// What rows add up to.
#[derive(Default)]
struct Errors {
    /// Σ ‖ŝ − s‖²
    whole: f64,
    /// Σ ω·‖ŝ − s‖²
    weighted: f64,
    /// What they add to the loss beside that.
    rest: f64,
}

impl Errors {
    /// Adds a row's ŝ − s. A row of weight 1 is summed entry by entry, as if there were no weights.
    fn add(&mut self, error: &[f32], weight: f32) {
        let sum = |from: f64| error.iter().fold(from, |sum, &e| sum + f64::from(e) * f64::from(e));
        self.whole = sum(self.whole);
        self.weighted =
            if weight == 1.0 { sum(self.weighted) } else { self.weighted + f64::from(weight) * sum(0.0) };
    }
}

/// The active features of one row of a block.
#[derive(Default)]
struct Row {
    /// Columns of the block, ascending, and f.
    index: Vec<u32>,
    value: Vec<f32>,
    /// For the second reconstruction.
    all: Vec<u32>,
    second: Vec<f32>,
    /// How many entries are in their window.
    in_window: u64,
}

impl Row {
    /// Sorts a row's entries; its columns count from feature `first`.
    fn new((features, zs): (&[u32], &[f32]), first: usize, gate: &dyn Gate, views: &Views) -> Row {
        let mut row = Row::default();
        row.index.reserve_exact(features.len());
        row.value.reserve_exact(features.len());
        for (&j, &z) in features.iter().zip(zs) {
            let feature = first + j as usize;
            if let Some(f) = gate.value(feature, z) {
                row.index.push(j);
                row.value.push(f);
            }
            row.in_window += u64::from(gate.in_window(feature, z));
        }
        if views.second == Some(Second::Gate) {
            row.all.extend_from_slice(features);
            row.second.extend(features.iter().zip(zs).map(|(&j, &z)| gate.second(first + j as usize, z)));
        }
        row
    }

    /// The active features of a range, as columns of a block that begins with feature `first`.
    fn between(&self, first: usize, range: Range<usize>) -> Sum<'_> {
        let below = |end: usize| self.index.partition_point(|&j| first + (j as usize) < end);
        let span = below(range.start)..below(range.end);
        Sum { coeff: &self.value[span.clone()], index: &self.index[span] }
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
