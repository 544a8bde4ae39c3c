//! A language whose truth is known: a seeded grammar writes documents in plain English (and two artificial languages), and every
//! token carries the values of the variables that made it.
//!
//! Reading order: [`lexicon`] and [`facts`] (what there is), [`latents`] (what can be true of a token), [`trace`] (draws and
//! words), [`document`] and [`segments`] (the grammar), [`text`] (documents by number), [`oracle`] (the exact next-word
//! distribution, and the parser), [`counterfactual`] (minimal pairs). [`planted`] is something else: rows with a known
//! dictionary, without any language.
#![forbid(unsafe_code)]

pub mod counterfactual;
pub mod document;
pub mod facts;
pub mod latents;
pub mod lexicon;
pub mod oracle;
pub mod planted;
pub mod segments;
pub mod text;
pub mod trace;

pub use counterfactual::{Pair, PairLine};
pub use document::{Config, DOMAINS, Domain, Policy, Split};
pub use latents::{Kind, Latent, VARIABLES, Var};
pub use lexicon::{LEXICON, Word};
pub use oracle::{Oracle, Parsed, parse};
pub use segments::{Segment, Task};
pub use text::{CORPUS_VERSION, Corpus, Sample, read, render, tokenizer_json};
pub use trace::{Choice, Mark, Swap};
