//! Scores by hand, by PyTorch and by a known truth: one test program, which is linked once.

mod by_hand;
mod golden;
mod stories;
mod truth;
