//! What the fuzzer starts from: one small, good input per reader, made by our own writers.

use lapidary_dictionary::{Activation, Dictionary, Meta, ModelRef, Probe};
use lapidary_files::Identity;
use lapidary_kernels::Device;
use lapidary_lm::Spec;
use lapidary_store::{
    Batches, DEFAULT_SHARD_BYTES, Labels, Norm, Order, RowDtype, SiteRows, StoreInfo, StoreReader,
    StoreWriter, TextInfo,
};
use lapidary_trainer::{DictionaryPlan, Plan, Recipe, Run};
use std::collections::BTreeMap;
use std::path::Path;

/// A plan of one dictionary, D 3, F 4, one step.
pub fn plan() -> Plan {
    let dictionary = DictionaryPlan { theta_init: 0.1, ..DictionaryPlan::new("a", "0.res", 3, 4) };
    let recipe = Recipe { batch: 8, ..Recipe::short(1, 3) };
    Plan { recipe, dictionaries: vec![dictionary], seed: 0, checkpoint_every: 1, log_every: 1 }
}

fn dictionary() -> Dictionary {
    let ramp = |n: usize| (0..n).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
    Dictionary {
        w_enc: ramp(12),
        b_enc: ramp(4),
        threshold: vec![0.1; 4],
        w_dec: ramp(12),
        b_dec: ramp(3),
        w_skip: None,
        activation: Activation::JumpRelu,
        d_in: 3,
        d_out: 3,
    }
}

fn meta() -> Meta {
    Meta {
        site: "0.res".into(),
        site_out: "0.res".into(),
        hf_hook_name: None,
        model: ModelRef { name: "toy".into(), hash: None, precision: None },
        context: None,
        prepend_bos: true,
        special_tokens: vec![],
        l0: None,
        training: None,
        probe: Probe::synthetic(&dictionary(), Device::detect(), 2),
    }
}

/// A small dictionary as its folder.
pub fn save_dictionary(folder: &Path) {
    lapidary_dictionary::save_sae_lens(folder, &dictionary(), &meta(), "")
        .expect("the folder can be written");
}

/// Six windows of two rows each at one site of width 3: for [`StoreWriter`] and for the trainer.
fn save_store(folder: &Path) {
    let info = StoreInfo {
        plan_hash: "0".into(),
        model: Identity { name: "toy".into(), hash: "0".into(), precision: None },
        text: TextInfo {
            split: "all".into(),
            split_rule: "none".into(),
            hash: "0".into(),
            documents: 6,
            context: 4,
        },
        dtype: RowDtype::F32,
        sites: vec![SiteRows { site: "0.res".into(), width: 3 }],
    };
    let mut writer =
        StoreWriter::create(folder, info, DEFAULT_SHARD_BYTES).expect("the folder can be written");
    for doc in 0..6 {
        let labels = Labels { tokens: vec![4, 5], doc: vec![doc; 2], pos: vec![0, 1] };
        let rows: Vec<f32> = (0..6).map(|i| (doc as f32 * 0.7 + i as f32).sin()).collect();
        writer.push(&labels, &[&rows]).expect("the folder can be written");
    }
    let norm = Norm { seed: 0, pool_rows: 8, rows: 12 };
    writer.finish(norm).expect("the rows have a norm");
}

fn save_run(folder: &Path, store: &Path) {
    let source = StoreReader::open(store).expect("the store is whole");
    let plan = plan();
    let mut batches =
        Batches::new(source, Order { seed: 0, pool_rows: 8 }, plan.recipe.batch).expect("the store has rows");
    let run = Run {
        plan: &plan,
        plan_hash: "0",
        built_by: "seed",
        folder,
        device: Device::detect(),
        start: &BTreeMap::new(),
    };
    lapidary_trainer::train(&run, &mut batches, false, &|| false, &mut |_| {}).expect("one step is possible");
}

/// The length of the first, the first, the second; see [`crate`].
fn two(first: &[u8], second: &[u8]) -> Vec<u8> {
    let length = u16::try_from(first.len()).expect("the first file of a seed is short");
    [&length.to_le_bytes(), first, second].concat()
}

/// A character-level tokenizer of few words, as Hugging Face writes one.
const TOKENIZER: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":1,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":null,"post_processor":null,"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},"model":{"type":"BPE","dropout":null,"unk_token":"<unk>","continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,"ignore_merges":false,"vocab":{"<unk>":0,"<s>":1,"<0x0A>":2,"▁":3,"a":4,"b":5,"▁a":6},"merges":[["▁","a"]]}}"#;

const CONFIG: &str = r#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":8,"intermediate_size":16,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":4,"vocab_size":16,"max_position_embeddings":32,"rms_norm_eps":1e-5,"rope_theta":10000.0,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":16},"hidden_act":"silu","tie_word_embeddings":true,"attention_bias":false,"mlp_bias":false,"bos_token_id":1,"eos_token_id":[2,3],"torch_dtype":"bfloat16"}"#;

/// The spec of [`CONFIG`].
pub fn spec() -> Spec {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("config.json"), CONFIG).expect("the folder can be written");
    lapidary_lm::load_spec(folder.path(), &[]).expect("the config is good")
}

const SUITE: &str = r#"model = "m"
text = ["a.txt"]
context = 16
sites = "*.res,0.mlp"
transcoders = ["0.mlp-in -> 0.mlp"]
widths = [8, 16]
lambdas = [0.001]
tokens = 4096
preset = "short"
seed = 1

[[dictionaries]]
architecture = "matryoshka"
target_l0 = [2, 4]
prefixes = [2, 8]

[[baselines]]
baseline = "frozen-decoder"
sites = "1.res"

[rows]
dtype = "bf16"
pool_rows = 512

[recipe]
lr = 1e-3
threshold = "raw"
"#;

/// A good input for every reader of [`crate::READERS`], by name.
pub fn good() -> Vec<(&'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let read = |path: &str| std::fs::read(at(path)).expect("it was just written");
    save_dictionary(&at("sae"));
    lapidary_dictionary::write_npz(&at("params.npz"), &dictionary()).expect("the folder can be written");
    save_store(&at("store"));
    std::fs::create_dir(at("run")).expect("the folder can be written");
    save_run(&at("run"), &at("store"));
    let metrics = read("run/metrics.jsonl");
    vec![
        ("safetensors", read("sae/sae_weights.safetensors")),
        ("sae_lens", two(&read("sae/cfg.json"), &read("sae/sae_weights.safetensors"))),
        ("params_npz", read("params.npz")),
        ("lapidary_json", read("sae/lapidary.json")),
        ("model_config", CONFIG.into()),
        ("tokenizer", TOKENIZER.into()),
        ("manifest", read("store/manifest.json")),
        ("checkpoint", read("run/checkpoints/step-000000001.safetensors")),
        ("suite", SUITE.into()),
        ("gguf", include_bytes!("../../fixtures/gguf/llama3.gguf").to_vec()),
        ("log", two(&metrics[..metrics.len() / 2], &metrics[metrics.len() / 2..])),
    ]
}
