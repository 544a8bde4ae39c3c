//! Models out of GGUF files against Hugging Face transformers on the same weights (see `fixtures/gguf/make.py`).

use lapidary_files::tensors::{Dtype, TensorFile};
use lapidary_kernels::Device;
use lapidary_lm::spec::RopeScaling;
use lapidary_lm::{Batch, Family, Model, ModelFolder, load_spec};
use std::path::{Path, PathBuf};

/// Of the reference's RMS.
const TOLERANCE: f64 = 1e-5;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/gguf").join(name)
}

/// Largest difference of the logits from transformers', relative to the RMS of these.
fn off(model: &Model, golden: &Path) -> f64 {
    let golden = TensorFile::open(golden).unwrap();
    let length = golden.shape("tokens").unwrap()[0];
    let tokens: Vec<u32> =
        golden.read_pod::<i64>("tokens", Dtype::I64, &[length]).unwrap().iter().map(|&t| t as u32).collect();
    let expected = golden.read_f32("logits", &[length, model.spec.vocab]).unwrap();
    let found = model.unembed(&model.forward(&Batch::new([tokens.as_slice()]), &[], &mut |_, _| {}));
    let square = expected.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / expected.len() as f64;
    let differences = found.iter().zip(&expected).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs());
    differences.fold(0.0, f64::max) / square.sqrt()
}

#[test]
fn logits_follow_transformers() {
    for name in ["llama", "gemma2"] {
        let model = Model::load(&fixture(&format!("{name}.gguf")), Device::detect()).unwrap();
        let off = off(&model, &fixture(&format!("{name}.safetensors")));
        assert!(off <= TOLERANCE, "{name}: {off:e}");
    }
}

#[test]
fn the_spec_is_that_of_the_keys() {
    let llama = load_spec(&fixture("llama.gguf"), &[]).unwrap();
    assert_eq!((llama.family, llama.n_layers, llama.d_model, llama.d_head), (Family::Llama, 2, 32, 16));
    assert_eq!((llama.bos, llama.pad), (Some(1), Some(2)));
    assert_eq!((llama.eos.as_slice(), llama.stops.as_slice()), ([2].as_slice(), [2, 0].as_slice()));
    assert!(!llama.tied_head);
    let gemma = load_spec(&fixture("gemma2.gguf"), &[]).unwrap();
    assert_eq!((gemma.windows.as_slice(), gemma.attn_cap), ([Some(5), None].as_slice(), Some(4.0)));
    assert_eq!((gemma.attn_scale, gemma.norm_offset, gemma.tied_head), (0.25, 0.0, true));
}

