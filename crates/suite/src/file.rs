//! A suite file: few dials, as a person writes them. What it asks for is in `grid.rs`; everything else is derived in
//! `plan.rs`.

use crate::SuiteError;
use crate::error::{Within, invalid};
use crate::grid::{Architecture, Grid, Place, SparseBy, Table, one_or_more};
use lapidary_lm::{Site, Spec};
use lapidary_store::RowDtype;
use lapidary_trainer::{Baseline, Preset, Threshold};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Longest suite file that is read, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Folder of the model, as a path or a name inside `--data`.
    pub model: PathBuf,
    /// Unknown keys of the model's config.json that change nothing.
    #[serde(default)]
    pub ignore_config_keys: Vec<String>,
    /// How the model's products are computed, f32 or bf16 [default: f32].
    pub precision: Option<String>,
    /// Text files or folders, likewise.
    pub text: Vec<PathBuf>,
    /// Tokens per window, BOS included [default: the model's context, at most 1,024].
    pub context: Option<usize>,
    /// These nine are as in [`Table`].
    architecture: Option<Architecture>,
    sites: Option<String>,
    transcoders: Option<Vec<String>>,
    skip: Option<bool>,
    widths: Option<Vec<usize>>,
    lambdas: Option<Vec<f64>>,
    #[serde(default, deserialize_with = "one_or_more")]
    target_l0: Option<Vec<f64>>,
    prefixes: Option<Vec<usize>>,
    init: Option<PathBuf>,
    /// Training rows, of all epochs together.
    pub tokens: u64,
    /// `short`, `gemma-scope`, `gemma-scope-2` or `anthropic` [default: short, whose rates follow the number of steps]
    preset: Option<Preset>,
    /// Of initialisation and row order.
    #[serde(default)]
    pub seed: u64,
    /// What is trained side by side; none: what the top of the file says.
    #[serde(default)]
    dictionaries: Vec<Table>,
    /// What is trained beside the dictionaries, in order to be beaten.
    #[serde(default)]
    baselines: Vec<Table>,
    /// Where rows come from and how.
    #[serde(default)]
    pub rows: Rows,
    /// Numbers of the recipe to set by hand.
    #[serde(default)]
    pub recipe: Overrides,
    /// Numbers of AuxK to set by hand.
    #[serde(default)]
    pub aux: Aux,
}

/// `[rows]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rows {
    /// A store to read; without it the model runs beside the training.
    pub store: Option<PathBuf>,
    /// What rows are rounded to.
    pub dtype: RowDtype,
    /// Rows that are shuffled together.
    pub pool_rows: usize,
    /// Rows from which C is measured; as many as a pool has, so that the model makes no row twice.
    pub norm_rows: Option<u64>,
}

impl Rows {
    /// Rows from which C is measured.
    pub fn norm_rows(&self) -> u64 {
        self.norm_rows.unwrap_or(self.pool_rows as u64)
    }
}

impl Default for Rows {
    fn default() -> Rows {
        Rows { store: None, dtype: RowDtype::F32, pool_rows: 65_536, norm_rows: None }
    }
}

/// `[recipe]`: any of these replaces the preset's number.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// Rows of a step.
    pub batch: Option<usize>,
    /// Learning rate.
    pub lr: Option<f64>,
    /// The decoder's rate, over `lr`.
    pub lr_decoder: Option<f64>,
    /// Steps over which the rate rises.
    pub lr_warmup: Option<u64>,
    /// Steps at the end over which it falls.
    pub lr_decay: Option<u64>,
    /// Steps over which λ rises.
    pub lambda_warmup: Option<u64>,
    /// ε, width of the straight-through window.
    pub bandwidth: Option<f32>,
    /// Is θ trained as it is, or as its logarithm?
    pub threshold: Option<Threshold>,
    /// θ before the first step.
    pub theta_init: Option<f32>,
    /// Adam's β₁.
    pub beta1: Option<f64>,
    /// Adam's β₂.
    pub beta2: Option<f64>,
}

/// `[aux]`: how TopK, BatchTopK and Matryoshka bring dead features back, and when a feature is dead.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aux {
    /// α; 0: not at all [default: 1/32]
    pub alpha: Option<f64>,
    /// Dead features of a row that help, at most [default: half the width of the site]
    pub k: Option<usize>,
    /// Rows without firing after which a feature is dead [default: a twentieth of the run, at most 10⁶]
    pub dead_rows: Option<u64>,
}

