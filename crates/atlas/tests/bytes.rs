//! The bytes of an atlas: the same for any number of threads, and after a stop at any step. Alone in its file: it arms the failpoint of the
//! process.

use crate::common::{Small, files};
use lapidary_atlas::Atlas;
use lapidary_files::failpoint::{self, Failure};

#[test]
fn any_number_of_threads_and_any_stop_give_the_same_bytes() {
    let small = Small::new();
    let of = |threads: usize, shard_rows: u64| {
        let dir = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| small.build(dir.path(), shard_rows)).unwrap();
        files(dir.path())
    };
    let whole = of(1, u64::MAX);
    assert!(whole.len() > 5 && !whole.contains_key("state.bin"));
    assert!(whole == of(3, 100), "other bytes with three threads");
    // Every step of publishing fails once: the next run goes on and ends with the same bytes.
    for n in (1..).step_by(3) {
        let dir = tempfile::tempdir().unwrap();
        failpoint::arm(n, Failure::DiskFull);
        let stopped = small.build(dir.path(), 100).is_err();
        failpoint::arm(u32::MAX, Failure::DiskFull);
        if Atlas::open(dir.path()).is_ok() {
            let mut found = files(dir.path());
            found.remove("state.bin");
            assert!(found == whole, "half an atlas was opened after a stop at step {n}");
        }
        small.build(dir.path(), 100).unwrap();
        assert!(files(dir.path()) == whole, "other bytes after a stop at step {n}");
        if !stopped {
            return;
        }
    }
}
