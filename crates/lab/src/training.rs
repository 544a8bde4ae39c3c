//! Dictionaries made on a rung: few words become plans as a suite's tables do, the trainer does the rest, and its checkpoint is the cell.

use crate::error::invalid;
use crate::lab::Event;
use crate::rung::Rung;
use crate::{Lab, LabError};
use lapidary_dictionary::Dictionary;
use lapidary_evaluation::low_precision::Bits;
use lapidary_files::{create_dir, hash};
use lapidary_store::{Batches, Order, norms};
use lapidary_suite::derive::{At, Derive};
use lapidary_suite::file::Aux;
use lapidary_suite::folder::built_by;
use lapidary_suite::grid::{Architecture, Grid, Wanted};
use lapidary_trainer::{
    Baseline, DictionaryPlan, Measured, Plan, Recipe, Run, TrainError, Training, Transcoder,
    latest_checkpoint, load_checkpoint, measure, row_set, to_dictionary, train,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Rows that are shuffled together, and measured.
const POOL_ROWS: usize = 65_536;

/// A dictionary that is asked for.
#[derive(Clone, Debug)]
pub struct Want {
    /// How pre-activations become features.
    pub architecture: Architecture,
    /// F.
    pub width: usize,
    /// L0: k, or what a controller of λ aims at.
    pub l0: f64,
    /// What is left untrained.
    pub baseline: Option<Baseline>,
    /// What it reads; none: the rung's first site.
    pub site: Option<String>,
    /// What it writes, if not what it reads; and has it a linear path past the features?
    pub transcoder: Option<(String, bool)>,
}

impl Want {
    /// An SAE of the rung's first site.
    pub fn new(architecture: Architecture, width: usize, l0: f64) -> Want {
        Want { architecture, width, l0, baseline: None, site: None, transcoder: None }
    }

    /// The same, to be beaten.
    pub fn baseline(&self, baseline: Baseline) -> Want {
        Want { baseline: Some(baseline), ..self.clone() }
    }
}

/// How dictionaries are trained.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Rows of all steps together.
    pub rows: u64,
    /// Rows of a step.
    pub batch: usize,
    /// Of initialisation and order.
    pub seed: u64,
    /// What rows are rounded to.
    pub round: Bits,
}

/// One that was trained.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Every number of it.
    pub plan: DictionaryPlan,
    /// In raw units.
    pub dictionary: Dictionary,
    /// Of its weights.
    pub hash: String,
}

/// What the preset `short` must know of the rows.
#[derive(Serialize, Deserialize)]
struct OfRows {
    norms: Vec<f64>,
    measured: Vec<Measured>,
}

/// Trains `wants` side by side, in their order.
///
/// # Errors
/// The rung has no rows, a plan cannot be followed, a training was given up, or the user wants to stop.
pub fn trained(lab: &mut Lab<'_>, rung: &Rung, wants: &[Want], how: How) -> Result<Vec<Trained>, LabError> {
    let plan = plan_of(lab, rung, wants, how)?;
    let plan_hash =
        lab.plan_hash(&serde_json::json!({ "rung": rung.plan(), "rows": how.round, "plan": plan }));
    let name = format!("{}-training-seed{}-{plan_hash:.12}", rung.name, how.seed);
    let folder = lab.cell_path(&name);
    create_dir(&folder)?;
    let device = lab.catalog.device;
    let run = Run {
        plan: &plan,
        plan_hash: &plan_hash,
        built_by: &built_by(device),
        folder: &folder,
        device,
        start: &BTreeMap::new(),
    };
    if let Some(states) = finished(&folder, &plan, &plan_hash) {
        (lab.observe)(Event::Reused(&format!("{}: training, seed {}", rung.name, how.seed)));
        return dictionaries_of(&plan, &states);
    }
    (lab.observe)(Event::Began(&format!(
        "{}: training {} dictionaries, seed {}",
        rung.name,
        wants.len(),
        how.seed
    )));
    rung.held(lab)?;
    let mut batches = batches(lab, rung, &plan.recipe, how)?;
    let (steps, batch, interrupted) = (plan.recipe.steps, how.batch as u64, lab.interrupted);
    let mut tell = |event: lapidary_trainer::Event<'_>| {
        if let lapidary_trainer::Event::Step(done, _) = event {
            (lab.observe)(Event::Progress(done * batch, steps * batch, "rows"));
        }
    };
    let states = match train(&run, &mut batches, true, interrupted, &mut tell) {
        Err(TrainError::Interrupted { .. }) => return Err(LabError::Interrupted),
        states => states?,
    };
    dictionaries_of(&plan, &states)
}

