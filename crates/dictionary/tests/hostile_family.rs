//! Folders of the other architectures (TopK, gated, ReLU, skip transcoders), made from SAELens' own in `fixtures/dictionary` by
//! one lie each: always an error that names the file and the lie.

use lapidary_dictionary::load;
use lapidary_files::tensors::{self, Tensor, TensorFile};
use serde_json::{Value, json};
use std::path::Path;

/// A tensor of a file: name, shape, values.
type Array = (String, Vec<usize>, Vec<f32>);

/// What loading the fixture `name` says after `change` of its cfg and tensors.
fn changed(name: &str, change: impl FnOnce(&mut Value, &mut Vec<Array>)) -> Result<(), String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dictionary").join(name);
    let mut cfg = serde_json::from_str(&std::fs::read_to_string(source.join("cfg.json")).unwrap()).unwrap();
    let file = TensorFile::open(&source.join("sae_weights.safetensors")).unwrap();
    let array = |name: String| {
        let shape = file.shape(&name).unwrap().to_vec();
        let values = file.read_f32(&name, &shape).unwrap();
        (name, shape, values)
    };
    let mut arrays: Vec<Array> = file.names().into_iter().map(array).collect();
    change(&mut cfg, &mut arrays);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cfg.json"), cfg.to_string()).unwrap();
    let all: Vec<Tensor> =
        arrays.iter().map(|(name, shape, values)| Tensor::f32(name, shape, values)).collect();
    tensors::write(&dir.path().join("sae_weights.safetensors"), &all, &Default::default()).unwrap();
    let result = load(dir.path()).map(|_| ()).map_err(|e| e.to_string());
    if let Err(text) = &result {
        assert!(text.contains("cfg.json") || text.contains("sae_weights.safetensors"), "{text}");
        assert!(!text.contains('\n'), "one line: {text}");
    }
    result
}

const ALL: [&str; 10] = [
    "sae_lens",
    "sae_lens_bias",
    "sae_lens_standard",
    "sae_lens_gated",
    "sae_lens_topk",
    "sae_lens_topk_by_norm",
    "sae_lens_transcoder",
    "sae_lens_transcoder_skip",
    "sae_lens_transcoder_relu",
    "sae_lens_transcoder_relu_skip",
];

/// Every tensor of every architecture: missing, one too many, of another shape, with a NaN.
#[test]
fn every_tensor_is_checked() {
    for fixture in ALL {
        assert_eq!(changed(fixture, |_, _| ()), Ok(()));
        let mut count = 0;
        changed(fixture, |_, arrays| count = arrays.len()).unwrap();
        for i in 0..count {
            let mut name = String::new();
            let text = changed(fixture, |_, arrays| name = arrays.remove(i).0).unwrap_err();
            assert!(text.contains(&format!("`{name}`")), "{fixture} {name}: {text}");
            let text = changed(fixture, |_, arrays| {
                arrays[i].1[0] -= 1;
                let left = arrays[i].1.iter().product();
                arrays[i].2.truncate(left);
            });
            assert!(text.clone().unwrap_err().contains("shape"), "{fixture} {name}: {text:?}");
            let text = changed(fixture, |_, arrays| arrays[i].2[1] = f32::NAN).unwrap_err();
            let place = if name.starts_with("W_") { "[0, 1]" } else { "[1]" };
            assert!(text.contains(&format!("NaN at `{name}`{place}")), "{fixture} {name}: {text}");
        }
        let extra = ("scaling_factor".to_string(), vec![20], vec![1.0; 20]);
        let text = changed(fixture, |_, arrays| arrays.push(extra)).unwrap_err();
        assert!(text.contains("found `scaling_factor`"), "{fixture}: {text}");
    }
}

#[test]
fn what_cfg_says_of_top_k_is_checked() {
    let refused = |key: &str, value: Value, says: &str| {
        let text = changed("sae_lens_topk", |cfg, _| cfg[key] = value.clone()).unwrap_err();
        assert!(text.contains(says), "{key} {value}: {text}");
    };
    refused("k", json!(0), "expected `k` to be a number from 1 to `d_sae`, found 0");
    refused("k", json!(21), "found 21");
    refused("k", json!(-1), "expected `k` to be a size");
    refused("k", json!(2.5), "found 2.5");
    refused("k", Value::Null, "found null");
    refused("k", json!(u64::MAX), "from 1 to `d_sae`");
    refused("rescale_acts_by_decoder_norm", json!("yes"), "expected `rescale_acts_by_decoder_norm`");
    refused("normalize_activations", json!("layer_norm"), "found \"layer_norm\"");
}

#[test]
fn a_transcoder_with_an_input_bias_is_refused() {
    for fixture in ["sae_lens_transcoder", "sae_lens_transcoder_relu", "sae_lens_transcoder_skip"] {
        let text = changed(fixture, |cfg, _| cfg["apply_b_dec_to_input"] = json!(true)).unwrap_err();
        assert!(text.contains("expected `apply_b_dec_to_input` to be false in a transcoder"), "{text}");
    }
}

/// e^r beyond f32 would make infinities; however small, it is a number.
#[test]
fn wild_gates_are_refused() {
    let with = |r: f32| {
        changed("sae_lens_gated", |_, arrays| {
            arrays.iter_mut().find(|array| array.0 == "r_mag").unwrap().2[3] = r;
        })
    };
    for r in [100.0, 1e30] {
        let text = with(r).unwrap_err();
        assert!(text.contains("`r_mag`") && text.contains("at [3]"), "{r}: {text}");
    }
    assert_eq!((with(-100.0), with(-1e30)), (Ok(()), Ok(())));
}
