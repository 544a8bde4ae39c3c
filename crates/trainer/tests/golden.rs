//! The trainer against an independent PyTorch implementation of the recipe: `fixtures/trainer/make.py` holds initial
//! parameters, 20 batches and the parameters after each step. Every z there stays 1e-4 away from θ and the window's
//! edges, so active sets cannot differ; what may differ is rounding, hence a tolerance in units of the learning rate.

use lapidary_files::tensors::TensorFile;
use lapidary_kernels::{Device, Isa};
use lapidary_trainer::{
    Batch, DictionaryPlan, Objective, Parameters, Recipe, Slot, Threshold, Training, train_step,
};
use std::path::Path;

struct Fixture {
    file: TensorFile,
    meta: serde_json::Value,
    plan: DictionaryPlan,
    recipe: Recipe,
}

fn open(preset: &str) -> Fixture {
    let path = format!("../../fixtures/trainer/trajectory-{preset}.safetensors");
    let file = TensorFile::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let meta: serde_json::Value = serde_json::from_str(&file.metadata()["recipe"]).unwrap();
    let number = |key: &str| meta[key].as_f64().unwrap();
    let recipe = Recipe {
        steps: number("steps") as u64,
        batch: number("n") as usize,
        lr: number("lr"),
        lr_warmup: number("lr_warmup") as u64,
        lambda_warmup: number("sparsity_warmup") as u64,
        bandwidth: number("epsilon") as f32,
        threshold: if meta["log_threshold"] == true { Threshold::Log } else { Threshold::Raw },
        beta2: number("beta2"),
        adam_epsilon: number("eps") as f32,
        ..Recipe::gemma_scope(20)
    };
    let plan = DictionaryPlan {
        name: "golden".into(),
        site: "0.res".into(),
        d: number("d") as usize,
        width: number("f") as usize,
        lambda: number("sparsity"),
        c: number("c"),
        theta_init: 0.001,
        baseline: None,
        objective: Objective::GEMMA_SCOPE,
        prefixes: Vec::new(),
        transcoder: None,
        target_l0: None,
        start: None,
        bandwidth: None,
        row_cap: None,
        measured: None,
    };
    Fixture { file, meta, plan, recipe }
}

impl Fixture {
    /// The fixture's name of a parameter: θ is compared as it is trained.
    fn key(&self, name: &str) -> String {
        let log = name == "threshold" && self.recipe.threshold == Threshold::Log;
        if log { "log_threshold".into() } else { name.into() }
    }

    fn initial(&self) -> Parameters {
        let mut p = Parameters::zeros(&self.plan);
        let shapes: Vec<_> = p.tensors().map(|(_, shape, _)| shape).collect();
        for ((name, values), shape) in p.each_mut().named().zip(shapes) {
            *values = self.file.read_f32(&format!("initial.{}", self.key(name)), &shape).unwrap();
        }
        p
    }

    /// Parameter `name` after each step, [steps, …] flat.
    fn after(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        let shape: Vec<usize> = [&[self.recipe.steps as usize], shape].concat();
        self.file.read_f32(&format!("after.{}", self.key(name)), &shape).unwrap()
    }
}

fn check(preset: &str, isa: Isa) {
    let fixture = open(preset);
    let (n, d) = (fixture.recipe.batch, fixture.plan.d);
    let steps = fixture.recipe.steps as usize;
    let x = fixture.file.read_f32("x", &[steps, n, d]).unwrap();
    let l0 = fixture.file.shape("l0").unwrap();
    assert_eq!(l0, [steps]);
    let tolerance = fixture.meta["tolerance_lr"].as_f64().unwrap() * fixture.recipe.lr;
    let mut training = Training::new(fixture.initial(), &fixture.plan, fixture.recipe.beta1);
    let mut worst: f64 = 0.0;
    for s in 0..steps {
        let batch = &x[s * n * d..(s + 1) * n * d];
        let batch = Batch::from(batch);
        let device = Device::Cpu(isa);
        train_step(&mut training, batch, &fixture.plan, &fixture.recipe, s as u64, device, &mut |_| ());
        for (name, shape, Slot { p: found, .. }) in training.slots.tensors() {
            let after = fixture.after(name, &shape);
            for (i, (&found, &expected)) in found.iter().zip(&after[s * found.len()..]).enumerate() {
                let off = f64::from((found - expected).abs());
                worst = worst.max(off);
                assert!(off <= tolerance, "{preset} step {s} {name}[{i}]: {found}, PyTorch {expected}");
            }
        }
    }
    for (name, shape, Slot { v: found, .. }) in training.slots.tensors() {
        let expected = fixture.file.read_f32(&format!("v.{name}"), &shape).unwrap();
        let decay = |feature: usize| match name {
            "b_dec" => 1.0,
            "threshold" => 0.999f64.powi(steps as i32 - training.window_stamp[feature] as i32),
            _ => 0.999f64.powi(steps as i32 - training.active_stamp[feature] as i32),
        };
        for (i, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
            let found =
                f64::from(found) * decay(i * training.active_stamp.len() / shape.iter().product::<usize>());
            let bound = fixture.meta["tolerance_v"].as_f64().unwrap() * f64::from(expected).abs() + 1e-12;
            assert!(
                (found - f64::from(expected)).abs() <= bound,
                "{preset} v.{name}[{i}]: {found} {expected}"
            );
        }
    }
    assert!(worst > 0.0, "bitwise equal to PyTorch is too good to be true");
}

#[test]
fn gemma_scope_preset_follows_pytorch() {
    Isa::available().into_iter().for_each(|isa| check("gemma-scope", isa));
}

#[test]
fn short_preset_follows_pytorch() {
    Isa::available().into_iter().for_each(|isa| check("short", isa));
}
