//! A tiny Llama with random weights and little stories for it to read: a model folder and a text that need no files of
//! anybody. It has learned nothing, which is enough to test the way from one end to the other.

use lapidary_files::tensors::{self, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::HashMap;
use std::path::Path;

const D: usize = 32;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const MLP: usize = 64;

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
pub fn documents(n: usize) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
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
    (0..n).map(|_| story(rng)).collect()
}

fn vocabulary() -> Vec<&'static str> {
    let special = ["<unk>", "<s>", "</s>"];
    special.into_iter().chain(NAMES).chain(ANIMALS).chain(COLOURS).chain(PLACES).chain(WORDS).collect()
}

/// A Hugging Face folder: config, tokenizer, weights uniform with the usual 1/√fan-in spread.
pub fn write(folder: &Path) {
    write_layers(folder, LAYERS);
}

/// The same with so many layers.
pub fn write_layers(folder: &Path, layers: usize) {
    std::fs::create_dir(folder).expect("a new folder");
    let words = vocabulary();
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": D, "intermediate_size": MLP,
        "num_hidden_layers": layers, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": D / HEADS,
        "vocab_size": words.len(), "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "hidden_act": "silu", "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2,
    });
    std::fs::write(folder.join("config.json"), format!("{config:#}\n")).expect("writable");
    let vocab: HashMap<&str, usize> = words.iter().enumerate().map(|(i, w)| (*w, i)).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": { "type": "WhitespaceSplit" },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "<unk>" },
    });
    std::fs::write(folder.join("tokenizer.json"), format!("{tokenizer:#}\n")).expect("writable");
    write_weights(&folder.join("model.safetensors"), words.len(), layers);
}

fn write_weights(path: &Path, vocab: usize, layers: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(0x006d_6f64_656c);
    let mut shapes: Vec<(String, Vec<usize>)> = vec![("model.embed_tokens.weight".into(), vec![vocab, D])];
    for l in 0..layers {
        let name = |part: &str| format!("model.layers.{l}.{part}.weight");
        shapes.extend(["q", "k", "v", "o"].map(|p| (name(&format!("self_attn.{p}_proj")), vec![D, D])));
        shapes.extend(["gate", "up"].map(|p| (name(&format!("mlp.{p}_proj")), vec![MLP, D])));
        shapes.push((name("mlp.down_proj"), vec![D, MLP]));
        shapes.extend(["input_layernorm", "post_attention_layernorm"].map(|p| (name(p), vec![D])));
    }
    shapes.push(("model.norm.weight".into(), vec![D]));
    let mut values = |shape: &[usize]| -> Vec<f32> {
        let spread = (3.0 / *shape.last().unwrap_or(&1) as f32).sqrt();
        let mut uniform = || (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0;
        let n = shape.iter().product();
        if shape.len() == 1 { vec![1.0; n] } else { (0..n).map(|_| spread * uniform()).collect() }
    };
    let values: Vec<Vec<f32>> = shapes.iter().map(|(_, shape)| values(shape)).collect();
    let tensors: Vec<Tensor<'_>> =
        shapes.iter().zip(&values).map(|((name, shape), values)| Tensor::f32(name, shape, values)).collect();
    tensors::write(path, &tensors, &HashMap::from([("format".into(), "pt".into())])).expect("writable");
}
