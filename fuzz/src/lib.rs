//! Every reader of bytes that other people wrote, as a function of bytes: whatever they are, it returns.
//!
//! `make fuzz` feeds them to `cargo fuzz` (`cargo-fuzz/` holds its manifest, which needs a nightly toolchain);
//! `tests/replay.rs` runs all of `corpus/READER/` through them on every `cargo test`. An input that made a reader panic or
//! allocate without bound is kept in `corpus/` under a name that says what it found.
//!
//! A reader that takes two files gets them in one input: the length of the first (u16, little endian), the first, the second.
#![forbid(unsafe_code)]

mod readers;
pub mod seeds;

pub use readers::{READERS, Reader, read};
