//! Bars on stderr: what is done, at what rate, how long it will take. Silent when asked, or when stderr is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use lapidary_report::number::count;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// A bar, or plain lines now and then where there is no terminal.
pub struct Progress {
    bar: ProgressBar,
    plain: bool,
    label: String,
    last_line: Instant,
    began: Instant,
    unit: &'static str,
    first: u64,
}

/// Seconds between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);

impl Progress {
    /// A bar of `total` `unit`s; none if `quiet`.
    pub fn new(quiet: bool, label: &str, total: u64, unit: &'static str) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let target =
            if quiet || !terminal { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template = format!(
            "{label:<12} {{bar:30}} {{human_pos}}/{{human_len}} {unit}  {{rate}}/s  ETA {{eta}}  {{msg}}"
        );
        let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{}", count(state.per_sec() as u64));
        };
        let style = ProgressStyle::with_template(&template).expect("a fixed template");
        bar.set_style(style.with_key("rate", rate).progress_chars("━╸ "));
        let now = Instant::now();
        Progress {
            bar,
            plain: !terminal && !quiet,
            label: label.into(),
            last_line: now,
            began: now,
            unit,
            first: 0,
        }
    }

    /// `done` units were done before: they count for the bar, not for its rate.
    pub fn resume_at(&mut self, done: u64) {
        self.first = done;
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    /// `done` units are done.
    pub fn set(&mut self, done: u64) {
        self.bar.set_position(done);
        if self.plain && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            self.line(done);
        }
    }

    /// `done` of `total` units are done, where the total is known only on the way.
    pub fn set_of(&mut self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.set(done);
    }

    fn line(&self, done: u64) {
        let (total, seconds) = (self.bar.length().unwrap_or(0), self.began.elapsed().as_secs_f64());
        let rate = (done - self.first) as f64 / seconds;
        let eta = Duration::from_secs_f64((total.saturating_sub(done)) as f64 / rate.max(1e-9));
        let label = &self.label;
        let (unit, eta, message) = (self.unit, eta.as_secs(), self.bar.message());
        crate::terminal::note(format_args!(
            "{label}: {done}/{total} {unit}, {rate:.0}/s, ETA {eta}s {message}"
        ));
    }

    /// The last words of the bar.
    pub fn message(&self, text: String) {
        self.bar.set_message(text);
    }

    /// A line above the bar.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| crate::terminal::note(text));
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}
