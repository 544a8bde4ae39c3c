//! A store on disk: it serves what was written, in the same batches as the source it was written from, and refuses
//! damaged and hostile files by name.

use lapidary_files::Identity;
use lapidary_files::failpoint::{Failure, arm};
use lapidary_files::tensors::{Dtype, TensorFile};
use lapidary_store::*;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The fail points are one counter for the process, so tests that write take turns.
static WRITING: Mutex<()> = Mutex::new(());

/// Rows in memory: row r of window w at site s is a fixed function of (w, r, s), rounded to `dtype`.
struct Planted {
    sites: Vec<SiteRows>,
    rows: Vec<u32>,
    dtype: RowDtype,
}

impl RowSource for Planted {
    fn sites(&self) -> &[SiteRows] {
        &self.sites
    }
    fn window_rows(&self) -> &[u32] {
        &self.rows
    }
    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
        for (s, out) in out.iter_mut().enumerate() {
            out.clear();
            for &w in windows {
                let cells = self.rows[w as usize] as usize * self.sites[s].width;
                out.extend(
                    (0..cells).map(|i| ((w as usize * 31 + i * 7 + s * 3) % 101) as f32 * 0.037 - 1.3),
                );
            }
            self.dtype.round(out);
        }
        Ok(())
    }
}

const NORM: Norm = Norm { seed: 11, pool_rows: 40, rows: 75 };

fn planted(dtype: RowDtype) -> Planted {
    let site = |site: &str, width| SiteRows { site: site.into(), width };
    let rows = (0..50).map(|w| (w * 5) % 13).collect(); // some windows have none
    Planted { sites: vec![site("0.res", 5), site("1.mlp", 3), site("embed", 8)], rows, dtype }
}

fn info(source: &Planted) -> StoreInfo {
    StoreInfo {
        plan_hash: "5eed".into(),
        model: Identity { name: "tiny".into(), hash: "a1".into(), precision: None },
        text: TextInfo {
            split: "train".into(),
            split_rule: "rule".into(),
            hash: "b2".into(),
            documents: 3,
            context: 13,
        },
        dtype: source.dtype,
        sites: source.sites.clone(),
    }
}

fn labels(window: u32, rows: u32) -> Labels {
    let column = |offset| (0..rows).map(|r| window * 100 + r + offset).collect();
    Labels { tokens: column(7), doc: vec![window; rows as usize], pos: column(0) }
}

fn write(dir: &Path, dtype: RowDtype, shard_bytes: u64) -> Result<Manifest, SourceError> {
    let mut source = planted(dtype);
    let mut writer = StoreWriter::create(dir, info(&source), shard_bytes)?;
    let mut out = vec![Vec::new(); source.sites.len()];
    for w in 0..source.rows.len() as u32 {
        source.read(&[w], &mut out)?;
        let rows: Vec<&[f32]> = out.iter().map(Vec::as_slice).collect();
        writer.push(&labels(w, source.rows[w as usize]), &rows)?;
    }
    writer.finish(NORM)
}

/// A finished store in a folder of its own.
fn store(dtype: RowDtype) -> tempfile::TempDir {
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), dtype, 2000).unwrap();
    dir
}

#[test]
fn serves_the_batches_of_its_source() {
    for dtype in [RowDtype::F32, RowDtype::Bf16] {
        let dir = store(dtype);
        let reader = StoreReader::open(dir.path()).unwrap();
        assert!(reader.manifest().shards.len() > 5, "several shards: {}", reader.manifest().shards.len());
        assert!(reader.manifest().shards.iter().all(|s| s.bytes < 3000)); // 2000 bytes of rows, and a header
        let order = Order { seed: 4, pool_rows: 33 };
        let mut stored = Batches::new(reader, order, 17).unwrap();
        let mut direct = Batches::new(planted(dtype), order, 17).unwrap();
        for _ in 0..60 {
            let expected = direct.next().unwrap();
            assert_eq!(stored.next().unwrap(), expected);
        }
        let mut direct = Batches::new(planted(dtype), NORM.order(), 9).unwrap();
        assert_eq!(stored.source().constants(), norms(&mut direct, NORM.rows).unwrap());
    }
}

