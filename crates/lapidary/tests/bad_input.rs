//! Bad input, as people give it: never a panic, always one line that begins with `error:`, says the cause and what to do,
//! and exit code 1 (2 for usage, which clap answers).

use crate::common::{Tiny, lapidary};

/// The one line of a refusal that says all of `needles`.
fn refused(args: &[&str], needles: &[&str]) {
    let ran = lapidary(args);
    assert_eq!(ran.code, Some(1), "{args:?}: {} {}", ran.out, ran.error);
    assert!(ran.error.starts_with("error: "), "{args:?}: {}", ran.error);
    assert_eq!(ran.error.lines().count(), 1, "{args:?}: {}", ran.error);
    assert!(ran.error.len() < 500, "{args:?}: {}", ran.error);
    for needle in needles {
        assert!(ran.error.contains(needle), "{args:?}: expected {needle:?} in {}", ran.error);
    }
    let reason = ran.error.matches("(os error").count();
    assert!(reason <= 1, "said twice: {}", ran.error);
}

/// Trains the tiny suite with `line` in it.
fn suite_refused(tiny: &Tiny, line: &str, needles: &[&str]) {
    tiny.variant("bad.toml", &[line]);
    refused(&["train", &tiny.at("bad.toml"), "--out", &tiny.at("run"), "--quiet"], needles);
    assert!(!tiny.path("run/plan.json").exists(), "{line}");
}

#[test]
fn suites_that_ask_for_what_is_not_there() {
    let tiny = Tiny::new(2);
    let bad = |line: &str, needles: &[&str]| suite_refused(&tiny, line, needles);
    bad("model = 'nowhere'", &["nowhere: no such file or folder", "--data"]);
    bad("model = 'google/gemma-2-2b'", &["google/gemma-2-2b", "Hugging Face id", "hf download"]);
    bad("text = ['nowhere.txt']", &["nowhere.txt: no such file or folder", "--data"]);
    bad("sites = '1.rez'", &["unknown site `1.rez`", "did you mean `1.res`?"]);
    bad("sites = '3.res'", &["layers 0 to 1", "did you mean `1.res`?"]);
    bad("sites = 'res'", &["unknown site `res`", "did you mean `*.res`?"]);
    bad("sites = ''", &["name at least one"]);
    bad("context = 65", &["context 65", "64 positions"]);
    bad("context = 0", &["context 0"]);
    bad("context = 1", &["context 1", "3 to 64"]);
    bad("tokens = 127", &["one batch of 128 rows", "found 127"]);
    bad("tokens = 0", &["one batch of 128 rows", "found 0"]);
    bad("tokens = 9223372036854775807", &["fewer than 2^32 steps", "lower `tokens`"]);
}

#[test]
fn suites_that_contradict_themselves_or_are_no_suites() {
    let tiny = Tiny::new(2);
    let bad = |line: &str, needles: &[&str]| suite_refused(&tiny, line, needles);
    bad("target_l0 = 50", &["`lambdas` or `target_l0`, found both"]);
    bad("lambdas = []", &["expected `lambdas`", "found none"]);
    for lambda in ["nan", "inf", "-0.1", "1e300", "1e-300"] {
        bad(&format!("lambdas = [{lambda}]"), &["lambdas: expected 0 or numbers"]);
    }
    bad("lambdas = ['a']", &["line 6: invalid type: string"]);
    bad("lambdas = [0.1, 0.1]", &["0.1 is named twice"]);
    bad("widths = []", &["widths: expected numbers"]);
    bad("widths = [0]", &["widths: expected numbers", "found [0]"]);
    bad("widths = [-1]", &["line 5: invalid value"]);
    bad("wdths = [3]", &["unknown field `wdths`, expected one of"]);
    bad("preset = 'shrt'", &["unknown variant `shrt`, expected one of `gemma-scope`, `short`"]);
    bad("text = []", &["text: expected at least one"]);
    bad("batch = 0", &["[recipe] batch: expected at least 1 row"]);
    bad("pool_rows = 0", &["pool_rows and norm_rows of at least 1"]);
    for (key, value) in
        [("lr", "nan"), ("lr", "0.0"), ("bandwidth", "inf"), ("theta_init", "-1.0"), ("beta2", "1.0")]
    {
        let text = format!("{}{key} = {value}\n", tiny.read("suite.toml"));
        tiny.write("bad.toml", &text);
        let needle = format!("[recipe] {key}: expected a number");
        refused(&["train", &tiny.at("bad.toml"), "--out", &tiny.at("run"), "-q"], &[&needle]);
    }
    tiny.write("bad.toml", "this is prose\n");
    refused(&["train", &tiny.at("bad.toml"), "--out", &tiny.at("run")], &["bad.toml: line 1: "]);
    refused(&["train", &tiny.at("model"), "--out", &tiny.at("run")], &["Is a directory"]);
    refused(
        &["train", &tiny.at("nowhere.toml"), "--out", &tiny.at("run")],
        &["nowhere.toml: cannot read", "check the path"],
    );
}

