//! `lapidary encode`: rows of activations through a dictionary, features and reconstructions into one file. `[N, F]` is
//! streamed, never held.

use crate::file_name;
use crate::global::Global;
use crate::terminal::progress::Progress;
use anyhow::{Context, bail};
use lapidary_dictionary::{Dictionary, load};
use lapidary_files::FileError;
use lapidary_files::tensors::{Dtype, TensorFile, write_with};
use lapidary_lm::Site;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Encode activations with a dictionary
///
/// Reads rows x [N, D] in the model's own units and writes `features` [N, F] and `recon` [N, D], dense f32: a feature's value
/// is its pre-activation where that is above the threshold, else 0. Memory does not grow with N·F; the file does (4 bytes per
/// number).
#[derive(clap::Args)]
pub struct EncodeArgs {
    /// Dictionary: a release folder, a SAELens folder, a Gemma Scope folder or its params.npz
    #[arg(value_name = "DICT")]
    dictionary: PathBuf,
    /// Safetensors file with the rows, [N, D] in f32, bf16 or f16
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// Safetensors file to write; must not exist, unless --overwrite is given
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Tensor to encode [default: `x`, or the only float tensor of the file]
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,
}

/// Rows that are encoded at a time.
const TILE_ROWS: usize = 512;

/// Runs the verb.
pub fn run(args: EncodeArgs, global: &Global) -> anyhow::Result<()> {
    file_name::safetensors(&args.out)?;
    file_name::check_input(&args.input)?;
    let args = EncodeArgs { dictionary: global.catalog.find(&args.dictionary)?, ..args };
    global.output_file(&args.out, &[&args.dictionary, &args.input])?;
    let (dictionary, meta) = load(&args.dictionary)?;
    if let Some(meta) = &meta {
        meta.probe.verify(&args.dictionary, &dictionary, global.catalog.device)?;
    }
    let input = TensorFile::open(&args.input)?;
    let name = tensor_name(&input, args.tensor.as_deref())?;
    if let (Some(meta), None) = (&meta, &args.tensor) {
        check_site(&input, &name, &meta.site)?;
    }
    let rows = rows(&input, &name, &dictionary)?;
    let (f, d) = (dictionary.width(), dictionary.d_out);
    let bytes = rows as u64 * (f as u64 + d as u64) * 4;
    if global.dry_run {
        let json =
            serde_json::json!({ "rows": rows, "features": f, "d_out": d, "bytes": bytes, "out": args.out });
        let mib = bytes >> 20;
        return global.tell(
            &json,
            format_args!("{rows} rows of `{name}` → features [{rows}, {f}], recon [{rows}, {d}]: {mib} MiB"),
        );
    }
    let active = encode(&args, &dictionary, &input, &name, rows, global)?;
    let l0 = active as f64 / rows.max(1) as f64;
    let out = args.out.display();
    global.tell(
        &serde_json::json!({ "rows": rows, "features": f, "d_out": d, "l0": l0, "out": args.out }),
        format_args!("{out}: features [{rows}, {f}], recon [{rows}, {d}], L0 {l0:.2}"),
    )
}

/// The tensor that was named, or `x`, or the only one of floats.
fn tensor_name(input: &TensorFile, named: Option<&str>) -> anyhow::Result<String> {
    if let Some(name) = named {
        return Ok(name.to_string());
    }
    let is_float = |name: &String| matches!(input.dtype(name), Some(Dtype::F32 | Dtype::BF16 | Dtype::F16));
    let mut floats: Vec<String> = input.names().into_iter().filter(is_float).collect();
    match floats.iter().position(|name| name == "x") {
        Some(at) => Ok(floats.swap_remove(at)),
        None if floats.len() == 1 => Ok(floats.remove(0)),
        None => bail!(
            "{}: expected a tensor `x` or a single tensor of f32, bf16 or f16, found {} of them ({}); name one with --tensor",
            input.path().display(),
            floats.len(),
            floats.join(", ")
        ),
    }
}

/// `lapidary lm tap` names tensors by their sites: one that nobody asked for by name must be of the dictionary's own site.
fn check_site(input: &TensorFile, name: &str, site: &str) -> anyhow::Result<()> {
    if name.parse::<Site>().is_ok() && name != site {
        bail!(
            "{}: expected rows of {site}, which the dictionary reads, found `{name}`; take rows of its own site, or say \
             --tensor {name} all the same",
            input.path().display()
        );
    }
    Ok(())
}

/// N, if the tensor is `[N, D]` with the dictionary's D.
fn rows(input: &TensorFile, name: &str, dictionary: &Dictionary) -> anyhow::Result<usize> {
    let path = input.path().display();
    let missing =
        || format!("{path}: expected a tensor `{name}`, found {}; check --tensor", input.names().join(", "));
    match input.shape(name).with_context(missing)? {
        [n, d] if *d == dictionary.d_in => Ok(*n),
        found => bail!(
            "{path}: expected `{name}` of shape [N, {}], found {found:?}; take rows of the dictionary's own site",
            dictionary.d_in
        ),
    }
}

/// Writes the file; the number of active features.
fn encode(
    args: &EncodeArgs,
    dictionary: &Dictionary,
    input: &TensorFile,
    name: &str,
    rows: usize,
    global: &Global,
) -> anyhow::Result<u64> {
    let shapes = [[rows, dictionary.width()], [rows, dictionary.d_out]];
    let places = [("features", Dtype::F32, &shapes[0][..]), ("recon", Dtype::F32, &shapes[1][..])];
    let mut progress = Progress::new(global.quiet, "encode", rows as u64, "rows");
    let (mut active, mut failed) = (0, None);
    let mut encoder = None;
    let written = write_with(&args.out, &places, &Default::default(), |out| {
        let mut recon = Vec::with_capacity(rows * dictionary.d_out); // [N, D_out]
        for first in (0..rows).step_by(TILE_ROWS) {
            let count = TILE_ROWS.min(rows - first);
            let x = match read(input, name, dictionary.d_in, first, count) {
                Ok(x) => x,
                Err(error) => {
                    failed = Some(error); // what went wrong is the input, not the output
                    return Err(io::ErrorKind::Other.into());
                }
            };
            let encoder = encoder.get_or_insert_with(|| dictionary.encoder(global.catalog.device, &x, rows));
            let features = encoder.encode(&x);
            active += features.index.len() as u64;
            for n in 0..count {
                write_dense(out, features.row(n), dictionary.width())?;
            }
            recon.extend(dictionary.reconstruct(global.catalog.device, &x, &features));
            progress.set((first + count) as u64);
        }
        write_f32(out, &recon)
    });
    progress.finish();
    match failed {
        Some(error) => Err(error),
        None => Ok(written.map(|()| active)?),
    }
}

fn read(input: &TensorFile, name: &str, d: usize, first: usize, count: usize) -> anyhow::Result<Vec<f32>> {
    let x = input.read_rows(name, d, first, count)?;
    if let Some(at) = x.iter().position(|v| !v.is_finite()) {
        bail!(not_finite(input.path(), name, [first + at / d, at % d], x[at]));
    }
    Ok(x)
}

fn not_finite(path: &Path, name: &str, index: [usize; 2], value: f32) -> FileError {
    FileError::invalid(
        path,
        "finite numbers",
        format!("{value} at `{name}`{index:?}"),
        "harvest the activations again",
    )
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
