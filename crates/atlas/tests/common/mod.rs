//! A small suite that every test of an atlas builds: the fixture model, seventy windows, three dictionaries, a truth.
#![allow(unreachable_pub)]

use lapidary_atlas::build::Job;
use lapidary_atlas::pages::{DictionaryInfo, ModelInfo, SuitePage, TextInfo};
use lapidary_atlas::{AtlasError, Manifest, Subject, Truth};
use lapidary_dictionary::{Activation, Dictionary};
use lapidary_kernels::Device;
use lapidary_lm::{Model, Site};
use lapidary_text::{Corpus, Tokenizer, Window};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const BOS: u32 = 1;

pub struct Small {
    pub model: Model,
    pub tokenizer: Tokenizer,
    pub corpus: Corpus,
    pub dictionaries: Vec<(Site, Dictionary)>,
    pub truth: Truth,
}

/// Coordinates of `site` above 0, twice; the second time with half the decoder and one zero row.
fn dictionary(d: usize, turn: usize) -> Dictionary {
    let f = 2 * d;
    let (mut w_enc, mut w_dec) = (vec![0.0; f * d], vec![0.0; f * d]);
    for i in 0..f {
        w_enc[i * d + (i + turn) % d] = if i < d { 1.0 } else { -1.0 };
        w_dec[i * d + (i + turn) % d] = if i < d { 1.0 } else { 0.5 };
        w_dec[i * d + (3 * i + 1) % d] += 0.25;
    }
    w_dec[..d].fill(0.0);
    let zeros = vec![0.0; d];
    let (b_enc, threshold) = (vec![0.0; f], vec![0.05; f]);
    let activation = Activation::JumpRelu;
    Dictionary { w_enc, b_enc, threshold, w_dec, b_dec: zeros, w_skip: None, activation, d_in: d, d_out: d }
}

/// Ids 3, 4, 5 are the bytes of "€"; the others are words.
fn tokenizer() -> Tokenizer {
    let mut tokens: Vec<String> =
        ["<pad>", "<s>", "</s>", "<0xE2>", "<0x82>", "<0xAC>", "a"].map(String::from).to_vec();
    tokens.extend((7..40).map(|i| format!("▁w{i}")));
    let vocab: serde_json::Map<String, serde_json::Value> =
        tokens.iter().zip(0..).map(|(t, i): (&String, u32)| (t.clone(), i.into())).collect();
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null,
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "ByteFallback" },
            { "type": "Fuse" }, { "type": "Strip", "content": " ", "start": 1, "stop": 0 } ] },
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                   "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": true, "ignore_merges": false,
                   "vocab": vocab, "merges": [] }
    });
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
    Tokenizer::load(dir.path()).unwrap()
}

impl Small {
    pub fn new() -> Small {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evaluation/model");
        let model = Model::load(&dir, Device::detect()).expect("the fixture model");
        let window = |w: u32| {
            let piece = (0..3 + w * 13 % 27).map(|i| 3 + (i * i * 5 + i * w + w * 11) % 37);
            Window { doc: w / 2, pos: 0, tokens: [BOS].into_iter().chain(piece).collect() }
        };
        let corpus = Corpus { windows: (0..70).map(window).collect(), hash: "h".into(), ..Corpus::default() };
        let sites: Vec<Site> = ["0.att", "1.res", "2.mlp"].iter().map(|s| s.parse().unwrap()).collect();
        let dictionaries = sites
            .iter()
            .zip(0..)
            .map(|(&site, turn)| (site, dictionary(model.spec.width(site), turn)))
            .collect();
        let truth = truth(&corpus);
        Small { model, tokenizer: tokenizer(), corpus, dictionaries, truth }
    }

    pub fn build(&self, folder: &Path, shard_rows: u64) -> Result<Manifest, AtlasError> {
        let subjects: Vec<Subject<'_>> = self
            .dictionaries
            .iter()
            .map(|(site, dictionary)| Subject { name: "small", site: *site, dictionary })
            .collect();
        let outputs: Vec<Site> = self.dictionaries.iter().map(|(site, _)| *site).collect();
        let Small { model, tokenizer, corpus, truth, .. } = self;
        let (truth, suite) = (Some(truth), self.suite());
        let job = Job {
            model,
            tokenizer,
            corpus,
            truth,
            suite,
            subjects: &subjects,
            outputs: &outputs,
            shard_rows,
        };
        job.build(folder, &mut |_| ())
    }

    fn suite(&self) -> SuitePage {
        let info = |(site, dictionary): &(Site, Dictionary)| DictionaryInfo {
            source: format!("{}-{}-{}", site.layer, site.kind, dictionary.width()),
            site: site.to_string(),
            site_out: site.to_string(),
            layer: Some(site.layer),
            kind: site.kind.to_string(),
            name: "small".into(),
            architecture: "JumpReLU".into(),
            features: dictionary.width(),
            width: dictionary.d_in,
            alive: 0,
            mean_active: 0.0,
            scores: Default::default(),
            intervals: Default::default(),
            weights: String::new(),
        };
        let spec = &self.model.spec;
        SuitePage {
            name: "small".into(),
            description: String::new(),
            model: ModelInfo {
                id: "m".into(),
                name: "m".into(),
                layers: spec.n_layers,
                width: spec.d_model,
                heads: spec.heads,
                vocab: spec.vocab,
                hash: String::new(),
            },
            text: TextInfo {
                name: "t".into(),
                documents: 35,
                tokens: 0,
                rows: 0,
                context: 32,
                split: "all".into(),
                hash: "h".into(),
                special_tokens_policy: "left out".into(),
            },
            has_truth: false,
            scores: Vec::new(),
            dictionaries: self.dictionaries.iter().map(info).collect(),
            notes: Vec::new(),
        }
    }
}

/// "the token is below 20" and "the token is divisible by 3", of every row; the first is in plain words, both are shown.
fn truth(corpus: &Corpus) -> Truth {
    let mut truth = Truth {
        names: ["low", "third"].map(String::from).to_vec(),
        phrases: vec![Some("the token is low".into()), None],
        shown: vec![true, true],
        starts: vec![0],
        on: Vec::new(),
    };
    for token in corpus.windows.iter().flat_map(|w| &w.tokens[1..]) {
        truth.on.extend((*token < 20).then_some(0));
        truth.on.extend((token % 3 == 0).then_some(1));
        truth.starts.push(truth.on.len());
    }
    truth
}

/// Every file of a folder.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in walk(folder) {
        out.insert(entry.strip_prefix(folder).unwrap().display().to_string(), std::fs::read(&entry).unwrap());
    }
    out
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
