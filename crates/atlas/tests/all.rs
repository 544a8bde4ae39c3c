//! An atlas, built, asked and read byte by byte: one test program, which is linked once.

mod atlas;
mod bytes;
mod common;
mod contexts;
