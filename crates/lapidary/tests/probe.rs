//! The path on a real model, for machines that do not have it: `fixtures/stories260k` holds held-out rows of `3.res`, a
//! small dictionary that `lapidary train` made, and what float64 NumPy makes of the two. Where the shared data is,
//! `cargo test -- --ignored` compares the rows themselves with `lapidary lm tap` on the recorded tokens.
#![allow(clippy::print_stderr)]

use lapidary_dictionary::load;
use lapidary_files::tensors::{Dtype, TensorFile};
use lapidary_kernels::{Device, Isa};
use std::path::{Path, PathBuf};
use std::process::Command;

const N: usize = 512; // rows
const D: usize = 64;
const F: usize = 128;
/// Windows and their tokens, BOS included.
const WINDOWS: [usize; 2] = [4, 129];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/stories260k").join(name)
}

/// expected.json, see make.py.
#[derive(serde::Deserialize)]
struct Expected {
    l0: f64,
    fvu: f64,
    active: Vec<Vec<usize>>,
    /// [row, feature] too close to the threshold to compare.
    near: Vec<[usize; 2]>,
    feature_sum: Vec<f64>,
    recon_sum: Vec<f64>,
    recon_norm: Vec<f64>,
}

fn rows() -> Vec<f32> {
    TensorFile::open(&fixture("rows.safetensors")).unwrap().read_f32("x", &[N, D]).unwrap()
}

fn lapidary(args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_lapidary")).args(args).output().unwrap()
}

fn good(args: &[&str]) -> String {
    let out = lapidary(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum()
}

fn squares(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum()
}

/// FVU of docs/numerics.md §4 over rows x [N, D].
fn fvu(x: &[f32], recon: &[f32]) -> f64 {
    let error: f64 = x.iter().zip(recon).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let column = |d: usize| x.iter().skip(d).step_by(D).map(|&v| f64::from(v)).sum::<f64>();
    let mean: f64 = (0..D).map(|d| column(d).powi(2)).sum::<f64>() / N as f64;
    error / (squares(x) - mean)
}

#[test]
fn encode_gives_numpy_s_features_reconstructions_and_scores() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("features.safetensors");
    let (dictionary, input) = (fixture("dictionary"), fixture("rows.safetensors"));
    let said = good(&["encode", text(&dictionary), "--in", text(&input), "--out", text(&out), "--json"]);
    let file = TensorFile::open(&out).unwrap();
    let features = file.read_f32("features", &[N, F]).unwrap();
    let recon = file.read_f32("recon", &[N, D]).unwrap();
    let json = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&json).unwrap();

    let share = expected.near.len() as f64 / (N * F) as f64;
    eprintln!("{} of {} pre-activations are too near a threshold: {share:.1e}", expected.near.len(), N * F);
    assert!(share < 1e-4);
    let near = |n: usize, f: usize| expected.near.contains(&[n, f]);
    for n in 0..N {
        let (row, back) = (&features[n * F..][..F], &recon[n * D..][..D]);
        let active: Vec<usize> = (0..F).filter(|&f| row[f] != 0.0 && !near(n, f)).collect();
        let wanted: Vec<usize> = expected.active[n].iter().copied().filter(|&f| !near(n, f)).collect();
        assert_eq!(active, wanted, "row {n}");
        if (0..F).any(|f| near(n, f)) {
            continue;
        }
        let norm = expected.recon_norm[n];
        let bounds = [
            (sum(row), expected.feature_sum[n], expected.feature_sum[n].abs() + norm),
            (sum(back), expected.recon_sum[n], (D as f64).sqrt() * norm),
            (squares(back).sqrt(), norm, norm),
        ];
        for (found, wanted, scale) in bounds {
            assert!((found - wanted).abs() <= 2e-6 * scale, "row {n}: {found}, expected {wanted}");
        }
    }
    let l0 = features.iter().filter(|&&v| v != 0.0).count() as f64 / N as f64;
    assert!((l0 - expected.l0).abs() <= expected.near.len() as f64 / N as f64, "L0 {l0}");
    let printed: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(printed["l0"].as_f64(), Some(l0), "{said}");
    let found = fvu(&rows(), &recon);
    assert!((found - expected.fvu).abs() <= 1e-5 * expected.fvu, "FVU {found}, expected {}", expected.fvu);
}

/// The dictionary's own four rows, to the bit, on every path; and a probe that lies is refused.
#[test]
fn the_dictionary_passes_its_own_probe() {
    let folder = fixture("dictionary");
    let (dictionary, meta) = load(&folder).unwrap();
    let meta = meta.unwrap();
    assert_eq!((meta.site.as_str(), meta.probe.x.len()), ("3.res", 4));
    for device in [Device::detect(), Device::Cpu(Isa::Portable)] {
        meta.probe.verify(&folder, &dictionary, device).unwrap();
    }
    let mut wrong = meta.probe;
    let value = &mut wrong.active[2][0].1;
    *value = f32::from_bits(value.to_bits() + 1);
    let error = wrong.verify(&folder, &dictionary, Device::detect()).unwrap_err().to_string();
    assert!(error.contains("active features"), "{error}");
}

/// The committed rows are transformers' in float64: within 1e-5 of a row's norm, element by element.
#[test]
#[ignore = "needs ../shared/data/stories260k, which is never committed"]
fn tap_gives_the_committed_rows() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let dir = tempfile::tempdir().unwrap();
    let file = TensorFile::open(&fixture("rows.safetensors")).unwrap();
    let tokens = file.read_pod::<i64>("tokens", Dtype::I64, &WINDOWS).unwrap();
    let committed = rows();
    let mut worst = 0.0f64;
    let per_window = WINDOWS[1] - 1;
    for (w, window) in tokens.chunks_exact(WINDOWS[1]).enumerate() {
        let out = dir.path().join(format!("{w}.safetensors"));
        let ids: Vec<String> = window.iter().map(i64::to_string).collect();
        let model = ["lm", "tap", "--data", text(&data), "--model", "stories260k", "--sites", "3.res"];
        good(&[&model[..], &["--tokens", &ids.join(","), "--out", text(&out)]].concat());
        let tapped = TensorFile::open(&out).unwrap().read_f32("3.res", &[WINDOWS[1], D]).unwrap();
        let wanted = &committed[w * per_window * D..][..per_window * D];
        for (found, wanted) in tapped[D..].chunks_exact(D).zip(wanted.chunks_exact(D)) {
            let norm = squares(wanted).sqrt();
            worst = found.iter().zip(wanted).fold(worst, |m, (a, b)| m.max(f64::from((a - b).abs()) / norm));
        }
    }
    eprintln!("largest difference: {worst:.1e} of a row's norm");
    assert!(worst <= 1e-5, "largest difference: {worst:.1e} of a row's norm");
}
