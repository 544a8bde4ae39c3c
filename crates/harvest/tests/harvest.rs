//! Fused and stored rows are the same bytes, whatever the dtype, the family and the number of threads.

use lapidary_files::Identity;
use lapidary_harvest::{FusedRows, RUN_TOKENS, StoreOptions, write_store};
use lapidary_kernels::Device;
use lapidary_lm::{Batch, Model, Spec};
use lapidary_store::{Batches, Manifest, Norm, Order, RowDtype, RowSource, StoreReader, norms};
use lapidary_text::{Corpus, Split, Window};
use std::collections::BTreeMap;
use std::path::Path;

const SITES: &str = "*.res,0.att,2.mlp,1.mlp-in,1.attn,2.mid,embed";
const NORM: Norm = Norm { seed: 3, pool_rows: 700, rows: 2000 };

fn model(name: &str) -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lm").join(name);
    Model::load(&dir, Device::detect()).unwrap()
}

/// Windows of all lengths, with EOS in the middle of some, and one of special tokens only.
fn corpus(spec: &Spec, windows: usize) -> Corpus {
    let window = |w: usize| {
        let length = 3 + (w * 29) % (spec.context - 3);
        let ids = (1..length).map(|i| ((w * 7919 + i * i * 31 + i) % spec.vocab) as u32);
        let tokens = spec.bos.into_iter().chain(ids).collect();
        Window { doc: w as u32 / 3, pos: 1000 * (w as u32 % 3), tokens }
    };
    let mut windows: Vec<_> = (0..windows).map(window).collect();
    windows[1].tokens = vec![spec.bos.unwrap(), spec.eos[0], spec.eos[0]];
    windows[2].tokens[2] = spec.eos[0];
    let tokens = windows.iter().map(|w| w.tokens.len() as u64 - 1).sum();
    Corpus { documents: windows.len() / 3, windows, tokens, hash: "c0".into(), ..Corpus::default() }
}

fn options(model: &Model, dtype: RowDtype, dir: &Path) -> StoreOptions {
    StoreOptions {
        dir: dir.into(),
        dtype,
        shard_bytes: 1 << 20,
        norm: NORM,
        model: Identity { name: "tiny".into(), hash: "d1".into(), precision: None },
        split: Split::Train,
        context: model.spec.context,
        plan_hash: "e2".into(),
        resume: false,
    }
}

fn harvest(model: &Model, corpus: &Corpus, dtype: RowDtype, dir: &Path) -> Manifest {
    let options = options(model, dtype, dir);
    let (mut last, mut calls) = ((0, 0), 0);
    let manifest =
        write_store(model, corpus, &model.spec.parse_sites(SITES).unwrap(), &options, &mut |done, total| {
            assert!(done >= last.0 && done <= total);
            (last, calls) = ((done, total), calls + 1);
        });
    let manifest = manifest.unwrap();
    assert_eq!(last, (manifest.rows, manifest.rows));
    assert!(calls > 2, "several runs of the model");
    manifest
}

fn stream(source: impl RowSource) -> (Vec<Vec<Vec<f32>>>, Vec<f64>) {
    let mut batches = Batches::new(source, Order { seed: 9, pool_rows: 1000 }, 333).unwrap();
    let some = (0..12).map(|_| batches.next().unwrap().to_vec()).collect();
    (some, norms(&mut batches, 1500).unwrap())
}

fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn agree(name: &str, dtype: RowDtype) {
    let model = model(name);
    let corpus = corpus(&model.spec, 2 * RUN_TOKENS / model.spec.context * 3 / 2);
    assert!(corpus.tokens > RUN_TOKENS as u64, "{} tokens", corpus.tokens);
    let sites = model.spec.parse_sites(SITES).unwrap();
    let fused = || FusedRows::new(&model, &corpus, &sites, dtype).unwrap();
    let expected = in_pool(2, || stream(fused()));
    let mut hashes = Vec::new();
    for threads in [1, 3, 7] {
        let dir = tempfile::tempdir().unwrap();
        let manifest = in_pool(threads, || harvest(&model, &corpus, dtype, dir.path()));
        assert!(manifest.shards.len() > 2, "{} shards", manifest.shards.len());
        hashes
            .push((manifest.shards.iter().map(|s| s.blake3.clone()).collect::<Vec<_>>(), manifest.c.clone()));
        assert_eq!(hashes[0], *hashes.last().unwrap(), "{threads} threads: the same files");
        let stored = in_pool(threads, || stream(StoreReader::open(dir.path()).unwrap()));
        assert_eq!(stored, expected, "{threads} threads: stored and fused batches");
    }
    let c = norms(&mut Batches::new(fused(), NORM.order(), 100).unwrap(), NORM.rows).unwrap();
    assert_eq!(hashes[0].1, fused().sites().iter().map(|s| s.site.clone()).zip(c).collect());
}

