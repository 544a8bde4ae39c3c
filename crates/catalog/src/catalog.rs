//! Where names are looked up, and in which order.

use crate::CatalogError;
use crate::embedded;
use crate::error::invalid;
use lapidary_kernels::Device;
use lapidary_lm::Precision;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Where names are looked up, and what opens what they mean.
pub struct Catalog {
    /// Folder in which models and texts are found by name.
    pub data: PathBuf,
    /// Where what the program carries is unpacked.
    pub cache: PathBuf,
    /// The user's home folder, if the system says.
    pub home: Option<PathBuf>,
    /// Where arithmetic runs.
    pub device: Device,
    /// Unknown keys of a model's config that the user vouches for.
    pub ignore_config_keys: Vec<String>,
    /// How a model's products are computed, if the user says.
    pub precision: Option<Precision>,
    /// Is told what a user should know, a line each.
    pub note: fn(&str),
    /// Names of which it was said that a folder hides what the program carries.
    pub hidden: Mutex<BTreeSet<PathBuf>>,
}

impl Catalog {
    /// A model, text, run or dictionary by name: as it is if it exists, else inside `data`, else what the program carries under that
    /// name, which `embedded:NAME` says outright.
    ///
    /// # Errors
    /// Nothing is found, or the cache cannot be written.
    pub fn find(&self, name: &Path) -> Result<PathBuf, CatalogError> {
        let name = expand_home(name.to_path_buf(), self.home.as_deref())?;
        if let Some(inner) = name.to_str().and_then(|name| name.strip_prefix(embedded::SCHEME)) {
            return embedded::unpack(Path::new(inner), &self.cache)?.ok_or_else(|| {
                let (name, known) = (name.display(), embedded::NAMES.join(", "));
                invalid!("{name}: expected one of {known}, found {inner}")
            });
        }
        let inside = self.data.join(&name);
        match [&name, &inside].into_iter().find(|path| path.exists()) {
            Some(found) => {
                self.say_hidden(&name, found);
                Ok(found.clone())
            }
            None => embedded::unpack(&name, &self.cache)?.ok_or_else(|| {
                invalid!(
                    "{}: no such file or folder, neither here nor in {}; check the path, or name the folder that holds it with --data",
                    name.display(),
                    self.data.display()
                )
            }),
        }
    }

    /// Says once that `found` is meant, where the program carries something of the same name.
    fn say_hidden(&self, name: &Path, found: &Path) {
        let first = || self.hidden.lock().is_ok_and(|mut hidden| hidden.insert(name.to_path_buf()));
        if embedded::carries(name) && first() {
            let (name, found, scheme) = (name.display(), found.display(), embedded::SCHEME);
            (self.note)(&format!(
                "{name}: read from {found}, not what the program carries; {scheme}{name} is that"
            ));
        }
    }
}

/// `~` and `~/x` in the home folder, which a shell does not see in `--model=~/x` or in a suite.
///
/// # Errors
/// The path asks for the home folder, and nobody said where it is.
pub fn expand_home(path: PathBuf, home: Option<&Path>) -> Result<PathBuf, CatalogError> {
    let Ok(rest) = path.strip_prefix("~") else { return Ok(path) };
    let home = home.ok_or_else(|| {
        let path = path.display();
        invalid!("{path}: the environment does not say where the home folder is (HOME); write it out")
    })?;
    Ok(home.join(rest))
}
