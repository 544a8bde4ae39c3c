//! Formats in and out: our own bytes come back, and what NumPy and SAELens wrote (`fixtures/dictionary`) means here what it
//! means there.

use lapidary_dictionary::*;
use lapidary_files::tensors::TensorFile;
use lapidary_kernels::Device;
use proptest::prelude::*;
use std::io::Read;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dictionary").join(name)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn all_bits(d: &Dictionary) -> Vec<Vec<u32>> {
    let skip = d.w_skip.as_deref().unwrap_or_default();
    [&d.w_enc, &d.b_enc, &d.threshold, &d.w_dec, &d.b_dec, skip].map(bits).to_vec()
}

fn finite() -> impl Strategy<Value = f32> {
    prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO
}

/// Any finite parameters, −0 and subnormals included.
fn dictionaries() -> impl Strategy<Value = Dictionary> {
    (1usize..9, 1usize..40, 1usize..9).prop_flat_map(|(d_in, f, d_out)| {
        let floats = |n: usize| prop::collection::vec(finite(), n);
        (floats(f * d_in), floats(f), floats(f), floats(f * d_out), floats(d_out)).prop_map(
            move |(w_enc, b_enc, threshold, w_dec, b_dec)| Dictionary {
                w_enc,
                b_enc,
                threshold: threshold.iter().map(|t| t.abs()).collect(), // an npz has no others
                w_dec,
                b_dec,
                w_skip: None,
                activation: Activation::JumpRelu,
                d_in,
                d_out,
            },
        )
    })
}

/// The same with what an npz cannot hold: θ below 0, TopK, a gate with a small e^r, each with or without a skip.
fn others() -> impl Strategy<Value = Dictionary> {
    let values = prop::collection::vec(finite(), 64);
    (dictionaries(), any::<bool>(), 0usize..3, 1usize..40, values).prop_map(
        |(mut dictionary, skip, kind, k, values)| {
            let f = dictionary.width();
            let first = values.iter().copied().cycle();
            match kind {
                0 => dictionary.threshold[0] = -1.5,
                1 => {
                    dictionary.threshold.fill(0.0);
                    dictionary.activation = Activation::TopK { k: k.min(f) };
                }
                _ => {
                    dictionary.b_enc.fill(0.0);
                    dictionary.threshold = first.clone().take(f).collect();
                    let r_mag = first.clone().skip(9).take(f).map(|r| (r % 80.0) - 8.0).collect();
                    dictionary.activation =
                        Activation::Gated { r_mag, b_mag: first.skip(5).take(f).collect() };
                    if let Activation::Gated { r_mag, .. } = &mut dictionary.activation {
                        r_mag[0] = -8.0; // too small to be folded
                    }
                }
            }
            dictionary.w_skip = skip.then(|| values[..dictionary.d_out * dictionary.d_in].to_vec());
            dictionary
        },
    )
}

fn meta(site: &str, site_out: &str) -> Meta {
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
        probe: Probe::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))] // each case syncs six files
    /// npz → SAELens → npz: every parameter keeps its bits, and equal dictionaries give equal files.
    #[test]
    fn conversion_is_lossless(dictionary in dictionaries()) {
        let dir = tempfile::tempdir().unwrap();
        let (npz, folder) = (dir.path().join("a.npz"), dir.path().join("folder"));
        write_npz(&npz, &dictionary).unwrap();
        let (first, none) = load(&npz).unwrap();
        prop_assert!(none.is_none());
        prop_assert_eq!(all_bits(&first), all_bits(&dictionary));
        let meta = meta("2.res", if dictionary.d_in == dictionary.d_out { "2.res" } else { "3.mlp" });
        save_sae_lens(&folder, &first, &meta, "# card").unwrap();
        let (second, found) = load(&folder).unwrap();
        prop_assert_eq!(found, Some(meta));
        prop_assert_eq!(all_bits(&second), all_bits(&dictionary));
        prop_assert_eq!((second.d_in, second.d_out), (dictionary.d_in, dictionary.d_out));
        let again = dir.path().join("b.npz");
        write_npz(&again, &second).unwrap();
        prop_assert_eq!(std::fs::read(npz).unwrap(), std::fs::read(again).unwrap());
    }

    /// All of them go through SAELens' folder as they are, and an npz refuses them.
    #[test]
    fn the_family_is_kept(dictionary in others()) {
        let dir = tempfile::tempdir().unwrap();
        let npz = dir.path().join("a.npz");
        let text = write_npz(&npz, &dictionary).unwrap_err().to_string();
        prop_assert!(text.contains("write a SAELens folder") && !npz.exists(), "{}", text);
        let meta = meta("2.res", if dictionary.d_in == dictionary.d_out { "2.res" } else { "3.mlp" });
        save_sae_lens(dir.path(), &dictionary, &meta, "# card").unwrap();
        let (found, _) = load(dir.path()).unwrap();
        prop_assert_eq!(&found.activation, &dictionary.activation);
        prop_assert_eq!(found.w_skip.is_some(), dictionary.w_skip.is_some());
        prop_assert_eq!(all_bits(&found), all_bits(&dictionary));
        prop_assert_eq!((found.d_in, found.d_out), (dictionary.d_in, dictionary.d_out));
    }
}

