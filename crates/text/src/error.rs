//! What can go wrong between files of text and windows of tokens: cause, what was found, next step.

use crate::Split;
use lapidary_files::FileError;
use lapidary_lm::LmError;
use std::path::PathBuf;

/// A tokenizer or a text cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A file could not be read or is not what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tokens are not the model's.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// `tokenizer.json` cannot be used.
    #[error("{path}: {problem}; {next}")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        problem: String,
        /// What to do next.
        next: &'static str,
    },
    /// A window length that the model does not have, or that holds no piece.
    #[error("context {asked} is not possible: the model has {model} positions; give {least} to {model}")]
    Context {
        /// What was asked for.
        asked: usize,
        /// BOS and the shortest piece.
        least: usize,
        /// Positions of the model.
        model: usize,
    },
    /// No window in the chosen split of the text.
    #[error(
        "{paths}: expected text with tokens, found {read} documents, {documents} of them in the {split} split, \
         and no piece of 2 tokens; {next}"
    )]
    NoText {
        /// Files and folders that were read.
        paths: String,
        /// The split.
        split: Split,
        /// Documents that were read.
        read: u32,
        /// Those in the split.
        documents: usize,
        /// What to do next.
        next: &'static str,
    },
}
