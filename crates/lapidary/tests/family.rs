//! Every architecture through the binary: side by side in one run, scored, released, begun from another dictionary, and
//! killed and resumed with the same bytes.

use crate::common::{Tiny, assert_same, good, lapidary};
use serde_json::Value;
use std::path::Path;

/// One dictionary of each kind, and the name that it gets.
const FAMILY: &str = "
[[dictionaries]]
lambdas = [0.003, 0.01, 0.03]
sites = '0.res'

[[dictionaries]]
architecture = 'topk'
target_l0 = 4

[[dictionaries]]
architecture = 'batchtopk'
target_l0 = [4, 6]
sites = '0.res'

[[dictionaries]]
architecture = 'matryoshka'
target_l0 = 4
sites = '0.res'

[[dictionaries]]
architecture = 'gated'
target_l0 = 5
sites = '0.res'

[[dictionaries]]
architecture = 'l1'
sites = '0.res'

[[dictionaries]]
prefixes = [8, 16]
target_l0 = 5
sites = '0.res'

[[dictionaries]]
transcoders = ['1.mlp-in -> 1.mlp']
skip = true

[[dictionaries]]
architecture = 'topk'
target_l0 = 3
transcoders = ['1.mid -> 0.res']

[[baselines]]
baseline = 'frozen-encoder'
sites = '0.res'

[[baselines]]
baseline = 'random'
architecture = 'topk'
target_l0 = 4
sites = '0.res'

[aux]
dead_rows = 500
k = 8
";

const NAMES: [&str; 14] = [
    "0.res-width40-lambda0.003",
    "0.res-width40-lambda0.01",
    "0.res-width40-lambda0.03",
    "0.res-topk-width40-l0-4",
    "1.att-topk-width40-l0-4",
    "0.res-batchtopk-width40-l0-4",
    "0.res-batchtopk-width40-l0-6",
    "0.res-matryoshka-width40-l0-4",
    "0.res-gated-width40-l0-5",
    "0.res-l1-width40-lambda0.003",
    "0.res-nested-width40-l0-5",
    "1.mlp-in-to-1.mlp-skip-width40-lambda0.003",
    "1.mid-to-0.res-topk-width40-l0-3",
    "0.res-width40-lambda0.003-frozen-encoder",
];

/// A run of the whole family, `whole`.
fn family(steps: u64) -> Tiny {
    let tiny = Tiny::new(steps);
    tiny.write("suite.toml", &format!("{}{FAMILY}", tiny.read("suite.toml")));
    tiny.trained("whole", &["-q"]);
    tiny
}

fn json(tiny: &Tiny, name: &str) -> Value {
    serde_json::from_str(&tiny.read(name)).unwrap()
}

/// Kills a run of `suite.toml` at later and later steps of publishing, resumes it, and compares it with `whole`, until it
/// was resumed from two checkpoints.
fn killed_and_resumed(tiny: &Tiny) {
    let mut resumed = 0;
    for n in (20..).step_by(35) {
        let _ = std::fs::remove_dir_all(tiny.path("killed"));
        let mut killed = tiny.train("killed", &["--quiet"]);
        let ran = killed.env("LAPIDARY_FAIL", format!("kill:{n}")).output().unwrap();
        assert_eq!(ran.status.code(), None, "step {n} of publishing exists");
        let ran = tiny.trained("killed", &["--resume", "--quiet", "--threads", &(1 + n % 3).to_string()]);
        assert_same(&tiny.path("whole"), &tiny.path("killed"), &[], &format!("killed at {n}"));
        resumed += u32::from(ran.error.contains("resuming after step"));
        if resumed == 2 {
            return;
        }
    }
}

