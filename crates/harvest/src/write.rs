//! One pass of the model over a corpus into a store: windows in reading order, every site at once.

use crate::fused::runs;
use crate::{FusedRows, HarvestError};
use lapidary_files::Identity;
use lapidary_lm::{Model, Site, Spec};
use lapidary_store::{Labels, Manifest, Norm, RowDtype, RowSource, StoreInfo, StoreWriter, TextInfo};
use lapidary_text::{Corpus, Split, Window};
use std::path::PathBuf;

/// Where to, how, and what the manifest says of the causes.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Folder of the store.
    pub dir: PathBuf,
    /// Precision of the rows.
    pub dtype: RowDtype,
    /// Bytes of a shard, at most.
    pub shard_bytes: u64,
    /// Rows that C is measured on.
    pub norm: Norm,
    /// The model's name and hash.
    pub model: Identity,
    /// The split that the corpus was read for.
    pub split: Split,
    /// T that it was read with.
    pub context: usize,
    /// blake3 of the plan that caused this store.
    pub plan_hash: String,
    /// Go on where a harvest of this plan was interrupted.
    pub resume: bool,
}

/// Runs the model over the corpus and writes its rows at `sites`. `progress(rows done, rows in all)` is called after each
/// run of the model. The manifest comes last: an interrupted harvest leaves no store, but shards with which it can go on.
///
/// # Errors
/// Sites that the model does not have, a folder that is not empty, a full disk, a site whose rows have no norm.
pub fn write_store(
    model: &Model,
    corpus: &Corpus,
    sites: &[Site],
    options: &StoreOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, HarvestError> {
    let mut rows = FusedRows::new(model, corpus, sites, options.dtype)?;
    let info = info(&rows, corpus, options);
    let window_rows = rows.window_rows().to_vec();
    let mut writer = match options.resume {
        true => StoreWriter::resume(&options.dir, info, options.shard_bytes, &window_rows)?,
        false => StoreWriter::create(&options.dir, info, options.shard_bytes)?,
    };
    let sum = |rows: &[u32]| rows.iter().map(|&r| u64::from(r)).sum();
    let (total, mut done) = (sum(&window_rows), sum(&window_rows[..writer.windows()]));
    let windows: Vec<u32> = (writer.windows() as u32..window_rows.len() as u32).collect();
    let mut values = vec![Vec::new(); sites.len()];
    progress(done, total);
    for run in runs(&windows, |w| corpus.windows[w as usize].tokens.len()) {
        rows.read(run, &mut values)?;
        let mut first = 0;
        for &w in run {
            let count = window_rows[w as usize] as usize;
            let slices =
                rows.sites().iter().zip(&values).map(|(s, v)| &v[first * s.width..][..count * s.width]);
            writer.push(&labels(&corpus.windows[w as usize], &model.spec), &slices.collect::<Vec<_>>())?;
            first += count;
        }
        done += first as u64;
        progress(done, total);
    }
    Ok(writer.finish(options.norm)?)
}

fn info(rows: &FusedRows<'_>, corpus: &Corpus, options: &StoreOptions) -> StoreInfo {
    StoreInfo {
        plan_hash: options.plan_hash.clone(),
        model: options.model.clone(),
        text: TextInfo {
            split: options.split.to_string(),
            split_rule: options.split.rule().to_string(),
            hash: corpus.hash.clone(),
            documents: corpus.documents as u64,
            context: options.context as u64,
        },
        dtype: options.dtype,
        sites: rows.sites().to_vec(),
    }
}

/// Token, document and place in the document of each row of a window.
fn labels(window: &Window, spec: &Spec) -> Labels {
    let mut labels = Labels::default();
    for p in window.row_positions(spec) {
        labels.tokens.push(window.tokens[p]);
        labels.doc.push(window.doc);
        labels.pos.push(window.document_position(p, spec));
    }
    labels
}
