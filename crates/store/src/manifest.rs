//! `manifest.json`: what a store holds. Published last, so a folder without it is an unfinished harvest.
//!
//! A store is `manifest.json`, `windows.safetensors` (`rows` u32 [W]: rows of each window) and `shard-NNNNN.safetensors`,
//! each with the rows of whole windows in window order: one tensor `[n, D]` per site in the store's dtype, and `tokens`,
//! `doc`, `pos` u32 [n] (token id, index of the document, index of the token in the document). A reader checks everything
//! here against the files before it allocates anything that a file asks for.

use crate::{Order, RowDtype, SiteRows};
use lapidary_files::tensors::{Dtype, TensorFile};
use lapidary_files::{FileError, Identity, read_string};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// The only version that there is.
pub const FORMAT_VERSION: u32 = 1;

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const WINDOWS: &str = "windows.safetensors";
/// Tensors of a shard that are no site.
pub(crate) const LABELS: [&str; 3] = ["tokens", "doc", "pos"];

/// Longest manifest that is read: room for 200,000 shards.
const MAX_BYTES: u64 = 64 << 20;
const AGAIN: &str = "run `lapidary harvest` again with --overwrite";

/// All that is known of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// blake3 of the plan that caused this store.
    pub plan_hash: String,
    /// The model's name and the hash of its files.
    pub model: Identity,
    /// What the model read.
    pub text: TextInfo,
    /// Precision of the rows.
    pub dtype: RowDtype,
    /// The sites.
    pub sites: Vec<SiteRows>,
    /// C per site (not squared), over the rows that `norm` says.
    pub c: BTreeMap<String, f64>,
    /// Which rows gave C.
    pub norm: Norm,
    /// Rows of all shards.
    pub rows: u64,
    /// Windows of all shards, W.
    pub windows: u64,
    /// Size and hash of `windows.safetensors`.
    pub windows_file: Stamp,
    /// The shards, in window order.
    pub shards: Vec<Shard>,
}

/// The part of a manifest that is known before the first row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// blake3 of the plan that caused this store.
    pub plan_hash: String,
    /// The model's name and the hash of its files.
    pub model: Identity,
    /// What the model read.
    pub text: TextInfo,
    /// Precision of the rows.
    pub dtype: RowDtype,
    /// The sites.
    pub sites: Vec<SiteRows>,
}

/// The text behind a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextInfo {
    /// `train`, `held-out` or `all`.
    pub split: String,
    /// The rule that splits, in words.
    pub split_rule: String,
    /// The documents' hash.
    pub hash: String,
    /// Documents of the split.
    pub documents: u64,
    /// T, tokens of a full window.
    pub context: u64,
}

/// Which rows give C: the first `rows` of the order (or all of one epoch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Norm {
    /// Seed of the order.
    pub seed: u64,
    /// Rows of a pool of the order.
    pub pool_rows: usize,
    /// Rows asked for.
    pub rows: u64,
}

impl Norm {
    /// The order.
    pub fn order(&self) -> Order {
        Order { seed: self.seed, pool_rows: self.pool_rows }
    }
}

/// Size and hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// Length of the file.
    pub bytes: u64,
    /// blake3, hex.
    pub blake3: String,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Its name in the store's folder.
    pub file: String,
    /// Windows in it.
    pub windows: u64,
    /// Rows in it.
    pub rows: u64,
    /// Length of the file.
    pub bytes: u64,
    /// blake3 of the file, hex.
    pub blake3: String,
}

impl Manifest {
    /// Reads and checks the manifest of the store in `dir`, without looking at the shards.
    ///
    /// # Errors
    /// No store there, an unfinished one, another format version, or a manifest that contradicts itself.
    pub fn read(dir: &Path) -> Result<Manifest, FileError> {
        let path = dir.join(MANIFEST);
        if dir.is_dir() && !path.exists() {
            return Err(no_manifest(dir));
        }
        let json = read_string(&path, MAX_BYTES)?;
        let broken =
            |e: serde_json::Error| FileError::invalid(&path, "a store's manifest", e.to_string(), AGAIN);
        let version: Version = serde_json::from_str(&json).map_err(broken)?;
        if version.format_version != FORMAT_VERSION {
            let expected = format!("format version {FORMAT_VERSION}");
            let next = "use the version of lapidary that wrote it, or harvest again";
            return Err(FileError::invalid(
                &path,
                expected,
                format!("version {}", version.format_version),
                next,
            ));
        }
        let manifest: Manifest = serde_json::from_str(&json).map_err(broken)?;
        manifest.check().map_err(|(expected, found)| FileError::invalid(&path, expected, found, AGAIN))?;
        Ok(manifest)
    }

