//! Which documents are trained on, which choose constants, which are held out, and the hash that names a set of documents.
//!
//! With u the first 8 bytes of a document's blake3 as a little-endian u64: it is held out iff u < 2⁶⁴/8, of the validation
//! split iff 2⁶⁴/8 ≤ u < 2⁶⁴/4, else trained on. So each of the first two has about one document in eight, the same one whatever
//! stands around it. Until there was a validation split, training saw its documents too: [`Split::NotHeldOut`] are those of plans
//! with the rule of then. **The documents' hash** is the blake3, in hex, of the 32-byte blake3 digests of
//! the split's documents, one after another in reading order. It knows nothing of tokenizer and context. Documents are
//! stripped first (Unicode white space at both ends) and empty ones do not count.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How plans and manifests name the rule.
pub const SPLIT_RULE: &str = "with u = u64_le(blake3(stripped document)[0..8]): held out iff u < 2^64/8, else validation iff u < 2^64/4, else train";

/// The rule before there was a validation split.
pub const SPLIT_RULE_OF_TWO: &str = "held out iff u64_le(blake3(stripped document)[0..8]) < 2^64/8";

/// A choice of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What training sees.
    #[default]
    Train,
    /// What constants are chosen on; neither trained on nor reported.
    Validation,
    /// What is reported; nothing else sees it.
    HeldOut,
    /// What training saw before there was a validation split: that and today's training split.
    NotHeldOut,
    /// Every document.
    All,
}

const ALL: [Split; 5] = [Split::Train, Split::Validation, Split::HeldOut, Split::NotHeldOut, Split::All];

impl Split {
    /// Does it hold the document with this hash?
    pub fn contains(self, hash: &blake3::Hash) -> bool {
        let u = first(hash);
        match self {
            Split::Train => u >= 1 << 62,
            Split::Validation => (1 << 61..1 << 62).contains(&u),
            Split::HeldOut => u < 1 << 61,
            Split::NotHeldOut => u >= 1 << 61,
            Split::All => true,
        }
    }

    /// What was trained on where this rule divided; none if no version had it.
    pub fn trained_by(rule: &str) -> Option<Split> {
        match rule {
            SPLIT_RULE => Some(Split::Train),
            SPLIT_RULE_OF_TWO => Some(Split::NotHeldOut),
            _ => None,
        }
    }

    /// The rule that makes this split.
    pub fn rule(self) -> &'static str {
        if self == Split::NotHeldOut { SPLIT_RULE_OF_TWO } else { SPLIT_RULE }
    }
}

/// u of a document with this hash.
fn first(hash: &blake3::Hash) -> u64 {
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
}

/// Is the document with this hash held out?
pub fn is_held_out(hash: &blake3::Hash) -> bool {
    Split::HeldOut.contains(hash)
}

/// The hash that the rule reads; `document` is already stripped.
pub fn document_hash(document: &str) -> blake3::Hash {
    blake3::hash(document.as_bytes())
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::HeldOut => "held-out",
            Split::NotHeldOut => "not-held-out",
            Split::All => "all",
        })
    }
}

impl FromStr for Split {
    type Err = String;
    fn from_str(s: &str) -> Result<Split, String> {
        let found = ALL.into_iter().find(|v| v.to_string() == s);
        found.ok_or(format!("expected train, validation, held-out, not-held-out or all, found `{s}`"))
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
        assert!(ALL.into_iter().all(|split| split.to_string().parse() == Ok(split)));
        assert!("test".parse::<Split>().unwrap_err().contains("found `test`"));
    }

    /// A document is of one of the three; the borders are 2⁶¹ and 2⁶².
    #[test]
    fn validation_is_the_next_eighth() {
        let at = |u: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&u.to_le_bytes());
            let of = |split: &Split| split.contains(&blake3::Hash::from_bytes(bytes));
            ALL.into_iter().filter(of).collect::<Vec<_>>()
        };
        use Split::*;
        assert_eq!(at((1 << 61) - 1), [HeldOut, All]);
        assert_eq!(at(1 << 61), [Validation, NotHeldOut, All]);
        assert_eq!(at((1 << 62) - 1), [Validation, NotHeldOut, All]);
        assert_eq!(at(1 << 62), [Train, NotHeldOut, All]);
        for split in [Train, NotHeldOut] {
            assert_eq!(Split::trained_by(split.rule()), Some(split));
        }
        assert_eq!(Split::trained_by("by date"), None);
    }
}
