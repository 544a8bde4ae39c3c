//! What plans, stores and scores say of a model and of a text: content, never place.

use serde::{Deserialize, Serialize};

/// A model by name and content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Name of its folder.
    pub name: String,
    /// See [`crate::Opened::hash`].
    pub hash: String,
}

impl std::fmt::Display for ModelIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:.12})", self.name, self.hash)
    }
}

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
