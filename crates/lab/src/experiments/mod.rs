//! One file per question. Each opens with the question in the paper's words, the method with its source, the baselines, the metric and
//! the pass line; the rest is how it is done.

pub mod missing;
pub mod quant;
pub mod transcoder;
pub mod truth;
