//! A real model, stories260k: what its author publishes, and a probe from transformers (`fixtures/lm/make.py --stories`).
//! Where the shared data is: `cargo test -- --ignored`.

use lapidary_files::tensors::{Dtype, TensorFile};
use lapidary_kernels::Device;
use lapidary_lm::{Batch, Model, Sampling};
use lapidary_text::Tokenizer;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/stories260k")
}

#[test]
#[ignore = "needs ../shared/data/stories260k, which is never committed"]
fn greedy_text_from_a_lone_bos_is_the_published_one() {
    let folder = folder();
    let published = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. \
                     One day, she saw a big, red ball. She wanted to play with it, but it was too high.";
    let model = Model::load(&folder, Device::detect()).unwrap();
    let greedy = Sampling { temperature: 0.0, top_p: 1.0, seed: 0 };
    let mut streamed = Vec::new();
    let mut each = |token| {
        streamed.push(token);
        ControlFlow::Continue(())
    };
    let tokens = model.generate(&[1], 80, &greedy, &mut each).unwrap();
    assert_eq!(tokens, streamed);
    let text = Tokenizer::load(&folder).unwrap().decode(&tokens).unwrap();
    assert!(text.trim_start().starts_with(published), "{text}");
}

#[test]
#[ignore = "needs ../shared/data/stories260k, which is never committed"]
fn rows_and_best_tokens_are_those_of_transformers() {
    let folder = folder();
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lm/stories260k-probe.safetensors");
    let probe = TensorFile::open(&fixture).unwrap();
    let integers = |name: &str| {
        let shape = probe.shape(name).unwrap().to_vec();
        probe.read_pod::<i64>(name, Dtype::I64, &shape).unwrap()
    };
    let floats = |name: &str| probe.read_f32(name, probe.shape(name).unwrap()).unwrap();
    let tokens: Vec<u32> = integers("tokens").into_iter().map(|t| t as u32).collect();
    let model = Model::load(&folder, Device::detect()).unwrap();
    let sites = model.spec.parse_sites("0.att,0.res,2.mlp,4.res").unwrap();
    let residual = model.forward(&Batch::new([tokens.as_slice()]), &sites, &mut |site, rows| {
        let width = model.spec.width(site);
        let picked = integers("rows").into_iter().flat_map(|r| rows[r as usize * width..][..width].to_vec());
        close(&site.to_string(), &picked.collect::<Vec<_>>(), &floats(&site.to_string()));
    });
    let logits = model.unembed(&residual);
    let ids = integers("top_ids");
    let best: Vec<f32> = ids.iter().enumerate().map(|(i, &id)| logits[i / 5 * 512 + id as usize]).collect();
    close("logits", &best, &floats("top_logits"));
}

/// Within 1e-4 of the reference's RMS.
fn close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let rms = (expected.iter().map(|x| x * x).sum::<f32>() / expected.len() as f32).sqrt();
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-4 * rms, "{what}[{i}]: {a}, expected {b}");
    }
}
