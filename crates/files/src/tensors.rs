//! Safetensors in and out. A [`TensorFile`] reads single tensors, or rows of them, by position: nothing is mapped, and
//! nothing is allocated before the header has been checked against the length of the file.

use crate::{FileError, foreign, publish_with};
use half::{bf16, f16};
pub use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Write};
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
        let stat = file.metadata().map_err(FileError::io(path, "read"))?;
        let bad = |found: String| {
            let next = "the file is damaged or cut short: fetch it again";
            FileError::invalid(path, "a safetensors file", found, next)
        };
        if !stat.is_file() {
            return Err(bad("a folder or a device".into()));
        }
        refuse_foreign(&file, path)?;
        let length = stat.len();
        let mut prefix = [0u8; 8];
        file.read_exact(&mut prefix).map_err(|_| bad(format!("{length} bytes, too few for a header")))?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > MAX_HEADER || header_length > length.saturating_sub(8) {
            return Err(bad(format!("a header of {header_length} bytes in a file of {length}")));
        }
        let mut text = vec![0; header_length as usize];
        file.read_exact(&mut text).map_err(FileError::io(path, "read"))?;
        // Deserializing checks shapes, dtypes and offsets against one another, but not against the file: that is next.
        let header: Metadata =
            serde_json::from_slice(&text).map_err(|e| bad(format!("a bad header ({e})")))?;
        let data_start = 8 + header_length;
        let (described, there) = (header.data_len() as u64, length - data_start);
        if described != there {
            return Err(bad(format!("{there} bytes of data where the header describes {described}")));
        }
        Ok(TensorFile { path: path.to_path_buf(), file, header, data_start })
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

    /// Would [`TensorFile::read_f32`] find a float tensor of this name and shape? Reads nothing more.
    pub fn check_f32(&self, name: &str, shape: &[usize]) -> Result<(), FileError> {
        match self.expect(name, shape)?.dtype {
            Dtype::F32 | Dtype::BF16 | Dtype::F16 => Ok(()),
            other => Err(self.not_float(name, other)),
        }
    }

    /// A tensor of f32, bf16 or f16 (widened exactly) that must have `shape`.
    pub fn read_f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FileError> {
        let info = self.expect(name, shape)?;
        self.widen(name, info.dtype, info.data_offsets)
    }

    /// Rows `first..first + count` of a float tensor `[rows, width]`.
    pub fn read_rows(
        &self,
        name: &str,
        width: usize,
        first: usize,
        count: usize,
    ) -> Result<Vec<f32>, FileError> {
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
        self.widen(name, info.dtype, (start, start + count * row_bytes))
    }

    /// A tensor of little-endian integers or floats of one exact type.
    pub fn read_pod<T: bytemuck::Pod>(
        &self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<Vec<T>, FileError> {
        assert_eq!(dtype.bitsize(), 8 * size_of::<T>(), "read_pod: {dtype:?} and T differ in size");
        let info = self.expect(name, shape)?;
        if info.dtype != dtype {
            return Err(self.invalid(format!("`{name}` as {dtype:?}"), format!("{:?}", info.dtype)));
        }
        self.pods(info.data_offsets)
    }

    fn expect(&self, name: &str, shape: &[usize]) -> Result<&TensorInfo, FileError> {
        let missing =
            || self.invalid(format!("a tensor `{name}`"), format!("only {}", self.names().join(", ")));
        let info = self.header.info(name).ok_or_else(missing)?;
        if info.shape != shape {
            return Err(self.invalid(format!("`{name}` of shape {shape:?}"), format!("{:?}", info.shape)));
        }
        Ok(info)
    }

    fn invalid(&self, expected: String, found: String) -> FileError {
        FileError::invalid(&self.path, expected, found, "is this the right file?")
    }

    /// The elements at byte offsets `start..end` of the data, read into place.
    fn pods<T: bytemuck::Pod>(&self, (start, end): (usize, usize)) -> Result<Vec<T>, FileError> {
        let mut out = vec![T::zeroed(); (end - start) / size_of::<T>()];
        let at = self.data_start + start as u64;
        self.file
            .read_exact_at(bytemuck::cast_slice_mut(&mut out), at)
            .map_err(FileError::io(&self.path, "read"))?;
        Ok(out)
    }

    fn widen(&self, name: &str, dtype: Dtype, span: (usize, usize)) -> Result<Vec<f32>, FileError> {
        match dtype {
            Dtype::F32 => self.pods(span),
            Dtype::BF16 => Ok(self.pods::<bf16>(span)?.into_iter().map(bf16::to_f32).collect()),
            Dtype::F16 => Ok(self.pods::<f16>(span)?.into_iter().map(f16::to_f32).collect()),
            other => Err(self.not_float(name, other)),
        }
    }

    fn not_float(&self, name: &str, found: Dtype) -> FileError {
        let next = "fetch a version of the file that is not quantised";
        FileError::invalid(&self.path, format!("`{name}` as F32, BF16 or F16"), format!("{found:?}"), next)
    }
}

