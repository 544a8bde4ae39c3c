//! A suite file becomes a run: [`file`] is what a person writes, [`grid`] what its tables ask for, [`derive`] one dictionary with
//! every number of it ([`recipe`], and [`init`] where it begins as another one), [`plan`] the whole, resolved; [`estimate`] what
//! it will cost; [`train`] the run itself, on rows of the running model or of a store ([`rows`]), which [`harvest`] makes.
//! [`folder`] is what a run leaves behind, [`subjects`] what later stages read of it; [`words`] are names for what was planned,
//! [`differences`] what a refusal shows of two plans.
//!
//! Must not be in it: evaluation, the command line, printing, the clock and the machine (speed and memory are arguments).
#![forbid(unsafe_code)]

pub mod derive;
pub mod differences;
mod error;
pub mod estimate;
pub mod file;
pub mod folder;
pub mod grid;
pub mod harvest;
mod init;
pub mod plan;
mod recipe;
pub mod rows;
pub mod scaling;
pub mod subjects;
pub mod train;
pub mod words;

pub use error::SuiteError;
pub use file::Suite;
pub use plan::{Places, RunPlan};
pub use train::{Event, Found, Job};
