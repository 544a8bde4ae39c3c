//! Values become text: tables for a terminal, Markdown cards for a release.
//!
//! Plain structs of strings and numbers go in, a `String` comes out; nothing here knows a model, a dictionary or a file.
//! Numbers are written the same way everywhere (`number`): three significant digits, an interval beside its value, and a
//! value that is not finite in plain sight. [`plot`] makes pictures of them, and
//! [`html`] a page.
#![forbid(unsafe_code)]

pub mod card;
pub mod contexts;
pub mod html;
pub mod hub;
pub mod number;
pub mod page;
pub mod plot;
pub mod scores;
pub mod suite;
pub mod table;
pub mod truth;

pub use scores::{Measure, ScoreRow};