#[test]
fn all_architectures_side_by_side_are_resumed_with_the_same_bytes() {
    let tiny = family(12);
    let plan = json(&tiny, "whole/plan.json");
    let dictionaries = plan["training"]["dictionaries"].as_array().unwrap();
    let names: Vec<&str> = dictionaries.iter().map(|d| d["name"].as_str().unwrap()).collect();
    assert_eq!(names[..14], NAMES);
    assert_eq!(names[14..], ["0.res-topk-width40-l0-4-random"]);
    let of = |name: &str| dictionaries.iter().find(|d| d["name"] == name).unwrap();
    assert_eq!(of(NAMES[0]).get("objective"), None, "plans of Gemma Scope's objective keep their bytes");
    assert_eq!(of(NAMES[3])["objective"]["k"], 4);
    assert_eq!(of(NAMES[3])["objective"]["aux"]["dead_rows"], 500);
    assert_eq!(of(NAMES[7])["prefixes"], serde_json::json!([2, 5, 10, 20, 40]));
    assert_eq!(
        (&of(NAMES[8])["target_l0"], &of(NAMES[8])["objective"]["kind"]),
        (&5.0.into(), &"gated".into())
    );
    assert_eq!(of(NAMES[10])["prefixes"], serde_json::json!([8, 16, 40]));
    let transcoder = &of(NAMES[11])["transcoder"];
    assert_eq!((&transcoder["output"], &transcoder["skip"]), (&"1.mlp".into(), &true.into()));
    assert_ne!(transcoder["c_out"], of(NAMES[11])["c"], "C of both sites is measured");
    assert_eq!(of(NAMES[12])["transcoder"]["c_out"], of(NAMES[0])["c"], "1.mid -> 0.res");
    killed_and_resumed(&tiny);
}

#[test]
fn presets_that_choose_the_penalty_are_resumed_with_the_same_bytes() {
    for (preset, sparsity) in [("gemma-scope-2", "target_l0 = [5, 9]"), ("anthropic", "target_l0 = 5")] {
        let tiny = Tiny::new(12);
        let text = tiny.read("suite.toml").replace("lambdas = [0.003]", sparsity);
        tiny.write("suite.toml", &format!("{text}threshold = 'log'\n").replace("short", preset));
        tiny.trained("whole", &["-q"]);
        let plan = json(&tiny, "whole/plan.json");
        let first = &plan["training"]["dictionaries"][0];
        assert_eq!(first["name"], "0.res-width40-l0-5");
        let quadratic = preset == "gemma-scope-2";
        assert_eq!(first["objective"]["penalty"]["kind"], if quadratic { "quadratic" } else { "tanh" });
        assert_eq!(first.get("target_l0").is_none(), quadratic, "who has a target needs no controller");
        assert_eq!(plan["training"]["recipe"]["threshold"], "log");
        killed_and_resumed(&tiny);
    }
}

#[test]
fn the_plan_says_how_an_l0_is_reached() {
    let tiny = Tiny::new(2);
    tiny.write("suite.toml", &format!("{}{FAMILY}", tiny.read("suite.toml")));
    let suite = tiny.at("suite.toml");
    let plan = good(&["train", &suite, "--out", &tiny.at("run"), "--dry-run"]);
    for words in [
        "JumpReLU: λ 0.003, λ 0.01, λ 0.03",
        "TopK with AuxK (α 0.03125, k 8, dead after 500 rows): L0 4 by k, L0 3 by k",
        "Gated: L0 5 by a controller of λ, from 0.134 of the squared error",
        "nested widths 8, 16, 40: L0 5 by a controller of λ, from 0.0600 of the squared error",
    ] {
        assert!(plan.contains(words), "{words}: {plan}");
    }
}

