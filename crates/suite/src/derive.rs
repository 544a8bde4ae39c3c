//! One planned dictionary, every number of it: from what a table asks for (`grid.rs`), the recipe, and where it stands.

use crate::file::Aux;
use crate::grid::{Architecture, Grid, SparseBy, Wanted};
use lapidary_trainer::{
    AuxK, DictionaryPlan, Measured, Objective, Penalty, Preset, Recipe, Transcoder, default_prefixes,
};

/// Where a dictionary stands.
pub struct At {
    /// What it reads.
    pub site: String,
    /// D, its width.
    pub d: usize,
    /// C, the root mean square norm of its rows.
    pub c: f64,
    /// What was measured of its rows.
    pub measured: Option<Measured>,
    /// What was measured of the rows that it reconstructs.
    pub output: Option<Measured>,
    /// What it writes, if that is elsewhere.
    pub transcoder: Option<Transcoder>,
    /// Hash of the dictionary that it begins as.
    pub start: Option<String>,
}

/// What all dictionaries of a run are derived with.
pub struct Derive<'a> {
    /// Every number of the training.
    pub recipe: &'a Recipe,
    /// Numbers of AuxK that were set by hand.
    pub aux: &'a Aux,
    /// ε, if it was set by hand.
    pub bandwidth: Option<f32>,
    /// First θ, if it was set by hand.
    pub theta_init: Option<f32>,
}

impl Derive<'_> {
    /// One dictionary of a grid.
    pub fn dictionary(&self, grid: &Grid, width: usize, wanted: Wanted, at: At) -> DictionaryPlan {
        let by = grid.architecture.sparse_by(self.recipe.preset);
        let d_out = at.transcoder.as_ref().map_or(at.d, |t| t.d_out);
        let bandwidth = self.window(&at);
        DictionaryPlan {
            bandwidth,
            row_cap: at.output.as_ref().and_then(|measured| self.recipe.row_cap(d_out, measured)),
            name: name(grid, width, wanted, &at),
            d: at.d,
            width,
            lambda: lambda(grid.architecture, by, wanted),
            c: at.c,
            theta_init: self.theta_init.unwrap_or(self.recipe.theta_init(at.d, width, at.measured.as_ref())),
            baseline: grid.baseline,
            objective: self.objective(grid.architecture, wanted, at.d, d_out),
            prefixes: prefixes(grid, width),
            target_l0: wanted.target_l0.filter(|_| by == SparseBy::Lambda),
            start: at.start,
            measured: at.measured.filter(|_| self.recipe.preset == Preset::Short),
            site: at.site,
            transcoder: at.transcoder,
        }
    }

    /// ε of one dictionary, where it follows from what was measured.
    fn window(&self, at: &At) -> Option<f32> {
        let measured = at.measured.as_ref().filter(|_| self.bandwidth.is_none())?;
        self.recipe.bandwidth_of(measured)
    }

    fn objective(&self, architecture: Architecture, wanted: Wanted, d: usize, d_out: usize) -> Objective {
        let target = wanted.target_l0.unwrap_or_default();
        let own = AuxK::new(d_out, self.recipe.steps * self.recipe.batch as u64);
        let set = self.aux;
        let aux = AuxK {
            alpha: set.alpha.unwrap_or(own.alpha),
            k: set.k.unwrap_or(own.k),
            dead_rows: set.dead_rows.unwrap_or(own.dead_rows),
        };
        let (k, helps) = (target as usize, (aux.alpha > 0.0).then_some(aux));
        match (architecture, self.recipe.preset) {
            (Architecture::JumpRelu, Preset::GemmaScope2) => Objective::gemma_scope_2(target),
            (Architecture::JumpRelu, Preset::Anthropic) => {
                let mut penalty = Penalty::anthropic(d);
                if let Penalty::Tanh { dead_rows, .. } = &mut penalty {
                    *dead_rows = aux.dead_rows;
                }
                Objective::JumpRelu { penalty }
            }
            (Architecture::JumpRelu, _) => Objective::GEMMA_SCOPE,
            (Architecture::L1, _) => Objective::L1,
            (Architecture::Gated, _) => Objective::Gated,
            (Architecture::TopK, _) => Objective::TopK { k, aux: helps },
            (Architecture::BatchTopK | Architecture::Matryoshka, _) => Objective::BatchTopK { k, aux: helps },
        }
    }
}

/// `3.res-width1024-lambda0.002`, `3.mlp-in-to-3.mlp-skip-topk-width1024-l0-40-frozen-decoder`
fn name(grid: &Grid, width: usize, wanted: Wanted, at: &At) -> String {
    let mut name = at.site.clone();
    if let Some(t) = &at.transcoder {
        name += &format!("-to-{}{}", t.output, if t.skip { "-skip" } else { "" });
    }
    if grid.architecture != Architecture::JumpRelu {
        name += &format!("-{}", grid.architecture);
    } else if grid.prefixes.is_some() {
        name += "-nested";
    }
    name += &format!("-width{width}");
    name += &wanted.target_l0.map(|l0| format!("-l0-{l0}")).unwrap_or_default();
    name += &wanted.lambda.map(|lambda| format!("-lambda{lambda}")).unwrap_or_default();
    name += if grid.init.is_some() { "-tuned" } else { "" };
    name + &grid.baseline.map(|b| format!("-{b}")).unwrap_or_default()
}

/// λ as asked for. Where a controller looks for it, it begins where sparsity costs three tenths of the squared error at the
/// target (both in units of E‖x‖², and the error is all of it here: the controller multiplies by what it is in a step): λT, or λ√T
/// where λ weighs Σf, which is about √T for T features of a row of norm 1 (there it ends at three to six times as much, but more at first
/// empties a dictionary that has learned nothing yet).
fn lambda(architecture: Architecture, by: SparseBy, wanted: Wanted) -> f64 {
    let target = wanted.target_l0.unwrap_or(1.0);
    let first = match (by, architecture) {
        (SparseBy::K, _) => 0.0,
        (SparseBy::Quadratic, _) => 0.01,
        (SparseBy::Lambda, Architecture::Gated | Architecture::L1) => 0.3 / target.sqrt(),
        (SparseBy::Lambda, _) => 0.3 / target,
    };
    wanted.lambda.unwrap_or(first)
}

/// The widths below F, and F.
fn prefixes(grid: &Grid, width: usize) -> Vec<usize> {
    match (&grid.prefixes, grid.architecture) {
        (Some(below), _) => {
            let below = below.iter().copied().filter(|&prefix| prefix < width);
            below.chain([width]).collect()
        }
        (None, Architecture::Matryoshka) => default_prefixes(width),
        (None, _) => Vec::new(),
    }
}