    /// Contradictions inside: (expected, found).
    fn check(&self) -> Result<(), (String, String)> {
        let fail = |expected: &str, found: String| Err((expected.to_string(), found));
        let mut names: HashSet<&str> = LABELS.into();
        for site in &self.sites {
            if site.width == 0 || site.width > 1 << 24 || !names.insert(&site.site) {
                return fail(
                    "distinct sites of a possible width",
                    format!("{} of {}", site.site, site.width),
                );
            }
            if !self.c.get(&site.site).is_some_and(|c| c.is_finite() && *c > 0.0) {
                return fail(
                    "a positive `c` for each site",
                    format!("{:?} for {}", self.c.get(&site.site), site.site),
                );
            }
        }
        let mut files = HashSet::new();
        for shard in &self.shards {
            if !is_plain(&shard.file) || !files.insert(&shard.file) {
                return fail("distinct plain file names of shards", format!("`{}`", shard.file));
            }
        }
        self.check_sums()
    }

    fn check_sums(&self) -> Result<(), (String, String)> {
        let sum = |of: fn(&Shard) -> u64| self.shards.iter().try_fold(0u64, |a, s| a.checked_add(of(s)));
        let (rows, windows) = (sum(|s| s.rows), sum(|s| s.windows));
        if self.sites.is_empty() || self.rows == 0 {
            let found = format!("{} sites, {} rows", self.sites.len(), self.rows);
            return Err(("at least one site and one row".into(), found));
        }
        if rows != Some(self.rows) || windows != Some(self.windows) || self.windows > u64::from(u32::MAX) {
            let expected = format!("shards of {} rows and {} windows together", self.rows, self.windows);
            return Err((expected, format!("{rows:?} and {windows:?}")));
        }
        Ok(())
    }
}

/// The one field that is read before the version is known to be ours.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// No separators, no parents: a hostile manifest must not lead out of its folder.
fn is_plain(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|n| n == name) && !name.contains(['/', '\\'])
}

fn no_manifest(dir: &Path) -> FileError {
    let found = match std::fs::read_dir(dir).map(|entries| entries.count()) {
        Ok(n) if n > 0 => {
            format!("{n} files and no manifest: a harvest that did not finish, or another kind of folder")
        }
        _ => "an empty folder".to_string(),
    };
    FileError::invalid(dir, "a finished store", found, AGAIN)
}

impl Shard {
    /// Opens the shard's file and checks its size, tensors, shapes and dtypes; reads no row.
    pub(crate) fn open(&self, dir: &Path, manifest: &Manifest) -> Result<TensorFile, FileError> {
        let path = dir.join(&self.file);
        check_length(&path, self.bytes)?;
        let file = TensorFile::open(&path)?;
        let dtype = match manifest.dtype {
            RowDtype::F32 => Dtype::F32,
            RowDtype::Bf16 => Dtype::BF16,
        };
        for site in &manifest.sites {
            expect(&file, &site.site, dtype, &[self.rows, site.width as u64])?;
        }
        LABELS.iter().try_for_each(|name| expect(&file, name, Dtype::U32, &[self.rows]))?;
        Ok(file)
    }
}

/// Refuses a tensor of another dtype or shape.
pub(crate) fn expect(file: &TensorFile, name: &str, dtype: Dtype, shape: &[u64]) -> Result<(), FileError> {
    let found = file.shape(name).map(|s| s.iter().map(|&d| d as u64).collect::<Vec<_>>());
    if file.dtype(name) == Some(dtype) && found.as_deref() == Some(shape) {
        return Ok(());
    }
    let found = match (file.dtype(name), found) {
        (Some(dtype), Some(shape)) => format!("{dtype:?} {shape:?}"),
        _ => format!("only {}", file.names().join(", ")),
    };
    Err(FileError::invalid(file.path(), format!("`{name}` as {dtype:?} {shape:?}"), found, AGAIN))
}

/// Refuses a file of another length.
pub(crate) fn check_length(path: &Path, bytes: u64) -> Result<(), FileError> {
    let length = std::fs::metadata(path).map_err(FileError::io(path, "read"))?.len();
    if length == bytes {
        return Ok(());
    }
    let next = format!("the file was cut short or replaced: {AGAIN}");
    Err(FileError::invalid(path, format!("{bytes} bytes"), format!("{length}"), next))
}

/// Refuses a file with another blake3; streamed.
pub(crate) fn check_hash(path: &Path, blake3: &str) -> Result<(), FileError> {
    let found = lapidary_files::hash::file(path)?;
    if found == blake3 {
        return Ok(());
    }
    let next = format!("the file was damaged or replaced: {AGAIN}");
    Err(FileError::invalid(path, format!("blake3 {blake3}"), found, next))
}

/// The name of shard `index`.
pub(crate) fn shard_name(index: usize) -> String {
    format!("shard-{index:05}.safetensors")
}
