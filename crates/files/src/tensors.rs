//! Safetensors in and out. A [`TensorFile`] reads single tensors, or rows of them, by position: nothing is mapped, and
//! nothing is allocated before the header has been checked against the length of the file.

use crate::{FileError, publish_with};
use half::{bf16, f16};
use safetensors::tensor::{Metadata, SafeTensors, TensorInfo};
pub use safetensors::Dtype;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Longest header that is read (the format's own limit).
const MAX_HEADER: u64 = 100_000_000;

/// An open safetensors file with a validated header: no holes, no overlaps, every tensor inside the file.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    header: Metadata,
    data_start: u64,
}

impl TensorFile {
    /// Opens and validates; allocates no more than the header.
    pub fn open(path: &Path) -> Result<TensorFile, FileError> {
        let mut file = File::open(path).map_err(FileError::io(path, "read"))?;
        let length = file.metadata().map_err(FileError::io(path, "read"))?.len();
        let bad = |found: String| {
            FileError::invalid(path, "a safetensors file", found, "the file is damaged or cut short: fetch it again")
        };
        let mut prefix = [0u8; 8];
        file.read_exact(&mut prefix).map_err(|_| bad(format!("{length} bytes, too few for a header")))?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > MAX_HEADER || header_length > length.saturating_sub(8) {
            return Err(bad(format!("a header of {header_length} bytes in a file of {length}")));
        }
        let mut buffer = prefix.to_vec();
        buffer.resize(8 + header_length as usize, 0);
        file.read_exact(&mut buffer[8..]).map_err(FileError::io(path, "read"))?;
        let (_, header) = SafeTensors::read_metadata(&buffer).map_err(|e| bad(format!("a bad header ({e})")))?;
        let expected = 8 + header_length + header.data_len() as u64;
        if expected != length {
            return Err(bad(format!("{length} bytes where the header describes {expected}")));
        }
        Ok(TensorFile { path: path.to_path_buf(), file, header, data_start: 8 + header_length })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.header.offset_keys();
        names.sort();
        names
    }

    /// The header's free text.
    pub fn metadata(&self) -> HashMap<String, String> {
        self.header.metadata().clone().unwrap_or_default()
    }

    /// Shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.info(name).map(|i| i.shape.as_slice())
    }

    /// Dtype of a tensor, if it is there.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.header.info(name).map(|i| i.dtype)
    }

    /// A tensor of f32, bf16 or f16 (widened exactly) that must have `shape`.
    pub fn read_f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FileError> {
        let info = self.expect(name, shape)?;
        let bytes = self.bytes(info, info.data_offsets.0, info.data_offsets.1)?;
        self.widen(name, info.dtype, &bytes)
    }

    /// Rows `first..first + count` of a float tensor `[rows, width]`.
    pub fn read_rows(&self, name: &str, width: usize, first: usize, count: usize) -> Result<Vec<f32>, FileError> {
        let rows = self.shape(name).and_then(|s| s.first().copied()).unwrap_or(0);
        let info = self.expect(name, &[rows, width])?;
        if first.checked_add(count).is_none_or(|end| end > rows) {
            return Err(self.invalid(
                format!("`{name}` to have rows {first}..{}", first.saturating_add(count)),
                format!("{rows} rows"),
            ));
        }
        let row_bytes = (info.data_offsets.1 - info.data_offsets.0) / rows.max(1);
        let start = info.data_offsets.0 + first * row_bytes;
        let bytes = self.bytes(info, start, start + count * row_bytes)?;
        self.widen(name, info.dtype, &bytes)
    }

    /// A tensor of little-endian integers or floats of one exact type.
    pub fn read_pod<T: bytemuck::Pod>(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<Vec<T>, FileError> {
        let info = self.expect(name, shape)?;
        if info.dtype != dtype {
            return Err(self.invalid(format!("`{name}` as {dtype:?}"), format!("{:?}", info.dtype)));
        }
        let bytes = self.bytes(info, info.data_offsets.0, info.data_offsets.1)?;
        Ok(bytemuck::allocation::pod_collect_to_vec(&bytes))
    }

    fn expect(&self, name: &str, shape: &[usize]) -> Result<&TensorInfo, FileError> {
        let missing = || self.invalid(format!("a tensor `{name}`"), format!("only {}", self.names().join(", ")));
        let info = self.header.info(name).ok_or_else(missing)?;
        if info.shape != shape {
            return Err(self.invalid(format!("`{name}` of shape {shape:?}"), format!("{:?}", info.shape)));
        }
        Ok(info)
    }

    fn invalid(&self, expected: String, found: String) -> FileError {
        FileError::invalid(&self.path, expected, found, "is this the right file?")
    }

    fn bytes(&self, _info: &TensorInfo, start: usize, end: usize) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0u8; end - start];
        let at = self.data_start + start as u64;
        self.file.read_exact_at(&mut bytes, at).map_err(FileError::io(&self.path, "read"))?;
        Ok(bytes)
    }

    fn widen(&self, name: &str, dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, FileError> {
        match dtype {
            Dtype::F32 => Ok(bytemuck::allocation::pod_collect_to_vec(bytes)),
            Dtype::BF16 => Ok(bytes.as_chunks::<2>().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect()),
            Dtype::F16 => Ok(bytes.as_chunks::<2>().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect()),
            other => Err(self.invalid(format!("`{name}` as F32, BF16 or F16"), format!("{other:?}"))),
        }
    }
}

/// A tensor to be written.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// Its name in the file.
    pub name: &'a str,
    /// Element type of `bytes`.
    pub dtype: Dtype,
    /// Its shape, row-major.
    pub shape: &'a [usize],
    /// Little-endian elements.
    pub bytes: &'a [u8],
}

impl<'a> Tensor<'a> {
    /// A tensor of f32.
    pub fn f32(name: &'a str, shape: &'a [usize], values: &'a [f32]) -> Tensor<'a> {
        Tensor { name, dtype: Dtype::F32, shape, bytes: bytemuck::cast_slice(values) }
    }
}

/// Publishes tensors with `metadata` as one safetensors file, tensors in the given order (which must put wider dtypes
/// first, so that every tensor is aligned).
pub fn write(path: &Path, tensors: &[Tensor<'_>], metadata: &HashMap<String, String>) -> Result<(), FileError> {
    let header = header(tensors, metadata);
    publish_with(path, |w| {
        w.write_all(&(header.len() as u64).to_le_bytes())?;
        w.write_all(header.as_bytes())?;
        tensors.iter().try_for_each(|t| w.write_all(t.bytes))
    })
}

/// The JSON header, padded with spaces to a multiple of 8 bytes; keys in a fixed order, so that equal tensors give
/// equal bytes.
pub fn header(tensors: &[Tensor<'_>], metadata: &HashMap<String, String>) -> String {
    let mut entries = Vec::with_capacity(tensors.len() + 1);
    if !metadata.is_empty() {
        let sorted: std::collections::BTreeMap<_, _> = metadata.iter().collect();
        entries.push(format!("\"__metadata__\":{}", serde_json::json!(sorted)));
    }
    let mut offset = 0;
    for t in tensors {
        let end = offset + t.bytes.len();
        let info = serde_json::json!({ "dtype": t.dtype, "shape": t.shape, "data_offsets": [offset, end] });
        entries.push(format!("{}:{info}", serde_json::json!(t.name)));
        offset = end;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    header
}