#[test]
fn all_architectures_are_scored_and_released() {
    let tiny = family(12);
    let run = tiny.at("whole");
    let table = good(&["evaluate", &run, "--resamples", "20", "-q"]);
    for line in
        ["0.res topk ", "0.res matryoshka ", "1.mlp-in → 1.mlp with skip ", "0.res frozen-encoder ", "L0 4 "]
    {
        assert!(table.contains(line), "{line}: {table}");
    }
    let evaluation = json(&tiny, "whole/evaluation.json");
    let scores = |name: &str| {
        let mut all = evaluation["scores"].as_array().unwrap().iter();
        all.find(|s| s["name"] == name).unwrap_or_else(|| panic!("{name} is scored")).clone()
    };
    NAMES.iter().for_each(|name| assert!(scores(name)["l0"]["value"].is_number(), "{name}"));
    assert!(scores(NAMES[3])["l0"]["value"].as_f64().unwrap() <= 4.0, "never more than k");
    let transcoder = scores(NAMES[11]);
    assert_eq!((&transcoder["reads"], &transcoder["site"]), (&"1.mlp-in".into(), &"1.mlp".into()));
    assert_eq!(transcoder["ce_ablated"], scores(NAMES[11])["ce_ablated"]);
    let release = good(&["release", &run, "--out", &tiny.at("release"), "-q"]);
    assert!(release.contains("13 dictionaries"), "{release}");
    let card = |name: &str| tiny.read(&format!("release/{name}/card.md"));
    assert!(card(NAMES[3]).contains("A TopK sparse autoencoder"), "{}", card(NAMES[3]));
    assert!(card(NAMES[8]).contains("- trained as: Gated") && card(NAMES[8]).contains("λ that was found"));
    assert!(card(NAMES[11]).contains("A JumpReLU transcoder with a skip"), "{}", card(NAMES[11]));
    assert!(card(NAMES[12]).contains("SAELens has no TopK transcoders"), "{}", card(NAMES[12]));
    let page = tiny.read("release/README.md");
    let kinds = "JumpReLU sparse autoencoders, TopK sparse autoencoders, TopK transcoders, JumpReLU transcoders with a skip for";
    assert!(page.contains(kinds), "{page}");
    // Alone, a released transcoder says where it reads and writes, and scores the same.
    let folder = tiny.at(&format!("release/{}", NAMES[11]));
    let (model, text) = (tiny.at("model"), tiny.at("text.txt"));
    let alone = [
        "evaluate",
        &folder,
        "--model",
        &model,
        "--text",
        &text,
        "--resamples",
        "20",
        "--context",
        "64",
        "--json",
    ];
    let alone: Value = serde_json::from_str(&good(&alone)).unwrap();
    assert_eq!(alone["scores"][0]["fvu"], transcoder["fvu"]);
    assert_eq!(alone["scores"][0]["ce_spliced"], transcoder["ce_spliced"]);
}

/// FVU of each step of a dictionary, before its update.
fn fvus(tiny: &Tiny, run: &str, dictionary: &str) -> Vec<f64> {
    let log = tiny.read(&format!("{run}/metrics.jsonl"));
    let lines = log.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    lines.filter(|l| l["dictionary"] == dictionary).map(|l| l["fvu"].as_f64().unwrap()).collect()
}

/// Batches differ, so the first run is the ruler: in its last fifth the rate falls to nothing and the dictionary hardly moves,
/// and the FVU of those 8 steps says how batches scatter. One more batch of the same dictionary lies, with probability 0.99,
/// within t = 3.50 (7 degrees of freedom) times their deviation times √(1 + 1/8) of their mean. A dictionary with a tensor, C or
/// its site mixed up would be where the first quarter of that run was, which must lie outside.
fn goes_on_where_the_other_ended(tiny: &Tiny) {
    for site in ["0.res", "1.att"] {
        let name = format!("{site}-width40-lambda0.003");
        let (first, tuned) = (fvus(tiny, "first", &name), fvus(tiny, "whole", &format!("{name}-tuned")));
        assert_eq!((first.len(), tuned.len()), (40, 12));
        let (early, last) = (&first[..10], &first[32..]);
        let mean = last.iter().sum::<f64>() / 8.0;
        let variance = last.iter().map(|fvu| (fvu - mean).powi(2)).sum::<f64>() / 7.0;
        let near = 3.50 * (variance * (1.0 + 1.0 / 8.0)).sqrt();
        let is_near = |fvu: f64| (fvu - mean).abs() < near;
        assert!(is_near(tuned[0]), "{site}: it goes on at {}, the other ended at {mean} ± {near}", tuned[0]);
        assert!(!early.iter().any(|&fvu| is_near(fvu)), "{site}: {mean} ± {near} tells nothing: {early:?}");
    }
}

