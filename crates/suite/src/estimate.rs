//! What a run will cost, before it begins: memory and disk by counting, time by how fast its parts go ([`Pace`]).

use crate::SuiteError;
use crate::error::invalid;
use crate::plan::RunPlan;
use lapidary_lm::Spec;
use lapidary_text::{Corpus, Window};
use lapidary_trainer::{DictionaryPlan, Recipe, memory};

/// The cost of a run.
pub struct Estimate {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Bytes at the peak.
    pub memory: Memory,
    /// Bytes.
    pub disk: u64,
    /// The dictionaries' share of the time; the rest is the language model's.
    pub dictionary_share: f64,
    /// Rows of training in a second, all told.
    pub rows_per_s: f64,
}

/// How fast the parts of a run go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Seconds that the language model, and its randomised twin, take for a row; 0 where rows come from a store.
    pub row_s: f64,
    /// Seconds of one step of every dictionary.
    pub step_s: f64,
}

impl Pace {
    /// What arithmetic alone would take on a processor that does `speed` multiply-adds in a second: for runs that are over soon, or
    /// cannot be tried.
    pub fn guessed(plan: &RunPlan, model: ModelCost, speed: f64, fused: bool) -> Pace {
        let models = if plan.needs_random_lm() { 2.0 } else { 1.0 };
        let row = if fused { models * model.multiply_adds * AROUND_PRODUCTS } else { 0.0 };
        let product: usize = plan.training.dictionaries.iter().map(|d| d.d * (d.width + skip(d))).sum();
        let step = plan.training.recipe.batch as f64 * product as f64 * STEP_PER_PRODUCT;
        Pace { row_s: row / speed, step_s: step / speed }
    }
}

/// A skip is one more product, of D_out features.
fn skip(d: &DictionaryPlan) -> usize {
    if d.transcoder.as_ref().is_some_and(|t| t.skip) { d.d_out() } else { 0 }
}

/// Bytes that a run holds at its peak.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Parameters, moments and stamps of every dictionary.
    pub dictionaries: f64,
    /// What the largest step adds, or the saving of the largest dictionary. One dictionary does it after the other.
    pub step: f64,
    /// Rows that are shuffled together, and the batch.
    pub rows: f64,
    /// The language model, and its randomised twin.
    pub model: f64,
    /// Windows of tokens.
    pub text: f64,
}

impl Memory {
    /// With the program itself, and what the system's allocator keeps.
    pub fn total(&self) -> u64 {
        const PROGRAM: f64 = 64.0 * 1024.0 * 1024.0;
        (self.dictionaries + self.step + self.rows + self.model + self.text + PROGRAM) as u64
    }
}

/// Everything sparse around the encoder's product costs about as much again in short runs.
pub const STEP_PER_PRODUCT: f64 = 2.2;

/// What a language model costs.
#[derive(Clone, Copy, Debug)]
pub struct ModelCost {
    /// All that are held.
    pub parameters: usize,
    /// Multiply-adds of a token, to the deepest site.
    pub multiply_adds: f64,
}

/// Norms, rotations, softmax and copies around the model's products; measured on SmolLM2-135M.
const AROUND_PRODUCTS: f64 = 1.1;

/// Multiply-adds of a token in the first `layers` layers: projections, attention over half of a window of `context` tokens, MLP.
pub fn multiply_adds(spec: &Spec, layers: usize, context: usize) -> f64 {
    let (d, queries, keys) = (spec.d_model, spec.heads * spec.d_head, spec.kv_heads * spec.d_head);
    let mlp = if spec.gated { 3 } else { 2 } * d * spec.d_mlp;
    (layers * (2 * d * (queries + keys) + queries * context + mlp)) as f64
}

/// Of a run at this pace, with a model that holds `weights` numbers.
pub fn of(plan: &RunPlan, weights: usize, corpus: &Corpus, pace: Pace) -> Estimate {
    let recipe = &plan.training.recipe;
    let rows = (recipe.steps * recipe.batch as u64) as f64;
    let dictionaries = &plan.training.dictionaries;
    let models = if plan.needs_random_lm() { 2.0 } else { 1.0 };
    // The first pool is measured and trained on; what C is measured on beyond it, the model makes twice.
    let beyond = plan.rows.norm_rows > plan.rows.pool_rows as u64;
    let twice = if beyond { plan.rows.norm_rows as f64 } else { 0.0 };
    let steps = recipe.steps as f64 * pace.step_s;
    let seconds = steps + (rows + twice) * pace.row_s;
    let parameters: f64 = dictionaries.iter().map(memory::parameters).sum();
    let pool = (plan.rows.rows_per_epoch as f64).min(plan.rows.pool_rows as f64) + recipe.batch as f64;
    Estimate {
        seconds,
        memory: Memory {
            rows: 4.0 * pool * plan.row_sets().values().sum::<usize>() as f64,
            model: 4.0 * models * weights as f64,
            text: 4.0 * corpus.tokens as f64 + (size_of::<Window>() * corpus.windows.len()) as f64,
            ..training_memory(dictionaries, recipe)
        },
        disk: (parameters * disk_per_parameter(recipe)) as u64,
        dictionary_share: steps / seconds,
        rows_per_s: rows / seconds,
    }
}

