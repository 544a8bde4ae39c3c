//! Statistics over plain numbers: bootstrap intervals, percentiles, histograms.
//!
//! Everything is a function of slices and, where something is random, of a seed: the same arguments give the same bits.
//! Nothing here knows what the numbers measure. Probes, PCA and permutation nulls come with the issues that need them.
#![forbid(unsafe_code)]

pub mod bootstrap;
pub mod histogram;
pub mod percentile;

pub use bootstrap::{Interval, NoInterval, bootstrap};
pub use histogram::LogHistogram;
