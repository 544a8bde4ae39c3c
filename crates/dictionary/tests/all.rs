//! Dictionaries, their formats and hostile files: one test program, which is linked once.

mod cases;
mod formats;
mod hostile;
mod hostile_family;
