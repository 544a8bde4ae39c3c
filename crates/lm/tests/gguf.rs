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
    for name in ["llama", "gemma", "gemma2", "gemma3", "gpt2", "qwen2", "qwen3"] {
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

/// Some bytes, and what stands in their place.
type Change<'a> = (&'a [u8], &'a [u8]);

/// A copy of the Llama in which some bytes are others, of the same number.
fn changed(dir: &Path, changes: &[Change]) -> PathBuf {
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
    let cases: [(&[Change], &str); 9] = [
        (
            &[(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0mamba")],
            "model family `mamba` is not supported; supported: gemma, gemma2, gemma3, gpt2, llama, qwen2, qwen3",
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
    assert_eq!(spec.rope.map(|rope| rope.theta), Some(10_000.0));
}

/// Llama 3 has a factor for every wave length in place of keys.
#[test]
fn the_scaling_of_llama_3_is_found_in_its_factors() {
    let path = fixture("llama3.gguf");
    let expected = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192.0,
    };
    let spec = ModelFolder::open(&path, &[]).unwrap().spec;
    assert_eq!(spec.rope.map(|rope| rope.scaling), Some(expected));
    // The factors of another base are none of its.
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|w| w == 500_000f32.to_le_bytes()).unwrap();
    bytes[at..at + 4].copy_from_slice(&10_000f32.to_le_bytes());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.gguf"), bytes).unwrap();
    let error = load_spec(&dir.path().join("x.gguf"), &[]).unwrap_err().to_string();
    assert!(error.contains("expected `rope_freqs.weight` of Llama 3"), "{error}");
}

/// A real model: Q4_1 and Q8_0.
#[test]
#[ignore = "needs data/smollm2 with smollm2.gguf and golden/ (fixtures/README.md), which is never committed"]
fn smollm2_follows_transformers() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/smollm2");
    let model = Model::load(&dir.join("smollm2.gguf"), Device::detect()).unwrap();
    let off = off(&model, &dir.join("golden/golden.safetensors"));
    assert!(off <= 1e-4, "{off:e}");
}
