//! Every objective, transcoders, baselines and the controller against an independent PyTorch account by autograd:
//! `fixtures/trainer/family.py` holds plans, initial parameters, batches, and parameters after some of the steps. No
//! decision there (threshold, window, kink, rank) is nearer than 1e-4 to being another, so what may differ is rounding. The
//! readable f64 twin follows the same account.

use lapidary_files::tensors::TensorFile;
use lapidary_kernels::{Device, Isa};
use lapidary_trainer::naive::Twin;
use lapidary_trainer::{Batch, DictionaryPlan, Parameters, Recipe, Training, train_step};
use std::path::Path;

struct Fixture {
    name: String,
    file: TensorFile,
    plan: DictionaryPlan,
    recipe: Recipe,
    /// Steps whose parameters are known.
    snapshots: Vec<usize>,
    tolerance: f64,
}

fn open(name: &str) -> Fixture {
    let path = format!("../../fixtures/trainer/family-{name}.safetensors");
    let file = TensorFile::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let about: serde_json::Value = serde_json::from_str(&file.metadata()["about"]).unwrap();
    let read = |key: &str| about[key].clone();
    let recipe: Recipe = serde_json::from_value(read("recipe")).unwrap();
    Fixture {
        name: name.into(),
        plan: serde_json::from_value(read("plan")).unwrap(),
        snapshots: serde_json::from_value(read("steps")).unwrap(),
        tolerance: about["tolerance_lr"].as_f64().unwrap() * recipe.lr,
        file,
        recipe,
    }
}

impl Fixture {
    fn parameters(&self) -> Parameters {
        let mut p = Parameters::zeros(&self.plan);
        let shapes: Vec<_> = p.tensors().map(|(_, shape, _)| shape).collect();
        for ((name, values), shape) in p.each_mut().named().zip(shapes) {
            *values = self.file.read_f32(&format!("initial.{name}"), &shape).unwrap();
        }
        p
    }

    fn training(&self) -> Training {
        Training::new(self.parameters(), &self.plan, self.recipe.beta1)
    }

    /// Raw rows of all steps, [steps, N, D] and [steps, N, D_out].
    fn rows(&self) -> (Vec<f32>, Vec<f32>) {
        let (steps, n) = (self.recipe.steps as usize, self.recipe.batch);
        let x = self.file.read_f32("x", &[steps, n, self.plan.d]).unwrap();
        let y = self.plan.transcoder.as_ref().map(|t| self.file.read_f32("y", &[steps, n, t.d_out]).unwrap());
        let y = y.unwrap_or_else(|| x.clone());
        (x, y)
    }

    /// Compares what a step saw, and the parameters after it: names, shapes and values.
    fn compare(&self, step: usize, seen: [(&str, f64); 3], parameters: &[(&str, Vec<usize>, Vec<f64>)]) {
        let steps = self.recipe.steps as usize;
        for (what, found) in seen {
            let expected = f64::from(self.file.read_f32(what, &[steps]).unwrap()[step]);
            let off = (found - expected).abs();
            assert!(
                off <= 1e-5 * expected.abs(),
                "{} step {step}: {what} {found}, PyTorch {expected}",
                self.name
            );
        }
        let Some(snapshot) = self.snapshots.iter().position(|&s| s == step) else { return };
        for (name, shape, found) in parameters {
            let shape = [&[self.snapshots.len()], shape.as_slice()].concat();
            let after = self.file.read_f32(&format!("after.{name}"), &shape).unwrap();
            for (i, (&found, &expected)) in found.iter().zip(&after[snapshot * found.len()..]).enumerate() {
                let off = (found - f64::from(expected)).abs();
                let off_lr = off / self.recipe.lr;
                assert!(
                    off <= self.tolerance,
                    "{} step {step} {name}[{i}]: {found}, PyTorch {expected}, {off_lr} lr apart",
                    self.name
                );
            }
        }
    }
}

fn check(name: &str) {
    let fixture = open(name);
    let (x, y) = fixture.rows();
    let (plan, recipe) = (&fixture.plan, &fixture.recipe);
    for isa in Isa::available() {
        let mut training = fixture.training();
        for step in 0..recipe.steps as usize {
            let of = |rows: &[f32], d: usize| rows[step * recipe.batch * d..][..recipe.batch * d].to_vec();
            let (input, output) = (of(&x, plan.d), of(&y, plan.d_out()));
            let batch = Batch { input: &input, output: &output };
            let device = Device::Cpu(isa);
            let seen = train_step(&mut training, batch, plan, recipe, step as u64, device, &mut |_| ());
            assert_eq!(training.stopped, None);
            let seen = [("loss", seen.loss), ("l0", seen.l0), ("lambda", seen.lambda)];
            let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect();
            let tensors = training.slots.tensors().map(|(name, shape, slot)| (name, shape, wide(&slot.p)));
            let tensors: Vec<_> = tensors.collect();
            fixture.compare(step, seen, &tensors);
        }
    }
    twin(&fixture, (&x, &y));
}

/// The readable twin's trajectory.
fn twin(fixture: &Fixture, (x, y): (&[f32], &[f32])) {
    let (plan, recipe) = (&fixture.plan, &fixture.recipe);
    let start = fixture.parameters();
    let mut twin = Twin::new(&start);
    for step in 0..recipe.steps as usize {
        let of = |rows: &[f32], d: usize| rows[step * recipe.batch * d..][..recipe.batch * d].to_vec();
        let (input, output) = (of(x, plan.d), of(y, plan.d_out()));
        let lambda = twin.lambda(plan, recipe, step as u64);
        let batch = Batch { input: &input, output: &output };
        let seen = twin.step(batch, plan, recipe, step as u64);
        let seen = [("loss", seen.loss), ("l0", seen.l0), ("lambda", lambda)];
        let tensors = start.tensors();
        let tensors: Vec<_> =
            tensors.map(|(name, shape, _)| (name, shape, twin.state.p.tensor(name).values.clone())).collect();
        fixture.compare(step, seen, &tensors);
    }
}

macro_rules! follows_pytorch {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            check($name);
        })*
    };
}

follows_pytorch! {
    quadratic: "quadratic",
    tanh: "tanh",
    l1: "l1",
    gated: "gated",
    topk: "topk",
    batchtopk: "batchtopk",
    matryoshka: "matryoshka",
    matryoshka_jumprelu: "matryoshka-jumprelu",
    matryoshka_gated: "matryoshka-gated",
    transcoder: "transcoder",
    transcoder_skip: "transcoder-skip",
    gated_skip: "gated-skip",
    frozen_encoder: "frozen-encoder",
    controller: "controller",
}
