//! Backward: gradients written out by hand, by feature, and the update of each row while it is hot.
//!
//! With g = ∂L/∂ŝ for each row n, and for each feature j over its entries (n, z) (DESIGN §4):
//!
//!   ∂L/∂f_j    = ⟨g_n, W_dec,j⟩                             for every entry
//!   ∂L/∂z      by the objective, from ∂L/∂f                   and with it what returns to θ (`objectives/`)
//!   ∂L/∂W_dec,j = Σ f·g_n                                     then the component parallel to W_dec,j is removed
//!   ∂L/∂W_enc,j = Σ (∂L/∂z)·x'_n                              ∂L/∂b_enc,j = Σ ∂L/∂z
//!   ∂L/∂b_dec   = Σ_n g_n − Σ_j (Σ ∂L/∂z)·W_enc,j             through the decoder and through x' (not in a transcoder)
//!
//! Rows of W_dec are renormalised to 1 after their update; what a baseline freezes has no update at all. A feature without
//! a gradient does not move (NUMERICS §3).
//! Tasks own fixed ranges of features, and sums over tasks are taken in order: the bits do not depend on the threads.

use crate::blocks::FEATURES_PER_TASK;
use crate::objectives::matryoshka::{Second, Views};
use crate::objectives::{Entries, Gate, Gradient};
use crate::optimizer::Adam;
use crate::tiles::{self, Sum};
use crate::{Baseline, DictionaryPlan, Parameters, Recipe, Threshold, Training};
use lapidary_kernels::{Csr, Device};
use rayon::prelude::*;
use std::ops::Range;

/// Features of a task are taken together from one entry in so many rows on.
const SHARED: usize = 16;
/// Their ∂L/∂f is a product of all rows from one entry in so many rows on.
const PRODUCT: usize = 6;

/// Features of a task where they are taken together: each copy of a tile then serves as many.
const TOGETHER: usize = 4 * FEATURES_PER_TASK;

/// What `FEATURES_PER_TASK` features, however many share a task, add to sums over all of them.
#[derive(Clone)]
struct Share {
    /// Their part of ∂L/∂b_dec, −Σ_j (Σ ∂L/∂z)·W_enc,j [D].
    through_encoder: Vec<f32>,
    penalty: f64,
}

/// What every task of a step reads.
pub(crate) struct Backward<'a> {
    /// g of each view [N, M, D_out]
    pub error: &'a [f32],
    /// x' [N, D]
    pub input: &'a [f32],
    /// N
    pub rows: usize,
    /// Active features of each row [N].
    pub l0: &'a [u32],
    pub views: &'a Views,
    pub gate: &'a dyn Gate,
    pub plan: &'a DictionaryPlan,
    pub recipe: &'a Recipe,
    pub adam: &'a Adam,
    pub device: Device,
}

/// The entries of a block, by feature.
pub(crate) struct ByFeature {
    pub main: Csr,
    /// Of dead features that help, where there are some.
    pub dead: Option<Csr>,
}

/// Rows of parameters (or of their moments) that one task owns; empty where the dictionary has none.
struct Rows<'a> {
    w_enc: &'a mut [f32],
    b_enc: &'a mut [f32],
    threshold: &'a mut [f32],
    r_mag: &'a mut [f32],
    b_mag: &'a mut [f32],
    w_dec: &'a mut [f32],
}

/// The features of one task.
struct Owned<'a> {
    /// The first feature, and its column in the block's entries.
    feature: usize,
    column: usize,
    p: Rows<'a>,
    v: Rows<'a>,
    active_stamp: &'a mut [u32],
    window_stamp: &'a mut [u32],
    fired_stamp: &'a mut [u32],
}

/// The part of each task of `values` [F, width], if there are any.
fn parts<'a, T>(
    values: &'a mut [T],
    block: &Range<usize>,
    size: usize,
    width: usize,
) -> impl Iterator<Item = &'a mut [T]> + use<'a, T> {
    let span = if values.is_empty() { 0..0 } else { block.start * width..block.end * width };
    values[span].chunks_mut(size * width.max(1))
}

