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
    /// How a model's products are computed, where that is not f32: `bf16`. Such a model's rows are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
}

/// `NAME (HASH)`, or `NAME in bf16 (HASH)`, the hash in short.
impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let precision = self.precision.iter().map(|precision| format!(" in {precision}")).collect::<String>();
        write!(f, "{}{precision} ({:.12})", self.name, self.hash)
    }
}
