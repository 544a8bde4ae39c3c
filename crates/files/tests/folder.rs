//! Tests of folders that are written whole: what may be replaced, one writer at a time, and a kill at any step. The fail point
//! is one counter for the process, so the tests take turns.

use lapidary_files::failpoint::{Failure, arm};
use lapidary_files::{Content, Kind, MARK, Mode, OutFolder, content, publish};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

static TURN: Mutex<()> = Mutex::new(());

const KIND: Kind = Kind { name: "thing", owns: &["a", "parts/*.b"], resumed_by: Some("a") };
/// Of which a part is of no use.
const WHOLE: Kind = Kind { name: "thing", resumed_by: None, ..KIND };
const KILLED: &str = "LAPIDARY_TEST_KILLED_FOLDER";
const STEP: &str = "LAPIDARY_TEST_KILLED_FOLDER_STEP";

fn open(path: &Path, mode: Mode) -> Result<OutFolder, String> {
    OutFolder::open(path, &KIND, mode).map_err(|e| e.to_string())
}

fn write(path: &Path, mode: Mode, text: &str) -> Result<(), String> {
    let out = open(path, mode)?;
    let fill = || {
        publish(&out.path.join("a"), text.as_bytes())?;
        lapidary_files::create_dir(&out.path.join("parts"))?;
        publish(&out.path.join("parts/1.b"), text.as_bytes())
    };
    fill().and_then(|()| out.finish()).map_err(|e| e.to_string())
}

/// Every file below, but the marks.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for entry in folder.read_dir().into_iter().flatten() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        let name = name.to_str().unwrap().to_string();
        if path.is_dir() {
            out.extend(files(&path).into_iter().map(|(inner, text)| (format!("{name}/{inner}"), text)));
        } else if name != MARK {
            out.insert(name, std::fs::read_to_string(path).unwrap());
        }
    }
    out
}

fn whole(text: &str) -> BTreeMap<String, String> {
    ["a", "parts/1.b"].map(|name| (name.to_string(), text.to_string())).into()
}

#[test]
fn only_what_the_mark_names_is_replaced() {
    let _turn = TURN.lock().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/out");
    write(&path, Mode::New, "1").unwrap();
    assert_eq!(files(&path), whole("1"));
    assert_eq!(content(&path).unwrap(), Content::Ours("thing".into()));
    assert!(write(&path, Mode::New, "2").unwrap_err().contains("found a thing; choose another or add"));
    write(&path, Mode::Replace, "2").unwrap();
    assert_eq!(
        files(dir.path()),
        files(&dir.path().join("new")).into_iter().map(|(n, t)| (format!("new/{n}"), t)).collect()
    );
    assert_eq!(files(&path), whole("2"));
    let other = Kind { name: "other", ..KIND };
    let error = OutFolder::open(&path, &other, Mode::Replace).unwrap_err().to_string();
    assert!(error.contains("expected a other to replace, found a thing"), "{error}");
    for foreign in ["notes.txt", "parts/1.c", "parts/deep/1.b", "a.d/x"] {
        let file = path.join(foreign);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "mine").unwrap();
        for mode in [Mode::New, Mode::Replace] {
            let error = write(&path, mode, "3").unwrap_err();
            assert!(error.contains(&format!("found `{foreign}` in it")), "{error}");
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(files(&path), whole("2"));
    }
    std::os::unix::fs::symlink("a", path.join("parts/link.b")).unwrap();
    assert!(
        write(&path, Mode::Replace, "3").unwrap_err().contains("parts/link.b"),
        "a link is nobody's file"
    );
    std::fs::remove_file(path.join("parts/link.b")).unwrap();
    std::fs::remove_file(path.join(MARK)).unwrap();
    assert!(write(&path, Mode::Replace, "3").unwrap_err().contains("found `a` in it"), "without its mark");
    assert_eq!(files(&path), whole("2"));
}

