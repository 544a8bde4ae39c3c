//! The atlas over HTTP: feature pages, search, the microscope and steering, for the embedded web app, for scripts, and for programs
//! that speak Neuronpedia's routes.
//!
//! - [`app`]: what is served, and what of a model is at hand; `limits` are all numbers that bound a request.
//! - `routes/`: one file per group of routes: read a request, ask `atlas` or `splice`, write the answer. No arithmetic.
//! - `body`, `error`: what comes in, checked, and what goes out when it cannot be answered; `work`: computing in few places at a time.
//! - `guard`, `finish`, `assets`: who may ask, headers of every answer, the web app.
//! - [`listen`]: connections with timeouts, until somebody stops the server; `run` begins and ends it; [`mod@export`]: the same answers as files.
//!
//! The only crate that is `async`; what computes runs on threads of its own.
#![forbid(unsafe_code)]

pub mod app;
mod assets;
mod body;
mod error;
pub mod export;
mod finish;
mod guard;
mod limits;
pub mod listen;
pub mod routes;
mod run;
mod work;

pub use app::{App, Live, Settings};
pub use error::ServeError;
pub use limits::Limits;
pub use listen::serve;
pub use routes::router;
pub use run::{Address, SITE, export, run};
