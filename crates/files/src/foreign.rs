//! Files that are not what their name says: what their first bytes give away, and what to do about it.

use crate::FileError;
use std::path::Path;

/// As many bytes of a file's beginning as [`recognise`] wants to see.
pub const START: usize = 64;

/// Something else than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it is.
    pub what: &'static str,
    /// What to do next.
    pub next: &'static str,
}

/// Stands in place of a file that Git LFS has not fetched yet; a text of three lines.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

const LFS: Foreign = Foreign {
    what: "a Git LFS pointer, which only says where the file is",
    next: "fetch the file itself with `git lfs pull`, or with `hf download`",
};
const GGUF: Foreign = Foreign {
    what: "a GGUF file, as llama.cpp reads it",
    next: "a model in it is opened by the file's own name, as `--model FILE.gguf`",
};
const PICKLE: Foreign = Foreign {
    what: "PyTorch's pickled weights",
    next: "load them with transformers and save them with `save_pretrained`, which writes safetensors",
};
const HDF5: Foreign =
    Foreign { what: "an HDF5 file, as Keras writes it", next: "fetch the model's safetensors" };
const HTML: Foreign = Foreign {
    what: "a web page",
    next: "the download went wrong: fetch the file with `hf download`, signed in if the model is gated",
};

/// What a file that begins so is, if that is known.
pub fn recognise(start: &[u8]) -> Option<Foreign> {
    let begins =
        |magic: &[u8]| start.len() >= magic.len() && start[..magic.len()].eq_ignore_ascii_case(magic);
    let known: [(&[u8], Foreign); 7] = [
        (LFS_POINTER, LFS),
        (b"GGUF", GGUF),
        (b"PK\x03\x04", PICKLE),
        (b"\x80\x02\x8a\x0a", PICKLE),
        (b"\x89HDF", HDF5),
        (b"<!DOCTYPE", HTML),
        (b"<html", HTML),
    ];
    known.into_iter().find(|(magic, _)| begins(magic)).map(|(_, foreign)| foreign)
}

/// Refuses the content of `path` if it is a Git LFS pointer: no text and no data of ours begins like one.
pub(crate) fn refuse_lfs(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    match bytes.starts_with(LFS_POINTER) {
        true => Err(FileError::invalid(path, "the file itself", LFS.what, LFS.next)),
        false => Ok(()),
    }
}
