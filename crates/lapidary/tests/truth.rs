//! `evaluate --truth world`: dictionaries of a random model that reads the language, compared with its truth.

use crate::common::{Ran, Tiny, good, lapidary};
use lapidary_files::tensors::{self, Tensor};
use serde_json::{Value, json};
use std::collections::HashMap;

const D: usize = 16;
const BASELINES: &str = "\n[[baselines]]\nbaseline = 'frozen-decoder'\nsites = '0.res'\n\n\
     [[baselines]]\nbaseline = 'random-lm'\nsites = '0.res'\nlambdas = [0.003, 0.01]\n";

/// A folder with `world/`, a one-layer Llama of random weights with the language's vocabulary, and a suite on its text.
fn tiny() -> Tiny {
    let tiny = Tiny::new(30);
    let vocab = good(&["world", "vocab"]);
    std::fs::create_dir(tiny.path("world")).unwrap();
    tiny.write("world/tokenizer.json", &vocab);
    let words = serde_json::from_str::<Value>(&vocab).unwrap()["model"]["vocab"].as_object().unwrap().len();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": D, "intermediate_size": D,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": D / 2,
        "vocab_size": words, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "hidden_act": "silu", "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    });
    tiny.write("world/config.json", &config.to_string());
    weights(&tiny, words);
    let (model, text) = (tiny.at("world"), "world:tokens=30000");
    tiny.variant("suite.toml", &[&format!("model = {model:?}"), &format!("text = [{text:?}]")]);
    tiny
}

