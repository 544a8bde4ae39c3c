//! blake3, in hex: the identity of data, plans and files.

use crate::FileError;
use std::fs::File;
use std::path::Path;

/// blake3 of `bytes` in lower-case hex, 64 characters.
pub fn bytes(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// blake3 of a file, streamed.
pub fn file(path: &Path) -> Result<String, FileError> {
    let mut hasher = blake3::Hasher::new();
    let source = File::open(path).map_err(FileError::io(path, "read"))?;
    hasher.update_reader(source).map_err(FileError::io(path, "read"))?;
    Ok(hasher.finalize().to_hex().to_string())
}
