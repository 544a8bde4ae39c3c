//! The dense product, x [N, D] with the rows of a matrix [M, D], by the way that is fastest for it: the matrix as it lies, or,
//! for many rows, a copy in another order; rows of x shared among the threads, or, where they are few, columns.
//!
//! [`Operand`] says which of the two products of docs/numerics.md §2 it is.

#[cfg(target_arch = "x86_64")]
use crate::cpu::avx512_bf16;
use crate::cpu::packed::{self, Packed};
use crate::cpu::product;
use crate::cpu::widened::{self, Order};
use crate::dispatch::isa;
use crate::{Bf16, Device, Isa};
use rayon::prelude::*;
use std::ops::Range;

/// The elements [M, D] of a matrix, row-major, and what is done with them.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// The f32 product.
    F32(&'a [f32]),
    /// The f32 product, exactly widened.
    Widened(&'a [Bf16]),
    /// The bf16 product: x is rounded to bf16, and factors below 2⁻⁵⁶ count as zero.
    Rounded(&'a [Bf16]),
    /// The bf16 product with a matrix of [factors](Bf16::is_factor) only, which can be read as it lies.
    Factors(&'a [Bf16]),
}

impl Operand<'_> {
    fn len(&self) -> usize {
        match self {
            Operand::F32(w) => w.len(),
            Operand::Widened(w) | Operand::Rounded(w) | Operand::Factors(w) => w.len(),
        }
    }

    fn part(&self, elements: Range<usize>) -> Operand<'_> {
        match self {
            Operand::F32(w) => Operand::F32(&w[elements]),
            Operand::Widened(w) => Operand::Widened(&w[elements]),
            Operand::Rounded(w) => Operand::Rounded(&w[elements]),
            Operand::Factors(w) => Operand::Factors(&w[elements]),
        }
    }

    fn is_bf16_product(&self) -> bool {
        matches!(self, Operand::Rounded(_) | Operand::Factors(_))
    }

    pub(crate) fn packed(&self, d: usize) -> Packed {
        match self {
            Operand::F32(w) => Packed::new(w, d),
            Operand::Widened(w) => Packed::widened(w, d, Order::Stored),
            Operand::Rounded(w) | Operand::Factors(w) => Packed::widened(w, d, Order::OddFirst),
        }
    }
}

/// A matrix [M, D] ready for products with many rows.
pub struct Matrix<'a> {
    w: Operand<'a>,
    d: usize,
    packed: Option<Packed>,
}

impl Matrix<'_> {
    /// M.
    pub fn outputs(&self) -> usize {
        self.w.len() / self.d
    }

    /// Are `rows` rows of x so few, and the matrix so large, that threads better share its columns?
    pub fn is_wide(&self, rows: usize) -> bool {
        self.packed.is_none() && product::is_wide(rows, self.d, self.outputs())
    }
}

/// One of several products of the same rows.
pub struct Term<'a> {
    /// W [M, D].
    pub matrix: &'a Matrix<'a>,
    /// b [M].
    pub bias: Option<&'a [f32]>,
    /// [N, M]
    pub out: &'a mut [f32],
}

impl Device {
    /// out[n, m] = dot(x[n], w[m]) + bias[m]; x [N, D], w [M, D], bias [M], out [N, M]. Rows in parallel, or, for a few
    /// rows, columns.
    pub fn linear(self, x: &[f32], w: &[f32], bias: Option<&[f32]>, d: usize, out: &mut [f32]) {
        assert!(
            d > 0 && x.len().is_multiple_of(d) && w.len().is_multiple_of(d),
            "linear: x [N, {d}], w [M, {d}]"
        );
        self.multiply(x, &self.matrix(Operand::F32(w), d, x.len() / d), bias, out);
    }