impl Suite {
    /// Reads and checks a suite file.
    pub fn read(path: &Path) -> Result<Suite, SuiteError> {
        let text = lapidary_files::read_string(path, MAX_BYTES)?;
        Suite::parse(&text).within(path.display().to_string())
    }

    fn parse(text: &str) -> Result<Suite, SuiteError> {
        let suite: Suite = toml::from_str(text).map_err(|e| SuiteError::Invalid(one_line(text, &e)))?;
        suite.check()
    }

    fn check(self) -> Result<Suite, SuiteError> {
        let top = self.top();
        if self.dictionaries.is_empty() {
            top.check(self.preset())?;
        }
        for table in &self.dictionaries {
            check_dictionaries(table, &top, self.preset()).within("[[dictionaries]]")?;
        }
        for table in &self.baselines {
            self.check_baselines(table).within("[[baselines]]")?;
        }
        if self.text.is_empty() {
            invalid!("text: expected at least one file or folder, found none");
        }
        if self.rows.pool_rows == 0 || self.rows.norm_rows() == 0 {
            invalid!("[rows]: expected pool_rows and norm_rows of at least 1");
        }
        self.check_aux()?;
        Ok(self)
    }

    fn check_aux(&self) -> Result<(), SuiteError> {
        let Aux { alpha, k, dead_rows } = self.aux;
        let top = self.top();
        let tables =
            self.dictionaries.iter().chain(&self.baselines).map(|t| t.over(&top)).chain([top.clone()]);
        let used = tables.map(|t| t.architecture().sparse_by(self.preset())).any(|by| by == SparseBy::K);
        if (alpha.is_some() || k.is_some() || dead_rows.is_some())
            && !used
            && self.preset() != Preset::Anthropic
        {
            invalid!("[aux]: expected architecture topk, batchtopk or matryoshka, found none; leave it out");
        }
        if alpha.is_some_and(|alpha| !(0.0..=1e6).contains(&alpha)) || k == Some(0) || dead_rows == Some(0) {
            invalid!(
                "[aux]: expected alpha from 0 to 1e6, k and dead_rows of at least 1; leave them out for the defaults"
            );
        }
        Ok(())
    }

    fn check_baselines(&self, table: &Table) -> Result<(), SuiteError> {
        let Some(baseline) = table.baseline else {
            invalid!(
                "missing field `baseline`, expected one of frozen-decoder, frozen-encoder, random, random-lm"
            )
        };
        if table.init.is_some() {
            invalid!("init: expected a baseline that begins at random, found `init`; leave it out");
        }
        if baseline == Baseline::RandomLm && self.rows.store.is_some() {
            invalid!(
                "random-lm: expected rows in flight, found [rows] store, which holds the trained model's only; leave out \
                 the store or this baseline"
            );
        }
        table.over(&self.top()).check(self.preset())
    }

    /// The preset, named or not.
    pub fn preset(&self) -> Preset {
        self.preset.unwrap_or(Preset::Short)
    }

    /// Does the file leave the preset to us?
    pub fn preset_is_default(&self) -> bool {
        self.preset.is_none()
    }

    /// The top of the file, which tables refer to.
    fn top(&self) -> Table {
        Table {
            baseline: None,
            architecture: self.architecture,
            sites: self.sites.clone(),
            transcoders: self.transcoders.clone(),
            skip: self.skip,
            widths: self.widths.clone(),
            lambdas: self.lambdas.clone(),
            target_l0: self.target_l0.clone(),
            prefixes: self.prefixes.clone(),
            init: self.init.clone(),
        }
    }

    /// Every `init` of the file.
    pub fn inits(&self) -> impl Iterator<Item = &PathBuf> {
        self.dictionaries.iter().filter_map(|table| table.init.as_ref()).chain(&self.init)
    }

