//! `lapidary world planted` from the command line: the oracle scores exactly 1, training beats its frozen decoder, the same
//! bytes come out whatever the number of threads and whether or not the run was interrupted, folders score as they did in
//! their run, others get the very rows, and what cannot be done is refused.

use crate::common::{assert_same, bytes, command, good, lapidary};
use lapidary_world::planted::{Planted, Size};
use serde_json::Value;
use std::io::Read;
use std::process::Stdio;

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

/// The same with every architecture.
const EVERY: [&str; 14] = [
    "world",
    "planted",
    "--json",
    "--quiet",
    "--samples",
    "16384",
    "--width",
    "48",
    "--truth-rows",
    "3000",
    "--target-l0",
    "8",
    "--architecture",
    "jumprelu,topk,batchtopk,matryoshka,gated,l1",
];

/// Scores as they are printed, without what names their dictionary.
fn scores(report: &str) -> Vec<Value> {
    let report: Value = serde_json::from_str(report).expect("JSON");
    let mut all = report["dictionaries"].as_array().expect("a list").clone();
    for one in &mut all {
        let one = one.as_object_mut().expect("an object");
        one.retain(|key, _| {
            !["name", "architecture", "lambda", "target_l0", "baseline"].contains(&key.as_str())
        });
    }
    all
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// Training moves the decoder towards the directions: whatever is measured is better than with the decoder frozen, the F1 by
/// more than both intervals. Too few rows for a direction to be recovered, so that none is.
fn stands_above_its_baseline(trained: &Value, frozen: &Value) {
    let both = |key: &str| (number(&trained[key]), number(&frozen[key]));
    for key in ["mean_correlation", "f1_by_cosine"] {
        let (ours, theirs) = both(key);
        assert!(ours > theirs, "{key}: {trained} {frozen}");
    }
    let ((fvu, its), (l0, its_l0)) = (both("fvu"), both("l0"));
    assert!(fvu < its && its < 1.0 && l0 < its_l0, "less is lost with fewer features: {trained} {frozen}");
    let (ours, theirs) =
        (&trained["matched_f1"]["interval"]["low"], &frozen["matched_f1"]["interval"]["high"]);
    assert!(number(ours) > number(theirs), "{trained} {frozen}");
    assert_eq!(both("recovered"), (0.0, 0.0));
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
    stands_above_its_baseline(of(0), of(1));

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
    assert!(other.code == Some(1) && other.error.contains("seed: expected 43, found 42"), "{other:?}");
    let again = lapidary(&[&SMALL[..], &["--out", out]].concat());
    assert!(
        again.code == Some(1) && again.error.contains("expected an empty or missing folder"),
        "{again:?}"
    );
}

#[test]
fn every_architecture_is_trained_resumed_and_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_string();
    let every = |more: &[&str]| good(&[&EVERY[..], more].concat());
    let whole = every(&["--out", &path("run")]);
    let report: Value = serde_json::from_str(&whole).expect("JSON");
    let all = report["dictionaries"].as_array().expect("a list");
    let kinds: Vec<&str> = all.iter().map(|d| d["architecture"].as_str().unwrap_or("none")).collect();
    assert_eq!(kinds, ["JumpReLU", "JumpReLU", "TopK", "BatchTopK", "Matryoshka", "Gated", "L1", "none"]);
    let frozen = number(&all[1]["mean_correlation"]);
    for (i, d) in all[..7].iter().enumerate() {
        let by_k =
            d["architecture"].as_str().is_some_and(|kind| kind.ends_with("TopK") || kind == "Matryoshka");
        assert_eq!((number(&d["target_l0"]), d["lambda"].is_null()), (8.0, by_k), "{d}");
        assert!(i == 1 || number(&d["mean_correlation"]) > frozen, "no better than the frozen decoder: {d}");
        assert!((0.0..1.0).contains(&number(&d["fvu"])), "worse than the mean row: {d}");
    }
    assert!((7.5..=8.0).contains(&number(&all[2]["l0"])), "k, fewer where fewer are positive: {}", all[2]);
    let distinct = |i: usize| all[..i].iter().all(|d| d["fvu"] != all[i]["fvu"]);
    assert!((0..7).all(distinct), "{whole}");

    good(&[&EVERY[..], &["--out", &path("cut"), "--threads", "1"]].concat());
    for lost in ["checkpoints/step-000000008.safetensors", "scores.json"] {
        std::fs::remove_file(folder.path().join("cut").join(lost)).expect("a file");
    }
    std::fs::remove_dir_all(folder.path().join("cut/dictionaries")).expect("a folder");
    assert_eq!(every(&["--out", &path("cut"), "--resume"]), whole);
    assert_same(&folder.path().join("run"), &folder.path().join("cut"), &[], "resumed");
    assert_eq!(bytes(&folder.path().join("run/dictionaries")).len(), 7 * 4);

    let source = path("run/dictionaries/planted-gated-width48-l0-8");
    let npz = path("npz");
    good(&["convert", &source, "--to", "gemma-scope", "--out", &npz]);
    let names: Vec<String> = all[..7]
        .iter()
        .map(|d| path(&format!("run/dictionaries/{}", d["name"].as_str().expect("a name"))))
        .collect();
    let score =
        ["world", "planted", "--json", "-q", "--samples", "16384", "--truth-rows", "3000", "--score", &npz];
    let given: Vec<&str> = score.into_iter().chain(names.iter().map(String::as_str)).collect();
    let (again, before) = (scores(&good(&given)), scores(&whole));
    assert_eq!(again[0], before[5], "converted");
    assert_eq!(again[1..], before, "as they are, and the oracle");

    let refused = lapidary(&["world", "planted", "--size", "full", "--score", &names[0]]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.error.contains("from 768 to 768 dimensions, as the rows have, found one from 128 to 128")
    );
}

