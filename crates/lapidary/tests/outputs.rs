//! Nothing is lost by writing: what `--overwrite` may replace and when the old goes, one writer at a time, what a file may be
//! written as, what a dry run and a full terminal do. Every refusal leaves every file of the folder as it was.

use crate::common::{Ran, Tiny, command, good, lapidary};
use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// Every file and link below a folder, wall times and all.
fn snapshot(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        let of = path.symlink_metadata().unwrap().file_type();
        if of.is_dir() {
            out.insert(format!("{name}/"), Vec::new());
            out.extend(snapshot(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else if of.is_file() {
            out.insert(name, std::fs::read(path).unwrap());
        } else {
            out.insert(name, format!("{of:?}").into_bytes());
        }
    }
    out
}

/// Runs in the folder of `tiny`, which must be what it was afterwards; the refusal says all of `needles`.
fn refused(tiny: &Tiny, args: &[&str], needles: &[&str]) {
    let before = snapshot(&tiny.path(""));
    let mut command = command(args);
    command.env("HOME", tiny.path("home")).env("LAPIDARY_CACHE", env!("CARGO_TARGET_TMPDIR"));
    let ran: Ran = command.current_dir(tiny.path("")).output().unwrap().into();
    assert_eq!(ran.code, Some(1), "{args:?}: {} {}", ran.out, ran.error);
    for needle in needles {
        assert!(ran.error.contains(needle), "{args:?}: expected {needle:?} in {}", ran.error);
    }
    let after = snapshot(&tiny.path(""));
    let lost: Vec<_> = before
        .iter()
        .filter(|(name, bytes)| after.get(*name) != Some(*bytes))
        .map(|(name, _)| name)
        .collect();
    assert!(lost.is_empty(), "{args:?}: lost {lost:?}");
    let new: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    assert!(new.is_empty(), "{args:?}: new {new:?}");
}

/// A tiny run, evaluated, with its release and a store.
fn tiny() -> Tiny {
    let tiny = Tiny::new(2);
    tiny.trained("run", &["--quiet"]);
    good(&["evaluate", &tiny.at("run"), "--resamples", "10", "--quiet"]);
    good(&["release", &tiny.at("run"), "--out", &tiny.at("release"), "--quiet"]);
    std::fs::create_dir_all(tiny.path("home/mine")).unwrap();
    tiny
}

#[test]
fn overwrite_replaces_no_input_no_home_no_working_folder_and_nothing_foreign() {
    let tiny = tiny();
    let inputs = "apart from what is read, found the input ";
    let (suite, model, text) = ("suite.toml", "model", "text.txt");
    symlink("run", tiny.path("link")).unwrap();
    for (out, needle) in [
        (".", inputs),
        ("..", inputs),
        ("model", inputs),
        ("/", inputs),
        ("home", "the home folder or one that holds it"),
        ("home/mine/../..", inputs),
        ("release", "expected a run to replace, found a release"),
        ("run/dictionaries", "found `0.res-width40-lambda0.003` in it"),
    ] {
        refused(&tiny, &["train", suite, "--out", out, "--overwrite"], &[needle]);
    }
    let run = tiny.path("run");
    let inside: Ran = command(&["train", "../suite.toml", "--out", ".", "--overwrite"])
        .current_dir(&run)
        .output()
        .unwrap()
        .into();
    assert!(inside.code == Some(1) && inside.error.contains("the working directory"), "{}", inside.error);
    for out in ["run", "link", "./run/../run", ".", "run/dictionaries/.."] {
        refused(&tiny, &["release", "run", "--out", out, "--overwrite"], &[inputs, "found the input run"]);
    }
    let dictionary = "release/0.res-width40-lambda0.003";
    for out in [dictionary, "release", "."] {
        refused(
            &tiny,
            &["convert", dictionary, "--to", "gemma-scope", "--out", out, "--overwrite"],
            &[inputs],
        );
    }
    for out in [model, "."] {
        let harvest =
            ["harvest", "--model", model, "--text", text, "--sites", "embed", "--out", out, "--overwrite"];
        refused(&tiny, &harvest, &[inputs]);
    }
    refused(&tiny, &["demo", "--out", "run", "--overwrite"], &["expected a demo to replace, found a run"]);
    let planted = ["world", "planted", "--oracle", "--out", "run", "--overwrite"];
    refused(&tiny, &planted, &["expected a planted run to replace, found a run"]);
    tiny.write("run/checkpoints/notes.txt", "mine");
    refused(
        &tiny,
        &["train", suite, "--out", "run", "--overwrite"],
        &["found `checkpoints/notes.txt` in it"],
    );
}

#[test]
fn every_verb_replaces_what_it_wrote_itself() {
    let tiny = tiny();
    let (out, dictionary) = (tiny.at("out"), tiny.at("run/dictionaries/0.res-width40-lambda0.003"));
    let (model, text, run) = (tiny.at("model"), tiny.at("text.txt"), tiny.at("run"));
    let harvest = ["harvest", "--model", &model, "--text", &text, "--sites", "embed", "--context", "64"];
    let planted =
        ["world", "planted", "--samples", "2048", "--width", "8", "--truth-rows", "64", "--no-baselines"];
    let verbs: [&[&str]; 5] = [
        &harvest,
        &["release", &run],
        &["convert", &dictionary, "--to", "gemma-scope"],
        &["convert", &dictionary, "--to", "sae-lens"],
        &planted,
    ];
    for verb in verbs {
        let all = |more: &[&str]| lapidary(&[verb, &["--out", &out, "--quiet"], more].concat());
        let first = all(&[]);
        assert_eq!(first.code, Some(0), "{verb:?}: {}", first.error);
        let again = all(&[]);
        assert!(
            again.code == Some(1) && again.error.contains("add --overwrite"),
            "{verb:?}: {}",
            again.error
        );
        let before = crate::common::bytes(&tiny.path("out"));
        let replaced = all(&["--overwrite"]);
        assert_eq!(replaced.code, Some(0), "{verb:?}: {}", replaced.error);
        assert_eq!(crate::common::bytes(&tiny.path("out")), before, "{verb:?}");
        let left = tiny
            .path("")
            .read_dir()
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains(".lapidary-"));
        assert_eq!(left.count(), 0, "{verb:?}");
        std::fs::remove_dir_all(&out).unwrap();
    }
}

/// The old run is whole until the new one is; a killed replacement is resumed.
#[test]
fn a_run_that_is_replaced_is_whole_until_the_new_one_is() {
    let tiny = tiny();
    tiny.variant("other.toml", &["lambdas = [0.004]"]);
    good(&["train", &tiny.at("other.toml"), "--out", &tiny.at("whole"), "-q"]);
    let (old, new) = (crate::common::bytes(&tiny.path("run")), crate::common::bytes(&tiny.path("whole")));
    let train = ["train", &tiny.at("other.toml"), "--out", &tiny.at("run"), "-q"];
    let mut resumed = 0;
    for n in (0..).step_by(3) {
        let ran = command(&[&train[..], &["--overwrite"]].concat())
            .env("LAPIDARY_FAIL", format!("kill:{n}"))
            .output()
            .unwrap();
        if ran.status.success() {
            break;
        }
        let (there, aside) = (tiny.path("run"), tiny.path("run.lapidary-old"));
        let found = crate::common::bytes(if there.exists() { &there } else { &aside });
        let swapped = found == new;
        assert!(swapped || found == old, "killed at {n}");
        let beside = tiny.path("run.lapidary-new/.lapidary");
        if std::fs::metadata(beside).is_ok_and(|mark| mark.len() > 0) {
            good(&[&train[..], &["--resume"]].concat());
            resumed += 1;
        } else {
            good(&[&train[..], &["--overwrite"]].concat());
        }
        assert_eq!(crate::common::bytes(&tiny.path("run")), new, "killed at {n}");
        tiny.trained("run", &["--overwrite", "--quiet"]);
        good(&["evaluate", &tiny.at("run"), "--resamples", "10", "--quiet"]);
        assert_eq!(crate::common::bytes(&tiny.path("run")), old);
        assert!(!tiny.path("run.lapidary-new").exists() && !aside.exists(), "killed at {n}");
    }
    assert!(resumed > 5, "{resumed} were resumed");
    std::fs::write(tiny.path("other.toml"), tiny.read("other.toml").replace("0.004", "-1")).unwrap();
    let before = snapshot(&tiny.path("run"));
    assert_eq!(lapidary(&[&train[..], &["--overwrite"]].concat()).code, Some(1));
    assert_eq!(snapshot(&tiny.path("run")), before, "an error leaves the old run");
}

#[test]
fn two_runs_into_one_folder_the_second_is_refused_and_a_killed_one_blocks_nobody() {
    let tiny = Tiny::new(4_000);
    let mut first =
        tiny.train("run", &["--quiet"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !tiny.path("run/plan.json").exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let (model, text) = (tiny.at("model"), tiny.at("text.txt"));
    for more in [&[][..], &["--overwrite"], &["--resume"]] {
        let ran: Ran = tiny.train("run", &[&["--quiet"], more].concat()).output().unwrap().into();
        assert_eq!(ran.code, Some(1), "{more:?}");
        let says = if more.is_empty() { "found a run" } else { "another process at work on it" };
        assert!(ran.error.contains(says), "{more:?}: {}", ran.error);
    }
    let harvest =
        ["harvest", "--model", &model, "--text", &text, "--sites", "embed", "--out", &tiny.at("run")];
    assert_eq!(lapidary(&harvest).code, Some(1));
    first.kill().unwrap();
    first.wait().unwrap();
    tiny.write("suite.toml", &tiny.read("suite.toml").replace("tokens = 512000", "tokens = 256"));
    tiny.trained("run", &["--overwrite", "--quiet"]);
}

#[test]
fn resume_needs_a_run() {
    let tiny = Tiny::new(2);
    let resume = |out: &'static str| ["train", "suite.toml", "--resume", "--out", out];
    let needles = ["expected a run with plan.json in it, to resume", "without --resume"];
    refused(&tiny, &resume("mistyped"), &[&needles[..], &["no such folder"]].concat());
    std::fs::create_dir(tiny.path("empty")).unwrap();
    refused(&tiny, &resume("empty"), &[&needles[..], &["an empty folder"]].concat());
    refused(&tiny, &resume("model"), &needles);
}

#[test]
fn only_files_are_written_as_files_and_never_an_input() {
    let tiny = Tiny::new(2);
    let (at, weights) = (|name: &str| tiny.path(name), "model/model.safetensors");
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    symlink("pipe", at("to-pipe")).unwrap();
    std::fs::hard_link(at(weights), at("hard")).unwrap();
    symlink(weights, at("soft")).unwrap();
    tiny.write("prompt.safetensors", "anna has a cat .");
    let logits = |out: &'static str, more: &[&'static str]| {
        [&["lm", "logits", "--model", "model", "--text-file", "prompt.safetensors", "--out", out], more]
            .concat()
    };
    for (out, needle) in [
        ("pipe", "a named pipe"),
        ("to-pipe", "a named pipe"),
        ("/dev/null", "a device"),
        ("/dev/stdout", "a stream of this process"),
        ("/dev/stderr", "a stream of this process"),
        ("/dev/fd/1", "a stream of this process"),
        ("-", "the sign for standard output"),
        ("model", "a folder"),
        ("no/such/folder/x", "check the path"),
        (weights, "the input model/model.safetensors"),
        ("hard", "the input model/model.safetensors"),
        ("soft", "the input model/model.safetensors"),
        ("prompt.safetensors", "the input prompt.safetensors"),
    ] {
        refused(&tiny, &logits(out, &["--overwrite"]), &[needle]);
        refused(&tiny, &logits(out, &["--overwrite", "--dry-run"]), &[needle]);
    }
    assert!(at("pipe").metadata().unwrap().file_type().is_fifo());
    let text = ["world", "text", "--tokens", "100", "--overwrite", "--out"];
    refused(&tiny, &[&text[..], &["/dev/null"]].concat(), &["a device"]);
    refused(&tiny, &[&text[..], &["-"]].concat(), &["the sign for standard output"]);
    let bench = [
        "bench",
        "encode",
        "--d-model",
        "8",
        "--width",
        "8",
        "--batch",
        "8",
        "--l0",
        "2",
        "--out",
        "pipe",
        "--overwrite",
    ];
    refused(&tiny, &bench, &["a named pipe"]);
    // What stands before the weights is looked at before them.
    std::fs::write(at(weights), "no weights").unwrap();
    refused(&tiny, &logits("no/such/x", &[]), &["no/such/x"]);
    std::fs::write(at("there"), "").unwrap();
    refused(&tiny, &logits("there", &[]), &["expected a new file, found one"]);
}

#[test]
fn links_are_followed_and_nobody_s_temporary_file_is_lost() {
    let tiny = Tiny::new(2);
    std::fs::create_dir(tiny.path("there")).unwrap();
    symlink("there/made", tiny.path("dangling")).unwrap();
    tiny.write("there/kept", "old");
    symlink("there/kept", tiny.path("link")).unwrap();
    for name in ["dangling.tmp", "link.tmp", "there/made.tmp"] {
        tiny.write(name, "mine");
    }
    let text = ["world", "text", "--tokens", "100", "--out"];
    good(&[&text[..], &[&tiny.at("dangling")]].concat());
    good(&[&text[..], &[&tiny.at("link"), "--overwrite"]].concat());
    for (link, file) in [("dangling", "there/made"), ("link", "there/kept")] {
        assert_eq!(tiny.path(link).read_link().unwrap(), Path::new(file));
        assert!(tiny.read(file).contains("\"document\":0"));
    }
    for name in ["dangling.tmp", "link.tmp", "there/made.tmp"] {
        assert_eq!(tiny.read(name), "mine");
    }
}

/// Every verb that has something to write or to compute, of the tiny model.
fn verbs() -> Vec<Vec<&'static str>> {
    let lm = ["--model", "model", "--tokens", "1,4,5"];
    vec![
        vec!["train", "suite.toml", "--out", "new"],
        vec!["harvest", "--model", "model", "--text", "text.txt", "--sites", "embed", "--out", "new"],
        vec!["release", "run", "--out", "new"],
        vec!["evaluate", "run", "--resamples", "10"],
        vec!["convert", "release/0.res-width40-lambda0.003", "--to", "gemma-scope", "--out", "new"],
        vec![
            "encode",
            "release/0.res-width40-lambda0.003",
            "--in",
            "x.safetensors",
            "--out",
            "new",
            "--tensor",
            "0.res",
        ],
        [&["lm", "logits", "--out", "new"][..], &lm].concat(),
        [&["lm", "tap", "--sites", "all", "--out", "new"][..], &lm].concat(),
        [&["lm", "generate", "--max-tokens", "3"][..], &lm].concat(),
        vec!["world", "text", "--tokens", "100", "--out", "new"],
        vec!["world", "truth", "--tokens", "100"],
        vec!["world", "planted-rows", "--count", "10"],
        vec!["world", "planted", "--oracle", "--truth-rows", "64", "--out", "new"],
        vec![
            "bench",
            "encode",
            "--d-model",
            "8",
            "--width",
            "8",
            "--batch",
            "8",
            "--l0",
            "2",
            "--steps",
            "1",
        ],
        vec!["demo", "--out", "new"],
    ]
}

fn prepared() -> Tiny {
    let tiny = tiny();
    let (model, x) = (tiny.at("model"), tiny.at("x.safetensors"));
    good(&["lm", "tap", "--sites", "all", "--out", &x, "--model", &model, "--tokens", "1,4,5"]);
    tiny
}

#[test]
fn a_dry_run_says_json_and_writes_nothing() {
    let tiny = prepared();
    let before = snapshot(&tiny.path(""));
    for verb in verbs() {
        for json in [true, false] {
            let more: &[&str] = if json { &["--dry-run", "--json"] } else { &["--dry-run"] };
            let mut command = command(&[&verb[..], more].concat());
            let ran: Ran = command
                .current_dir(tiny.path(""))
                .env("LAPIDARY_CACHE", tiny.path("cache"))
                .output()
                .unwrap()
                .into();
            assert_eq!(ran.code, Some(0), "{verb:?}: {}", ran.error);
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&ran.out).is_ok(),
                json,
                "{verb:?}: {}",
                ran.out
            );
            assert_eq!(snapshot(&tiny.path("")), before, "{verb:?}");
        }
    }
}