#[test]
fn store_and_stream_agree_in_f32() {
    agree("llama-new", RowDtype::F32);
}

#[test]
fn store_and_stream_agree_in_bf16() {
    agree("gemma2-new", RowDtype::Bf16);
}

/// Every file of a folder by name.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    files.map(|f| (f.file_name().into_string().unwrap(), std::fs::read(f.path()).unwrap())).collect()
}

/// Killed after any number of shards, with the last of them torn or not: the same files in the end, and only the windows that
/// were missing go through the model. Shards of another plan are not touched.
#[test]
fn an_interrupted_harvest_goes_on_with_the_same_bytes() {
    let model = model("llama-new");
    let corpus = corpus(&model.spec, 2 * RUN_TOKENS / model.spec.context * 3 / 2);
    let sites = model.spec.parse_sites(SITES).unwrap();
    let whole = tempfile::tempdir().unwrap();
    let manifest = harvest(&model, &corpus, RowDtype::F32, whole.path());
    let expected = contents(whole.path());
    for (kept, torn) in [(0, false), (1, false), (2, true), (manifest.shards.len(), false)] {
        let dir = tempfile::tempdir().unwrap();
        for shard in &manifest.shards[..kept] {
            std::fs::write(dir.path().join(&shard.file), &expected[&shard.file]).unwrap();
        }
        if torn {
            let file = &manifest.shards[kept - 1].file;
            std::fs::write(dir.path().join(file), &expected[file][..5_000]).unwrap();
        }
        let options = StoreOptions { resume: true, ..options(&model, RowDtype::F32, dir.path()) };
        let mut first = None;
        let mut progress = |done, _| first = first.or(Some(done));
        write_store(&model, &corpus, &sites, &options, &mut progress).unwrap();
        let whole_shards = &manifest.shards[..kept - usize::from(torn)];
        assert_eq!(first, Some(whole_shards.iter().map(|s| s.rows).sum()), "{kept} shards");
        assert!(contents(dir.path()) == expected, "{kept} shards, torn: {torn}");
        if kept > 0 {
            let other = StoreOptions { plan_hash: "f3".into(), ..options };
            let refused = write_store(&model, &corpus, &sites, &other, &mut |_, _| ()).unwrap_err();
            assert!(refused.to_string().contains("expected a shard of this harvest"), "{refused}");
        }
    }
}

/// Against the model itself: each window alone, special positions left out by hand.
#[test]
fn rows_are_the_non_special_positions() {
    let model = model("llama-new");
    let corpus = corpus(&model.spec, 40);
    let sites = model.spec.parse_sites("1.mlp,0.res").unwrap();
    let mut fused = FusedRows::new(&model, &corpus, &sites, RowDtype::F32).unwrap();
    let order: Vec<u32> = (0..40).rev().collect();
    let mut got = vec![vec![1.0; 3]; 2]; // old contents go
    fused.read(&order, &mut got).unwrap();
    let mut expected = vec![Vec::new(); 2];
    for &w in &order {
        let tokens = &corpus.windows[w as usize].tokens;
        model.tap(&Batch::new([tokens.as_slice()]), &sites, &mut |site, values| {
            let s = sites.iter().position(|&other| other == site).unwrap();
            for (row, token) in values.chunks(model.spec.d_model).zip(tokens) {
                if Some(*token) != model.spec.bos && !model.spec.eos.contains(token) {
                    expected[s].extend_from_slice(row);
                }
            }
        });
    }
    assert_eq!(got, expected);
    assert_eq!(fused.window_rows()[1], 0);
    let rows: u32 = fused.window_rows().iter().sum();
    assert_eq!(got[0].len(), rows as usize * model.spec.d_model);
}

#[test]
fn impossible_sites_are_named() {
    let model = model("llama-new");
    let corpus = corpus(&model.spec, 5);
    let error = |sites: &[&str]| {
        let sites: Vec<_> = sites.iter().map(|s| s.parse().unwrap()).collect();
        FusedRows::new(&model, &corpus, &sites, RowDtype::F32).err().expect("refused").to_string()
    };
    assert!(error(&["9.res"]).contains("9.res"));
    assert!(error(&["0.res", "1.res", "0.res"]).contains("site 0.res: expected each site once"));
    assert!(error(&[]).contains("at least one site"));
}
