//! What can go wrong between a folder and activations: cause, what was found, next step.

use lapidary_files::FileError;
use std::path::PathBuf;

/// A model or a request cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// A file could not be read or is not what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// The model folder is not there.
    #[error("{path}: no such folder; {next}")]
    NoFolder {
        /// What was given.
        path: PathBuf,
        /// What to do next.
        next: String,
    },
    /// `config.json` says something that cannot be followed.
    #[error("{path}: `{key}`: {problem}; {next}")]
    Config {
        /// The file.
        path: PathBuf,
        /// The key, with its parents.
        key: String,
        /// Expected and found.
        problem: String,
        /// What to do next.
        next: String,
    },
    /// `config.json` has keys that nobody here knows.
    #[error(
        "{path}: unknown keys that may change what the model computes: {found}; if they do not, add \
         `--ignore-config-keys {}`, else this model is not supported",
        .keys.join(",")
    )]
    UnknownKeys {
        /// The file.
        path: PathBuf,
        /// The keys, with their parents.
        keys: Vec<String>,
        /// The same with their values.
        found: String,
    },
    /// A folder with a config but no weights in any format.
    #[error(
        "{path}: expected model.safetensors or model.safetensors.index.json in it, found neither; fetch the model's weights"
    )]
    NoWeights {
        /// The folder.
        path: PathBuf,
    },
    /// A family of models that no file in `family/` describes.
    #[error("{path}: model family `{found}` is not supported; supported: {supported}")]
    Family {
        /// The file.
        path: PathBuf,
        /// `model_type` as written.
        found: String,
        /// All known families.
        supported: String,
    },
    /// No such site in this model.
    #[error("unknown site `{found}`: {next}")]
    Site {
        /// As written.
        found: String,
        /// The nearest name.
        next: String,
    },
    /// More tokens than the model has positions.
    #[error("the sequence has {found} tokens but the model's context is {context}; give a shorter text")]
    TooLong {
        /// Tokens in the sequence.
        found: usize,
        /// Positions of the model.
        context: usize,
    },
    /// No tokens at all.
    #[error("the sequence has no tokens; give a text or token ids")]
    NoTokens,
    /// A token id that the model does not have.
    #[error("token id {token} is outside the model's vocabulary of {vocab}; ids go from 0 to {}", vocab - 1)]
    Token {
        /// The id.
        token: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// A sampling parameter outside its range.
    #[error("{name} {found} is not possible; give {expected}")]
    Sampling {
        /// The parameter.
        name: &'static str,
        /// Its value.
        found: f64,
        /// Its range.
        expected: &'static str,
    },
}
