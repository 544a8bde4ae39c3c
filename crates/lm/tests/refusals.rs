//! Folders that are not what they should be: one line with the cause by name, the finding and the next step, no panic.

use lapidary_files::tensors::{self, Dtype, Tensor, TensorFile};
use lapidary_kernels::Device;
use lapidary_lm::{Batch, LmError, Model, ModelFolder, load_spec, weights};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lm").join(name)
}

/// A copy of a fixture that a test may spoil.
fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap().flatten() {
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

fn refusal(dir: &Path) -> String {
    let error = Model::load(dir, Device::detect()).expect_err("accepted").to_string();
    assert!(!error.contains('\n') && !error.ends_with('.'), "{error}");
    error
}

/// Sets one key of a folder's config (null included).
fn set(dir: &Path, key: &str, value: Value) {
    let path = dir.join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let (parent, key) = key.split_once('.').map_or((None, key), |(p, k)| (Some(p), k));
    let object = if let Some(parent) = parent { &mut config[parent] } else { &mut config };
    object[key] = value;
    fs::write(&path, config.to_string()).unwrap();
}

/// The same in a copy of a fixture, and loads it.
fn load_with(name: &str, key: &str, value: Value) -> Result<Model, String> {
    let dir = copy(name);
    set(dir.path(), key, value);
    Model::load(dir.path(), Device::detect()).map_err(|e| e.to_string())
}

#[test]
fn a_key_that_would_change_the_maths_is_named() {
    for (name, key, value, expect) in [
        ("llama-old", "residual_multiplier", json!(0.5), "residual_multiplier"),
        ("llama-old", "sliding_window", json!(128), "sliding_window"),
        ("llama-old", "quantization_config", json!({"quant_method": "gptq"}), "weights are quantised (gptq)"),
        ("llama-old", "quantization", json!({"bits": 4}), "weights are quantised; name the folder"),
        ("llama-old", "layer_types", json!(["sliding_attention"]), "layer_types"),
        ("llama-old", "hidden_act", json!("relu"), "`hidden_act`: expected silu"),
        ("llama-old", "rope_scaling.rope_type", json!("axial"), "`rope_scaling.rope_type`: expected default"),
        ("llama-old", "rope_scaling.attention_factor", json!(2.0), "rope_scaling.attention_factor"),
        ("llama-old", "rope_scaling.factor", json!(null), "`rope_scaling.factor`: the key is missing"),
        ("llama-old", "rope_parameters", json!({"rope_type": "default"}), "contradicts"),
        ("llama-old", "partial_rotary_factor", json!(0.5), "partial_rotary_factor"),
        (
            "llama-new",
            "rope_parameters.full_attention",
            json!({"rope_theta": 1.0}),
            "rope_parameters.full_attention",
        ),
        ("llama-new", "rope_parameters.rope_type", json!("axial"), "found axial"),
        (
            "llama-new",
            "rope_parameters.rope_type",
            json!("dynamic"),
            "`rope_parameters.factor`: the key is missing",
        ),
        ("llama-old", "num_key_value_heads", json!(4), "does not divide"),
        ("llama-old", "hidden_size", json!(-3), "`hidden_size`: expected a whole number"),
        ("llama-old", "hidden_size", json!("24"), "found \"24\""),
        ("llama-old", "vocab_size", json!(null), "`vocab_size`: the key is missing"),
        ("llama-old", "num_hidden_layers", json!(1u64 << 30), "not plausible"),
        ("llama-old", "bos_token_id", json!(67), "outside the vocabulary of 67"),
        ("llama-old", "head_dim", json!(7), "expected an even number"),
        ("gemma2-new", "use_bidirectional_attention", json!(true), "use_bidirectional_attention"),
        ("gemma2-new", "sliding_window", json!(null), "sliding_window"),
        ("gemma2-new", "layer_types", json!(["full_attention"]), "expected 3 entries"),
        (
            "gemma2-new",
            "layer_types",
            json!(["full_attention", "chunked_attention", "full_attention"]),
            "chunked",
        ),
        ("gemma2-new", "mlp_bias", json!(true), "mlp_bias"),
        ("gemma3-new", "attn_logit_softcapping", json!(50.0), "Gemma 3 has no soft-cap on scores"),
        ("gemma3-new", "rope_parameters.rope_theta", json!(5.0), "rope_parameters.rope_theta"),
        ("gpt-neox-old", "rope_theta", json!(5.0), "rope_theta"),
        ("gpt-neox-old", "rotary_pct", json!(0.4), "not an even number of components"),
        ("gpt-neox-old", "rotary_pct", json!(1.5), "not an even number of components"),
        ("gpt-neox-old", "num_key_value_heads", json!(1), "a key for every query"),
        ("gpt2-old", "scale_attn_by_inverse_layer_idx", json!(true), "not implemented"),
        ("gpt2-old", "activation_function", json!("relu"), "expected silu, gelu or"),
        ("gpt2-old", "n_head", json!(5), "does not divide n_embd"),
        ("mistral-new", "layer_types", json!(vec!["full_attention"; 3]), "not all layers slide"),
        ("olmo2-new", "clip_qkv", json!(8.0), "clip_qkv"),
        ("phi3-old", "original_max_position_embeddings", json!(0.5), "expected at least 2 tokens"),
        ("phi3-old", "attention_bias", json!(true), "attention_bias"),
        ("phi3-old", "rope_scaling.short_factor", json!([1.0, 2.0]), "expected 3 numbers, found 2"),
        (
            "phi3-old",
            "rope_scaling.short_factor",
            json!([1.0, 2.0, -1.0]),
            "expected a list of positive numbers",
        ),
        ("qwen2-old", "use_mrope", json!(true), "not implemented"),
        ("qwen2-old", "partial_rotary_factor", json!(0.5), "turns whole heads"),
        ("qwen3-new", "use_sliding_window", json!(false), "some layers slide"),
    ] {
        let error = load_with(name, key, value.clone()).expect_err(key);
        assert!(error.contains(expect) && error.contains("config.json"), "{key} = {value}: {error}");
    }
}

/// A place that a family lacks, and a sequence for which its RoPE would have other frequencies.
#[test]
fn what_a_family_does_not_have_is_refused_by_name() {
    for (name, site, expect) in [
        ("gpt-neox-old", "1.mid", "attention and MLP read the same stream"),
        ("gpt-neox-old", "blocks.1.hook_resid_mid", "attention and MLP read the same stream"),
        ("olmo2-new", "*.mlp-in", "the MLP reads the stream itself, which is `mid`"),
        ("gpt2-old", "blocks.0.hook_resid_pre", "learned positions"),
    ] {
        let spec = load_spec(&fixture(name), &[]).unwrap();
        let error = spec.parse_sites(site).unwrap_err().to_string();
        assert!(error.contains(expect), "{name} {site}: {error}");
    }
    let spec = load_spec(&fixture("gpt-neox-serial-new"), &[]).unwrap();
    assert_eq!(spec.parse_sites("1.mid").unwrap().len(), 1);
    let spec = load_spec(&fixture("phi3-old"), &[]).unwrap();
    assert_eq!(spec.context, 32, "the first context of 128");
    assert!(spec.check_tokens(&[1; 33]).is_err());
}

/// As `make.py` asserts of transformers: up to the context a dynamic factor does nothing. Longer is refused anyway.
#[test]
fn dynamic_scaling_is_none_within_the_context() {
    let logits = |model: Model| {
        let tokens: Vec<u32> = (0..64).collect();
        model.unembed(&model.forward(&Batch::new([tokens.as_slice()]), &[], &mut |_, _| {}))
    };
    let plain = Model::load(&fixture("llama-new"), Device::detect()).unwrap();
    let dynamic = json!({"rope_type": "dynamic", "factor": 4.0, "rope_theta": 500.0});
    let dynamic = load_with("llama-new", "rope_parameters", dynamic).unwrap();
    assert_eq!(dynamic.spec.context, 64);
    assert_eq!(logits(dynamic), logits(plain));
}

/// Sizes that no machine holds are counted, not looped over.
#[test]
fn huge_sizes_end_at_once() {
    for (name, key) in
        [("gpt2-old", "n_embd"), ("gpt-neox-old", "hidden_size"), ("phi3-old", "intermediate_size")]
    {
        let error = load_with(name, key, json!(3u64 << 28)).expect_err(key);
        assert!(error.contains("of shape"), "{name}: {error}");
        let dir = copy(name);
        set(dir.path(), key, json!(3u64 << 28));
        assert!(weights::count(&load_spec(dir.path(), &[]).unwrap()) > 1 << 32);
    }
}

#[test]
fn keys_that_change_nothing_are_let_pass() {
    for (key, value) in [
        ("_anything", json!({"a": 1})),
        ("unk_token_id", json!(3)),
        ("mask_token_id", json!(3)),
        ("attn_pdrop", json!(0)),
        ("resid_pdrop", json!(0.1)), // dropout acts in training only
        ("hidden_dropout_prob", json!(0.1)),
        ("max_sequence_length", json!(7)),
        ("min_new_tokens", json!(7)),
        ("use_cache", json!(false)),
        ("torch_dtype", json!("bfloat16")),
        ("attention_dropout", json!(0.1)),
        ("sliding_window", json!(null)),
        ("rope_interleaved", json!(false)),
        ("layer_types", json!(["full_attention", "full_attention", "full_attention"])),
        ("hidden_act", json!("swish")),
        ("eos_token_id", json!([2, 5])),
    ] {
        let model = load_with("llama-old", key, value).unwrap_or_else(|e| panic!("{key}: {e}"));
        assert_eq!(model.spec.is_special(5), key == "eos_token_id");
    }
}

#[test]
fn unknown_keys_are_listed_at_once_and_can_be_vouched_for() {
    let dir = copy("llama-old");
    for key in ["residual_multiplier", "rope_scaling.attention_factor", "embedding_multiplier"] {
        set(dir.path(), key, json!(0.5));
    }
    let error = refusal(dir.path());
    let keys = "embedding_multiplier,residual_multiplier,rope_scaling.attention_factor";
    assert!(error.contains(&format!("--ignore-config-keys {keys}")), "{error}");
    assert!(error.contains("`residual_multiplier` (0.5)"), "{error}");
    let ignore = |keys: &str| {
        let keys: Vec<String> = keys.split(',').map(String::from).collect();
        ModelFolder::open(dir.path(), &keys).map(|f| f.spec).map_err(|e| e.to_string())
    };
    assert_eq!(ignore(keys).unwrap(), load_spec(&fixture("llama-old"), &[]).unwrap());
    assert!(ignore(&keys.replace("residual", "residul")).unwrap_err().contains("keys residual_multiplier`"));
    // What counts, counts.
    for key in ["hidden_size", "rope_scaling.factor", "rope_interleaved"] {
        let error = ignore(&format!("{keys},{key}")).unwrap_err();
        assert!(error.contains(&format!("`{key}`: a key that counts cannot be ignored")), "{error}");
    }
    let dir = copy("llama-old");
    set(dir.path(), "quantization_config", json!({"quant_method": "gptq"}));
    let error = refusal(dir.path());
    assert!(error.contains("--ignore-config-keys quantization_config"), "{error}");
    ModelFolder::open(dir.path(), &["quantization_config".into()]).unwrap(); // the tensors say that they are whole
}

#[test]
fn an_unknown_family_is_answered_with_the_known_ones() {
    let error = load_with("llama-old", "model_type", json!("mamba")).unwrap_err();
    assert!(
        error.contains("`mamba`") && error.contains("gemma2, gemma3_text, gpt2, gpt_neox, llama, mistral"),
        "{error}"
    );
}

#[test]
fn a_folder_that_is_none() {
    assert!(refusal(Path::new("google/gemma-2-2b")).contains("hf download google/gemma-2-2b"));
    assert!(refusal(Path::new("no/such/folder")).contains("no such folder"));
    assert!(refusal(&fixture("llama-old").join("config.json")).contains("name the folder that holds it"));
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal(dir.path()).contains("config.json"));
    fs::write(dir.path().join("config.json"), "{").unwrap();
    assert!(refusal(dir.path()).contains("expected JSON"));
    fs::write(dir.path().join("config.json"), "[1]").unwrap();
    assert!(refusal(dir.path()).contains("expected a JSON object, found a list"));
}

