//! `lapidary demo`: the main job from end to end on a small model that is written on the spot, offline.
//!
//! The model's weights are random (it has learned nothing, and the demo says so), its text comes from a small grammar. What
//! is real is the way: suite file, fused training, held-out evaluation, release.

use crate::commands::{evaluate, release, train};
use crate::global::Global;
use clap::Parser;
use lapidary_files::tensors::{self, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The whole way in a minute, offline: a small model, a suite, its scores
///
/// Writes a tiny Llama model with random weights and a little text, then trains, evaluates and releases dictionaries for
/// all its layers and sub-layers. The scores show that the way works, not that the model knows anything.
#[derive(clap::Args)]
pub struct DemoArgs {
    /// Folder for everything that the demo writes
    #[arg(long, value_name = "DIR", default_value = "lapidary-demo")]
    out: PathBuf,
    /// Seed of weights, text and training
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Rows to train on
    #[arg(long, value_name = "ROWS", default_value_t = 400_000)]
    tokens: u64,
}

const D: usize = 32;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const MLP: usize = 64;
const DOCUMENTS: usize = 3_000;

pub fn run(args: DemoArgs, global: &Global) -> anyhow::Result<()> {
    global.output_dir(&args.out)?;
    let say = |text: &str| {
        if !global.quiet {
            eprintln!("{text}");
        }
    };
    say(
        "no trained model is embedded yet: this demo uses a tiny one with RANDOM weights, written on the spot",
    );
    write_model(&args.out.join("random-llama"), args.seed)?;
    let text: Vec<String> = documents(args.seed);
    lapidary_files::publish(&args.out.join("text.txt"), text.join("\n<|endoftext|>\n").as_bytes())?;
    let suite = args.out.join("suite.toml");
    lapidary_files::publish(&suite, suite_text(&args).as_bytes())?;
    let (run_folder, release_folder) = (args.out.join("run"), args.out.join("release"));
    say("\n1. train");
    train::run(parse(&["train".as_ref(), &suite, "--out".as_ref(), &run_folder]), global)?;
    say("\n2. evaluate");
    evaluate::run(parse(&["evaluate".as_ref(), &run_folder]), global)?;
    say("\n3. release");
    release::run(parse(&["release".as_ref(), &run_folder, "--out".as_ref(), &release_folder]), global)
}

/// A verb's arguments, as if typed.
fn parse<A: clap::Args>(words: &[&Path]) -> A {
    #[derive(Parser)]
    struct Typed<A: clap::Args> {
        #[command(flatten)]
        args: A,
    }
    Typed::parse_from(words).args
}

fn suite_text(args: &DemoArgs) -> String {
    let DemoArgs { out, seed, tokens } = args;
    format!(
        "model = {:?}\ntext = [{:?}]\ncontext = 64\nwidths = [128]\nlambdas = [0.003]\ntokens = {tokens}\npreset = \"short\"\n\
         seed = {seed}\n\n[rows]\npool_rows = 16_384\nnorm_rows = 16_384\n",
        out.join("random-llama"),
        out.join("text.txt")
    )
}

const NAMES: [&str; 8] = ["anna", "ben", "clara", "david", "emma", "felix", "greta", "hugo"];
const ANIMALS: [&str; 8] = ["cat", "dog", "bird", "horse", "fox", "mouse", "frog", "bear"];
const COLOURS: [&str; 6] = ["red", "blue", "green", "white", "black", "brown"];
const PLACES: [&str; 6] = ["garden", "forest", "kitchen", "river", "school", "barn"];
const WORDS: [&str; 14] =
    ["has", "a", "the", "is", "in", "sees", "and", "likes", "it", "runs", "to", "not", ".", "because"];

fn pick<'a>(rng: &mut ChaCha8Rng, from: &[&'a str]) -> &'a str {
    from[rng.next_u32() as usize % from.len()]
}

/// Little stories about who has which animal where.
fn documents(seed: u64) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rng = &mut rng;
    let story = |rng: &mut ChaCha8Rng| {
        let (name, animal, colour, place) =
            (pick(rng, &NAMES), pick(rng, &ANIMALS), pick(rng, &COLOURS), pick(rng, &PLACES));
        let (friend, elsewhere) = (pick(rng, &NAMES), pick(rng, &PLACES));
        format!(
            "{name} has a {colour} {animal} . the {animal} is in the {place} . {friend} sees the {animal} and likes it \
             because it is {colour} . the {animal} runs to the {elsewhere} and {name} runs to the {elsewhere} . \
             {friend} is not in the {elsewhere} ."
        )
    };
    (0..DOCUMENTS).map(|_| story(rng)).collect()
}

fn vocabulary() -> Vec<&'static str> {
    ["<unk>", "<s>", "</s>"]
        .into_iter()
        .chain(NAMES)
        .chain(ANIMALS)
        .chain(COLOURS)
        .chain(PLACES)
        .chain(WORDS)
        .collect()
}

/// A Hugging Face folder: config, tokenizer, weights uniform with the usual 1/√fan-in spread.
fn write_model(folder: &Path, seed: u64) -> anyhow::Result<()> {
    lapidary_files::create_dir(folder)?;
    let words = vocabulary();
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": D, "intermediate_size": MLP,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": D / HEADS,
        "vocab_size": words.len(), "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "hidden_act": "silu", "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2,
    });
    lapidary_files::publish(&folder.join("config.json"), format!("{config:#}\n").as_bytes())?;
    let vocab: HashMap<&str, usize> = words.iter().enumerate().map(|(i, w)| (*w, i)).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": { "type": "WhitespaceSplit" },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "<unk>" },
    });
    lapidary_files::publish(&folder.join("tokenizer.json"), format!("{tokenizer:#}\n").as_bytes())?;
    write_weights(&folder.join("model.safetensors"), words.len(), seed)
}

fn write_weights(path: &Path, vocab: usize, seed: u64) -> anyhow::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x006d_6f64_656c);
    let mut shapes: Vec<(String, Vec<usize>)> = vec![("model.embed_tokens.weight".into(), vec![vocab, D])];
    for l in 0..LAYERS {
        let name = |part: &str| format!("model.layers.{l}.{part}.weight");
        shapes.extend(["q", "k", "v", "o"].map(|p| (name(&format!("self_attn.{p}_proj")), vec![D, D])));
        shapes.extend(["gate", "up"].map(|p| (name(&format!("mlp.{p}_proj")), vec![MLP, D])));
        shapes.push((name("mlp.down_proj"), vec![D, MLP]));
        shapes.extend(["input_layernorm", "post_attention_layernorm"].map(|p| (name(p), vec![D])));
    }
    shapes.push(("model.norm.weight".into(), vec![D]));
    let values: Vec<Vec<f32>> = shapes
        .iter()
        .map(|(_, shape)| {
            let spread = (3.0 / *shape.last().unwrap_or(&1) as f32).sqrt();
            let uniform = |rng: &mut ChaCha8Rng| (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0;
            let n = shape.iter().product();
            if shape.len() == 1 { vec![1.0; n] } else { (0..n).map(|_| spread * uniform(&mut rng)).collect() }
        })
        .collect();
    let tensors: Vec<Tensor<'_>> =
        shapes.iter().zip(&values).map(|((name, shape), values)| Tensor::f32(name, shape, values)).collect();
    Ok(tensors::write(path, &tensors, &HashMap::from([("format".into(), "pt".into())]))?)
}
