//! Statistics over plain numbers: bootstrap intervals, paired differences, percentiles, histograms, assignment, AUROC, ridge regression, PCA.
//!
//! Everything is a function of slices and, where something is random, of a seed: the same arguments give the same bits.
//! Nothing here knows what the numbers measure.
#![forbid(unsafe_code)]

pub mod assignment;
pub mod auroc;
pub mod bootstrap;
pub mod histogram;
pub mod paired;
pub mod pca;
pub mod percentile;
pub mod ridge;

pub use assignment::assignment;
pub use auroc::auroc;
pub use bootstrap::{Interval, NoInterval, bootstrap};
pub use histogram::LogHistogram;
pub use paired::{Difference, paired};
pub use ridge::Ridge;
