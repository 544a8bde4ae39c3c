//! Embeds the organism: writes a table of every file that belongs to it, with its bytes, for `src/embedded.rs`.
#![allow(clippy::print_stdout)] // this is how cargo is told

use std::path::{Path, PathBuf};

fn main() {
    let models = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../models");
    println!("cargo::rerun-if-changed={}", models.display());
    let mut files = Vec::new();
    list(&models, &mut files);
    // Of a release everything: its manifest names its cards too.
    let ending = |file: &PathBuf| file.extension().and_then(|e| e.to_str()).map(str::to_string);
    let is_apart = |file: &PathBuf| matches!(ending(file).as_deref(), Some("py" | "md"));
    files.retain(|file| file.starts_with(models.join("organism-suite")) || !is_apart(file));
    files.sort();
    let entry = |file: &PathBuf| {
        let name = file.strip_prefix(&models).expect("listed below it").to_string_lossy().replace('\\', "/");
        let path = file.canonicalize().expect("it was just listed");
        format!("    ({name:?}, include_bytes!({path:?})),\n")
    };
    let table: String = files.iter().map(entry).collect();
    let out = Path::new(&std::env::var("OUT_DIR").expect("set by cargo")).join("embedded.rs");
    std::fs::write(out, format!("&[\n{table}]")).expect("OUT_DIR can be written");
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            list(&path, files);
        } else {
            files.push(path);
        }
    }
}