fn weights(tiny: &Tiny, words: usize) {
    let mut shapes = vec![("model.embed_tokens.weight".to_string(), vec![words, D])];
    for layer in 0..2 {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let square = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"];
        let square = square.into_iter().chain(["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]);
        shapes.extend(square.map(|part| (name(part), vec![D, D])));
        shapes.extend(["input_layernorm", "post_attention_layernorm"].map(|part| (name(part), vec![D])));
    }
    shapes.push(("model.norm.weight".into(), vec![D]));
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut values = |shape: &[usize]| -> Vec<f32> {
        let n = shape.iter().product();
        if shape.len() == 1 { vec![1.0; n] } else { (0..n).map(|_| 0.4 * uniform()).collect() }
    };
    let values: Vec<Vec<f32>> = shapes.iter().map(|(_, shape)| values(shape)).collect();
    let tensors: Vec<Tensor<'_>> =
        shapes.iter().zip(&values).map(|((name, shape), values)| Tensor::f32(name, shape, values)).collect();
    tensors::write(&tiny.path("world/model.safetensors"), &tensors, &HashMap::new()).unwrap();
}

fn evaluation(tiny: &Tiny, run: &str) -> Value {
    serde_json::from_str(&tiny.read(&format!("{run}/evaluation.json"))).unwrap()
}

fn compared(tiny: &Tiny, run: &str, more: &[&str]) -> Ran {
    lapidary(&[&["evaluate", &tiny.at(run), "--truth", "world", "--resamples", "20", "-q"], more].concat())
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

#[test]
fn dictionaries_and_baselines_are_scored_on_the_same_truth() {
    let tiny = tiny();
    tiny.write("suite.toml", &format!("{}{BASELINES}", tiny.read("suite.toml")));
    tiny.trained("run", &["-q"]);
    let ran = compared(&tiny, "run", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.error);
    for words in
        ["found/rep/known", "no frozen-decoder or random-lm baseline", "of world:seed=0,tokens=30000"]
    {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    let file = evaluation(&tiny, "run");
    let truth = &file["truth"];
    let lines = list(&truth["dictionaries"]);
    let kinds: Vec<(&str, &str)> = lines
        .iter()
        .map(|d| (d["site"].as_str().unwrap(), d["baseline"].as_str().unwrap_or("judged")))
        .collect();
    let expect = [
        ("0.res", "judged"),
        ("1.att", "judged"),
        ("0.res", "frozen-decoder"),
        ("0.res", "random-lm"),
        ("0.res", "random-lm"),
        ("0.res", "pca"),
        ("0.res", "neurons"),
        ("1.att", "pca"),
        ("1.att", "neurons"),
    ];
    assert_eq!(kinds, expect);
    for line in lines {
        let same = lines.iter().find(|other| other["site"] == line["site"]).unwrap();
        let mean = &line["matched_f1_represented"];
        assert_eq!(line["represented"], same["represented"], "one list of variables per site");
        assert_eq!((&mean["indicators"], &line["known"]), (&line["represented"], &same["known"]));
        let scored = list(&file["scores"]).iter().find(|s| s["name"] == line["name"]);
        if let Some(scored) = scored {
            let (l0, found) = (scored["l0"]["value"].as_f64().unwrap(), line["l0"].as_f64().unwrap());
            assert!((l0 - found).abs() < 1e-9, "both passes saw the same rows: {l0}, {found}");
        }
    }
    assert!(lines[0]["represented"].as_u64() > Some(5), "random weights keep words apart: {}", lines[0]);
    assert_eq!(truth["rows"], file["scores"][0]["rows"]);
    judgements(truth);
    lists(truth);
    let (a, b) = (&lines[3]["l0"], &lines[0]["l0"]);
    assert_ne!(a, b, "the randomised model's rows are others");
}

/// All four baselines at 0.res, the better of two where there are two; PCA and neurons alone are not enough at 1.att. What is
/// judged is counted again from the lines: a model of random weights represents little but its tokens, and principal components
/// find them better than 30 steps of training do, so the score must be called invalid.
fn judgements(truth: &Value) {
    let lines = list(&truth["dictionaries"]);
    let f1 = |line: &Value| line["matched_f1_represented"]["value"].as_f64().unwrap();
    let (all, two) = (&lines[0]["judgement"], &lines[1]["judgement"]);
    let kinds = |j: &Value| -> Vec<String> {
        list(&j["verdict"]["comparisons"]).iter().map(|c| c["baseline"].as_str().unwrap().into()).collect()
    };
    assert_eq!(kinds(all), ["frozen-decoder", "random-lm", "pca", "neurons"]);
    assert_eq!(all["missing"], json!([]));
    let untrained = [f1(&lines[2]), f1(&lines[3]).max(f1(&lines[4])), f1(&lines[5]), f1(&lines[6])];
    for (comparison, untrained) in list(&all["verdict"]["comparisons"]).iter().zip(untrained) {
        for (key, expect) in [("untrained", untrained), ("gap", f1(&lines[0]) - untrained)] {
            assert!((comparison[key].as_f64().unwrap() - expect).abs() < 1e-12, "{expect}: {comparison}");
        }
    }
    assert!(f1(&lines[0]) < untrained[2], "principal components find more");
    assert_eq!((&all["status"], &all["verdict"]["valid"]), (&json!("invalid"), &json!(false)));
    assert_eq!(kinds(two), ["pca", "neurons"]);
    assert_eq!(two["missing"], json!(["frozen-decoder", "random-lm"]));
    assert!(f1(&lines[1]) < f1(&lines[7]), "here too");
    assert_eq!(two["status"], "invalid");
}

/// Rows with both are counted from either side: precision · firings = recall · rows of the indicator.
fn lists(truth: &Value) {
    let names = list(&truth["indicators"]);
    let lists = &truth["dictionaries"][0]["lists"];
    let number = |v: &Value| v.as_f64().unwrap();
    let counts: HashMap<u64, f64> = list(&lists["indicators"])
        .iter()
        .map(|i| (i["indicator"].as_u64().unwrap(), number(&i["count"])))
        .collect();
    let mut compared = 0;
    for f in list(&lists["features"]) {
        let indicator = f["indicator"].as_u64().unwrap();
        assert!(f["feature"].as_u64() < Some(40) && (indicator as usize) < names.len());
        let (precision, recall) = (number(&f["precision"]), number(&f["recall"]));
        assert!((number(&f["f1"]) - 2.0 * precision * recall / (precision + recall)).abs() < 1e-3, "{f}");
        if let Some(count) = counts.get(&indicator) {
            let (a, b) = (precision * number(&f["count"]), recall * count);
            assert!((a - b).abs() <= 1e-4 * (number(&f["count"]) + count), "{f}");
            compared += 1;
        }
    }
    assert!(compared > 0 && !counts.is_empty());
    assert_eq!(truth["dictionaries"][2]["lists"], Value::Null);
}

#[test]
fn a_store_of_such_text_gives_the_same_truth_and_both_files_can_be_released() {
    let tiny = tiny();
    tiny.trained("run", &["-q"]);
    assert_eq!(compared(&tiny, "run", &["--truth-rows", "1500"]).code, Some(0));
    let (world, store) = (tiny.at("world"), tiny.at("store"));
    good(&[
        "harvest",
        "--model",
        &world,
        "--text",
        "world:tokens=30000",
        "--context",
        "64",
        "--sites",
        "0.res,1.att",
        "--out",
        &store,
        "-q",
    ]);
    let suite = tiny.read("suite.toml").replace("[rows]\n", &format!("[rows]\nstore = {store:?}\n"));
    tiny.write("suite.toml", &suite);
    tiny.trained("stored", &["-q"]);
    let ran = compared(&tiny, "stored", &["--truth-rows", "1500"]);
    assert_eq!(ran.code, Some(0), "{}", ran.error);
    let (fused, stored) = (evaluation(&tiny, "run"), evaluation(&tiny, "stored"));
    assert_eq!(fused["truth"], stored["truth"]);
    let rows = fused["truth"]["rows"].as_u64().unwrap();
    assert!((1500..1564).contains(&rows), "the windows that reach 1,500 rows: {rows}");
    good(&["release", &tiny.at("run"), "--out", &tiny.at("release"), "-q"]);
    assert_eq!(compared(&tiny, "run", &["--max-windows", "2"]).code, Some(0), "two documents are enough");
    let file = evaluation(&tiny, "run");
    assert_eq!(file["truth"]["rows"], file["scores"][0]["rows"]);
    // As files were before there was a truth.
    good(&["evaluate", &tiny.at("run"), "--resamples", "20", "-q"]);
    assert_eq!(evaluation(&tiny, "run").get("truth"), None);
    good(&["release", &tiny.at("run"), "--out", &tiny.at("release"), "--overwrite", "-q"]);
}

#[test]
fn where_no_truth_is_known_it_is_said() {
    let tiny = Tiny::new(2);
    tiny.trained("run", &["-q"]);
    let refused = |args: &[&str], code: i32, needle: &str| {
        let ran = lapidary(args);
        assert!(ran.code == Some(code) && ran.error.contains(needle), "{args:?}: {}", ran.error);
        assert!(code == 2 || ran.error.lines().count() == 1, "{}", ran.error);
    };
    let run = tiny.at("run");
    let files = "text.txt; add --text world:tokens=500000, or train on such text";
    refused(&["evaluate", &run, "--truth", "world"], 1, files);
    let world = ["evaluate", &run, "--truth", "world", "--text", "world:tokens=3000", "-q"];
    refused(&world, 1, "expected a model that reads the language word by word");
    refused(&["evaluate", &run, "--truth", "moon"], 2, "possible values: world");
    refused(&["evaluate", &run, "--truth-rows", "10"], 2, "--truth <LANGUAGE>");
    let none = [&world[..], &["--truth-rows", "0"]].concat();
    refused(&none, 1, "--truth-rows: expected at least 1, found 0");
    let (model, text, store) = (tiny.at("model"), tiny.at("text.txt"), tiny.at("store"));
    let harvest = ["harvest", "--model", &model, "--text", &text, "--context", "64"];
    good(&[&harvest[..], &["--sites", "0.res,1.att", "--out", &store, "-q"]].concat());
    let suite = tiny.read("suite.toml").replace("[rows]\n", &format!("[rows]\nstore = {store:?}\n"));
    tiny.write("suite.toml", &suite);
    tiny.trained("stored", &["-q"]);
    refused(&["evaluate", &tiny.at("stored"), "--truth", "world"], 1, files);
}
