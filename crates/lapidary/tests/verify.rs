//! `lapidary verify` on a release that the binary made: a changed byte in any file is named, and so is what was changed with
//! its hashes made good again.

mod common;

use common::{Ran, Tiny, good, lapidary};
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
    lapidary(&["verify", path])
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
    assert_eq!(all.len(), 4 + 2 * 4, "{all:?}");
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
    good(&["release", &tiny.at("run"), "--out", &tiny.at("again")]);
    std::fs::write(&one, text).unwrap();
    common::assert_same(
        &tiny.path("release"),
        &tiny.path("again"),
        &["README.md", "manifest.json"],
        "released twice",
    );
    assert!(verify(&tiny.at("model")).error.contains("expected a release or a dictionary, found neither"));
    assert!(verify(&tiny.at("nowhere")).error.contains("nowhere"));
}
