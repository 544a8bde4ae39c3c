//! What `lapidary world planted` trains: the command line's few words become the same plans as a suite's tables.
//!
//! Each architecture is a table of its own (`grid.rs`), derived as in a suite (`derive.rs`): k, or a controller of λ, for a
//! target L0, AuxK and nested widths by default. JumpReLU alone has a baseline, behind each of its dictionaries.

use anyhow::Context;
use clap::Args;
use lapidary_ground_truth::planted::rows::{SITE, Which};
use lapidary_suite::derive::{At, Derive};
use lapidary_suite::file::Aux;
use lapidary_suite::grid::{Architecture, Grid, SparseBy, Table, once};
use lapidary_trainer::{Baseline, DictionaryPlan, Measured, Plan, Preset, Recipe};
use serde::Serialize;

/// Version of `planted.json`.
const FORMAT: u32 = 1;
/// λs of JumpReLU where neither λ nor L0 is asked for.
const LAMBDAS: [f64; 2] = [0.003, 0.01];

/// The dictionaries that are asked for.
#[derive(Args)]
pub struct Asked {
    /// Features of each trained dictionary
    #[arg(long, value_name = "F", default_value_t = 512)]
    pub width: usize,
    /// What is trained side by side on the same rows: jumprelu, topk, batchtopk, matryoshka, gated, l1
    #[arg(long, value_name = "A,…", value_delimiter = ',', default_value = "jumprelu")]
    pub architecture: Vec<Architecture>,
    /// Weights of the sparsity term, as in a suite: a dictionary for each; not for topk, batchtopk and matryoshka
    /// [default: 0.003,0.01]
    #[arg(long, value_name = "L,…", value_delimiter = ',', conflicts_with = "target_l0")]
    pub lambdas: Vec<f64>,
    /// Active features per row, as in a suite: k of topk, batchtopk and matryoshka; elsewhere a controller finds λ
    #[arg(long, value_name = "K,…", value_delimiter = ',')]
    pub target_l0: Vec<f64>,
    /// Leave out JumpReLU's baselines with a frozen decoder
    #[arg(long)]
    pub no_baselines: bool,
}

/// `planted.json`: all that the numbers depend on.
#[derive(Serialize)]
pub struct PlantedPlan {
    format: u32,
    #[serde(flatten)]
    pub which: Which,
    pub samples: u64,
    pub training: Plan,
}

impl Asked {
    /// In the order of the command line, each with its baseline behind it.
    pub fn dictionaries(
        &self,
        recipe: &Recipe,
        d: usize,
        c: f64,
        measured: Option<&Measured>,
    ) -> anyhow::Result<Vec<DictionaryPlan>> {
        once("--architecture", &self.architecture)?;
        let derive = Derive { recipe, aux: &Aux::default(), bandwidth: None, theta_init: None };
        let mut out = Vec::new();
        for &architecture in &self.architecture {
            let grid = self
                .grid(architecture, recipe.preset)
                .with_context(|| format!("--architecture {architecture}"))?;
            for &wanted in &grid.wanted {
                for baseline in self.kinds(architecture) {
                    let grid = Grid { baseline, ..grid.clone() };
                    let at = At {
                        site: SITE.into(),
                        d,
                        c,
                        measured: measured.cloned(),
                        output: measured.cloned(),
                        transcoder: None,
                        start: None,
                    };
                    out.push(derive.dictionary(&grid, self.width, wanted, at));
                }
            }
        }
        Ok(out)
    }

    /// The table that a suite would have for it. There are no places: planted rows are no site of a model.
    fn grid(&self, architecture: Architecture, preset: Preset) -> anyhow::Result<Grid> {
        let by_lambda = architecture.sparse_by(preset) == SparseBy::Lambda;
        let lambdas = match self.lambdas.as_slice() {
            [] if by_lambda && self.target_l0.is_empty() => &LAMBDAS,
            lambdas => lambdas,
        };
        let table = Table {
            architecture: Some(architecture),
            widths: Some(vec![self.width]),
            lambdas: Some(lambdas.to_vec()),
            target_l0: Some(self.target_l0.clone()),
            ..Table::default()
        };
        table.check(preset)?;
        Ok(table.grid(Vec::new(), preset)?)
    }

    fn kinds(&self, architecture: Architecture) -> Vec<Option<Baseline>> {
        let baseline = architecture == Architecture::JumpRelu && !self.no_baselines;
        [None].into_iter().chain(baseline.then_some(Some(Baseline::FrozenDecoder))).collect()
    }
}

impl PlantedPlan {
    /// Checkpoints are as rare as can be where nobody will resume: without a folder that is `kept`.
    pub fn new(
        which: Which,
        samples: u64,
        recipe: Recipe,
        dictionaries: Vec<DictionaryPlan>,
        kept: bool,
    ) -> PlantedPlan {
        let every = |parts: u64| (recipe.steps / parts).max(1);
        let checkpoint_every = if kept { every(20) } else { recipe.steps };
        let log_every = every(200);
        let training = Plan { recipe, dictionaries, seed: which.seed, checkpoint_every, log_every };
        PlantedPlan { format: FORMAT, which, samples, training }
    }

    /// As it is saved and hashed.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data")
    }
}
