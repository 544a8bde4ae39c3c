//! What was scored is what is said: on which model, which documents and which weights; by the evaluation and by the release.

use crate::common::{Ran, Tiny, command, good, lapidary};
use serde_json::{Value, json};
use std::path::Path;

const NAME: &str = "0.res-width40-lambda0.003";

/// Exit code 1 and one line with all of `needles`.
fn refused(args: &[&str], needles: &[&str]) {
    let ran = lapidary(args);
    assert!(ran.code == Some(1) && ran.error.lines().count() == 1, "{args:?}: {} {}", ran.out, ran.error);
    for needle in needles {
        assert!(ran.error.contains(needle), "{args:?}: expected {needle:?} in {}", ran.error);
    }
}

fn evaluate(tiny: &Tiny, run: &str, more: &[&str]) -> String {
    good(&[&["evaluate", &tiny.at(run), "--resamples", "10", "-q"][..], more].concat())
}

/// Releases `run` as `out`; its page and the card of one dictionary.
fn released(tiny: &Tiny, run: &str, out: &str, more: &[&str]) -> (String, String) {
    good(&[&["release", &tiny.at(run), "--out", &tiny.at(out), "-q"][..], more].concat());
    (tiny.read(&format!("{out}/README.md")), tiny.read(&format!("{out}/{NAME}/card.md")))
}

fn read(tiny: &Tiny, name: &str) -> Value {
    serde_json::from_str(&tiny.read(name)).unwrap()
}

/// A model of the same shapes with one weight more or less.
fn another_model(tiny: &Tiny, name: &str) {
    std::fs::create_dir(tiny.path(name)).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let mut bytes = std::fs::read(tiny.path("model").join(file)).unwrap();
        if file == "model.safetensors" {
            let last = bytes.len() - 4;
            bytes[last..].copy_from_slice(&3.5f32.to_le_bytes());
        }
        std::fs::write(tiny.path(name).join(file), bytes).unwrap();
    }
}

#[test]
fn every_dictionary_is_scored_on_its_own_model_or_that_is_said() {
    let tiny = Tiny::new(4);
    another_model(&tiny, "other");
    let suite = tiny.read("suite.toml");
    tiny.trained("a", &["-q"]);
    tiny.write("suite.toml", &suite.replace("/model\"", "/other\""));
    tiny.trained("b", &["-q"]);
    let (a, b, other, text) = (tiny.at("a"), tiny.at("b"), tiny.at("other"), tiny.at("text.txt"));
    let hash = |run: &str| {
        read(&tiny, &format!("{run}/plan.json"))["model"]["hash"].as_str().unwrap()[..12].to_owned()
    };
    refused(&["evaluate", &a, &b], &[&a, &b, &hash("a"), &hash("b"), "--foreign-model"]);
    refused(&["evaluate", &a, "--model", &other], &[NAME, &hash("a"), &hash("b"), "--foreign-model"]);
    let both = good(&["evaluate", &a, &b, "--foreign-model", "--resamples", "10", "-q"]);
    assert!(both.contains(&format!("The model was model ({})", hash("a"))), "{both}");
    let whose = format!("not the one of the training of 2 of the 4 dictionaries, other ({}).", hash("b"));
    assert!(both.contains(&whose), "{both}");

    // The same for a released dictionary, which has no run any more.
    evaluate(&tiny, "a", &[]);
    released(&tiny, "a", "release", &[]);
    let alone = tiny.at(&format!("release/{NAME}"));
    let elsewhere = ["evaluate", &alone, "--model", &other, "--text", &text];
    refused(&elsewhere, &["other", &hash("a"), &hash("b"), "--foreign-model"]);
    let more = ["--foreign-model", "--json", "-q", "--resamples", "10"];
    let file: Value = serde_json::from_str(&good(&[&elsewhere[..], &more].concat())).unwrap();
    assert_eq!(file["foreign"], json!([{ "scores": 0, "model": read(&tiny, "a/plan.json")["model"] }]));
    assert_eq!(file["model"], read(&tiny, "b/plan.json")["model"]);

    // A run's own file and its card say it too, and the scores are others.
    let own = read(&tiny, "a/evaluation.json");
    evaluate(&tiny, "a", &["--model", &other, "--foreign-model"]);
    assert_ne!(read(&tiny, "a/evaluation.json")["scores"][0]["ce"], own["scores"][0]["ce"]);
    let (page, card) = released(&tiny, "a", "moved", &[]);
    for text in [page, card] {
        assert!(text.contains("it is not the one of the training, model ("), "{text}");
    }
}

