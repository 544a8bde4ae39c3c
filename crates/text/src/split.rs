//! Which documents are held out, and the hash that names a set of documents.
//!
//! A document is held out iff the first 8 bytes of its blake3, as a little-endian u64, are below 2⁶⁴/8: about one in eight,
//! the same one whatever stands around it. **The documents' hash** is the blake3, in hex, of the 32-byte blake3 digests of
//! the split's documents, one after another in reading order. It knows nothing of tokenizer and context. Documents are
//! stripped first (Unicode white space at both ends) and empty ones do not count.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How plans and manifests name the rule.
pub const SPLIT_RULE: &str = "held out iff u64_le(blake3(stripped document)[0..8]) < 2^64/8";

/// A choice of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What training sees.
    #[default]
    Train,
    /// What it never sees.
    HeldOut,
    /// Every document.
    All,
}

impl Split {
    /// Does it hold the document with this hash?
    pub fn contains(self, hash: &blake3::Hash) -> bool {
        match self {
            Split::Train => !is_held_out(hash),
            Split::HeldOut => is_held_out(hash),
            Split::All => true,
        }
    }
}

/// Is the document with this hash held out?
pub fn is_held_out(hash: &blake3::Hash) -> bool {
    let first: [u8; 8] = hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes");
    u64::from_le_bytes(first) < 1 << 61
}

/// The hash that the rule reads; `document` is already stripped.
pub fn document_hash(document: &str) -> blake3::Hash {
    blake3::hash(document.as_bytes())
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::HeldOut => "held-out",
            Split::All => "all",
        })
    }
}

impl FromStr for Split {
    type Err = String;
    fn from_str(s: &str) -> Result<Split, String> {
        let all = [Split::Train, Split::HeldOut, Split::All];
        all.into_iter()
            .find(|v| v.to_string() == s)
            .ok_or(format!("expected train, held-out or all, found `{s}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// blake3 of the empty input and of "abc" as published: af1349b9f5f9a1a6… and 6437b3ac38465133….
    #[test]
    fn reads_the_first_eight_bytes_as_little_endian() {
        assert!(is_held_out(&document_hash("")) == (0xa6a1f9f5b94913af_u64 < 1 << 61));
        assert!(is_held_out(&document_hash("abc")) == (0x33514638acb33764_u64 < 1 << 61));
        let mut low = [0xff; 32];
        low[7] = 0x1f; // the highest byte of a little-endian u64
        assert!(is_held_out(&blake3::Hash::from_bytes(low)));
        low[7] = 0x20;
        assert!(!is_held_out(&blake3::Hash::from_bytes(low)));
    }

    #[test]
    fn holds_out_one_in_eight() {
        let n =
            (0..8000).filter(|i| Split::HeldOut.contains(&document_hash(&format!("document {i}")))).count();
        assert!((850..1150).contains(&n), "{n}"); // mean 1000, σ 30
        let both = |i: &i32| Split::HeldOut.contains(&document_hash(&i.to_string()));
        assert!((0..100).all(|i| both(&i) != Split::Train.contains(&document_hash(&i.to_string()))));
        assert_eq!("held-out".parse::<Split>().unwrap(), Split::HeldOut);
        assert!("test".parse::<Split>().unwrap_err().contains("found `test`"));
    }
}
