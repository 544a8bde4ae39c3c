//! Rows of a safetensors file through a dictionary, features and reconstructions into another one. `[N, F]` is streamed, never
//! held.

use crate::error::invalid;
use crate::{Dictionary, DictionaryError};
use lapidary_files::tensors::{Dtype, TensorFile, write_with};
use lapidary_kernels::Device;
use std::io::{self, Write};
use std::path::Path;

/// Rows that are encoded at a time.
const TILE_ROWS: usize = 512;

/// The tensor that was named, or `x`, or the only one of floats.
///
/// # Errors
/// Nobody named one, and several could be meant, or none.
pub fn tensor_name(input: &TensorFile, named: Option<&str>) -> Result<String, DictionaryError> {
    if let Some(name) = named {
        return Ok(name.to_string());
    }
    let is_float = |name: &String| matches!(input.dtype(name), Some(Dtype::F32 | Dtype::BF16 | Dtype::F16));
    let mut floats: Vec<String> = input.names().into_iter().filter(is_float).collect();
    match floats.iter().position(|name| name == "x") {
        Some(at) => Ok(floats.swap_remove(at)),
        None if floats.len() == 1 => Ok(floats.remove(0)),
        None => {
            let expected = "a tensor `x` or a single tensor of f32, bf16 or f16";
            let found = format!("{} of them ({})", floats.len(), floats.join(", "));
            Err(invalid(input.path(), expected, found, "name one with --tensor"))
        }
    }
}

/// Rows of a file, in the units of a dictionary that reads as widely.
pub struct RowsToEncode<'a> {
    input: &'a TensorFile,
    name: &'a str,
    dictionary: &'a Dictionary,
    /// N.
    pub rows: usize,
}

impl<'a> RowsToEncode<'a> {
    /// The tensor `name` of a file.
    ///
    /// # Errors
    /// It is not there, or is not `[N, D]` with the dictionary's D.
    pub fn of(
        input: &'a TensorFile,
        name: &'a str,
        dictionary: &'a Dictionary,
    ) -> Result<RowsToEncode<'a>, DictionaryError> {
        let refused = |expected, found, next| Err(invalid(input.path(), expected, found, next));
        match input.shape(name) {
            Some([n, d]) if *d == dictionary.d_in => Ok(RowsToEncode { input, name, dictionary, rows: *n }),
            Some(found) => refused(
                format!("`{name}` of shape [N, {}]", dictionary.d_in),
                format!("{found:?}"),
                "take rows of the dictionary's own site",
            ),
            None => refused(format!("a tensor `{name}`"), input.names().join(", "), "check --tensor"),
        }
    }

    /// Writes `features` `[N, F]` and `recon` `[N, D_out]`, dense f32, into the file `out`; `progress` is told how many rows are
    /// done. Returns the number of active features in all rows.
    ///
    /// # Errors
    /// The input cannot be read or holds what is not finite, or the output cannot be written.
    pub fn encode(
        &self,
        out: &Path,
        device: Device,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, DictionaryError> {
        let (rows, dictionary) = (self.rows, self.dictionary);
        let shapes = [[rows, dictionary.width()], [rows, dictionary.d_out]];
        let places = [("features", Dtype::F32, &shapes[0][..]), ("recon", Dtype::F32, &shapes[1][..])];
        let (mut active, mut failed) = (0, None);
        let mut encoder = None;
        let written = write_with(out, &places, &Default::default(), |out| {
            let mut recon = Vec::with_capacity(rows * dictionary.d_out); // [N, D_out]
            for first in (0..rows).step_by(TILE_ROWS) {
                let count = TILE_ROWS.min(rows - first);
                let x = match self.read(first, count) {
                    Ok(x) => x,
                    Err(error) => {
                        failed = Some(error); // what went wrong is the input, not the output
                        return Err(io::ErrorKind::Other.into());
                    }
                };
                let encoder = encoder.get_or_insert_with(|| dictionary.encoder(device, &x, rows));
                let features = encoder.encode(&x);
                active += features.index.len() as u64;
                for n in 0..count {
                    write_dense(out, features.row(n), dictionary.width())?;
                }
                recon.extend(dictionary.reconstruct(device, &x, &features));
                progress((first + count) as u64);
            }
            write_f32(out, &recon)
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(written.map(|()| active)?),
        }
    }

    fn read(&self, first: usize, count: usize) -> Result<Vec<f32>, DictionaryError> {
        let (name, d) = (self.name, self.dictionary.d_in);
        let x = self.input.read_rows(name, d, first, count)?;
        if let Some(at) = x.iter().position(|v| !v.is_finite()) {
            let found = format!("{} at `{name}`{:?}", x[at], [first + at / d, at % d]);
            return Err(invalid(self.input.path(), "finite numbers", found, "harvest the activations again"));
        }
        Ok(x)
    }
}

fn write_dense(out: &mut dyn Write, (index, value): (&[u32], &[f32]), width: usize) -> io::Result<()> {
    let mut row = vec![0.0f32; width];
    index.iter().zip(value).for_each(|(&f, &v)| row[f as usize] = v);
    write_f32(out, &row)
}

fn write_f32(out: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    const CHUNK: usize = 1 << 14;
    values.chunks(CHUNK).try_for_each(|part| {
        let bytes: Vec<u8> = part.iter().flat_map(|v| v.to_le_bytes()).collect();
        out.write_all(&bytes)
    })
}
