//! Dictionaries that were read wrongly once (`fixtures/cases/dictionary`), beside what their owners make of the same rows.

use lapidary_dictionary::*;
use lapidary_files::tensors::{self, Tensor, TensorFile};
use lapidary_kernels::Device;
use std::path::{Path, PathBuf};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cases/dictionary").join(name)
}

/// Features `[N, F]` and reconstruction `[N, D_out]` of `dictionary` are those in `NAME.expected.safetensors`, but for
/// features whose owner's value is within `near` of where they switch off.
fn agrees(dictionary: &Dictionary, name: &str, near: f32) {
    let expected = TensorFile::open(&case(&format!("{name}.expected.safetensors"))).unwrap();
    let read = |name: &str| expected.read_f32(name, expected.shape(name).unwrap()).unwrap();
    let (x, features, recon) = (read("x"), read("features"), read("recon"));
    let active = dictionary.encode(Device::detect(), &x);
    let f = dictionary.width();
    let mut dense = vec![0.0f32; features.len()];
    for n in 0..active.rows() {
        let (index, value) = active.row(n);
        index.iter().zip(value).for_each(|(&i, &v)| dense[n * f + i as usize] = v);
    }
    let mut both = [0; 2]; // how many were off and on
    for (at, (a, b)) in dense.iter().zip(&features).enumerate() {
        assert!((a - b).abs() <= near, "{name}: row {} feature {}: {a}, expected {b}", at / f, at % f);
        both[usize::from(*b > 0.0)] += 1;
    }
    assert!(both.iter().all(|&n| n > features.len() / 8), "{name}: {both:?}");
    let found = dictionary.reconstruct(Device::detect(), &x, &active);
    let worst = found.iter().zip(&recon).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 1e-4, "{name}: {worst}");
}

/// r = −20: no f32 of the magnitude tells the gate's two sides apart, and yet the gate decides.
#[test]
fn a_gate_with_a_small_scale_is_kept() {
    let (dictionary, _) = load(&case("gated-small-r_mag")).unwrap();
    agrees(&dictionary, "gated-small-r_mag", 0.0);
    let path = case("gated-small-r_mag/x.safetensors");
    let x = TensorFile::open(&path).unwrap().read_f32("x", &[2, 8]).unwrap();
    let active = dictionary.encode(Device::detect(), &x);
    assert_eq!((active.row(0).1, active.row(1).1.len()), (&[1.0; 4][..], 0));
    assert_eq!(dictionary.clone().without_gate(), None);
    let dir = tempfile::tempdir().unwrap();
    let text = write_npz(&dir.path().join("x.npz"), &dictionary).unwrap_err().to_string();
    assert!(text.contains("found a gate that f32 would lose") && text.contains("SAELens folder"), "{text}");
}

/// e^r = 2⁻¹² with gates and magnitudes of every sign, by SAELens.
#[test]
fn gates_and_magnitudes_of_every_sign() {
    let (mut dictionary, _) = load(&case("gated-small-r_mag")).unwrap();
    dictionary.threshold = vec![0.5, -0.25, 0.0, -3.0]; // −b_gate of make.py
    let r_mag = vec![-12.0 * std::f32::consts::LN_2; 4];
    dictionary.activation = Activation::Gated { r_mag, b_mag: vec![1.0, -1e-4, 0.5, 0.0] };
    agrees(&dictionary, "gated-r_mag-2-to-the-minus-12", 1e-7);
}

/// Owners apply a ReLU before the jump: a θ below 0 is 0. In a folder of ours it is what it is.
#[test]
fn a_negative_threshold_is_read_as_its_owner_does() {
    for (name, path) in [("jumprelu-negative-theta", "jumprelu-negative-theta"), ("neg", "neg.npz")] {
        let (dictionary, meta) = load(&case(path)).unwrap();
        assert!(meta.is_none() && dictionary.threshold.iter().all(|&theta| theta >= 0.0));
        assert!(dictionary.threshold.contains(&0.0));
        agrees(&dictionary, name, 2e-5);
    }
    let mut ours = load(&case("neg.npz")).unwrap().0;
    ours.threshold[3] = -0.25;
    let dir = tempfile::tempdir().unwrap();
    let meta = meta(&ours, "3.res", "3.res");
    save_sae_lens(dir.path(), &ours, &meta, "card").unwrap();
    assert_eq!(load(dir.path()).unwrap().0, ours);
    let text = write_npz(&dir.path().join("x.npz"), &ours).unwrap_err().to_string();
    assert!(text.contains("found θ = -0.25 at [3]"), "{text}");
}

