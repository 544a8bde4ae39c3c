//! What a file's name promises: an output is called what it is, and an input is read as what it is.

use crate::FileError;
use std::path::Path;

/// Ends of names by which other programs know another format than safetensors.
const OTHERS: [&str; 19] = [
    "npz", "npy", "pt", "pth", "bin", "ckpt", "pkl", "h5", "hdf5", "mat", "msgpack", "gguf", "onnx",
    "parquet", "json", "jsonl", "csv", "tsv", "txt",
];

/// Does `path` end in `.end`, in whatever case?
pub fn is_named(path: &Path, end: &str) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(end))
}

/// A name under which a safetensors file may be written: any but another format's.
///
/// # Errors
/// It ends as another format's does.
pub fn safetensors(path: &Path) -> Result<(), FileError> {
    match OTHERS.into_iter().find(|end| is_named(path, end)) {
        Some(end) => Err(FileError::invalid(
            path,
            "the name of a safetensors file, which is what is written",
            format!("one that ends in .{end}"),
            format!("name it {}", path.with_extension("safetensors").display()),
        )),
        None => Ok(()),
    }
}

/// A name under which a folder (`what`: "a folder for SAELens") may be written: not that of a tensor file.
///
/// # Errors
/// It is one, and no folder has it.
pub fn folder(path: &Path, what: &str) -> Result<(), FileError> {
    match OTHERS.into_iter().chain(["safetensors"]).find(|end| is_named(path, end)) {
        Some(end) if !path.is_dir() => {
            let found = format!("one that ends in .{end}");
            Err(FileError::invalid(path, format!("the name of {what}"), found, "choose another name"))
        }
        _ => Ok(()),
    }
}

/// Is a file what its readers take it for? NumPy's files and PyTorch's are no safetensors.
///
/// # Errors
/// Which of them it is, and how it becomes one.
pub fn check_input(path: &Path) -> Result<(), FileError> {
    let mut start = [0u8; 6];
    let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut start));
    let (what, load) = match &start[..read.unwrap_or(0)] {
        b"\x93NUMPY" => ("a NumPy array", "\"x\": numpy.load(F)"),
        [b'P', b'K', 3, 4, ..] if is_named(path, "npz") => ("a NumPy archive", "**numpy.load(F)"),
        [b'P', b'K', 3, 4, ..] => ("a zip archive, as PyTorch saves", "\"x\": torch.load(F).numpy()"),
        _ => return Ok(()),
    };
    let next = format!("write one in Python: safetensors.numpy.save_file({{{load}}}, \"x.safetensors\")");
    Err(FileError::invalid(path, "a safetensors file", what, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_promises_a_format() {
        for good in ["x.safetensors", "x", "out/3.res", "x.SAFETENSORS", ".npz"] {
            assert!(safetensors(Path::new(good)).is_ok(), "{good}");
        }
        for bad in ["x.npz", "a/x.NPY", "x.safetensors.json", "x.pt"] {
            let text = safetensors(Path::new(bad)).unwrap_err().to_string();
            assert!(text.contains("name it") && text.contains(".safetensors"), "{text}");
        }
        assert!(
            folder(Path::new("release"), "a folder").is_ok() && folder(Path::new("v1.5"), "a folder").is_ok()
        );
        assert!(folder(Path::new("x.safetensors"), "a folder").is_err());
    }
}
