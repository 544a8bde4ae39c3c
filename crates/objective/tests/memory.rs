//! What training is said to take (`memory.rs`) against the peak that Linux measures of a process that takes real steps. Every shape
//! has a process of its own, because a peak does not come down. The program's allocator is that of the binary.
#![cfg(target_os = "linux")]

use lapidary_kernels::{Device, HugePages};
use lapidary_objective::{
    AuxK, Batch, DictionaryPlan, Objective, Parameters, Rates, Threshold, Training, Transcoder, Workspace,
    memory, step,
};
use std::io::Write;
use std::process::Command;

#[global_allocator]
static ALLOCATOR: HugePages = HugePages;

/// Says which shape a child measures.
const SHAPE: &str = "LAPIDARY_TEST_SHAPE";
/// How far off a prediction may be.
const TOLERANCE: f64 = 0.15;

/// Dictionary, rows of a step, β₁.
fn shape(name: &str) -> (DictionaryPlan, usize, f64) {
    let plan =
        |d, width, theta_init| DictionaryPlan { theta_init, ..DictionaryPlan::new("a", "0.res", d, width) };
    match name {
        "sparse" => (plan(512, 8_192, 0.115), 4_096, 0.0),
        "dense" => (plan(256, 8_192, 0.0), 2_048, 0.9),
        "transcoder" => {
            let aux = Some(AuxK { alpha: 0.03, k: 64, dead_rows: 1 });
            let transcoder = Some(Transcoder { output: "0.mlp".into(), d_out: 384, c_out: 1.0, skip: true });
            let plan = plan(512, 8_192, 0.0);
            (DictionaryPlan { objective: Objective::TopK { k: 32, aux }, transcoder, ..plan }, 4_096, 0.9)
        }
        "nested" => {
            let plan = plan(128, 4_096, 0.0);
            (
                DictionaryPlan { objective: Objective::Gated, prefixes: vec![512, 2_048, 4_096], ..plan },
                8_192,
                0.0,
            )
        }
        other => panic!("no shape {other}"),
    }
}

/// Rows of norm 1 or so, of independent numbers (by xorshift).
fn rows(seed: u64, n: usize, d: usize) -> Vec<f32> {
    let mut state = seed + 0x9E37_79B9_7F4A_7C15;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let scale = (3.0 / d as f32).sqrt();
    (0..n * d).map(|_| scale * uniform()).collect()
}

/// A line of /proc/self/status, in bytes.
fn status(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() * 1024.0
}

#[test]
#[ignore = "the child of the test below, for one shape"]
fn child() {
    let (plan, n, beta1) = shape(&std::env::var(SHAPE).unwrap());
    let (x, y) = (rows(0, n, plan.d), rows(9, n, plan.d_out()));
    let batch = if plan.transcoder.is_some() { Batch { input: &x, output: &y } } else { Batch::from(&x[..]) };
    Device::detect().linear(&x[..plan.d], &x[..plan.d], None, plan.d, &mut [0.0]); // its threads are there
    let before = status("VmRSS");
    let mut p = Parameters::zeros(&plan);
    for (values, d) in [(&mut p.w_enc, plan.d), (&mut p.w_dec, plan.d_out())] {
        let weights = rows(77, plan.width, d);
        values.copy_from_slice(&weights);
    }
    p.threshold.iter_mut().for_each(|theta| theta.fill(plan.theta_init));
    let mut training = Training::new(p, &plan, beta1);
    let mut workspace = Workspace::default();
    let mut entries = 0;
    for step_number in 0..2 {
        let rates = Rates {
            step: step_number,
            lr: 1e-9,
            lr_decoder: 1.0,
            lambda: 0.0,
            bandwidth: 0.001,
            threshold: Threshold::Raw,
            beta1,
            beta2: 0.999,
            adam_epsilon: 1e-8,
        };
        workspace.load(batch, &plan);
        step(&mut training, &mut workspace, &plan, &rates, Device::detect(), &mut |_| ());
        assert_eq!(training.stopped, None);
        entries = entries.max(training.hints.entries.unwrap());
    }
    writeln!(std::io::stdout(), "measured {} {}", status("VmHWM") - before, entries as f64 / n as f64)
        .unwrap();
}

/// Bytes at the peak, and entries of a row.
fn measured(name: &str) -> (f64, f64) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(SHAPE, name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.split_once("measured "))
        .unwrap_or_else(|| panic!("{name}: {text}"));
    let (peak, entries) = line.1.split_once(' ').unwrap();
    (peak.parse().unwrap(), entries.parse().unwrap())
}

#[test]
fn training_takes_what_it_is_said_to_take() {
    for name in ["sparse", "dense", "transcoder", "nested"] {
        let (plan, n, beta1) = shape(name);
        let (peak, entries) = measured(name);
        let (dictionary, step) = (memory::dictionary(&plan, beta1), memory::step(&plan, n, entries));
        let off = (dictionary + step) / peak - 1.0;
        assert!(
            off.abs() <= TOLERANCE,
            "{name}: {dictionary} and {step} of {peak}, {entries} entries: {off:.3}"
        );
    }
}
