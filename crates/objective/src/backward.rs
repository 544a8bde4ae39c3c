//! Backward: gradients written out by hand, by feature, and the update of each row while it is hot.
//!
//! With g = ∂L/∂ŝ for each row n, and for each feature j over its entries (n, z) (docs/design.md §4):
//!
//!   ∂L/∂f_j    = ⟨g_n, W_dec,j⟩                             for every entry
//!   ∂L/∂z      by the objective, from ∂L/∂f                   and with it what returns to θ (`objectives/`)
//!   ∂L/∂W_dec,j = Σ f·g_n                                     then the component parallel to W_dec,j is removed
//!   ∂L/∂W_enc,j = Σ (∂L/∂z)·x'_n                              ∂L/∂b_enc,j = Σ ∂L/∂z
//!   ∂L/∂b_dec   = Σ_n g_n − Σ_j (Σ ∂L/∂z)·W_enc,j             through the decoder and through x' (not in a transcoder)
//!
//! Rows of W_dec are renormalised to 1 after their update; what a baseline freezes has no update at all. A feature without
//! a gradient does not move (docs/numerics.md §3).
//! Tasks own fixed ranges of features, and sums over tasks are taken in order: the bits do not depend on the threads.

use crate::blocks::FEATURES_PER_TASK;
use crate::objectives::matryoshka::{Second, Views};
use crate::objectives::{Entries, Gate, Gradient};
use crate::optimizer::Adam;
use crate::slot::{Part, Slot, parts};
use crate::tiles::{self, Source, Sum};
use crate::{Baseline, DictionaryPlan, Rates, Threshold, Training};
use lapidary_kernels::strips::Begin;
use lapidary_kernels::{AdamStep, Csr, Device, Strips};
use rayon::prelude::*;
use std::ops::Range;

/// Features whose gradients exist at a time: so many that rows of the batch serve several, at most and at least.
pub(crate) const TOGETHER: Range<usize> = 4 * FEATURES_PER_TASK..64 * FEATURES_PER_TASK;
/// How many of them share a row of the batch, on average.
pub(crate) const SHARED: usize = 256;

/// What the features of a task add to sums over all of them.
struct Share {
    /// Their part of ∂L/∂b_dec, −Σ_j (Σ ∂L/∂z)·W_enc,j [D].
    through_encoder: Vec<f32>,
    penalty: f64,
}

/// What every task of a step reads.
pub(crate) struct Backward<'a> {
    /// g of each view [N·M, D_out]
    pub error: &'a Strips,
    /// x' [N, D], twice
    pub input: &'a [f32],
    pub inputs: &'a Strips,
    /// N
    pub rows: usize,
    /// Active features of each row [N].
    pub l0: &'a [u32],
    pub views: &'a Views,
    pub gate: &'a dyn Gate,
    pub plan: &'a DictionaryPlan,
    pub rates: &'a Rates,
    pub adam: &'a Adam,
    pub device: Device,
}

/// The entries of a block, by feature.
pub(crate) struct ByFeature {
    pub main: Csr,
    /// Of dead features that help, where there are some.
    pub dead: Option<Csr>,
}

/// The features of one task, with what their objective has.
struct Owned<'a> {
    w_enc: Part<'a>,
    b_enc: Part<'a>,
    w_dec: Part<'a>,
    threshold: Option<Part<'a>>,
    r_mag: Option<Part<'a>>,
    b_mag: Option<Part<'a>>,
    active_stamp: &'a mut [u32],
    window_stamp: &'a mut [u32],
    fired_stamp: Option<&'a mut [u32]>,
}