/// Refused before anything is allocated or written.
#[test]
fn suites_that_no_machine_can_hold() {
    let tiny = Tiny::new(2);
    let needles = ["needs ", "this machine has", "try fewer widths or sites"];
    suite_refused(&tiny, "widths = [1_000_000_000_000]", &needles);
    suite_refused(&tiny, "widths = [9_000_000_000_000_000_000]", &needles);
    tiny.variant("suite.toml", &["tokens = 9_000_000_000_000_000_000"]);
    suite_refused(&tiny, "batch = 9_000_000_000_000_000_000", &needles);
}

#[test]
fn texts_without_tokens() {
    let tiny = Tiny::new(2);
    let empty = "is the text empty?";
    for (text, next) in
        [("", empty), (" \n\n\t ", empty), ("<|endoftext|>\n<|endoftext|>", empty), ("anna", "more text")]
    {
        tiny.write("t.txt", text);
        suite_refused(
            &tiny,
            &format!("text = [{:?}]", tiny.at("t.txt")),
            &["t.txt: expected text with tokens", next],
        );
    }
    std::fs::create_dir(tiny.path("folder")).unwrap();
    suite_refused(&tiny, &format!("text = [{:?}]", tiny.at("folder")), &["expected"]);
    std::fs::write(tiny.path("t.txt"), [b'a', 0xff, b'b']).unwrap();
    suite_refused(&tiny, &format!("text = [{:?}]", tiny.at("t.txt")), &["UTF-8"]);
}

#[test]
fn models_that_are_damaged_or_of_another_family() {
    let tiny = Tiny::new(2);
    let suite = tiny.at("suite.toml");
    let whole = ["config.json", "tokenizer.json", "model.safetensors"]
        .map(|name| (name, std::fs::read(tiny.path("model").join(name)).unwrap()));
    let config = String::from_utf8(whole[0].1.clone()).unwrap();
    let bad = |name: &str, content: &[u8], needles: &[&str]| {
        std::fs::write(tiny.path("model").join(name), content).unwrap();
        refused(&["train", &suite, "--out", &tiny.at("run"), "-q"], needles);
        whole.iter().for_each(|(name, bytes)| std::fs::write(tiny.path("model").join(name), bytes).unwrap());
    };
    bad("config.json", b"{", &["config.json: expected JSON"]);
    bad(
        "config.json",
        config.replace("\"llama\"", "\"bert\"").as_bytes(),
        &["`bert`", "supported: ", "gemma2", "llama", "qwen3"],
    );
    let wide = config.replace("\"hidden_size\": 32", "\"hidden_size\": 32000000000000");
    bad("config.json", wide.as_bytes(), &["hidden_size", "32000000000000"]);
    let other = config.replace("\"hidden_size\": 32", "\"hidden_size\": 64");
    bad("config.json", other.as_bytes(), &["model.safetensors", "[45, 64]"]);
    let none = config.replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 0");
    bad("config.json", none.as_bytes(), &["num_attention_heads", "found 0"]);
    bad("tokenizer.json", b"[]", &["tokenizer.json"]);
    let weights = &whole[2].1;
    bad("model.safetensors", &weights[..1000], &["model.safetensors", "damaged or cut short"]);
    bad("model.safetensors", &weights[..weights.len() - 1], &["model.safetensors", "damaged or cut short"]);
    bad("model.safetensors", b"", &["model.safetensors", "too few for a header"]);
    bad("model.safetensors", &[0xff; 64], &["model.safetensors", "a header of"]);
    let header = 8 + u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let nan = f32::NAN.to_le_bytes().repeat((weights.len() - header) / 4);
    let broken = [&weights[..header], &nan[..]].concat();
    bad("model.safetensors", &broken, &["NaN"]);
    std::fs::remove_file(tiny.path("model/tokenizer.json")).unwrap();
    refused(
        &["train", &suite, "--out", &tiny.at("run"), "-q"],
        &["tokenizer.json: cannot read", "check the path"],
    );
}

