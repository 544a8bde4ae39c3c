//! One tensor in training: its values, and the moments that Adam keeps of each. Tasks own parts of it.

use lapidary_kernels::{AdamStep, Device};
use std::ops::Range;

/// A tensor with its moments, all of one length.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// What is trained.
    pub p: Vec<f32>,
    /// First moments; none where β₁ = 0.
    pub m: Option<Vec<f32>>,
    /// Second moments.
    pub v: Vec<f32>,
}

impl Slot {
    /// Before the first step: moments are 0.
    pub fn new(p: Vec<f32>, beta1: f64) -> Slot {
        let zeros = || vec![0.0; p.len()];
        Slot { m: (beta1 > 0.0).then(zeros), v: zeros(), p }
    }

    /// The whole tensor.
    pub(crate) fn whole(&mut self) -> Part<'_> {
        Part { p: &mut self.p, m: self.m.as_deref_mut(), v: &mut self.v }
    }

    /// The rows of `range`, each `width` numbers, in parts of `size` rows.
    pub(crate) fn parts(
        &mut self,
        range: &Range<usize>,
        size: usize,
        width: usize,
    ) -> impl Iterator<Item = Part<'_>> + use<'_> {
        let mut m = self.m.as_mut().map(|m| parts(m, range, size, width));
        let (p, v) = (parts(&mut self.p, range, size, width), parts(&mut self.v, range, size, width));
        p.zip(v).map(move |(p, v)| Part { p, m: m.as_mut().and_then(Iterator::next), v })
    }
}

impl AsRef<[f32]> for Slot {
    /// What is trained.
    fn as_ref(&self) -> &[f32] {
        &self.p
    }
}

/// The rows of `range` in `values` [_, width], in parts of `size` rows.
pub(crate) fn parts<'a, T>(
    values: &'a mut [T],
    range: &Range<usize>,
    size: usize,
    width: usize,
) -> impl Iterator<Item = &'a mut [T]> + use<'a, T> {
    values[range.start * width..range.end * width].chunks_mut(size * width)
}

/// Some rows of a slot.
pub(crate) struct Part<'a> {
    pub p: &'a mut [f32],
    m: Option<&'a mut [f32]>,
    v: &'a mut [f32],
}

impl Part<'_> {
    /// Row `i`.
    pub(crate) fn row(&mut self, i: usize, width: usize) -> Part<'_> {
        let span = i * width..(i + 1) * width;
        let m = self.m.as_deref_mut().map(|m| &mut m[span.clone()]);
        Part { p: &mut self.p[span.clone()], m, v: &mut self.v[span] }
    }

    /// One step of Adam.
    pub(crate) fn step(&mut self, gradient: &[f32], adam: AdamStep, device: Device) {
        device.adam(self.p, gradient, self.m.as_deref_mut(), self.v, adam);
    }
}
