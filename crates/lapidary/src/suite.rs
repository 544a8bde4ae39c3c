//! A suite file: few dials, as a person writes them. Everything else is derived in `plan.rs`.

use anyhow::{Context, bail};
use lapidary_lm::{Site, Spec};
use lapidary_store::RowDtype;
use lapidary_trainer::{Baseline, Preset};
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
    /// Text files or folders, likewise.
    pub text: Vec<PathBuf>,
    /// Tokens per window, BOS included [default: the model's context, at most 1,024].
    pub context: Option<usize>,
    /// Sites, `*.res,*.att,*.mlp` [default].
    #[serde(default = "default_sites")]
    pub sites: String,
    /// Features per dictionary.
    pub widths: Vec<usize>,
    /// Weights of the L0 term; every site and width is trained with each.
    #[serde(default)]
    pub lambdas: Vec<f64>,
    /// Named, so that it can be refused with a reason.
    #[serde(default)]
    target_l0: Option<toml::Value>,
    /// Training rows, of all epochs together.
    pub tokens: u64,
    /// `short` or `gemma-scope`.
    pub preset: Preset,
    /// Of initialisation and row order.
    #[serde(default)]
    pub seed: u64,
    /// What is trained beside the dictionaries, in order to be beaten.
    #[serde(default)]
    pub baselines: Vec<Baselines>,
    /// Where rows come from and how.
    #[serde(default)]
    pub rows: Rows,
    /// Numbers of the recipe to set by hand.
    #[serde(default)]
    pub recipe: Overrides,
}

fn default_sites() -> String {
    "*.res,*.att,*.mlp".into()
}

/// `[[baselines]]`: baselines of one kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baselines {
    /// `frozen-decoder` or `random-lm`.
    pub baseline: Baseline,
    /// Which of the suite's sites [default: all of them].
    #[serde(default = "all_sites")]
    pub sites: String,
    /// [default: the suite's]
    pub widths: Option<Vec<usize>>,
    /// [default: the suite's]
    pub lambdas: Option<Vec<f64>>,
}

fn all_sites() -> String {
    "all".into()
}

/// One dictionary for each site, width and λ.
#[derive(Debug)]
pub struct Grid<'a> {
    pub baseline: Option<Baseline>,
    /// In the order in which a run meets them.
    pub sites: Vec<Site>,
    pub widths: &'a [usize],
    pub lambdas: &'a [f64],
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
    /// Rows from which C is measured.
    pub norm_rows: u64,
}

impl Default for Rows {
    fn default() -> Rows {
        Rows { store: None, dtype: RowDtype::F32, pool_rows: 65_536, norm_rows: 100_000 }
    }
}

/// `[recipe]`: any of these replaces the preset's number.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    pub batch: Option<usize>,
    pub lr: Option<f64>,
    pub lr_warmup: Option<u64>,
    pub lr_decay: Option<u64>,
    pub lambda_warmup: Option<u64>,
    pub bandwidth: Option<f32>,
    pub theta_init: Option<f32>,
    pub beta2: Option<f64>,
}

impl Suite {
    /// Reads and checks a suite file.
    pub fn read(path: &Path) -> anyhow::Result<Suite> {
        let text = lapidary_files::read_string(path, MAX_BYTES)?;
        Suite::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Suite> {
        let suite: Suite = toml::from_str(text).map_err(|e| anyhow::anyhow!("{}", one_line(text, &e)))?;
        match (suite.lambdas.is_empty(), &suite.target_l0) {
            (false, Some(_)) => bail!("expected `lambdas` or `target_l0`, found both; keep `lambdas`"),
            (true, Some(_)) => bail!("`target_l0` is not supported yet; name `lambdas`, for example [0.003]"),
            (true, None) => bail!("expected `lambdas`, for example [0.003], found none"),
            (false, None) => suite.check(),
        }
    }

    fn check(self) -> anyhow::Result<Suite> {
        check_grid(&self.widths, &self.lambdas)?;
        for b in &self.baselines {
            check_grid(b.widths(&self), b.lambdas(&self)).context("[[baselines]]")?;
            if b.baseline == Baseline::RandomLm && self.rows.store.is_some() {
                bail!(
                    "[[baselines]] random-lm: expected rows in flight, found [rows] store, which holds the trained \
                     model's only; leave out the store or this baseline"
                );
            }
        }
        if self.text.is_empty() {
            bail!("text: expected at least one file or folder, found none");
        }
        if self.rows.pool_rows == 0 || self.rows.norm_rows == 0 {
            bail!("[rows]: expected pool_rows and norm_rows of at least 1");
        }
        Ok(self)
    }

    /// All that is trained: the dictionaries, then the baselines in the order of the file.
    pub fn grids(&self, spec: &Spec) -> anyhow::Result<Vec<Grid<'_>>> {
        let sites = spec.parse_sites(&self.sites)?;
        let mut grids =
            vec![Grid { baseline: None, sites: sites.clone(), widths: &self.widths, lambdas: &self.lambdas }];
        for b in &self.baselines {
            let sites = among(&b.sites, &sites, spec).context("[[baselines]] sites")?;
            let (widths, lambdas) = (b.widths(self), b.lambdas(self));
            grids.push(Grid { baseline: Some(b.baseline), sites, widths, lambdas });
        }
        Ok(grids)
    }
}

