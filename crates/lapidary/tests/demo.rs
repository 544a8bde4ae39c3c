//! The demo as a newcomer walks it: `lapidary demo`, with fewer rows than it takes by itself.

use crate::common::{Ran, bytes, command};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// The words of a run in `folder`, whose `--out` is always `demo`: the page names it.
fn demo(folder: &Path, words: &[&str]) -> Ran {
    typed(folder, &[words, &["--no-serve"]].concat()).output().expect("the binary runs").into()
}

fn typed(folder: &Path, words: &[&str]) -> Command {
    let mut command = command(&[&["demo", "--quiet", "--out", "demo"], words].concat());
    command.current_dir(folder).env("LAPIDARY_CACHE", env!("CARGO_TARGET_TMPDIR"));
    command
}

fn good(folder: &Path, words: &[&str]) -> String {
    let ran = demo(folder, words);
    assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.error);
    ran.out
}

#[test]
fn the_page_shows_ten_features_and_its_seed_decides_every_byte() {
    let [a, b] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let page = good(a.path(), &["--tokens", "4096", "--seed", "5"]);
    assert_eq!(good(b.path(), &["--tokens", "4096", "--seed", "5"]), page);
    let [same, again] = [&a, &b].map(|folder| bytes(&folder.path().join("demo")));
    let other = good(b.path(), &["--tokens", "4096", "--seed", "6", "--json", "--overwrite"]);
    let differing = bytes(&b.path().join("demo"));
    assert_eq!(same.keys().collect::<Vec<_>>(), again.keys().collect::<Vec<_>>());
    let changed: Vec<_> = same.keys().filter(|n| same[*n] != again[*n]).collect();
    assert!(changed.is_empty(), "{changed:?}");
    for name in ["suite.toml", "run/metrics.jsonl", "run/evaluation.json", "page.txt"] {
        assert!(same[name] != differing[name], "{name} depends on the seed");
    }
    assert_eq!(same["page.txt"], page.as_bytes());
    is_a_page(&page);
    is_its_data(&serde_json::from_str(&other).expect("JSON alone"));
    what_comes_next_works(a.path(), &page);
}

fn is_a_page(page: &str) {
    for words in ["small Gemma 2", "2.res frozen decoder", "2.res random model", "Ten features", "What next?"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    let is_score =
        |line: &&str| line.contains("F1 0.") && line.contains("precision") && line.contains("feature ");
    assert_eq!(page.lines().filter(is_score).count(), 10, "{page}");
    assert!(page.lines().filter(|line| line.contains('«')).count() > 10, "examples: {page}");
    assert!(!page.contains('\x1b'), "no colour where stdout is no terminal");
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
}

fn is_its_data(data: &Value) {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let number = |value: &Value| value.as_f64().expect("a number");
    let live = list(&data["dictionaries"]).into_iter().filter(|d| d["group"] == "just now");
    let verdicts: Vec<Value> = live.map(|d| d["verdict"].clone()).collect();
    assert_eq!(verdicts.iter().filter(|v| *v == "baseline").count(), 2, "{verdicts:?}");
    assert_eq!(verdicts.len(), 5, "{verdicts:?}");
    assert_eq!(list(&data["features"]).len(), 10);
    for feature in list(&data["features"]) {
        let [p, r, f1] = ["precision", "recall", "f1"].map(|name| number(&feature[name]));
        assert!((f1 - 2.0 * p * r / (p + r)).abs() < 1e-9, "{feature}");
        let examples = list(&feature["examples"]);
        assert!((1..=3).contains(&examples.len()), "{feature}");
        for example in &examples {
            let strengths: Vec<f64> = list(example).iter().map(|piece| number(&piece["strength"])).collect();
            assert!(strengths.iter().all(|s| (0.0..=1.0).contains(s)) && strengths.iter().any(|&s| s > 0.0));
        }
        assert!(list(&examples[0]).iter().any(|piece| piece["strength"] == 1.0), "the strongest comes first");
    }
}

/// Every command on the page, typed as it stands there.
fn what_comes_next_works(folder: &Path, page: &str) {
    let binary = Path::new(env!("CARGO_BIN_EXE_lapidary"));
    let path = std::env::join_paths(
        std::iter::once(binary.parent().unwrap().to_path_buf())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("  lapidary ")).collect();
    assert_eq!(commands.len(), 3, "{page}");
    for typed in commands {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("lapidary -q {typed}")])
            .current_dir(folder)
            .env("PATH", path.as_ref().unwrap());
        let ran: Ran =
            shell.env("LAPIDARY_CACHE", env!("CARGO_TARGET_TMPDIR")).output().expect("a shell").into();
        assert!(ran.code == Some(0) && !ran.out.is_empty(), "{typed}: {}", ran.error);
    }
    assert!(folder.join("demo/release/README.md").is_file());
}

#[test]
fn sizes_seeds_and_models_are_checked_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert!(good(at, &["--dry-run"]).contains("\ntokens = 1400000\n"));
    assert!(good(at, &["--dry-run", "--quick"]).contains("\ntokens = 160000\n"));
    assert!(good(at, &["--dry-run", "--quick", "--tokens", "4096"]).contains("\ntokens = 4096\n"));
    for words in [["--seed", "-1"], ["--seed", "x"], ["--seed", "4294967296"], ["--tokens", "2047"]] {
        let ran = demo(at, &words);
        assert!(ran.code == Some(2) && ran.error.contains(words[0]), "{words:?}: {}", ran.error);
    }
    let chat = demo(at, &["--chat", "--dry-run"]);
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    if models.join("organism-chat/model.safetensors").is_file() {
        assert!(chat.code == Some(0) && chat.out.contains("model = \"organism-chat\""), "{}", chat.error);
    } else {
        let message = "organism-chat: expected this model inside the program, found none; use a build with";
        assert!(chat.code == Some(1) && chat.error.contains(message), "{}", chat.error);
    }
    assert_eq!(at.read_dir().unwrap().count(), 0, "nothing was written");
    std::fs::create_dir(at.join("demo")).unwrap();
    std::fs::write(at.join("demo/mine"), "").unwrap();
    let occupied = demo(at, &[]);
    assert!(occupied.code == Some(1) && occupied.error.contains("found `mine` in it"), "{}", occupied.error);
}

/// Without --no-serve the last line is an address, where the app answers. Of the chat organism no suite is inside the program, so
/// that the app shows what was trained just now.
#[test]
fn the_demo_ends_with_the_address_of_the_app() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    if !models.join("organism-chat/model.safetensors").is_file() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut demo = typed(folder.path(), &["--chat", "--quick", "--tokens", "4096"]);
    let mut demo = demo.stdout(Stdio::piped()).spawn().expect("the binary runs");
    let lines = BufReader::new(demo.stdout.take().expect("a pipe")).lines();
    let mut lines = lines.map(|line| line.expect("text"));
    let address = lines.find_map(|line| line.strip_prefix("http://").map(String::from));
    let address = address.expect("an address at the end");
    let place = address.trim_end_matches('/');
    let mut asked = TcpStream::connect(place).expect("somebody listens there");
    write!(asked, "GET /api/v1/suite HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    asked.read_to_string(&mut answer).expect("an answer");
    demo.kill().expect("it runs until somebody ends it");
    demo.wait().expect("it has ended");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for said in ["2-res-1k", "2-att-1k", "2-mlp-1k", "organism-chat"] {
        assert!(answer.contains(said), "{said}: {answer}");
    }
    assert!(lines.next().is_none(), "nothing after the address");
}
