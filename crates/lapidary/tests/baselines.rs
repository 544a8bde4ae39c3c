//! Baselines in a run: trained beside the dictionaries without touching them, scored or skipped, never released.

use crate::common::{Tiny, assert_same, bytes, good, lapidary};
use serde_json::Value;

const BASELINES: &str = "\n[[baselines]]\nbaseline = 'frozen-decoder'\nsites = '*.res'\nlambdas = [0.003, 0.01]\n\n\
     [[baselines]]\nbaseline = 'random-lm'\nwidths = [24]\n";
const REAL: [&str; 2] = ["0.res-width40-lambda0.003", "1.att-width40-lambda0.003"];
const FROZEN: [&str; 2] =
    ["0.res-width40-lambda0.003-frozen-decoder", "0.res-width40-lambda0.01-frozen-decoder"];
const RANDOM: [&str; 2] = ["0.res-width24-lambda0.003-random-lm", "1.att-width24-lambda0.003-random-lm"];

/// Runs of `steps` steps, `with` and `without` baselines.
fn trained(steps: u64) -> Tiny {
    let tiny = Tiny::new(steps);
    tiny.trained("without", &["-q"]);
    tiny.write("suite.toml", &format!("{}{BASELINES}", tiny.read("suite.toml")));
    tiny.trained("with", &["-q"]);
    tiny
}

