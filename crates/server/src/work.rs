//! What computes does it in few places at a time, on threads of its own; who waits too long, or behind too many, is sent away. One
//! client has a few streams at once.

use crate::error::Refusal;
use crate::limits::Limits;
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places.
pub(crate) struct Work {
    limits: Limits,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    streams: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// A client's stream, while it is held.
pub(crate) struct Stream {
    client: IpAddr,
    streams: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Work {
    pub(crate) fn new(limits: Limits) -> Work {
        Work {
            limits,
            free: Arc::new(Semaphore::new(limits.computing)),
            waiting: AtomicUsize::new(0),
            streams: Arc::default(),
        }
    }

    /// Waits for a place.
    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let _queue = Queue::enter(&self.waiting, self.limits.waiting)?;
        let place = self.free.clone().acquire_owned();
        let place = tokio::time::timeout(self.limits.wait_time, place).await.map_err(|_| Refusal::busy())?;
        place.map_err(|_| Refusal::busy())
    }

    /// Runs what computes in a place of its own.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = self.place().await?;
        let held = move || {
            let _place = place;
            work()
        };
        run(held).await
    }

    /// Counts a stream of a client.
    pub(crate) fn stream(&self, client: IpAddr) -> Result<Stream, Refusal> {
        let mut streams = self.streams.lock().unwrap_or_else(|broken| broken.into_inner());
        let own = streams.entry(client).or_default();
        if *own >= self.limits.streams {
            let error = format!("expected at most {} streams at once, found one more", self.limits.streams);
            return Err(Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                error,
                "wait until one of them has ended",
            ));
        }
        *own += 1;
        Ok(Stream { client, streams: self.streams.clone() })
    }
}

/// Runs what may block, on a thread where it may.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => {
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed", "report the request"))
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut streams = self.streams.lock().unwrap_or_else(|broken| broken.into_inner());
        let left = streams.get(&self.client).map_or(0, |own| own.saturating_sub(1));
        match left {
            0 => streams.remove(&self.client),
            left => streams.insert(self.client, left),
        };
    }
}

/// One that waits, as long as it waits.
struct Queue<'a>(&'a AtomicUsize);

impl<'a> Queue<'a> {
    fn enter(waiting: &'a AtomicUsize, most: usize) -> Result<Queue<'a>, Refusal> {
        let queue = Queue(waiting);
        match waiting.fetch_add(1, Ordering::Relaxed) < most {
            true => Ok(queue),
            false => Err(Refusal::busy()), // and the queue is left again
        }
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
