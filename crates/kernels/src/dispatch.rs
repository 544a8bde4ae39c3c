//! Who runs what. A [`Device`] is chosen once, by the caller, and handed to everything that computes; this file is the
//! only one that knows which kernels exist.

use crate::cpu::packed::{self, Packed};
use crate::cpu::screen::{self, Block};
use crate::cpu::{self, Lanes, gather, product, weighted};
use crate::naive::LANES;
use crate::strips::{Begin, STRIP, Terms};
use crate::{AdamStep, Csr, elementwise, naive};
use std::fmt;
use std::str::FromStr;

/// Where arithmetic runs. (A GPU will be a second variant.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// This machine's processor, by one of its instruction sets.
    Cpu(Isa),
}

/// Instruction sets, slowest first. All return the same bits; one that this processor lacks runs as `Portable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// No intrinsics: any processor.
    Portable,
    /// aarch64's baseline.
    Neon,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F and BW.
    Avx512,
}

impl Isa {
    /// Does this processor have it?
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            Isa::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => false,
        }
    }

    /// Those that this processor has, slowest first.
    pub fn available() -> Vec<Isa> {
        [Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512]
            .into_iter()
            .filter(|isa| isa.is_available())
            .collect()
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Portable => "portable",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        })
    }
}

impl FromStr for Isa {
    type Err = String;
    fn from_str(s: &str) -> Result<Isa, String> {
        let known = Isa::available();
        let names: Vec<String> = known.iter().map(Isa::to_string).collect();
        let found = known.iter().zip(&names).find(|(_, name)| *name == s).map(|(isa, _)| *isa);
        found.ok_or_else(|| {
            format!("instruction set `{s}` is not one of this machine's: {}", names.join(", "))
        })
    }
}

/// Compiles `$body` once per instruction set, with `$L` as its lanes, and calls the one that `$device` names.
macro_rules! isa {
    ($device:expr, |$L:ident| fn($($arg:ident: $ty:ty),*) $(-> $ret:ty)? $body:block) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw")]
        fn avx512($($arg: $ty),*) $(-> $ret)? {
            #[allow(dead_code)]
            type $L = $crate::cpu::avx512::Avx512;
            $body
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2($($arg: $ty),*) $(-> $ret)? {
            #[allow(dead_code)]
            type $L = $crate::cpu::avx2::Avx2;
            $body
        }
        #[cfg(target_arch = "aarch64")]
        fn neon($($arg: $ty),*) $(-> $ret)? {
            #[allow(dead_code)]
            type $L = $crate::cpu::neon::Neon;
            $body
        }
        fn portable($($arg: $ty),*) $(-> $ret)? {
            #[allow(dead_code)]
            type $L = $crate::cpu::portable::Array;
            $body
        }
        let $crate::Device::Cpu(isa) = $device;
        match isa {
            #[cfg(target_arch = "x86_64")]
            $crate::Isa::Avx512 if isa.is_available() => {
                // SAFETY: the guard has just asked the processor for these instructions.
                unsafe { avx512($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            $crate::Isa::Avx2 if isa.is_available() => {
                // SAFETY: the guard has just asked the processor for these instructions.
                unsafe { avx2($($arg),*) }
            }
            #[cfg(target_arch = "aarch64")]
            $crate::Isa::Neon => neon($($arg),*),
            _ => portable($($arg),*),
        }
    }};
}
pub(crate) use isa;

/// The same with `$P` as pairs of 16-bit integers, for the screen: once more where AVX-512 has VNNI.
macro_rules! pairs {
    ($device:expr, |$P:ident| fn($($arg:ident: $ty:ty),*) $(-> $ret:ty)? $body:block) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        fn vnni($($arg: $ty),*) $(-> $ret)? {
            type $P = cpu::avx512::Avx512Pairs<true>;
            $body
        }
        let device = $device;
        #[cfg(target_arch = "x86_64")]
        if device == Device::Cpu(Isa::Avx512) && Isa::Avx512.is_available() && is_x86_feature_detected!("avx512vnni") {
            // SAFETY: the processor has just been asked for these instructions.
            return unsafe { vnni($($arg),*) };
        }
        isa!(device, |L| fn($($arg: $ty),*) $(-> $ret)? {
            type $P = <L as Lanes>::Ints;
            $body
        })
    }};
}

