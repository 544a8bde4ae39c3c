//! Embeds the web app: writes a table of every file of `ui/dist` with its bytes, for `src/assets.rs`.
#![allow(clippy::print_stdout)] // this is how cargo is told

use std::path::{Path, PathBuf};

fn main() {
    let app = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../ui/dist");
    println!("cargo::rerun-if-changed={}", app.display());
    let mut files = Vec::new();
    list(&app, &mut files);
    files.sort();
    let entry = |file: &PathBuf| {
        let name = file.strip_prefix(&app).expect("listed below it").to_string_lossy().replace('\\', "/");
        let path = file.canonicalize().expect("it was just listed");
        format!("    ({name:?}, include_bytes!({path:?})),\n")
    };
    let table: String = files.iter().map(entry).collect();
    let out = Path::new(&std::env::var("OUT_DIR").expect("set by cargo")).join("app.rs");
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
