//! `lapidary.json`: what a released dictionary says about itself, and a probe batch by which anyone can check it.
//!
//! It is written last and holds the hash of the weights, so a folder with a good `lapidary.json` is whole. There are no
//! times in it: the same plan gives the same bytes. Numbers are the shortest decimals that read back to the same bits.

use crate::error::invalid;
use crate::{Dictionary, DictionaryError, hooks};
use lapidary_files as files;
use lapidary_kernels::{Csr, Device};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// The version of the format that this crate writes; it reads no other.
pub const FORMAT_VERSION: u32 = 1;
/// Longest `lapidary.json` that is read, bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Where a dictionary belongs and how it came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The site that it reads, e.g. `3.res`.
    pub site: String,
    /// The site that it writes; the same but for a transcoder.
    pub site_out: String,
    /// The site's Hugging Face module, where it has one (see [`hooks`]).
    pub hf_hook_name: Option<String>,
    /// The model whose activations it reads.
    pub model: ModelRef,
    /// T of the windows it was trained on.
    pub context: Option<usize>,
    /// Did every window begin with BOS?
    pub prepend_bos: bool,
    /// Token ids whose positions were left out.
    pub special_tokens: Vec<u32>,
    /// Mean number of active features per row, if measured.
    pub l0: Option<f64>,
    /// How it was trained; `None` for a dictionary converted from elsewhere.
    pub training: Option<Training>,
    /// Rows with the expected answers.
    #[serde(skip_serializing)] // written on a line of its own, see `to_json`
    pub probe: Probe,
}

/// A model by name and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// A name that a person can look up.
    pub name: String,
    /// blake3 of its weights, if known.
    pub hash: Option<String>,
    /// How its products were computed, where not in f32: `bf16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
}

/// What a dictionary is trained as, when it is there to be beaten: its scores say what an untrained part achieves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// W_dec stays at its random initialisation; everything else is trained.
    FrozenDecoder,
    /// Trained on the rows of the same model with randomised weights (arXiv 2501.17727).
    RandomLm,
    /// W_enc and b_enc stay at their random initialisation; everything else is trained.
    FrozenEncoder,
    /// Nothing is trained.
    Random,
}

impl std::fmt::Display for Baseline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Baseline::FrozenDecoder => "frozen-decoder",
            Baseline::RandomLm => "random-lm",
            Baseline::FrozenEncoder => "frozen-encoder",
            Baseline::Random => "random",
        })
    }
}

/// The cause of a dictionary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// blake3 of the resolved plan.
    pub plan_hash: String,
    /// Name of the recipe, e.g. `gemma-scope`.
    pub preset: String,
    /// blake3 over the training documents.
    pub text_hash: String,
    /// Which documents were held out, in words or as a rule.
    pub split: String,
    /// C, the norm that was folded away; a transcoder's of its input.
    pub c: f64,
    /// A transcoder's C of its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_out: Option<f64>,
    /// λ, the weight of the sparsity term.
    pub lambda: f64,
    /// Training rows seen.
    pub rows: u64,
    /// Set for a baseline, which is not to be released as a dictionary of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// A few rows and what the dictionary makes of them, to the bit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Input rows `[n][D]`.
    pub x: Vec<Vec<f32>>,
    /// Active features of each row, ascending: (feature, value).
    pub active: Vec<Vec<(u32, f32)>>,
    /// Reconstructions `[n][D_out]`.
    pub recon: Vec<Vec<f32>>,
}

impl Probe {
    /// Runs `dictionary` on x `[n, D]`.
    pub fn record(dictionary: &Dictionary, device: Device, x: &[f32]) -> Probe {
        let features = dictionary.encode(device, x);
        let recon = dictionary.reconstruct(device, x, &features);
        Probe {
            x: x.chunks_exact(dictionary.d_in).map(<[f32]>::to_vec).collect(),
            active: (0..features.rows()).map(|n| pairs(&features, n)).collect(),
            recon: recon.chunks_exact(dictionary.d_out).map(<[f32]>::to_vec).collect(),
        }
    }

