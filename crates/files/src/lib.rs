//! Bytes that outlive the process: published whole or not at all, read without trust.
//!
//! - [`publish`]: temp name, write, fsync, rename, fsync the folder. A reader sees the old file or the new one.
//! - [`Target`]: where a name leads; only regular files are replaced.
//! - [`output`], [`file_name`]: may something be written there; what a name promises.
//! - [`OutFolder`]: a folder that one process writes, and that replaces only what Lapidary wrote, when it is whole.
//! - [`Log`]: a file that only grows, cut back on resume.
//! - [`tensors`]: safetensors files. The header is validated against the file's length before anything is allocated.
//! - [`foreign`]: what a file is that is not what its name says (a Git LFS pointer, GGUF, …).
//! - [`inventory`]: `manifest.json`, every file of a folder with its blake3.
//! - [`hash`]: blake3 of bytes and files, in hex.
//! - [`Identity`]: a thing by name and content.
//! - [`failpoint`]: every step of publishing can be made to fail or to kill the process, so that tests can try each.
//!
//! Knows no model, no dictionary, no plan.

#![forbid(unsafe_code)]

mod error;
pub mod failpoint;
pub mod file_name;
mod folder;
pub mod foreign;
pub mod hash;
mod identity;
pub mod inventory;
mod lock;
mod log;
mod mark;
pub mod output;
mod publish;
mod target;
mod temp;
pub mod tensors;

pub use error::FileError;
pub use folder::{Mode, OutFolder, check_folder};
pub use identity::Identity;
pub use lock::Lock;
pub use log::Log;
pub use mark::{Content, Kind, MARK, content, kind as folder_kind};
pub use publish::{create_dir, publish, publish_with, read, read_string};
pub use target::{Target, real_folder};
pub use temp::check_writable;
