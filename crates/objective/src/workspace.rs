//! The rows of a step in training units, and room that one step leaves to the next.
//!
//! Rows are divided by C once for all dictionaries that read and reconstruct them alike. What a dictionary makes of them (x' =
//! x/C − b_dec) is its own, and lies here twice: by rows for the encoder's product, and in strips for the sums of the backward
//! pass, both written in one pass.

use crate::{DictionaryPlan, View};
use lapidary_kernels::{STRIP, Strips};
use rayon::prelude::*;

/// Rows that one task handles; boundaries do not depend on the number of threads.
pub(crate) const ROWS_PER_TASK: usize = 64;

/// The rows of a step.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// What is read, raw [N, D].
    pub input: &'a [f32],
    /// What a transcoder is to reconstruct, raw [N, D_out]. An autoencoder reconstructs what it reads.
    pub output: &'a [f32],
}

impl<'a> From<&'a [f32]> for Batch<'a> {
    /// Rows that an autoencoder reads and reconstructs.
    fn from(rows: &'a [f32]) -> Batch<'a> {
        Batch { input: rows, output: rows }
    }
}

/// What rows are divided by, and their widths: D, C, D_out, C_out.
type Units = (usize, f64, usize, f64);

fn units(plan: &DictionaryPlan) -> Units {
    (plan.d, plan.c, plan.d_out(), plan.c_out())
}

/// The rows of a step, and room that is used again by every step.
#[derive(Default)]
pub struct Workspace {
    of: Option<Units>,
    /// x/C [N, D]
    divided: Vec<f32>,
    /// y/C_out [N, D_out], of a transcoder.
    output: Option<Vec<f32>>,
    /// x' [N, D], where b_dec is taken off.
    pub(crate) input: Vec<f32>,
    /// x' [N, D]
    pub(crate) inputs: Strips,
    /// ŝ, its error or its gradient, of each view [N·M, D_out].
    pub(crate) error: Strips,
    /// Gradients of some features' rows of W_dec and W_enc.
    pub(crate) gradients: (Strips, Strips),
}

impl Workspace {
    /// Takes the rows of a step, for every dictionary that reads and reconstructs them as `plan` does: the same sites, C and C_out.
    pub fn load(&mut self, batch: Batch<'_>, plan: &DictionaryPlan) {
        let (d, d_out, n) = (plan.d, plan.d_out(), batch.input.len() / plan.d);
        assert!(
            batch.input.len() == n * d && batch.output.len() == n * d_out,
            "a batch: input [N, {d}], output [N, {d_out}]"
        );
        self.of = Some(units(plan));
        divide(batch.input, plan.c, &mut self.divided);
        self.output = plan.transcoder.is_some().then(|| {
            let mut output = self.output.take().unwrap_or_default();
            divide(batch.output, plan.c_out(), &mut output);
            output
        });
    }

    /// s [N, D_out], what is to be reconstructed.
    pub fn target(&self) -> &[f32] {
        self.output.as_ref().unwrap_or(&self.divided)
    }

    /// Makes x' for a dictionary, by rows and in strips: one pass reads x/C and writes both.
    pub(crate) fn center(&mut self, p: &View<'_>, plan: &DictionaryPlan) {
        assert_eq!(self.of, Some(units(plan)), "the rows that were loaded are for other dictionaries");
        let (d, n) = (plan.d, self.divided.len() / plan.d);
        self.inputs.reshape(n, d);
        self.input.resize(if plan.has_pre_bias() { n * d } else { 0 }, 0.0);
        let tasks = self.inputs.tasks_mut(ROWS_PER_TASK).into_par_iter();
        let tasks = tasks.zip(self.divided.par_chunks(ROWS_PER_TASK * d));
        if plan.has_pre_bias() {
            tasks.zip(self.input.par_chunks_mut(ROWS_PER_TASK * d)).for_each(
                |((mut strips, divided), input)| {
                    let rows = divided.chunks_exact(d).zip(input.chunks_exact_mut(d));
                    for (i, (divided, row)) in rows.enumerate() {
                        row.iter_mut().zip(divided).zip(p.b_dec).for_each(|((x, s), b)| *x = s - b);
                        put(&mut strips, i, row);
                    }
                },
            );
        } else {
            tasks.for_each(|(mut strips, divided)| {
                divided.chunks_exact(d).enumerate().for_each(|(i, row)| put(&mut strips, i, row));
            });
        }
    }

    /// What a step of `plan` reads and writes, after [`Workspace::center`].
    pub(crate) fn parts(&mut self, plan: &DictionaryPlan) -> Parts<'_> {
        let Workspace { divided, output, input, inputs, error, gradients, .. } = self;
        let divided = divided.as_slice();
        let target = output.as_deref().unwrap_or(divided);
        let input = if plan.has_pre_bias() { input } else { divided };
        Parts { divided, target, input, inputs, error, gradients }
    }
}

/// A workspace while a step is under way.
pub(crate) struct Parts<'a> {
    /// x/C [N, D]
    pub divided: &'a [f32],
    /// s [N, D_out]
    pub target: &'a [f32],
    /// x' [N, D]
    pub input: &'a [f32],
    pub inputs: &'a Strips,
    pub error: &'a mut Strips,
    pub gradients: &'a mut (Strips, Strips),
}

/// x/C, into `out`.
pub(crate) fn divide(x: &[f32], c: f64, out: &mut Vec<f32>) {
    let c = c as f32;
    out.resize(x.len(), 0.0);
    out.par_iter_mut().zip(x).with_min_len(1 << 14).for_each(|(out, x)| *out = x / c);
}

/// Writes row `i` of a task's strips, zeros after D.
pub(crate) fn put(strips: &mut [&mut [f32]], i: usize, row: &[f32]) {
    for (strip, row) in strips.iter_mut().zip(row.chunks(STRIP)) {
        let (used, rest) = strip[i * STRIP..(i + 1) * STRIP].split_at_mut(row.len());
        used.copy_from_slice(row);
        rest.fill(0.0);
    }
}

/// Reads row `i` of a task's strips, into `out` [D].
pub(crate) fn get(strips: &[&mut [f32]], i: usize, out: &mut [f32]) {
    for (strip, out) in strips.iter().zip(out.chunks_mut(STRIP)) {
        out.copy_from_slice(&strip[i * STRIP..][..out.len()]);
    }
}
