//! Gemma Scope's `params.npz` in and out: a zip archive of five npy arrays, as `layout` names and shapes them, written in f32.
//! Raw units, no bias on the input; a ReLU comes before the jump, so θ is read as max(θ, 0). It says nothing about model or
//! site.
//!
//! Reading trusts nothing: first every entry's place, size and npy header are checked against each other and against the
//! file's length, then the data is read, and it must end where the header said.

use crate::error::invalid;
use crate::layout::{self, NAMES, Shape, transposed};
use crate::npy::{self, Header, Number};
use crate::{Activation, Dictionary, DictionaryError};
use lapidary_files::{FileError, publish_with};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The file's name in a Gemma Scope folder.
pub const FILE_NAME: &str = "params.npz";
/// Deflate cannot expand more than this; a claim beyond it is a lie.
const MAX_DEFLATE: u64 = 1032;
/// Bytes per read.
const CHUNK: usize = 1 << 20;
const FETCH: &str = "the file is damaged or cut short: fetch it again";

type Archive = ZipArchive<BufReader<File>>;

/// Reads an npz of the five arrays, stored or deflated, in C or Fortran order, f16, bf16, f32 or f64 (rounded to f32).
pub fn read_npz(path: &Path) -> Result<Dictionary, DictionaryError> {
    let file = File::open(path).map_err(FileError::io(path, "read"))?;
    let length = file.metadata().map_err(FileError::io(path, "read"))?.len();
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|e| invalid(path, "an npz archive", format!("no zip archive ({e})"), FETCH))?;
    let listed = listed(path, length).map_err(FileError::io(path, "read"))?;
    if listed.is_some_and(|listed| listed != archive.len()) {
        let found = format!("{} of {} entries: two have one name", archive.len(), listed.unwrap_or_default());
        return Err(invalid(path, "entries of different names", found, "take out the wrong one"));
    }
    let entries = entries(path, &archive)?;
    let mut headers = Vec::with_capacity(5);
    let mut spans = Vec::with_capacity(5);
    let mut numbers = Vec::with_capacity(5);
    for entry in &entries {
        let (header, number, span) = check_entry(path, &mut archive, entry, length)?;
        headers.push(header);
        numbers.push(number);
        spans.push(span);
    }
    check_apart(path, spans)?;
    let shape = shape(path, &headers)?;
    let all = entries.iter().zip(headers.iter().zip(numbers));
    let mut arrays =
        all.map(|(entry, (header, number))| read_array(path, &mut archive, entry, header, number));
    let arrays = [(); 5].map(|()| arrays.next().expect("five entries"));
    let [w_enc, w_dec, b_enc, b_dec, threshold] = arrays;
    let mut threshold = threshold?;
    layout::after_relu(&mut threshold);
    layout::into_dictionary(path, shape, [w_enc?, w_dec?, b_enc?, b_dec?, threshold])
}

/// How many entries the archive's last record counts; none if a larger record has the number. (The reader of archives keeps
/// the last of entries that have one name.)
fn listed(path: &Path, length: u64) -> std::io::Result<Option<usize>> {
    const RECORD: u64 = 22 + 65_535; // with the longest comment
    let mut end = Vec::new();
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(length.saturating_sub(RECORD)))?;
    file.take(RECORD).read_to_end(&mut end)?;
    let record = end.windows(12).rev().find(|bytes| bytes.starts_with(b"PK\x05\x06"));
    let count = record.map(|bytes| u16::from_le_bytes([bytes[10], bytes[11]]));
    Ok(count.filter(|&count| count != u16::MAX).map(usize::from))
}

/// The entries' names in the order of [`NAMES`]; nothing may be missing or there twice, and nothing else may be there.
fn entries(path: &Path, archive: &Archive) -> Result<[String; 5], DictionaryError> {
    let plain = |entry: &str| entry.strip_suffix(".npy").unwrap_or(entry).replacen("w_", "W_", 1);
    if let Some(other) = archive.file_names().find(|entry| !NAMES.contains(&plain(entry).as_str())) {
        let found = format!("`{}`", other.chars().take(80).collect::<String>());
        return Err(invalid(
            path,
            format!("only {}", NAMES.join(", ")),
            found,
            "is this a JumpReLU dictionary?",
        ));
    }
    let mut found = [const { String::new() }; 5];
    for (name, found) in NAMES.iter().zip(&mut found) {
        let mut named: Vec<&str> = archive.file_names().filter(|entry| plain(entry) == *name).collect();
        named.sort_unstable();
        *found = match named[..] {
            [one] => one.to_string(),
            [] => {
                let next = "is this a JumpReLU dictionary?";
                return Err(invalid(path, format!("an array `{name}`"), "none", next));
            }
            [first, second, ..] => {
                let found = format!("`{first}` and `{second}`");
                return Err(invalid(path, format!("one array `{name}`"), found, "take out the wrong one"));
            }
        };
    }
    Ok(found)
}

