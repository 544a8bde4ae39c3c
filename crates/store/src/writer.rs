//! Writes a store, window by window. Shards are immutable: each is published whole when the next window would overfill it,
//! and a window is never split. The manifest comes last. In memory: one shard.

use crate::manifest::{FORMAT_VERSION, LABELS, MANIFEST, WINDOWS, shard_name};
use crate::{Batches, Manifest, Norm, RowDtype, Shard, SourceError, Stamp, StoreInfo, StoreReader, norms};
use half::bf16;
use lapidary_files::tensors::{self, Dtype, Tensor, TensorFile};
use lapidary_files::{Content, FileError, Kind, content, hash, publish};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Bytes of a shard, at most (a longer window has a shard of its own).
pub const DEFAULT_SHARD_BYTES: u64 = 256 << 20;

/// A store's folder.
pub const STORE: Kind = Kind {
    name: "store",
    owns: &["manifest.json", "windows.safetensors", "shard-*.safetensors"],
    resumed_by: None,
};

/// Rows that C is measured on go through the order in batches of this many.
const NORM_BATCH: usize = 1024;

/// What stands beside the rows of one window, each `[n]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Index of the document.
    pub doc: Vec<u32>,
    /// Index of the token in the document.
    pub pos: Vec<u32>,
}

/// A store being written.
#[derive(Debug)]
pub struct StoreWriter {
    dir: PathBuf,
    info: StoreInfo,
    shard_bytes: u64,
    window_rows: Vec<u32>,
    shards: Vec<Shard>,
    pending: Pending,
}

/// The shard in memory.
#[derive(Debug, Default)]
struct Pending {
    windows: u64,
    labels: Labels,
    /// Little-endian elements per site.
    sites: Vec<Vec<u8>>,
}

impl StoreWriter {
    /// Starts a store in `dir`, which is created, and must hold nothing (but perhaps a folder's mark).
    pub fn create(dir: &Path, info: StoreInfo, shard_bytes: u64) -> Result<StoreWriter, FileError> {
        lapidary_files::create_dir(dir)?;
        if content(dir)? != Content::Nothing {
            let next = "choose another folder, or give --overwrite";
            return Err(FileError::invalid(dir, "an empty folder", "files in it", next));
        }
        Ok(StoreWriter::empty(dir, info, shard_bytes))
    }

    /// Goes on in `dir`, where a harvest of this plan was interrupted: the shards that are there are kept, in order, up to the
    /// first that is missing or not whole. `window_rows`: rows of every window of the harvest, from the first.
    ///
    /// # Errors
    /// A shard of another plan; a file that cannot be read.
    pub fn resume(
        dir: &Path,
        info: StoreInfo,
        shard_bytes: u64,
        window_rows: &[u32],
    ) -> Result<StoreWriter, FileError> {
        let mut writer = StoreWriter::empty(dir, info, shard_bytes);
        while let Some(shard) = writer.next_shard(&window_rows[writer.windows()..])? {
            let windows = writer.windows() + shard.windows as usize;
            writer.window_rows.extend_from_slice(&window_rows[writer.windows()..windows]);
            writer.shards.push(shard);
        }
        Ok(writer)
    }

    fn empty(dir: &Path, info: StoreInfo, shard_bytes: u64) -> StoreWriter {
        let pending = Pending { sites: vec![Vec::new(); info.sites.len()], ..Pending::default() };
        let (window_rows, shards) = (Vec::new(), Vec::new());
        StoreWriter { dir: dir.into(), info, shard_bytes, window_rows, shards, pending }
    }

    /// Windows that have been pushed, now or before the harvest was interrupted.
    pub fn windows(&self) -> usize {
        self.window_rows.len()
    }

    /// The next shard, if it lies whole in the folder; it begins with the first of `window_rows`.
    fn next_shard(&self, window_rows: &[u32]) -> Result<Option<Shard>, FileError> {
        let (mut rows, mut windows) = (0, 0);
        for &n in window_rows {
            if self.overfills(rows, n as usize) {
                break;
            }
            (rows, windows) = (rows + n as usize, windows + 1);
        }
        let file = shard_name(self.shards.len());
        let path = self.dir.join(&file);
        if windows == 0 || !path.is_file() {
            return Ok(None);
        }
        let Ok(there) = TensorFile::open(&path) else { return Ok(None) };
        if there.metadata().get("plan_hash") != Some(&self.info.plan_hash) {
            let next = "resume with the model, text and options it began with, or give --overwrite";
            return Err(FileError::invalid(&path, "a shard of this harvest", "one of another", next));
        }
        let whole = there.shape(LABELS[0]) == Some(&[rows]);
        let stamp = whole.then(|| stamp(&path)).transpose()?;
        let shard = |Stamp { bytes, blake3 }| Shard { file, windows, rows: rows as u64, bytes, blake3 };
        Ok(stamp.map(shard))
    }

    /// Would a window of `n` rows make a shard of `have` rows too large?
    fn overfills(&self, have: usize, n: usize) -> bool {
        let row_bytes: usize = self.info.sites.iter().map(|s| s.width * self.info.dtype.bytes()).sum();
        have > 0 && ((have + n) * (row_bytes + 4 * LABELS.len())) as u64 > self.shard_bytes
    }

