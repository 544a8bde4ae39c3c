//! GGUF, the format in which llama.cpp keeps a model with its tokenizer in one file, read without trust.
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//!
//! - [`file`](GgufFile): the container: metadata by key, tensors by name; nothing is allocated on the word of a count, a length
//!   or an offset that the file's length does not support.
//! - `cursor`: the header's numbers, texts and lists, one after another. [`Value`]: what metadata can be.
//! - [`TensorType`]: how a tensor's elements are stored; `blocks`: each quantised block → f32.
//!
//! Knows neither models nor tokenizers: what the keys mean is the business of those who ask for them.

#![forbid(unsafe_code)]

mod blocks;
mod cursor;
mod file;
mod tensor_type;
mod value;

pub use file::{GgufFile, TensorInfo, is_gguf};
pub use tensor_type::TensorType;
pub use value::Value;