    /// A probe for a dictionary that came without rows: row i is the encoder row of one feature, scaled so that this
    /// feature's pre-activation is 2|θ| + 1.
    pub fn synthetic(dictionary: &Dictionary, device: Device, rows: usize) -> Probe {
        let (d, f_total) = (dictionary.d_in, dictionary.width());
        let mut x = Vec::with_capacity(rows * d);
        for i in 0..rows {
            let f = i * f_total / rows;
            let w = &dictionary.w_enc[f * d..][..d];
            let norm2: f64 = w.iter().map(|&w| f64::from(w).powi(2)).sum();
            let theta = f64::from(dictionary.threshold[f]);
            let target = if theta.is_finite() { 2.0 * theta.abs() + 1.0 } else { 0.0 };
            let scale = (target - f64::from(dictionary.b_enc[f])) / norm2;
            let scale = if scale.is_finite() { scale } else { 0.0 };
            x.extend(w.iter().map(|&w| (f64::from(w) * scale) as f32));
        }
        Probe::record(dictionary, device, &x)
    }

    /// Runs `dictionary` on the probe's rows; every answer must be the same to the bit. `path` is for the message.
    pub fn verify(
        &self,
        path: &Path,
        dictionary: &Dictionary,
        device: Device,
    ) -> Result<(), DictionaryError> {
        self.check_shape(path, dictionary)?;
        let found = Probe::record(dictionary, device, &self.x.concat());
        let differ = |what, row| DictionaryError::Probe { path: path.to_path_buf(), what, row };
        for row in 0..self.x.len() {
            if bits_of_pairs(&self.active[row]) != bits_of_pairs(&found.active[row]) {
                return Err(differ("active features", row));
            }
            if bits(&self.recon[row]) != bits(&found.recon[row]) {
                return Err(differ("reconstruction", row));
            }
        }
        Ok(())
    }

    pub(crate) fn check_shape(&self, path: &Path, dictionary: &Dictionary) -> Result<(), DictionaryError> {
        let (n, d_in, d_out) = (self.x.len(), dictionary.d_in, dictionary.d_out);
        let widths = self.x.iter().all(|x| x.len() == d_in) && self.recon.iter().all(|r| r.len() == d_out);
        if !widths || self.active.len() != n || self.recon.len() != n {
            let expected = format!("a probe of {n} rows of {d_in} in and {d_out} out");
            return Err(invalid(path, expected, "other lengths", "fetch the file again"));
        }
        Ok(())
    }
}

