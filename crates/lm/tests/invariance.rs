//! Bits, not tolerances: alone or in any batch, whole or from a layer on, prefilled or cached, on any number of threads.

use lapidary_kernels::Device;
use lapidary_lm::{Batch, Cache, Model, ModelFolder, Precision, Sampling, Site, SiteKind, Values};
use std::ops::ControlFlow::Continue;
use std::path::PathBuf;

fn model(name: &str) -> Model {
    model_in(name, Precision::F32)
}

fn model_in(name: &str, precision: Precision) -> Model {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lm").join(name);
    ModelFolder::open(&folder, &[]).unwrap().load(Device::detect(), precision).unwrap()
}

/// One of each family in each precision.
fn models() -> impl Iterator<Item = Model> {
    Precision::ALL.into_iter().flat_map(|precision| FIXTURES.map(|name| model_in(name, precision)))
}

/// One of each family.
const FIXTURES: [&str; 11] = [
    "gemma-old",
    "gemma2-new",
    "gemma3-new",
    "gpt-neox-old",
    "gpt2-old",
    "llama-old",
    "mistral-new",
    "olmo2-new",
    "phi3-old",
    "qwen2-old",
    "qwen3-new",
];

/// Ids below 67 that repeat in no simple pattern.
fn sequence(length: usize, seed: usize) -> Vec<u32> {
    (0..length).map(|i| ((i * i * 7 + i * 13 + seed * 29) % 67) as u32).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

/// The rows of every site, then the logits, of one batch.
fn everything(model: &Model, batch: &Batch) -> Vec<(usize, Vec<u32>)> {
    let sites = model.spec.parse_sites("all").unwrap();
    let mut seen = Vec::new();
    let residual =
        model.forward(batch, &sites, &mut |site, rows| seen.push((model.spec.width(site), bits(rows))));
    seen.push((model.spec.vocab, bits(&model.unembed(&residual))));
    seen
}

#[test]
fn a_sequence_has_the_same_bits_alone_and_in_any_batch() {
    for model in models() {
        let lengths = [20, 1, 64, 33, 2, 50].map(|n| n.min(model.spec.context));
        let sequences: Vec<Vec<u32>> = lengths.iter().map(|&n| sequence(n, n)).collect();
        let batch = Batch::new(sequences.iter().map(Vec::as_slice));
        let together = everything(&model, &batch);
        for (b, sequence) in sequences.iter().enumerate() {
            let rows = batch.starts[b]..batch.starts[b + 1];
            for ((width, alone), (_, all)) in
                everything(&model, &Batch::new([sequence.as_slice()])).iter().zip(&together)
            {
                assert_eq!(alone[..], all[rows.start * width..rows.end * width]);
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    models().for_each(|model| same_for_any_threads(&model));
}

fn same_for_any_threads(model: &Model) {
    let longest = model.spec.context.min(64);
    let sequences: Vec<Vec<u32>> = (0..40).map(|i| sequence(1 + (i * 17) % longest, i)).collect();
    let batch = Batch::new(sequences.iter().map(Vec::as_slice));
    assert!(batch.len() > 3 * 48, "more than three tiles of rows");
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            (
                everything(model, &batch),
                model.cross_entropy(&model.forward(&batch, &[], &mut |_, _| {}), &batch.tokens),
            )
        })
    };
    let one = on(1);
    for threads in [2, 3, 7] {
        assert!(on(threads) == one, "{threads} threads");
    }
}

/// Threads of a pool that did at least a twentieth of a forward pass, by their processor time; none where the system does
/// not tell.
fn busy_workers(model: &Model, batch: &Batch) -> Option<usize> {
    let name = |i| format!("busy-worker-{i}");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).thread_name(name).build().unwrap();
    pool.install(|| model.forward(batch, &[], &mut |_, _| {}));
    let mut times = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).ok();
        if read("comm").is_some_and(|name| name.starts_with("busy-worker")) {
            times.push(read("schedstat")?.split(' ').next()?.parse::<u64>().ok()?);
        }
    }
    let total: u64 = times.iter().sum();
    Some(times.iter().filter(|&&t| t * 20 > total).count())
}

#[test]
#[allow(clippy::print_stderr)]
fn more_than_one_worker_runs() {
    let sequences: Vec<Vec<u32>> = (0..1000).map(|i| sequence(64, i)).collect();
    match busy_workers(&model("llama-old"), &Batch::new(sequences.iter().map(Vec::as_slice))) {
        Some(busy) => assert!(busy > 1, "{busy} of 3 workers had something to do"),
        None => eprintln!("SKIPPED: this system does not tell the processor time of threads"),
    }
}