/// The features of `block`, in tasks of `size`.
fn tasks<'a>(training: &'a mut Training, block: &Range<usize>, size: usize, d: usize) -> Vec<Owned<'a>> {
    let Training { slots, active_stamp, window_stamp, fired_stamp, .. } = training;
    let d_out = slots.b_dec.p.len();
    let of_features = |slot: Option<&'a mut Slot>| slot.map(|slot| slot.parts(block, size, 1));
    let mut w_enc = slots.w_enc.parts(block, size, d);
    let mut b_enc = slots.b_enc.parts(block, size, 1);
    let mut w_dec = slots.w_dec.parts(block, size, d_out);
    let mut threshold = of_features(slots.threshold.as_mut());
    let mut r_mag = of_features(slots.r_mag.as_mut());
    let mut b_mag = of_features(slots.b_mag.as_mut());
    let mut fired_stamp = fired_stamp.as_mut().map(|stamps| parts(stamps, block, size, 1));
    let stamps = parts(active_stamp, block, size, 1).zip(parts(window_stamp, block, size, 1));
    let owned = |(active_stamp, window_stamp)| {
        Some(Owned {
            w_enc: w_enc.next()?,
            b_enc: b_enc.next()?,
            w_dec: w_dec.next()?,
            threshold: threshold.as_mut().and_then(Iterator::next),
            r_mag: r_mag.as_mut().and_then(Iterator::next),
            b_mag: b_mag.as_mut().and_then(Iterator::next),
            active_stamp,
            window_stamp,
            fired_stamp: fired_stamp.as_mut().and_then(Iterator::next),
        })
    };
    stamps.map_while(owned).collect()
}

/// The entries of a feature that have a gradient.
#[derive(Default)]
struct Work {
    by_objective: Gradient,
    /// Where `error` has their rows, by [`Backward::locate`]: for ŝ, and for the second reconstruction.
    at: Vec<u32>,
    at_second: Vec<u32>,
    /// Σ ∂L/∂z
    through: f32,
    /// Has any of the rows a gradient?
    touched: bool,
}

/// ∂L/∂f of all entries of a block: of the first reconstruction, and of the second where there is one.
struct Dots {
    df: Vec<f32>,
    second: Vec<f32>,
}

