//! What an experiment is run with, and where it keeps what is finished: cells.
//!
//! A cell is one piece of work under a name and the hash of everything that determines it. Its value is a file,
//! `cells/NAME-HASH.json`; a run that is killed, or repeated, reads finished cells and makes the others.

use crate::LabError;
use crate::rung::{Real, RungName};
use lapidary_catalog::Catalog;
use lapidary_files::{hash, publish, read_string};
use lapidary_suite::folder::built_by;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Longest cell that is read, bytes.
const MAX_BYTES: u64 = 1 << 30;

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// Two minutes on two cores: shows the form, and large effects.
    Quick,
    /// What a statement should rest on.
    Full,
}

impl Effort {
    /// The first when quick, else the second.
    pub fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Effort::Quick => quick,
            Effort::Full => full,
        }
    }
}

/// What goes on.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A cell begins.
    Began(&'a str),
    /// A finished one was found.
    Reused(&'a str),
    /// Of the present work, so much of so much in this unit.
    Progress(u64, u64, &'static str),
    /// Something that a user should know.
    Note(&'a str),
}

/// What an experiment is run with.
pub struct Lab<'a> {
    /// How much is done.
    pub effort: Effort,
    /// From which all seeds follow.
    pub seed: u64,
    /// Where models are found, and who computes.
    pub catalog: &'a Catalog,
    /// Where everything is written.
    pub folder: &'a Path,
    /// The model of the last rung.
    pub real: Option<Real>,
    /// Is told what goes on.
    pub observe: &'a mut dyn FnMut(Event<'_>),
    /// Asked between cells and after every step: shall it end?
    pub interrupted: &'a dyn Fn() -> bool,
}

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    plan_hash: String,
    value: T,
}

impl Lab<'_> {
    /// Seeds of trainings.
    pub fn seeds(&self) -> Vec<u64> {
        (0..3).map(|s| self.seed + s).collect()
    }

    /// Hash of a plan, by which cells are known: with this version and instruction set, because others may round otherwise.
    pub fn plan_hash(&self, plan: &impl Serialize) -> String {
        let json = serde_json::json!({ "plan": plan, "built_by": built_by(self.catalog.device) });
        hash::bytes(json.to_string().as_bytes())
    }

    /// The value of a cell: found, or made and kept.
    ///
    /// # Errors
    /// Those of `make`, a file, or that the user wants to stop.
    pub fn cell<T: Serialize + DeserializeOwned>(
        &mut self,
        rung: RungName,
        name: &str,
        plan: &impl Serialize,
        make: impl FnOnce(&mut Self) -> Result<T, LabError>,
    ) -> Result<T, LabError> {
        let plan_hash = self.plan_hash(plan);
        let path = self.cell_path(&format!("{rung}-{name}-{plan_hash:.12}.json"));
        if let Some(kept) = read::<T>(&path).filter(|kept| kept.plan_hash == plan_hash) {
            (self.observe)(Event::Reused(&format!("{rung}: {name}")));
            return Ok(kept.value);
        }
        self.check_interrupted()?;
        (self.observe)(Event::Began(&format!("{rung}: {name}")));
        let kept = Kept { plan_hash, value: make(self)? };
        let json = serde_json::to_string(&kept).expect("cells are plain data");
        lapidary_files::create_dir(path.parent().expect("it is in a folder"))?;
        publish(&path, json.as_bytes())?;
        // As it will be read: a number that is not finite is nothing in both.
        Ok(serde_json::from_str::<Kept<T>>(&json).expect("it was just written").value)
    }

    /// Where a cell is kept.
    pub(crate) fn cell_path(&self, name: &str) -> PathBuf {
        self.folder.join("cells").join(name)
    }

    pub(crate) fn check_interrupted(&self) -> Result<(), LabError> {
        if (self.interrupted)() { Err(LabError::Interrupted) } else { Ok(()) }
    }
}

/// A damaged cell is made again.
fn read<T: DeserializeOwned>(path: &Path) -> Option<Kept<T>> {
    path.is_file().then(|| serde_json::from_str(&read_string(path, MAX_BYTES).ok()?).ok())?
}
