//! Text → documents → pieces of tokens → windows (docs/numerics.md §1).
//!
//! `read.rs` finds documents (`format.rs` knows what is not plain text), `split.rs` says which are held out and what their hash
//! is, `tokenizer.rs` wraps the `tokenizers` crate (`cuts.rs` cuts long documents for it, `panics.rs` catches its panics, `gguf.rs`
//! makes a GGUF file's tokenizer one of its),
//! `corpus.rs` cuts windows; `stream.rs` goes back, from ids that come one by one to text. Attention never crosses documents: a
//! window has tokens of one only.

#![forbid(unsafe_code)]

mod corpus;
mod cuts;
mod error;
mod format;
mod gguf;
mod panics;
mod read;
mod split;
mod stream;
mod tokenizer;

pub use corpus::{Corpus, DEFAULT_CONTEXT, Window, resolve_context};
pub use error::TextError;
pub use read::read_text;
pub use split::{SPLIT_RULE, SPLIT_RULE_OF_TWO, Split, document_hash, is_held_out};
pub use stream::{TextStream, continuation};
pub use tokenizer::Tokenizer;
