#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod architecture;
mod convert;
mod dictionary;
pub mod encode_file;
mod error;
mod fold;
pub mod gemma_scope;
pub mod hooks;
mod layout;
mod load;
mod meta;
mod npy;
pub mod sae_lens;
mod setting;
mod sites;
mod verify;

pub use convert::{Conversion, DICTIONARY};
pub use dictionary::{Activation, Dictionary, Encoder, LEAST_SCALE, naive};
pub use error::DictionaryError;
pub use fold::{Units, fold, unfold, unscale_embedding};
pub use gemma_scope::{read_npz, write_npz};
pub use load::load;
pub use meta::{Baseline, FORMAT_VERSION, Meta, ModelRef, Probe, Training};
pub use sae_lens::{load_sae_lens, save_sae_lens};
pub use setting::Setting;
pub use sites::{Sites, sites};
pub use verify::{Check, verify};
