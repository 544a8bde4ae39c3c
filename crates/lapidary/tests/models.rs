//! Models as people have them, through the binary: what is looked at before the weights are, and what is said of them.

use crate::common::{Tiny, good, lapidary};
use std::path::{Path, PathBuf};

fn case(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cases/lm").join(name);
    folder.to_str().expect("UTF-8").to_owned()
}

fn refused(args: &[&str], needle: &str) {
    let ran = lapidary(args);
    assert_eq!(ran.code, Some(1), "{args:?}: {} {}", ran.out, ran.error);
    assert!(ran.error.contains(needle), "{args:?}: expected {needle:?} in {}", ran.error);
    assert_eq!(ran.error.lines().count(), 1, "{args:?}: {}", ran.error);
}

/// Every weight becomes NaN; the header stays. Whoever reads a weight will say so.
fn spoil(weights: &Path) {
    let bytes = std::fs::read(weights).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let nan = f32::NAN.to_le_bytes().repeat((bytes.len() - header) / 4);
    std::fs::write(weights, [&bytes[..header], &nan].concat()).unwrap();
}

#[test]
fn what_needs_no_weights_reads_none() {
    let tiny = Tiny::new(2);
    spoil(&tiny.path("model/model.safetensors"));
    let (model, suite, out) = (tiny.at("model"), tiny.at("suite.toml"), tiny.at("out"));
    let lm = |verb: &'static str| ["lm", verb, "--model", &model].map(String::from).to_vec();
    let text = tiny.at("text.txt");
    let harvest = ["harvest", "--model", &model, "--text", &text, "--out", &out, "--quiet", "--sites"]
        .map(String::from);
    let with = |args: &[String], more: &[&str]| -> Vec<String> {
        args.iter().cloned().chain(more.iter().map(|s| s.to_string())).collect()
    };
    let run = |args: Vec<String>| lapidary(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let train = |more: &[&str]| with(&["train", &suite, "--out", &out, "--quiet"].map(String::from), more);
    // These are answered without a look at the weights …
    for args in [
        lm("info"),
        with(&lm("logits"), &["--tokens", "1,3", "--out", &out, "--dry-run"]),
        with(&lm("tap"), &["--tokens", "1,3", "--sites", "all", "--out", &out, "--dry-run"]),
        with(&lm("generate"), &["--tokens", "1,3", "--dry-run"]),
        with(&harvest, &["0.res", "--dry-run"]),
        train(&["--dry-run"]),
    ] {
        let ran = run(args.clone());
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.error);
        assert!(!tiny.path("out").exists(), "{args:?}");
    }
    // … and these are wrong before.
    tiny.variant("typo.toml", &["sites = '0.rez'"]);
    let typo = tiny.at("typo.toml");
    for (args, needle) in [
        (with(&lm("tap"), &["--tokens", "1", "--sites", "0.rez", "--out", &out]), "did you mean `0.res`?"),
        (with(&lm("logits"), &["--tokens", "9999", "--out", &out]), "token id 9999 is outside"),
        (with(&lm("generate"), &["--tokens", "9999"]), "token id 9999 is outside"),
        (with(&lm("generate"), &["--tokens", "1", "--temperature", "-1"]), "temperature -1"),
        (with(&harvest, &["0.rez"]), "did you mean `0.res`?"),
        (["train", &typo, "--out", &out, "--quiet"].map(String::from).to_vec(), "did you mean `0.res`?"),
        // Whoever needs them names the tensor.
        (
            with(&lm("logits"), &["--tokens", "1", "--out", &out]),
            "found NaN in `model.embed_tokens.weight` at [0, 0]",
        ),
        (
            with(&lm("tap"), &["--tokens", "1", "--sites", "0.res", "--out", &out]),
            "found NaN in `model.embed",
        ),
        (with(&lm("generate"), &["--tokens", "1", "--quiet"]), "found NaN in `model.embed"),
        (with(&harvest, &["0.res"]), "found NaN in `model.embed"),
        (train(&[]), "found NaN in `model.embed"),
    ] {
        let ran = run(args.clone());
        assert_eq!(ran.code, Some(1), "{args:?}: {}", ran.error);
        assert!(ran.error.contains(needle), "{args:?}: expected {needle:?} in {}", ran.error);
    }
}