#[test]
fn selects_sites_and_keeps_labels() {
    let dir = store(RowDtype::F32);
    let reader = StoreReader::open(dir.path()).unwrap();
    let c = reader.manifest().c.clone();
    let mut reader = reader.select(&["embed".into(), "0.res".into()]).unwrap();
    assert_eq!(reader.constants(), [c["embed"], c["0.res"]]);
    let (mut some, mut all) = (vec![Vec::new(); 2], vec![Vec::new(); 3]);
    reader.read(&[49, 1, 30], &mut some).unwrap();
    planted(RowDtype::F32).read(&[49, 1, 30], &mut all).unwrap();
    assert_eq!((&some[0], &some[1]), (&all[2], &all[0]));
    let error = reader.select(&["9.res".into()]).unwrap_err().to_string();
    assert!(error.contains("`9.res`") && error.contains("only 0.res, 1.mlp, embed"), "{error}");

    let manifest = Manifest::read(dir.path()).unwrap();
    let (mut found, mut expected) = (Labels::default(), Labels::default());
    for shard in &manifest.shards {
        let file = TensorFile::open(&dir.path().join(&shard.file)).unwrap();
        let read = |name| file.read_pod::<u32>(name, Dtype::U32, &[shard.rows as usize]).unwrap();
        found.tokens.extend(read("tokens"));
        found.doc.extend(read("doc"));
        found.pos.extend(read("pos"));
        assert_eq!(file.metadata()["plan_hash"], "5eed");
    }
    for (w, &rows) in planted(RowDtype::F32).rows.iter().enumerate() {
        let window = labels(w as u32, rows);
        expected.tokens.extend(window.tokens);
        expected.doc.extend(window.doc);
        expected.pos.extend(window.pos);
    }
    assert_eq!(found, expected);
}

/// Opens the store and reads everything; the message of what went wrong.
fn complaint(dir: &Path) -> String {
    let read = || -> Result<(), SourceError> {
        let mut reader = StoreReader::open(dir)?;
        let windows: Vec<u32> = (0..reader.window_rows().len() as u32).collect();
        let mut out = vec![Vec::new(); reader.sites().len()];
        reader.read(&windows, &mut out)
    };
    read().expect_err("a damaged store was read").to_string()
}

fn edit(dir: &Path, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let path = dir.join("manifest.json");
    let good = fs::read_to_string(&path).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&good).unwrap();
    change(&mut value);
    fs::write(&path, value.to_string()).unwrap();
    let message = complaint(dir);
    fs::write(&path, good).unwrap();
    message
}

fn check(message: &str, parts: &[&str]) {
    assert!(parts.iter().all(|p| message.contains(p)), "{parts:?} in: {message}");
}

#[test]
fn damaged_shards_are_named() {
    let dir = store(RowDtype::F32);
    let shard = dir.path().join("shard-00002.safetensors");
    let good = fs::read(&shard).unwrap();
    fs::write(&shard, &good[..good.len() - 4]).unwrap();
    check(&complaint(dir.path()), &["shard-00002", "bytes", "cut short", "harvest"]);
    let mut bytes = good.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&shard, &bytes).unwrap();
    check(&complaint(dir.path()), &["shard-00002", "blake3", "damaged"]);
    let error = StoreReader::open(dir.path()).unwrap().verify().unwrap_err().to_string();
    check(&error, &["shard-00002", "blake3"]);
    bytes = good.clone();
    bytes[0] ^= 0xff; // the header's length
    fs::write(&shard, &bytes).unwrap();
    check(&complaint(dir.path()), &["shard-00002", "header"]);
    fs::remove_file(&shard).unwrap();
    check(&complaint(dir.path()), &["shard-00002", "check the path"]);
    fs::write(&shard, &good).unwrap();

    let windows = dir.path().join("windows.safetensors");
    let mut bytes = fs::read(&windows).unwrap();
    *bytes.last_mut().unwrap() ^= 0x80;
    fs::write(&windows, &bytes).unwrap();
    check(&complaint(dir.path()), &["windows.safetensors", "blake3"]);
}