/// Of the dictionaries and their steps alone.
pub fn training_memory(dictionaries: &[DictionaryPlan], recipe: &Recipe) -> Memory {
    let largest = |of: fn(&DictionaryPlan, usize) -> f64| {
        dictionaries.iter().map(|d| of(d, recipe.batch)).fold(0.0, f64::max)
    };
    // In the first steps half of all features are active.
    let step = largest(|d, batch| memory::step(d, batch, d.width as f64 / 2.0));
    let saving = largest(|d, _| memory::saving(d));
    // What a dictionary begins as is held beside it.
    let times = |d: &DictionaryPlan| if d.start.is_some() { 2.0 } else { 1.0 };
    let dictionaries = dictionaries.iter().map(|d| times(d) * memory::dictionary(d, recipe.beta1)).sum();
    Memory { dictionaries, step: step.max(saving), ..Memory::default() }
}

/// Bytes on disk of each parameter of a run that is kept: two checkpoints and the dictionary.
pub fn disk_per_parameter(recipe: &Recipe) -> f64 {
    4.0 * (2.0 * memory::numbers_per_parameter(recipe.beta1) + 1.0)
}

/// `needs 31.0 GiB, this machine has 24.0 GiB; try fewer widths or sites`: refuses what cannot fit, before anything is allocated.
/// Where the machine does not say what it has (`there`, bytes), everything fits.
///
/// # Errors
/// `needs` bytes are more than are there.
pub fn must_fit(needs: u64, there: Option<u64>, instead: &str) -> Result<(), SuiteError> {
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64);
    match there {
        Some(there) if needs > there => {
            invalid!("needs {}, this machine has {}; try {instead}", gib(needs), gib(there))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn plan(d: usize, width: usize) -> DictionaryPlan {
        DictionaryPlan::new("bench", "bench", d, width)
    }

    fn recipe(batch: usize) -> Recipe {
        Recipe { batch, ..Recipe::gemma_scope(1) }
    }

    #[test]
    fn what_does_not_fit_is_refused_in_one_sentence() {
        let error = must_fit(31 * GIB, Some(24 * GIB), "fewer widths or sites").unwrap_err().to_string();
        assert_eq!(error, "needs 31.0 GiB, this machine has 24.0 GiB; try fewer widths or sites");
        assert!(must_fit(24 * GIB, Some(24 * GIB), "").is_ok());
        assert!(must_fit(u64::MAX, None, "").is_ok(), "nobody says what is there");
    }

    /// Gemma 2 2B's residual stream by hand: W_enc, W_dec and their moments are 4 × 151 MB = 604 MB.
    #[test]
    fn a_dictionary_is_four_matrices() {
        let one = training_memory(&[plan(2_304, 16_384)], &recipe(4_096));
        let matrices = 4.0 * 4.0 * 2_304.0 * 16_384.0;
        assert!((one.dictionaries / matrices - 1.0).abs() < 0.001, "{}", one.dictionaries);
        let short = training_memory(&[plan(2_304, 16_384)], &Recipe::short(1, 2_304));
        assert!((short.dictionaries / one.dictionaries - 1.5).abs() < 0.01, "six with first moments");
        let six = training_memory(&vec![plan(2_304, 16_384); 6], &recipe(4_096));
        assert_eq!(six.dictionaries, 6.0 * one.dictionaries);
        assert_eq!(six.step, one.step, "steps are taken one after another");
        // All 78 sites of it, at this width: 47 GB.
        let suite = training_memory(&vec![plan(2_304, 16_384); 78], &recipe(4_096));
        assert!(must_fit(suite.total(), Some(24 * GIB), "fewer widths or sites").is_err());
        assert!((46 * GIB > suite.total()) && (suite.total() > 44 * GIB), "{}", suite.total());
    }

    /// Numbers that no machine has do not wrap round to small ones.
    #[test]
    fn absurd_sizes_are_large() {
        let absurd = training_memory(&[plan(9_000_000_000, 9_000_000_000_000_000_000)], &recipe(1));
        assert_eq!(absurd.total(), u64::MAX);
    }
}
