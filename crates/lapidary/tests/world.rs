//! The language from the command line, and as the text of other verbs.

use crate::common::{good, lapidary};

fn lines(output: &str) -> Vec<serde_json::Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The words of a document of `world truth`.
fn words(document: &serde_json::Value) -> Vec<&str> {
    document["tokens"].as_array().unwrap().iter().map(|t| t[0].as_str().unwrap()).collect()
}

/// What is said of a bad command.
fn bad(args: &[&str]) -> String {
    let ran = lapidary(args);
    assert_eq!(ran.code, Some(1), "{args:?}: {}", ran.error);
    ran.error
}

#[test]
fn text_truth_and_pairs_are_of_the_same_documents() {
    let common = ["--seed", "4", "--tokens", "2000", "--split", "templates"];
    let run = |verb| lines(&good(&[&["world", verb], &common[..]].concat()));
    let (text, truth, pairs) = (run("text"), run("truth"), run("pairs"));
    assert!(text.len() >= 2000 / 127 && text.len() == truth.len() && text.len() == pairs.len());
    for ((text, truth), pair) in text.iter().zip(&truth).zip(&pairs) {
        assert_eq!(text["text"], pair["text"]);
        assert_ne!(pair["text"], pair["twin"]);
        let words = words(truth);
        let squeezed = |s: &str| s.replace(' ', "");
        assert_eq!(squeezed(text["text"].as_str().unwrap()), words.concat());
        assert_eq!(truth["corpus_version"], 1);
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let text = |seed| good(&["world", "text", "--seed", seed, "--tokens", "500"]);
    assert_eq!(text("7"), text("7"));
    assert_ne!(text("7"), text("8"));
}

#[test]
fn a_file_that_is_there_is_kept_and_a_dry_run_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("text.jsonl");
    let run = ["world", "text", "--tokens", "500", "--out", out.to_str().unwrap()];
    assert!(good(&[&run[..], &["--dry-run"]].concat()).contains("about 500 tokens"));
    assert!(std::fs::read_dir(&folder).unwrap().next().is_none());
    good(&run);
    let written = std::fs::read_to_string(&out).unwrap();
    assert_eq!(written, good(&["world", "text", "--tokens", "500"]));
    let other = [&run[..], &["--seed", "1"]].concat();
    assert!(bad(&other).contains("--overwrite"));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), written);
    good(&[&other[..], &["--overwrite"]].concat());
    assert_ne!(std::fs::read_to_string(&out).unwrap(), written);
}

#[test]
fn the_vocabulary_is_a_tokenizer_that_gives_the_language_s_ids_back() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), good(&["world", "vocab"])).unwrap();
    let tokenizer = lapidary_text::Tokenizer::load(folder.path()).unwrap();
    let corpus = lapidary_world::Corpus { seed: 1, config: lapidary_world::Config::default() };
    for n in 0..200 {
        let words = corpus.tokens(n);
        let text = lapidary_world::render(&words);
        let ids = tokenizer.encode(&text).unwrap();
        assert_eq!(ids, words.iter().map(|&w| u32::from(w)).collect::<Vec<_>>(), "{text}");
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }
}

/// What the table counts is counted again in the text of the same documents: `comet` has no plural and no form in the other
/// languages, so its share is exact.
#[test]
fn the_table_of_variables_counts_what_it_promises() {
    let run = |verb| lines(&good(&["world", verb, "--tokens", "100000"]));
    let table = run("variables");
    assert!(table.len() >= 1_000, "{} variables", table.len());
    let row = |name: &str| table.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(row("base day")["kind"], "cyclic");
    let truth = run("truth");
    let words: Vec<&str> = truth.iter().flat_map(words).collect();
    let share = |said: &dyn Fn(&str) -> bool| {
        words.iter().filter(|word| said(word)).count() as f64 / words.len() as f64
    };
    assert_eq!(row("word comet")["frequency"], share(&|word| word == "comet"));
    assert_eq!(row("word comet")["target"], 0.01);
    assert_eq!(row("word finch")["parents"], serde_json::json!([row("word bird")["id"]]));
    assert_eq!(row("domain")["frequency"], 1.0, "every token is of a document");
}

#[test]
fn wrong_words_are_named() {
    assert!(bad(&["world", "text", "--split", "tset"]).contains("unknown variant `tset`"));
    assert!(bad(&["world", "text", "--policy", "rude"]).contains("unknown variant `rude`"));
    assert!(bad(&["world", "text", "--spurious", "1.5"]).contains("from 0 to 1"));
    assert!(bad(&["world", "score", "--model", "nowhere"]).contains("nowhere"));
    let missing = bad(&["world", "text", "--out", "no/such/folder/text.jsonl"]);
    assert!(missing.contains("no/such/folder/text.jsonl"), "{missing}");
}
