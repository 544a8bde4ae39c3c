//! What plans and scores say of a text: content, never place.

use serde::{Deserialize, Serialize};

/// A text by content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextIdentity {
    /// Tokens per window, BOS included.
    pub context: usize,
    /// Which documents are held out.
    pub split: String,
    /// blake3 over the training documents.
    pub hash: String,
    /// Training documents.
    pub documents: usize,
}