fn pairs(features: &Csr, n: usize) -> Vec<(u32, f32)> {
    let (index, value) = features.row(n);
    index.iter().copied().zip(value.iter().copied()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn bits_of_pairs(pairs: &[(u32, f32)]) -> Vec<(u32, u32)> {
    pairs.iter().map(|(f, v)| (*f, v.to_bits())).collect()
}

/// The keys that the file has besides those of [`Meta`].
#[derive(Serialize, Deserialize)]
struct Head {
    format_version: u32,
    units: String,
    weights_hash: String,
}

#[derive(Serialize)]
struct Sheet<'a> {
    #[serde(flatten)]
    head: Head,
    hook_name: String,
    hook_name_out: String,
    #[serde(flatten)]
    meta: &'a Meta,
}

fn hook_name(site: &str) -> Result<String, DictionaryError> {
    hooks::hook(site, hooks::Modules::Llama).map(|h| h.hook_name).ok_or(DictionaryError::Site(site.into()))
}

/// What `lapidary.json` says for TransformerLens of the sites in `meta`.
pub(crate) fn hook_names(meta: &Meta) -> Result<Value, DictionaryError> {
    let (reads, writes) = (hook_name(&meta.site)?, hook_name(&meta.site_out)?);
    Ok(json!({ "hook_name": reads, "hook_name_out": writes }))
}

/// The text of `lapidary.json`, one key per line; `weights_hash` is blake3 of the weights' file.
pub(crate) fn to_json(path: &Path, meta: &Meta, weights_hash: String) -> Result<String, DictionaryError> {
    let head = Head { format_version: FORMAT_VERSION, units: "raw".into(), weights_hash };
    let (hook_name, hook_name_out) = (hook_name(&meta.site)?, hook_name(&meta.site_out)?);
    let sheet = Sheet { head, hook_name, hook_name_out, meta };
    let sheet = serde_json::to_string_pretty(&sheet).expect("plain data");
    let probe = serde_json::to_string(&meta.probe).expect("plain data");
    let text = format!("{},\n  \"probe\": {probe}\n}}\n", sheet.strip_suffix("\n}").expect("a JSON object"));
    match serde_json::from_str::<Meta>(&text) {
        Ok(back) if back == *meta => Ok(text),
        _ => Err(invalid(
            path,
            "finite numbers in lapidary.json",
            "a NaN or an infinity",
            "check the run's losses",
        )),
    }
}

/// Reads `lapidary.json`: the meta data and the weights' hash.
pub(crate) fn read(path: &Path) -> Result<(Meta, String), DictionaryError> {
    let text = files::read_string(path, MAX_BYTES)?;
    let next = "the file is damaged: fetch it again";
    let head: Head =
        serde_json::from_str(&text).map_err(|e| invalid(path, "a lapidary.json", e.to_string(), next))?;
    if head.format_version != FORMAT_VERSION {
        let found = format!("version {}", head.format_version);
        return Err(invalid(
            path,
            format!("format version {FORMAT_VERSION}"),
            found,
            "use the lapidary that wrote it",
        ));
    }
    if head.units != "raw" {
        return Err(invalid(path, "raw units", format!("`{}`", head.units), "fold the dictionary first"));
    }
    let meta =
        serde_json::from_str(&text).map_err(|e| invalid(path, "a lapidary.json", e.to_string(), next))?;
    Ok((meta, head.weights_hash))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::dictionary::tests::{noise, random};
    use proptest::prelude::*;

    pub(crate) fn meta(dictionary: &Dictionary, site: &str) -> Meta {
        let x = noise(42, 3 * dictionary.d_in);
        Meta {
            site: site.into(),
            site_out: site.into(),
            hf_hook_name: hooks::hook(site, hooks::Modules::Llama).unwrap().hf_hook_name,
            model: ModelRef { name: "stories260k".into(), hash: Some("ab".repeat(32)), precision: None },
            context: Some(256),
            prepend_bos: true,
            special_tokens: vec![1, 2],
            l0: Some(20.75),
            training: Some(Training {
                plan_hash: "cd".repeat(32),
                preset: "short".into(),
                text_hash: "ef".repeat(32),
                split: "held out iff …".into(),
                c: 0.1 + 0.2,
                c_out: None,
                lambda: 1e-3,
                rows: 6_100_000,
                baseline: None,
            }),
            probe: Probe::record(dictionary, Device::detect(), &x),
        }
    }

    fn finite() -> impl Strategy<Value = f32> {
        prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO
    }

    proptest! {
        /// Any finite f32 survives the JSON, to the bit.
        #[test]
        fn json_keeps_every_bit(x in prop::collection::vec(finite(), 0..40)) {
            let dictionary = random(3, 4, 2, 2);
            let mut meta = meta(&dictionary, "3.res");
            meta.probe = Probe { x: vec![x.clone()], active: vec![x.iter().map(|&v| (7, v)).collect()], recon: vec![x.clone()] };
            let text = to_json(Path::new("lapidary.json"), &meta, "00".into()).unwrap();
            let back: Meta = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(bits(&back.probe.x[0]), bits(&x));
            prop_assert_eq!(bits_of_pairs(&back.probe.active[0]), bits_of_pairs(&meta.probe.active[0]));
            prop_assert_eq!(back, meta);
        }
    }

    fn words() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[a-z \\\\\"{}]{0,12}"]
    }

    fn number() -> impl Strategy<Value = f64> {
        prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO
    }

    fn training() -> impl Strategy<Value = Training> {
        let baselines =
            [Baseline::FrozenDecoder, Baseline::RandomLm, Baseline::FrozenEncoder, Baseline::Random];
        let baseline = prop::option::of(prop::sample::select(baselines.to_vec()));
        let numbers = (number(), prop::option::of(number()), number(), any::<u64>());
        (prop::array::uniform4(words()), numbers, baseline).prop_map(
            |(text, (c, c_out, lambda, rows), baseline)| {
                let [plan_hash, preset, text_hash, split] = text;
                Training { plan_hash, preset, text_hash, split, c, c_out, lambda, rows, baseline }
            },
        )
    }

    /// Any that is not asked to hold what no JSON can.
    fn metas() -> impl Strategy<Value = Meta> {
        let sites = prop::sample::select(vec!["0.res", "41.att", "3.mlp-in", "embed", "planted"]);
        let model = (words(), prop::option::of(words()));
        let rows =
            (prop::option::of(any::<usize>()), any::<bool>(), prop::collection::vec(any::<u32>(), 0..4));
        let names = (sites.clone(), sites, prop::option::of(words()), model);
        let measured = (prop::option::of(number()), prop::option::of(training()));
        (names, rows, measured).prop_map(
            |((site, site_out, hf_hook_name, (name, hash)), rows, (l0, training))| Meta {
                site: site.into(),
                site_out: site_out.into(),
                hf_hook_name,
                model: ModelRef { name, hash, precision: None },
                context: rows.0,
                prepend_bos: rows.1,
                special_tokens: rows.2,
                l0,
                training,
                probe: Probe::default(),
            },
        )
    }

    proptest! {
        /// Whatever a sheet says comes back from its file, with the weights' hash.
        #[test]
        fn a_sheet_comes_back(meta in metas(), hash in words()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("lapidary.json");
            std::fs::write(&path, to_json(&path, &meta, hash.clone()).unwrap()).unwrap();
            prop_assert_eq!(read(&path).unwrap(), (meta, hash));
        }
    }

    /// Changing one weight, or one bit of the probe, is noticed.
    #[test]
    fn verify_notices_a_changed_weight() {
        let dictionary = random(11, 50, 8, 8);
        let probe = Probe::record(&dictionary, Device::detect(), &noise(12, 4 * 8));
        assert!(probe.active.iter().all(|a| !a.is_empty()));
        let path = Path::new("lapidary.json");
        probe.verify(path, &dictionary, Device::detect()).unwrap();
        let mut changed = dictionary.clone();
        changed.b_dec[5] = f32::from_bits(changed.b_dec[5].to_bits() + 1_000);
        let text = probe.verify(path, &changed, Device::detect()).unwrap_err().to_string();
        assert!(text.contains("reconstruction in row 0"), "{text}");
        let mut changed = dictionary.clone();
        changed.threshold[probe.active[2][0].0 as usize] = 1e9;
        let text = probe.verify(path, &changed, Device::detect()).unwrap_err().to_string();
        assert!(text.contains("active features"), "{text}");
        let mut short = probe.clone();
        short.recon[1].pop();
        assert!(short.verify(path, &dictionary, Device::detect()).is_err());
    }

    #[test]
    fn a_synthetic_probe_wakes_its_features() {
        let mut dictionary = random(11, 50, 8, 8);
        dictionary.threshold[0] = f32::INFINITY;
        let probe = Probe::synthetic(&dictionary, Device::detect(), 4);
        for (i, f) in [12, 25, 37].into_iter().enumerate() {
            let target = 2.0 * dictionary.threshold[f].abs() + 1.0;
            let z = probe.active[i + 1].iter().find(|(g, _)| *g as usize == f).expect("active").1;
            assert!((z - target).abs() < 1e-4, "{z} {target}");
        }
    }

    /// Sheets from before transcoders have no `c_out`, and an SAE's still has none.
    #[test]
    fn a_second_norm_is_written_only_where_there_is_one() {
        let dictionary = random(11, 5, 8, 8);
        let mut meta = meta(&dictionary, "3.res");
        let path = Path::new("lapidary.json");
        assert!(!to_json(path, &meta, String::new()).unwrap().contains("c_out"));
        meta.training.as_mut().unwrap().c_out = Some(0.25);
        let text = to_json(path, &meta, String::new()).unwrap();
        assert_eq!(serde_json::from_str::<Meta>(&text).unwrap(), meta);
    }

    /// What is no baseline says nothing of it, as before there were any, and an unknown one is refused.
    #[test]
    fn a_baseline_is_written_only_where_there_is_one() {
        let dictionary = random(11, 5, 8, 8);
        let mut meta = meta(&dictionary, "3.res");
        let path = Path::new("lapidary.json");
        assert!(!to_json(path, &meta, String::new()).unwrap().contains("baseline"));
        let names = [
            (Baseline::FrozenDecoder, "frozen-decoder"),
            (Baseline::RandomLm, "random-lm"),
            (Baseline::FrozenEncoder, "frozen-encoder"),
            (Baseline::Random, "random"),
        ];
        for (baseline, name) in names {
            meta.training.as_mut().unwrap().baseline = Some(baseline);
            let text = to_json(path, &meta, String::new()).unwrap();
            assert!(text.contains(&format!("\"baseline\": \"{name}\"")), "{text}");
            assert_eq!(baseline.to_string(), name);
            let unknown = text.replace(name, "frozen-everything");
            assert!(serde_json::from_str::<Meta>(&unknown).is_err());
        }
    }

    #[test]
    fn nan_is_not_written() {
        let dictionary = random(11, 5, 8, 8);
        let mut meta = meta(&dictionary, "3.res");
        meta.l0 = Some(f64::NAN);
        assert!(to_json(Path::new("lapidary.json"), &meta, String::new()).is_err());
        meta.l0 = None;
        meta.probe.x[0][0] = f32::INFINITY;
        assert!(to_json(Path::new("lapidary.json"), &meta, String::new()).is_err());
        meta.site = "3.resid".into();
        assert!(matches!(to_json(Path::new("x"), &meta, String::new()), Err(DictionaryError::Site(_))));
    }
}