#[test]
fn a_config_alone_is_described() {
    let said = good(&["lm", "info", "--model", &case("configs/gemma-2-27b")]);
    for part in [
        "12901483008 by the config; no weights",
        "4096 tokens in 23 of 46 layers",
        "soft-cap 50",
        "tied to the",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let json = good(&["lm", "info", "--json", "--model", &case("configs/llama-3.2-1b")]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["parameters"], 1_235_814_400u64);
    assert_eq!(json["eos"], serde_json::json!([128_001, 128_008, 128_009]));
    refused(&["lm", "info", "--model", &case("configs/llama_bnb_4bit")], "quantised (bitsandbytes)");
    refused(&["lm", "info", "--model", &case("lfs_pointer")], "git lfs pull");
    refused(
        &["lm", "logits", "--tokens", "1", "--out", "x", "--model", &case("configs/gemma-2-9b")],
        "found neither",
    );
}

#[test]
fn a_head_that_is_not_the_embedding_is_said() {
    let said = good(&["lm", "info", "--model", &case("tied_head")]);
    assert!(said.contains("of its own: lm_head.weight is stored and differs"), "{said}");
    let ran =
        lapidary(&["lm", "generate", "--model", &case("tied_head"), "--tokens", "2,5", "--max-tokens", "1"]);
    assert!(ran.error.contains("it is the head"), "{}", ran.error);
}

#[test]
fn a_generation_ends_where_its_config_says_and_comes_as_one_text() {
    let tokens = |folder: &str| {
        good(&[
            "lm",
            "generate",
            "--model",
            folder,
            "--tokens",
            "2,5",
            "--max-tokens",
            "12",
            "--temperature",
            "0",
        ])
    };
    let said = tokens(&case("eos_generation_config"));
    assert!(!said.trim().split(',').any(|t| t == "14") && said.trim().split(',').count() < 14, "{said}");
    let tiny = Tiny::new(2);
    let model = tiny.at("model");
    let args = ["lm", "generate", "--model", &model, "--text", "anna has a", "--max-tokens", "20"];
    let json: serde_json::Value = serde_json::from_str(&good(&[&args[..], &["--json"]].concat())).unwrap();
    assert_eq!(good(&args), format!("{}\n", json["text"].as_str().unwrap()));
}

/// On the command line, in a suite, and remembered by the run.
#[test]
fn unknown_keys_are_ignored_where_the_user_says_so() {
    let tiny = Tiny::new(2);
    let config = tiny.read("model/config.json");
    tiny.write("model/config.json", &config.replacen('{', "{\"mup\": 2, \"width_scale\": 0.5,", 1));
    let (model, run) = (tiny.at("model"), tiny.at("run"));
    let suite = tiny.at("suite.toml");
    let train = ["train", &suite, "--out", &run, "--quiet"];
    refused(
        &train,
        "`mup` (2), `width_scale` (0.5); if they do not, add `--ignore-config-keys mup,width_scale`",
    );
    good(&["lm", "info", "--model", &model, "--ignore-config-keys", "mup,width_scale"]);
    let with_key = format!("ignore_config_keys = ['mup', 'width_scale']\n{}", tiny.read("suite.toml"));
    tiny.write("suite.toml", &with_key);
    good(&train);
    good(&["evaluate", &run, "--quiet", "--max-windows", "2", "--resamples", "10"]);
}

/// llama.cpp's file of a model with its tokenizer, wherever a folder would do; its bytes are its identity.
#[test]
fn a_gguf_file_is_a_model() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/gguf/llama.gguf");
    let tiny = Tiny::new(2);
    let file = tiny.path("small.q8.gguf");
    std::fs::copy(fixture, &file).unwrap();
    let (model, run, suite) = (tiny.at("small.q8.gguf"), tiny.at("run"), tiny.at("gguf.toml"));
    assert!(good(&["lm", "info", "--model", &model]).contains("of its own"));
    good(&["lm", "logits", "--model", &model, "--text", "a stone", "--out", &tiny.at("logits.safetensors")]);
    good(&["lm", "generate", "--model", &model, "--text", "a stone", "--max-tokens", "2"]);
    tiny.variant("gguf.toml", &[&format!("model = {model:?}")]);
    good(&["train", &suite, "--out", &run, "--quiet"]);
    let plan: serde_json::Value = serde_json::from_str(&tiny.read("run/plan.json")).unwrap();
    assert_eq!(plan["model"]["name"], "small.q8");
    assert_eq!(plan["model"]["hash"], lapidary_files::hash::file(&file).unwrap());
    good(&["evaluate", &run, "--quiet"]);
    let text = tiny.at("text.txt");
    let harvest = ["harvest", "--model", &model, "--text", &text, "--context", "64", "--sites", "0.res"];
    good(&[&harvest[..], &["--out", &tiny.at("store"), "--quiet"]].concat());
    // A text is no model, and a model no text.
    refused(&["lm", "info", "--model", &text], "it is a file: name the folder that holds it");
    let harvest = ["harvest", "--model", &model, "--text", &model, "--context", "64", "--sites", "0.res"];
    refused(&[&harvest[..], &["--out", &tiny.at("other"), "--quiet"]].concat(), "small.q8.gguf");
}
