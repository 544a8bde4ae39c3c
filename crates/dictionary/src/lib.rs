#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod dictionary;
mod fold;

pub use dictionary::{Dictionary, naive};
pub use fold::{Units, fold, unscale_embedding};