fn json(tiny: &Tiny, name: &str) -> Value {
    serde_json::from_str(&tiny.read(name)).unwrap()
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn they_stand_in_the_plan_and_change_no_bit_of_the_dictionaries() {
    let tiny = trained(12);
    let plan = json(&tiny, "with/plan.json");
    let dictionaries = &plan["training"]["dictionaries"];
    assert_eq!(names(dictionaries), [REAL, FROZEN, RANDOM].concat());
    assert_eq!(dictionaries[0].get("baseline"), None);
    assert_eq!(dictionaries[3]["baseline"], "frozen-decoder");
    assert_eq!(
        (&dictionaries[5]["baseline"], &dictionaries[5]["site"]),
        (&"random-lm".into(), &"1.att".into())
    );
    assert_eq!(dictionaries[2]["c"], dictionaries[0]["c"]);
    assert_ne!(dictionaries[4]["c"], dictionaries[0]["c"], "measured on the randomised model's rows");
    let (with, without) = (bytes(&tiny.path("with")), bytes(&tiny.path("without")));
    for name in REAL {
        let weights = format!("dictionaries/{name}/sae_weights.safetensors");
        let meta = json(&tiny, &format!("with/dictionaries/{name}/lapidary.json"));
        assert_eq!(meta["training"].get("baseline"), None);
        let tensors =
            |file: &[u8]| file[8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize..].to_vec();
        assert!(tensors(&with[&weights]) == tensors(&without[&weights]), "{name}");
    }
    for (name, kind) in
        FROZEN.iter().map(|n| (n, "frozen-decoder")).chain(RANDOM.iter().map(|n| (n, "random-lm")))
    {
        let meta = json(&tiny, &format!("with/dictionaries/{name}/lapidary.json"));
        assert_eq!(meta["training"]["baseline"], kind, "{name}");
    }
    let x =
        |name: &str| json(&tiny, &format!("with/dictionaries/{name}/lapidary.json"))["probe"]["x"].clone();
    assert_eq!(x(FROZEN[0]), x(REAL[0]));
    assert_ne!(x(RANDOM[0]), x(REAL[0]), "a probe of the rows that it reads");
}

#[test]
fn interrupted_and_resumed_on_any_number_of_threads_they_end_with_the_same_bytes() {
    let tiny = trained(12);
    for (n, threads) in [(20, "1"), (41, "3"), (60, "7")] {
        let _ = std::fs::remove_dir_all(tiny.path("killed"));
        let mut killed = tiny.train("killed", &["--quiet", "--threads", threads]);
        let ran = killed.env("LAPIDARY_FAIL", format!("kill:{n}")).output().unwrap();
        assert_eq!(ran.status.code(), None, "step {n} of publishing exists");
        tiny.trained("killed", &["--resume", "--quiet", "--threads", threads]);
        assert_same(&tiny.path("with"), &tiny.path("killed"), &[], &format!("killed at {n}"));
    }
}

#[test]
fn the_frozen_are_scored_the_random_skipped_and_none_released() {
    let tiny = trained(6);
    let said = lapidary(&["evaluate", &tiny.at("with"), "--resamples", "20"]);
    assert_eq!(said.code, Some(0), "{}", said.error);
    for name in RANDOM {
        let line = format!("{name}: skipped, it reads a randomised model; --truth scores it");
        assert!(said.error.lines().any(|l| l == line), "{}", said.error);
    }
    assert!(said.out.contains("0.res frozen-decoder") && said.out.contains("1.att "), "{}", said.out);
    assert_eq!(names(&json(&tiny, "with/evaluation.json")["scores"]), [REAL, FROZEN].concat());
    let release = lapidary(&["release", &tiny.at("with"), "--out", &tiny.at("release")]);
    assert_eq!(release.code, Some(0), "{}", release.error);
    assert!(release.error.contains("4 baselines of the run are left out"), "{}", release.error);
    let mut released: Vec<String> = tiny
        .path("release")
        .read_dir()
        .unwrap()
        .flatten()
        .filter(|e| e.path().join("cfg.json").is_file())
        .map(|e| e.file_name().into_string().unwrap())
        .collect();
    released.sort();
    assert_eq!(released, REAL);
    let (random, model, text) =
        (format!("with/dictionaries/{}", RANDOM[0]), tiny.at("model"), tiny.at("text.txt"));
    let alone = lapidary(&["evaluate", &tiny.at(&random), "--model", &model, "--text", &text]);
    assert!(alone.code == Some(1) && alone.error.contains("found a random-lm baseline"), "{}", alone.error);
    good(&[
        "evaluate",
        &tiny.at(&format!("with/dictionaries/{}", FROZEN[0])),
        "--model",
        &model,
        "--text",
        &text,
        "--resamples",
        "20",
        "-q",
    ]);
}

#[test]
fn mistakes_are_answered() {
    let tiny = Tiny::new(2);
    let suite = tiny.read("suite.toml");
    let bad = |table: &str, needle: &str| {
        tiny.write("suite.toml", &format!("{suite}\n[[baselines]]\n{table}\n"));
        let ran = crate::common::Ran::from(tiny.train("run", &["-q"]).output().unwrap());
        assert!(
            ran.code == Some(1) && ran.error.starts_with("error: ") && ran.error.contains(needle),
            "{}",
            ran.error
        );
        assert_eq!(ran.error.lines().count(), 1, "{}", ran.error);
        assert!(!tiny.path("run").exists());
    };
    bad(
        "baseline = 'frozen'",
        "unknown variant `frozen`, expected one of `frozen-decoder`, `random-lm`, `frozen-encoder`, `random`; did you mean `frozen-",
    );
    bad("baseline = 'random-lm'\nsites = '1.rez'", "did you mean `1.res`?");
    bad(
        "baseline = 'random-lm'\nsites = '0.res, 1.res'",
        "[[baselines]] sites: expected sites of the suite (0.res, 1.att), found `1.res`; add it",
    );
    bad("baseline = 'random-lm'\nsites = '*.mlp'", "found `*.mlp`");
    bad(
        "baseline = 'random-lm'\n[[baselines]]\nbaseline = 'random-lm'\nsites = '0.res'",
        "0.res-width40-lambda0.003-random-lm is named twice",
    );
    bad("baseline = 'random-lm'\nwidths = [0]", "[[baselines]]: widths: expected numbers");
    let stored = suite.replace("[rows]\n", "[rows]\nstore = 'model'\n");
    tiny.write("suite.toml", &format!("{stored}\n[[baselines]]\nbaseline = 'random-lm'\n"));
    let ran = crate::common::Ran::from(tiny.train("run", &["-q"]).output().unwrap());
    assert!(ran.error.contains("leave out the store or this baseline"), "{}", ran.error);
}
