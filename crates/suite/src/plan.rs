//! The resolved plan: every number of a run, derived from the suite file, printed and saved before the first step.
//!
//! It names causes by content, never by place: model and documents by hash, no paths. A fused run and a run from a store of
//! the same rows therefore have one plan, one hash and the same bytes. Places are in [`Places`], beside it.

use crate::SuiteError;
use crate::derive::{At, Derive};
use crate::differences::differences;
use crate::error::{Within, invalid};
use crate::file::Suite;
use crate::grid::{Grid, Place, Wanted};
use crate::init::{self, Like};
use crate::recipe::recipe;
use lapidary_catalog::{Catalog, Opened, TextIdentity};
use lapidary_files::{self as files, Identity};
use lapidary_lm::Spec;
use lapidary_store::{RowDtype, SiteRows};
use lapidary_text::{Corpus, SPLIT_RULE};
use lapidary_trainer::{Baseline, DictionaryPlan, Measured, Plan, Recipe, Transcoder, row_set};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Version of `plan.json`.
const FORMAT: u32 = 1;
/// Longest plan that is read, bytes.
const MAX_BYTES: u64 = 64 << 20;

/// `plan.json`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPlan {
    /// Version of the file's layout.
    pub format: u32,
    /// The model by name and content.
    pub model: Identity,
    /// The text by content.
    pub text: TextIdentity,
    /// How rows are made and ordered.
    pub rows: RowPlan,
    /// What is trained.
    pub training: Plan,
}

/// How rows are made and ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowPlan {
    /// Precision in which they are kept or handed on.
    pub dtype: RowDtype,
    /// Rows that are shuffled together.
    pub pool_rows: usize,
    /// Rows over which C is measured.
    pub norm_rows: u64,
    /// Rows of the whole text.
    pub rows_per_epoch: u64,
}

/// `places.json`: where this machine had the causes of a run, so that later verbs find them. Not part of the plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Places {
    /// Its folder.
    pub model: PathBuf,
    /// Files and folders, or the language by name.
    pub text: Vec<PathBuf>,
    /// Where the rows came from, if not from the model.
    pub store: Option<PathBuf>,
    /// Keys of the model's config that the user vouches for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore_config_keys: Vec<String>,
}

impl RunPlan {
    /// Derives every number but the model's hash, which costs a look at all weights. `sites` are those of the rows, `norms`
    /// their C in the same order, and `measured` what else is known of them.
    pub fn draft(
        suite: &Suite,
        opened: &Opened,
        corpus: &Corpus,
        context: usize,
        sites: &[SiteRows],
        norms: &[f64],
        measured: &[Option<Measured>],
        catalog: &Catalog,
    ) -> Result<RunPlan, SuiteError> {
        let widest = sites.iter().map(|site| site.width).max().unwrap_or(1);
        let recipe = recipe(suite, widest)?;
        let spec = &opened.spec;
        let dictionaries =
            Derived { suite, recipe: &recipe, spec, rows: sites, norms, measured, catalog }.dictionaries()?;
        let every = |parts: u64| (recipe.steps / parts).max(1);
        Ok(RunPlan {
            format: FORMAT,
            model: Identity {
                name: opened.name.clone(),
                hash: String::new(),
                precision: opened.precision.recorded(),
            },
            text: TextIdentity {
                context,
                split: SPLIT_RULE.into(),
                hash: corpus.hash.clone(),
                documents: corpus.documents,
            },
            rows: RowPlan {
                dtype: suite.rows.dtype,
                pool_rows: suite.rows.pool_rows,
                norm_rows: suite.rows.norm_rows(),
                rows_per_epoch: corpus.window_rows(&opened.spec).iter().map(|&n| u64::from(n)).sum(),
            },
            training: Plan {
                seed: suite.seed,
                checkpoint_every: every(20),
                log_every: every(200),
                dictionaries,
                recipe,
            },
        })
    }

    /// blake3 of the plan as it is saved.
    pub fn hash(&self) -> String {
        files::hash::bytes(self.json().as_bytes())
    }

    /// Where `found` is another plan, key by key.
    pub fn differences(&self, found: &RunPlan) -> Vec<String> {
        let value = |plan: &RunPlan| serde_json::to_value(plan).expect("a plan is plain data");
        differences(&value(self), &value(found))
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data")
    }

    /// Publishes `plan.json`.
    pub fn save(&self, run: &Path) -> Result<(), SuiteError> {
        Ok(files::publish(&run.join("plan.json"), self.json().as_bytes())?)
    }

    /// Reads `plan.json` of a run folder.
    pub fn read(run: &Path) -> Result<RunPlan, SuiteError> {
        let path = run.join("plan.json");
        if !path.is_file() {
            invalid!(
                "{}: expected a run folder with plan.json in it, found none; name the --out of `lapidary train`",
                run.display()
            );
        }
        let value: serde_json::Value = read_json(&path)?;
        if value["format"] != FORMAT {
            invalid!(
                "{}: expected format {FORMAT}, found {}; use the version that wrote it",
                path.display(),
                value["format"]
            );
        }
        let broken = |e: &dyn Display| SuiteError::Invalid(format!("{}: {e}", path.display()));
        let plan: RunPlan = serde_json::from_value(value).map_err(|e| broken(&e))?;
        let whole = |e| broken(&format_args!("training.{e}; put back the file that the run wrote"));
        plan.training.check().map_err(whole)?;
        plan.check_rows().within(path.display())?;
        Ok(plan)
    }

