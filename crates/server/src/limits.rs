//! Every number that bounds what a request may cost.

use std::time::Duration;

/// Bounds of requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of a prompt or a text.
    pub text_bytes: usize,
    /// Tokens of a text that is typed.
    pub text_tokens: usize,
    /// Texts in one request.
    pub texts: usize,
    /// New tokens of a continuation.
    pub new_tokens: usize,
    /// Features that are steered at once.
    pub interventions: usize,
    /// Strengths of a sweep.
    pub strengths: usize,
    /// Results of a list or a search.
    pub results: usize,
    /// Requests that compute at once.
    pub computing: usize,
    /// Requests that wait for a place to compute; more are refused with 503.
    pub waiting: usize,
    /// Streams of one client at once; more are refused with 429.
    pub streams: usize,
    /// Connections at once; more are closed.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Until a request's head is there.
    pub head_time: Duration,
    /// Until a request's body is there.
    pub body_time: Duration,
    /// Until a place to compute is free.
    pub wait_time: Duration,
    /// From Ctrl-C until connections that are still busy are cut.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 256 << 10,
            text_bytes: 32 << 10,
            text_tokens: 1_024,
            texts: 16,
            new_tokens: 256,
            interventions: 16,
            strengths: 15,
            results: 1_000,
            computing: 2,
            waiting: 64,
            streams: 4,
            connections: 512,
            head_bytes: 64 << 10,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            wait_time: Duration::from_secs(30),
            farewell: Duration::from_secs(3),
        }
    }
}