/// `lm tap` names tensors by their sites.
#[test]
fn rows_of_another_site_are_encoded_only_when_asked_for() {
    let tiny = Tiny::new(2);
    tiny.trained("run", &["-q"]);
    let (dictionary, tapped, out) = (
        tiny.at(&format!("run/dictionaries/{NAME}")),
        tiny.at("tapped.safetensors"),
        tiny.at("f.safetensors"),
    );
    good(&[
        "lm",
        "tap",
        "--model",
        &tiny.at("model"),
        "--tokens",
        "1,5,6",
        "--sites",
        "0.mlp",
        "--out",
        &tapped,
    ]);
    let encode = ["encode", &dictionary, "--in", &tapped, "--out", &out];
    refused(&encode, &["expected rows of 0.res", "found `0.mlp`", "--tensor 0.mlp"]);
    good(&[&encode[..], &["--tensor", "0.mlp"]].concat());
}

#[test]
fn runs_on_other_text_or_context_are_not_mixed() {
    let tiny = Tiny::new(2);
    tiny.trained("a", &["-q"]);
    tiny.variant("suite.toml", &["context = 32"]);
    tiny.trained("b", &["-q"]);
    tiny.write("less.txt", &tiny.read("text.txt")[..9_000]);
    tiny.variant("suite.toml", &[&format!("text = [{:?}]", tiny.path("less.txt"))]);
    tiny.trained("c", &["-q"]);
    let (a, b, c) = (tiny.at("a"), tiny.at("b"), tiny.at("c"));
    refused(&["evaluate", &a, &b], &[&a, &b, "context", "(64)", "(32)", "--context"]);
    refused(&["evaluate", &b, &c], &[&b, &c, "text", "--text"]);
    good(&["evaluate", &a, &b, "--context", "32", "--resamples", "5", "-q"]);
    good(&["evaluate", &b, &c, "--text", &tiny.at("text.txt"), "--resamples", "5", "-q"]);
    refused(&["evaluate", &a, "--site-out", "1.mlp"], &["--site-out", "leave it out"]);
}

#[test]
fn a_release_says_which_documents_were_scored() {
    let tiny = Tiny::new(4);
    tiny.trained("run", &["-q"]);
    evaluate(&tiny, "run", &[]);
    let of = |documents: &str| format!("{documents}, context 64.");
    let (page, card) = released(&tiny, "run", "held-out", &[]);
    for text in [&page, &card] {
        assert!(text.contains(&of("held-out documents")) && !text.contains("Training saw"), "{text}");
    }
    assert!(card.contains("| loss recovered (zero) |") && card.contains("| CE, zero-ablated |"), "{card}");
    let own = read(&tiny, "run/evaluation.json");
    assert_eq!(own["scored"], json!({ "split": "held-out", "own_text": true }));

    let cases: [(&[&str], &str, &str); 5] = [
        (
            &["--all-documents"],
            "documents, held out or not",
            "Training saw about three in four of these documents.",
        ),
        (
            &["--split", "all"],
            "documents, held out or not",
            "Training saw about three in four of these documents.",
        ),
        (&["--split", "train"], "documents of the training split", "Training saw all of these documents."),
        (
            &["--split", "validation"],
            "validation documents",
            "Constants may have been chosen on these documents.",
        ),
        (&["--max-windows", "3"], "held-out documents", "Only the first 3 windows of the text were scored."),
    ];
    for (k, (flags, documents, caveat)) in cases.iter().enumerate() {
        let said = evaluate(&tiny, "run", flags);
        let (page, card) = released(&tiny, "run", &format!("release-{k}"), &[]);
        for text in [said, page, card] {
            assert!(text.contains(&of(documents)) && text.contains(caveat), "{flags:?}: {text}");
        }
    }
    tiny.write("less.txt", &tiny.read("text.txt")[..9_000]);
    evaluate(&tiny, "run", &["--text", &tiny.at("less.txt"), "--split", "all"]);
    let (page, card) = released(&tiny, "run", "elsewhere", &[]);
    for text in [page, card] {
        assert!(text.contains("The text is not the one of the training."), "{text}");
        assert!(text.contains("and scored on another") && !text.contains("one text only"), "{text}");
    }
}

