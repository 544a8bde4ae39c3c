//! Tests of publishing under failure. The fail point is one counter for the process, so they have this binary to
//! themselves and take turns.

use lapidary_files::failpoint::{Failure, arm};
use lapidary_files::{publish, read, read_string};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

static TURN: Mutex<()> = Mutex::new(());

/// Steps of one publication: create, write, fsync, rename, fsync of the folder.
const STEPS: u32 = 5;
const KILLED_STEP: &str = "LAPIDARY_TEST_KILLED_STEP";
const KILLED_PATH: &str = "LAPIDARY_TEST_KILLED_PATH";

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_at_any_step_keeps_a_whole_file() {
    let _turn = TURN.lock().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    publish(&path, b"old").unwrap();
    for step in 0..STEPS {
        arm(step, Failure::DiskFull);
        let error = publish(&path, b"new").unwrap_err().to_string();
        assert!(error.contains("free some space"), "{error}");
        let expected: &[u8] = if step == STEPS - 1 { b"new" } else { b"old" }; // by then the rename has happened
        assert_eq!(std::fs::read(&path).unwrap(), expected, "step {step}");
        assert_eq!(names(dir.path()), ["f"], "step {step}");
    }
    arm(STEPS, Failure::DiskFull); // one step beyond the end: nothing fails yet
    publish(&path, b"newer").unwrap();
    publish(&path, b"lost").unwrap_err(); // the counter went on
    publish(&path, b"lost too").unwrap_err(); // and a full disk stays full
    arm(u32::MAX, Failure::DiskFull); // never reached
    assert_eq!(read_string(&path, 5).unwrap(), "newer");
    assert!(read(&path, 4).unwrap_err().to_string().contains("at most 4 bytes"));
}

/// The child of the next test: publishes once and is killed on the way.
#[test]
fn child_that_is_killed() {
    let (Ok(step), Ok(path)) = (std::env::var(KILLED_STEP), std::env::var(KILLED_PATH)) else { return };
    let _turn = TURN.lock().unwrap();
    arm(step.parse().unwrap(), Failure::Kill);
    publish(Path::new(&path), b"new").unwrap();
}

#[test]
fn a_kill_at_any_step_leaves_the_old_file_or_the_new_one() {
    let _turn = TURN.lock().unwrap();
    for step in 0..=STEPS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        publish(&path, b"old").unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed"])
            .env(KILLED_STEP, step.to_string())
            .env(KILLED_PATH, &path)
            .output()
            .unwrap();
        assert_eq!(child.status.success(), step == STEPS, "step {step}");
        let expected: &[u8] = if step < 4 { b"old" } else { b"new" };
        assert_eq!(std::fs::read(&path).unwrap(), expected, "step {step}");
        publish(&path, b"again").unwrap(); // a temp file that was left behind is in nobody's way
        assert_eq!(names(dir.path()), ["f"], "step {step}");
    }
}

#[test]
fn a_folder_that_is_missing_or_not_a_folder_is_an_error() {
    let _turn = TURN.lock().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = publish(&dir.path().join("missing/f"), b"").unwrap_err().to_string();
    assert!(error.contains("cannot create") && error.contains("check the path"), "{error}");
    std::fs::write(dir.path().join("file"), b"").unwrap();
    publish(&dir.path().join("file/f"), b"").unwrap_err();
    let error = lapidary_files::create_dir(&dir.path().join("file/sub")).unwrap_err().to_string();
    assert!(error.contains("create the folder"), "{error}");
}
