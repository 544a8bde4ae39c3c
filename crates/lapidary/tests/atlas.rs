//! An atlas from the command line: the embedded suite, its numbers as `lapidary features` has them, a build that is killed, explanations
//! by rules and by a judge that is killed, and what is refused.

use crate::common::{command, good, lapidary};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};

const TEXT: [&str; 6] = ["--text", "world:tokens=20000", "--split", "all", "--max-windows", "40"];
const ONE: &str = "organism-suite/2.res-width1024-lambda0.002";

fn asked(args: &[&str]) -> Value {
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
    let suite = asked(&["atlas", "query", &out]);
    assert_eq!(
        (&suite["dictionaries"][0]["source"], &suite["has_truth"]),
        (&"2-res-1k".into(), &true.into())
    );
    let list = asked(&["atlas", "query", &out, "2-res-1k", "--sort", "density", "--limit", "3"]);
    assert_eq!(list["total"], 1_024);
    let index = list["features"][1]["index"].as_u64().unwrap();
    let page = asked(&["atlas", "query", &out, &format!("2-res-1k/{index}")]);
    let feature = index.to_string();
    let shown =
        ["features", ONE, "--model", "organism", "--feature", &feature, "--top", "4", "--json", "--quiet"];
    let shown = &asked(&[&shown, &TEXT[..]].concat())[0];
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

/// The numbers in a sentence, in their order.
fn numbers(text: &str) -> Vec<f64> {
    let parts = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    parts.filter_map(|part| part.trim_matches('.').parse().ok()).collect()
}

/// Rules are written of the windows that the atlas was built of: the halves' rows, documents and firings add up to those that the
/// atlas counted in its own pass.
#[test]
fn rules_stand_in_the_atlas_with_what_they_were_measured_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("atlas").display().to_string();
    good(&build(ONE, &out));
    let explain = [
        "atlas",
        "explain",
        &out,
        "--rules",
        "--dictionary",
        ONE,
        "--model",
        "organism",
        "--json",
        "--quiet",
    ];
    let said = asked(&explain);
    let (written, left_out) = (said["explanations"].as_u64().unwrap(), said["left_out"].as_u64().unwrap());
    let suite = asked(&["atlas", "query", &out]);
    let total = |key: &str| suite["text"][key].as_f64().unwrap();
    let all = asked(&["atlas", "query", &out, "2-res-1k", "--sort", "density", "--limit", "1000"]);
    let (mut found, mut often) = (0, 0);
    for row in all["features"].as_array().unwrap() {
        let page = asked(&["atlas", "query", &out, &format!("2-res-1k/{}", row["index"])]);
        if page["count"].as_u64().unwrap() < 20 {
            break;
        }
        often += 1;
        let rules = page["explanations"].as_array().unwrap().iter().filter(|e| e["author"] == "rules");
        for rule in rules {
            found += 1;
            let f1 = rule["score"].as_f64().unwrap();
            let how = numbers(rule["how_measured"].as_str().unwrap());
            let [p, r, rows, documents, fires, fitted_rows, fitted_documents, fitted_fires, ..] = how[..]
            else {
                panic!("{rule}")
            };
            assert!((0.2..=1.0).contains(&f1) && (f1 - 2.0 * p * r / (p + r)).abs() < 2e-3, "{rule}");
            assert_eq!(
                (rows + fitted_rows, documents + fitted_documents),
                (total("rows"), total("documents"))
            );
            assert_eq!(Some(fires + fitted_fires), page["count"].as_f64());
        }
    }
    assert!(written == found && written > 50 && left_out > 0, "{said}");
    assert!(written + left_out <= often, "only of features that fire often: {said}, {often}");
    let again = lapidary(&explain[..8]);
    let sentence = format!("{left_out} rules with an F1 below 0.2 on other documents were left out");
    assert!(again.out.contains("as they were already in") && again.out.contains(&sentence), "{}", again.out);
    let other = lapidary(&[&explain[..], &["--text", "world:tokens=20000,seed=3"]].concat());
    let message = "expected the text that the atlas was built of";
    assert!(other.code == Some(1) && other.error.contains(message), "{}", other.error);
}

/// A judge that answers every question; it says which, and of question number `holds` it never answers.
fn judge(holds: Option<usize>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let (send, questions) = channel();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("a connection");
            let question = question(&mut stream);
            let content = answer(&question);
            if send.send(question).is_err() {
                return;
            }
            if Some(n) == holds {
                held.push(stream);
                continue;
            }
            let body = json!({ "choices": [{ "message": { "content": content } }] }).to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).expect("sent");
        }
    });
    (url, questions)
}

fn question(stream: &mut TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).expect("a head");
        if let Some(found) = line.strip_prefix("Content-Length: ") {
            length = found.trim().parse().expect("a number");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    body["messages"][0]["content"].as_str().expect("a question").to_string()
}

/// It takes every text for one in which the feature fires, and every token for as strong as its neighbours.
fn answer(question: &str) -> String {
    match question.split_once("JSON list of ").map(|(_, rest)| numbers(rest)[0] as usize) {
        _ if question.contains("JSON list of their numbers") => "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]".into(),
        Some(tokens) => json!(vec![5; tokens]).to_string(),
        None => "words of a kind".into(),
    }
}

/// Killed while it waits for the sixth answer, it later asks the other questions only; then the log is enough. To say "all ten" is
/// right of five: a balanced accuracy of one half.
#[test]
fn a_killed_judge_goes_on_from_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let (out, log) = (dir.path().join("atlas").display().to_string(), dir.path().join("log.jsonl"));
    let text = ["--text", "world:tokens=8000", "--split", "all"];
    good(&[&["atlas", "build", ONE, "--model", "organism", "--out", &out, "--quiet"], &text[..]].concat());
    let path = log.display().to_string();
    let typed = |url: &str| {
        let who = ["--judge", url, "--judge-model", "m", "--judge-log", &path, "--count", "8"];
        let of = ["atlas", "explain", &out, "--dictionary", ONE, "--model", "organism", "--json", "--quiet"];
        command(&[&of[..], &who[..]].concat())
    };
    let (url, questions) = judge(Some(5));
    let mut killed = typed(&url).stdout(Stdio::null()).spawn().unwrap();
    let before: Vec<String> = questions.iter().take(6).collect();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let lines = || std::fs::read_to_string(&log).unwrap().lines().count();
    assert_eq!((before.len(), lines()), (6, 5));

    let (url, questions) = judge(None);
    let ran = typed(&url).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let after: Vec<String> = questions.try_iter().collect();
    let explained = said["explanations"].as_u64().unwrap() as usize;
    let (old, new): (BTreeSet<&String>, BTreeSet<&String>) =
        (before[..5].iter().collect(), after.iter().collect());
    assert!(explained > 1 && old.is_disjoint(&new), "{explained}: asked again");
    assert_eq!((after[0] == before[5], new.len(), lines()), (true, after.len(), 5 + after.len()));
    assert_eq!(said["mean_score"], 0.5);
    let found = asked(&["atlas", "query", &out, "--search", "words kind", "--min-score", "0.5"]);
    assert_eq!(found["total"].as_u64(), Some(explained as u64));
    let hit = &found["results"][0];
    assert_eq!((&hit["score"], &hit["score_name"]), (&0.5.into(), &"detection".into()));

    let replayed = typed("http://127.0.0.1:9/v1").output().unwrap(); // nobody listens there
    let replayed: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!((&replayed["explanations"], &replayed["changed"]), (&said["explanations"], &false.into()));
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