fn meta(dictionary: &Dictionary, site: &str, site_out: &str) -> Meta {
    Meta {
        site: site.into(),
        site_out: site_out.into(),
        hf_hook_name: None,
        model: ModelRef { name: "toy".into(), hash: None, precision: None },
        context: None,
        prepend_bos: true,
        special_tokens: vec![],
        l0: None,
        training: None,
        probe: Probe::synthetic(dictionary, Device::detect(), 2),
    }
}

#[test]
fn an_array_of_two_names_is_refused() {
    let text = load(&case("both.npz")).unwrap_err().to_string();
    assert!(text.contains("expected one array `W_enc`, found `W_enc.npy` and `w_enc.npy`"), "{text}");
}

/// A zip archive may list one name twice; readers then take the last, or the first.
#[test]
fn an_entry_of_a_name_that_is_taken_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("twice.npz");
    let mut bytes = std::fs::read(case("both.npz")).unwrap();
    // `w_enc.npy` becomes a second `W_enc.npy`, in its own header and in the directory.
    for at in 0..bytes.len() - 9 {
        if bytes[at..].starts_with(b"w_enc.npy") {
            bytes[at] = b'W';
        }
    }
    std::fs::write(&path, bytes).unwrap();
    let text = load(&path).unwrap_err().to_string();
    assert!(text.contains("found 5 of 6 entries: two have one name"), "{text}");
}

/// A transcoder that names no output, or one that is no site here, asks for it and stays a transcoder.
#[test]
fn a_transcoder_asks_for_its_output() {
    for (name, says) in [
        ("transcoder-without-hook_name_out", "found none; name it with --site-out"),
        (
            "transcoder-unknown-hook_name_out",
            "found `blocks.3.mlp.hook_post`, which is no site here; name it with --site-out",
        ),
    ] {
        let (dictionary, meta) = load(&case(name)).unwrap();
        let find = |out| sites(&case(name), &dictionary, meta.as_ref(), None, out);
        let text = find(None).unwrap_err().to_string();
        assert!(text.contains(says), "{text}");
        assert_eq!(find(Some("3.mlp")).unwrap().written, "3.mlp");
        let text = sites(&case(name), &dictionary, None, Some("1.res"), None).unwrap_err().to_string();
        assert!(text.contains("--site-out"), "{text}");
    }
    let path = case("transcoder-with-hook_name_out");
    let dictionary = load(&path).unwrap().0;
    let moved = sites(&path, &dictionary, None, Some("1.mlp-in"), None).unwrap();
    assert_eq!((moved.read.as_str(), moved.written.as_str()), ("1.mlp-in", "3.mlp"));
}

/// A dictionary of one head reads a part of a site: refused by name, wherever and in whichever version it says so.
#[test]
fn a_head_index_is_refused() {
    let source = case("transcoder-with-hook_name_out");
    for (key, place) in [
        ("hook_head_index", "metadata"),
        ("hook_head_index_out", "metadata"),
        ("hook_head_index", ""),
        ("hook_point_head_index", ""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let weights = "sae_weights.safetensors";
        std::fs::copy(source.join(weights), dir.path().join(weights)).unwrap();
        let text = std::fs::read_to_string(source.join("cfg.json")).unwrap();
        let mut cfg: serde_json::Value = serde_json::from_str(&text).unwrap();
        let at = if place.is_empty() { &mut cfg } else { &mut cfg[place] };
        at[key] = 3.into();
        std::fs::write(dir.path().join("cfg.json"), cfg.to_string()).unwrap();
        let text = load(dir.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("cfg.json: expected `{key}` to be null, found 3")), "{text}");
    }
}

/// What `change` does to a folder of ours, and which checks then fail.
fn failures(change: impl FnOnce(&Path)) -> Vec<String> {
    let dictionary = load(&case("neg.npz")).unwrap().0;
    let dir = tempfile::tempdir().unwrap();
    save_sae_lens(dir.path(), &dictionary, &meta(&dictionary, "3.res", "3.res"), "card").unwrap();
    change(dir.path());
    let checks = verify(dir.path(), Device::detect());
    checks.into_iter().filter_map(|check| Some(check.result.err()?.to_string())).collect()
}

