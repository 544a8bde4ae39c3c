//! A file of many records, each found by its number: magic and the hash of what it was made of, the records, their offsets, their
//! number, magic. It is published whole; a record is read by position, so that an open atlas holds none of them.

use crate::AtlasError;
use crate::error::damaged;
use lapidary_files::{FileError, publish_with};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"LAPATLS1";
/// Magic, and a blake3 in hex.
const HEAD: u64 = 8 + 64;
/// The number of records, and magic.
const FOOT: u64 = 8 + 8;

/// Publishes the records that are given, made of inputs with this hash (64 letters).
///
/// # Errors
/// The file cannot be written.
pub fn write<T: Serialize>(
    path: &Path,
    key: &str,
    records: impl Iterator<Item = T>,
) -> Result<(), AtlasError> {
    assert_eq!(key.len(), 64, "a blake3 in hex");
    publish_with(path, |out| {
        let mut offsets = vec![HEAD];
        out.write_all(MAGIC)?;
        out.write_all(key.as_bytes())?;
        for record in records {
            let bytes = postcard::to_allocvec(&record).expect("plain data");
            out.write_all(&bytes)?;
            offsets.push(offsets[offsets.len() - 1] + bytes.len() as u64);
        }
        offsets.iter().try_for_each(|offset| out.write_all(&offset.to_le_bytes()))?;
        out.write_all(&(offsets.len() as u64 - 1).to_le_bytes())?;
        out.write_all(MAGIC)
    })?;
    Ok(())
}

/// An open file of records.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    file: File,
    /// Of what it was made.
    pub key: String,
    /// Number of records.
    pub len: u64,
    /// Where the offsets begin.
    offsets: u64,
}

impl Shard {
    /// Opens a file of records.
    ///
    /// # Errors
    /// It cannot be read, or is not whole.
    pub fn open(path: &Path) -> Result<Shard, AtlasError> {
        let file = File::open(path).map_err(FileError::io(path, "open"))?;
        let bytes = file.metadata().map_err(FileError::io(path, "open"))?.len();
        let mut shard = Shard { path: path.to_path_buf(), file, key: String::new(), len: 0, offsets: 0 };
        if bytes < HEAD + 8 + FOOT {
            return Err(shard.broken(&format!("{bytes} bytes")));
        }
        let (head, foot) = (shard.bytes(0, HEAD)?, shard.bytes(bytes - FOOT, FOOT)?);
        if head[..8] != MAGIC[..] || foot[8..] != MAGIC[..] {
            return Err(shard.broken("another beginning or end"));
        }
        shard.key = String::from_utf8_lossy(&head[8..]).into_owned();
        shard.len = u64_of(&foot[..8]);
        let index =
            shard.len.checked_add(1).and_then(|n| n.checked_mul(8)).filter(|n| HEAD + n + FOOT <= bytes);
        let Some(index) = index else { return Err(shard.broken(&format!("{} records", shard.len))) };
        shard.offsets = bytes - FOOT - index;
        Ok(shard)
    }

    /// Record number n.
    ///
    /// # Errors
    /// There is no such record, or it is not what was written.
    pub fn read<T: DeserializeOwned>(&self, n: u64) -> Result<T, AtlasError> {
        self.read_into(n, &mut Vec::new())
    }

    /// The same, which may borrow from `buffer`.
    ///
    /// # Errors
    /// As [`Shard::read`].
    pub fn read_into<'b, T: Deserialize<'b>>(
        &self,
        n: u64,
        buffer: &'b mut Vec<u8>,
    ) -> Result<T, AtlasError> {
        if n >= self.len {
            return Err(self.broken(&format!("{} records, not number {n}", self.len)));
        }
        let span = self.bytes(self.offsets + 8 * n, 16)?;
        let (start, end) = (u64_of(&span[..8]), u64_of(&span[8..]));
        if start < HEAD || start > end || end > self.offsets {
            return Err(self.broken(&format!("record {n} from {start} to {end}")));
        }
        *buffer = self.bytes(start, end - start)?;
        postcard::from_bytes(buffer).map_err(|e| self.broken(&format!("record {n}: {e}")))
    }

    fn bytes(&self, at: u64, length: u64) -> Result<Vec<u8>, AtlasError> {
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, at).map_err(FileError::io(&self.path, "read"))?;
        Ok(bytes)
    }

    fn broken(&self, found: &str) -> AtlasError {
        let path = self.path.display();
        damaged(format!("{path}: expected a whole file of an atlas, found {found}; build the atlas again"))
    }
}

fn u64_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.bin");
        let records = [vec![1.5f32, 2.0], vec![], vec![3.0]];
        write(&path, &"k".repeat(64), records.iter()).unwrap();
        let shard = Shard::open(&path).unwrap();
        assert_eq!((shard.len, shard.key.as_str()), (3, "k".repeat(64).as_str()));
        for (n, record) in (0..).zip(&records) {
            assert_eq!(&shard.read::<Vec<f32>>(n).unwrap(), record);
        }
        assert!(shard.read::<Vec<f32>>(3).is_err());
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = Shard::open(&path).unwrap_err().to_string();
            assert!(error.contains("a.bin"), "{length}: {error}");
        }
        let mut wrong = whole.clone();
        let at = wrong.len() - FOOT as usize;
        wrong[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        std::fs::write(&path, &wrong).unwrap();
        assert!(Shard::open(&path).is_err(), "more records than bytes");
        let mut wrong = whole;
        wrong[at - 8 * 4..at - 8 * 3].copy_from_slice(&7u64.to_le_bytes());
        std::fs::write(&path, &wrong).unwrap();
        assert!(Shard::open(&path).unwrap().read::<Vec<f32>>(0).is_err(), "a record inside the head");
    }
}
