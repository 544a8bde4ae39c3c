//! The header, read from its first byte to its last. Before anything is allocated, its size is compared with what is left of
//! the file.

use crate::Value;
use lapidary_files::FileError;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Longest header that is read, bytes. Gemma's, with 262,144 tokens, has 10 MB.
const MAX_HEADER: u64 = 128 << 20;

/// A place in a header.
pub(crate) struct Cursor<'a> {
    path: &'a Path,
    reader: BufReader<&'a File>,
    /// Bytes read so far.
    at: u64,
    /// Length of the file, or [`MAX_HEADER`] where that is less.
    end: u64,
    length: u64,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a file of `length` bytes.
    pub(crate) fn new(path: &'a Path, file: &'a File, length: u64) -> Cursor<'a> {
        Cursor { path, reader: BufReader::new(file), at: 0, end: length.min(MAX_HEADER), length }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.path
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// An error about what was found in place of a header.
    pub(crate) fn bad(&self, found: impl Into<String>) -> FileError {
        let next = "the file is damaged or cut short: fetch it again";
        FileError::invalid(self.path, "a GGUF file", found, next)
    }

    /// Is there room for `count` things of at least `size` bytes each?
    pub(crate) fn room(&self, count: u64, size: u64, what: &str) -> Result<usize, FileError> {
        let bytes = count.checked_mul(size).and_then(|bytes| bytes.checked_add(self.at));
        match bytes.filter(|&end| end <= self.end) {
            Some(_) => Ok(count as usize),
            None if bytes.is_some_and(|end| end <= self.length) => {
                Err(self.bad(format!("a header of more than {MAX_HEADER} bytes")))
            }
            None => {
                let left = self.length - self.at;
                Err(self.bad(format!("{what}: {count} of them, where {left} bytes are left of the file")))
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], FileError> {
        self.room(N as u64, 1, "bytes of the header")?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(FileError::io(self.path, "read"))?;
        self.at += N as u64;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FileError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FileError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    /// A text with its length before it. `what` says which, for a message.
    pub(crate) fn text(&mut self, what: &str) -> Result<String, FileError> {
        let length = self.u64()?;
        let length = self.room(length, 1, &format!("bytes of {what}"))?;
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).map_err(FileError::io(self.path, "read"))?;
        self.at += length as u64;
        String::from_utf8(bytes).map_err(|_| self.bad(format!("{what} that is not UTF-8")))
    }

    /// The value of `key`.
    pub(crate) fn value(&mut self, key: &str) -> Result<Value, FileError> {
        match self.u32()? {
            6 => Ok(Value::Float(self.f32()?)),
            7 => Ok(Value::Bool(self.bool(key)?)),
            8 => Ok(Value::Text(self.text(&format!("`{key}`"))?)),
            9 => self.list(key),
            12 => Ok(Value::Float(self.f64()?)),
            kind => Ok(Value::Integer(self.integer(kind, key)?)),
        }
    }

    fn list(&mut self, key: &str) -> Result<Value, FileError> {
        let (kind, count) = (self.u32()?, self.u64()?);
        let smallest = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => return Err(self.bad(format!("`{key}`, a list of lists"))),
            other => return Err(self.unknown(other, key)),
        };
        let count = self.room(count, smallest, &format!("entries of `{key}`"))?;
        Ok(match kind {
            6 => Value::Floats(self.many(count, Self::f32)?),
            7 => Value::Bools(self.many(count, |c| c.bool(key))?),
            8 => {
                let entry = format!("an entry of `{key}`");
                Value::Texts(self.many(count, |c| c.text(&entry))?)
            }
            12 => Value::Floats(self.many(count, Self::f64)?),
            _ => Value::Integers(self.many(count, |c| c.integer(kind, key))?),
        })
    }

    fn many<T>(
        &mut self,
        count: usize,
        mut one: impl FnMut(&mut Self) -> Result<T, FileError>,
    ) -> Result<Vec<T>, FileError> {
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(one(self)?);
        }
        Ok(all)
    }

    fn integer(&mut self, kind: u32, key: &str) -> Result<i64, FileError> {
        Ok(match kind {
            0 => self.bytes::<1>()?[0].into(),
            1 => i8::from_le_bytes(self.bytes()?).into(),
            2 => u16::from_le_bytes(self.bytes()?).into(),
            3 => i16::from_le_bytes(self.bytes()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.bytes()?).into(),
            10 => {
                let found = self.u64()?;
                i64::try_from(found)
                    .map_err(|_| self.bad(format!("`{key}` of {found}, beyond any number here")))?
            }
            11 => i64::from_le_bytes(self.bytes()?),
            other => return Err(self.unknown(other, key)),
        })
    }

    fn f32(&mut self) -> Result<f64, FileError> {
        Ok(f32::from_le_bytes(self.bytes()?).into())
    }

    fn f64(&mut self) -> Result<f64, FileError> {
        Ok(f64::from_le_bytes(self.bytes()?))
    }

    fn bool(&mut self, key: &str) -> Result<bool, FileError> {
        match self.bytes::<1>()?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.bad(format!("`{key}`: a truth value of {other}"))),
        }
    }

    fn unknown(&self, kind: u32, key: &str) -> FileError {
        self.bad(format!("`{key}` of type {kind}, which GGUF does not have"))
    }
}