/// Stored, deflated and Fortran order hold the same arrays; W_enc[k, f] of NumPy is our w_enc[f·D + k].
#[test]
fn numpy_s_archives_are_read() {
    let stored = load(&fixture("npz/stored.npz")).unwrap().0;
    assert_eq!((stored.d_in, stored.width(), stored.d_out), (6, 20, 6));
    assert_eq!(stored, load(&fixture("npz/deflated.npz")).unwrap().0);
    assert_eq!(stored, load(&fixture("npz/fortran.npz")).unwrap().0);
    // numpy.random.default_rng(1).standard_normal((6, 20)): [0, 0], [0, 1] and [1, 0].
    assert_eq!(
        (stored.w_enc[0], stored.w_enc[6], stored.w_enc[1]),
        (0.345_584_18, 0.821_618_14, 0.008_142_181)
    );
}

/// NumPy's other floats: f64 and big-endian of the same f32 numbers, f16 and bf16 of them rounded.
#[test]
fn numpy_s_other_floats_are_read() {
    let stored = load(&fixture("npz/stored.npz")).unwrap().0;
    for name in ["double", "big_endian"] {
        assert_eq!(load(&fixture(&format!("npz/{name}.npz"))).unwrap().0, stored, "{name}");
    }
    for (name, round) in [
        ("half", (|v| half::f16::from_f32(v).to_f32()) as fn(f32) -> f32),
        ("bfloat16", |v| half::bf16::from_f32(v).to_f32()),
    ] {
        let found = load(&fixture(&format!("npz/{name}.npz"))).unwrap().0;
        let rounded = |values: &[f32]| values.iter().map(|&v| round(v)).collect::<Vec<_>>();
        assert_eq!(found.w_enc, rounded(&stored.w_enc), "{name}");
        assert_eq!(found.w_dec, rounded(&stored.w_dec), "{name}");
        assert_eq!(found.threshold, rounded(&stored.threshold), "{name}");
    }
    let error = |name: &str| load(&fixture(&format!("npz/{name}.npz"))).unwrap_err().to_string();
    assert!(error("too_large").contains("`W_dec.npy` of numbers that f32 can hold, found 1e39 at [2, 1]"));
    let integer = error("integer");
    assert!(integer.contains("f16, bf16, f32 or f64, found dtype <i4; save it with NumPy"), "{integer}");
}

/// Our archive holds, byte for byte, the npy entries that NumPy writes.
#[test]
fn our_archives_are_numpy_s() {
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("params.npz");
    write_npz(&ours, &load(&fixture("npz/stored.npz")).unwrap().0).unwrap();
    let entries = |path: &Path| {
        let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
        let names: Vec<String> = archive.file_names().map(str::to_string).collect();
        let read = |name: &String| {
            let mut bytes = Vec::new();
            archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
            (name.clone(), bytes)
        };
        names.iter().map(read).collect::<Vec<_>>()
    };
    assert_eq!(entries(&ours), entries(&fixture("npz/stored.npz")));
    assert!(load(dir.path()).is_ok(), "a folder with a params.npz");
}

/// Rows with their zeros `[N, F]`.
fn dense(active: &lapidary_kernels::Csr) -> Vec<f32> {
    let f = active.columns;
    let mut dense = vec![0.0f32; active.rows() * f];
    for n in 0..active.rows() {
        let (index, value) = active.row(n);
        index.iter().zip(value).for_each(|(&i, &v)| dense[n * f + i as usize] = v);
    }
    dense
}

/// Folders that SAELens wrote give SAELens' own features and reconstructions.
#[test]
#[allow(clippy::print_stderr)]
fn sae_lens_s_own_folders_give_its_answers() {
    for (name, d_out) in [
        ("sae_lens", 6),
        ("sae_lens_bias", 6),
        ("sae_lens_standard", 6),
        ("sae_lens_gated", 6),
        ("sae_lens_topk", 6),
        ("sae_lens_topk_by_norm", 6),
        ("sae_lens_transcoder", 4),
        ("sae_lens_transcoder_skip", 4),
        ("sae_lens_transcoder_relu", 4),
        ("sae_lens_transcoder_relu_skip", 4),
    ] {
        let (dictionary, meta) = load(&fixture(name)).unwrap();
        assert!(meta.is_none());
        let (d, f) = (dictionary.d_in, dictionary.width());
        assert_eq!((d, f, dictionary.d_out), (6, 20, d_out));
        match &dictionary.activation {
            Activation::TopK { k } => assert!(name.contains("topk") && *k == 5),
            Activation::Gated { .. } => assert!(name.contains("gated")),
            Activation::JumpRelu => assert!(!name.contains("topk") && !name.contains("gated")),
        }
        assert_eq!(dictionary.w_skip.is_some(), name.ends_with("skip"));
        let expected = TensorFile::open(&fixture(name).join("expected.safetensors")).unwrap();
        let x = expected.read_f32("x", &[8, d]).unwrap();
        let features = expected.read_f32("features", &[8, f]).unwrap();
        let recon = expected.read_f32("recon", &[8, d_out]).unwrap();
        let active = dictionary.encode(Device::detect(), &x);
        let dense = dense(&active);
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(features.iter().zip(&dense).all(|(a, b)| (*a == 0.0) == (*b == 0.0)), "{name}: active sets");
        assert!(close(&features, &dense) < 2e-5, "{name}: {}", close(&features, &dense));
        let found = dictionary.reconstruct(Device::detect(), &x, &active);
        assert!(close(&recon, &found) < 5e-5, "{name}: {}", close(&recon, &found));
        eprintln!(
            "{name}: features within {:.0e}, recon within {:.0e}",
            close(&features, &dense),
            close(&recon, &found)
        );
        let origin = sae_lens::provenance(&fixture(name)).unwrap();
        assert_eq!((origin.site.as_deref(), origin.model.as_deref()), (Some("3.res"), Some("toy")));
        assert_eq!((origin.context, origin.prepend_bos), (Some(16), Some(true)));
        assert_eq!(origin.site_out.as_deref(), (d_out == 4).then_some("3.mlp"));
    }
}

