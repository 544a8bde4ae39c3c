//! Arithmetic on slices: everything that Lapidary multiplies, adds or squashes goes through here.
//!
//! Three rooms. `naive/` is the definition, written for reading: one dot product of sixteen running sums (docs/numerics.md §2),
//! and what is built on it. `cpu/` is the same arithmetic, fast: one generic tile over a small `Lanes` trait with an
//! instance per instruction set. `dispatch.rs` is the door, a [`Device`] an argument of whoever computes; `linear.rs` and `encoder.rs`
//! choose among the ways to multiply and to encode.
//!
//! Every product is **batch-invariant** and **bitwise defined**: a value never depends on the tile, the batch, the thread
//! count or the instruction set that computed it. The property tests in `tests.rs` compare bits, not tolerances.
//!
//! Dimension key: `N` rows, `D` width, `M`/`F` outputs. Arrays are row-major slices; sizes are asserted at the mouth.
//! This is the only crate with `unsafe`. It knows no file, no model and no dictionary.

mod bf16;
mod cpu;
mod dispatch;
pub mod elementwise;
mod encoder;
mod huge_pages;
mod linear;
pub mod naive;
mod sparse;
pub mod strips;

pub use bf16::Bf16;
pub use dispatch::{Device, Isa};
pub use encoder::{Encoder, copy_bytes};
pub use huge_pages::HugePages;
pub use linear::{Matrix, Operand, Term};
pub use naive::adam::AdamStep;
pub use sparse::Csr;
pub use strips::{STRIP, Strips, Terms};

#[cfg(test)]
mod tests;
