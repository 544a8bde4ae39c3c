//! `lapidary world planted` from the command line: the oracle scores exactly 1, training beats its frozen decoder, the same
//! bytes come out whatever the number of threads and whether or not the run was interrupted, and what cannot be done is refused.

mod common;

use common::{good, lapidary};
use serde_json::Value;

/// 8 steps of a small dictionary: seconds are spent on drawing the directions.
const SMALL: [&str; 12] = [
    "world",
    "planted",
    "--json",
    "--quiet",
    "--samples",
    "16384",
    "--width",
    "48",
    "--lambdas",
    "0.003",
    "--truth-rows",
    "3000",
];

fn small(more: &[&str]) -> String {
    good(&[&SMALL[..], more].concat())
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn the_oracle_scores_one_and_what_was_trained_stands_above_it() {
    let report: Value = serde_json::from_str(&small(&["--threads", "2"])).expect("JSON");
    let of = |i: usize| &report["dictionaries"][i];
    assert_eq!(report["dictionaries"].as_array().map(Vec::len), Some(3));
    assert_eq!((number(&report["trained_rows"]), number(&report["truth_rows"])), (16_384.0, 3_000.0));
    assert_eq!((&of(0)["baseline"], &of(1)["baseline"]), (&Value::Null, &"frozen-decoder".into()));

    let oracle = of(2);
    assert_eq!(oracle["name"], "oracle");
    for one in [&oracle["matched_f1"]["value"], &oracle["mean_correlation"], &oracle["recovered"]] {
        assert_eq!(number(one), 1.0, "{oracle}");
    }
    assert!((number(&oracle["l0"]) / number(&report["true_l0"]) - 1.0).abs() < 0.05, "{oracle}");
    for i in 0..2 {
        assert!(number(&of(i)["fvu"]) < 1.5 && number(&of(i)["l0"]) > 0.0, "{}", of(i));
        assert!(number(&of(i)["recovered"]) < 0.1, "{}", of(i));
    }
    let correlation = |i: usize| number(&of(i)["mean_correlation"]);
    assert!(correlation(0) > correlation(1), "training moves the decoder towards the directions");

    assert_eq!(small(&["--threads", "1"]), small(&["--threads", "2"]), "threads");
}

#[test]
fn a_kept_run_resumes_to_the_same_scores() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let out = out.to_str().expect("UTF-8");
    let whole = small(&["--out", out]);
    assert_eq!(std::fs::read_to_string(folder.path().join("run/scores.json")).expect("scores") + "\n", whole);
    assert!(
        folder.path().join("run/planted.json").is_file() && folder.path().join("run/metrics.jsonl").is_file()
    );
    let last = folder.path().join("run/checkpoints/step-000000008.safetensors");
    std::fs::remove_file(last).expect("the last checkpoint");
    assert_eq!(small(&["--out", out, "--resume"]), whole);

    let other = lapidary(&[&SMALL[..], &["--out", out, "--resume", "--seed", "43"]].concat());
    assert!(other.code == Some(1) && other.error.contains("expected a checkpoint of plan"), "{other:?}");
    let again = lapidary(&[&SMALL[..], &["--out", out]].concat());
    assert!(
        again.code == Some(1) && again.error.contains("expected an empty or missing folder"),
        "{again:?}"
    );
}

#[test]
fn the_table_names_its_columns_and_the_ceiling() {
    let out = good(&["world", "planted", "--oracle", "--truth-rows", "3000", "-q"]);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("dictionary") && lines[0].ends_with("recovered"), "{out}");
    assert!(lines[2].starts_with("oracle") && lines[2].contains("2,048") && lines.len() > 4, "{out}");
    assert_eq!(lines[2].split_whitespace().filter(|cell| *cell == "1.00").count(), 4, "{out}");
    assert!(!out.contains("Published"), "another size: {out}");
    let dry = good(&["world", "planted", "--dry-run", "--size", "full"]);
    assert!(
        dry.contains("16,384 planted directions in 768 dimensions") && dry.contains("of memory"),
        "{dry}"
    );
}

#[test]
fn what_cannot_be_done_is_refused() {
    let refused = |more: &[&str], code: i32, says: &str| {
        let ran = lapidary(&[&["world", "planted"][..], more].concat());
        assert!(ran.code == Some(code) && ran.error.contains(says), "{more:?}: {ran:?}");
    };
    refused(&["--size", "huge"], 2, "[possible values: everyday, full]");
    refused(&["--preset", "long"], 2, "[possible values: short, gemma-scope]");
    refused(&["--resume"], 2, "--out");
    refused(&["--width", "0"], 1, "widths: expected numbers of features, each at least 1");
    refused(&["--lambdas", "0.1,nan"], 1, "lambdas: expected 0 or numbers");
    refused(&["--lambdas", "0.1,0.1"], 1, "0.1 is named twice");
    refused(&["--truth-rows", "0"], 1, "--truth-rows: expected at least 1");
    refused(&["--samples", "2047"], 1, "expected at least one batch of 2048 rows, found 2047");
    refused(&["--samples", "4095", "--preset", "gemma-scope"], 1, "one batch of 4096 rows");
    refused(&["--samples", "9999999999999999"], 1, "--samples: expected at most");
    refused(&["--width", "99999999999"], 1, "of memory is needed, this machine has");
    refused(&["--resume", "--out", "no/such/run"], 1, "expected a run with planted.json in it");
}
