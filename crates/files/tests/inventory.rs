//! The manifest of a released folder: the same files give the same bytes, and whatever is changed is named.

use lapidary_files::inventory::{Entry, FILE_NAME, compare, from, write};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/deep")).unwrap();
    for (name, text) in
        [("README.md", "read me"), ("a/cfg.json", "{}"), ("a/deep/empty", ""), ("b é.bin", "\0\u{1}")]
    {
        fs::write(dir.path().join(name), text).unwrap();
    }
    write(dir.path(), made_from()).unwrap();
    dir
}

/// Of a plan and a text.
fn made_from() -> std::collections::BTreeMap<String, String> {
    [("plan", "aa"), ("text", "bb")].map(|(name, hash)| (name.into(), hash.into())).into()
}

/// Names of the files that are not as they were written.
fn changed(dir: &Path) -> Vec<String> {
    let differ = |entry: &Entry| entry.expected.is_none() || entry.expected != entry.found;
    compare(dir).unwrap().into_iter().filter(differ).map(|entry| entry.name).collect()
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let (a, b) = (folder(), folder());
    let text = |dir: &tempfile::TempDir| fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
    assert_eq!(text(&a), text(&b));
    assert_eq!(compare(a.path()).unwrap().len(), 4);
    assert_eq!(changed(a.path()), Vec::<String>::new());
    // `b3sum` of no bytes.
    let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert!(text(&a).contains(&format!("\"a/deep/empty\": \"{empty}\"")), "{}", text(&a));
    write(a.path(), made_from()).unwrap();
    assert_eq!(text(&a), text(&b), "the manifest is not in itself");
    assert_eq!(from(a.path()).unwrap(), made_from());
}

#[test]
fn what_is_missing_or_new_is_named() {
    let dir = folder();
    fs::remove_file(dir.path().join("a/cfg.json")).unwrap();
    fs::write(dir.path().join("a/new"), "new").unwrap();
    assert_eq!(changed(dir.path()), ["a/cfg.json", "a/new"]);
}

/// Every byte of every file, the manifest's own included.
#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let dir = folder();
    for name in ["README.md", "a/cfg.json", "b é.bin", FILE_NAME] {
        let path = dir.path().join(name);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x01;
            fs::write(&path, &bad).unwrap();
            match compare(dir.path()) {
                Ok(_) => assert_eq!(changed(dir.path()), [name], "byte {at}"),
                Err(error) => assert!(name == FILE_NAME && error.to_string().contains(FILE_NAME), "{error}"),
            }
            assert!(name != FILE_NAME || compare(dir.path()).is_err(), "byte {at} of the manifest");
        }
        fs::write(&path, &good).unwrap();
    }
    let no_manifest = tempfile::tempdir().unwrap();
    assert!(compare(no_manifest.path()).unwrap_err().to_string().contains(FILE_NAME));
    fs::write(no_manifest.path().join(FILE_NAME), "{\"format_version\":1}").unwrap();
    assert!(compare(no_manifest.path()).unwrap_err().to_string().contains("the manifest of a release"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))] // each case syncs a file

    /// Any files come back as they were written; hidden ones are no part of a release.
    #[test]
    fn any_files_come_back(files in proptest::collection::btree_map("[a-zA-Z0-9 _é-][a-zA-Z0-9 ._é-]{0,11}x", any::<Vec<u8>>(), 0..6)) {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in &files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        write(dir.path(), made_from()).unwrap();
        fs::write(dir.path().join(".hidden"), "of the place").unwrap();
        let found = compare(dir.path()).unwrap();
        prop_assert_eq!(found.iter().map(|e| &e.name).collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
        prop_assert!(found.iter().all(|e| e.expected.is_some() && e.expected == e.found));
    }
}