    fn check_rows(&self) -> Result<(), SuiteError> {
        let numbers = [
            ("text.context", self.text.context as u64),
            ("rows.pool_rows", self.rows.pool_rows as u64),
            ("rows.norm_rows", self.rows.norm_rows),
        ];
        match numbers.iter().find(|(_, found)| *found == 0) {
            Some((key, _)) => {
                invalid!("{key}: expected at least 1, found 0; put back the file that the run wrote")
            }
            None => Ok(()),
        }
    }

    /// What rows the plan needs, by name, with their width.
    pub fn row_sets(&self) -> BTreeMap<String, usize> {
        let both = |d: &DictionaryPlan| [(d.row_set(), d.d), (d.output_row_set(), d.d_out())];
        self.training.dictionaries.iter().flat_map(both).collect()
    }

    /// Does a dictionary need rows of the randomised model?
    pub fn needs_random_lm(&self) -> bool {
        self.training.dictionaries.iter().any(|d| d.baseline == Some(Baseline::RandomLm))
    }
}

/// What dictionaries are derived from.
struct Derived<'a> {
    suite: &'a Suite,
    recipe: &'a Recipe,
    spec: &'a Spec,
    rows: &'a [SiteRows],
    /// C of each of `rows`.
    norms: &'a [f64],
    /// What was measured of each of `rows`; nothing where the recipe needs none.
    measured: &'a [Option<Measured>],
    catalog: &'a Catalog,
}

impl Derived<'_> {
    /// All dictionaries of a suite, then its baselines; names are unique.
    fn dictionaries(&self) -> Result<Vec<DictionaryPlan>, SuiteError> {
        let mut out: Vec<DictionaryPlan> = Vec::new();
        for grid in self.suite.grids(self.spec)? {
            let pairs = grid.places.iter().flat_map(|p| grid.widths.iter().map(move |w| (*p, *w)));
            for (place, width) in pairs {
                for &wanted in &grid.wanted {
                    let d = self.dictionary(&grid, place, width, wanted)?;
                    if out.iter().any(|other| other.name == d.name) {
                        let table = grid.baseline.map_or("[[dictionaries]]", |_| "[[baselines]]");
                        invalid!("{table}: {} is named twice; each site, width and λ once per kind", d.name);
                    }
                    out.push(d);
                }
            }
        }
        Ok(out)
    }

    fn dictionary(
        &self,
        grid: &Grid,
        place: Place,
        width: usize,
        wanted: Wanted,
    ) -> Result<DictionaryPlan, SuiteError> {
        let (site, d) = (place.input.to_string(), self.spec.width(place.input));
        let transcoder = place.output.map(|output| Transcoder {
            output: output.to_string(),
            d_out: self.spec.width(output),
            c_out: self.c(&output.to_string(), grid.baseline),
            skip: place.skip,
        });
        let output = transcoder.as_ref().map_or(site.as_str(), |t| &t.output);
        let like = Like { site: &site, output, width };
        let start = grid.init.as_ref().map(|init| init::hash(init, &like, self.catalog)).transpose()?;
        let c = self.c(&site, grid.baseline);
        let (bandwidth, theta_init) = (self.suite.recipe.bandwidth, self.suite.recipe.theta_init);
        let measured = |site: &str| self.measured.get(self.place(site, grid.baseline)).cloned().flatten();
        let (output, measured) = (measured(output), measured(&site));
        let derive = Derive { recipe: self.recipe, aux: &self.suite.aux, bandwidth, theta_init };
        Ok(derive.dictionary(grid, width, wanted, At { site, d, c, measured, output, transcoder, start }))
    }

    fn c(&self, site: &str, baseline: Option<Baseline>) -> f64 {
        self.norms[self.place(site, baseline)]
    }

    /// Which of `rows` a dictionary has.
    fn place(&self, site: &str, baseline: Option<Baseline>) -> usize {
        let set = row_set(site, baseline);
        self.rows.iter().position(|r| r.site == set).expect("rows were made for the suite")
    }
}

impl Places {
    /// Publishes `places.json`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, run: &Path) -> Result<(), SuiteError> {
        let json = serde_json::to_string_pretty(self).expect("places are plain data");
        Ok(files::publish(&run.join("places.json"), json.as_bytes())?)
    }

    /// Reads `places.json` of a run folder.
    ///
    /// # Errors
    /// It is not there, or is not what was written.
    pub fn read(run: &Path) -> Result<Places, SuiteError> {
        read_json(&run.join("places.json"))
    }

    /// Those of a run; a release says no more than the name of its model.
    pub fn of(run: &Path) -> Result<Places, SuiteError> {
        if !is_release(run) {
            return Places::read(run);
        }
        let model = RunPlan::read(run)?.model.name.into();
        Ok(Places { model, text: Vec::new(), store: None, ignore_config_keys: Vec::new() })
    }
}

