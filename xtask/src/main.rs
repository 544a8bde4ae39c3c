//! `cargo xtask VERB`: chores of the repository.
//!
//! - `tidy`: the house rules that a compiler does not hold; fails with one line per breach.
//! - `fixtures`: remakes the golden files, by the script beside each (`$PYTHON`, default `python3`).

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // a chore prints

mod arrows;
mod circles;
mod fixtures;
mod rules;
mod source;
#[cfg(test)]
mod tests;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository");
    let verb = std::env::args().nth(1).unwrap_or_default();
    let done = match verb.as_str() {
        "tidy" => tidy::run(root),
        "fixtures" => fixtures::run(root),
        _ => {
            Err(anyhow::anyhow!("`{verb}` is not a chore; try `cargo xtask tidy` or `cargo xtask fixtures`"))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
