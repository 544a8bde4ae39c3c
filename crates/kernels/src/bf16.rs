//! bf16: the upper half of an f32, with its exponent and eight bits of precision. A matrix of these takes half the memory.

use crate::naive::bf16::factor;

/// A number by its sixteen bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

impl Bf16 {
    /// The nearest, of two as near the even one; what is too large becomes infinite, NaN stays NaN.
    #[inline(always)]
    pub fn round(v: f32) -> Bf16 {
        let bits = v.to_bits();
        let up = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        let nan = bits >> 16 | 0x40; // a payload in the lower half must not become infinity
        Bf16(if v.is_nan() { nan } else { up } as u16)
    }

    /// The same number; exact.
    #[inline(always)]
    pub fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// The same number if it is one of these.
    pub fn exactly(v: f32) -> Option<Bf16> {
        let bits = v.to_bits();
        (bits & 0xffff == 0).then_some(Bf16((bits >> 16) as u16))
    }

    /// Does the bf16 product take it as it is: is it a zero, or not below 2⁻⁵⁶ (docs/numerics.md §2)?
    #[inline(always)]
    pub fn is_factor(self) -> bool {
        self.0 & 0x7fff == 0 || factor(self) == self
    }
}
