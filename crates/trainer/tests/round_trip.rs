//! What a run writes is what is read: plans as JSON, and the state in a checkpoint, whatever the objective and however small.

use lapidary_kernels::Device;
use lapidary_store::{Batches, Order, RowSource, SiteRows, SourceError};
use lapidary_trainer::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Windows of three rows at `0.res` and `0.mlp`.
struct Rows(Vec<SiteRows>, Vec<u32>);

impl RowSource for Rows {
    fn sites(&self) -> &[SiteRows] {
        &self.0
    }
    fn window_rows(&self) -> &[u32] {
        &self.1
    }
    fn read(&mut self, windows: &[u32], out: &mut [Vec<f32>]) -> Result<(), SourceError> {
        for (site, out) in out.iter_mut().enumerate() {
            let value = |w: u32, i: usize| (w as f32 * 0.7 + i as f32 * 1.3 + site as f32).sin();
            let cells = 3 * self.0[site].width;
            *out = windows.iter().flat_map(|&w| (0..cells).map(move |i| value(w, i))).collect();
        }
        Ok(())
    }
}

fn finite() -> impl Strategy<Value = f64> {
    prop::num::f64::NORMAL | prop::num::f64::ZERO
}

fn objectives(width: usize) -> impl Strategy<Value = Objective> {
    let aux = || {
        prop::option::of((0.01f64..1.0, 1usize..9, 1u64..99))
            .prop_map(|aux| aux.map(|(alpha, k, dead_rows)| AuxK { alpha, k, dead_rows }))
    };
    prop_oneof![
        Just(Objective::GEMMA_SCOPE),
        (1.0f64..50.0).prop_map(Objective::gemma_scope_2),
        Just(Objective::anthropic(4)),
        Just(Objective::L1),
        Just(Objective::Gated),
        (1..=width, aux()).prop_map(|(k, aux)| Objective::TopK { k, aux }),
        (1..=width, aux()).prop_map(|(k, aux)| Objective::BatchTopK { k, aux }),
    ]
}

/// A dictionary on `d` dimensions, to be trained for a few steps.
fn dictionaries(d: usize, d_out: usize) -> impl Strategy<Value = DictionaryPlan> {
    (1usize..20).prop_flat_map(move |width| {
        let more = (any::<bool>(), any::<bool>(), 0.0001f64..0.1, 0.3f64..3.0, any::<String>());
        (objectives(width), more).prop_map(move |(objective, (transcoder, skip, lambda, c, start))| {
            let output = Transcoder { output: "0.mlp".into(), d_out, c_out: c * 2.0, skip };
            DictionaryPlan {
                lambda: if objective.has_lambda() { lambda } else { 0.0 },
                c,
                theta_init: 0.01,
                target_l0: (objective.has_lambda() && start.len() % 2 == 0).then_some(1.5),
                objective,
                transcoder: transcoder.then_some(output),
                ..DictionaryPlan::new("", "0.res", d, width)
            }
        })
    })
}

fn plans() -> impl Strategy<Value = Plan> {
    (1usize..7, 1usize..7).prop_flat_map(|(d, d_out)| {
        let recipe = (1u64..5, any::<bool>(), any::<u64>());
        (prop::collection::vec(dictionaries(d, d_out), 1..4), recipe).prop_map(
            move |(mut dictionaries, recipe)| {
                let (steps, short, seed) = recipe;
                dictionaries.iter_mut().zip(0..).for_each(|(d, i)| d.name = format!("{i}"));
                let recipe = if short { Recipe::short(steps, d) } else { Recipe::gemma_scope(steps) };
                Plan {
                    recipe: Recipe { batch: 8, ..recipe },
                    dictionaries,
                    seed,
                    checkpoint_every: 1,
                    log_every: 1,
                }
            },
        )
    })
}

/// What a checkpoint keeps of a dictionary.
fn state(t: &Training) -> Training {
    Training { hints: Hints::default(), ..t.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))] // each case trains, and syncs some files

    #[test]
    fn a_checkpoint_comes_back(plan in plans()) {
        let dir = tempfile::tempdir().unwrap();
        let d_out = plan.dictionaries.iter().map(|d| d.d_out()).find(|&n| n != plan.dictionaries[0].d);
        let site = |site: &str, width| SiteRows { site: site.into(), width };
        let wide = d_out.unwrap_or(plan.dictionaries[0].d);
        let rows = Rows(vec![site("0.res", plan.dictionaries[0].d), site("0.mlp", wide)], vec![3; 40]);
        let mut batches = Batches::new(rows, Order { seed: 1, pool_rows: 30 }, plan.recipe.batch).unwrap();
        let (device, start) = (Device::detect(), &BTreeMap::new());
        let run = Run { plan: &plan, plan_hash: "hash", built_by: "test", folder: dir.path(), device, start };
        let trained = train(&run, &mut batches, false, &|| false, &mut |_| {}).unwrap();
        let (marks, loaded) = load_checkpoint(&latest_checkpoint(dir.path()).unwrap(), &plan).unwrap();
        prop_assert_eq!((marks.step, marks.plan_hash.as_str()), (plan.recipe.steps, "hash"));
        for (a, b) in loaded.iter().zip(&trained) {
            prop_assert_eq!(state(a), state(b));
        }
    }

    #[test]
    fn a_plan_comes_back(mut plan in plans(), numbers in prop::array::uniform4(finite()), words in prop::array::uniform2(any::<String>())) {
        let first = &mut plan.dictionaries[0];
        (first.lambda, first.c, first.target_l0) = (numbers[0], numbers[1], Some(numbers[2]));
        (first.name, first.start) = (words[0].clone(), Some(words[1].clone()));
        first.prefixes = vec![1, first.width];
        first.baseline = Some(Baseline::RandomLm);
        plan.recipe.lr = numbers[3];
        let text = serde_json::to_string(&plan).unwrap();
        let back: Plan = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), text);
        prop_assert_eq!(back, plan);
    }
}
