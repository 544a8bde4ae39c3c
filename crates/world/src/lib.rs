//! A language whose truth is known: a seeded grammar writes documents in plain English (and two artificial languages), and every
//! token carries the values of the variables that made it.
//!
//! Reading order: [`lexicon`] and [`facts`] (what there is), [`kinds`] and [`variables`] (what can be true of a token), [`trace`]
//! (draws and words), [`document`] (what a text remembers), `segments` and `grammar` (what writes it), [`text`] (documents by
//! number), [`oracle`] (the exact next-word distribution, and the parser), [`counterfactual`] (minimal pairs). No file knows one
//! that comes after it. [`planted`] is something else: rows with a known dictionary, without any language.
//!
//! Nothing here knows another crate of ours, a file or a clock: everything is a function of seeds and numbers.
#![forbid(unsafe_code)]

pub mod counterfactual;
pub mod document;
pub mod facts;
mod grammar;
pub mod kinds;
pub mod lexicon;
pub mod oracle;
pub mod planted;
mod segments;
pub mod text;
pub mod trace;
pub mod variables;

pub use counterfactual::{Pair, PairLine};
pub use document::Config;
pub use kinds::{Domain, Kind, Policy, Segment, Split, Task};
pub use lexicon::{LEXICON, Word};
pub use oracle::{Oracle, Parsed, parse};
pub use text::{CORPUS_VERSION, Corpus, Sample, read, render, tokenizer_json};
pub use trace::{Choice, Mark, Swap};
pub use variables::{FIRST_LEXEME, Var, Variable};