#[test]
fn a_run_from_a_layer_is_the_suffix_of_the_whole_run() {
    for model in models() {
        let (a, b) = (sequence(model.spec.context.min(40), 1), sequence(7, 2));
        let batch = Batch::new([a.as_slice(), b.as_slice()]);
        let sites = model.spec.parse_sites("*.*").unwrap();
        let mut whole = Vec::new();
        let last = model.forward(&batch, &sites, &mut |site, rows| whole.push((site, rows.to_vec())));
        for layer in 0..=model.spec.n_layers {
            let entering = match layer {
                0 => {
                    let mut embedding = Vec::new();
                    let embed = Site::new(0, SiteKind::Embed);
                    model.tap(&batch, &[embed], &mut |_, rows| embedding = rows.to_vec());
                    embedding
                }
                l => whole.iter().find(|(s, _)| *s == Site::new(l - 1, SiteKind::Res)).unwrap().1.clone(),
            };
            let mut suffix = Vec::new();
            let found =
                model.forward_from(&batch, layer, entering, &sites, &mut |s, r| suffix.push((s, r.to_vec())));
            assert_eq!(bits(&found), bits(&last));
            let per_layer = whole.len() / model.spec.n_layers;
            assert!(suffix == whole[layer * per_layer..], "sites from layer {layer}");
        }
    }
}

#[test]
fn cached_decoding_has_the_bits_of_prefill() {
    for model in models() {
        let tokens = sequence(model.spec.context.min(64), 5);
        let whole = model.unembed(&model.forward(&Batch::new([tokens.as_slice()]), &[], &mut |_, _| {}));
        let mut cache = Cache::new(&model.spec, tokens.len());
        let mut logits = Vec::new();
        for piece in [&tokens[..9], &tokens[9..10], &tokens[10..23], &tokens[23..24]] {
            logits.extend(model.unembed(&model.extend(&mut cache, piece, &[], &mut |_, _| {})));
        }
        for token in &tokens[24..] {
            logits.extend(model.unembed(&model.extend(&mut cache, &[*token], &[], &mut |_, _| {})));
        }
        assert_eq!(bits(&logits), bits(&whole));
        assert_eq!(cache.len(), tokens.len());
    }
}

#[test]
fn a_run_stops_after_the_last_site() {
    let mut model = model("gemma2-new");
    let tokens = sequence(12, 3);
    let batch = Batch::new([tokens.as_slice()]);
    let sites = model.spec.parse_sites("0.res,1.att").unwrap();
    let mut before = Vec::new();
    model.tap(&batch, &sites, &mut |site, rows| before.push((site, bits(rows))));
    // What comes later is not even looked at: without it the same run still works.
    let layer = &mut model.weights.layers[1];
    (layer.o.weight, layer.up.weight) = (Values::default(), Values::default());
    model.weights.layers.truncate(2);
    let mut after = Vec::new();
    model.tap(&batch, &sites, &mut |site, rows| after.push((site, bits(rows))));
    assert!(before == after && after.len() == 2);
}

/// Σ of the naive log-softmax in f64 over the logits that `unembed` gives.
#[test]
fn cross_entropy_is_the_naive_one() {
    let model = model("llama-old");
    let tokens = sequence(64, 4);
    let residual = model.forward(&Batch::new([tokens.as_slice()]), &[], &mut |_, _| {});
    let (logits, losses) = (model.unembed(&residual), model.cross_entropy(&residual, &tokens));
    for ((row, &target), loss) in logits.chunks(model.spec.vocab).zip(&tokens).zip(losses) {
        let total: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
        let naive = total.ln() - f64::from(row[target as usize]);
        assert!((loss - naive).abs() < 2e-6 * naive.abs().max(1.0), "{loss} {naive}");
    }
}

#[test]
fn a_seed_fixes_the_text_and_the_context_ends_it() {
    let model = model("llama-old");
    let prompt = sequence(8, 6);
    let sampled = |seed, top_p| {
        let sampling = Sampling { temperature: 1.0, top_p, seed };
        model.generate(&prompt, 30, &sampling, &mut |_| Continue(())).unwrap()
    };
    assert_eq!(sampled(1, 0.9), sampled(1, 0.9));
    assert_ne!(sampled(1, 0.9), sampled(2, 0.9));
    let greedy = Sampling { temperature: 0.0, top_p: 1.0, seed: 0 };
    assert_eq!(sampled(3, 1e-9), model.generate(&prompt, 30, &greedy, &mut |_| Continue(())).unwrap());
    let long = model.generate(&prompt, 1000, &greedy, &mut |_| Continue(())).unwrap();
    assert!(prompt.len() + long.len() <= model.spec.context);
    let error = model.generate(&sequence(65, 0), 1, &greedy, &mut |_| Continue(())).unwrap_err().to_string();
    assert!(error.contains("65") && error.contains("64"), "{error}");
}