#[test]
fn others_get_the_very_rows() {
    let rows = ["world", "planted-rows", "--seed", "5", "--first", "1500", "--count", "700"];
    let streamed = command(&rows).output().expect("the binary runs").stdout;
    let mut x = vec![0.0; 700 * 128];
    Planted::new(5, Size::Everyday.config()).rows(1_500, 700, &mut x, None);
    assert!(streamed == x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
}

#[test]
fn a_reader_of_rows_may_stop() {
    let mut rows = command(&["world", "planted-rows", "--count", "1000000000"]);
    let mut rows = rows.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut first = [0; 512];
    rows.stdout.take().expect("a pipe").read_exact(&mut first).expect("a row");
    let ended = rows.wait_with_output().expect("it ends");
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
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
    assert!(dry.contains("dictionaries: 2 and 2 baselines, of 512 features"), "{dry}");
    let kinds = ["--architecture", "jumprelu,topk", "--target-l0", "9", "--no-baselines", "--dry-run"];
    let dry = good(&[&["world", "planted", "--samples", "20000000"][..], &kinds].concat());
    assert!(
        dry.contains("dictionaries: 2, of 512") && dry.contains("JumpReLU: L0 9 by a controller"),
        "{dry}"
    );
    assert!(dry.contains("TopK with AuxK (α 0.03125, k 64, dead after 999,936 rows): L0 9 by k"), "{dry}");
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
    refused(&["--lambdas", "0.1", "--target-l0", "8"], 2, "cannot be used with");
    refused(
        &["--architecture", "relu"],
        2,
        "expected one of jumprelu, topk, batchtopk, matryoshka, gated, l1, found `relu`",
    );
    refused(&["--architecture", "l1,l1", "--target-l0", "8"], 1, "--architecture: l1 is named twice");
    refused(
        &["--architecture", "l1,topk"],
        1,
        "--architecture topk: expected `target_l0`, the k of topk, for",
    );
    refused(&["--architecture", "topk", "--target-l0", "513"], 1, "at most 512");
    refused(&["--score", "d", "--oracle"], 2, "cannot be used with");
    refused(&["--score", "no/such/dictionary"], 1, "no/such/dictionary");
    refused(&["--truth-rows", "0"], 1, "--truth-rows: expected at least 1");
    refused(&["--samples", "2047"], 1, "expected at least one batch of 2048 rows, found 2047");
    refused(&["--samples", "4095", "--preset", "gemma-scope"], 1, "one batch of 4096 rows");
    refused(&["--samples", "9999999999999999"], 1, "--samples: expected at most");
    refused(&["--width", "99999999999"], 1, "of memory is needed, this machine has");
    refused(&["--resume", "--out", "no/such/run"], 1, "expected a planted run with planted.json in it");
}
