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

fn case(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cases/dictionary").join(name);
    path.to_str().unwrap().to_string()
}

/// A transcoder that names no output stays one, and asks for it; one that does keeps it when its input moves.
#[test]
fn convert_keeps_a_transcoder_s_output() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let run = |from: &str, out: &str, more: &[&str]| {
        let first = ["convert", &case(from), "--to", "sae-lens", "--out", &at(out)].map(str::to_string);
        first.into_iter().chain(more.iter().map(|s| s.to_string())).collect::<Vec<_>>()
    };
    let fails = |args: Vec<String>| bad(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let works = |args: Vec<String>| good(&args.iter().map(String::as_str).collect::<Vec<_>>());
    for name in ["transcoder-without-hook_name_out", "transcoder-unknown-hook_name_out"] {
        let text = fails(run(name, "a", &[]));
        assert!(
            text.contains("a transcoder that says the site that it writes") && text.contains("--site-out"),
            "{text}"
        );
        assert!(!Path::new(&at("a")).exists());
        works(run(name, name, &["--site-out", "3.mlp"]));
        let cfg = std::fs::read_to_string(at(&format!("{name}/cfg.json"))).unwrap();
        assert!(
            cfg.contains("jumprelu_transcoder")
                && cfg.contains("\"hook_name_out\": \"blocks.3.hook_mlp_out\""),
            "{cfg}"
        );
        good(&["verify", &at(name)]);
    }
    works(run("transcoder-with-hook_name_out", "b", &["--site", "1.mlp-in"]));
    let sheet = std::fs::read_to_string(at("b/lapidary.json")).unwrap();
    assert!(sheet.contains("\"site\": \"1.mlp-in\"") && sheet.contains("\"site_out\": \"3.mlp\""), "{sheet}");
    // Our own folder too.
    good(&["convert", &at("b"), "--to", "sae-lens", "--out", &at("c"), "--site", "2.mlp-in"]);
    let sheet = std::fs::read_to_string(at("c/lapidary.json")).unwrap();
    assert!(sheet.contains("\"site\": \"2.mlp-in\"") && sheet.contains("\"site_out\": \"3.mlp\""), "{sheet}");
    let text = fails(run("transcoder-with-hook_name_out", "d", &["--unscaled-embedding"]));
    assert!(text.contains("reads and writes embed, found one from 3.mlp-in to 3.mlp"), "{text}");
    let text = fails(run("transcoder-with-hook_name_out", "d", &["--unscaled-embedding", "--site", "embed"]));
    assert!(text.contains("found one from embed to 3.mlp"), "{text}");
    assert!(!Path::new(&at("d")).exists());
    // An npz says no site: the flag is its word.
    let npz = fixture("npz/stored.npz");
    good(&["convert", &npz, "--to", "gemma-scope", "--out", &at("e.npz"), "--unscaled-embedding"]);
    let named = ["--unscaled-embedding", "--site", "3.res", "--to", "gemma-scope", "--out"];
    assert!(bad(&[&["convert", &npz][..], &named, &[&at("f")]].concat()).contains("from 3.res to 3.res"));
}

/// A name says what is in the file, in every verb that writes tensors; NumPy's and PyTorch's files are named as such.
#[test]
fn names_agree_with_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (dict, input) = (fixture("sae_lens"), fixture("sae_lens/expected.safetensors"));
    for name in ["x.npz", "x.npy", "x.pt", "x.json"] {
        let text = bad(&["encode", &dict, "--in", &input, "--out", &at(name)]);
        assert!(text.contains("the name of a safetensors file") && text.contains("x.safetensors"), "{text}");
        assert!(!Path::new(&at(name)).exists());
    }
    for verb in ["logits", "tap"] {
        let sites: &[&str] = if verb == "tap" { &["--sites", "embed"] } else { &[] };
        let text =
            bad(&[&["lm", verb, "--model", "none", "--tokens", "1", "--out", &at("x.npz")][..], sites]
                .concat());
        assert!(text.contains("the name of a safetensors file"), "{text}");
    }
    let text = bad(&["encode", &dict, "--in", &fixture("npz/stored.npz"), "--out", &at("y")]);
    assert!(
        text.contains("stored.npz: expected a safetensors file, found a NumPy archive; write one"),
        "{text}"
    );
    std::fs::write(at("x.npy"), b"\x93NUMPY\x01\x00").unwrap();
    let text = bad(&["encode", &dict, "--in", &at("x.npy"), "--out", &at("y")]);
    assert!(text.contains("found a NumPy array"), "{text}");
    let source = fixture("npz/stored.npz");
    good(&["convert", &source, "--to", "gemma-scope", "--out", &at("z.npz")]);
    assert_eq!(std::fs::read(at("z.npz")).unwrap()[..4], *b"PK\x03\x04");
    assert!(bad(&["convert", &source, "--to", "gemma-scope", "--out", &at("z.npz")]).contains("--overwrite"));
    for (to, out) in [("sae-lens", "w.npz"), ("sae-lens", "w.safetensors"), ("gemma-scope", "w.safetensors")]
    {
        let text = bad(&[
            "convert",
            &source,
            "--to",
            to,
            "--out",
            &at(out),
            "--site",
            "3.res",
            "--model-name",
            "toy",
        ]);
        assert!(text.contains("expected the name of a folder"), "{text}");
    }
}

/// What its owner's features are, through the verb: a gate that f32 would lose with its magnitudes, and θ below 0.
#[test]
fn encode_gives_the_owners_answers() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("f.safetensors");
    for (name, expected, near) in [
        ("gated-small-r_mag", "gated-small-r_mag", 0.0),
        ("jumprelu-negative-theta", "jumprelu-negative-theta", 2e-5),
        ("neg.npz", "neg", 2e-5),
    ] {
        let input = case(&format!("{expected}.expected.safetensors"));
        good(&["encode", &case(name), "--in", &input, "--tensor", "x", "--out", text(&out), "--overwrite"]);
        let (found, wanted) = (TensorFile::open(&out).unwrap(), TensorFile::open(Path::new(&input)).unwrap());
        let shape = wanted.shape("features").unwrap();
        let (a, b) =
            (found.read_f32("features", shape).unwrap(), wanted.read_f32("features", shape).unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= near), "{name}");
    }
    // A gated one comes back from a folder of ours as it is.
    let folder = dir.path().join("gated");
    good(&["convert", &case("gated-small-r_mag"), "--to", "sae-lens", "--out", text(&folder)]);
    let load = |path: &Path| lapidary_dictionary::load(path).unwrap().0;
    assert_eq!(load(&folder), load(Path::new(&case("gated-small-r_mag"))));
    assert!(good(&["verify", text(&folder)]).contains("ok      "));
}