/// Where an entry's data lies in the archive, bytes.
type Span = (u64, u64);

/// Checks an entry's sizes and header; reads no data.
fn check_entry(
    path: &Path,
    archive: &mut Archive,
    name: &str,
    file_length: u64,
) -> Result<(Header, Number, Span), DictionaryError> {
    let expected = || format!("`{name}` as an array of f16, bf16, f32 or f64");
    let bad = |found: String| invalid(path, expected(), found, FETCH);
    let mut entry = archive.by_name(name).map_err(|e| bad(e.to_string()))?;
    let (size, packed) = (entry.size(), entry.compressed_size());
    let start = entry.data_start().unwrap_or(u64::MAX);
    let Some(end) = start.checked_add(packed).filter(|&end| end <= file_length) else {
        return Err(bad(format!("{packed} bytes at {start} in a file of {file_length}")));
    };
    let possible = match entry.compression() {
        CompressionMethod::Stored => size == packed,
        CompressionMethod::Deflated => size / MAX_DEFLATE <= packed,
        other => return Err(bad(format!("compression {other}"))),
    };
    if !possible {
        return Err(bad(format!("a claim of {size} bytes out of {packed}")));
    }
    let header = npy::read_header(&mut entry).map_err(bad)?;
    let elements = header.shape.iter().try_fold(1u64, |n, &side| n.checked_mul(side as u64));
    let Some(number) = Number::of(&header.descr) else {
        let found = format!("dtype {}", header.descr.chars().take(80).collect::<String>());
        return Err(invalid(path, expected(), found, "save it with NumPy as a.astype(numpy.float32)"));
    };
    let bytes = elements.and_then(|n| n.checked_mul(number.bytes() as u64));
    if bytes.and_then(|n| n.checked_add(header.length)) != Some(size) {
        return Err(bad(format!("shape {:?} in {size} bytes", header.shape)));
    }
    Ok((header, number, (start, end)))
}

fn check_apart(path: &Path, mut spans: Vec<Span>) -> Result<(), DictionaryError> {
    spans.sort_unstable();
    match spans.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        Some(pair) => {
            Err(invalid(path, "arrays that lie apart", format!("an overlap at byte {}", pair[1].0), FETCH))
        }
        None => Ok(()),
    }
}

/// D, F and D_out from the headers, which must agree.
fn shape(path: &Path, headers: &[Header]) -> Result<Shape, DictionaryError> {
    let side = |array: usize, axis: usize| headers[array].shape.get(axis).copied().unwrap_or(0);
    let shape = Shape { d_in: side(0, 0), features: side(0, 1), d_out: side(1, 1) };
    shape.check(path)?;
    for ((name, header), expected) in NAMES.iter().zip(headers).zip(shape.arrays()) {
        if header.shape != expected {
            let found = format!("{:?}", header.shape);
            return Err(invalid(
                path,
                format!("`{name}` of shape {expected:?}"),
                found,
                "is this a JumpReLU dictionary?",
            ));
        }
    }
    Ok(shape)
}