#[test]
fn a_released_baseline_says_that_it_is_one() {
    let tiny = Tiny::new(4);
    let baselines = "\n[[baselines]]\nbaseline = 'frozen-decoder'\nsites = '0.res'\n\n\
                     [[baselines]]\nbaseline = 'random-lm'\nsites = '0.res'\n";
    tiny.write("suite.toml", &format!("{}{baselines}", tiny.read("suite.toml")));
    tiny.trained("run", &["-q"]);
    evaluate(&tiny, "run", &[]);
    let (page, _) = released(&tiny, "run", "release", &["--with-baselines"]);
    assert!(page.contains("2 dictionaries and 2 baselines, there to be beaten"), "{page}");
    for kind in ["frozen-decoder", "random-lm"] {
        let name = format!("{NAME}-{kind}");
        let file = |file: &str| tiny.read(&format!("release/{name}/{file}"));
        assert!(file("card.md").contains(&format!("\n# {name}, a baseline\n")), "{}", file("card.md"));
        assert!(page.contains(&format!("- [{name}]({name}/): {kind}: ")), "{page}");
        let json = |name: &str| serde_json::from_str::<Value>(&file(name)).unwrap();
        assert_eq!(json("cfg.json")["metadata"]["lapidary_baseline"], kind);
        assert_eq!(json("lapidary.json")["training"]["baseline"], kind);
    }
    let (page, card) = released(&tiny, "run", "without", &[]);
    assert!(page.contains("2 baselines of the run are left out"), "{page}");
    assert!(!card.contains("baseline"), "{card}");
}

#[test]
fn scores_that_cannot_be_saved_are_shown() {
    let tiny = Tiny::new(2);
    tiny.trained("run", &["-q"]);
    let run = tiny.at("run");
    // What a killed evaluation would go on with cannot be written either, and that is no reason to stop.
    let mut full = command(&["evaluate", &run, "--resamples", "10", "-q"]);
    let ran = Ran::from(full.env("LAPIDARY_FAIL", "disk-full:2").output().unwrap());
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(ran.out.contains("loss recovered") && ran.out.contains("held-out documents"), "{}", ran.out);
    assert!(ran.error.contains("evaluation.json") && !ran.out.contains("saved"), "{} {}", ran.out, ran.error);
    assert!(!tiny.path("run/evaluation.json").exists());
    let said = good(&["evaluate", &run, "--dry-run"]);
    assert!(said.starts_with("2 dictionaries on "), "{said}");
    // What can be known before is said before: the model, of which the weights are gone, is not even read.
    std::fs::create_dir(tiny.path("run/evaluation.json")).unwrap();
    std::fs::remove_file(tiny.path("model/model.safetensors")).unwrap();
    refused(&["evaluate", &run], &["run/evaluation.json", "expected a file to write, found a folder"]);
}

#[test]
fn numbers_beyond_reason_name_their_limits() {
    let tiny = Tiny::new(2);
    tiny.trained("run", &["-q"]);
    let run = tiny.at("run");
    let cases = [
        ("--resamples", "99999999999", "0..=1000000"),
        ("--max-windows", "0", "1..=4294967295"),
        ("--max-windows", "99999999999", "1..=4294967295"),
    ];
    for (flag, value, limit) in cases {
        let ran = lapidary(&["evaluate", &run, flag, value]);
        assert_eq!(ran.code, Some(2), "{flag}: {} {}", ran.out, ran.error);
        assert!(ran.error.contains(flag) && ran.error.contains(limit), "{}", ran.error);
    }
    let ran = lapidary(&["evaluate", &run, "--truth", "world", "--truth-rows", "99999999999"]);
    assert!(ran.code == Some(2) && ran.error.contains("--truth-rows"), "{}", ran.error);
    refused(&["evaluate", &run, "--context", "99999999999"], &["context 99999999999", "64 positions"]);
    good(&["evaluate", &run, "--resamples", "0", "--max-windows", "4294967295", "-q"]);
}

/// Puts `value` where `pointer` leads in the run's evaluation.json.
fn edit(tiny: &Tiny, pointer: &str, value: Value) {
    let mut file = read(tiny, "run/evaluation.json");
    *file.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    tiny.write("run/evaluation.json", &file.to_string());
}

