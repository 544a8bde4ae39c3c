//! Is a dictionary on disk what it says that it is? Every file is held against every other that says the same thing: weights
//! against their hash and shapes, `cfg.json` and the hook names against the sites of `lapidary.json`, the probe against what the
//! weights give. Somebody else's folder is held against what it says.

use crate::error::invalid;
use crate::{DictionaryError, load, meta, sae_lens, sites};
use lapidary_files as files;
use lapidary_kernels::Device;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Something that was looked at.
#[derive(Debug)]
pub struct Check {
    /// The file, or the folder.
    pub path: PathBuf,
    /// What about it.
    pub what: &'static str,
    /// Is it so?
    pub result: Result<(), DictionaryError>,
}

/// Looks at the dictionary at `path`, in any format that [`load`] reads. What depends on weights that do not load is left out.
pub fn verify(path: &Path, device: Device) -> Vec<Check> {
    let mut out = Vec::new();
    let mut check = |path: &Path, what, result| out.push(Check { path: path.to_path_buf(), what, result });
    let what = "weights: shapes, finite, as hashed";
    let (dictionary, meta) = match load(path) {
        Ok(loaded) => loaded,
        Err(error) => {
            check(path, what, Err(error));
            return out;
        }
    };
    check(path, if meta.is_some() { what } else { "weights: shapes, finite" }, Ok(()));
    let Some(meta) = meta else {
        if let Some(width) = width_in(path) {
            let found = if width.fits(dictionary.width()) {
                Ok(())
            } else {
                Err(width.error(path, dictionary.width()))
            };
            check(path, "features: as many as its path says", found);
        }
        if sae_lens::is_folder(path) {
            let place = sites(path, &dictionary, None, None, None).map(drop);
            check(&path.join(sae_lens::CFG), "hooks: sites that are known", place);
        }
        return out;
    };
    let (cfg, sheet) = (path.join(sae_lens::CFG), path.join(sae_lens::SHEET));
    let says = |path: &Path, expected: &Value| same_keys(path, &sae_lens::read_json(path)?, expected, "");
    let expected = sae_lens::cfg_json(&dictionary, &meta);
    check(&cfg, "as lapidary.json says", expected.and_then(|expected| says(&cfg, &expected)));
    let expected = meta::hook_names(&meta);
    check(&sheet, "hooks: those of its sites", expected.and_then(|expected| says(&sheet, &expected)));
    let probe = match meta.probe.x.is_empty() {
        true => Err(invalid(&sheet, "a probe of at least one row", "none", "release or fetch it again")),
        false => meta.probe.verify(&sheet, &dictionary, device),
    };
    check(&sheet, "probe: as the weights give it", probe);
    let card = path.join(sae_lens::CARD);
    let read = files::read_string(&card, sae_lens::MAX_CARD).map(drop).map_err(DictionaryError::from);
    check(&card, "a card", read);
    out
}

/// A width in a path, as Gemma Scope names its folders: `width_16k`, `width_1m`.
struct NamedWidth<'a> {
    name: &'a str,
    number: usize,
    /// 1,000 or 1,000,000, rounded down.
    unit: usize,
}

fn width_in(path: &Path) -> Option<NamedWidth<'_>> {
    let names = path.iter().rev().filter_map(|name| name.to_str());
    names.take(4).find_map(|name| {
        let number = name.strip_prefix("width_")?;
        let unit = if number.ends_with('k') { 1_000 } else { 1_000_000 };
        Some(NamedWidth { name, number: number.strip_suffix(['k', 'm'])?.parse().ok()?, unit })
    })
}

impl NamedWidth<'_> {
    fn fits(&self, width: usize) -> bool {
        width / self.unit == self.number
    }

    fn error(&self, path: &Path, width: usize) -> DictionaryError {
        let expected = format!("as many features as `{}` says", self.name);
        invalid(path, expected, width.to_string(), "fetch it again, or put it where it belongs")
    }
}

/// Every key of `expected` is in `found`, with the same value. Other keys may be there.
fn same_keys(path: &Path, found: &Value, expected: &Value, prefix: &str) -> Result<(), DictionaryError> {
    for (key, expected) in expected.as_object().into_iter().flatten() {
        let (found, name) = (&found[key], format!("{prefix}{key}"));
        if expected.is_object() {
            same_keys(path, found, expected, &format!("{name}."))?;
        } else if found != expected && key != "sae_lens_version" {
            let found = found.to_string().chars().take(80).collect::<String>();
            let next = "the folder was changed: release or fetch it again";
            return Err(invalid(path, format!("`{name}` to be {expected}"), found, next));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2^14, 2^16 and 2^20 are called 16k, 65k and 1m.
    #[test]
    fn a_width_is_named_as_gemma_scope_names_it() {
        let fits = |path: &str, width: usize| width_in(Path::new(path)).map(|named| named.fits(width));
        assert_eq!(fits("a/layer_12/width_16k/average_l0_71", 1 << 14), Some(true));
        assert_eq!(fits("a/layer_12/width_16k/average_l0_71/params.npz", 1 << 15), Some(false));
        assert_eq!((fits("width_65k", 1 << 16), fits("width_1m", 1 << 20)), (Some(true), Some(true)));
        assert_eq!((fits("width_", 1), fits("a/b", 1), fits("width_16", 16)), (None, None, None));
    }
}