fn rows<'a>(
    p: &'a mut Parameters,
    block: &Range<usize>,
    size: usize,
    d: usize,
) -> impl Iterator<Item = Rows<'a>> + use<'a> {
    let d_out = p.b_dec.len();
    let (mut w_enc, mut w_dec) =
        (parts(&mut p.w_enc, block, size, d), parts(&mut p.w_dec, block, size, d_out));
    let (mut r_mag, mut b_mag) = (parts(&mut p.r_mag, block, size, 1), parts(&mut p.b_mag, block, size, 1));
    let mut threshold = parts(&mut p.threshold, block, size, 1);
    parts(&mut p.b_enc, block, size, 1).map(move |b_enc| Rows {
        w_enc: w_enc.next().unwrap_or_default(),
        b_enc,
        threshold: threshold.next().unwrap_or_default(),
        r_mag: r_mag.next().unwrap_or_default(),
        b_mag: b_mag.next().unwrap_or_default(),
        w_dec: w_dec.next().unwrap_or_default(),
    })
}

/// The features of `block`, in tasks of `size`.
fn tasks<'a>(training: &'a mut Training, block: &Range<usize>, size: usize, d: usize) -> Vec<Owned<'a>> {
    let Training { parameters, moments, active_stamp, window_stamp, fired_stamp, .. } = training;
    let mut window_stamp = parts(window_stamp, block, size, 1);
    let mut fired_stamp = parts(fired_stamp, block, size, 1);
    let rows = rows(parameters, block, size, d).zip(rows(moments, block, size, d));
    let tasks = rows.zip(parts(active_stamp, block, size, 1)).enumerate();
    tasks
        .map(|(task, ((p, v), active_stamp))| Owned {
            feature: block.start + task * size,
            column: task * size,
            p,
            v,
            active_stamp,
            window_stamp: window_stamp.next().unwrap_or_default(),
            fired_stamp: fired_stamp.next().unwrap_or_default(),
        })
        .collect()
}

/// One feature of a task: its entries, its gradients, and room to compute them.
#[derive(Default)]
struct Work {
    /// Its place in the task.
    i: usize,
    /// Where `error`, as [N·M, D_out], has the rows of its entries: for ŝ, and for the second reconstruction.
    at: Vec<u32>,
    at_second: Vec<u32>,
    /// ∂L/∂f by the one and by the other.
    df: Vec<f32>,
    second: Vec<f32>,
    by_objective: Gradient,
    w_dec: Vec<f32>,
    w_enc: Vec<f32>,
    /// Σ ∂L/∂z
    through: f32,
    /// Has any of the rows a gradient?
    touched: bool,
}