    /// Appends the next window: labels `[n]` and, per site, rows `[n, D]` (rounded to the store's dtype on the way).
    pub fn push(&mut self, labels: &Labels, rows: &[&[f32]]) -> Result<(), FileError> {
        let n = labels.tokens.len();
        assert!(labels.doc.len() == n && labels.pos.len() == n, "labels of one window have one length");
        assert_eq!(rows.len(), self.info.sites.len(), "rows of every site");
        if self.overfills(self.pending.labels.tokens.len(), n) {
            self.flush()?;
        }
        for ((site, values), bytes) in self.info.sites.iter().zip(rows).zip(&mut self.pending.sites) {
            assert_eq!(values.len(), n * site.width, "site {}: [n, D]", site.site);
            append(self.info.dtype, values, bytes);
        }
        self.pending.labels.tokens.extend_from_slice(&labels.tokens);
        self.pending.labels.doc.extend_from_slice(&labels.doc);
        self.pending.labels.pos.extend_from_slice(&labels.pos);
        self.pending.windows += 1;
        self.window_rows.push(n as u32);
        Ok(())
    }

    /// Publishes the last shard, the window lengths, then the manifest with C as `norm` says.
    ///
    /// # Errors
    /// A file that cannot be written, no rows at all, a site whose rows have no finite, positive norm.
    pub fn finish(mut self, norm: Norm) -> Result<Manifest, SourceError> {
        self.flush()?;
        let windows_file = self.write_windows()?;
        let info = self.info;
        let mut manifest = Manifest {
            format_version: FORMAT_VERSION,
            plan_hash: info.plan_hash,
            model: info.model,
            text: info.text,
            dtype: info.dtype,
            sites: info.sites,
            c: Default::default(),
            norm,
            rows: self.shards.iter().map(|s| s.rows).sum(),
            windows: self.window_rows.len() as u64,
            windows_file,
            shards: self.shards,
        };
        let reader = StoreReader::trust(&self.dir, manifest.clone(), self.window_rows);
        let c = norms(&mut Batches::new(reader, norm.order(), NORM_BATCH)?, norm.rows)?;
        manifest.c = manifest.sites.iter().map(|s| s.site.clone()).zip(c).collect();
        let json = serde_json::to_string_pretty(&manifest)? + "\n";
        publish(&self.dir.join(MANIFEST), json.as_bytes())?;
        Ok(manifest)
    }

    /// Publishes the pending windows as a shard.
    fn flush(&mut self) -> Result<(), FileError> {
        let pending = &mut self.pending;
        if pending.windows == 0 {
            return Ok(());
        }
        let (file, rows) = (shard_name(self.shards.len()), pending.labels.tokens.len());
        let labels =
            [&pending.labels.tokens, &pending.labels.doc, &pending.labels.pos].map(|l| little_endian(l));
        let shapes: Vec<_> = self.info.sites.iter().map(|s| [rows, s.width]).collect();
        let label = |(name, bytes)| Tensor { name, dtype: Dtype::U32, shape: &shapes[0][..1], bytes };
        let mut all: Vec<_> = LABELS.into_iter().zip(labels.iter().map(Vec::as_slice)).map(label).collect();
        for ((site, shape), bytes) in self.info.sites.iter().zip(&shapes).zip(&pending.sites) {
            all.push(Tensor { name: &site.site, dtype: dtype(self.info.dtype), shape, bytes });
        }
        let stamp = write(&self.dir.join(&file), &all, &self.info.plan_hash)?;
        let (windows, rows) = (pending.windows, rows as u64);
        self.shards.push(Shard { file, windows, rows, bytes: stamp.bytes, blake3: stamp.blake3 });
        pending.windows = 0;
        pending.labels = Labels::default();
        pending.sites.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    fn write_windows(&self) -> Result<Stamp, FileError> {
        let (shape, bytes) = ([self.window_rows.len()], little_endian(&self.window_rows));
        let tensor = Tensor { name: "rows", dtype: Dtype::U32, shape: &shape, bytes: &bytes };
        write(&self.dir.join(WINDOWS), &[tensor], &self.info.plan_hash)
    }
}

/// Publishes tensors with version and plan hash, and stamps the file.
fn write(path: &Path, all: &[Tensor<'_>], plan_hash: &str) -> Result<Stamp, FileError> {
    let metadata = [("format_version", FORMAT_VERSION.to_string()), ("plan_hash", plan_hash.to_string())];
    tensors::write(path, all, &HashMap::from(metadata.map(|(k, v)| (k.to_string(), v))))?;
    stamp(path)
}

fn stamp(path: &Path) -> Result<Stamp, FileError> {
    let bytes = std::fs::metadata(path).map_err(FileError::io(path, "read"))?.len();
    Ok(Stamp { bytes, blake3: hash::file(path)? })
}

fn dtype(dtype: RowDtype) -> Dtype {
    match dtype {
        RowDtype::F32 => Dtype::F32,
        RowDtype::Bf16 => Dtype::BF16,
    }
}

fn append(dtype: RowDtype, values: &[f32], bytes: &mut Vec<u8>) {
    match dtype {
        RowDtype::F32 => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
        RowDtype::Bf16 => bytes.extend(values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes())),
    }
}

fn little_endian(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