/// The keys by which SAELens decides what a folder is.
#[test]
fn cfg_says_what_sae_lens_needs() {
    let dictionary = load(&fixture("npz/stored.npz")).unwrap().0;
    let dir = tempfile::tempdir().unwrap();
    let cfg = |site: &str, site_out: &str| {
        let probe = Probe::synthetic(&dictionary, Device::detect(), 2);
        save_sae_lens(dir.path(), &dictionary, &Meta { probe, ..meta(site, site_out) }, "a card").unwrap();
        let text = std::fs::read_to_string(dir.path().join("cfg.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let res = cfg("3.res", "3.res");
    assert_eq!(
        (res["architecture"].as_str(), res["reshape_activations"].as_str()),
        (Some("jumprelu"), Some("none"))
    );
    assert!(res["metadata"]["sae_lens_version"].as_str().unwrap().starts_with("6."));
    assert_eq!((res["apply_b_dec_to_input"].as_bool(), res["d_sae"].as_u64()), (Some(false), Some(20)));
    let att = cfg("3.att", "3.att");
    assert_eq!(att["metadata"]["hook_name"], "blocks.3.attn.hook_z");
    assert_eq!(att["reshape_activations"], "hook_z");
    assert_eq!(
        cfg("3.att", "3.mlp")["reshape_activations"],
        "none",
        "a transcoder of SAELens joins no heads"
    );
    let transcoder = cfg("3.mlp-in", "3.mlp");
    assert_eq!(
        (transcoder["architecture"].as_str(), transcoder["d_out"].as_u64()),
        (Some("jumprelu_transcoder"), Some(6))
    );
    assert_eq!(transcoder["metadata"]["hook_name_out"], "blocks.3.hook_mlp_out");
    assert_eq!(std::fs::read_to_string(dir.path().join("card.md")).unwrap(), "a card");
    let (loaded, meta) = load(dir.path()).unwrap();
    meta.unwrap().probe.verify(dir.path(), &loaded, Device::detect()).unwrap();
}

/// The architecture by which SAELens finds a class, and what that class wants to know.
#[test]
fn cfg_names_the_architecture() {
    let dir = tempfile::tempdir().unwrap();
    let plain = load(&fixture("npz/stored.npz")).unwrap().0;
    let w_skip = Some(vec![0.5; 36]);
    let top_k =
        Dictionary { threshold: vec![0.0; 20], activation: Activation::TopK { k: 7 }, ..plain.clone() };
    let cfg = |dictionary: &Dictionary, site_out: &str| {
        save_sae_lens(dir.path(), dictionary, &meta("3.res", site_out), "a card").unwrap();
        let text = std::fs::read_to_string(dir.path().join("cfg.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    for (dictionary, site_out, name) in [
        (Dictionary { w_skip: w_skip.clone(), ..plain.clone() }, "3.mlp", "jumprelu_skip_transcoder"),
        (Dictionary { w_skip: w_skip.clone(), ..plain }, "3.res", "jumprelu_skip_transcoder"),
        (top_k.clone(), "3.res", "topk"),
        (top_k.clone(), "3.mlp", "topk_transcoder"),
        (Dictionary { w_skip, ..top_k }, "3.mlp", "topk_skip_transcoder"),
    ] {
        let found = cfg(&dictionary, site_out);
        assert_eq!(found["architecture"], name);
        let k = name.starts_with("topk").then_some(7);
        assert_eq!(
            (found["k"].as_u64(), found["rescale_acts_by_decoder_norm"].as_bool()),
            (k, k.map(|_| false))
        );
        assert_eq!(found["d_out"].as_u64(), name.ends_with("transcoder").then_some(6));
        assert_eq!(load(dir.path()).unwrap().0, dictionary);
    }
}
