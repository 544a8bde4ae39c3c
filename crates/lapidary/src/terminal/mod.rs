//! What is printed: results on standard output, where a failure is an error that names it; words beside them on standard error,
//! where it is none.

pub mod progress;
pub mod stopwatch;
pub mod tensorboard;
pub mod watch;

use crate::global::Global;
use lapidary_files::FileError;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

/// Prints `text` on standard output as it is.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    write(|out| write!(out, "{text}"))
}

/// Prints a line on standard output.
pub fn line(text: impl Display) -> anyhow::Result<()> {
    write(|out| writeln!(out, "{text}"))
}

/// What `write` writes goes to standard output.
pub fn write(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = write(&mut out).and_then(|()| out.flush());
    Ok(written.map_err(FileError::io(Path::new("standard output"), "write"))?)
}

/// A line on standard error; that it cannot be read there harms no result.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

impl Global {
    /// A line on standard output: with --json `json`, else `text`.
    pub fn tell(&self, json: &serde_json::Value, text: impl Display) -> anyhow::Result<()> {
        if self.json { line(json) } else { line(text) }
    }
}

/// `lapidary … | head` closes our stdout: that is no failure.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|e| e.downcast_ref::<io::Error>());
    io.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