#[test]
fn verbs_in_the_wrong_order_or_without_what_they_need() {
    let tiny = Tiny::new(2);
    let (model, text, out) = (tiny.at("model"), tiny.at("text.txt"), tiny.at("out"));
    refused(&["evaluate", &model], &["name the folder of one dictionary"]);
    refused(&["evaluate", &tiny.at("nowhere")], &["nowhere", "check the path"]);
    refused(&["release", &model, "--out", &out], &["expected a run folder with plan.json"]);
    tiny.trained("run", &["--quiet"]);
    refused(&["release", &tiny.at("run"), "--out", &out], &["run `lapidary evaluate"]);
    let dictionary = tiny.at("run/dictionaries/0.res-width40-lambda0.003");
    refused(&["evaluate", &dictionary], &["add --model"]);
    refused(&["evaluate", &dictionary, "--model", &model], &["add --text"]);
    let named = ["evaluate", &dictionary, "--model", &model, "--text", &text];
    refused(&[&named[..], &["--site", "9.res"]].concat(), &["2 layers", "9.res"]);
    refused(&[&named[..], &["--site", "rez"]].concat(), &["unknown site `rez`"]);
    let npz = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/dictionary/npz/stored.npz");
    let foreign = ["evaluate", npz, "--model", &model, "--text", &text];
    refused(&foreign, &["--site 3.res"]);
    refused(
        &[&foreign[..], &["--site", "0.res"]].concat(),
        &["reads 32 numbers, the width of 0.res, found one that reads 6"],
    );
    tiny.write("one.txt", "anna likes the cat .");
    let few = ["evaluate", &dictionary, "--model", &model, "--text", &tiny.at("one.txt")];
    refused(&few, &["one.txt", "held-out split", "separate documents by `<|endoftext|>`"]);
    refused(&["evaluate", &tiny.at("run"), "--context", "65"], &["context 65", "64 positions"]);
    refused(
        &["harvest", "--model", &model, "--text", &text, "--sites", "1.rez", "--out", &out],
        &["did you mean `1.res`?"],
    );
    assert!(!tiny.path("out").exists());
}

/// A rate at which every loss becomes NaN: each dictionary is named, and a run of nothing is a failure that says so.
#[test]
fn a_run_in_which_every_loss_is_nan_fails_by_name() {
    let tiny = Tiny::new(6);
    tiny.write("bad.toml", &format!("{}lr = 1e30\n", tiny.read("suite.toml")));
    let ran = lapidary(&["train", &tiny.at("bad.toml"), "--out", &tiny.at("run"), "--quiet"]);
    assert_eq!(ran.code, Some(1), "{}", ran.error);
    let lines: Vec<&str> = ran.error.lines().collect();
    assert!(
        lines[0].starts_with("0.res-width40-lambda0.003 stopped at step 1: loss is NaN"),
        "{}",
        ran.error
    );
    assert!(
        lines[1].starts_with("1.att-width40-lambda0.003 stopped at step 1: loss is NaN"),
        "{}",
        ran.error
    );
    assert!(lines[2].starts_with("error: all 2 dictionaries stopped") && lines.len() == 3, "{}", ran.error);
    refused(
        &["evaluate", &tiny.at("run")],
        &["expected finished dictionaries, found none: 0.res-width40-lambda0.003 was given up at step 1"],
    );
}

#[test]
fn usage_is_answered_with_exit_code_2_and_environment_with_1() {
    for threads in ["0", "1025", "20000"] {
        let needles = ["--threads: expected at least 1 and at most 1024, found ", threads];
        refused(&["doctor", "--threads", threads], &needles);
    }
    for args in [&["doctor", "--threads", "many"][..], &["nonsense"], &["train"], &[]] {
        let ran = lapidary(args);
        assert_eq!(ran.code, Some(2), "{args:?}");
        assert!(!ran.error.contains("panicked"), "{args:?}");
    }
    let ran = crate::common::command(&["doctor"]).env("LAPIDARY_ISA", "abacus").output().unwrap();
    let error = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.code() == Some(1) && error.contains("`abacus`"), "{error}");
}
