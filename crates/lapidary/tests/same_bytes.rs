//! What must not change the result: the number of threads, and whether rows come from the model or from a store.

use crate::common::{Tiny, assert_same, bytes, good};

#[test]
fn a_run_from_a_store_ends_with_the_bytes_of_a_fused_run() {
    let tiny = Tiny::new(30); // 3,840 rows of pools of 512, from an epoch of about 5,600
    for dtype in ["f32", "bf16"] {
        let store = tiny.at(&format!("store-{dtype}"));
        let (model, text) = (tiny.at("model"), tiny.at("text.txt"));
        let harvest =
            ["harvest", "--model", &model, "--text", &text, "--context", "64", "--out", &store, "-q"];
        good(&[&harvest[..], &["--sites", "0.res,1.att,1.mlp", "--dtype", dtype]].concat());
        let text = tiny.read("suite.toml").replace("[rows]\n", &format!("[rows]\ndtype = \"{dtype}\"\n"));
        tiny.write("fused.toml", &text);
        tiny.write("stored.toml", &text.replace("[rows]\n", &format!("[rows]\nstore = {store:?}\n")));
        for run in ["fused", "stored"] {
            let (suite, out) = (tiny.at(&format!("{run}.toml")), tiny.at(&format!("{run}-{dtype}")));
            good(&["train", &suite, "--out", &out, "--quiet"]);
        }
        let of = |run: &str| tiny.path(&format!("{run}-{dtype}"));
        assert_same(&of("fused"), &of("stored"), &["suite.toml"], dtype);
    }
    let weights = "dictionaries/0.res-width40-lambda0.003/sae_weights.safetensors";
    let of = |dtype: &str| bytes(&tiny.path(&format!("fused-{dtype}")))[weights].clone();
    assert!(of("f32") != of("bf16"), "the rounding is felt");
}

#[test]
fn a_store_of_other_rows_is_refused_by_what_differs() {
    let tiny = Tiny::new(2);
    let (model, text, store) = (tiny.at("model"), tiny.at("text.txt"), tiny.at("store"));
    good(&[
        "harvest",
        "--model",
        &model,
        "--text",
        &text,
        "--sites",
        "0.res",
        "--context",
        "32",
        "--out",
        &store,
    ]);
    let suite = tiny.read("suite.toml").replace("[rows]\n", &format!("[rows]\nstore = {store:?}\n"));
    tiny.write("suite.toml", &suite);
    let refused = |context: &str| {
        tiny.variant("suite.toml", &[context]);
        let ran = crate::common::Ran::from(tiny.train("run", &["-q"]).output().unwrap());
        assert_eq!(ran.code, Some(1));
        ran.error
    };
    let error = refused("context = 64");
    assert!(error.contains("found others: context: expected 64, found 32; "), "{error}");
    let error = refused("context = 32");
    assert!(error.contains("1.att") && error.contains("0.res"), "{error}");
}

/// Seven tasks of features and more, so that every pool has something to share out.
#[test]
fn the_number_of_threads_changes_no_byte() {
    let tiny = Tiny::new(12);
    tiny.variant("suite.toml", &["widths = [230, 40]"]);
    for threads in ["1", "2", "3", "7"] {
        let run = format!("{threads}/run"); // one name, which the page says
        tiny.trained(&run, &["--threads", threads, "--quiet"]);
        good(&["evaluate", &tiny.at(&run), "--threads", threads, "--resamples", "50", "--quiet"]);
        assert_same(&tiny.path("1/run"), &tiny.path(&run), &[], &format!("{threads} threads"));
    }
    assert!(bytes(&tiny.path("7/run")).contains_key("evaluation.json"));
}

/// Products in bf16 are another model: its rows are others, it is said wherever the model is named, and never mixes with f32.
#[test]
fn a_precision_is_recorded_and_never_mixes_with_another() {
    let tiny = Tiny::new(2);
    let (model, text) = (tiny.at("model"), tiny.at("text.txt"));
    let harvest = |store: &str, precision: &[&str]| {
        let store = tiny.at(store);
        let all = ["harvest", "--model", &model, "--text", &text, "--context", "64", "--out", &store, "-q"];
        good(&[&all[..], &["--sites", "0.res,1.att,1.mlp"], precision].concat());
    };
    harvest("f32", &[]);
    harvest("bf16", &["--precision", "bf16"]);
    assert!(
        bytes(&tiny.path("f32"))["shard-00000.safetensors"]
            != bytes(&tiny.path("bf16"))["shard-00000.safetensors"]
    );
    assert!(tiny.read("bf16/manifest.json").contains("\"precision\": \"bf16\""));
    assert!(!tiny.read("f32/manifest.json").contains("precision"), "as before there was a choice");

    let written = tiny.read("suite.toml");
    let suite = |precision: &str, store: &str| {
        let store = store_line(&tiny.at(store));
        tiny.write("suite.toml", &format!("{precision}{}", written.replace("[rows]\n", &store)));
    };
    let refused = |flags: &[&str]| {
        let ran =
            crate::common::Ran::from(tiny.train("refused", &[&["-q"], flags].concat()).output().unwrap());
        assert_eq!(ran.code, Some(1));
        ran.error
    };
    suite("", "bf16");
    let error = refused(&[]);
    assert!(error.contains("precision: expected \"f32\", found \"bf16\""), "{error}");
    suite("precision = 'bf16'\n", "f32");
    let error = refused(&[]);
    assert!(error.contains("precision: expected \"bf16\", found \"f32\""), "{error}");
    let error = refused(&["--precision", "f32"]);
    assert!(error.contains("expected bf16, as the suite says, found --precision f32"), "{error}");
    suite("precision = 'fp8'\n", "f32");
    let error = refused(&[]);
    assert!(error.contains("precision: expected f32 or bf16, found fp8"), "{error}");

    suite("precision = 'bf16'\n", "bf16");
    let (suite_path, run) = (tiny.at("suite.toml"), tiny.at("run"));
    good(&["train", &suite_path, "--out", &run, "--quiet"]);
    assert!(tiny.read("run/plan.json").contains("\"precision\": \"bf16\""));
    let of = "run/dictionaries/0.res-width40-lambda0.003/lapidary.json";
    assert!(tiny.read(of).contains("\"precision\": \"bf16\""));
    good(&["evaluate", &run, "--quiet", "--max-windows", "2", "--resamples", "0"]);
    let evaluation = tiny.read("run/evaluation.json");
    assert!(evaluation.contains("\"precision\":\"bf16\""), "{evaluation:.600}");
    let again = ["evaluate", &run, "-q", "--max-windows", "2", "--precision", "f32", "--overwrite"];
    let ran = crate::common::lapidary(&again);
    assert_eq!(ran.code, Some(1));
    let error = ran.error;
    assert!(error.contains("in bf16 ("), "{error}");
}

fn store_line(store: &str) -> String {
    format!("[rows]\nstore = {store:?}\n")
}
