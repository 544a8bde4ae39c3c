//! `lapidary harvest`: one pass of a model over text, its activations at many sites kept in a store.

use crate::global::Global;
use crate::terminal;
use crate::terminal::progress::Progress;
use lapidary_catalog::Opened;
use lapidary_catalog::text::Text;
use lapidary_report::number::{bytes, count, significant};
use lapidary_report::table::{Align, text};
use lapidary_store::{Manifest, Norm, RowDtype, STORE, SiteRows};
use lapidary_suite::harvest::{Harvest, Size};
use lapidary_text::{Split, resolve_context};
use std::path::{Path, PathBuf};

/// Run a model over text once and keep its activations in a store
///
/// Writes immutable safetensors shards (all sites of one pass, and each row's token, document and position) and, last,
/// `manifest.json` with hashes and normalisation constants. A folder without a manifest is an unfinished harvest: the same command
/// with --resume goes on with it, and ends with the same bytes. --overwrite keeps an older store until the new one is whole. A suite reads the store by `[rows] store = "STORE"` and then trains the same bytes as without.
#[derive(clap::Args)]
pub struct HarvestArgs {
    /// Model folder (config.json, safetensors, tokenizer.json) or GGUF file, as a path or inside --data
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// Text files in UTF-8, folders of them, or - for standard input; documents are separated by `<|endoftext|>`
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    text: Vec<PathBuf>,
    /// Sites: `all`, or a list such as `0.res,3.mlp,*.att`; TransformerLens's and Hugging Face's names do too
    #[arg(long, value_name = "LIST")]
    sites: String,
    /// Folder of the store; must be empty or missing, unless --resume or --overwrite is given
    #[arg(long, value_name = "STORE")]
    out: PathBuf,
    /// Go on with a harvest that was interrupted
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Tokens of a window, BOS included [default: the model's context, at most 1024]
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Precision of the rows: f32 or bf16 (half the disk)
    #[arg(long, value_name = "DTYPE", default_value_t = RowDtype::F32)]
    dtype: RowDtype,
    /// Documents: train, validation, held-out or all
    #[arg(long, value_name = "SPLIT", default_value_t = Split::Train)]
    split: Split,
    /// Seed of the order that the normalisation constants are measured in
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Rows of a pool of that order, at least
    #[arg(long, value_name = "ROWS", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..))]
    pool_rows: u32,
    /// Rows that the constants are measured on [default: as many as --pool-rows]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    norm_rows: Option<u64>,
}

/// Runs the verb.
pub fn run(args: HarvestArgs, global: &Global) -> anyhow::Result<()> {
    let texts = Text::parse(&args.text, &global.catalog)?;
    let model = global.catalog.find(&args.model).unwrap_or_default(); // what is wrong with it is said when it is opened
    let inputs = [&[model], texts.files()].concat();
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    let out = global.output_folder(&args.out, &STORE, args.resume, &inputs)?;
    let opened = Opened::open(&args.model, &[], None, &global.catalog)?;
    let sites = opened.spec.parse_sites(&args.sites)?;
    let context = resolve_context(&opened.spec, args.context)?;
    let corpus = texts.corpus(&opened, context, args.split)?;
    let rows = args.norm_rows.unwrap_or(args.pool_rows.into());
    let norm = Norm { seed: args.seed, pool_rows: args.pool_rows as usize, rows };
    let (split, dtype) = (args.split, args.dtype);
    let harvest = Harvest { opened: &opened, corpus: &corpus, split, context, sites: &sites, dtype, norm };
    let Some(out) = out else { return print_size(&harvest, global) };
    let mut bar = None;
    let manifest = harvest.write(&out.path, args.resume, &mut |done, total| {
        bar.get_or_insert_with(|| Progress::new(global.quiet, "harvest", total, "rows")).set(done);
    });
    bar.into_iter().for_each(Progress::finish);
    let manifest = manifest?;
    out.finish()?;
    print(&args, &manifest, global)
}

fn print_size(harvest: &Harvest<'_>, global: &Global) -> anyhow::Result<()> {
    let Size { rows, windows, bytes: size } = harvest.size();
    let (sites, documents) = (harvest.sites.len(), harvest.corpus.documents);
    let json = serde_json::json!({
        "rows": rows, "windows": windows, "documents": documents, "sites": sites, "bytes": size,
    });
    let (rows, windows, documents) = (count(rows), count(windows as u64), count(documents as u64));
    let size = bytes(size);
    global.tell(
        &json,
        format_args!(
            "{documents} documents, {windows} windows, {rows} rows at {sites} sites: {size} on disk"
        ),
    )
}

fn print(args: &HarvestArgs, manifest: &Manifest, global: &Global) -> anyhow::Result<()> {
    let size: u64 = manifest.shards.iter().map(|s| s.bytes).sum();
    if global.json {
        let value = serde_json::json!({
            "store": args.out, "rows": manifest.rows, "windows": manifest.windows, "shards": manifest.shards.len(),
            "bytes": size, "dtype": manifest.dtype, "text": manifest.text, "sites": manifest.sites, "c": manifest.c,
            "plan_hash": manifest.plan_hash,
        });
        return terminal::line(value);
    }
    let row = |s: &SiteRows| vec![s.site.clone(), s.width.to_string(), significant(manifest.c[&s.site], 5)];
    let rows: Vec<_> = manifest.sites.iter().map(row).collect();
    terminal::line(text(&[("site", Align::Left), ("width", Align::Right), ("C", Align::Right)], &rows))?;
    let (rows, shards) = (count(manifest.rows), manifest.shards.len());
    let documents = count(manifest.text.documents);
    let (out, size) = (args.out.display(), bytes(size));
    terminal::line(format_args!("{out}: {rows} rows of {documents} documents, {size} in {shards} shards"))
}
