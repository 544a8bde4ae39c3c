//! An atlas from the command line: the embedded suite, its numbers as `lapidary features` has them, a build that is killed, and what is
//! refused.

mod common;

use common::{command, good, lapidary};
use serde_json::Value;

const TEXT: [&str; 6] = ["--text", "world:tokens=20000", "--split", "all", "--max-windows", "40"];
const ONE: &str = "organism-suite/2.res-width1024-lambda0.002";

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&good(args)).expect("JSON")
}

fn build<'a>(subject: &'a str, out: &'a str) -> Vec<&'a str> {
    [&["atlas", "build", subject, "--model", "organism", "--out", out, "--quiet"], &TEXT[..]].concat()
}

#[test]
fn an_atlas_says_what_features_says() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("atlas").display().to_string();
    good(&build(ONE, &out));
    let suite = json(&["atlas", "query", &out]);
    assert_eq!(
        (&suite["dictionaries"][0]["source"], &suite["has_truth"]),
        (&"2-res-1k".into(), &true.into())
    );
    let list =
        json(&["atlas", "query", &out, "2-res-1k", "--sort", "density", "--descending", "--limit", "3"]);
    assert_eq!(list["total"], 1_024);
    let index = list["features"][1]["index"].as_u64().unwrap();
    let page = json(&["atlas", "query", &out, &format!("2-res-1k/{index}")]);
    let feature = index.to_string();
    let shown =
        ["features", ONE, "--model", "organism", "--feature", &feature, "--top", "4", "--json", "--quiet"];
    let shown = &json(&[&shown, &TEXT[..]].concat())[0];
    assert_eq!((&page["count"], &page["density"]), (&shown["fires"], &shown["density"]));
    let at = |v: &Value, key: &str| v[key].as_f64().unwrap() as f32;
    for (ours, theirs) in
        page["contexts"]["top"].as_array().unwrap().iter().zip(shown["contexts"].as_array().unwrap())
    {
        assert_eq!((&ours["document"], at(ours, "max")), (&theirs["document"], at(theirs, "value")));
        let peak = ours["peak"].as_u64().unwrap() as usize;
        let (here, there) =
            (&ours["tokens"][peak], &theirs["tokens"][theirs["at"].as_u64().unwrap() as usize]);
        assert_eq!(here, there);
    }
    let promoted: Vec<String> = page["logits"]["top"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["token"].as_str().unwrap().trim().into())
        .collect();
    let theirs: Vec<&str> =
        shown["promotes"].as_array().unwrap().iter().map(|t| t.as_str().unwrap().trim()).collect();
    assert_eq!(promoted[..theirs.len()], theirs);
}

#[test]
fn a_killed_build_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, other) =
        (dir.path().join("a").display().to_string(), dir.path().join("b").display().to_string());
    good(&build(ONE, &whole));
    let steps = [&build(ONE, &other)[..], &["--shard-rows", "500"]].concat();
    let killed = command(&steps).env("LAPIDARY_FAIL", "kill:17").output().unwrap();
    assert!(!killed.status.success());
    let half = lapidary(&["atlas", "query", &other]);
    assert!(half.code == Some(1) && half.error.contains("half built"), "{}", half.error);
    good(&[&steps[..], &["--resume"]].concat());
    let manifest = |out: &str| std::fs::read(format!("{out}/atlas.json")).unwrap();
    assert!(manifest(&whole) == manifest(&other), "another atlas");
}

#[test]
fn what_is_no_atlas_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().display().to_string();
    for (args, needle) in [
        (vec!["atlas", "query", &empty], "atlas.json"),
        (vec!["atlas", "query", "nowhere"], "no such file or folder"),
        (vec!["atlas", "build", ONE, "--model", "organism", "--out", &empty], "--text"),
        (vec!["atlas", "export", &empty, "--to", "neuronpedia", "--out", "x"], "atlas.json"),
    ] {
        let ran = lapidary(&args);
        assert!(ran.code == Some(1) && ran.error.contains(needle), "{args:?}: {}", ran.error);
    }
}
