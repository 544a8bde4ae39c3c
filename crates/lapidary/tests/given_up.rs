//! Runs in which a dictionary is given up, and runs that have ended: what is said, what the exit code is, what is touched.

use crate::common::{Ran, Tiny, bytes, good, lapidary};
use std::collections::BTreeMap;
use std::path::Path;

/// At this rate all that is trained diverges; a random dictionary is not trained and stays.
#[test]
fn a_run_that_gave_up_some_fails_and_later_verbs_know() {
    let tiny = Tiny::new(6);
    let random = "[[baselines]]\nbaseline = 'random'\nsites = '0.res'\n";
    tiny.write("bad.toml", &format!("{}lr = 1e12\n{random}", tiny.read("suite.toml")));
    let train = |more: &[&str]| {
        lapidary(&[&["train", &tiny.at("bad.toml"), "--out", &tiny.at("run"), "-q"], more].concat())
    };
    let ran = train(&[]);
    assert_eq!(ran.code, Some(1), "{}", ran.error);
    let last = ran.error.lines().last().unwrap();
    assert!(
        last.starts_with("error: 2 of 3 dictionaries stopped, 0.res-width40-lambda0.003 first, at step "),
        "{last}"
    );
    assert!(
        last.contains("the others are finished") && last.contains("lower [recipe] lr, which is 1e12"),
        "{last}"
    );
    assert!(ran.out.contains("stopped at step 1: "), "{}", ran.out);
    let log = tiny.read("run/metrics.jsonl");
    assert_eq!(log.matches(r#""stopped":"#).count(), 2, "{log}");
    let again = train(&["--resume"]);
    assert!(again.code == Some(1) && again.error.lines().last() == Some(last), "{}", again.error);

    let evaluated = lapidary(&["evaluate", &tiny.at("run"), "--resamples", "10", "-q"]);
    assert_eq!(evaluated.code, Some(0), "{}", evaluated.error);
    let said = "1.att-width40-lambda0.003 was given up at step 1 of its training: ";
    assert!(evaluated.error.contains(said), "{}", evaluated.error);
    good(&["release", &tiny.at("run"), "--out", &tiny.at("release"), "--with-baselines", "-q"]);
    assert!(tiny.read("release/README.md").contains(said));
}

/// Every file below a folder with its bytes and the time of its last change.
fn state(folder: &Path) -> (BTreeMap<String, Vec<u8>>, Vec<std::time::SystemTime>) {
    let mut times = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = folder.read_dir().unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        times.extend(entries.iter().map(|path| path.metadata().unwrap().modified().unwrap()));
        folders.extend(entries.into_iter().filter(|path| path.is_dir()));
    }
    (bytes(folder), times)
}

#[test]
fn a_finished_run_says_so_when_resumed_and_is_not_touched() {
    let tiny = Tiny::new(6);
    let first = tiny.trained("run", &["-q"]);
    let before = state(&tiny.path("run"));
    let again = tiny.trained("run", &["--resume", "-q"]);
    assert!(again.error.contains("this run is finished, nothing is left to do"), "{}", again.error);
    let table = |ran: &Ran| ran.out.lines().take(4).map(str::to_string).collect::<Vec<_>>();
    assert_eq!(table(&first), table(&again));
    assert!(!again.out.contains("NaN"), "{}", again.out);
    assert!(state(&tiny.path("run")) == before);
    let json = tiny.trained("run", &["--resume", "-q", "--json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["rows"].as_u64(), json.get("seconds")), (Some(6 * 128), None));
}
