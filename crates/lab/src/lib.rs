//! The open problems of Gemma Scope (arXiv 2408.05147, section 5) as experiments that anyone can run, on rungs of rising reality.
//!
//! Reading order: [`questions`] are all of them in the paper's words; [`experiment`] is the form that each has, and the list of those that
//! run, one file each under `experiments/`; [`rung`] is what they run on (rows of known directions, a language model whose
//! language is known, any model), with [`held`] rows and the dictionaries that `training` makes of them; [`lab`] keeps what is finished,
//! cell by cell; [`measure`] has the numbers that several experiments share; [`report`] is what comes out, which `run` writes as
//! JSON, as a table, as plots and as a page for newcomers. [`verdict`] is the only file that judges.
//!
//! Must not be in it: the command line, printing, the clock, the environment. An experiment trains and measures, it defines no
//! new architecture and no new metric of general use: those belong to `objective` and `evaluation`.
//!
//! Dimension key: `N` rows · `D` width of a site · `F` features · `M` planted directions · `S` seeds.
#![forbid(unsafe_code)]

mod counts;
mod error;
pub mod experiment;
pub mod experiments;
pub mod held;
pub mod lab;
mod low;
pub mod measure;
mod page;
mod plots;
pub mod questions;
pub mod report;
pub mod run;
pub mod rung;
mod student;
pub mod training;
pub mod verdict;

pub use error::LabError;
pub use experiment::{EXPERIMENTS, Experiment};
pub use lab::{Effort, Event, Lab};
pub use questions::{QUESTIONS, Question};
pub use run::{LAB, run};