    /// All that is trained: the dictionaries, then the baselines, in the order of the file.
    pub fn grids(&self, spec: &Spec) -> Result<Vec<Grid>, SuiteError> {
        let top = self.top();
        let mut grids = Vec::new();
        if self.dictionaries.is_empty() {
            grids.push(top.grid(top.places(spec)?, self.preset())?);
        }
        for table in &self.dictionaries {
            let table = table.over(&top);
            let grid = table.places(spec).and_then(|places| table.grid(places, self.preset()));
            grids.push(grid.within("[[dictionaries]]")?);
        }
        let all: Vec<Place> = grids.iter().flat_map(|grid| grid.places.clone()).collect();
        for table in &self.baselines {
            let places = baseline_places(table, all.clone(), spec)?;
            let table = Table { init: None, ..table.over(&top) };
            grids.push(table.grid(places, self.preset()).within("[[baselines]]")?);
        }
        Ok(grids)
    }
}

fn check_dictionaries(table: &Table, top: &Table, preset: Preset) -> Result<(), SuiteError> {
    if let Some(baseline) = table.baseline {
        invalid!("expected a dictionary, found baseline {baseline}; put it under [[baselines]]");
    }
    table.over(top).check(preset)
}

/// Where baselines are: at the suite's own sites, all of them unless it names some.
fn baseline_places(table: &Table, suite: Vec<Place>, spec: &Spec) -> Result<Vec<Place>, SuiteError> {
    let mut sites: Vec<Site> = suite.iter().filter(|p| p.output.is_none()).map(|p| p.input).collect();
    sites.sort_by_key(|site| site.rank());
    sites.dedup();
    match (&table.sites, &table.transcoders) {
        (None, None) => {
            let mut places: Vec<Place> = sites.into_iter().map(Place::sae).collect();
            places.extend(suite.into_iter().filter(|place| place.output.is_some()));
            places.dedup();
            Ok(places)
        }
        (Some(named), _) => {
            let named = among(named, &sites, spec).within("[[baselines]] sites")?;
            let transcoders = Table { sites: None, ..table.clone() };
            let mut places: Vec<Place> = named.into_iter().map(Place::sae).collect();
            if table.transcoders.is_some() {
                places.extend(transcoders.places(spec).within("[[baselines]]")?);
            }
            Ok(places)
        }
        (None, Some(_)) => table.places(spec).within("[[baselines]]"),
    }
}

/// The sites of the suite that `patterns` names; each pattern must name one.
fn among(patterns: &str, suite: &[Site], spec: &Spec) -> Result<Vec<Site>, SuiteError> {
    let named = spec.parse_sites(patterns)?;
    for pattern in patterns.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        if !spec.parse_sites(pattern)?.iter().any(|site| suite.contains(site)) {
            let have = suite.iter().map(Site::to_string).collect::<Vec<_>>().join(", ");
            invalid!(
                "expected sites of the suite ({have}), found `{pattern}`; add it to the suite's `sites`"
            );
        }
    }
    Ok(named.into_iter().filter(|site| suite.contains(site)).collect())
}

/// All presets, for people.
pub fn presets() -> String {
    [Preset::Short, Preset::GemmaScope, Preset::GemmaScope2, Preset::Anthropic]
        .map(|p| p.to_string())
        .join(", ")
}

/// `line 4: unknown field …; did you mean …?`, without the drawing.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let newlines = |end: usize| text.bytes().take(end).filter(|&b| b == b'\n').count();
    let line = error.span().map_or(1, |span| 1 + newlines(span.start));
    let meant = did_you_mean(error.message())
        .map_or("correct the suite".into(), |name| format!("did you mean `{name}`?"));
    let whole = |message: String, kind: &str| {
        message.replace(&format!("expected {kind}"), "expected a whole number of at least 0")
    };
    let message = ["u64", "usize"].into_iter().fold(error.message().to_string(), whole);
    format!("line {line}: {message}; {meant}")
}