fn replace(dir: &Path, file: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(dir.join(file)).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(dir.join(file), text.replacen(from, to, 1)).unwrap();
}

/// Hook, site and probe changed by hand: each is named with its file.
#[test]
fn verify_notices_what_was_changed_by_hand() {
    assert_eq!(failures(|_| ()), Vec::<String>::new());
    let one = |change: &dyn Fn(&Path), says: &str| {
        let found = failures(|dir| change(dir));
        assert!(found.iter().any(|text| text.contains(says)), "{found:?}");
    };
    let hook = "blocks.3.hook_resid_post";
    one(
        &|dir| replace(dir, "cfg.json", hook, "blocks.2.hook_resid_post"),
        "cfg.json: expected `metadata.hook_name` to be \"blocks.3.hook_resid_post\", found \"blocks.2.hook_resid_post\"",
    );
    one(&|dir| replace(dir, "lapidary.json", hook, "hook_embed"), "lapidary.json: expected `hook_name`");
    one(&|dir| replace(dir, "lapidary.json", "\"3.res\"", "\"2.res\""), "cfg.json: expected");
    one(&|dir| replace(dir, "cfg.json", "\"toy\"", "\"other\""), "`metadata.model_name` to be \"toy\"");
    one(&|dir| std::fs::remove_file(dir.join("card.md")).unwrap(), "card.md: cannot read");
    let emptied = |dir: &Path| {
        let text = std::fs::read_to_string(dir.join("lapidary.json")).unwrap();
        let start = text.find("\"probe\"").unwrap();
        let probe = "\"probe\": {\"x\":[],\"active\":[],\"recon\":[]}\n}\n";
        std::fs::write(dir.join("lapidary.json"), format!("{}{probe}", &text[..start])).unwrap();
    };
    one(&emptied, "lapidary.json: expected a probe of at least one row, found none");
    one(&|dir| replace(dir, "lapidary.json", "\"recon\":[[", "\"recon\":[[1"), "reconstruction in row 0");
    let flip = |dir: &Path| {
        let path = dir.join("sae_weights.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    one(&flip, "sae_weights.safetensors: expected the weights with blake3");
}

/// Of other people's dictionaries: what they say.
#[test]
fn verify_reads_other_people_s_dictionaries() {
    let failed = |name: &str| {
        let checks = verify(&case(name), Device::detect());
        checks.iter().filter_map(|c| Some(c.result.as_ref().err()?.to_string())).collect::<Vec<_>>()
    };
    for good in ["jumprelu-negative-theta", "gated-small-r_mag", "transcoder-with-hook_name_out", "neg.npz"] {
        assert_eq!(failed(good), Vec::<String>::new(), "{good}");
    }
    assert!(failed("transcoder-unknown-hook_name_out")[0].contains("found `blocks.3.mlp.hook_post`"));
    assert!(failed("both.npz")[0].contains("one array `W_enc`"));
}

/// Infinite where it was read or only once it is folded: an error that names the tensor and the place, in every format.
#[test]
fn numbers_that_are_not_finite_are_named() {
    let source = case("gated-small-r_mag");
    for (name, at) in [
        ("W_enc", "[1, 2]"),
        ("W_dec", "[0, 6]"),
        ("b_dec", "[6]"),
        ("b_gate", "[3]"),
        ("b_mag", "[3]"),
        ("r_mag", "[3]"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(source.join("cfg.json"), dir.path().join("cfg.json")).unwrap();
        let file = TensorFile::open(&source.join("sae_weights.safetensors")).unwrap();
        let arrays: Vec<(String, Vec<usize>, Vec<f32>)> = file
            .names()
            .into_iter()
            .map(|tensor| {
                let shape = file.shape(&tensor).unwrap().to_vec();
                let mut values = file.read_f32(&tensor, &shape).unwrap();
                if tensor == name {
                    let last = values.len().min(if values.len() == 4 { 4 } else { 7 }) - 1;
                    values[last] = f32::NEG_INFINITY;
                }
                (tensor, shape, values)
            })
            .collect();
        let all: Vec<Tensor> = arrays.iter().map(|(n, s, v)| Tensor::f32(n, s, v)).collect();
        tensors::write(&dir.path().join("sae_weights.safetensors"), &all, &Default::default()).unwrap();
        let text = load(dir.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("-inf at `{name}`{at}")), "{text}");
    }
}
