//! The product of `naive/`, fast. One algorithm over the small trait [`Lanes`] (the sixteen running sums of docs/numerics.md §2),
//! one instance per instruction set; `isa!` in `dispatch.rs` compiles the algorithm once for each of them.
//!
//! Both operands of every product are rows with the summed dimension contiguous. `product.rs` takes them as they are: a tile
//! of 3 × 2 dot products keeps its 96 running sums in registers. `packed.rs` transposes w first, which pays where there are
//! many rows that are not wide: a tile of 6 × 16 keeps one running sum of each output in registers. Both tiles are twice as
//! high where there are 32 wide registers. `screen.rs` finds by 16-bit integers (the trait [`Pairs`]) what need not be
//! multiplied exactly, where integers are faster; their product is in `strassen.rs`. `widened.rs` is for matrices of bf16, and the
//! product of bf16 where `avx512_bf16.rs` does not run.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512_bf16;
pub(crate) mod gather;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod packed;
pub(crate) mod portable;
pub(crate) mod product;
pub(crate) mod screen;
pub(crate) mod strassen;
pub(crate) mod strips;
pub(crate) mod weighted;
pub(crate) mod widened;

/// Bytes between what is read of a matrix and what is asked for meanwhile: over the next page, whose address takes long to find.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 4096;

/// Asks for what lies [`AHEAD`] of `p`; a matrix that streams past once is read faster so.
#[inline(always)]
pub(crate) fn prefetch<T>(p: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has this instruction, and it reads nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
            p.wrapping_byte_add(AHEAD).cast(),
        )
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// The sixteen running sums of one dot product.
///
/// # Safety
/// Every method requires that the processor has the instance's instructions, and `load`s require that the floats they are
/// asked for are readable at `p`.
pub(crate) trait Lanes: Copy {
    /// The integers of the same processor.
    type Ints: Pairs<Floats = Self>;
    /// So many of them stay in registers; the height of a tile follows.
    const IN_REGISTERS: usize = 8;
    unsafe fn zero() -> Self;
    /// Sixteen floats at `p`.
    unsafe fn load(p: *const f32) -> Self;
    /// `n` < 16 floats at `p`, then zeros.
    unsafe fn load_tail(p: *const f32, n: usize) -> Self;
    /// self + a·b, each lane rounded once.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// The fixed tree over each of two dot products.
    unsafe fn tree2(a: Self, b: Self) -> (f32, f32);
    /// `v` sixteen times.
    unsafe fn splat(v: f32) -> Self;
    /// self + other, lane by lane.
    unsafe fn add(self, other: Self) -> Self;
    /// Sixteen floats to `p`.
    unsafe fn store(self, p: *mut f32);
    /// Bit l is set iff !(self[l] <= lo[l]): larger, or not a number.
    unsafe fn not_below(self, lo: Self) -> u32;
}

/// Sixteen 32-bit sums of products of 16-bit integers, or sixteen pairs of 16-bit integers.
///
/// # Safety
/// Every method requires that the processor has the instance's instructions.
pub(crate) trait Pairs: Copy {
    /// The floats of the same processor.
    type Floats: Lanes;
    /// Are a multiplication and its addition one instruction?
    const FUSED: bool;
    unsafe fn zero() -> Self;
    /// Sixteen pairs of integers (or sixteen sums, of the same size) at `p`, which must be readable.
    unsafe fn load(p: *const i16) -> Self;
    /// Sixteen sums to `p`, which must be writable.
    unsafe fn store(self, p: *mut i32);
    /// Asks for the line of the cache at `p`, which need not be readable.
    unsafe fn prefetch(p: *const i16);
    /// One sum, or one pair with its first integer in the low half, sixteen times.
    unsafe fn splat(pair: i32) -> Self;
    /// Sums, lane by lane; wraps.
    unsafe fn add(self, other: Self) -> Self;
    /// Differences of sums, lane by lane; wraps.
    unsafe fn sub(self, other: Self) -> Self;
    /// self + a·b over both halves of the pairs, lane by lane; wraps.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// self + (a[0] + b[1])·(a[1] + b[0]) over both halves of the pairs a and b, lane by lane; wraps.
    unsafe fn add_crossed(self, a: [Self; 2], b: [Self; 2]) -> Self;
    /// Rounded to floats.
    unsafe fn floats(self) -> Self::Floats;
}