#[test]
fn a_folder_that_came_to_nothing_goes_away_and_a_part_stays_where_it_is_of_use() {
    let _turn = TURN.lock().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/er/out");
    drop(open(&path, Mode::New).unwrap());
    assert_eq!(dir.path().read_dir().unwrap().count(), 0, "with the folders that were made for it");
    std::fs::create_dir_all(&path).unwrap();
    drop(open(&path, Mode::New).unwrap());
    assert_eq!(path.read_dir().unwrap().count(), 0, "a folder that was there stays");
    let part = |kind: &Kind, mode| {
        let out = OutFolder::open(&path, kind, mode).unwrap();
        publish(&out.path.join("a"), b"part").unwrap();
    };
    part(&WHOLE, Mode::New);
    assert_eq!(path.read_dir().unwrap().count(), 0);
    part(&KIND, Mode::New);
    assert_eq!(files(&path).len(), 1);
    part(&WHOLE, Mode::Replace);
    assert_eq!(files(&path.with_file_name("out.lapidary-new")).len(), 0, "the replacement goes");
    assert_eq!(files(&path).len(), 1, "and the old one stays");
    assert!(!path.with_file_name("out.lapidary-new").exists());
}

#[test]
fn resuming_needs_something_to_resume() {
    let _turn = TURN.lock().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let refused = |found: &str| {
        let error = open(&path, Mode::Resume).unwrap_err();
        assert!(error.contains("a thing with a in it, to resume") && error.contains(found), "{error}");
        assert!(error.contains("without --resume"), "{error}");
    };
    refused("no such folder");
    assert!(!path.exists());
    std::fs::create_dir(&path).unwrap();
    refused("an empty folder");
    std::fs::write(path.join("notes"), "").unwrap();
    refused("a folder without one");
    assert_eq!(path.read_dir().unwrap().count(), 1, "nothing was written");
    std::fs::write(path.join("a"), "from before marks").unwrap();
    drop(open(&path, Mode::Resume).unwrap());
    assert!(path.join(MARK).is_file() && path.join("notes").is_file());
}

#[test]
fn a_second_writer_is_refused_as_long_as_the_first_lives() {
    let _turn = TURN.lock().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let first = open(&path, Mode::New).unwrap();
    for mode in [Mode::New, Mode::Replace, Mode::Resume] {
        let error = open(&dir.path().join("./x/../out"), mode).unwrap_err();
        assert!(error.contains("another process at work on it"), "{mode:?}: {error}");
    }
    drop(first);
    write(&path, Mode::New, "1").unwrap();
    let replacing = open(&path, Mode::Replace).unwrap();
    assert!(open(&path, Mode::Replace).unwrap_err().contains("another process"));
    drop(replacing);
    write(&path, Mode::Replace, "2").unwrap();
    assert_eq!(files(&path), whole("2"));
}

/// The child of the next test: replaces a folder, and is killed on the way.
#[test]
fn child_that_is_killed() {
    let (Ok(step), Ok(path)) = (std::env::var(STEP), std::env::var(KILLED)) else { return };
    let _turn = TURN.lock().unwrap();
    arm(step.parse().unwrap(), Failure::Kill);
    write(Path::new(&path), Mode::Replace, "new").unwrap();
}

#[test]
fn killed_at_any_step_the_old_folder_or_the_new_one_is_whole_and_the_next_writer_finds_it() {
    let _turn = TURN.lock().unwrap();
    for step in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        write(&path, Mode::New, "old").unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed"])
            .env(STEP, step.to_string())
            .env(KILLED, &path)
            .output()
            .unwrap();
        let [old, new, aside] =
            ["out", "out.lapidary-new", "out.lapidary-old"].map(|n| files(&dir.path().join(n)));
        let one_is_whole =
            old == whole("old") || old == whole("new") || aside == whole("old") && new == whole("new");
        assert!(one_is_whole, "step {step}: {old:?} {new:?} {aside:?}");
        write(&path, Mode::Replace, "newer").unwrap();
        assert_eq!(files(&path), whole("newer"), "step {step}");
        let left: Vec<_> = dir.path().read_dir().unwrap().collect();
        assert_eq!(left.len(), 1, "step {step}: {left:?}");
        if child.status.success() {
            assert!(step > 12, "only {step} steps");
            break;
        }
    }
}
