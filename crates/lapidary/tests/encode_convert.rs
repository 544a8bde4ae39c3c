//! `lapidary encode` and `lapidary convert` as a user runs them, on the fixtures that SAELens and NumPy wrote.

use lapidary_files::tensors::{self, Tensor, TensorFile};
use std::path::{Path, PathBuf};
use std::process::Command;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dictionary").join(name);
    path.to_str().unwrap().to_string()
}

/// Exit code, stdout and stderr.
fn lapidary(args: &[&str]) -> (Option<i32>, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_lapidary")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code(), text(out.stdout), text(out.stderr))
}

fn good(args: &[&str]) -> String {
    let (code, out, error) = lapidary(args);
    assert_eq!(code, Some(0), "{args:?}: {error}");
    out
}

/// The one line of an error.
fn bad(args: &[&str]) -> String {
    let (code, _, error) = lapidary(args);
    assert_eq!(code, Some(1), "{args:?}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    error
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The features and reconstructions that SAELens computed, through files alone.
#[test]
fn encode_gives_sae_lens_s_answers() {
    let dir = tempfile::tempdir().unwrap();
    let (dict, input, out) =
        (fixture("sae_lens"), fixture("sae_lens/expected.safetensors"), dir.path().join("f.safetensors"));
    let said = good(&["encode", &dict, "--in", &input, "--out", text(&out)]);
    assert!(said.contains("features [8, 20], recon [8, 6], L0"), "{said}");
    let (found, expected) = (TensorFile::open(&out).unwrap(), TensorFile::open(Path::new(&input)).unwrap());
    for (name, width) in [("features", 20), ("recon", 6)] {
        let a = found.read_f32(name, &[8, width]).unwrap();
        let b = expected.read_f32(name, &[8, width]).unwrap();
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 5e-5), "{name}");
    }
    assert!(bad(&["encode", &dict, "--in", &input, "--out", text(&out)]).contains("--overwrite"));
    let json = good(&[
        "encode",
        &dict,
        "--in",
        &input,
        "--out",
        text(&out),
        "--overwrite",
        "--json",
        "--tensor",
        "recon",
    ]);
    assert!(json.contains("\"rows\":8"), "{json}");
}

/// More rows than a tile, one float tensor under another name, and what may be wrong with the input.
#[test]
fn encode_takes_many_rows_and_refuses_strange_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (dict, input, out) =
        (fixture("npz/stored.npz"), dir.path().join("x.safetensors"), dir.path().join("f.safetensors"));
    let write = |name: &str, d: usize, values: &[f32]| {
        let shape = [values.len() / d, d];
        tensors::write(&input, &[Tensor::f32(name, &shape, values)], &Default::default()).unwrap();
    };
    let run = ["encode", &dict, "--in", text(&input), "--out", text(&out)];
    let rows = 1300;
    let x: Vec<f32> = (0..rows * 6).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 250.0).collect();
    write("3.res", 6, &x);
    good(&run);
    let file = TensorFile::open(&out).unwrap();
    let features = file.read_f32("features", &[rows, 20]).unwrap();
    let dictionary = lapidary_dictionary::load(Path::new(&dict)).unwrap().0;
    let expected = lapidary_dictionary::naive::encode(&dictionary, &x);
    let active: Vec<f32> = features.iter().copied().filter(|&v| v != 0.0).collect();
    assert_eq!(active, expected.value);
    let recon = file.read_f32("recon", &[rows, 6]).unwrap();
    assert_eq!(recon, lapidary_dictionary::naive::reconstruct(&dictionary, &x, &expected));
    std::fs::remove_file(&out).unwrap();
    write("3.res", 5, &x[..10]);
    assert!(bad(&run).contains("expected `3.res` of shape [N, 6], found [2, 5]"));
    let mut nan = x.clone();
    nan[6 * 700 + 2] = f32::NAN;
    write("3.res", 6, &nan);
    assert!(bad(&run).contains("NaN at `3.res`[700, 2]"));
    let named = [&run[..], &["--tensor", "y"]].concat();
    assert!(bad(&named).contains("expected a tensor `y`, found 3.res"));
    assert!(!out.exists());
    assert!(good(&[&run[..], &["--dry-run", "--tensor", "3.res"]].concat()).contains("features [1300, 20]"));
    assert!(!out.exists());
}

/// params.npz → SAELens → params.npz, the same bytes; a full folder and a source inside the output are safe.
#[test]
fn convert_goes_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let npz = fixture("npz/deflated.npz");
    good(&["convert", &npz, "--to", "gemma-scope", "--out", &at("a")]);
    let missing = bad(&["convert", &at("a"), "--to", "sae-lens", "--out", &at("b")]);
    assert!(missing.contains("name it with --site"), "{missing}");
    let named = ["--site", "3.att", "--model-name", "toy"];
    good(&[&["convert", &at("a"), "--to", "sae-lens", "--out", &at("b")][..], &named].concat());
    good(&["convert", &at("b"), "--to", "gemma-scope", "--out", &at("c")]);
    let bytes = |name: &str| std::fs::read(PathBuf::from(at(name)).join("params.npz")).unwrap();
    assert_eq!(bytes("a"), bytes("c"));
    assert!(bad(&["convert", &at("a"), "--to", "gemma-scope", "--out", &at("c")]).contains("--overwrite"));
    good(&["convert", &at("a"), "--to", "gemma-scope", "--out", &at("c"), "--overwrite"]);
    assert!(
        bad(&["convert", &at("c"), "--to", "gemma-scope", "--out", &at("c"), "--overwrite"])
            .contains("apart")
    );
    assert_eq!(bytes("a"), bytes("c"));
    let site = bad(&[
        "convert",
        &at("a"),
        "--to",
        "sae-lens",
        "--out",
        &at("d"),
        "--site",
        "3.resid",
        "--model-name",
        "toy",
    ]);
    assert!(site.contains("unknown site `3.resid`"), "{site}");
    assert!(!Path::new(&at("d")).exists());
    // A folder of SAELens says its own site and model, and what it writes if that is another.
    good(&["convert", &fixture("sae_lens_transcoder"), "--to", "sae-lens", "--out", &at("e")]);
    let sheet = std::fs::read_to_string(at("e/lapidary.json")).unwrap();
    assert!(sheet.contains("\"site\": \"3.res\"") && sheet.contains("\"site_out\": \"3.mlp\""), "{sheet}");
}