#[test]
fn hostile_manifests_are_refused() {
    let dir = store(RowDtype::F32);
    let edit = |change: fn(&mut serde_json::Value)| edit(dir.path(), change);
    check(&edit(|m| m["format_version"] = 2.into()), &["format version 1", "version 2"]);
    check(&edit(|m| m["format_version"] = "x".into()), &["manifest.json", "invalid type"]);
    check(&edit(|m| drop(m.as_object_mut().unwrap().remove("shards"))), &["missing field `shards`"]);
    check(&edit(|m| m["extra"] = 1.into()), &["unknown field `extra`"]);
    check(&edit(|m| m["rows"] = u64::MAX.into()), &["18446744073709551615"]);
    let huge = |m: &mut serde_json::Value| {
        let rows = 1u64 << 60;
        m["rows"] = (m["rows"].as_u64().unwrap() - m["shards"][0]["rows"].as_u64().unwrap() + rows).into();
        m["shards"][0]["rows"] = rows.into();
    };
    check(&edit(huge), &["shard-00000", "1152921504606846976"]);
    let overflow = |m: &mut serde_json::Value| {
        m["shards"][0]["rows"] = u64::MAX.into();
        m["shards"][1]["rows"] = u64::MAX.into();
    };
    check(&edit(overflow), &["rows", "None"]);
    // two shards that claim each other's windows: the sum is right, the cut is not
    let overlap = |m: &mut serde_json::Value| {
        m["shards"][0]["windows"] = (m["shards"][0]["windows"].as_u64().unwrap() + 2).into();
        m["shards"][1]["windows"] = (m["shards"][1]["windows"].as_u64().unwrap() - 2).into();
    };
    check(&edit(overlap), &["windows.safetensors", "shard-00000"]);
    check(&edit(|m| m["windows"] = (1u64 << 40).into()), &["windows together"]);
    check(&edit(|m| m["dtype"] = "bf16".into()), &["`0.res` as BF16", "found F32"]);
    check(&edit(|m| m["dtype"] = "f8".into()), &["unknown variant `f8`"]);
    check(&edit(|m| m["sites"][1]["width"] = 4.into()), &["`1.mlp`", "4]", "3]"]);
    check(&edit(|m| m["sites"][1]["width"] = u32::MAX.into()), &["possible width"]);
    check(&edit(|m| m["sites"][1]["site"] = "0.res".into()), &["distinct sites"]);
    check(&edit(|m| m["sites"] = serde_json::json!([])), &["at least one site"]);
    check(&edit(|m| m["c"]["embed"] = 0.into()), &["positive `c`", "embed"]);
    check(&edit(|m| m["shards"][1]["file"] = "../x".into()), &["plain file names", "../x"]);
    check(&edit(|m| m["shards"][1]["file"] = "/etc/passwd".into()), &["plain file names"]);
    let twice = |m: &mut serde_json::Value| m["shards"][1]["file"] = m["shards"][0]["file"].clone();
    check(&edit(twice), &["distinct plain file names"]);
    check(&edit(|m| m["norm"]["seed"] = (-1).into()), &["manifest.json", "-1"]);
    assert!(StoreReader::open(dir.path()).unwrap().verify().is_ok());
}

/// Any byte of any file may be wrong: the reader complains or, where it did not matter, gives what was written.
#[test]
fn flipped_bytes_never_panic() {
    let dir = store(RowDtype::Bf16);
    let read_all = || -> Result<Vec<Vec<f32>>, SourceError> {
        let mut reader = StoreReader::open(dir.path())?;
        let mut out = vec![Vec::new(); reader.sites().len()];
        reader.read(&(0..reader.window_rows().len() as u32).collect::<Vec<_>>(), &mut out)?;
        Ok(out)
    };
    let good_rows = read_all().unwrap();
    for name in ["manifest.json", "windows.safetensors", "shard-00001.safetensors"] {
        let path = dir.path().join(name);
        let good = fs::read(&path).unwrap();
        let mut refused = 0;
        for i in 0..300 {
            let mut bytes = good.clone();
            let at = i * 7919 % bytes.len();
            bytes[at] ^= 1 << (i % 8);
            fs::write(&path, &bytes).unwrap();
            match read_all() {
                Ok(rows) => assert_eq!(rows, good_rows, "{name}, byte {at}"),
                Err(_) => refused += 1,
            }
        }
        fs::write(&path, &good).unwrap();
        assert!(
            refused > if name == "manifest.json" { 200 } else { 299 },
            "{name}: {refused} of 300 refused"
        );
    }
}

/// A full disk at every step of a harvest: no manifest, so no store; a folder that holds one is not written into.
#[test]
fn an_interrupted_harvest_leaves_no_store() {
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    check(&complaint(dir.path()), &["a finished store", "an empty folder"]);
    check(&complaint(&dir.path().join("none")), &["none", "check the path"]);
    let mut step = 0;
    let dir = loop {
        let dir = tempfile::tempdir().unwrap();
        arm(step, Failure::DiskFull);
        let result = write(dir.path(), RowDtype::F32, 9000);
        arm(u32::MAX, Failure::DiskFull); // never reached
        match result {
            Ok(_) => break dir,
            Err(e) => check(&e.to_string(), &["free some space"]),
        }
        // only the last step, after the manifest's rename, leaves a whole store behind
        if dir.path().join("manifest.json").exists() {
            assert!(StoreReader::open(dir.path()).is_ok());
        } else if step > 4 {
            check(&complaint(dir.path()), &["a finished store", "did not finish", "--overwrite"]);
        }
        step += 1;
    };
    assert!(step >= 20, "{step} steps"); // five for each of two shards at least, the windows and the manifest
    assert!(StoreReader::open(dir.path()).unwrap().verify().is_ok());
    let error = write(dir.path(), RowDtype::F32, 9000).unwrap_err().to_string();
    check(&error, &["an empty folder", "--overwrite"]);
}