impl Backward<'_> {
    /// Appends where `error` has `view` of these rows; nothing where there is one view, whose places are the rows.
    fn locate(&self, rows: &[u32], view: usize, out: &mut Vec<u32>) {
        let m = self.views.count() as u32;
        if m > 1 {
            out.extend(rows.iter().map(|n| n * m + view as u32));
        }
    }

    /// What [`Backward::locate`] found for `rows`.
    fn places<'r>(&self, rows: &'r [u32], located: &'r [u32]) -> &'r [u32] {
        if self.views.count() > 1 { located } else { rows }
    }

    /// Σ_n g_n of the widest view, rows ascending.
    pub(crate) fn decoder_bias_gradient(&self) -> Vec<f32> {
        let m = self.views.count() as u32;
        let rows: Vec<u32> = (0..self.rows as u32).map(|n| n * m).collect();
        let (mut sum, mut out) = (Strips::zeros(1, self.plan.d_out()), vec![0.0; self.plan.d_out()]);
        let terms = Sum { coeff: &vec![1.0; self.rows], index: &rows };
        tiles::accumulate(&[terms], Source::Strips(self.error), &mut sum, (0, 1), Begin::Zero, self.device);
        sum.copy_row(0, &mut out);
        out
    }

    /// Updates the features of `block` from their entries, and adds their share to ∂L/∂b_dec and to the loss's penalty, tasks
    /// in order.
    pub(crate) fn block(
        &self,
        training: &mut Training,
        block: &Range<usize>,
        entries: &ByFeature,
        room: &mut (Strips, Strips),
        (b_dec_gradient, penalty): (&mut [f32], &mut f64),
    ) {
        let d_out = self.plan.d_out();
        let dots = self.dots(entries, block, &training.slots.w_dec.p[block.start * d_out..block.end * d_out]);
        let size = (SHARED * self.rows * block.len()).div_ceil(entries.main.index.len().max(1));
        let size = size.clamp(TOGETHER.start, TOGETHER.end).next_multiple_of(FEATURES_PER_TASK);
        for first in block.clone().step_by(size) {
            let group = first..(first + size).min(block.end);
            for share in self.group(training, &group, first - block.start, entries, &dots, room) {
                *penalty += share.penalty;
                if self.plan.has_pre_bias() {
                    b_dec_gradient.iter_mut().zip(share.through_encoder).for_each(|(g, p)| *g += p);
                }
            }
        }
    }

    /// ∂L/∂f of all entries of `block`.
    fn dots(&self, entries: &ByFeature, block: &Range<usize>, w_dec: &[f32]) -> Dots {
        let of = |csr: &Csr, view: &dyn Fn(usize) -> usize| {
            let mut at = Vec::new();
            (0..csr.rows()).for_each(|i| self.locate(csr.row(i).0, view(block.start + i), &mut at));
            tiles::dots(csr, self.places(&csr.index, &at), w_dec, self.error, self.device)
        };
        let last = |_| self.views.last();
        let second = match &entries.dead {
            _ if self.views.second == Some(Second::Gate) => of(&entries.main, &last),
            Some(dead) => of(dead, &last),
            None => Vec::new(),
        };
        Dots { df: of(&entries.main, &|j| self.views.of(j)), second }
    }

    /// Updates the features of `group`, whose columns begin with `column`; returns the shares of its tasks.
    fn group(
        &self,
        training: &mut Training,
        group: &Range<usize>,
        column: usize,
        entries: &ByFeature,
        dots: &Dots,
        (w_dec, w_enc): &mut (Strips, Strips),
    ) -> Vec<Share> {
        let works = group.clone().into_par_iter().with_min_len(FEATURES_PER_TASK);
        let works: Vec<Work> = works.map(|j| self.work(j, column + j - group.start, entries, dots)).collect();
        w_dec.reshape(group.len(), self.plan.d_out());
        w_enc.reshape(group.len(), self.plan.d);
        self.gradients(&works, column, entries, dots, w_dec, w_enc);
        let tasks = tasks(training, group, FEATURES_PER_TASK, self.plan.d);
        let works = works.par_chunks(FEATURES_PER_TASK);
        let update =
            |(task, (owned, works))| self.update(owned, works, task * FEATURES_PER_TASK, w_dec, w_enc);
        tasks.into_par_iter().zip(works).enumerate().map(update).collect()
    }

    /// What feature j, at `column`, learns from its entries.
    fn work(&self, j: usize, column: usize, entries: &ByFeature, dots: &Dots) -> Work {
        let mut work = Work::default();
        let span = |csr: &Csr| csr.row_start[column]..csr.row_start[column + 1];
        let (rows, z) = entries.main.row(column);
        let dead = entries.dead.as_ref();
        let gated = self.views.second == Some(Second::Gate);
        let second = match dead {
            _ if gated => span(&entries.main),
            Some(dead) => span(dead),
            None => 0..0,
        };
        let second = &dots.second[second];
        if !rows.is_empty() {
            let entries = Entries { rows, z, df: &dots.df[span(&entries.main)], second, l0: self.l0 };
            work.by_objective.reserve(rows.len());
            self.gate.backward(j, entries, &mut work.by_objective);
        }
        work.through = work.by_objective.dz.iter().sum();
        work.touched = !work.by_objective.rows.is_empty();
        if let Some(dead) = dead.filter(|dead| !dead.row(column).0.is_empty()) {
            work.touched = true;
            work.through += second.iter().sum::<f32>();
            self.locate(dead.row(column).0, self.views.last(), &mut work.at_second);
        }
        self.locate(&work.by_objective.rows, self.views.of(j), &mut work.at);
        work
    }

    /// ∂L/∂W_dec and ∂L/∂W_enc of a group; one row each for all features.
    fn gradients<'w>(
        &self,
        works: &'w [Work],
        column: usize,
        entries: &'w ByFeature,
        dots: &'w Dots,
        w_dec: &mut Strips,
        w_enc: &mut Strips,
    ) {
        let device = self.device;
        let at = |work: &'w Work| self.places(&work.by_objective.rows, &work.at);
        let decoder = |work: &'w Work| Sum { coeff: &work.by_objective.f, index: at(work) };
        let encoder = |work: &'w Work| Sum { coeff: &work.by_objective.dz, index: &work.by_objective.rows };
        if self.plan.trains_decoder() {
            let terms: Vec<Sum<'_>> = works.iter().map(decoder).collect();
            tiles::accumulate(&terms, Source::Strips(self.error), w_dec, (0, 1), Begin::Zero, device);
        }
        if self.plan.trains_encoder() {
            let terms: Vec<Sum<'_>> = works.iter().map(encoder).collect();
            tiles::accumulate(&terms, Source::Strips(self.inputs), w_enc, (0, 1), Begin::Zero, device);
        }
        if let Some(dead) = &entries.dead {
            let both = works.iter().enumerate().map(|(i, work)| {
                let (rows, z) = dead.row(column + i);
                let second = &dots.second[dead.row_start[column + i]..dead.row_start[column + i + 1]];
                (Sum { coeff: z, index: &work.at_second }, Sum { coeff: second, index: rows })
            });
            let (decoder, encoder): (Vec<Sum<'_>>, Vec<Sum<'_>>) = both.unzip();
            if self.plan.trains_decoder() {
                tiles::accumulate(&decoder, Source::Strips(self.error), w_dec, (0, 1), Begin::Out, device);
            }
            if self.plan.trains_encoder() {
                tiles::accumulate(&encoder, Source::Strips(self.inputs), w_enc, (0, 1), Begin::Out, device);
            }
        }
    }

    /// Updates the features of a task, whose gradients begin with row `first`; returns their share.
    fn update(
        &self,
        mut owned: Owned<'_>,
        works: &[Work],
        first: usize,
        w_dec: &Strips,
        w_enc: &Strips,
    ) -> Share {
        let d = self.plan.d;
        let mut share = Share { through_encoder: vec![0.0; d], penalty: 0.0 };
        let mut rows = (vec![0.0; self.plan.d_out()], vec![0.0; d]);
        for (i, work) in works.iter().enumerate() {
            share.penalty += work.by_objective.penalty;
            if let (true, Some(stamps)) = (work.by_objective.fired, &mut owned.fired_stamp) {
                self.adam.touch(&mut stamps[i]);
            }
            if work.touched {
                let weights = &owned.w_enc.p[i * d..][..d];
                self.device.axpy(-work.through, weights, &mut share.through_encoder);
                w_dec.copy_row(first + i, &mut rows.0);
                w_enc.copy_row(first + i, &mut rows.1);
                self.update_weights(&mut owned, i, work, (&mut rows.0, &rows.1));
            }
            if let Some(gradient) = work.by_objective.threshold {
                self.update_threshold(&mut owned, i, gradient);
            }
        }
        share
    }

    /// Updates the rows of feature i of a task from their gradients.
    fn update_weights(
        &self,
        owned: &mut Owned<'_>,
        i: usize,
        work: &Work,
        (g_dec, g_enc): (&mut [f32], &[f32]),
    ) {
        let device = self.device;
        let adam = self.adam.touch(&mut owned.active_stamp[i]);
        if self.plan.trains_decoder() {
            let mut w_dec = owned.w_dec.row(i, self.plan.d_out());
            let parallel = device.dot(g_dec, w_dec.p);
            device.axpy(-parallel, w_dec.p, g_dec);
            w_dec.step(g_dec, AdamStep { lr: adam.lr * self.rates.lr_decoder as f32, ..adam }, device);
            let norm = device.dot(w_dec.p, w_dec.p).sqrt();
            w_dec.p.iter_mut().for_each(|w| *w /= norm);
        }
        if self.plan.trains_encoder() {
            owned.w_enc.row(i, self.plan.d).step(g_enc, adam, device);
            let b_enc = work.by_objective.b_enc.unwrap_or(work.through);
            owned.b_enc.row(i, 1).step(&[b_enc], adam, device);
        }
        if self.plan.baseline != Some(Baseline::Random) {
            let Gradient { r_mag, b_mag, .. } = work.by_objective;
            for (slot, gradient) in [(&mut owned.r_mag, r_mag), (&mut owned.b_mag, b_mag)] {
                slot.iter_mut().for_each(|slot| slot.row(i, 1).step(&[gradient], adam, device));
            }
        }
    }

    fn update_threshold(&self, owned: &mut Owned<'_>, i: usize, gradient: f64) {
        let adam = self.adam.touch(&mut owned.window_stamp[i]);
        let Some(threshold) = &mut owned.threshold else { return };
        if self.plan.baseline == Some(Baseline::Random) {
            return;
        }
        let mut threshold = threshold.row(i, 1);
        let gradient = match self.rates.threshold {
            Threshold::Raw => gradient,
            Threshold::Log => gradient * f64::from(lapidary_kernels::elementwise::exp(threshold.p[0])),
        };
        threshold.step(&[gradient as f32], adam, self.device);
        if self.rates.threshold == Threshold::Raw {
            threshold.p[0] = threshold.p[0].max(0.0);
        }
    }
}