impl Baselines {
    fn widths<'a>(&'a self, suite: &'a Suite) -> &'a [usize] {
        self.widths.as_ref().unwrap_or(&suite.widths)
    }

    fn lambdas<'a>(&'a self, suite: &'a Suite) -> &'a [f64] {
        self.lambdas.as_ref().unwrap_or(&suite.lambdas)
    }
}

/// The sites of the suite that `patterns` names; each pattern must name one.
fn among(patterns: &str, suite: &[Site], spec: &Spec) -> anyhow::Result<Vec<Site>> {
    let named = spec.parse_sites(patterns)?;
    for pattern in patterns.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        if !spec.parse_sites(pattern)?.iter().any(|site| suite.contains(site)) {
            let have = suite.iter().map(Site::to_string).collect::<Vec<_>>().join(", ");
            bail!("expected sites of the suite ({have}), found `{pattern}`; add it to the suite's `sites`");
        }
    }
    Ok(named.into_iter().filter(|site| suite.contains(site)).collect())
}

pub fn check_grid(widths: &[usize], lambdas: &[f64]) -> anyhow::Result<()> {
    let usable = |l: f64| l == 0.0 || (1e-12..=1e6).contains(&l); // inputs have unit mean square: λ = 1 is a lot
    if let Some(lambda) = lambdas.iter().find(|&&l| !usable(l)) {
        bail!("lambdas: expected 0 or numbers from 1e-12 to 1e6, found {lambda}");
    }
    if lambdas.is_empty() {
        bail!("lambdas: expected at least one number, for example [0.003], found none");
    }
    if widths.is_empty() || widths.contains(&0) {
        bail!("widths: expected numbers of features, each at least 1, found {widths:?}");
    }
    for (name, list) in [("lambdas", repeated(lambdas)), ("widths", repeated(widths))] {
        if let Some(twice) = list {
            bail!("{name}: {twice} is named twice");
        }
    }
    Ok(())
}

/// `line 4: unknown field …`, without the drawing.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let newlines = |end: usize| text.bytes().take(end).filter(|&b| b == b'\n').count();
    let line = error.span().map_or(1, |span| 1 + newlines(span.start));
    format!("line {line}: {}; correct the suite", error.message())
}

fn repeated<T: PartialEq + std::fmt::Display>(list: &[T]) -> Option<String> {
    let twice = list.iter().enumerate().find(|(i, x)| list[..*i].contains(x));
    twice.map(|(_, x)| x.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "model = 'm'\ntext = ['t']\nwidths = [64]\ntokens = 1000\npreset = 'short'\n";

    fn error(extra: &str) -> String {
        format!("{:#}", Suite::parse(&format!("{GOOD}{extra}")).unwrap_err())
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(Suite::parse(&format!("{GOOD}lambdas = [0.1]")).is_ok());
        assert!(error("").contains("expected `lambdas`"));
        assert!(error("lambdas = [0.1]\ntarget_l0 = 50").contains("found both"));
        assert!(error("target_l0 = 50").contains("not supported yet"));
        assert!(error("lambdas = [-1.0]").contains("to 1e6, found -1"));
        assert!(error("lambdas = [0.1, 0.1]").contains("0.1 is named twice"));
        assert!(
            error("lambdas = [0.1]\nlamdbas = 3")
                .contains("line 7: unknown field `lamdbas`, expected one of")
        );
        assert!(error("lambdas = [0.1]\n[recipe]\nlearning_rate = 1").contains("learning_rate"));
    }

    #[test]
    fn says_what_is_wrong_with_a_baseline() {
        let bad = |table: &str| error(&format!("lambdas = [0.1]\n[[baselines]]\n{table}"));
        assert!(bad("").contains("missing field `baseline`"));
        let unknown = bad("baseline = 'frozen'");
        assert!(
            unknown.contains("line 8: unknown variant `frozen`, expected `frozen-decoder` or `random-lm`"),
            "{unknown}"
        );
        assert!(bad("baseline = 'random-lm'\nsite = '2.res'").contains("unknown field `site`"));
        assert!(bad("baseline = 'random-lm'\nwidths = [0]").contains("[[baselines]]: widths: expected"));
        assert!(bad("baseline = 'random-lm'\nlambdas = []").contains("[[baselines]]: lambdas: expected"));
        let stored = bad("baseline = 'random-lm'\n[rows]\nstore = 's'");
        assert!(stored.contains("leave out the store or this baseline"), "{stored}");
        let frozen =
            format!("{GOOD}lambdas = [0.1]\n[[baselines]]\nbaseline = 'frozen-decoder'\n[rows]\nstore = 's'");
        assert!(Suite::parse(&frozen).is_ok());
    }
}