#[test]
fn a_run_begins_as_the_dictionaries_of_another_and_is_resumed_with_the_same_bytes() {
    let tiny = Tiny::new(40);
    tiny.trained("first", &["-q"]);
    let first = tiny.at("first");
    tiny.variant("suite.toml", &[&format!("init = {first:?}"), "tokens = 1536"]);
    tiny.trained("whole", &["-q"]);
    let plan = json(&tiny, "whole/plan.json");
    let d = &plan["training"]["dictionaries"][1];
    assert_eq!(d["name"], "1.att-width40-lambda0.003-tuned");
    let from = json(&tiny, "first/dictionaries/1.att-width40-lambda0.003/lapidary.json");
    assert_eq!(d["start"], from["weights_hash"]);
    goes_on_where_the_other_ended(&tiny);
    killed_and_resumed(&tiny);
    refused(
        &tiny,
        &["widths = [41]"],
        "init: ",
        &["0.res with 41 features, found none; name another `init`"],
    );
    let one = tiny.at("first/dictionaries/1.att-width40-lambda0.003");
    let mismatch = ["expected a dictionary of 0.res with 40 features, found one of 1.att"];
    refused(&tiny, &[&format!("init = {one:?}")], "init: ", &mismatch);
    refused(&tiny, &["init = 'nowhere'"], "init: ", &["nowhere: no such file or folder"]);
    let two = "lambdas = [0.003, 0.004]";
    tiny.variant("sweep.toml", &[two, "init = 'X'"]);
    let sweep = tiny.read("sweep.toml").replace("init = 'X'\n", "");
    tiny.write("sweep.toml", &sweep);
    good(&["train", &tiny.at("sweep.toml"), "--out", &tiny.at("sweep"), "-q"]);
    let sweep = tiny.at("sweep");
    refused(
        &tiny,
        &[&format!("init = {sweep:?}")],
        "init: ",
        &["expected one dictionary of 0.res with 40 features, found 2"],
    );
}

/// The suite with these lines is refused by one line that says all of `needles`.
fn refused(tiny: &Tiny, lines: &[&str], start: &str, needles: &[&str]) {
    tiny.variant("bad.toml", lines);
    let ran = lapidary(&["train", &tiny.at("bad.toml"), "--out", &tiny.at("bad"), "-q"]);
    assert_eq!((ran.code, ran.error.lines().count()), (Some(1), 1), "{lines:?}: {}", ran.error);
    assert!(ran.error.starts_with("error: ") && ran.error.contains(start), "{lines:?}: {}", ran.error);
    needles.iter().for_each(|needle| assert!(ran.error.contains(needle), "{lines:?}: {}", ran.error));
    assert!(!Path::new(&tiny.at("bad/plan.json")).exists());
}

#[test]
fn mistakes_are_answered() {
    let tiny = Tiny::new(2);
    let bad = |lines: &[&str], needles: &[&str]| refused(&tiny, lines, "bad.toml: ", needles);
    bad(&["architecture = 'topk'"], &["expected `target_l0`, the k of topk, found `lambdas`"]);
    bad(&["architecture = 'top'"], &["unknown variant `top`, expected one of `jumprelu`, `topk`"]);
    bad(&["target_l0 = 'x'"], &["expected a number or a list of numbers"]);
    bad(&["prefixes = [16, 8]"], &["prefixes: expected ascending numbers from 1 to 40"]);
    bad(&["threshold = 'sqrt'"], &["unknown field `threshold`"]);
    bad(&["preset = 'anthropic'", "architecture = 'l1'"], &["expected architecture jumprelu", "found l1"]);
    bad(&["preset = 'gemma-scope-2'"], &["preset gemma-scope-2: expected `target_l0`"]);
    let bad = |lines: &[&str], needles: &[&str]| refused(&tiny, lines, "", needles);
    bad(&["transcoders = ['1.mlp-in']"], &["transcoders: `1.mlp-in`: expected SITE -> SITE"]);
    bad(&["transcoders = ['1.mlp-in -> 1.rez']"], &["did you mean `1.res`?"]);
    bad(&["transcoders = ['*.mlp-in -> 1.mlp']"], &["as many sites on both sides, found 2 and 1"]);
    bad(&["transcoders = ['1.mlp -> 1.mlp']"], &["expected two different sites, found 1.mlp twice"]);
    bad(&["skip = true"], &["skip: expected `transcoders`, found none"]);
    bad(
        &["widths = [100_000_000_000]", "transcoders = ['1.mlp-in -> 1.mlp']"],
        &["try fewer widths or sites"],
    );
}
