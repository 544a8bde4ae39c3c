//! The whole way as a newcomer walks it: `lapidary demo`, with fewer rows than it takes by itself.

mod common;

use common::{bytes, good};
use std::path::Path;

fn demo(folder: &Path, name: &str, seed: &str) -> String {
    let out = folder.join(name);
    good(&["demo", "--quiet", "--tokens", "16384", "--seed", seed, "--out", out.to_str().unwrap()])
}

#[test]
fn the_demo_trains_measures_and_releases_and_its_seed_decides_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let said = demo(folder.path(), "a", "5");
    assert!(said.contains("Scored on") && said.contains("start with"), "{said}");
    demo(folder.path(), "b", "5");
    demo(folder.path(), "c", "6");
    let [a, b, c] = ["a", "b", "c"].map(|name| bytes(&folder.path().join(name)));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    // suite.toml names the folders: everything else is the same.
    let differing: Vec<_> = a.keys().filter(|n| a[*n] != b[*n] && !n.ends_with("suite.toml")).collect();
    assert!(differing.is_empty(), "{differing:?}");
    for name in ["run/metrics.jsonl", "run/evaluation.json", "random-llama/model.safetensors", "text.txt"] {
        assert!(a[name] != c[name], "{name} depends on the seed");
    }
    released(&folder.path().join("a/release"));
    evaluated(&folder.path().join("a/run"));
}

/// A README, and for each of the six dictionaries what SAELens and people read.
fn released(release: &Path) {
    let readme = std::fs::read_to_string(release.join("README.md")).unwrap();
    for layer in 0..2 {
        for kind in ["res", "att", "mlp"] {
            let name = format!("{layer}.{kind}-width128-lambda0.003");
            assert!(readme.contains(&format!("{layer}.{kind}")), "{readme}");
            let cfg = std::fs::read(release.join(&name).join("cfg.json")).unwrap();
            let cfg: serde_json::Value = serde_json::from_slice(&cfg).unwrap();
            assert!(cfg["metadata"]["sae_lens_version"].is_string(), "{cfg}");
            assert_eq!((&cfg["d_in"], &cfg["d_sae"]), (&32.into(), &128.into()));
            for file in ["sae_weights.safetensors", "lapidary.json", "card.md"] {
                assert!(release.join(&name).join(file).is_file(), "{name}/{file}");
            }
        }
    }
}

fn evaluated(run: &Path) {
    let json = good(&["evaluate", run.to_str().unwrap(), "--json", "--quiet", "--resamples", "20"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let scores = value["scores"].as_array().unwrap();
    assert_eq!(scores.len(), 6);
    for score in scores {
        let fvu = score["fvu"]["value"].as_f64().unwrap();
        assert!(fvu > 0.0 && fvu < 1.0, "{score}");
    }
}