    /// Makes w [M, D] ready for products with `rows` rows in all: many pay for a copy in another order.
    pub fn matrix<'a>(self, w: Operand<'a>, d: usize, rows: usize) -> Matrix<'a> {
        assert!(d > 0 && w.len().is_multiple_of(d), "matrix: w [M, {d}]");
        let as_it_lies = w.is_bf16_product() && self.multiplies_bf16();
        let pays = packed::pays(rows) && w.len() <= packed::MAX_WHOLE && !as_it_lies;
        Matrix { w, d, packed: pays.then(|| w.packed(d)) }
    }

    /// out[n, m] = dot(x[n], w[m]) + bias[m]; x [N, D], bias [M], out [N, M]. Rows in parallel, or, for a few rows, columns.
    pub fn multiply(self, x: &[f32], matrix: &Matrix<'_>, bias: Option<&[f32]>, out: &mut [f32]) {
        check(x, matrix, bias, out);
        let (d, m_total, rows) = (matrix.d, matrix.outputs(), x.len() / matrix.d);
        if m_total == 0 {
            return;
        }
        if matrix.is_wide(rows) {
            return self.multiply_wide(x, vec![Term { matrix, bias, out }]);
        }
        let panel = matrix.packed.as_ref().map_or(product::PANEL_ROWS, |_| packed::panel_rows(rows));
        product::by_rows(x, d, panel, out, m_total, |x, out| self.linear_tile(x, matrix, bias, out));
    }

    /// Several products of a few rows x [N, D], all columns shared among the threads at once.
    pub fn multiply_wide(self, x: &[f32], terms: Vec<Term<'_>>) {
        let mut shares = Vec::new();
        for (t, term) in terms.iter().enumerate() {
            check(x, term.matrix, term.bias, term.out);
            shares.extend(product::shares(term.matrix.outputs()).map(|columns| (t, columns)));
        }
        let multiply = |(t, columns): &(usize, Range<usize>)| {
            let Term { matrix: Matrix { w, d, .. }, bias, .. } = &terms[*t];
            let mut part = vec![0.0; x.len() / d * columns.len()];
            let w = w.part(columns.start * d..columns.end * d);
            self.linear_panel(x, w, bias.map(|b| &b[columns.clone()]), *d, &mut part);
            part
        };
        let parts: Vec<Vec<f32>> = shares.par_iter().map(multiply).collect();
        let mut terms = terms;
        for ((t, columns), part) in shares.into_iter().zip(parts) {
            let Term { matrix, out, .. } = &mut terms[t];
            let rows = out.chunks_exact_mut(matrix.outputs()).zip(part.chunks_exact(columns.len()));
            rows.for_each(|(to, from)| to[columns.clone()].copy_from_slice(from));
        }
    }

    /// [`Device::multiply`] on one thread.
    pub fn linear_tile(self, x: &[f32], matrix: &Matrix<'_>, bias: Option<&[f32]>, out: &mut [f32]) {
        check(x, matrix, bias, out);
        let (w, d, m_total) = (matrix.w, matrix.d, matrix.outputs());
        match (&matrix.packed, w) {
            _ if m_total == 0 => {}
            (None, _) => self.linear_panel(x, w, bias, d, out),
            (Some(packed), w) if w.is_bf16_product() => {
                let width = Order::OddFirst.width(d);
                self.linear_packed(&self.rounded(x, d), width, packed, bias, out, m_total);
            }
            (Some(packed), _) => self.linear_packed(x, d, packed, bias, out, m_total),
        }
    }

    pub(crate) fn linear_panel(
        self,
        x: &[f32],
        operand: Operand<'_>,
        bias: Option<&[f32]>,
        d: usize,
        out: &mut [f32],
    ) {
        match operand {
            Operand::F32(w) => {
                isa!(self, |L| fn(x: &[f32], w: &[f32], bias: Option<&[f32]>, d: usize, out: &mut [f32]) {
                    // SAFETY: this function is compiled with L's instructions.
                    unsafe { product::linear_panel::<L>(x, w, bias, d, out, w.len() / d) }
                })
            }
            Operand::Widened(w) => self.linear_widened(x, w, Order::Stored, bias, d, out),
            #[cfg(target_arch = "x86_64")]
            Operand::Rounded(w) | Operand::Factors(w) if self.multiplies_bf16() => {
                let ready = matches!(operand, Operand::Factors(_));
                // SAFETY: the guard has just asked the processor for these instructions.
                unsafe { avx512_bf16::linear_panel(x, w, ready, bias, d, out) }
            }
            Operand::Rounded(w) | Operand::Factors(w) => self.linear_emulated(x, w, bias, d, out),
        }
    }

    /// The bf16 product by f32 arithmetic.
    pub(crate) fn linear_emulated(
        self,
        x: &[f32],
        w: &[Bf16],
        bias: Option<&[f32]>,
        d: usize,
        out: &mut [f32],
    ) {
        self.linear_widened(&self.rounded(x, d), w, Order::OddFirst, bias, d, out);
    }

    fn linear_widened(
        self,
        x: &[f32],
        w: &[Bf16],
        order: Order,
        bias: Option<&[f32]>,
        d: usize,
        out: &mut [f32],
    ) {
        isa!(self, |L| fn(x: &[f32], w: &[Bf16], order: Order, bias: Option<&[f32]>, d: usize, out: &mut [f32]) {
            // SAFETY: this function is compiled with L's instructions.
            unsafe { widened::linear_panel::<L>(x, w, order, bias, d, out) }
        })
    }

    pub(crate) fn rounded(self, x: &[f32], d: usize) -> Vec<f32> {
        let mut out = vec![0.0; x.len() / d * Order::OddFirst.width(d)];
        let to = &mut out[..];
        isa!(self, |L| fn(x: &[f32], d: usize, to: &mut [f32]) { widened::rounded(x, d, to) });
        out
    }

    pub(crate) fn linear_packed(
        self,
        x: &[f32],
        d: usize,
        w: &Packed,
        bias: Option<&[f32]>,
        out: &mut [f32],
        m: usize,
    ) {
        isa!(self, |L| fn(x: &[f32], d: usize, w: &Packed, bias: Option<&[f32]>, out: &mut [f32], m: usize) {
            // SAFETY: this function is compiled with L's instructions.
            unsafe { packed::linear_panel::<L>(x, d, w, bias, out, m) }
        })
    }

    /// Does this processor multiply pairs of bf16 in one instruction? (A property beside AVX-512, not an instruction set: the
    /// bits are the same.)
    pub fn multiplies_bf16(self) -> bool {
        let Device::Cpu(isa) = self;
        #[cfg(target_arch = "x86_64")]
        let has = is_x86_feature_detected!("avx512bf16");
        #[cfg(not(target_arch = "x86_64"))]
        let has = false;
        has && isa == Isa::Avx512 && isa.is_available()
    }
}

fn check(x: &[f32], matrix: &Matrix<'_>, bias: Option<&[f32]>, out: &[f32]) {
    let (d, m_total) = (matrix.d, matrix.outputs());
    assert!(x.len().is_multiple_of(d), "linear: x [N, {d}]");
    assert_eq!(out.len(), x.len() / d * m_total, "linear: out [N, M]");
    assert!(bias.is_none_or(|b| b.len() == m_total), "linear: bias [M]");
}