#[test]
fn damaged_or_missing_weights() {
    let dir = copy("gemma2-old");
    fs::remove_file(dir.path().join("model-00002-of-00002.safetensors")).unwrap();
    assert!(refusal(dir.path()).contains("missing: model-00002-of-00002.safetensors"));
    fs::write(dir.path().join("model.safetensors.index.json"), r#"{"weight_map": {"x": "../evil"}}"#)
        .unwrap();
    assert!(refusal(dir.path()).contains("not a file of this folder"));
    fs::remove_file(dir.path().join("model.safetensors.index.json")).unwrap();
    let error = refusal(dir.path());
    assert!(
        error.contains("shards without their index") && error.contains("fetch model.safetensors.index"),
        "{error}"
    );
    for name in ["model-00001-of-00002.safetensors", "golden.safetensors"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let error = Model::load(dir.path(), Device::detect()).unwrap_err();
    assert!(matches!(error, LmError::NoWeights { .. }), "{error}");
    let dir = copy("llama-old");
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    assert!(refusal(dir.path()).contains("cut short"));
}

/// Rewrites the fixture's tensors through `change`, which may rename, reshape or drop them.
fn reload(change: impl Fn(&str, Vec<usize>) -> Vec<(String, Vec<usize>)>) -> String {
    let dir = copy("llama-old");
    let path = dir.path().join("model.safetensors");
    let file = TensorFile::open(&path).unwrap();
    let mut new = Vec::new();
    for name in file.names() {
        for (name, shape) in change(&name, file.shape(&name).unwrap().to_vec()) {
            let bytes = vec![0u8; shape.iter().product::<usize>() * 4];
            new.push((name, shape, bytes));
        }
    }
    let tensors: Vec<Tensor> =
        new.iter().map(|(name, shape, bytes)| Tensor { name, dtype: Dtype::F32, shape, bytes }).collect();
    tensors::write(&path, &tensors, &HashMap::new()).unwrap();
    refusal(dir.path())
}

#[test]
fn tensors_that_do_not_fit_the_config_are_named() {
    let up = "model.layers.1.mlp.up_proj.weight";
    let error = reload(|name, shape| vec![(name.into(), if name == up { vec![40, 23] } else { shape })]);
    assert!(error.contains(up) && error.contains("[40, 24]") && error.contains("[40, 23]"), "{error}");
    let error = reload(|name, shape| if name == up { vec![] } else { vec![(name.into(), shape)] });
    assert!(error.contains(up), "{error}");
    let extra = "model.layers.1.self_attn.q_norm.weight";
    let error = reload(|name, shape| {
        let more = (name == up).then(|| (extra.to_string(), vec![8]));
        more.into_iter().chain([(name.to_string(), shape)]).collect()
    });
    assert!(error.contains(extra), "{error}");
}
