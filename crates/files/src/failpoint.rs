//! Deliberate failure, for tests: every step of publishing passes [`step`], and the n-th one can be made to fail.
//!
//! One counter for the process: tests that arm it live in a test binary of their own and take turns. It costs one atomic
//! load per step when it is not armed.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering::SeqCst};

/// What happens at the chosen step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The process ends at once, as by `kill -9`.
    Kill,
    /// The step returns the error of a full disk, and so does every later one: a disk that is full stays full.
    DiskFull,
}

static REMAINING: AtomicI64 = AtomicI64::new(-1);
static FAILURE: AtomicU8 = AtomicU8::new(0);

/// The `n`-th step from now (0 = the next one) fails.
pub fn arm(n: u32, failure: Failure) {
    FAILURE.store(failure as u8, SeqCst);
    REMAINING.store(i64::from(n), SeqCst);
}

/// One step of publishing; fails if it is the armed one.
pub(crate) fn step() -> io::Result<()> {
    if REMAINING.fetch_update(SeqCst, SeqCst, |left| (left > 0).then_some(left - 1)) != Err(0) {
        return Ok(());
    }
    if FAILURE.load(SeqCst) == Failure::Kill as u8 {
        std::process::abort();
    }
    Err(io::Error::from(io::ErrorKind::StorageFull))
}