impl Device {
    /// This machine's fastest.
    pub fn detect() -> Device {
        Device::Cpu(*Isa::available().last().expect("portable is always there"))
    }

    pub(crate) fn count_candidates(self, x: &[f32], d: usize, blocks: &[Block]) -> usize {
        pairs!(self, |P| fn(x: &[f32], d: usize, blocks: &[Block]) -> usize {
            // SAFETY: this function is compiled with P's instructions.
            unsafe { screen::count_candidates::<P>(x, d, blocks) }
        })
    }

    /// Does this processor multiply 16-bit integers faster than floats?
    pub(crate) fn multiplies_integers(self) -> bool {
        let Device::Cpu(isa) = self;
        matches!(isa, Isa::Avx2 | Isa::Avx512) && isa.is_available()
    }

    pub(crate) fn screen_block(self, w: &[f32], b: &[f32], lo: &[f32], d: usize) -> Block {
        pairs!(self, |P| fn(w: &[f32], b: &[f32], lo: &[f32], d: usize) -> Block {
            // SAFETY: this function is compiled with P's instructions.
            unsafe { Block::new::<P>(w, b, lo, d) }
        })
    }

    pub(crate) fn encode_panel_screened(
        self,
        x: &[f32],
        d: usize,
        w: &[f32],
        b: &[f32],
        lo: &[f32],
        blocks: &[Block],
    ) -> Csr {
        pairs!(self, |P| fn(x: &[f32], d: usize, w: &[f32], b: &[f32], lo: &[f32], blocks: &[Block]) -> Csr {
            // SAFETY: this function is compiled with P's instructions.
            unsafe { screen::encode_panel::<P>(x, d, w, b, lo, blocks) }
        })
    }

    pub(crate) fn encode_panel(self, x: &[f32], w: &[f32], b: &[f32], lo: &[f32], d: usize) -> Csr {
        isa!(self, |L| fn(x: &[f32], w: &[f32], b: &[f32], lo: &[f32], d: usize) -> Csr {
            // SAFETY: this function is compiled with L's instructions.
            unsafe { product::encode_panel::<L>(x, w, b, lo, d) }
        })
    }

    pub(crate) fn encode_packed(self, x: &[f32], d: usize, w: &Packed, b: &[f32], lo: &[f32]) -> Csr {
        isa!(self, |L| fn(x: &[f32], d: usize, w: &Packed, b: &[f32], lo: &[f32]) -> Csr {
            // SAFETY: this function is compiled with L's instructions.
            unsafe { packed::encode_panel::<L>(x, d, w, b, lo) }
        })
    }

    /// out[k] = dot(q, rows[k·stride..]); q [D], out [K]. One thread.
    pub fn dot_rows(self, q: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
        isa!(self, |L| fn(q: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
            let (d, n) = (q.len(), out.len());
            // One row of x against pairs of columns; the tile is one row high.
            // SAFETY: this function is compiled with L's instructions.
            unsafe { product::block::<L>(q, d, 1, rows, stride, n, d, out, n) }
        })
    }

    /// [`Device::dot_rows`] of several q that lie `step` apart, D ≤ `step` wide: out[r, k] = dot(q[r·step..][..d],
    /// rows[k·stride..]); q [R·step], out [R, K]. One thread.
    pub fn dot_block(self, q: &[f32], step: usize, d: usize, rows: &[f32], stride: usize, out: &mut [f32]) {
        assert!(d <= step && step > 0 && q.len().is_multiple_of(step), "dot_block: q [R·{step}]");
        isa!(self, |L| fn(q: &[f32], step: usize, d: usize, rows: &[f32], stride: usize, out: &mut [f32]) {
            let r = q.len() / step;
            let n = out.len() / r.max(1);
            // SAFETY: this function is compiled with L's instructions.
            unsafe { product::block::<L>(q, step, r, rows, stride, n, d, out, n) }
        })
    }

