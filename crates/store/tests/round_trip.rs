//! Whatever is written into a store is read from it: manifest, rows of both dtypes, labels; shards of any size, windows without
//! rows, sites of width 1.

use lapidary_files::Identity;
use lapidary_files::tensors::{Dtype, TensorFile};
use lapidary_store::*;
use proptest::prelude::*;
use std::path::Path;

/// A store in memory: rows `[n, D]` of every window at every site.
#[derive(Clone, Debug)]
struct Content {
    info: StoreInfo,
    window_rows: Vec<u32>,
    seed: u32,
    shard_bytes: u64,
}

impl Content {
    /// Rows of a window at a site, any finite bits, rounded as the store does.
    fn rows(&self, window: usize, site: usize) -> Vec<f32> {
        let n = self.window_rows[window] as usize * self.info.sites[site].width;
        let salt = self.seed.wrapping_add((window * 31 + site) as u32);
        let mut rows: Vec<f32> = (0..n as u32)
            .map(|i| f32::from_bits((salt.wrapping_mul(2 * i + 1)).rotate_left(i % 32) & 0xbf7f_ffff))
            .collect();
        self.info.dtype.round(&mut rows);
        rows
    }

    fn labels(&self, window: usize) -> Labels {
        let n = self.window_rows[window];
        let column =
            |by: u32| (0..n).map(|r| self.seed.wrapping_mul(by).wrapping_add(r + window as u32)).collect();
        Labels { tokens: column(3), doc: column(5), pos: column(7) }
    }

    fn write(&self, dir: &Path) -> Manifest {
        let mut writer = StoreWriter::create(dir, self.info.clone(), self.shard_bytes).unwrap();
        for window in 0..self.window_rows.len() {
            let rows: Vec<Vec<f32>> =
                (0..self.info.sites.len()).map(|site| self.rows(window, site)).collect();
            writer.push(&self.labels(window), &rows.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        }
        writer.finish(Norm { seed: 3, pool_rows: 5, rows: 9 }).unwrap()
    }
}

fn contents() -> impl Strategy<Value = Content> {
    let sites = prop::collection::vec(1usize..6, 1..4);
    let windows = prop::collection::vec(0u32..5, 1..12);
    let words = prop::array::uniform4(any::<String>());
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>(), 1u64..400, any::<bool>());
    (sites, windows, words, numbers).prop_map(|(widths, mut window_rows, words, numbers)| {
        let [name, hash, split_rule, text] = words;
        let (documents, context, seed, shard_bytes, half) = numbers;
        window_rows[0] += 1; // a store without rows has no norm
        let sites = widths.iter().enumerate().map(|(i, &width)| SiteRows { site: format!("{i}.res"), width });
        let text = TextInfo { split: "train".into(), split_rule, hash: text, documents, context };
        let info = StoreInfo {
            plan_hash: hash.clone(),
            model: Identity { name, hash, precision: None },
            text,
            dtype: if half { RowDtype::Bf16 } else { RowDtype::F32 },
            sites: sites.collect(),
        };
        Content { info, window_rows, seed, shard_bytes }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))] // each case syncs some files

    #[test]
    fn what_is_written_is_read(content in contents()) {
        let dir = tempfile::tempdir().unwrap();
        let written = content.write(dir.path());
        let manifest = Manifest::read(dir.path()).unwrap();
        prop_assert_eq!(&manifest, &written);
        prop_assert_eq!((&manifest.model, &manifest.text), (&content.info.model, &content.info.text));
        prop_assert_eq!((&manifest.sites, manifest.dtype), (&content.info.sites, content.info.dtype));
        let mut reader = StoreReader::open(dir.path()).unwrap();
        prop_assert_eq!(reader.window_rows(), &content.window_rows[..]);
        let mut out = vec![Vec::new(); content.info.sites.len()];
        for window in 0..content.window_rows.len() {
            reader.read(&[window as u32], &mut out).unwrap();
            for (site, found) in out.iter().enumerate() {
                let bits = |rows: &[f32]| rows.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(found), bits(&content.rows(window, site)));
            }
        }
        let (mut found, mut expected) = (Labels::default(), Labels::default());
        for shard in &manifest.shards {
            let file = TensorFile::open(&dir.path().join(&shard.file)).unwrap();
            let read = |name| file.read_pod::<u32>(name, Dtype::U32, &[shard.rows as usize]).unwrap();
            found.tokens.extend(read("tokens"));
            found.doc.extend(read("doc"));
            found.pos.extend(read("pos"));
        }
        for window in 0..content.window_rows.len() {
            let labels = content.labels(window);
            expected.tokens.extend(labels.tokens);
            expected.doc.extend(labels.doc);
            expected.pos.extend(labels.pos);
        }
        prop_assert_eq!(found, expected);
    }
}
