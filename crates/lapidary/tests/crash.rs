//! Crash safety (docs/numerics.md §5): a run that is killed, fills the disk, is interrupted or finds its checkpoints damaged ends,
//! once resumed, with the bytes of a run to which nothing happened. What cannot be resumed is refused by name.
#![allow(clippy::print_stderr)]

use crate::common::{Ran, Tiny, assert_same, lapidary};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// More steps of publishing than this are in the smallest run: plan, 4 checkpoints, log, 2 dictionaries of 4 files.
const MANY: u32 = 50;

/// Runs that are under way at once: they mostly wait for the disk.
const WORKERS: u32 = 4;

/// Goes on with a run that was ended: with --resume, unless it ended before its folder was marked as a run's.
fn again(tiny: &Tiny, out: &str) -> Ran {
    let marked = std::fs::metadata(tiny.path(out).join(".lapidary")).is_ok_and(|mark| mark.len() > 0);
    tiny.trained(out, if marked { &["--resume", "--quiet"] } else { &["--quiet"] })
}

/// Looks at a run that failed, in its folder.
type Check = fn(&Ran, &Path);

/// Runs with the n-th step failing, for every n there is, and resumes.
fn fails_at_every_step(failure: &str, check: Check) {
    let tiny = Tiny::new(4);
    tiny.trained("whole", &[]);
    let first_untouched = &|first: u32| {
        (first..).step_by(WORKERS as usize).find(|&n| !fails_and_resumes(&tiny, failure, n, check)).unwrap()
    };
    let steps = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|first| scope.spawn(move || first_untouched(first))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).min().unwrap()
    });
    assert!(steps > MANY, "only {steps} steps can fail");
}

/// Does the n-th step exist? If so it failed, and the resumed run ended well.
fn fails_and_resumes(tiny: &Tiny, failure: &str, n: u32, check: Check) -> bool {
    let out = format!("{failure}-{n}");
    let mut failing = tiny.train(&out, &["--quiet"]);
    let ran: Ran = failing.env("LAPIDARY_FAIL", format!("{failure}:{n}")).output().unwrap().into();
    let failed = ran.code != Some(0);
    if failed {
        check(&ran, &tiny.path(&out));
        again(tiny, &out);
    }
    assert_same(&tiny.path("whole"), &tiny.path(&out), &[], &format!("{failure} at step {n}"));
    std::fs::remove_dir_all(tiny.path(&out)).unwrap();
    failed
}

#[test]
fn killed_at_every_write_fsync_and_rename_then_resumed_ends_with_the_same_bytes() {
    fails_at_every_step("kill", |ran, _| assert_eq!(ran.code, None, "a signal ends it: {}", ran.error));
}

#[test]
fn a_full_disk_at_every_step_is_named_and_resuming_ends_with_the_same_bytes() {
    fails_at_every_step("disk-full", |ran, folder| {
        assert_eq!(ran.code, Some(1), "{}", ran.error);
        assert!(ran.error.starts_with(&format!("error: {}", folder.display())), "{}", ran.error);
        assert!(ran.error.ends_with("free some space, then run again\n"), "{}", ran.error);
        assert_eq!(ran.error.lines().count(), 1, "{}", ran.error);
        let left = if folder.is_dir() { crate::common::bytes(folder) } else { Default::default() };
        assert_eq!(left.into_keys().find(|name| name.ends_with(".tmp")), None, "a failed write cleans up");
    });
}