/// Every number of a training.
///
/// # Errors
/// The rung has no rows.
pub fn plan_of(lab: &mut Lab<'_>, rung: &Rung, wants: &[Want], how: How) -> Result<Plan, LabError> {
    let recipe = recipe(rung, how);
    let of = of_rows(lab, rung, &recipe, how)?;
    let dictionaries: Vec<DictionaryPlan> =
        wants.iter().map(|want| derive(rung, want, &recipe, &of)).collect();
    let every = |parts: u64| (recipe.steps / parts).max(1);
    let (checkpoint_every, log_every) = (every(5), every(20));
    Ok(Plan { recipe, dictionaries, seed: how.seed, checkpoint_every, log_every })
}

/// The state of a training that has come to its end.
fn finished(folder: &Path, plan: &Plan, plan_hash: &str) -> Option<Vec<Training>> {
    let (marks, states) = load_checkpoint(&latest_checkpoint(folder)?, plan).ok()?;
    (marks.step == plan.recipe.steps && marks.plan_hash == plan_hash).then_some(states)
}

fn dictionaries_of(plan: &Plan, states: &[Training]) -> Result<Vec<Trained>, LabError> {
    let mut out = Vec::new();
    for (plan_of, state) in plan.dictionaries.iter().zip(states) {
        if let Some(stopped) = &state.stopped {
            invalid!(
                "{}: given up at step {}: {}; try more rows",
                plan_of.name,
                stopped.step,
                stopped.reason
            );
        }
        let dictionary = to_dictionary(state, plan_of, &plan.recipe);
        out.push(Trained { hash: weights_hash(&dictionary), plan: plan_of.clone(), dictionary });
    }
    Ok(out)
}

/// The preset `short` for the rows that there are.
fn recipe(rung: &Rung, how: How) -> Recipe {
    let steps = (how.rows / how.batch as u64).max(1);
    Recipe { batch: how.batch, ..Recipe::short(steps, rung.d()) }
}

/// The rows of a training, in its order.
///
/// # Errors
/// The rung has no rows.
pub fn batches<'a>(
    lab: &mut Lab<'_>,
    rung: &'a Rung,
    recipe: &Recipe,
    how: How,
) -> Result<Batches<crate::held::HeldRows<'a>>, LabError> {
    let order = Order { seed: how.seed, pool_rows: POOL_ROWS };
    Ok(Batches::new(rung.held(lab)?.source(how.round), order, recipe.batch)?)
}

fn of_rows(lab: &mut Lab<'_>, rung: &Rung, recipe: &Recipe, how: How) -> Result<OfRows, LabError> {
    let plan =
        serde_json::json!({ "rung": rung.plan(), "rows": how.round, "seed": how.seed, "batch": how.batch });
    let name = format!("rows-seed{}", how.seed);
    lab.cell(rung.name, &name, &plan, |lab| {
        let mut batches = batches(lab, rung, recipe, how)?;
        let norms = norms(&mut batches, POOL_ROWS as u64).map_err(LabError::Rows)?;
        let sites = measure(&mut batches, POOL_ROWS as u64).map_err(LabError::Rows)?;
        Ok(OfRows { norms, measured: sites.into_iter().map(|site| site.measured).collect() })
    })
}

/// The plan that a suite's table would give.
fn derive(rung: &Rung, want: &Want, recipe: &Recipe, of: &OfRows) -> DictionaryPlan {
    let grid = Grid {
        baseline: want.baseline,
        architecture: want.architecture,
        places: Vec::new(),
        widths: vec![want.width],
        wanted: Vec::new(),
        prefixes: None,
        init: None,
    };
    let wanted = Wanted { lambda: None, target_l0: Some(want.l0) };
    let place = |site: &str| {
        let set = row_set(site, want.baseline);
        rung.sites.iter().position(|s| *s == set).expect("the experiment asked for its sites")
    };
    let site = want.site.as_deref().unwrap_or(rung.site());
    let transcoder = want.transcoder.as_ref().map(|(output, skip)| Transcoder {
        output: output.clone(),
        d_out: rung.d(),
        c_out: of.norms[place(output)],
        skip: *skip,
    });
    let measured = |site: &str| Some(of.measured[place(site)].clone());
    let (c, output) =
        (of.norms[place(site)], measured(want.transcoder.as_ref().map_or(site, |(output, _)| output)));
    let at =
        At { site: site.into(), d: rung.d(), c, measured: measured(site), output, transcoder, start: None };
    let derive = Derive { recipe, aux: &Aux::default(), bandwidth: None, theta_init: None };
    derive.dictionary(&grid, want.width, wanted, at)
}

/// blake3 of all weights, and of how pre-activations become features.
pub fn weights_hash(dictionary: &Dictionary) -> String {
    let parts =
        [&dictionary.w_enc, &dictionary.b_enc, &dictionary.threshold, &dictionary.w_dec, &dictionary.b_dec];
    let all = parts.into_iter().chain(&dictionary.w_skip).flatten();
    let activation = format!("{:?}", dictionary.activation).into_bytes();
    let bytes: Vec<u8> = all.flat_map(|x| x.to_le_bytes()).chain(activation).collect();
    hash::bytes(&bytes)
}