#[test]
fn what_is_broken_or_worse_than_the_mean_is_not_released_without_remark() {
    let tiny = Tiny::new(2);
    tiny.trained("run", &["-q"]);
    evaluate(&tiny, "run", &[]);
    edit(&tiny, "/scores/0/fvu/value", json!(7.7e25));
    edit(&tiny, "/scores/0/ce_spliced/value", json!(99.5));
    edit(&tiny, "/scores/1/delta_loss/value", json!("NaN"));
    let (page, card) = released(&tiny, "run", "release", &[]);
    for remark in [
        "Its FVU of 7.70e25 is above 1: the mean row reconstructs better.",
        "Spliced in, it costs the model more than the mean row does.",
    ] {
        assert!(card.contains(&format!("- {remark}\n")), "{card}");
        assert!(page.contains(&format!("- {NAME}: {remark}\n")), "{page}");
    }
    assert!(page.contains("- 1.att-width40-lambda0.003 is left out: its Δloss is NaN.\n"), "{page}");
    assert!(!tiny.path("release/1.att-width40-lambda0.003").exists());
    edit(&tiny, "/scores/0/fvu/value", json!("inf"));
    let (run, out) = (tiny.at("run"), tiny.at("none"));
    refused(
        &["release", &run, "--out", &out, "-q"],
        &["expected a dictionary to release", "its FVU is inf", "its Δloss is NaN"],
    );
    assert!(!Path::new(&out).exists());
}

#[test]
fn scores_of_other_weights_or_of_an_older_version_are_not_released() {
    let tiny = Tiny::new(2);
    tiny.trained("run", &["-q"]);
    evaluate(&tiny, "run", &[]);
    let (run, out) = (tiny.at("run"), tiny.at("release"));
    let good_file = tiny.read("run/evaluation.json");
    edit(&tiny, &format!("/weights/{NAME}"), json!("0123456789abcdef"));
    refused(&["release", &run, "--out", &out], &["those of other weights (0123456789ab)", "evaluate again"]);
    let mut old: Value = serde_json::from_str(&good_file).unwrap();
    ["scored", "weights"].iter().for_each(|key| drop(old.as_object_mut().unwrap().remove(*key)));
    old["format"] = json!(1);
    tiny.write("run/evaluation.json", &old.to_string());
    refused(&["release", &run, "--out", &out], &["found format 1, which does not say it; evaluate again"]);
    tiny.write("run/evaluation.json", &good_file.replacen("\"format\":2", "\"format\":3", 1));
    refused(&["release", &run, "--out", &out], &["expected format 1 to 2, found 3"]);
    tiny.write("run/evaluation.json", &good_file);
    edit(&tiny, "/plan_hash", json!("0123456789abcdef0123"));
    refused(&["release", &run, "--out", &out], &["found those of 0123456789abcdef; evaluate again"]);
    assert!(!Path::new(&out).exists());
}

/// A SAELens folder need not say what a transcoder reconstructs: the scores are those of the run, which knows it.
#[test]
fn a_transcoder_that_does_not_say_its_output_is_scored_where_it_is_told() {
    let tiny = Tiny::new(2);
    let more = "\n[[dictionaries]]\ntranscoders = ['1.mlp-in -> 1.mlp']\n";
    tiny.write("suite.toml", &format!("{}{more}", tiny.read("suite.toml")));
    tiny.trained("run", &["-q"]);
    evaluate(&tiny, "run", &[]);
    let file = read(&tiny, "run/evaluation.json");
    let own = file["scores"].as_array().unwrap().iter().find(|s| s["reads"] == "1.mlp-in").unwrap();
    let folder = tiny.path("run/dictionaries").join(own["name"].as_str().unwrap());
    std::fs::remove_file(folder.join("lapidary.json")).unwrap();
    let mut cfg: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("cfg.json")).unwrap()).unwrap();
    cfg["metadata"].as_object_mut().unwrap().remove("hook_name_out");
    std::fs::write(folder.join("cfg.json"), cfg.to_string()).unwrap();
    let (folder, model, text) = (folder.to_str().unwrap(), tiny.at("model"), tiny.at("text.txt"));
    let args = [
        "evaluate",
        folder,
        "--model",
        &model,
        "--text",
        &text,
        "--context",
        "64",
        "--resamples",
        "10",
        "-q",
    ];
    let out = good(&[&args[..], &["--site-out", "1.mlp", "--json"]].concat());
    let found: Value = serde_json::from_str(&out).unwrap();
    for metric in ["site", "reads", "fvu", "delta_loss", "ce_zero_ablated", "loss_recovered_zero"] {
        assert_eq!(found["scores"][0][metric], own[metric], "{metric}");
    }
    assert_eq!(found["scored"]["own_text"], Value::Null);
    let said = good(&[&args[..], &["--site-out", "1.mlp"]].concat());
    assert!(said.contains("Whether training saw these documents is not known."), "{said}");
}

