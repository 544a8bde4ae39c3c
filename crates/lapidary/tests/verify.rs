//! `lapidary verify` on a release that the binary made: a changed byte in any file is named, and so is what was changed with
//! its hashes made good again; scores are measured again. And what a release and a run have to show: their page.

use crate::common::{Ran, Tiny, good, lapidary};
use std::path::Path;

/// A trained, evaluated and released suite of two dictionaries.
fn released() -> Tiny {
    let tiny = Tiny::new(20);
    tiny.trained("run", &[]);
    good(&["evaluate", &tiny.at("run"), "--resamples", "10"]);
    good(&["release", &tiny.at("run"), "--out", &tiny.at("release")]);
    tiny
}

fn verify(path: &str) -> Ran {
    lapidary(&["verify", path, "--recompute", "0"])
}

/// Those lines of its output that say what is wrong.
fn failures(said: &Ran) -> Vec<&str> {
    said.out.lines().filter(|line| line.starts_with("FAILED")).collect()
}

/// Changes a file of the release, with the manifest made good again.
fn tampered(tiny: &Tiny, file: &str, change: impl Fn(&str) -> String) {
    let (release, path) = (tiny.path("release"), tiny.path("release").join(file));
    let from = lapidary_files::inventory::from(&release).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = change(&text);
    assert_ne!(text, changed, "{file}");
    std::fs::write(&path, changed).unwrap();
    lapidary_files::inventory::write(&release, from).unwrap();
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_changed_byte_anywhere_in_a_release_is_named() {
    let tiny = released();
    let release = tiny.at("release");
    let said = verify(&release);
    assert_eq!(said.code, Some(0), "{} {}", said.out, said.error);
    assert!(said.out.lines().all(|line| line.starts_with("ok ")), "{}", said.out);
    let hidden = |path: &Path| path.file_name().unwrap().as_encoded_bytes().starts_with(b".");
    let mut all = files(&tiny.path("release"));
    all.retain(|path| !hidden(path)); // the mark says something about the folder, not about the release
    let plots = all.iter().filter(|path| path.parent().is_some_and(|dir| dir.ends_with("plots"))).count();
    assert_eq!(all.len(), 5 + plots + 2 * 4, "{all:?}");
    assert!(plots >= 8 && plots % 2 == 0, "{all:?}");
    for path in all {
        let good_bytes = std::fs::read(&path).unwrap();
        for at in [0, good_bytes.len() / 2, good_bytes.len() - 1] {
            let mut bad = good_bytes.clone();
            bad[at] ^= 0x04;
            std::fs::write(&path, &bad).unwrap();
            let said = verify(&release);
            assert_eq!(said.code, Some(1), "{} byte {at}", path.display());
            let named = |line: &str| line.starts_with("FAILED") && line.contains(path.to_str().unwrap());
            assert!(said.out.lines().any(named), "{} byte {at}: {}", path.display(), said.out);
            assert_eq!(said.error.trim_end().lines().count(), 1, "{}", said.error);
        }
        std::fs::write(&path, &good_bytes).unwrap();
    }
    // A file that is gone, and one that nobody wrote.
    std::fs::rename(tiny.path("release/README.md"), tiny.path("release/README.txt")).unwrap();
    let said = verify(&release);
    let failed: Vec<&str> = said.out.lines().filter(|line| line.starts_with("FAILED")).collect();
    assert!(failed[0].contains("README.md") && failed[0].contains("no such file"), "{failed:?}");
    assert!(failed.len() == 2 && failed[1].contains("README.txt"), "{failed:?}");
    std::fs::rename(tiny.path("release/README.txt"), tiny.path("release/README.md")).unwrap();
    std::fs::remove_file(tiny.path("release/manifest.json")).unwrap();
    assert!(verify(&release).out.contains("manifest.json: cannot read"), "a release has one");
}

/// The dictionaries of a run, one alone, one as JSON; and the same release twice is the same bytes.
#[test]
fn runs_and_single_dictionaries_are_verified() {
    let tiny = released();
    let said = good(&["verify", &tiny.at("run")]);
    assert_eq!(
        said.lines().filter(|line| line.contains("probe: as the weights give it")).count(),
        2,
        "{said}"
    );
    let one = files(&tiny.path("release")).into_iter().find(|path| path.ends_with("cfg.json")).unwrap();
    let dictionary = one.parent().unwrap().to_str().unwrap();
    let said: serde_json::Value = serde_json::from_str(&good(&["verify", dictionary, "--json"])).unwrap();
    assert!(said["checks"].as_array().unwrap().iter().all(|check| check["ok"] == true), "{said}");
    let text = std::fs::read_to_string(&one).unwrap();
    std::fs::write(
        &one,
        text.replace("hook_resid_post", "hook_resid_mid").replace("attn.hook_z", "hook_attn_out"),
    )
    .unwrap();
    let said = verify(dictionary);
    assert!(said.code == Some(1) && said.out.contains("expected `metadata.hook_name` to be"), "{}", said.out);
    good(&["release", &tiny.at("run"), "--out", &tiny.at("again/release")]);
    std::fs::write(&one, text).unwrap();
    crate::common::assert_same(&tiny.path("release"), &tiny.path("again/release"), &[], "released twice");
    assert!(verify(&tiny.at("model")).error.contains("expected a release or a dictionary, found neither"));
    assert!(verify(&tiny.at("nowhere")).error.contains("nowhere"));
}

/// Numbers that were embellished in one place are held against the others; in all places, against the model.
#[test]
fn scores_are_held_against_each_other_and_measured_again() {
    let tiny = released();
    let (release, model, text) = (tiny.at("release"), tiny.at("model"), tiny.at("text.txt"));
    let again = || lapidary(&["verify", &release, "--recompute", "2", "--model", &model, "--text", &text]);
    let said = again();
    assert_eq!(said.code, Some(0), "{} {}", said.out, said.error);
    assert_eq!(said.out.matches("scores, measured again on").count(), 2, "{}", said.out);
    // The release does not say where its text was: nothing is wrong, and nothing was measured.
    let said = lapidary(&["verify", &release]);
    assert_eq!(said.code, Some(0), "{}", said.error);
    assert!(said.out.contains("skipped") && said.out.contains("name it with --text"), "{}", said.out);
    // One document of training, so that none is held out: what a document is for hangs on its bytes alone.
    tiny.write("other.txt", "The cat sat.");
    let other = lapidary(&["verify", &release, "--model", &model, "--text", &tiny.at("other.txt")]);
    assert!(other.code == Some(1) && failures(&other)[0].contains("other.txt"), "{}", other.out);

    let scores: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(tiny.path("release/evaluation.json")).unwrap())
            .unwrap();
    let name = scores["scores"][0]["name"].as_str().unwrap().to_string();
    let card = format!("{name}/card.md");
    let good_card = std::fs::read_to_string(tiny.path("release").join(&card)).unwrap();
    tampered(&tiny, &card, |text| text.replacen("| FVU | ", "| FVU | 0.0", 1));
    let said = verify(&release);
    let [line] = failures(&said)[..] else { panic!("{}", said.out) };
    assert!(
        line.contains(&card) && line.contains("expected the scores of evaluation.json, `| FVU"),
        "{line}"
    );
    tampered(&tiny, &card, |_| good_card.clone());
    let good_page = std::fs::read_to_string(tiny.path("release/README.md")).unwrap();
    let l0 = lapidary_report::number::significant(scores["scores"][0]["l0"]["value"].as_f64().unwrap(), 3);
    tampered(&tiny, "README.md", |text| text.replacen(&format!("| {l0} |"), "| 1.00 |", 1));
    let said = verify(&release);
    assert!(failures(&said).len() == 1 && failures(&said)[0].contains("README.md"), "{}", said.out);
    tampered(&tiny, "README.md", |_| good_page.clone());

    // Beyond what three digits show, so that cards and table agree: only the model knows.
    let value = scores["scores"][0]["ce"]["value"].to_string();
    let better = (scores["scores"][0]["ce"]["value"].as_f64().unwrap() * (1.0 - 3e-6)).to_string();
    tampered(&tiny, "evaluation.json", |text| text.replace(&value, &better));
    assert_eq!(failures(&verify(&release)), Vec::<&str>::new());
    let said = again();
    let failed = failures(&said);
    assert!(said.code == Some(1) && failed[0].contains(&format!("expected CE {better}")), "{}", said.out);
}

