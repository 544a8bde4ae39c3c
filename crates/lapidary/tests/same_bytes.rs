//! What must not change the result: the number of threads, and whether rows come from the model or from a store.

mod common;

use common::{Tiny, assert_same, bytes, good};

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
        let ran = common::Ran::from(tiny.train("run", &["-q"]).output().unwrap());
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
        tiny.trained(threads, &["--threads", threads, "--quiet"]);
        good(&["evaluate", &tiny.at(threads), "--threads", threads, "--resamples", "50", "--quiet"]);
        assert_same(&tiny.path("1"), &tiny.path(threads), &[], &format!("{threads} threads"));
    }
    assert!(bytes(&tiny.path("7")).contains_key("evaluation.json"));
}