/// The other model has one weight changed; the next one layer fewer, so that 1.att is not there; the last reads other tokens.
#[test]
fn dictionaries_are_scored_on_another_model_beside_their_own() {
    let tiny = Tiny::new(4);
    tiny.trained("run", &["-q"]);
    another_model(&tiny, "other");
    let (run, other, few) = (tiny.at("run"), tiny.at("other"), ["--resamples", "20", "-q"]);
    let apart = ["evaluate", &run, "--model", &other, "--foreign-model", "--json"];
    let there: Value = serde_json::from_str(&good(&[&apart[..], &few].concat())).unwrap();
    evaluate(&tiny, "run", &[]);
    let home = read(&tiny, "run/evaluation.json");
    let out = good(&[&["evaluate", &run, "--transfer", &other][..], &few].concat());
    assert!(out.contains("On another model: the same dictionaries"), "{out}");
    let file = read(&tiny, "run/evaluation.json");
    let transfer = &file["transfer"];
    assert_eq!((&transfer["model"], transfer.get("missing")), (&there["model"], None));
    for k in 0..2 {
        let found = &transfer["dictionaries"][k];
        assert_eq!(found["home"], json!(k));
        assert_eq!(found["scores"], there["scores"][k]);
        assert_eq!(file["scores"][k]["fvu"]["value"], home["scores"][k]["fvu"]["value"]);
        let fvu = |file: &Value| file["scores"][k]["fvu"]["value"].as_f64().unwrap();
        let change = found["changes"][1]["difference"].as_f64().unwrap();
        assert!((change - (fvu(&there) - fvu(&file))).abs() < 1e-6, "{change}");
        assert_eq!(found["firing"]["home"], file["scores"][k]["firing"]["alive"]);
    }
    let (_, card) = released(&tiny, "run", "release", &[]);
    assert!(card.contains("### On another model\n\nOn the same tokens of other ("), "{card}");
    assert!(tiny.read("run/report.html").contains("<h2>On another model</h2>"));

    crate::common::llama::write_layers(&tiny.path("small"), 1);
    let mut transfer = vec!["evaluate", &run, "--transfer"];
    let small = tiny.at("small");
    let ran = lapidary(&[&transfer[..], &[&small], &few].concat());
    assert!(
        ran.code == Some(1) && ran.error.contains("on small: 1.att-width40-lambda0.003"),
        "{}",
        ran.error
    );
    let file = read(&tiny, "run/evaluation.json");
    assert_eq!(file["transfer"]["dictionaries"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&file["transfer"]["dictionaries"][0]["home"], file["scores"].as_array().map(Vec::len)),
        (&json!(0), Some(2))
    );

    let model = tiny.at("model");
    transfer.push(&model);
    refused(&transfer, &["expected another model", "found the same"]);
    another_model(&tiny, "reader");
    let words =
        tiny.read("reader/tokenizer.json").replace("\"anna\"", "\"x\"").replace("\"ben\"", "\"anna\"");
    tiny.write("reader/tokenizer.json", &words.replace("\"x\"", "\"ben\""));
    refused(&["evaluate", &run, "--transfer", &tiny.at("reader")], &["the same tokens", "another tokenizer"]);
}

/// Two runs that differ in their seed, and one of another number of steps, which is no seed of theirs. Of two values the standard deviation by
/// n − 1 is their distance over √2.
#[test]
fn runs_that_differ_in_their_seed_have_a_spread() {
    let tiny = Tiny::new(2);
    tiny.trained("a", &["-q"]);
    let suite = tiny.read("suite.toml");
    tiny.write("suite.toml", &format!("seed = 1\n{suite}"));
    tiny.trained("b", &["-q"]);
    tiny.write("suite.toml", &format!("seed = 2\n{}", suite.replace("tokens = 256", "tokens = 512")));
    tiny.trained("c", &["-q"]);
    let (a, b, c) = (tiny.at("a"), tiny.at("b"), tiny.at("c"));
    let file = good(&["evaluate", &a, &b, &c, "--json", "-q", "--resamples", "10"]);
    let file: Value = serde_json::from_str(&file).unwrap();
    let spread = file["spread"].as_array().unwrap();
    assert!(spread.iter().all(|s| s["seeds"] == json!([0, 1])), "{spread:?}");
    let fvu = |k: usize| file["scores"][k]["fvu"]["value"].as_f64().unwrap();
    let found: Vec<f64> =
        spread.iter().filter(|s| s["metric"] == "FVU").map(|s| s["deviation"].as_f64().unwrap()).collect();
    // Scores are those of a, then of b, two dictionaries each.
    let expected = [0, 1].map(|k| (fvu(k) - fvu(k + 2)).abs() / 2f64.sqrt());
    assert_eq!(found.len(), 2);
    assert!(
        found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9),
        "{found:?} {expected:?}"
    );
}
