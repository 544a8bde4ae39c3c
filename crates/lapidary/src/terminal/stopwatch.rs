//! Where the time of training goes: the parts of its steps, and the wait for rows between them.

use lapidary_trainer::Phase;
use std::time::Instant;

/// The parts in their order. The first is the language model, or the store, and the shuffle.
const PARTS: [(Option<Phase>, &str); 5] = [
    (None, "rows"),
    (Some(Phase::Encode), "encode"),
    (Some(Phase::Decode), "decode"),
    (Some(Phase::Transpose), "transpose"),
    (Some(Phase::Features), "features"),
];

/// Seconds by part.
pub struct Stopwatch {
    last: Instant,
    seconds: [f64; PARTS.len()],
}

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch { last: Instant::now(), seconds: [0.0; PARTS.len()] }
    }

    /// What passed since the last lap was `part`; `None`: waiting for rows.
    pub fn lap(&mut self, part: Option<Phase>) {
        let now = Instant::now();
        let which = PARTS.iter().position(|(known, _)| *known == part).expect("every phase is known");
        self.seconds[which] += (now - self.last).as_secs_f64();
        self.last = now;
    }

    /// What passed since the last lap was none of them.
    pub fn skip(&mut self) {
        self.last = Instant::now();
    }

    /// Name and seconds of each part of a step.
    pub fn steps(&self) -> Vec<(&'static str, f64)> {
        self.all().split_off(1)
    }

    /// Name and seconds of each part, rows first.
    pub fn all(&self) -> Vec<(&'static str, f64)> {
        PARTS.iter().map(|&(_, name)| name).zip(self.seconds).collect()
    }
}
