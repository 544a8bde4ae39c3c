//! A harvest: one pass of a model over a text, its rows kept in a store that suites train on.

use crate::SuiteError;
use lapidary_catalog::Opened;
use lapidary_files::hash;
use lapidary_harvest::{FusedRows, StoreOptions, write_store};
use lapidary_lm::{Site, Spec};
use lapidary_store::{DEFAULT_SHARD_BYTES, Manifest, Norm, RowDtype, RowSource, SiteRows};
use lapidary_text::{Corpus, Split};
use std::path::Path;

/// What is to be harvested.
pub struct Harvest<'a> {
    /// The model.
    pub opened: &'a Opened,
    /// Windows of the documents of `split`.
    pub corpus: &'a Corpus,
    /// Which documents these are.
    pub split: Split,
    /// Tokens per window, BOS included.
    pub context: usize,
    /// Whose rows are kept.
    pub sites: &'a [Site],
    /// Precision of the rows.
    pub dtype: RowDtype,
    /// How C is measured.
    pub norm: Norm,
}

impl Harvest<'_> {
    /// Writes the store into an empty folder, or goes on with one (`resume`) that was interrupted; `progress(rows done, rows in all)` is called from its beginning on.
    ///
    /// # Errors
    /// The model cannot be read, or the store cannot be written.
    pub fn write(
        &self,
        folder: &Path,
        resume: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Manifest, SuiteError> {
        let model = self.opened.model()?;
        let rows = FusedRows::new(model, self.corpus, self.sites, self.dtype)?;
        let options = StoreOptions { resume, ..self.options(folder, rows.sites())? };
        Ok(write_store(model, self.corpus, self.sites, &options, progress)?)
    }

    fn options(&self, folder: &Path, sites: &[SiteRows]) -> Result<StoreOptions, SuiteError> {
        let Harvest { opened, corpus, split, context, dtype, norm, .. } = self;
        let mut plan = serde_json::json!({
            "model": opened.hash()?, "text": corpus.hash, "split": split, "split_rule": split.rule(), "context": context,
            "dtype": dtype, "sites": sites, "norm": norm, "shard_bytes": DEFAULT_SHARD_BYTES,
        });
        if let Some(precision) = opened.precision.recorded() {
            plan["precision"] = precision.into();
        }
        Ok(StoreOptions {
            dir: folder.to_path_buf(),
            dtype: *dtype,
            shard_bytes: DEFAULT_SHARD_BYTES,
            norm: *norm,
            model: opened.identity()?,
            split: *split,
            context: *context,
            plan_hash: hash::bytes(plan.to_string().as_bytes()),
            resume: false,
        })
    }

    /// What it will write.
    pub fn size(&self) -> Size {
        let spec: &Spec = &self.opened.spec;
        let rows = self.corpus.window_rows(spec).iter().map(|&r| u64::from(r)).sum();
        let width: usize = self.sites.iter().map(|&site| spec.width(site)).sum();
        let labels = 3 * 4; // token, document, position
        let bytes = rows * (width * self.dtype.bytes() + labels) as u64;
        Size { rows, windows: self.corpus.windows.len(), bytes }
    }
}

/// What a harvest will write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// At each site.
    pub rows: u64,
    /// Of tokens.
    pub windows: usize,
    /// On disk, about.
    pub bytes: u64,
}
