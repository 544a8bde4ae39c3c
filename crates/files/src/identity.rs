//! What plans, stores and scores say of a thing that they were made of: a name for people, and its content.

use serde::{Deserialize, Serialize};

/// A thing by name and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// For people.
    pub name: String,
    /// blake3 of its bytes, hex.
    pub hash: String,
}

/// `NAME (HASH)`, the hash in short.
impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:.12})", self.name, self.hash)
    }
}
