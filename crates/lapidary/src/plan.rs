//! The resolved plan: every number of a run, derived from the suite file, printed and saved before the first step.
//!
//! It names causes by content, never by place: model and documents by hash, no paths. A fused run and a run from a store of
//! the same rows therefore have one plan, one hash and the same bytes. Places are in [`Places`], beside it.

use crate::derive::{At, Derive};
use crate::global::Global;
use crate::grid::{Grid, Place, Wanted};
use crate::opened::Opened;
use crate::start::{self, Like};
use crate::suite::Suite;
use anyhow::{Context, bail};
use lapidary_files as files;
use lapidary_lm::Spec;
use lapidary_lm::text::{Corpus, SPLIT_RULE};
use lapidary_store::{RowDtype, SiteRows};
use lapidary_trainer::{Baseline, DictionaryPlan, Plan, Preset, Recipe, Transcoder, row_set};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    pub model: ModelIdentity,
    /// The text by content.
    pub text: TextIdentity,
    /// How rows are made and ordered.
    pub rows: RowPlan,
    /// What is trained.
    pub training: Plan,
}

/// A model by name and content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelIdentity {
    pub name: String,
    pub hash: String,
}

/// A text by content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextIdentity {
    /// Tokens per window, BOS included.
    pub context: usize,
    /// Which documents are held out.
    pub split: String,
    /// blake3 over the training documents.
    pub hash: String,
    pub documents: usize,
}

/// How rows are made and ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowPlan {
    pub dtype: RowDtype,
    pub pool_rows: usize,
    pub norm_rows: u64,
    pub rows_per_epoch: u64,
}

/// `places.json`: where this machine had the causes of a run, so that later verbs find them. Not part of the plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Places {
    pub model: PathBuf,
    pub text: Vec<PathBuf>,
    pub store: Option<PathBuf>,
}

