//! What a run will cost, before it begins: time, memory, disk. Rough, and said to be.

use crate::SuiteError;
use crate::error::invalid;
use crate::plan::RunPlan;
use lapidary_text::{Corpus, Window};
use lapidary_trainer::{DictionaryPlan, Objective, Recipe};

/// The cost of a run.
pub struct Estimate {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Bytes at the peak.
    pub memory: Memory,
    /// Bytes.
    pub disk: u64,
    /// The encoders' share of the arithmetic; the rest is the language model's.
    pub encoder_share: f64,
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

/// For a model of so many parameters, on a processor that does `speed` multiply-adds in a second on products like ours.
/// `fused`: the model runs too.
pub fn of(plan: &RunPlan, model: usize, corpus: &Corpus, speed: f64, fused: bool) -> Estimate {
    let recipe = &plan.training.recipe;
    let rows = (recipe.steps * recipe.batch as u64) as f64;
    let dictionaries = &plan.training.dictionaries;
    // A skip is one more product, of D_out features.
    let skip = |d: &DictionaryPlan| if has_skip(d) { d.d_out() } else { 0 };
    let encoders: f64 = dictionaries.iter().map(|d| d.d as f64 * (d.width + skip(d)) as f64).sum();
    let models = if plan.needs_random_lm() { 2.0 } else { 1.0 };
    let weights = models * model as f64;
    let lm = if fused { weights * 1.5 } else { 0.0 };
    let work = encoders * STEP_PER_PRODUCT + lm;
    let parameters: f64 = dictionaries.iter().map(parameters).sum();
    let pool = (plan.rows.rows_per_epoch as f64).min(plan.rows.pool_rows as f64) + recipe.batch as f64;
    Estimate {
        seconds: rows * work / speed,
        memory: Memory {
            rows: 4.0 * pool * plan.row_sets().values().sum::<usize>() as f64,
            model: 4.0 * weights,
            text: 4.0 * corpus.tokens as f64 + (size_of::<Window>() * corpus.windows.len()) as f64,
            ..training_memory(dictionaries, recipe)
        },
        disk: (parameters * disk_per_parameter(recipe)) as u64,
        encoder_share: encoders * STEP_PER_PRODUCT / work,
    }
}

/// Of the dictionaries and their steps alone.
pub fn training_memory(dictionaries: &[DictionaryPlan], recipe: &Recipe) -> Memory {
    let largest = |of: fn(&DictionaryPlan, usize) -> f64| {
        dictionaries.iter().map(|d| of(d, recipe.batch)).fold(0.0, f64::max)
    };
    // In the first steps half of all features are active.
    let step = largest(|d, batch| step_bytes(d, batch, d.width as f64 / 2.0));
    // A copy in raw units, and the encoder once more, transposed.
    let saving = largest(|d, _| 4.0 * (parameters(d) + d.d as f64 * d.width as f64));
    // What a dictionary begins as is held beside it.
    let times = |d: &DictionaryPlan| if d.start.is_some() { 2.0 } else { 1.0 };
    let dictionaries = dictionaries.iter().map(|d| times(d) * dictionary_bytes(d, recipe)).sum();
    Memory { dictionaries, step: step.max(saving), ..Memory::default() }
}

fn has_skip(d: &DictionaryPlan) -> bool {
    d.transcoder.as_ref().is_some_and(|t| t.skip)
}

/// How many numbers are trained: W_enc, W_dec, b_dec, W_skip, and up to four per feature.
pub fn parameters(plan: &DictionaryPlan) -> f64 {
    let (d, d_out, f) = (plan.d as f64, plan.d_out() as f64, plan.width as f64);
    let of_feature = match plan.objective {
        Objective::Gated => 3.0,
        Objective::JumpRelu { .. } => 2.0,
        Objective::L1 | Objective::TopK { .. } | Objective::BatchTopK { .. } => 1.0,
    };
    let skip = if has_skip(plan) { d * d_out } else { 0.0 };
    f * (d + d_out + of_feature) + d_out + skip
}

/// Bytes of one dictionary in training: its tensors, their moments (the second; the first where β₁ > 0), and three stamps per
/// feature.
pub fn dictionary_bytes(plan: &DictionaryPlan, recipe: &Recipe) -> f64 {
    4.0 * state(recipe) * parameters(plan) + 12.0 * plan.width as f64
}

/// Numbers that training keeps for each parameter, itself included.
fn state(recipe: &Recipe) -> f64 {
    if recipe.beta1 > 0.0 { 3.0 } else { 2.0 }
}

/// Bytes on disk of each parameter of a run that is kept: two checkpoints and the dictionary.
pub fn disk_per_parameter(recipe: &Recipe) -> f64 {
    4.0 * (2.0 * state(recipe) + 1.0)
}

/// Bytes of one step of `n` rows with `l0` active features each: input (twice, and at 3 bytes as integers), target and M
/// errors of each row (one per prefix, one of a second reconstruction; a skip comes once more, and with its gradient and the
/// terms of that), the kernels' copy of a part of W_enc or later, where over 2/5 of all features fire, two copies of the
/// errors, gradients of the features that are taken together (2,048), entries that are kept from one pass to the other, and
/// those of the block at hand. Limits are the kernels' (128 MiB) and the trainer's (64 Mi and 8 Mi entries of 8 bytes; a block
/// exists four times while it is made). Where entries compete they carry row and feature, 12 bytes: those of a block, and the
/// k of each row, once to be chosen and once chosen; and as many dead ones as help.
pub fn step_bytes(plan: &DictionaryPlan, n: usize, l0: f64) -> f64 {
    const MI: f64 = 1024.0 * 1024.0;
    let (n, d, d_out) = (n as f64, plan.d as f64, plan.d_out() as f64);
    let (second, chosen) = match &plan.objective {
        Objective::Gated => (1.0, None),
        Objective::TopK { k, aux } | Objective::BatchTopK { k, aux } => {
            let helping = aux.map_or(0.0, |aux| aux.k as f64);
            (if aux.is_some() { 1.0 } else { 0.0 }, Some(*k as f64 + helping))
        }
        Objective::JumpRelu { .. } | Objective::L1 => (0.0, None),
    };
    let errors = plan.prefixes.len().max(1) as f64 + second + if has_skip(plan) { 1.0 } else { 0.0 };
    let rows = 4.0 * n * (2.75 * d + d_out + errors * d_out);
    let whole_dots = if 5.0 * l0 > 2.0 * plan.width as f64 { 8.0 * n * d_out } else { 0.0 };
    let copy = (6.125 * d * plan.width as f64).min(128.0 * MI).max(whole_dots);
    let gradients = 4.0 * (plan.width as f64).min(2048.0) * (d + d_out);
    let skip = if has_skip(plan) { 4.0 * d_out * (3.0 * n + d) } else { 0.0 };
    let (entries, block) = (n * l0, (n * l0).min(8.0 * MI));
    let kept = chosen.map_or(8.0 * entries.min(64.0 * MI), |k| 12.0 * block + 24.0 * n * k);
    rows + copy + gradients + skip + kept + 32.0 * block
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
    use lapidary_trainer::Transcoder;

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

    /// Half of 131,072 features in each of 4,096 rows would be 2 GiB of entries; the trainer keeps a quarter of them.
    #[test]
    fn a_dense_step_is_bounded() {
        let plan = plan(2_304, 131_072);
        let dense = dictionary_bytes(&plan, &recipe(4_096)) + step_bytes(&plan, 4_096, 65_536.0);
        assert!(dense < 6.0 * GIB as f64, "{dense}");
        assert!(step_bytes(&plan, 4_096, 70.0) < 0.4 * GIB as f64);
    }

    /// By hand: W_enc's copy is 6.125 MB, two of the errors are 8 MB, and 200,000 more entries are 40 bytes each.
    #[test]
    fn a_narrow_dense_step_copies_its_errors() {
        let step = |l0| step_bytes(&plan(1_000, 1_000), 1_000, l0);
        assert_eq!(step(500.0) - step(300.0), 8e6 - 6.125e6 + 40.0 * 200_000.0);
    }

    /// By hand, D 1,000, F 10,000, N 1,000: each error of D_out numbers per row is 4 MB, or 2 MB to D_out = 500.
    #[test]
    fn what_an_architecture_adds() {
        let (recipe, step) = (recipe(1_000), |plan: &DictionaryPlan| step_bytes(plan, 1_000, 5_000.0));
        let sae = plan(1_000, 10_000);
        let nested = DictionaryPlan { prefixes: vec![2_500, 5_000, 10_000], ..sae.clone() };
        assert_eq!(step(&nested) - step(&sae), 2.0 * 4e6);
        let gated = DictionaryPlan { objective: Objective::Gated, ..sae.clone() };
        assert_eq!(step(&gated) - step(&sae), 4e6);
        assert_eq!(dictionary_bytes(&gated, &recipe) - dictionary_bytes(&sae, &recipe), 8.0 * 10_000.0);
        let transcoder = |skip| DictionaryPlan {
            transcoder: Some(Transcoder { output: "0.mlp".into(), d_out: 500, c_out: 1.0, skip }),
            ..sae.clone()
        };
        let gradients = 2_048.0 * 500.0 * 4.0;
        assert_eq!(step(&sae) - step(&transcoder(false)), 2.0 * 2e6 + gradients, "target, error, gradients");
        let skip =
            dictionary_bytes(&transcoder(true), &recipe) - dictionary_bytes(&transcoder(false), &recipe);
        assert_eq!(skip, 8.0 * 1_000.0 * 500.0);
    }

    /// Numbers that no machine has do not wrap round to small ones.
    #[test]
    fn absurd_sizes_are_large() {
        let absurd = training_memory(&[plan(9_000_000_000, 9_000_000_000_000_000_000)], &recipe(1));
        assert_eq!(absurd.total(), u64::MAX);
    }
}