impl Backward<'_> {
    /// M·D_out
    pub(crate) fn row_floats(&self) -> usize {
        self.views.count() * self.plan.d_out()
    }

    /// Where `error`, as [N·M, D_out], has `view` of these rows.
    fn at(&self, rows: &[u32], view: usize, out: &mut Vec<u32>) {
        let m = self.views.count() as u32;
        out.clear();
        out.extend(rows.iter().map(|n| n * m + view as u32));
    }

    /// Σ_n g_n of the widest view, rows ascending.
    pub(crate) fn decoder_bias_gradient(&self) -> Vec<f32> {
        let mut sum = vec![0.0; self.plan.d_out()];
        let m = self.views.count() as u32;
        let rows: Vec<u32> = (0..self.rows as u32).map(|n| n * m).collect();
        self.device.accumulate(&vec![1.0; self.rows], &rows, self.error, &mut sum);
        sum
    }

    /// Updates the features of `block` from their entries, and adds their share to ∂L/∂b_dec, tasks in order. Returns their
    /// part of the loss's penalty.
    pub(crate) fn block(
        &self,
        training: &mut Training,
        block: &Range<usize>,
        entries: &ByFeature,
        b_dec_gradient: &mut [f32],
    ) -> f64 {
        let dense = entries.main.index.len() * SHARED >= block.len() * self.rows;
        let size = if dense { TOGETHER } else { FEATURES_PER_TASK };
        let tasks = tasks(training, block, size, self.plan.d);
        let shares: Vec<Vec<Share>> =
            tasks.into_par_iter().map(|owned| self.update(owned, entries)).collect();
        let mut penalty = 0.0;
        for share in shares.into_iter().flatten() {
            penalty += share.penalty;
            if self.plan.has_pre_bias() {
                b_dec_gradient.iter_mut().zip(share.through_encoder).for_each(|(g, p)| *g += p);
            }
        }
        penalty
    }

    /// Updates the features of a task; returns their shares.
    fn update(&self, mut owned: Owned<'_>, entries: &ByFeature) -> Vec<Share> {
        let d = self.plan.d;
        let count = owned.p.b_enc.len();
        let mut shares =
            vec![Share { through_encoder: vec![0.0; d], penalty: 0.0 }; count.div_ceil(FEATURES_PER_TASK)];
        let entries_of_task = {
            let start = &entries.main.row_start;
            start[owned.column + count] - start[owned.column]
        };
        // Together, features share what they gather; alone, the gradient of each is still in cache for its update.
        let dense = entries_of_task * SHARED >= count * self.rows;
        let together = if dense { count } else { 1 };
        let mut room: Vec<Work> = (0..together).map(|_| Work::default()).collect();
        for first in (0..count).step_by(together) {
            let group = &mut room[..];
            group.iter_mut().enumerate().for_each(|(g, work)| work.i = first + g);
            self.gradients(group, &owned, entries);
            for work in group {
                let share = &mut shares[work.i / FEATURES_PER_TASK];
                share.penalty += work.by_objective.penalty;
                if work.by_objective.fired
                    && let Some(stamp) = owned.fired_stamp.get_mut(work.i)
                {
                    self.adam.touch(stamp);
                }
                if work.touched {
                    let w_enc = &owned.p.w_enc[work.i * d..][..d];
                    self.device.axpy(-work.through, w_enc, &mut share.through_encoder);
                    self.update_weights(&mut owned, work);
                }
                if let Some(gradient) = work.by_objective.threshold {
                    self.update_threshold(&mut owned, work.i, gradient);
                }
            }
        }
        shares
    }

    /// The gradients of one feature, or of several that follow each other.
    fn gradients(&self, group: &mut [Work], owned: &Owned<'_>, entries: &ByFeature) {
        let (d, d_out, last) = (self.plan.d, self.plan.d_out(), self.views.last());
        let gated = self.views.second == Some(Second::Gate);
        let main = |work: &Work| entries.main.row(owned.column + work.i);
        let dead = |work: &Work| {
            entries.dead.as_ref().map_or((&[][..], &[][..]), |dead| dead.row(owned.column + work.i))
        };
        for work in group.iter_mut() {
            let rows = main(work).0;
            self.at(rows, self.views.of(owned.feature + work.i), &mut work.at);
            self.at(if gated { rows } else { dead(work).0 }, last, &mut work.at_second);
            for (df, at) in [(&mut work.df, &work.at), (&mut work.second, &work.at_second)] {
                df.clear();
                df.resize(at.len(), 0.0);
            }
        }
        self.dots(group, owned);
        for work in group.iter_mut() {
            let (rows, z) = main(work);
            let feature = owned.feature + work.i;
            let entries = Entries { rows, z, df: &work.df, second: &work.second, l0: self.l0 };
            work.by_objective.clear();
            if !rows.is_empty() {
                self.gate.backward(feature, entries, &mut work.by_objective);
            }
            let dead_rows = dead(work).0;
            work.touched = !work.by_objective.rows.is_empty() || !dead_rows.is_empty();
            work.through = work.by_objective.dz.iter().sum();
            if !dead_rows.is_empty() {
                work.through += work.second.iter().sum::<f32>();
            }
            self.at(&work.by_objective.rows, self.views.of(feature), &mut work.at);
            for (sum, d) in [(&mut work.w_dec, d_out), (&mut work.w_enc, d)] {
                sum.clear();
                sum.resize(if work.touched { d } else { 0 }, 0.0);
            }
        }
        let touched = |work: &&mut Work| work.touched;
        if self.plan.trains_decoder() {
            let sums = group.iter_mut().filter(touched).map(|work| Sum {
                coeff: &work.by_objective.f,
                index: &work.at,
                out: &mut work.w_dec,
            });
            tiles::accumulate(&mut sums.collect::<Vec<_>>(), self.error, d_out, self.device);
        }
        let sums = group.iter_mut().filter(touched).map(
            |Work { by_objective: Gradient { rows, dz, .. }, w_enc, .. }| Sum {
                coeff: dz,
                index: rows,
                out: w_enc,
            },
        );
        tiles::accumulate(&mut sums.collect::<Vec<_>>(), self.input, d, self.device);
        for work in group.iter_mut() {
            let (rows, z) = dead(work);
            if !rows.is_empty() {
                self.device.accumulate(z, &work.at_second, self.error, &mut work.w_dec);
                self.device.accumulate(&work.second, rows, self.input, &mut work.w_enc);
            }
        }
    }

    /// ∂L/∂f of all entries. Where most rows have one, the product of all rows is cheaper, and has the same bits.
    fn dots(&self, group: &mut [Work], owned: &Owned<'_>) {
        let d = self.plan.d_out();
        let count = group.len();
        let entries: usize = group.iter().map(|work| work.at.len()).sum();
        if self.views.count() == 1 && count > 1 && entries * PRODUCT >= count * self.rows {
            let w_dec = &owned.p.w_dec[group[0].i * d..][..count * d];
            let mut dots = vec![0.0; self.rows * count];
            self.device.linear(self.error, w_dec, None, d, &mut dots);
            for (g, work) in group.iter_mut().enumerate() {
                let dot = |&n: &u32| dots[n as usize * count + g];
                work.df.iter_mut().zip(&work.at).for_each(|(df, n)| *df = dot(n));
            }
            return;
        }
        for work in group {
            let w_dec = &owned.p.w_dec[work.i * d..][..d];
            self.device.gather_dot(w_dec, &work.at, self.error, &mut work.df);
            self.device.gather_dot(w_dec, &work.at_second, self.error, &mut work.second);
        }
    }

    fn update_weights(&self, owned: &mut Owned<'_>, room: &mut Work) {
        let (device, i) = (self.device, room.i);
        let adam = self.adam.touch(&mut owned.active_stamp[i]);
        let Owned { p, v, .. } = owned;
        if self.plan.trains_decoder() {
            let d = self.plan.d_out();
            let w_dec = &mut p.w_dec[i * d..(i + 1) * d];
            let parallel = device.dot(&room.w_dec, w_dec);
            device.axpy(-parallel, w_dec, &mut room.w_dec);
            device.adam(w_dec, &room.w_dec, &mut v.w_dec[i * d..(i + 1) * d], adam);
            let norm = device.dot(w_dec, w_dec).sqrt();
            w_dec.iter_mut().for_each(|w| *w /= norm);
        }
        if self.plan.trains_encoder() {
            let span = i * self.plan.d..(i + 1) * self.plan.d;
            device.adam(&mut p.w_enc[span.clone()], &room.w_enc, &mut v.w_enc[span], adam);
            let b_enc = room.by_objective.b_enc.unwrap_or(room.through);
            device.adam(&mut p.b_enc[i..=i], &[b_enc], &mut v.b_enc[i..=i], adam);
        }
        if !p.r_mag.is_empty() && self.plan.baseline != Some(Baseline::Random) {
            let Gradient { r_mag, b_mag, .. } = room.by_objective;
            device.adam(&mut p.r_mag[i..=i], &[r_mag], &mut v.r_mag[i..=i], adam);
            device.adam(&mut p.b_mag[i..=i], &[b_mag], &mut v.b_mag[i..=i], adam);
        }
    }

    fn update_threshold(&self, owned: &mut Owned<'_>, i: usize, gradient: f64) {
        let adam = self.adam.touch(&mut owned.window_stamp[i]);
        if self.plan.baseline == Some(Baseline::Random) {
            return;
        }
        let (p, v) = (&mut owned.p.threshold[i..=i], &mut owned.v.threshold[i..=i]);
        let gradient = match self.recipe.threshold {
            Threshold::Raw => gradient,
            Threshold::Log => gradient * f64::from(lapidary_kernels::elementwise::exp(p[0])),
        };
        self.device.adam(p, &[gradient as f32], v, adam);
        if self.recipe.threshold == Threshold::Raw {
            p[0] = p[0].max(0.0);
        }
    }
}
