//! A suite file becomes planned dictionaries: [`file`] is what a person writes, [`grid`] what its tables ask for, [`derive`] one
//! dictionary with every number of it.
//!
//! Must not be in it: evaluation, the command line, printing, the clock, the environment.
#![forbid(unsafe_code)]

pub mod derive;
mod error;
pub mod file;
pub mod grid;

pub use error::SuiteError;
pub use file::Suite;
