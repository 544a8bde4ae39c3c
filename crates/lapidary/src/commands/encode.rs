//! `lapidary encode`: rows of activations through a dictionary, features and reconstructions into one file.

use crate::global::Global;
use crate::terminal::progress::Progress;
use anyhow::bail;
use lapidary_dictionary::encode_file::{RowsToEncode, tensor_name};
use lapidary_dictionary::load;
use lapidary_files::file_name;
use lapidary_files::tensors::TensorFile;
use lapidary_lm::Site;
use std::path::PathBuf;

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
    let to_encode = RowsToEncode::of(&input, &name, &dictionary)?;
    let rows = to_encode.rows;
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
    let mut bar = Progress::new(global.quiet, "encode", rows as u64, "rows");
    let active = to_encode.encode(&args.out, global.catalog.device, &mut |done| bar.set(done));
    bar.finish();
    let active = active?;
    let l0 = active as f64 / rows.max(1) as f64;
    let out = args.out.display();
    global.tell(
        &serde_json::json!({ "rows": rows, "features": f, "d_out": d, "l0": l0, "out": args.out }),
        format_args!("{out}: features [{rows}, {f}], recon [{rows}, {d}], L0 {l0:.2}"),
    )
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
