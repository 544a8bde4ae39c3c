//! Serves the rows of a store. Everything is checked when it is opened (sizes, headers, shapes, dtypes) and each shard's
//! blake3 when it is first read, streamed. In memory: four numbers per window, and what is asked for.

use crate::manifest::{WINDOWS, check_hash, check_length, expect};
use crate::{Manifest, RowSource, SiteRows, SourceError};
use lapidary_files::FileError;
use lapidary_files::tensors::{Dtype, TensorFile};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// An open store. Fields are private: places agree with the files.
#[derive(Debug)]
pub struct StoreReader {
    dir: PathBuf,
    manifest: Manifest,
    /// The sites that are served.
    sites: Vec<SiteRows>,
    window_rows: Vec<u32>,
    /// (shard, first row in it) of each window.
    places: Vec<(u32, u64)>,
    /// Shards whose blake3 has been checked.
    verified: Vec<bool>,
}

/// A window asked for: where its rows are, and where they go.
struct Request {
    shard: u32,
    first: usize,
    rows: usize,
    /// Row of the output.
    to: usize,
}

impl StoreReader {
    /// Opens the store in `dir`, and serves all its sites.
    ///
    /// # Errors
    /// No store, an unfinished or a damaged one, one of another format.
    pub fn open(dir: &Path) -> Result<StoreReader, FileError> {
        let manifest = Manifest::read(dir)?;
        for shard in &manifest.shards {
            shard.open(dir, &manifest)?;
        }
        let window_rows = read_windows(dir, &manifest)?;
        let mut next = window_rows.iter();
        for shard in &manifest.shards {
            let rows: u64 = next.by_ref().take(shard.windows as usize).map(|&r| u64::from(r)).sum();
            if rows != shard.rows {
                let expected = format!("windows of {} rows in {}", shard.rows, shard.file);
                let next = "run `lapidary harvest` again with --overwrite";
                return Err(FileError::invalid(&dir.join(WINDOWS), expected, rows.to_string(), next));
            }
        }
        let mut reader = StoreReader::trust(dir, manifest, window_rows);
        reader.verified.fill(false);
        Ok(reader)
    }

    /// A store whose files are known to be as the manifest says.
    pub(crate) fn trust(dir: &Path, manifest: Manifest, window_rows: Vec<u32>) -> StoreReader {
        let (mut places, mut next) = (Vec::with_capacity(window_rows.len()), window_rows.iter());
        for (s, shard) in manifest.shards.iter().enumerate() {
            let mut first = 0;
            for &rows in next.by_ref().take(shard.windows as usize) {
                places.push((s as u32, first));
                first += u64::from(rows);
            }
        }
        let (sites, verified) = (manifest.sites.clone(), vec![true; manifest.shards.len()]);
        StoreReader { dir: dir.into(), manifest, sites, window_rows, places, verified }
    }

    /// Serves only `sites`, in that order.
    ///
    /// # Errors
    /// A site that the store does not have.
    pub fn select(mut self, sites: &[String]) -> Result<StoreReader, FileError> {
        let all = &self.manifest.sites;
        let find = |name: &String| {
            all.iter().find(|s| s.site == *name).cloned().ok_or_else(|| {
                let have = all.iter().map(|s| s.site.as_str()).collect::<Vec<_>>().join(", ");
                let next = "choose among these, or harvest that site";
                FileError::invalid(&self.dir, format!("a site `{name}`"), format!("only {have}"), next)
            })
        };
        self.sites = sites.iter().map(find).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// What the store says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// C of the served sites, over the rows that the manifest's `norm` says.
    pub fn constants(&self) -> Vec<f64> {
        self.sites.iter().map(|s| self.manifest.c[&s.site]).collect()
    }

    /// Checks the blake3 of every shard that has not been read yet.
    pub fn verify(&mut self) -> Result<(), FileError> {
        (0..self.verified.len()).try_for_each(|s| self.shard(s).map(drop))
    }

    /// Opens a shard, the first time after checking its hash. Files are not kept open: a pool opens each shard once.
    fn shard(&mut self, index: usize) -> Result<TensorFile, FileError> {
        let shard = &self.manifest.shards[index];
        if !self.verified[index] {
            check_hash(&self.dir.join(&shard.file), &shard.blake3)?;
            self.verified[index] = true;
        }
        shard.open(&self.dir, &self.manifest)
    }

    /// Requests for `windows`, sorted by place on disk, and their rows together.
    fn requests(&self, windows: &[u32]) -> (Vec<Request>, usize) {
        let mut to = 0;
        let request = |&w: &u32| {
            let ((shard, first), rows) = (self.places[w as usize], self.window_rows[w as usize] as usize);
            to += rows;
            Request { shard, first: first as usize, rows, to: to - rows }
        };
        let mut requests: Vec<_> = windows.iter().map(request).collect();
        requests.sort_by_key(|r| (r.shard, r.first));
        (requests, to)
    }
}

impl RowSource for StoreReader {
    fn sites(&self) -> &[SiteRows] {
        &self.sites
    }

    fn window_rows(&self) -> &[u32] {
        &self.window_rows
    }

    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
        let (requests, rows) = self.requests(windows);
        for (site, out) in self.sites.iter().zip(out.iter_mut()) {
            out.clear();
            out.reserve_exact(rows * site.width); // pools are large and differ little: doubling would waste half
            out.resize(rows * site.width, 0.0);
        }
        for group in requests.chunk_by(|a, b| a.shard == b.shard) {
            let file = self.shard(group[0].shard as usize)?;
            self.sites
                .par_iter()
                .zip(out.par_iter_mut())
                .try_for_each(|(site, out)| copy(&file, site, group, out))?;
        }
        Ok(())
    }
}

/// Copies the rows of one shard's requests at one site.
fn copy(file: &TensorFile, site: &SiteRows, group: &[Request], out: &mut [f32]) -> Result<(), FileError> {
    for r in group {
        let rows = file.read_rows(&site.site, site.width, r.first, r.rows)?;
        out[r.to * site.width..][..rows.len()].copy_from_slice(&rows);
    }
    Ok(())
}

/// Rows of each window `[W]`, from a file of checked length, hash and shape.
fn read_windows(dir: &Path, manifest: &Manifest) -> Result<Vec<u32>, FileError> {
    let path = dir.join(WINDOWS);
    check_length(&path, manifest.windows_file.bytes)?;
    let file = TensorFile::open(&path)?;
    expect(&file, "rows", Dtype::U32, &[manifest.windows])?;
    check_hash(&path, &manifest.windows_file.blake3)?;
    file.read_pod("rows", Dtype::U32, &[manifest.windows as usize])
}