/// What the manifest says that the release was made from, what is missing, and what was never whole.
#[test]
fn a_release_of_something_else_or_in_halves_is_named() {
    let tiny = released();
    let release = tiny.at("release");
    let mut from = lapidary_files::inventory::from(&tiny.path("release")).unwrap();
    assert_eq!(from.keys().collect::<Vec<_>>(), ["model", "plan", "scored text", "text"]);
    from.insert("text".into(), "0".repeat(64));
    lapidary_files::inventory::write(&tiny.path("release"), from).unwrap();
    let said = verify(&release);
    let [line] = failures(&said)[..] else { panic!("{}", said.out) };
    assert!(line.contains("manifest.json: expected the text "), "{line}");
    std::fs::remove_file(tiny.path("release/evaluation.json")).unwrap();
    let said = verify(&release);
    assert!(
        failures(&said).iter().any(|line| line.contains("evaluation.json") && line.contains("no such file")),
        "{}",
        said.out
    );
    // Killed while it is written: the folder has no manifest, or is not there.
    for step in [3, 9, 20] {
        let out = tiny.at(&format!("killed-{step}"));
        let mut command = crate::common::command(&["release", &tiny.at("run"), "--out", &out]);
        let status = command.env("LAPIDARY_FAIL", format!("kill:{step}")).output().unwrap().status;
        assert!(!status.success());
        assert_eq!(verify(&out).code, Some(1), "killed at step {step}");
        good(&["release", &tiny.at("run"), "--out", &out, "--overwrite"]);
        assert_eq!(verify(&out).code, Some(0), "written again after step {step}");
    }
}

