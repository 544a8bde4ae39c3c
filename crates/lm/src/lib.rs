//! Tokens → activations: one decoder for all families, described by a [`Spec`], with taps.
//!
//! - [`site`]: names of the places that a tap can read or replace, `3.res`; `hooks`: what others call them.
//! - [`spec`]: everything about a model that is not a weight. `family/` maps each family's config and tensor names to it.
//! - [`folder`]: a folder's config and tensor headers, before any weight; `checkpoint` is its files, `instead` what else may be there;
//!   `gguf` is the same of a GGUF file.
//! - [`values`], [`weights`]: matrices as they are held, f32 or bf16; a model's, in the orientation `[out, in]`.
//! - `decoder`, `attention`, `rope`: the layer, one code path for prefill and for decoding with a cache.
//! - [`model`]: a model, a batch, a cache. `forward`: run with taps, unembed, cross-entropy. [`generate`]: sampling with a cache.
//! - `randomised`: the control model, with every matrix drawn anew.
//!
//! Numbers follow Hugging Face transformers (f32, eager attention). A window's activations are bitwise the same alone
//! and in any batch, for any number of threads. This crate knows no dictionary: it offers taps and knows no tapper.
//!
//! Dimension key: `N` tokens of a batch, `D` d_model, `H` heads, `G` key/value heads, `A` width of a head, `M` width of
//! the MLP, `V` vocabulary, `L` layers.

#![forbid(unsafe_code)]

mod attention;
mod checkpoint;
mod config;
mod decoder;
mod effects;
mod error;
mod family;
pub mod folder;
mod forward;
pub mod generate;
mod gguf;
mod gguf_config;
mod harmless;
mod hooks;
mod instead;
pub mod model;
mod randomised;
mod rope;
mod rope_config;
pub mod site;
pub mod spec;
pub mod values;
pub mod weights;

pub use error::LmError;
pub use folder::{ModelFolder, load_spec};
pub use generate::{Sampling, Stretch};
pub use model::{Batch, Cache, Model};
pub use site::{Site, SiteKind};
pub use spec::{Family, Spec};
pub use values::{Precision, Values};
