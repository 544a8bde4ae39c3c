//! `init = "DICT"`: dictionaries that others begin as. DICT is one dictionary in any format that is read, or a folder of
//! them (a run, a release), of which the one of the same sites and width is taken. Plans name it by the hash of its weights.

use crate::SuiteError;
use crate::error::{Within, invalid};
use lapidary_catalog::Catalog;
use lapidary_dictionary::{load, sae_lens};
use lapidary_files::FileError;
use lapidary_trainer::{DictionaryPlan, Plan, Training, from_dictionary};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is asked of a dictionary to begin as.
pub(crate) struct Like<'a> {
    pub(crate) site: &'a str,
    pub(crate) output: &'a str,
    pub(crate) width: usize,
}

impl std::fmt::Display for Like<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let to = if self.site == self.output { String::new() } else { format!(" -> {}", self.output) };
        write!(f, "{}{to} with {} features", self.site, self.width)
    }
}

/// The dictionary in `init` that is `like` this.
fn find(init: &Path, like: &Like<'_>) -> Result<PathBuf, SuiteError> {
    if !init.is_dir() || is_dictionary(init) {
        return Ok(init.to_path_buf());
    }
    let inner = init.join("dictionaries");
    let within = if inner.is_dir() { &inner } else { init };
    let entries = within.read_dir().map_err(FileError::io(within, "list"))?;
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|dir| is_dictionary(dir)).collect();
    found.retain(|dir| is_like(dir, like));
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            invalid!("{}: expected a dictionary of {like}, found none; name another `init`", init.display())
        }
        [first, ..] => invalid!(
            "{}: expected one dictionary of {like}, found {}; name one of them, for example {}",
            init.display(),
            found.len(),
            first.display()
        ),
    }
}

fn is_dictionary(dir: &Path) -> bool {
    dir.join("cfg.json").is_file() || dir.join("params.npz").is_file()
}

/// By its `cfg.json`: nothing is loaded.
fn is_like(dir: &Path, like: &Like<'_>) -> bool {
    let cfg = || -> Option<Value> {
        serde_json::from_str(&lapidary_files::read_string(&dir.join("cfg.json"), 1 << 20).ok()?).ok()
    };
    let (Some(cfg), Ok(from)) = (cfg(), sae_lens::provenance(dir)) else { return false };
    let output = from.site_out.or(from.site.clone());
    cfg["d_sae"] == like.width
        && from.site.as_deref() == Some(like.site)
        && output.as_deref() == Some(like.output)
}

/// The file with its weights.
fn weights(dictionary: &Path) -> PathBuf {
    let names = ["sae_weights.safetensors", "params.npz"].map(|name| dictionary.join(name));
    names.into_iter().find(|path| path.is_file()).unwrap_or(dictionary.to_path_buf())
}

/// The hash of the dictionary that one `like` this begins as.
pub(crate) fn hash(init: &Path, like: &Like<'_>, catalog: &Catalog) -> Result<String, SuiteError> {
    let init = catalog.find(init).within("init")?;
    let found = find(&init, like).within("init")?;
    let site = sae_lens::provenance(&found).ok().and_then(|from| from.site);
    if site.as_deref().is_some_and(|site| site != like.site) {
        invalid!(
            "init: {}: expected a dictionary of {like}, found one of {}; name the folder of a run with both",
            found.display(),
            site.unwrap_or_default()
        );
    }
    Ok(lapidary_files::hash::file(&weights(&found))?)
}

/// The state in which each dictionary of the plan begins that does not begin at random. `inits` are the suite's.
pub(crate) fn trainings(
    plan: &Plan,
    inits: &[PathBuf],
    catalog: &Catalog,
) -> Result<BTreeMap<String, Training>, SuiteError> {
    let mut out = BTreeMap::new();
    for d in plan.dictionaries.iter().filter(|d| d.start.is_some()) {
        let mut found = inits.iter().filter_map(|init| find(&catalog.find(init).ok()?, &like(d)).ok());
        let same = |dir: &PathBuf| lapidary_files::hash::file(&weights(dir)).ok() == d.start;
        let Some(folder) = found.find(same) else {
            invalid!(
                "init: the dictionary of {} has changed; put back the one that the run began with",
                d.name
            )
        };
        let Some(dictionary) = load(&folder)?.0.without_gate() else {
            invalid!(
                "init: {}: expected a dictionary without a gate, or one whose e^r are at least 1/16, found a smaller one; \
                 name another `init`",
                folder.display()
            )
        };
        let begun = from_dictionary(&dictionary, d, &plan.recipe);
        out.insert(d.name.clone(), begun.within(folder.display())?);
    }
    Ok(out)
}

fn like(d: &DictionaryPlan) -> Like<'_> {
    let output = d.transcoder.as_ref().map_or(d.site.as_str(), |t| t.output.as_str());
    Like { site: &d.site, output, width: d.width }
}
