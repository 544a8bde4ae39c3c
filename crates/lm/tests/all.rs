//! Language models against goldens, each other and bad input: one test program, which is linked once.

mod cases;
mod gguf;
mod golden;
mod invariance;
mod refusals;
mod stories;