    /// dot(a, b), both [D].
    pub fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "dot: lengths differ");
        let mut out = [0.0];
        self.dot_rows(a, b, b.len(), &mut out);
        out[0]
    }

    /// out[r, d] = Σ_k p[r, k]·v[k·stride + d] in the order of `dot`, for `rows` rows; p [R, K], out [R, D]. One thread.
    pub fn weighted_sums(self, rows: usize, p: &[f32], v: &[f32], stride: usize, out: &mut [f32]) {
        let whole = rows > 0 && p.len().is_multiple_of(rows) && out.len().is_multiple_of(rows);
        assert!(whole, "weighted_sums: p [{rows}, K], out [{rows}, D]");
        isa!(self, |L| fn(rows: usize, p: &[f32], v: &[f32], stride: usize, out: &mut [f32]) {
            // SAFETY: this function is compiled with L's instructions.
            unsafe { weighted::weighted_sums::<L>(rows, p, v, stride, out) }
        })
    }

    /// y[d] ← a·x[d] + y[d], rounded once. One thread.
    pub fn axpy(self, a: f32, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len(), "axpy: lengths differ");
        isa!(self, |L| fn(a: f32, x: &[f32], y: &mut [f32]) {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = a.mul_add(x, *y))
        })
    }

    /// out[d] ← out[d] + Σ_k coeff[k]·rows[index[k], d], k ascending; coeff and index [K], rows [R, D], out [D]. One thread.
    pub fn accumulate(self, coeff: &[f32], index: &[u32], rows: &[f32], out: &mut [f32]) {
        assert_eq!(coeff.len(), index.len(), "accumulate: lengths differ");
        isa!(self, |L| fn(coeff: &[f32], index: &[u32], rows: &[f32], out: &mut [f32]) {
            gather::accumulate(coeff, index, rows, out)
        })
    }

    /// out[k] = dot(q, rows[index[k]]); q [D], index and out [K], rows [R, D]. One thread.
    pub fn gather_dot(self, q: &[f32], index: &[u32], rows: &[f32], out: &mut [f32]) {
        assert_eq!(out.len(), index.len(), "gather_dot: lengths differ");
        isa!(self, |L| fn(q: &[f32], index: &[u32], rows: &[f32], out: &mut [f32]) {
            // SAFETY: this function is compiled with L's instructions.
            unsafe { gather::gather_dot::<L>(q, index, rows, out) }
        })
    }

    /// [`Device::accumulate`] of many sums on one strip: out[s] ← `from` + Σ_k coeff[k]·strip[index[k]], strip [R, 64];
    /// the rows of out, 64 wide, are `step` rows apart. What comes `next`, perhaps, is brought near meanwhile. One thread.
    pub fn accumulate_strip(
        self,
        terms: &Terms,
        strip: &[f32],
        next: &[f32],
        out: &mut [f32],
        step: usize,
        from: Begin,
    ) {
        assert_eq!(
            out.len().div_ceil(step * STRIP),
            terms.end.len(),
            "accumulate_strip: a row of out for every sum"
        );
        isa!(self, |L| fn(terms: &Terms, strip: &[f32], next: &[f32], out: &mut [f32], step: usize, from: Begin) {
            // SAFETY: this function is compiled with L's instructions.
            unsafe { cpu::strips::accumulate::<L>(terms, strip, next, out, step, from) }
        })
    }

    /// The part of one strip in [`Device::gather_dot`]: adds the terms of 64 columns from `column` on to the sixteen running
    /// sums of every dot(q[s], strip[index[k]]); q [S, D], strip [R, 64], running [K, 16]. One thread.
    pub fn dot_strip(
        self,
        terms: &Terms,
        q: &[f32],
        d: usize,
        column: usize,
        strip: &[f32],
        running: &mut [[f32; LANES]],
    ) {
        assert_eq!(terms.index.len(), running.len(), "dot_strip: lengths differ");
        assert!(column < d && q.len() == terms.end.len() * d, "dot_strip: q [S, {d}]");
        isa!(self, |L| fn(terms: &Terms, q: &[f32], d: usize, column: usize, strip: &[f32], running: &mut [[f32; LANES]]) {
            // SAFETY: this function is compiled with L's instructions.
            unsafe {
                match STRIP.min(d - column).div_ceil(LANES) {
                    1 => cpu::strips::dots::<L, 1>(terms, q, d, column, strip, running),
                    2 => cpu::strips::dots::<L, 2>(terms, q, d, column, strip, running),
                    3 => cpu::strips::dots::<L, 3>(terms, q, d, column, strip, running),
                    _ => cpu::strips::dots::<L, 4>(terms, q, d, column, strip, running),
                }
            }
        })
    }

    /// out[k] = what the running sums of a dot product come to; running [K, 16]. One thread.
    pub fn finish_dots(self, running: &[[f32; LANES]], out: &mut [f32]) {
        assert_eq!(out.len(), running.len(), "finish_dots: lengths differ");
        isa!(self, |L| fn(running: &[[f32; LANES]], out: &mut [f32]) {
            out.iter_mut().zip(running).for_each(|(o, r)| *o = naive::tree(*r))
        })
    }

    /// One Adam step on a row; p, g, v are [D], and so is m; none where β₁ = 0. One thread.
    pub fn adam(self, p: &mut [f32], g: &[f32], m: Option<&mut [f32]>, v: &mut [f32], step: AdamStep) {
        assert!(p.len() == g.len() && p.len() == v.len(), "adam: lengths differ");
        assert!(m.as_ref().is_none_or(|m| m.len() == p.len()), "adam: lengths differ");
        isa!(self, |L| fn(p: &mut [f32], g: &[f32], m: Option<&mut [f32]>, v: &mut [f32], step: AdamStep) {
            naive::adam::adam(p, g, m, v, step)
        })
    }

    /// out = x / √(mean(x²) + ε), without gain; x and out [D]. One thread.
    pub fn rms_norm(self, x: &[f32], eps: f32, out: &mut [f32]) {
        assert_eq!(x.len(), out.len(), "rms_norm: lengths differ");
        isa!(self, |L| fn(x: &[f32], eps: f32, out: &mut [f32]) { elementwise::rms_norm(x, eps, out) })
    }

    /// out = (x − mean(x)) / √(var(x) + ε), without gain and bias; x and out [D]. One thread.
    pub fn centred_norm(self, x: &[f32], eps: f32, out: &mut [f32]) {
        assert_eq!(x.len(), out.len(), "centred_norm: lengths differ");
        isa!(self, |L| fn(x: &[f32], eps: f32, out: &mut [f32]) { elementwise::centred_norm(x, eps, out) })
    }

    /// In place, x [K]. One thread.
    pub fn softmax(self, x: &mut [f32]) {
        isa!(self, |L| fn(x: &mut [f32]) { elementwise::softmax(x) })
    }

    /// In place: x ← cap·tanh(x/cap). One thread.
    pub fn softcap(self, x: &mut [f32], cap: f32) {
        isa!(self, |L| fn(x: &mut [f32], cap: f32) { elementwise::softcap(x, cap) })
    }

    /// gate ← silu(gate)·up. One thread.
    pub fn silu_mul(self, gate: &mut [f32], up: &[f32]) {
        assert_eq!(gate.len(), up.len(), "silu_mul: lengths differ");
        isa!(self, |L| fn(gate: &mut [f32], up: &[f32]) { elementwise::silu_mul(gate, up) })
    }

    /// gate ← gelu_tanh(gate)·up. One thread.
    pub fn gelu_tanh_mul(self, gate: &mut [f32], up: &[f32]) {
        assert_eq!(gate.len(), up.len(), "gelu_tanh_mul: lengths differ");
        isa!(self, |L| fn(gate: &mut [f32], up: &[f32]) { elementwise::gelu_tanh_mul(gate, up) })
    }

    /// gate ← gelu(gate)·up, by the error function. One thread.
    pub fn gelu_mul(self, gate: &mut [f32], up: &[f32]) {
        assert_eq!(gate.len(), up.len(), "gelu_mul: lengths differ");
        isa!(self, |L| fn(gate: &mut [f32], up: &[f32]) { elementwise::gelu_mul(gate, up) })
    }
}