fn spawn(tiny: &Tiny, out: &str) -> Child {
    let marked = std::fs::metadata(tiny.path(out).join(".lapidary")).is_ok_and(|mark| mark.len() > 0);
    let mut command = tiny.train(out, if marked { &["--resume", "--quiet"] } else { &["--quiet"] });
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// `kill -9` after times drawn from a seed, until the run gets through.
#[test]
fn killed_at_random_moments_and_resumed_ends_with_the_same_bytes() {
    let tiny = Tiny::new(60);
    let began = Instant::now();
    tiny.trained("whole", &[]);
    let mut whole = began.elapsed();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (mut kills, mut resumed) = (0, 0);
    while kills < 20 {
        let mut child = spawn(&tiny, "killed");
        std::thread::sleep(whole.mul_f64(0.9 * f64::from(rng.next_u32()) / f64::from(u32::MAX)));
        child.kill().unwrap();
        let ran: Ran = child.wait_with_output().unwrap().into();
        resumed += u32::from(ran.error.contains("resuming after step"));
        if ran.code == Some(0) && resumed > 0 {
            break;
        }
        if ran.code == Some(0) {
            // The machine was busier while `whole` was measured: earlier, and from the start.
            (whole, kills) = (whole / 2, 0);
            std::fs::remove_dir_all(tiny.path("killed")).unwrap();
            continue;
        }
        assert_eq!(ran.code, None, "{}", ran.error);
        kills += 1;
    }
    assert!(kills > 0 && resumed > 0, "{kills} kills, {resumed} of them in resumed runs");
    again(&tiny, "killed");
    assert_same(&tiny.path("whole"), &tiny.path("killed"), &[], "random kills");
}

/// No step is lost, and none leaves a trace: Ctrl-C and SIGTERM save the very step.
#[test]
fn ctrl_c_leaves_a_run_that_can_be_resumed_and_says_how() {
    let tiny = Tiny::new(250);
    tiny.trained("whole", &[]);
    for signal in ["INT", "TERM"] {
        let child = spawn(&tiny, signal);
        let log = tiny.path(signal).join("metrics.jsonl");
        while !std::fs::metadata(&log).is_ok_and(|m| m.len() > 0) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let kill = format!("kill -{signal} {}", child.id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!(ran.code, Some(1), "{}", ran.error);
        let said = ran.error.strip_prefix("error: stopped at step ").expect(&ran.error);
        assert!(said.contains(" of 250, which is saved; continue with --resume"), "{said}");
        let step = said.split(' ').next().unwrap();
        let resumed = tiny.trained(signal, &["--resume"]).error;
        assert!(resumed.contains(&format!("resuming after step {step}\n")), "{step}: {resumed}");
        assert_same(&tiny.path("whole"), &tiny.path(signal), &[], signal);
    }
}

/// Checkpoints of a run, newest first.
fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = run.join("checkpoints").read_dir().unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.reverse();
    paths
}

/// A way to damage the bytes of a file.
type Damage = fn(&mut Vec<u8>);

#[test]
fn damaged_checkpoints_are_named_and_passed_over_and_the_bytes_are_the_same() {
    let tiny = Tiny::new(20);
    tiny.trained("whole", &[]);
    let damages: [(&str, Damage); 5] = [
        ("emptied", |b| b.clear()),
        ("cut in the header", |b| b.truncate(100)),
        ("cut in the data", |b| b.truncate(b.len() - 7)),
        ("a bit of the header flipped", |b| b[20] ^= 1),
        ("a bit of the data flipped", |b| *b.last_mut().unwrap() ^= 1),
    ];
    for (what, damage) in damages {
        for count in [1, 2] {
            tiny.trained("hurt", &["--overwrite", "--quiet"]);
            std::fs::remove_dir_all(tiny.path("hurt/dictionaries")).unwrap();
            let found = checkpoints(&tiny.path("hurt"));
            assert_eq!(found.len(), 2);
            for path in &found[..count] {
                let mut bytes = std::fs::read(path).unwrap();
                damage(&mut bytes);
                std::fs::write(path, bytes).unwrap();
            }
            let said = tiny.trained("hurt", &["--resume", "--quiet"]).error;
            assert_eq!(said.matches("passing over a damaged checkpoint").count(), count, "{what}: {said}");
            assert!(said.contains(found[0].to_str().unwrap()), "{what}: {said}");
            let next = if count == 1 { "resuming after step 19" } else { "training from the first step" };
            assert!(said.contains(next), "{what}: {said}");
            assert_same(&tiny.path("whole"), &tiny.path("hurt"), &[], what);
        }
    }
}

/// Damaged checkpoints from later steps must not crowd out the whole ones that a resumed run makes.
#[test]
fn a_run_resumed_before_damaged_checkpoints_can_be_killed_again() {
    let tiny = Tiny::new(20);
    tiny.trained("whole", &[]);
    tiny.trained("hurt", &[]);
    checkpoints(&tiny.path("hurt")).iter().for_each(|path| std::fs::write(path, "damaged").unwrap());
    let mut killed = tiny.train("hurt", &["--resume", "--quiet"]);
    let ran: Ran = killed.env("LAPIDARY_FAIL", "kill:60").output().unwrap().into();
    assert_eq!(ran.code, None, "{}", ran.error);
    let said = tiny.trained("hurt", &["--resume", "--quiet"]).error;
    assert!(said.contains("resuming after step "), "{said}");
    assert_same(&tiny.path("whole"), &tiny.path("hurt"), &[], "damaged, resumed, killed, resumed");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_nothing_is_lost() {
    let tiny = Tiny::new(6);
    let ran: Ran = tiny.train("suite.toml/run", &["--quiet"]).output().unwrap().into();
    assert_eq!(ran.code, Some(1));
    assert!(ran.error.contains("suite.toml/run: expected a folder to write, found a file"), "{}", ran.error);
    // A folder that stops being writable: a file where the checkpoints should go (root writes anywhere else).
    tiny.trained("whole", &[]);
    let killed = tiny.train("run", &["--quiet"]).env("LAPIDARY_FAIL", "kill:18").output().unwrap();
    assert_eq!(killed.status.code(), None);
    assert!(tiny.path("run/plan.json").is_file() && !tiny.path("run/checkpoints").exists());
    tiny.write("run/checkpoints", "");
    let ran: Ran = tiny.train("run", &["--quiet", "--resume"]).output().unwrap().into();
    assert_eq!(ran.code, Some(1));
    assert!(ran.error.contains("run/checkpoints: cannot create the folder"), "{}", ran.error);
    std::fs::remove_file(tiny.path("run/checkpoints")).unwrap();
    tiny.trained("run", &["--quiet", "--resume"]);
    assert_same(&tiny.path("whole"), &tiny.path("run"), &[], "made writable again");
}

#[test]
fn a_run_is_resumed_only_with_its_own_suite_and_instruction_set() {
    let tiny = Tiny::new(6);
    let mut portable = tiny.train("run", &["--quiet"]);
    assert!(portable.env("LAPIDARY_ISA", "portable").output().unwrap().status.success());
    let doctor: serde_json::Value =
        serde_json::from_str(&crate::common::good(&["doctor", "--json"])).unwrap();
    match doctor["available"].as_array().unwrap().iter().find(|isa| *isa != "portable") {
        Some(other) => {
            let mut command = tiny.train("run", &["--resume", "--quiet"]);
            let ran: Ran = command.env("LAPIDARY_ISA", other.as_str().unwrap()).output().unwrap().into();
            assert_eq!(ran.code, Some(1));
            assert!(ran.error.contains("expected a checkpoint of build"), "{}", ran.error);
        }
        None => eprintln!("SKIPPED: this machine has one instruction set only"),
    }
    tiny.variant("other.toml", &["lambdas = [0.004]"]);
    let ran = lapidary(&["train", &tiny.at("other.toml"), "--out", &tiny.at("run"), "--resume", "-q"]);
    assert_eq!(ran.code, Some(1));
    for key in ["0.res-width40-lambda0.004: expected {", "1.att-width40-lambda0.003: expected none, found {"]
    {
        assert!(ran.error.contains(&format!("training.dictionaries.{key}")), "{key}: {}", ran.error);
    }
    tiny.variant("other.toml", &["seed = 5"]);
    let ran = lapidary(&["train", &tiny.at("other.toml"), "--out", &tiny.at("run"), "--resume", "-q"]);
    assert!(
        ran.error.contains("differs in its plan: training.seed: expected 5, found 0; resume with"),
        "{}",
        ran.error
    );
}

#[test]
fn a_full_folder_is_kept_unless_told_otherwise() {
    let tiny = Tiny::new(6);
    tiny.trained("run", &[]);
    tiny.write("run/of-a-person.txt", "keep me");
    let ran: Ran = tiny.train("run", &["--quiet"]).output().unwrap().into();
    assert_eq!(ran.code, Some(1));
    assert!(ran.error.contains("found `of-a-person.txt` in it; choose another"), "{}", ran.error);
    assert_eq!(tiny.read("run/of-a-person.txt"), "keep me");
    let ran: Ran = tiny.train("run", &["--quiet", "--overwrite"]).output().unwrap().into();
    assert_eq!(ran.code, Some(1));
    assert!(ran.error.contains("found `of-a-person.txt` in it"), "{}", ran.error);
    assert_eq!(tiny.read("run/of-a-person.txt"), "keep me");
    std::fs::remove_file(tiny.path("run/of-a-person.txt")).unwrap();
    let before = crate::common::bytes(&tiny.path("run"));
    tiny.trained("run", &["--overwrite"]);
    assert_eq!(crate::common::bytes(&tiny.path("run")), before);
}

/// Killed among its dictionaries, a run must not be measured as if the others had never been planned.
#[test]
fn a_run_without_all_its_dictionaries_is_not_evaluated() {
    let tiny = Tiny::new(6);
    tiny.trained("run", &[]);
    std::fs::remove_dir_all(tiny.path("run/dictionaries/1.att-width40-lambda0.003")).unwrap();
    let ran = lapidary(&["evaluate", &tiny.at("run")]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.error.contains("1.att-width40-lambda0.003, found none; the run was cut short"),
        "{}",
        ran.error
    );
    tiny.trained("run", &["--resume"]);
    crate::common::good(&["evaluate", &tiny.at("run"), "--resamples", "10", "--quiet"]);
}
