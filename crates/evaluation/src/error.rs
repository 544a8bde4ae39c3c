//! What can be wrong with a request to evaluate; each says what was expected, what was found and what to do.

use lapidary_lm::{LmError, Site};

/// Why nothing was evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// No dictionary was given.
    #[error("expected at least one dictionary to evaluate, found none: name a run or a dictionary folder")]
    NoSubjects,
    /// The windows have no position that counts.
    #[error(
        "expected held-out text with ordinary tokens, found {windows} windows without a single one: give more text (one \
         document in eight is held out)"
    )]
    NoRows {
        /// How many windows there were.
        windows: usize,
    },
    /// The model has no such place.
    #[error(
        "{name}: expected a site of a model with {layers} layers, found {site}: was it trained on another model?"
    )]
    Site {
        /// The subject.
        name: String,
        /// Its site.
        site: Site,
        /// L of the model.
        layers: usize,
    },
    /// Dictionary and site differ in width.
    #[error(
        "{name}: expected a dictionary that {verb} {width} numbers, the width of {site}, found one that {verb} {found}: \
         was it trained on another model or site?"
    )]
    Width {
        /// The subject.
        name: String,
        /// `reads` or `writes`.
        verb: &'static str,
        /// Where.
        site: Site,
        /// The site's width in this model.
        width: usize,
        /// The dictionary's.
        found: usize,
    },
    /// The model cannot read a window.
    #[error("document {document}, token {position}: {source}")]
    Window {
        /// The window's document.
        document: u32,
        /// Position of its first token in the document.
        position: u32,
        /// What the model says.
        source: LmError,
    },
    /// The truth is of another text.
    #[error(
        "truth: expected one row for each of the text's {text} ordinary tokens, found {truth}: make truth and windows of \
         the same text, with the same context and tokenizer"
    )]
    TruthRows {
        /// Rows of the truth.
        truth: usize,
        /// Rows of the text.
        text: usize,
    },
    /// The same, found at a token.
    #[error(
        "truth: expected token {truth} at row {row}, found {text} in the text: make truth and windows of the same text, \
         with the same context and tokenizer"
    )]
    TruthToken {
        /// The first row that differs.
        row: usize,
        /// Its token in the truth.
        truth: u32,
        /// Its token in the text.
        text: u32,
    },
}
