//! Folders that people have, and what becomes of them. `fixtures/cases/lm` holds small ones that once failed; what
//! transformers 5.24 makes of them lies beside them.

use lapidary_files::tensors::{self, Tensor, TensorFile};
use lapidary_kernels::Device;
use lapidary_lm::spec::{Activation, RopeScaling};
use lapidary_lm::{Batch, Model, ModelFolder, Precision, Sampling, Spec, load_spec, weights};
use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

fn case(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cases/lm").join(name)
}

fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(case(name)).unwrap().flatten() {
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

fn refusal(dir: &Path) -> String {
    let error = Model::load(dir, Device::detect()).expect_err("accepted").to_string();
    assert!(!error.contains('\n') && !error.ends_with('.'), "{error}");
    error
}

/// Rewrites the tensors of a folder's file through `change`.
fn rewrite(dir: &Path, change: impl FnOnce(&mut Vec<(String, Vec<usize>, Vec<f32>)>)) {
    let path = dir.join("model.safetensors");
    let file = TensorFile::open(&path).unwrap();
    let mut all: Vec<_> = file
        .names()
        .into_iter()
        .map(|name| {
            let shape = file.shape(&name).unwrap().to_vec();
            let values = file.read_f32(&name, &shape).unwrap();
            (name, shape, values)
        })
        .collect();
    change(&mut all);
    let tensors: Vec<Tensor> = all.iter().map(|(name, shape, x)| Tensor::f32(name, shape, x)).collect();
    tensors::write(&path, &tensors, &HashMap::new()).unwrap();
}

fn logits(model: &Model, tokens: &[u32]) -> Vec<f32> {
    model.unembed(&model.forward(&Batch::new([tokens]), &[], &mut |_, _| {}))
}

/// Parameters as plain arithmetic on the files gives them, and what differs between the models. (This 27B has a narrow MLP.)
#[test]
fn published_configs_are_read() {
    let spec =
        |name: &str| load_spec(&case("configs").join(name), &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
    let billions = |spec: &Spec| weights::count(spec) as f64 / 1e9;
    for (name, parameters) in
        [("gemma-2-2b", 2.614), ("gemma-2-9b", 9.242), ("gemma-2-27b", 12.901), ("llama-3.2-1b", 1.236)]
    {
        assert!((billions(&spec(name)) - parameters).abs() < 0.001, "{name}: {}", billions(&spec(name)));
    }
    let llama = spec("llama-7b_first_HF_conversion");
    assert!((billions(&llama) - 6.738).abs() < 0.001 && llama.context == 2048 && !llama.tied_head);
    let gemma = spec("gemma-2-27b");
    assert_eq!((gemma.windows[0], gemma.windows[1]), (Some(4096), None));
    assert_eq!(gemma.attn_scale, 1.0 / 12.0); // query_pre_attn_scalar 144
    let error = load_spec(&case("configs").join("llama_bnb_4bit"), &[]).unwrap_err().to_string();
    assert!(
        error.contains("quantised (bitsandbytes)") && error.contains("before it was quantised"),
        "{error}"
    );
}

/// Configs as the families' first files wrote them (LongRoPE's factors are made up), and how many parameters transformers 5.24
/// gives a model of each, without an image tower.
#[test]
fn a_config_of_every_family_is_read() {
    let spec =
        |name: &str| load_spec(&case("configs").join(name), &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
    for (name, parameters) in [
        ("gemma-2b", 2_506_172_416),
        ("gemma-3-1b", 999_885_952),
        ("gemma-3-4b", 3_880_263_168),
        ("gpt2", 124_439_808),
        ("mistral-7b-v0.1", 7_241_732_096),
        ("olmo-2-1b", 1_484_916_736),
        ("phi-3-mini-128k", 3_821_079_552),
        ("phi-3-mini-4k", 3_821_079_552),
        ("pythia-160m", 162_322_944),
        ("qwen2.5-0.5b", 494_032_768),
        ("qwen3-0.6b", 596_049_920),
    ] {
        assert_eq!(weights::count(&spec(name)), parameters, "{name}");
    }
    // Five sliding layers, then a full one; the full ones' RoPE alone is stretched.
    let gemma = spec("gemma-3-4b");
    let full: Vec<usize> = (0..gemma.n_layers).filter(|&l| gemma.windows[l].is_none()).collect();
    assert_eq!(full, [5, 11, 17, 23, 29]);
    let (global, local) = (gemma.rope.unwrap(), gemma.local_rope.unwrap());
    assert_eq!((global.theta, global.scaling), (1e6, RopeScaling::Linear { factor: 8.0 }));
    assert_eq!((local.theta, local.scaling), (1e4, RopeScaling::None));
    assert_eq!((gemma.eos, gemma.windows[0], gemma.context), (vec![1, 106], Some(1024), 131_072));
    assert_eq!(spec("phi-3-mini-128k").context, 4096); // longer sequences turn by other frequencies
    assert_eq!(spec("pythia-160m").rope.unwrap().width, 16); // a quarter of 64
    assert_eq!(spec("mistral-7b-v0.1").windows, vec![Some(4096); 32]);
    assert_eq!(spec("qwen2.5-0.5b").windows, vec![None; 24]); // a window is written but not used
    assert_eq!(spec("gemma-2b").activation, Activation::GeluTanh); // though the file says gelu
}

/// Names under which other versions of transformers stored the same tensors, and buffers that old files hold beside them.
#[test]
fn other_versions_names_and_buffers_change_nothing() {
    for (name, from, to, buffer) in [
        ("gpt2-old", "transformer.", "", "h.0.attn.bias"),
        ("gpt-neox-old", "gpt_neox.", "gpt_neox.", "gpt_neox.layers.0.attention.masked_bias"),
        ("gemma3-images-old", "language_model.model.", "model.language_model.", "model.vision_tower.x"),
        ("llama-old", "model.", "model.", "model.layers.0.self_attn.rotary_emb.inv_freq"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(case("../../lm").join(name)).unwrap().flatten() {
            fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        let before = logits(&Model::load(dir.path(), Device::detect()).unwrap(), &[2, 5, 6, 7]);
        rewrite(dir.path(), |all| {
            for tensor in all.iter_mut().filter(|tensor| tensor.0.starts_with(from)) {
                tensor.0 = format!("{to}{}", &tensor.0[from.len()..]);
            }
            all.push((buffer.to_string(), vec![1], vec![1.0]));
        });
        assert_eq!(
            logits(&Model::load(dir.path(), Device::detect()).unwrap(), &[2, 5, 6, 7]),
            before,
            "{name}"
        );
        rewrite(dir.path(), |all| all.push(("x.weight".to_string(), vec![1], vec![1.0])));
        assert!(refusal(dir.path()).contains("only tensors that a"), "{name}");
    }
}

#[test]
fn a_stored_head_that_differs_is_the_head() {
    let folder = ModelFolder::open(&case("tied_head"), &[]).unwrap();
    assert!(folder.own_head_against_config && !folder.spec.tied_head);
    let model = folder.load(Device::detect(), Precision::F32).unwrap();
    let expected = TensorFile::open(&case("tied_head_hf_5.24_logits.safetensors")).unwrap();
    let name = expected.names().into_iter().find(|n| n.contains("logits")).unwrap();
    let expected = expected.read_f32(&name, expected.shape(&name).unwrap()).unwrap();
    let found = logits(&model, &[2, 5, 6, 7]);
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
    let last = &found[3 * 20..];
    assert_eq!((0..20).max_by(|&a, &b| last[a].total_cmp(&last[b])), Some(1));
}

#[test]
fn a_head_stored_twice_is_tied_and_one_of_another_shape_is_named() {
    let embed = "model.embed_tokens.weight";
    let dir = copy("tied_head");
    rewrite(dir.path(), |all| {
        let values = all.iter().find(|t| t.0 == embed).unwrap().2.clone();
        all.iter_mut().find(|t| t.0 == "lm_head.weight").unwrap().2 = values;
    });
    let folder = ModelFolder::open(dir.path(), &[]).unwrap();
    assert!(folder.spec.tied_head && !folder.own_head_against_config);
    let tied = logits(&folder.load(Device::detect(), Precision::F32).unwrap(), &[2, 5, 6, 7]);
    // Only the head is stored: it is the embedding too, as in transformers.
    rewrite(dir.path(), |all| all.retain(|t| t.0 != embed));
    assert_eq!(logits(&Model::load(dir.path(), Device::detect()).unwrap(), &[2, 5, 6, 7]), tied);
    let dir = copy("tied_head");
    rewrite(dir.path(), |all| {
        let head = all.iter_mut().find(|t| t.0 == "lm_head.weight").unwrap();
        (head.1, head.2) = (vec![19, 8], vec![0.0; 19 * 8]);
    });
    let error = refusal(dir.path());
    assert!(error.contains("`lm_head.weight` of shape [20, 8], found [19, 8]"), "{error}");
}

#[test]
fn an_untied_model_without_its_head_is_told_what_to_do() {
    let dir = copy("nan");
    let path = dir.path().join("config.json");
    let untied = fs::read_to_string(&path)
        .unwrap()
        .replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    fs::write(&path, untied).unwrap();
    let error = refusal(dir.path());
    assert!(error.contains("`lm_head.weight`") && error.contains("\"tie_word_embeddings\": true"), "{error}");
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let error = refusal(&case("nan"));
    assert!(error.contains("finite weights, found NaN in `model."), "{error}");
    for (bad, word) in [(f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf"), (f32::NAN, "NaN")] {
        let dir = copy("eos_generation_config");
        rewrite(dir.path(), |all| {
            all.iter_mut().find(|t| t.0 == "model.layers.1.mlp.up_proj.weight").unwrap().2[8 * 3 + 5] = bad;
        });
        let error = refusal(dir.path());
        assert!(
            error.contains(&format!("found {word} in `model.layers.1.mlp.up_proj.weight` at [3, 5]")),
            "{error}"
        );
        ModelFolder::open(dir.path(), &[]).unwrap(); // whoever reads no weights does not see it
    }
}

#[test]
fn the_generation_config_says_where_a_text_ends() {
    let greedy = Sampling { temperature: 0.0, top_p: 1.0, seed: 0 };
    let generate = |dir: &Path| {
        let model = Model::load(dir, Device::detect()).unwrap();
        assert_eq!(model.spec.eos, [1]); // special positions are the config's alone
        model.generate(&[2, 5], 12, &greedy, &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let without = copy("eos_generation_config");
    fs::remove_file(without.path().join("generation_config.json")).unwrap();
    let long = generate(without.path());
    let until = long.iter().position(|&t| t == 14).expect("the model says 14");
    assert_eq!(long.len(), 12);
    assert_eq!(generate(&case("eos_generation_config")), long[..until]);
    for (json, stops) in [("{\"eos_token_id\": 14}", vec![14]), ("{\"temperature\": 0.6}", vec![1])] {
        fs::write(without.path().join("generation_config.json"), json).unwrap();
        assert_eq!(load_spec(without.path(), &[]).unwrap().stops, stops);
    }
    fs::write(without.path().join("generation_config.json"), "{\"eos_token_id\": \"x\"}").unwrap();
    let error = refusal(without.path());
    assert!(error.contains("generation_config.json: `eos_token_id`: expected a token id"), "{error}");
}

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";

#[test]
fn a_git_lfs_pointer_is_named_wherever_it_stands() {
    let error = refusal(&case("lfs_pointer"));
    assert!(
        error.contains("model.safetensors")
            && error.contains("Git LFS pointer")
            && error.contains("git lfs pull")
    );
    for name in ["config.json", "generation_config.json", "model.safetensors.index.json"] {
        let dir = copy("eos_generation_config");
        if name.ends_with("index.json") {
            fs::remove_file(dir.path().join("model.safetensors")).unwrap();
        }
        fs::write(dir.path().join(name), POINTER).unwrap();
        let error = refusal(dir.path());
        assert!(error.contains(name) && error.contains("git lfs pull"), "{error}");
    }
}

/// A folder with the config of a model and one other file.
#[test]
fn other_formats_are_named_with_the_way_out() {
    for (name, content, what) in [
        ("model-q4.gguf", "GGUF", "a GGUF file (model-q4.gguf); name the file itself"),
        (
            "pytorch_model.bin",
            "PK",
            "PyTorch's pickled weights (pytorch_model.bin); load the folder with transformers",
        ),
        ("pytorch_model-00001-of-00002.bin", "PK", "PyTorch's pickled weights"),
        ("consolidated.00.pth", "PK", "consolidated.00.pth"),
        ("tf_model.h5", "H", "TensorFlow's weights (tf_model.h5)"),
        ("flax_model.msgpack", "M", "Flax's weights"),
        ("model.onnx", "O", "an ONNX graph"),
        ("model-00001-of-00002.safetensors", "S", "shards without their index"),
        (
            "weights.safetensors",
            "S",
            "another safetensors file (weights.safetensors); if it is the whole model",
        ),
        (
            "adapter_config.json",
            "{\"base_model_name_or_path\": \"a/b\"}",
            "an adapter to a/b (adapter_config.json); merge it",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), content).unwrap();
        let without_config = refusal(dir.path());
        fs::copy(case("configs/gemma-2-2b/config.json"), dir.path().join("config.json")).unwrap();
        for error in [without_config, refusal(dir.path())] {
            assert!(error.contains(what), "{name}: {error}");
        }
    }
    // An adapter beside a whole model: transformers would load both.
    let dir = copy("eos_generation_config");
    fs::write(dir.path().join("adapter_config.json"), "{}").unwrap();
    assert!(refusal(dir.path()).contains("an adapter (adapter_config.json)"));
}

#[test]
fn a_file_of_another_format_under_the_right_name_is_named() {
    for (bytes, what) in [
        (&b"GGUF\x03\0\0\0"[..], "GGUF file"),
        (b"PK\x03\x04abcdefgh", "PyTorch's pickled weights"),
        (b"\x80\x02\x8a\x0aabcdefgh", "PyTorch's pickled weights"),
        (b"<!doctype html><html>", "web page"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ] {
        let dir = copy("eos_generation_config");
        fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        let error = refusal(dir.path());
        assert!(
            error.contains("model.safetensors: expected a safetensors file") && error.contains(what),
            "{error}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.gguf");
    fs::write(&file, b"GGUF\x03\0\0\0").unwrap();
    assert!(refusal(&file).contains("model.gguf: expected a GGUF file, found bytes of the header"));
    fs::write(&file, b"PK\x03\x04abcdefgh").unwrap();
    assert!(refusal(&file).contains("it is PyTorch's pickled weights"));
    fs::create_dir(dir.path().join("snapshots")).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(refusal(dir.path()).contains("name the folder below its snapshots/"));
}