/// Reads the elements of a checked entry. Memory grows with what arrives, not with what was claimed.
fn read_array(
    path: &Path,
    archive: &mut Archive,
    name: &str,
    header: &Header,
    number: Number,
) -> Result<Vec<f32>, DictionaryError> {
    let bad = |e: std::io::Error| invalid(path, format!("the data of `{name}`"), e.to_string(), FETCH);
    let mut entry = archive.by_name(name).map_err(|e| bad(e.into()))?;
    let total: usize = header.shape.iter().product();
    let likely = entry.compressed_size() as usize * 5; // floats; weights hardly shrink
    let mut values = Vec::with_capacity(total.min(likely));
    std::io::copy(&mut (&mut entry).take(header.length), &mut std::io::sink()).map_err(bad)?;
    let width = number.bytes();
    let mut chunk = vec![0u8; CHUNK.min(total * width)];
    while values.len() < total {
        let bytes = CHUNK.min((total - values.len()) * width);
        entry.read_exact(&mut chunk[..bytes]).map_err(bad)?;
        for element in chunk[..bytes].chunks_exact(width) {
            let at = values.len();
            values.push(rounded(number.value(element)).map_err(|v| too_large(path, name, header, at, v))?);
        }
    }
    if entry.read(&mut [0u8; 1]).map_err(bad)? != 0 {
        return Err(invalid(path, format!("`{name}` to end after {total} numbers"), "more", FETCH));
    }
    Ok(if header.columns_first && header.shape.len() == 2 {
        transposed(&values, header.shape[1], header.shape[0])
    } else {
        values
    })
}

/// The nearest f32, or the number itself where that is none.
fn rounded(value: f64) -> Result<f32, f64> {
    let near = value as f32;
    if near.is_infinite() && value.is_finite() { Err(value) } else { Ok(near) }
}

fn too_large(path: &Path, name: &str, header: &Header, at: usize, value: f64) -> DictionaryError {
    let index = match header.shape[..] {
        [rows, _] if header.columns_first => vec![at % rows, at / rows],
        [_, columns] => vec![at / columns, at % columns],
        _ => vec![at],
    };
    let found = format!("{value:e} at {index:?}");
    invalid(path, format!("`{name}` of numbers that f32 can hold"), found, "scale the dictionary down")
}

/// The five arrays say nothing of a choice by rank, a gate or a skip, and their readers apply a ReLU.
fn plain<'a>(path: &Path, dictionary: &'a Dictionary) -> Result<Cow<'a, Dictionary>, DictionaryError> {
    let folded = match dictionary.activation {
        Activation::Gated { .. } => dictionary.clone().without_gate().map(Cow::Owned),
        Activation::JumpRelu | Activation::TopK { .. } => Some(Cow::Borrowed(dictionary)),
    };
    let found = match (&dictionary.activation, &dictionary.w_skip, folded) {
        (Activation::TopK { k }, ..) => format!("TopK with k = {k}"),
        (_, Some(_), _) => "a skip connection".into(),
        (_, None, None) => "a gate that f32 would lose with its magnitudes".into(),
        (_, None, Some(folded)) => match folded.threshold.iter().position(|&theta| theta < 0.0) {
            Some(f) => format!("θ = {} at [{f}]", folded.threshold[f]),
            None => return Ok(folded),
        },
    };
    Err(invalid(path, "a plain JumpReLU dictionary", found, "an npz cannot hold it: write a SAELens folder"))
}

/// Publishes `dictionary` as an npz at `path`, stored without compression, as `numpy.savez` does. Same dictionary, same
/// bytes. A gate is folded in; TopK, a skip connection, a gate that f32 would lose, and a θ below 0, which other readers take
/// for 0, are refused.
pub fn write_npz(path: &Path, dictionary: &Dictionary) -> Result<(), DictionaryError> {
    layout::check_parameters(path, dictionary)?;
    let dictionary = plain(path, dictionary)?;
    let w_enc = transposed(&dictionary.w_enc, dictionary.width(), dictionary.d_in);
    let Dictionary { w_dec, b_enc, b_dec, threshold, .. } = &*dictionary;
    let arrays = [&w_enc, w_dec, b_enc, b_dec, threshold];
    publish_with(path, |out| {
        let mut zip = ZipWriter::new_stream(out);
        for ((name, values), shape) in NAMES.iter().zip(arrays).zip(Shape::of(&dictionary).arrays()) {
            let large = values.len() as u64 * 4 > u64::from(u32::MAX) - 1024;
            let options =
                SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
            zip.start_file(format!("{name}.npy"), options)?;
            zip.write_all(&npy::header(&shape))?;
            for part in values.chunks(CHUNK / 4) {
                zip.write_all(&part.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
            }
        }
        zip.finish().map(drop).map_err(std::io::Error::from)
    })?;
    Ok(())
}