impl RunPlan {
    /// Derives every number. `sites` are those of the rows, `norms` their C in the same order.
    pub fn resolve(
        suite: &Suite,
        opened: &Opened,
        corpus: &Corpus,
        context: usize,
        sites: &[SiteRows],
        norms: &[f64],
        global: &Global,
    ) -> anyhow::Result<RunPlan> {
        let widest = sites.iter().map(|site| site.width).max().unwrap_or(1);
        let recipe = recipe(suite, widest)?;
        let spec = &opened.model.spec;
        let dictionaries =
            Derived { suite, recipe: &recipe, spec, rows: sites, norms, global }.dictionaries()?;
        let every = |parts: u64| (recipe.steps / parts).max(1);
        Ok(RunPlan {
            format: FORMAT,
            model: ModelIdentity { name: opened.name.clone(), hash: opened.hash.clone() },
            text: TextIdentity {
                context,
                split: SPLIT_RULE.into(),
                hash: corpus.hash.clone(),
                documents: corpus.documents,
            },
            rows: RowPlan {
                dtype: suite.rows.dtype,
                pool_rows: suite.rows.pool_rows,
                norm_rows: suite.rows.norm_rows,
                rows_per_epoch: corpus.window_rows(&opened.model.spec).iter().map(|&n| u64::from(n)).sum(),
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

    fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data")
    }

    /// Publishes `plan.json`.
    pub fn save(&self, run: &Path) -> anyhow::Result<()> {
        Ok(files::publish(&run.join("plan.json"), self.json().as_bytes())?)
    }

    /// Reads `plan.json` of a run folder.
    pub fn read(run: &Path) -> anyhow::Result<RunPlan> {
        let path = run.join("plan.json");
        if !path.is_file() {
            bail!(
                "{}: expected a run folder with plan.json in it, found none; name the --out of `lapidary train`",
                run.display()
            );
        }
        let value: serde_json::Value = read_json(&path)?;
        if value["format"] != FORMAT {
            bail!(
                "{}: expected format {FORMAT}, found {}; use the version that wrote it",
                path.display(),
                value["format"]
            );
        }
        serde_json::from_value(value).with_context(|| path.display().to_string())
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
    global: &'a Global,
}

impl Derived<'_> {
    /// All dictionaries of a suite, then its baselines; names are unique.
    fn dictionaries(&self) -> anyhow::Result<Vec<DictionaryPlan>> {
        let mut out: Vec<DictionaryPlan> = Vec::new();
        for grid in self.suite.grids(self.spec)? {
            let pairs = grid.places.iter().flat_map(|p| grid.widths.iter().map(move |w| (*p, *w)));
            for (place, width) in pairs {
                for &wanted in &grid.wanted {
                    let d = self.dictionary(&grid, place, width, wanted)?;
                    if out.iter().any(|other| other.name == d.name) {
                        let table = grid.baseline.map_or("[[dictionaries]]", |_| "[[baselines]]");
                        bail!("{table}: {} is named twice; each site, width and λ once per kind", d.name);
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
    ) -> anyhow::Result<DictionaryPlan> {
        let (site, d) = (place.input.to_string(), self.spec.width(place.input));
        let transcoder = place.output.map(|output| Transcoder {
            output: output.to_string(),
            d_out: self.spec.width(output),
            c_out: self.c(&output.to_string(), grid.baseline),
            skip: place.skip,
        });
        let output = transcoder.as_ref().map_or(site.as_str(), |t| &t.output);
        let like = Like { site: &site, output, width };
        let start = grid.init.as_ref().map(|init| start::hash(init, &like, self.global)).transpose()?;
        let c = self.c(&site, grid.baseline);
        let theta_init = self.suite.recipe.theta_init;
        let derive = Derive { recipe: self.recipe, aux: &self.suite.aux, theta_init };
        Ok(derive.dictionary(grid, width, wanted, At { site, d, c, transcoder, start }))
    }

    fn c(&self, site: &str, baseline: Option<Baseline>) -> f64 {
        let set = row_set(site, baseline);
        let at = self.rows.iter().position(|r| r.site == set).expect("rows were made for the suite");
        self.norms[at]
    }
}

impl Places {
    pub fn save(&self, run: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self).expect("places are plain data");
        Ok(files::publish(&run.join("places.json"), json.as_bytes())?)
    }

    pub fn read(run: &Path) -> anyhow::Result<Places> {
        read_json(&run.join("places.json"))
    }

    /// Those of a run; a release says no more than the name of its model.
    pub fn of(run: &Path) -> anyhow::Result<Places> {
        if !is_release(run) {
            return Places::read(run);
        }
        Ok(Places { model: RunPlan::read(run)?.model.name.into(), text: Vec::new(), store: None })
    }
}

/// Is it a run as `release` publishes it? Its dictionaries stand beside the plan.
pub fn is_release(run: &Path) -> bool {
    run.join("plan.json").is_file() && !run.join("places.json").exists() && !run.join("dictionaries").exists()
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = files::read_string(path, MAX_BYTES)?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// The preset's numbers for this many steps on rows of at most `d` dimensions, with the suite's overrides.
fn recipe(suite: &Suite, d: usize) -> anyhow::Result<Recipe> {
    let of = |steps| match suite.preset {
        Preset::GemmaScope => Recipe::gemma_scope(steps),
        Preset::Short => Recipe::short(steps, d),
        Preset::GemmaScope2 => Recipe::gemma_scope_2(steps),
        Preset::Anthropic => Recipe::anthropic(steps),
    };
    let set = &suite.recipe;
    let batch = set.batch.unwrap_or(of(1).batch);
    if batch == 0 {
        bail!("[recipe] batch: expected at least 1 row, found 0; leave it out for the preset's");
    }
    if suite.tokens < batch as u64 {
        bail!("tokens: expected at least one batch of {batch} rows, found {}; raise `tokens`", suite.tokens);
    }
    let preset = of(suite.tokens / batch as u64);
    let recipe = Recipe {
        batch,
        lr: set.lr.unwrap_or(preset.lr),
        lr_decoder: set.lr_decoder.unwrap_or(preset.lr_decoder),
        lr_warmup: set.lr_warmup.unwrap_or(preset.lr_warmup),
        lr_decay: set.lr_decay.unwrap_or(preset.lr_decay),
        lambda_warmup: set.lambda_warmup.unwrap_or(preset.lambda_warmup),
        bandwidth: set.bandwidth.unwrap_or(preset.bandwidth),
        threshold: set.threshold.unwrap_or(preset.threshold),
        beta1: set.beta1.unwrap_or(preset.beta1),
        beta2: set.beta2.unwrap_or(preset.beta2),
        ..preset
    };
    check(&recipe, set.theta_init)?;
    Ok(recipe)
}

/// Refuses numbers that no training can follow, by name.
fn check(recipe: &Recipe, theta_init: Option<f32>) -> anyhow::Result<()> {
    let positive = |x: f64| x.is_finite() && x > 0.0;
    let (bandwidth, theta_init) = (f64::from(recipe.bandwidth), f64::from(theta_init.unwrap_or(1.0)));
    let numbers = [
        ("lr", recipe.lr, positive(recipe.lr), "above 0"),
        ("lr_decoder", recipe.lr_decoder, positive(recipe.lr_decoder), "above 0"),
        ("bandwidth", bandwidth, positive(bandwidth), "above 0"),
        ("theta_init", theta_init, positive(theta_init), "above 0"),
        ("beta1", recipe.beta1, (0.0..1.0).contains(&recipe.beta1), "from 0 to below 1"),
        ("beta2", recipe.beta2, (0.0..1.0).contains(&recipe.beta2), "from 0 to below 1"),
    ];
    if let Some((name, found, _, range)) = numbers.into_iter().find(|(_, _, good, _)| !good) {
        bail!("[recipe] {name}: expected a number {range}, found {found}; leave it out for the preset's");
    }
    if recipe.steps >= u64::from(u32::MAX) {
        let Recipe { steps, batch, .. } = recipe;
        bail!("tokens: expected fewer than 2^32 steps of {batch} rows, found {steps}; lower `tokens`");
    }
    Ok(())
}
