//! `atlas.json`: what an atlas is of, and every file of it with its blake3. It is published last: without it a folder is no atlas.

use crate::AtlasError;
use crate::error::damaged;
use crate::pages::SuitePage;
use lapidary_files::{self as files, FileError, Kind, hash};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Name of the file.
pub const FILE: &str = "atlas.json";
/// Version of the layout.
pub const FORMAT: u32 = 1;
/// Longest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 30;

/// An atlas's folder.
pub const ATLAS: Kind = Kind {
    name: "atlas",
    owns: &[
        "atlas.json",
        "state.bin",
        "text.bin",
        "vocabulary.bin",
        "rows-*.sqlite",
        "rows.part",
        "features/*.bin",
    ],
    resumed_by: Some("state.bin"),
};

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub format: u32,
    /// blake3 of all inputs.
    pub key: String,
    /// What it is of.
    pub suite: SuitePage,
    /// Names of the yes/no questions that are shown token by token.
    pub truth_names: Vec<String>,
    /// Name of the file of rows.
    pub rows: String,
    /// Every other file: bytes, blake3.
    pub files: BTreeMap<String, (u64, String)>,
}

impl Manifest {
    /// Reads and checks the file, and every file that it names.
    ///
    /// # Errors
    /// The folder is no atlas, is half built, of another version, or a file is missing or is not what was written: which one.
    pub fn read(folder: &Path) -> Result<Manifest, AtlasError> {
        let manifest = Manifest::read_alone(folder)?;
        match manifest.check(folder) {
            Ok(()) => Ok(manifest),
            // Edited meanwhile: the file of rows that it names is gone.
            Err(_) if Manifest::read_alone(folder)?.rows != manifest.rows => Manifest::read(folder),
            Err(error) => Err(error),
        }
    }

    /// Is every file what it was?
    fn check(&self, folder: &Path) -> Result<(), AtlasError> {
        for (name, (bytes, expected)) in &self.files {
            let path = folder.join(name);
            let found = path.metadata().map_err(FileError::io(&path, "find"))?.len();
            if found != *bytes || hash::file(&path)? != *expected {
                let path = path.display();
                let found = if found == *bytes { "other bytes".into() } else { format!("{found} bytes") };
                return Err(damaged(format!(
                    "{path}: expected the file that the atlas was built with ({bytes} bytes), found {found}; build it again"
                )));
            }
        }
        Ok(())
    }

    /// Reads the file alone.
    ///
    /// # Errors
    /// The folder is no atlas, is half built, or is of another version.
    pub fn read_alone(folder: &Path) -> Result<Manifest, AtlasError> {
        let path = folder.join(FILE);
        if !path.is_file() {
            let (folder, next) = match folder.join("state.bin").is_file() || folder.join("features").is_dir()
            {
                true => (folder.display(), "it is half built: go on with `lapidary atlas build … --resume`"),
                false => (folder.display(), "build one with `lapidary atlas build`"),
            };
            return Err(damaged(format!(
                "{folder}: expected an atlas with {FILE} in it, found none; {next}"
            )));
        }
        let text = files::read_string(&path, MAX_BYTES)?;
        let broken = |e: serde_json::Error| {
            damaged(format!(
                "{}: expected what was written, found {e}; build the atlas again",
                path.display()
            ))
        };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(broken)?;
        if value["format"] != FORMAT {
            return Err(damaged(format!(
                "{}: expected format {FORMAT}, found {}; use the version that wrote it, or build the atlas again",
                path.display(),
                value["format"]
            )));
        }
        serde_json::from_value(value).map_err(broken)
    }

    /// Lists the files and publishes.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn publish(&mut self, folder: &Path, names: &[String]) -> Result<(), AtlasError> {
        for name in names {
            let path = folder.join(name);
            let bytes = path.metadata().map_err(FileError::io(&path, "find"))?.len();
            self.files.insert(name.clone(), (bytes, hash::file(&path)?));
        }
        let text = serde_json::to_string_pretty(self).expect("plain data");
        Ok(files::publish(&folder.join(FILE), text.as_bytes())?)
    }
}