/// A copy of the Llama in which some bytes are others, of the same number.
fn changed(dir: &Path, changes: &[(&[u8], &[u8])]) -> PathBuf {
    let mut bytes = std::fs::read(fixture("llama.gguf")).unwrap();
    for (from, to) in changes {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|w| w == *from).unwrap();
        bytes[at..at + from.len()].copy_from_slice(to);
    }
    let path = dir.join("x.gguf");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn what_cannot_be_followed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[(&[u8], &[u8])], &str); 9] = [
        (
            &[(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0mamba")],
            "model family `mamba` is not supported; supported: gemma2, llama",
        ),
        (
            &[(b"llama.block_count", b"llama.block_xount")],
            "expected `llama.block_count`, a number, found none",
        ),
        (
            &[(b"llama.rope.freq_base", b"llama.rope.freq_haha")],
            "unknown keys that may change what the model computes: `llama.rope.freq_haha` (500.0)",
        ),
        (
            &[(b"llama.attention.value_length\x04\0\0\0\x10", b"llama.attention.value_length\x04\0\0\0\x08")],
            "equal to the width of a head, 16, found 8",
        ),
        (
            &[(b"llama.block_count\x04\0\0\0\x02", b"llama.block_count\x04\0\0\0\x03")],
            "a tensor `blk.2.attn_norm.weight` of shape [32], found none in",
        ),
        (
            &[(b"llama.block_count\x04\0\0\0\x02", b"llama.block_count\x04\0\0\0\x01")],
            "`blk.1.attn_k.weight` and 8 more",
        ),
        (
            &[(b"llama.feed_forward_length\x04\0\0\0\x40", b"llama.feed_forward_length\x04\0\0\0\x20")],
            "`blk.0.ffn_gate.weight` of shape [32, 32], found [64, 32]",
        ),
        (
            &[(b"token_embd.weight", b"token_emxx.weight")],
            "expected a tensor `token_embd.weight`, found none",
        ),
        (
            &[(
                b"llama.attention.head_count_kv\x04\0\0\0\x02",
                b"llama.attention.head_count_kv\x04\0\0\0\x03",
            )],
            "does not divide num_attention_heads",
        ),
    ];
    for (changes, expected) in cases {
        let error = ModelFolder::open(&changed(dir.path(), changes), &[]).unwrap_err().to_string();
        assert!(error.contains("x.gguf") && error.contains(expected), "{error}");
    }
    let vouched = changed(dir.path(), &[(b"llama.rope.freq_base", b"llama.rope.freq_haha")]);
    let spec = ModelFolder::open(&vouched, &["llama.rope.freq_haha".into()]).unwrap().spec;
    assert_eq!(spec.rope_theta, 10_000.0);
}

/// Little-endian keys and tensors of a Llama that is all zero, but for what `more` adds.
fn zeros(path: &Path, base: f32, factors: &[f32]) {
    let mut keys: Vec<u8> = Vec::new();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    let mut count = 0u64;
    let mut key = |name: &str, kind: u32, value: &[u8]| {
        text(&mut keys, name);
        keys.extend(kind.to_le_bytes());
        keys.extend(value);
        count += 1;
    };
    key("general.architecture", 8, &[&5u64.to_le_bytes()[..], b"llama"].concat());
    for (name, value) in [
        ("attention.head_count", 1u32),
        ("block_count", 1),
        ("context_length", 16_384),
        ("embedding_length", 2 * factors.len() as u32),
        ("feed_forward_length", 1),
    ] {
        key(&format!("llama.{name}"), 4, &value.to_le_bytes());
    }
    key("llama.attention.layer_norm_rms_epsilon", 6, &1e-5f32.to_le_bytes());
    key("llama.rope.freq_base", 6, &base.to_le_bytes());
    let d = 2 * factors.len() as u64;
    let mut tensors =
        vec![("token_embd.weight".to_string(), vec![d, 3]), ("output_norm.weight".into(), vec![d])];
    for (name, shape) in [
        ("attn_norm", vec![d]),
        ("attn_q", vec![d, d]),
        ("attn_k", vec![d, d]),
        ("attn_v", vec![d, d]),
        ("attn_output", vec![d, d]),
        ("ffn_norm", vec![d]),
        ("ffn_gate", vec![d, 1]),
        ("ffn_up", vec![d, 1]),
        ("ffn_down", vec![1, d]),
    ] {
        tensors.push((format!("blk.0.{name}.weight"), shape));
    }
    tensors.push(("rope_freqs.weight".into(), vec![d / 2]));
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(keys);
    let mut at = 0u64;
    for (name, shape) in &tensors {
        text(&mut out, name);
        out.extend((shape.len() as u32).to_le_bytes());
        shape.iter().for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(0u32.to_le_bytes());
        out.extend(at.to_le_bytes());
        at += (4 * shape.iter().product::<u64>()).next_multiple_of(32);
    }
    let start = out.len().next_multiple_of(32) + at as usize - (2 * d as usize).next_multiple_of(32);
    out.resize(start, 0);
    factors.iter().for_each(|f| out.extend(f.to_le_bytes()));
    std::fs::write(path, out).unwrap();
}

/// Llama 3 has a factor for every wave length in place of keys. These are Llama 3.2's, written by llama.cpp's converter: base
/// 500,000, heads of 64, factor 32.
#[test]
fn the_scaling_of_llama_3_is_found_in_its_factors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    let mut factors = FACTORS.to_vec();
    zeros(&path, 500_000.0, &factors);
    let expected = RopeScaling::Llama3 {
        factor: 32.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192.0,
    };
    assert_eq!(ModelFolder::open(&path, &[]).unwrap().spec.rope_scaling, expected);
    factors[15] *= 1.01;
    zeros(&path, 500_000.0, &factors);
    let error = load_spec(&path, &[]).unwrap_err().to_string();
    assert!(error.contains("expected `rope_freqs.weight` of Llama 3"), "{error}");
}

#[rustfmt::skip]
const FACTORS: [f32; 32] = [
    1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.6513293, 3.2922628, 9.666731,
    32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0,
];

/// A real model: Q4_1 and Q8_0.
#[test]
#[ignore = "needs data/smollm2 with smollm2.gguf and golden/ (fixtures/README.md), which is never committed"]
fn smollm2_follows_transformers() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/smollm2");
    let model = Model::load(&dir.join("smollm2.gguf"), Device::detect()).unwrap();
    let off = off(&model, &dir.join("golden/golden.safetensors"));
    assert!(off <= 1e-4, "{off:e}");
}