/// Of the names that a message lists in backticks behind the one that is unknown, the one like it.
fn did_you_mean(message: &str) -> Option<&str> {
    let mut names = message.strip_prefix("unknown ")?.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let likeness = |name: &str| strsim::jaro_winkler(&unknown.to_lowercase(), name);
    let best = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.75).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "model = 'm'\ntext = ['t']\nwidths = [64]\ntokens = 1000\npreset = 'short'\n";

    fn error(extra: &str) -> String {
        format!("{:#}", Suite::parse(&format!("{GOOD}{extra}")).unwrap_err())
    }

    /// The same without `preset`.
    fn preset(preset: &str, extra: &str) -> Result<Suite, String> {
        let suite = format!("{GOOD}{extra}").replace("'short'", &format!("'{preset}'"));
        Suite::parse(&suite).map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(Suite::parse(&format!("{GOOD}lambdas = [0.1]")).is_ok());
        assert!(error("").contains("expected `lambdas`"));
        assert!(error("lambdas = [0.1]\ntarget_l0 = 50").contains("found both"));
        assert!(error("lambdas = [-1.0]").contains("to 1e6, found -1"));
        assert!(error("lambdas = [0.1, 0.1]").contains("0.1 is named twice"));
        assert!(
            error("lambdas = [0.1]\nlamdbas = 3")
                .contains("line 7: unknown field `lamdbas`, expected one of")
        );
        assert!(error("lambdas = [0.1]\n[recipe]\nlearning_rate = 1").contains("learning_rate"));
    }

    #[test]
    fn says_what_is_wrong_with_an_architecture() {
        let unknown = error("target_l0 = 4\narchitecture = 'top-k'");
        let names = "`jumprelu`, `topk`, `batchtopk`, `matryoshka`, `gated`, `l1`";
        assert!(
            unknown.contains(&format!("line 7: unknown variant `top-k`, expected one of {names}")),
            "{unknown}"
        );
        let cases = [
            ("lambdas = [0.1]", "expected `target_l0`, the k of topk, found `lambdas`"),
            ("", "expected `target_l0`, the k of topk, for example 40, found none"),
            ("target_l0 = 4.5", "expected whole numbers, k of topk, found 4.5"),
            ("target_l0 = 0", "expected numbers above 0, active features per row, found 0"),
            ("target_l0 = nan", "found NaN"),
            ("target_l0 = [4, 65]", "at most 64, the narrowest of `widths`, found 65"),
            ("target_l0 = [4, 4.0]", "target_l0: 4 is named twice"),
            ("target_l0 = '4'", "line 7: invalid type: string \"4\", expected a number or a list of numbers"),
            ("target_l0 = []", "found none"),
            ("target_l0 = 4\nprefixes = [8]", "prefixes: expected architecture matryoshka or jumprelu"),
            (
                "target_l0 = 4\n[aux]\nk = 0",
                "[aux]: expected alpha from 0 to 1e6, k and dead_rows of at least 1",
            ),
        ];
        for (lines, needle) in cases {
            let found = error(&format!("architecture = 'topk'\n{lines}"));
            assert!(found.contains(needle), "{lines}: {found}");
        }
        for prefixes in ["[8, 8]", "[0, 8]", "[8, 65]", "[]"] {
            let found = error(&format!("architecture = 'matryoshka'\ntarget_l0 = 4\nprefixes = {prefixes}"));
            assert!(found.contains("prefixes: expected ascending numbers from 1 to 64"), "{found}");
        }
        assert!(error("lambdas = [0.1]\n[aux]\nk = 3").contains("[aux]: expected architecture topk"));
    }

    /// Every closed set of names is listed where one is unknown, with the nearest.
    #[test]
    fn unknown_names_are_answered_with_all_and_with_the_nearest() {
        let presets = "expected one of `gemma-scope`, `short`, `gemma-scope-2`, `anthropic`";
        let found = preset("gemma-scop", "lambdas = [0.1]").unwrap_err();
        assert!(found.contains(presets) && found.ends_with("did you mean `gemma-scope`?"), "{found}");
        let found = preset("Short", "lambdas = [0.1]").unwrap_err();
        assert!(found.contains(presets) && found.ends_with("did you mean `short`?"), "{found}");
        let cases = [
            (
                "architecture = 'top-k'",
                "`jumprelu`, `topk`, `batchtopk`, `matryoshka`, `gated`, `l1`; did you mean `topk`?",
            ),
            ("[recipe]\nthreshold = 'logs'", "expected `log` or `raw`; did you mean `log`?"),
            ("[rows]\ndtype = 'fp32'", "expected `f32` or `bf16`; did you mean `f32`?"),
            (
                "[[baselines]]\nbaseline = 'frozen_encoder'",
                "`frozen-decoder`, `random-lm`, `frozen-encoder`, `random`; did you mean `frozen-encoder`?",
            ),
            ("target_l00 = 3", "did you mean `target_l0`?"),
            ("architecture = 'zzz'", "`l1`; correct the suite"),
            (
                "seed = -1",
                "invalid value: integer `-1`, expected a whole number of at least 0; correct the suite",
            ),
        ];
        for (lines, expected) in cases {
            let found = error(&format!("lambdas = [0.1]\n{lines}"));
            assert!(found.contains(expected), "{lines}: {found}");
        }
    }

    #[test]
    fn the_preset_may_be_left_out() {
        let suite = GOOD.replace("preset = 'short'\n", "lambdas = [0.1]");
        let suite = Suite::parse(&suite).unwrap();
        assert!(suite.preset() == Preset::Short && suite.preset_is_default());
    }

    #[test]
    fn a_preset_may_choose_the_penalty() {
        assert!(preset("gemma-scope-2", "target_l0 = [4, 8]").is_ok());
        assert!(preset("gemma-scope-2", "target_l0 = 4\nlambdas = [0.01, 0.02]").is_ok());
        let found = preset("gemma-scope-2", "lambdas = [0.01]").unwrap_err();
        assert!(found.contains("preset gemma-scope-2: expected `target_l0`"), "{found}");
        assert!(preset("anthropic", "lambdas = [0.01]\n[aux]\ndead_rows = 100").is_ok());
        let found = preset("anthropic", "architecture = 'gated'\nlambdas = [0.01]").unwrap_err();
        assert!(found.contains("preset anthropic: expected architecture jumprelu"), "{found}");
    }

    /// A table fills its gaps from the top; λ and target go together.
    #[test]
    fn tables_stand_side_by_side() {
        let tables = "lambdas = [0.1]\n[[dictionaries]]\n[[dictionaries]]\narchitecture = 'topk'\ntarget_l0 = 4\n\
                      [[baselines]]\nbaseline = 'random'\n[[baselines]]\nbaseline = 'frozen-encoder'\ntarget_l0 = [8, 9]";
        let suite = Suite::parse(&format!("{GOOD}{tables}")).unwrap();
        let top = suite.top();
        let wanted = |t: &Table| t.over(&top).wanted(Preset::Short).unwrap();
        assert_eq!(wanted(&suite.dictionaries[0]), wanted(&top));
        let k: Vec<_> = wanted(&suite.dictionaries[1]).iter().map(|w| (w.lambda, w.target_l0)).collect();
        assert_eq!(k, [(None, Some(4.0))]);
        assert_eq!(wanted(&suite.baselines[1]).len(), 2);
        assert!(
            error("[[dictionaries]]\nwidths = [8]").contains("[[dictionaries]]: expected `lambdas`"),
            "the top need not be whole, but each table must"
        );
        let misplaced = error("lambdas = [0.1]\n[[dictionaries]]\nbaseline = 'random'");
        assert!(misplaced.contains("put it under [[baselines]]"), "{misplaced}");
    }

    #[test]
    fn says_what_is_wrong_with_a_baseline() {
        let bad = |table: &str| error(&format!("lambdas = [0.1]\n[[baselines]]\n{table}"));
        assert!(bad("").contains("[[baselines]]: missing field `baseline`"));
        let unknown = bad("baseline = 'frozen'");
        assert!(
            unknown
                .contains("line 8: unknown variant `frozen`, expected one of `frozen-decoder`, `random-lm`"),
            "{unknown}"
        );
        assert!(bad("baseline = 'random-lm'\nsite = '2.res'").contains("unknown field `site`"));
        assert!(bad("baseline = 'random-lm'\nwidths = [0]").contains("[[baselines]]: widths: expected"));
        assert!(bad("baseline = 'random-lm'\nlambdas = []").contains("[[baselines]]: expected `lambdas`"));
        assert!(bad("baseline = 'random'\ninit = 'd'").contains("[[baselines]]: init: expected a baseline"));
        let stored = bad("baseline = 'random-lm'\n[rows]\nstore = 's'");
        assert!(stored.contains("leave out the store or this baseline"), "{stored}");
        let frozen =
            format!("{GOOD}lambdas = [0.1]\n[[baselines]]\nbaseline = 'frozen-decoder'\n[rows]\nstore = 's'");
        assert!(Suite::parse(&frozen).is_ok());
    }
}