/// One page without a script or an address, in the run and in the release, and in a folder of its own for any dictionaries.
#[test]
fn scores_are_a_page_that_opens_offline() {
    let tiny = released();
    let page = |path: &str| std::fs::read_to_string(tiny.path(path)).unwrap();
    for folder in ["run", "release"] {
        let text = page(&format!("{folder}/report.html"));
        assert!(
            !text.contains("<script") && !text.contains("https://") && !text.contains("src="),
            "{folder}"
        );
        assert_eq!(text.matches("http://").count(), text.matches("http://www.w3.org/2000/svg").count());
        assert!(text.contains("L0 against FVU") && text.contains("canonical"), "{folder}");
    }
    let plot = tiny
        .path("release/plots")
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().unwrap() == "svg");
    let name = plot.unwrap().file_stem().unwrap().to_string_lossy().into_owned();
    assert!(page(&format!("release/plots/{name}.csv")).starts_with("series,label,"));
    assert!(page("release/README.md").contains("](plots/pareto-"));
    let dictionary =
        files(&tiny.path("release")).into_iter().find(|path| path.ends_with("cfg.json")).unwrap();
    let dictionary = dictionary.parent().unwrap().to_str().unwrap().to_string();
    let (model, text, out) = (tiny.at("model"), tiny.at("text.txt"), tiny.at("page"));
    good(&[
        "evaluate",
        &dictionary,
        "--model",
        &model,
        "--text",
        &text,
        "--resamples",
        "10",
        "--report",
        &out,
    ]);
    assert!(page("page/report.html").contains("1 dictionary of model"));
    let said = lapidary(&["evaluate", &dictionary, "--model", &model, "--text", &text, "--report", &out]);
    assert!(said.code == Some(1) && said.error.contains("--overwrite"), "{}", said.error);
    let said = lapidary(&["release", &tiny.at("run"), "--out", &tiny.at("x"), "--base-model", "no owner"]);
    assert!(said.code == Some(1) && said.error.contains("owner/name"), "{}", said.error);
    let said = lapidary(&["release", &tiny.at("run"), "--out", &tiny.at("x"), "--target-l0", "-3"]);
    assert!(said.code != Some(0) && !tiny.path("x").exists(), "{}", said.error);
}