#[test]
fn a_full_standard_output_names_itself_and_a_closed_or_full_standard_error_harms_nothing() {
    if !Path::new("/dev/full").exists() {
        return; // only Linux has one
    }
    let tiny = prepared();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let more = [
        vec!["--help"],
        vec!["doctor"],
        vec!["doctor", "--json"],
        vec!["world", "vocab"],
        vec!["lm", "info", "--model", "model"],
    ];
    for verb in verbs().into_iter().filter(|verb| verb[0] != "demo").chain(more) {
        let _ = std::fs::remove_dir_all(tiny.path("new")).or_else(|_| std::fs::remove_file(tiny.path("new")));
        if verb[..] == ["world", "text", "--tokens", "100", "--out", "new"] {
            continue; // says nothing
        }
        let ran: Ran = command(&verb).current_dir(tiny.path("")).stdout(full()).output().unwrap().into();
        assert_eq!(ran.code, Some(1), "{verb:?}: {}", ran.error);
        let last = ran.error.lines().last().unwrap();
        assert!(last.starts_with("error: standard output: cannot write"), "{verb:?}: {}", ran.error);
    }
    let _ = std::fs::remove_dir_all(tiny.path("new"));
    let mut train = command(&["train", "suite.toml", "--out", "new"]);
    assert!(train.current_dir(tiny.path("")).stderr(full()).output().unwrap().status.success());
    let usage = command(&["nonsense"]).stderr(full()).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}