/// Is it a run as `release` publishes it? Its dictionaries stand beside the plan.
pub fn is_release(run: &Path) -> bool {
    run.join("plan.json").is_file() && !run.join("places.json").exists() && !run.join("dictionaries").exists()
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, SuiteError> {
    let text = files::read_string(path, MAX_BYTES)?;
    serde_json::from_str(&text).map_err(|e| SuiteError::Invalid(format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn plan() -> RunPlan {
        let aux = json!({ "alpha": 0.03, "k": 2, "dead_rows": 50 });
        let transcoder = json!({ "output": "0.mlp", "d_out": 5, "c_out": 2.0, "skip": true });
        let first = json!({ "name": "a", "site": "0.res", "d": 4, "width": 8, "lambda": 0.1, "c": 1.5, "theta_init": 0.25,
            "bandwidth": 0.1, "measured": { "rows": 512, "mean_share": 0.5, "outlier_share": 0.5, "spread": 0.03 } });
        let second = json!({ "name": "b", "site": "0.res", "d": 4, "width": 8, "lambda": 0.0, "c": 1.5, "theta_init": 0.25,
            "baseline": "random", "objective": { "kind": "batchtopk", "k": 3, "aux": aux }, "prefixes": [4, 8],
            "transcoder": transcoder, "target_l0": 3.0, "start": "hash" });
        let training = json!({ "recipe": Recipe::short(100, 4), "dictionaries": [first, second], "seed": 3,
            "checkpoint_every": 5, "log_every": 1 });
        let text = json!({ "context": 64, "split": SPLIT_RULE, "hash": "t", "documents": 9 });
        let rows = json!({ "dtype": "f32", "pool_rows": 512, "norm_rows": 512, "rows_per_epoch": 4_000 });
        serde_json::from_value(
            json!({ "format": FORMAT, "model": { "name": "m", "hash": "h" }, "text": text, "rows": rows,
            "training": training }),
        )
        .unwrap()
    }

    fn pointers(at: &str, value: &Value, out: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(key, child)| (key.clone(), child)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(i, child)| (i.to_string(), child)).collect(),
            _ => return,
        };
        for (key, child) in children {
            out.push(format!("{at}/{key}"));
            pointers(&format!("{at}/{key}"), child, out);
        }
    }

    fn remove(value: &mut Value, pointer: &str) {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match value.pointer_mut(parent).unwrap() {
            Value::Object(map) => drop(map.remove(key)),
            Value::Array(list) => drop(list.remove(key.parse().unwrap())),
            other => unreachable!("{other}"),
        }
    }

    /// Edited by hand, every key in turn: an error that names the file, or a plan that can be followed. What may be left out is
    /// what plans do not always write.
    #[test]
    fn a_plan_that_was_edited_is_refused_or_can_be_followed() {
        let folder = tempfile::tempdir().unwrap();
        let good = serde_json::to_value(plan()).unwrap();
        let read = |value: &Value| {
            std::fs::write(folder.path().join("plan.json"), value.to_string()).unwrap();
            let read = RunPlan::read(folder.path());
            if let Err(e) = &read {
                assert!(e.to_string().contains("plan.json: "), "{e}");
            }
            read
        };
        assert_eq!(read(&good).unwrap().hash(), plan().hash());
        let mut keys = Vec::new();
        pointers("", &good, &mut keys);
        assert!(keys.len() > 50);
        let optional = [
            "baseline",
            "objective",
            "prefixes",
            "transcoder",
            "target_l0",
            "start",
            "measured",
            "0/bandwidth",
            "aux",
            "skip",
            "beta1",
            "lr_decoder",
        ];
        let odd = [
            json!(null),
            json!("odd"),
            json!(-1),
            json!(1e300),
            json!(1_000_000_000_000_000_000u64),
            json!(0),
            json!([]),
            json!({}),
        ];
        for key in &keys {
            let mut without = good.clone();
            remove(&mut without, key);
            let may =
                key.ends_with(|c: char| c.is_ascii_digit()) || optional.iter().any(|o| key.ends_with(o));
            assert!(may || read(&without).is_err(), "{key} was left out");
            for odd in &odd {
                let mut changed = good.clone();
                *changed.pointer_mut(key).unwrap() = odd.clone();
                if let Ok(plan) = read(&changed) {
                    plan.training.check().unwrap();
                    assert!(!plan.training.dictionaries.is_empty() && plan.text.context > 0);
                }
            }
        }
        for content in ["", "{", "[]", "null", "{\"format\": 1}", "\u{feff}{}"] {
            std::fs::write(folder.path().join("plan.json"), content).unwrap();
            assert!(RunPlan::read(folder.path()).unwrap_err().to_string().contains("plan.json: "));
        }
    }
}
