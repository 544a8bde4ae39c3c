//! The container: header read and checked against the file's length, tensors read by position.

use crate::cursor::Cursor;
use crate::{TensorType, Value};
use lapidary_files::FileError;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"GGUF";
/// Least bytes of a key with its value, and of a tensor's description: what a count is checked with.
const LEAST_ENTRY: u64 = 13;
const LEAST_TENSOR: u64 = 32;
/// Blocks that one task reads and widens.
const TASK: usize = 4096;

/// Where a tensor is and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Row-major: rows first, their width last. (Files say it the other way round.)
    pub shape: Vec<usize>,
    /// How its elements are stored.
    pub kind: TensorType,
    /// First byte, from the beginning of the data.
    start: u64,
    /// Bytes.
    size: u64,
}

/// An open file whose header has been checked: every tensor is inside the file, and none overlaps another.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    file: File,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
    data_start: u64,
}

/// Does a file begin as GGUF does?
pub fn is_gguf(path: &Path) -> bool {
    let mut start = [0; 4];
    path.is_file() && File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok() && &start == MAGIC
}

impl GgufFile {
    /// Opens and checks; reads no tensor.
    ///
    /// # Errors
    /// Not GGUF, a version or byte order that is not read, cut short, one part of several, or a tensor of a type that is
    /// not read.
    pub fn open(path: &Path) -> Result<GgufFile, FileError> {
        let file = File::open(path).map_err(FileError::io(path, "read"))?;
        let stat = file.metadata().map_err(FileError::io(path, "read"))?;
        if !stat.is_file() {
            return Err(FileError::invalid(path, "a GGUF file", "a folder or a device", "name the file"));
        }
        let mut cursor = Cursor::new(path, &file, stat.len());
        version(&mut cursor, path)?;
        let (tensors, entries) = (cursor.u64()?, cursor.u64()?);
        let metadata = metadata(&mut cursor, entries)?;
        one_part(path, &metadata)?;
        let alignment = alignment(&cursor, &metadata)?;
        let tensors = infos(&mut cursor, tensors, alignment)?;
        let data_start = cursor.at().next_multiple_of(alignment);
        check_spans(&cursor, &tensors, stat.len().saturating_sub(data_start))?;
        drop(cursor);
        Ok(GgufFile { path: path.to_path_buf(), file, metadata, tensors, data_start })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All keys and their values.
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// All tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// An error about a key: what it should be, and what is there.
    pub fn wrong(&self, key: &str, expected: &str) -> FileError {
        let found = self.metadata.get(key).map_or("none", Value::kind);
        let next = "the file is damaged, or of another kind of model: fetch it again";
        FileError::invalid(&self.path, format!("`{key}`, {expected}"), found, next)
    }

    /// A text, if the key is there.
    pub fn text(&self, key: &str) -> Result<Option<&str>, FileError> {
        self.get(key, "a text", |v| match v {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// A whole number, if the key is there.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, FileError> {
        self.get(key, "a whole number", |v| match v {
            Value::Integer(n) => Some(*n),
            _ => None,
        })
    }

    /// A truth value, if the key is there.
    pub fn switch(&self, key: &str) -> Result<Option<bool>, FileError> {
        self.get(key, "a truth value", |v| match v {
            Value::Bool(b) => Some(*b),
            _ => None,
        })
    }

    /// A list of texts, if the key is there.
    pub fn texts(&self, key: &str) -> Result<Option<&[String]>, FileError> {
        self.get(key, "a list of texts", |v| match v {
            Value::Texts(texts) => Some(texts.as_slice()),
            _ => None,
        })
    }

    /// A list of whole numbers, if the key is there.
    pub fn integers(&self, key: &str) -> Result<Option<&[i64]>, FileError> {
        self.get(key, "a list of whole numbers", |v| match v {
            Value::Integers(all) => Some(all.as_slice()),
            _ => None,
        })
    }

    /// A list of numbers, if the key is there.
    pub fn floats(&self, key: &str) -> Result<Option<&[f64]>, FileError> {
        self.get(key, "a list of numbers", |v| match v {
            Value::Floats(all) => Some(all.as_slice()),
            _ => None,
        })
    }

    fn get<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        take: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, FileError> {
        let Some(value) = self.metadata.get(key) else { return Ok(None) };
        take(value).map(Some).ok_or_else(|| self.wrong(key, expected))
    }

    /// Is a tensor of this name and shape there?
    ///
    /// # Errors
    /// It is not, or it has another shape.
    pub fn check(&self, name: &str, shape: &[usize]) -> Result<&TensorInfo, FileError> {
        let bad = |found: String| {
            let next = "the file does not hold the model that its keys describe: fetch it again";
            FileError::invalid(&self.path, format!("a tensor `{name}` of shape {shape:?}"), found, next)
        };
        let info = self.tensors.get(name);
        let info = info.ok_or_else(|| bad(format!("none in {} tensors", self.tensors.len())))?;
        match info.shape == shape {
            true => Ok(info),
            false => Err(bad(format!("{:?}", info.shape))),
        }
    }

    /// A tensor of this shape, its elements widened to f32, row-major. Blocks are independent: any number of threads gives
    /// the same bits.
    pub fn read_f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FileError> {
        let info = self.check(name, shape)?;
        let (block, bytes) = (info.kind.elements(), info.kind.bytes());
        let mut out = vec![0f32; shape.iter().product()];
        out.par_chunks_mut(TASK * block).enumerate().try_for_each(|(task, out)| {
            let mut stored = vec![0; out.len() / block * bytes];
            let at = self.data_start + info.start + (task * TASK * bytes) as u64;
            self.file.read_exact_at(&mut stored, at).map_err(FileError::io(&self.path, "read"))?;
            info.kind.widen(&stored, out);
            Ok(())
        })?;
        Ok(out)
    }
}

/// Magic and version.
fn version(cursor: &mut Cursor<'_>, path: &Path) -> Result<(), FileError> {
    if &cursor.u32()?.to_le_bytes() != MAGIC {
        return Err(cursor.bad("other first bytes"));
    }
    match cursor.u32()? {
        2 | 3 => Ok(()),
        swapped if swapped & 0xffff == 0 && swapped != 0 => Err(FileError::invalid(
            path,
            "little-endian numbers",
            "a big-endian GGUF file",
            "convert it with `gguf-convert-endian`, of the Python package gguf, or fetch the little-endian one",
        )),
        other => Err(FileError::invalid(
            path,
            "version 2 or 3 of GGUF",
            format!("version {other}"),
            "convert the model again with a present llama.cpp",
        )),
    }
}

fn metadata(cursor: &mut Cursor<'_>, entries: u64) -> Result<BTreeMap<String, Value>, FileError> {
    let mut metadata = BTreeMap::new();
    for _ in 0..cursor.room(entries, LEAST_ENTRY, "keys")? {
        let key = cursor.text("a key")?;
        let value = cursor.value(&key)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(cursor.bad(format!("`{key}` twice")));
        }
    }
    Ok(metadata)
}

/// Large models come in parts, of which each is a file.
fn one_part(path: &Path, metadata: &BTreeMap<String, Value>) -> Result<(), FileError> {
    match metadata.get("split.count") {
        Some(Value::Integer(parts @ 2..)) => Err(FileError::invalid(
            path,
            "a whole model",
            format!("one of {parts} parts"),
            "join them with llama.cpp's `llama-gguf-split --merge FIRST-PART OUT.gguf`, and name that",
        )),
        _ => Ok(()),
    }
}

fn alignment(cursor: &Cursor<'_>, metadata: &BTreeMap<String, Value>) -> Result<u64, FileError> {
    match metadata.get("general.alignment") {
        None => Ok(32),
        Some(&Value::Integer(n)) if n > 0 && n <= 1 << 30 && (n as u64).is_power_of_two() => Ok(n as u64),
        Some(other) => Err(cursor.bad(format!("`general.alignment` {other:?}, not a power of two"))),
    }
}

fn infos(
    cursor: &mut Cursor<'_>,
    count: u64,
    alignment: u64,
) -> Result<BTreeMap<String, TensorInfo>, FileError> {
    let mut tensors = BTreeMap::new();
    for _ in 0..cursor.room(count, LEAST_TENSOR, "tensors")? {
        let name = cursor.text("a tensor's name")?;
        let info = info(cursor, &name, alignment)?;
        if tensors.insert(name.clone(), info).is_some() {
            return Err(cursor.bad(format!("`{name}` twice")));
        }
    }
    Ok(tensors)
}

fn info(cursor: &mut Cursor<'_>, name: &str, alignment: u64) -> Result<TensorInfo, FileError> {
    let dimensions = cursor.u32()?;
    if !(1..=4).contains(&dimensions) {
        return Err(cursor.bad(format!("`{name}` of {dimensions} dimensions")));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        shape.push(cursor.u64()?);
    }
    let kind = TensorType::of(cursor.u32()?).map_err(|found| unread(cursor, name, &found))?;
    let start = cursor.u64()?;
    let elements = shape.iter().try_fold(1u64, |all, &n| all.checked_mul(n));
    let size = elements.and_then(|n| (n / kind.elements() as u64).checked_mul(kind.bytes() as u64));
    let whole = shape[0] > 0 && shape[0] % kind.elements() as u64 == 0;
    let (Some(size), true) = (size.filter(|&size| size > 0), whole) else {
        return Err(cursor.bad(format!("`{name}` of shape {shape:?} as {kind}")));
    };
    if start % alignment != 0 {
        return Err(cursor.bad(format!("`{name}` at byte {start}, not a multiple of {alignment}")));
    }
    let shape = shape.iter().rev().map(|&n| n as usize).collect();
    Ok(TensorInfo { shape, kind, start, size })
}

fn unread(cursor: &Cursor<'_>, name: &str, found: &str) -> FileError {
    let all: Vec<_> = TensorType::all().map(|kind| kind.to_string()).collect();
    let next = "this type is not read: fetch the model in another, such as Q8_0 or Q4_K_M";
    FileError::invalid(cursor.path(), format!("`{name}` as {}", all.join(", ")), found, next)
}

/// Every tensor is inside the `length` bytes of data, and none overlaps another.
fn check_spans(
    cursor: &Cursor<'_>,
    tensors: &BTreeMap<String, TensorInfo>,
    length: u64,
) -> Result<(), FileError> {
    let mut spans: Vec<_> = tensors.iter().map(|(name, t)| (t.start, t.size, name)).collect();
    spans.sort();
    let mut end = 0;
    for (start, size, name) in spans {
        if start < end {
            return Err(cursor.bad(format!("`{name}` overlapping another tensor")));
        }
        end = start.saturating_add(size);
        if end > length {
            let found = format!("{length} bytes of data, where `{name}` ends at byte {end}");
            return Err(cursor.bad(found));
        }
    }
    Ok(())
}