/// What begins like another format is named.
fn refuse_foreign(file: &File, path: &Path) -> Result<(), FileError> {
    let mut start = [0; foreign::START];
    let length = file.read_at(&mut start, 0).map_err(FileError::io(path, "read"))?;
    match foreign::recognise(&start[..length]) {
        Some(it) => Err(FileError::invalid(path, "a safetensors file", it.what, it.next)),
        None => Ok(()),
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

    /// A tensor of bf16.
    pub fn bf16(name: &'a str, shape: &'a [usize], values: &'a [bf16]) -> Tensor<'a> {
        Tensor { name, dtype: Dtype::BF16, shape, bytes: bytemuck::cast_slice(values) }
    }
}

/// Publishes tensors with `metadata` as one safetensors file, tensors in the given order (which must put wider dtypes
/// first, so that every tensor is aligned).
pub fn write(
    path: &Path,
    tensors: &[Tensor<'_>],
    metadata: &HashMap<String, String>,
) -> Result<(), FileError> {
    let header = header(tensors, metadata);
    publish_with(path, |w| {
        write_header(w, &header)?;
        tensors.iter().try_for_each(|t| w.write_all(t.bytes))
    })
}

/// Publishes tensors too large to be held: `data` writes their bytes one after another, which must be as many as `places`
/// (name, dtype, shape) say.
pub fn write_with(
    path: &Path,
    places: &[(&str, Dtype, &[usize])],
    metadata: &HashMap<String, String>,
    data: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), FileError> {
    let header = header_of(places, metadata);
    publish_with(path, |w| {
        write_header(w, &header)?;
        data(w)
    })
}

fn write_header(w: &mut dyn Write, header: &str) -> std::io::Result<()> {
    w.write_all(&(header.len() as u64).to_le_bytes())?;
    w.write_all(header.as_bytes())
}

/// The JSON header, padded with spaces to a multiple of 8 bytes; keys in a fixed order, so that equal tensors give
/// equal bytes.
pub fn header(tensors: &[Tensor<'_>], metadata: &HashMap<String, String>) -> String {
    for t in tensors {
        let elements: usize = t.shape.iter().product();
        assert_eq!(elements * t.dtype.bitsize(), 8 * t.bytes.len(), "`{}` of shape {:?}", t.name, t.shape);
    }
    let places: Vec<_> = tensors.iter().map(|t| (t.name, t.dtype, t.shape)).collect();
    header_of(&places, metadata)
}

fn header_of(places: &[(&str, Dtype, &[usize])], metadata: &HashMap<String, String>) -> String {
    let mut entries = Vec::with_capacity(places.len() + 1);
    if !metadata.is_empty() {
        let sorted: BTreeMap<_, _> = metadata.iter().collect();
        entries.push(format!("\"__metadata__\":{}", json!(sorted)));
    }
    let mut offset = 0;
    for (name, dtype, shape) in places {
        let end = offset + shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let (name, dtype, shape) = (json!(name), json!(dtype), json!(shape));
        entries
            .push(format!(r#"{name}:{{"dtype":{dtype},"shape":{shape},"data_offsets":[{offset},{end}]}}"#));
        offset = end;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    header
}
