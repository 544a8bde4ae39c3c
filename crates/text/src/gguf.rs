//! A GGUF file's tokenizer, as the `tokenizer.json` that the same model has on the Hub: one reader serves both.
//!
//! llama.cpp knows byte-level BPE (`gpt2`: tokens, merges, and the name of how text is split before merging) and SentencePiece
//! (`llama`: pieces with scores, from which the merges follow). The expressions are those of the models' own `tokenizer.json`;
//! `default` is llama.cpp's for files that name none.

use crate::TextError;
use lapidary_files::FileError;
use lapidary_gguf::GgufFile;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::HashMap;

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

/// Kinds of tokens, by their numbers in files.
const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// One after another, each dividing what the ones before have left.
const DEFAULT: [&str; 4] = [
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
];

/// What a file's tokenizer would be as `tokenizer.json`.
pub(crate) fn tokenizer_json(file: &GgufFile) -> Result<String, TextError> {
    let model = file.text("tokenizer.ggml.model")?;
    let tokens = tokens(file)?;
    let types = file.integers(TYPES)?.unwrap_or_default();
    if !types.is_empty() && types.len() != tokens.len() {
        return Err(invalid(
            file,
            format!("a type for each of {} tokens", tokens.len()),
            types.len().to_string(),
        ));
    }
    let (model, around) = match model {
        Some("gpt2") => byte_level(file, &tokens)?,
        Some("llama") => sentence_piece(file, &tokens, types)?,
        other => {
            let found = other.map_or("none".to_string(), |other| format!("`{other}`"));
            return Err(invalid(file, "a tokenizer of llama.cpp's kind `gpt2` or `llama`", found));
        }
    };
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added(&tokens, types),
        "normalizer": around.normalizer, "pre_tokenizer": around.pre_tokenizer, "post_processor": null,
        "decoder": around.decoder, "model": model,
    })
    .to_string())
}

/// What stands around the merging of a word.
struct Around {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
}

/// The tokens by id. An empty one, which no text has, gets a name of its own, as in llama.cpp.
fn tokens(file: &GgufFile) -> Result<Vec<String>, TextError> {
    let next = "fetch the whole model; a file without a tokenizer is of use with token ids alone";
    let stored = file.texts(TOKENS)?.filter(|tokens| !tokens.is_empty());
    let stored = stored
        .ok_or_else(|| FileError::invalid(file.path(), format!("a tokenizer (`{TOKENS}`)"), "none", next))?;
    let named = |(id, token): (usize, &String)| match token.is_empty() {
        true => format!("[EMPTY_{id}]"),
        false => token.clone(),
    };
    Ok(stored.iter().enumerate().map(named).collect())
}

/// Id of each token.
fn vocabulary<'a>(file: &GgufFile, tokens: &'a [String]) -> Result<HashMap<&'a str, usize>, TextError> {
    let mut vocabulary = HashMap::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        if let Some(first) = vocabulary.insert(token.as_str(), id) {
            return Err(invalid(file, "each token once", format!("`{token}` as {first} and as {id}")));
        }
    }
    Ok(vocabulary)
}

/// Markers: control tokens are never found in a text, user-defined ones always.
fn added(tokens: &[String], types: &[i64]) -> Vec<Value> {
    let marks = types.iter().enumerate().filter(|(_, kind)| [UNKNOWN, CONTROL, USER_DEFINED].contains(kind));
    marks
        .map(|(id, &kind)| {
            json!({ "id": id, "content": tokens[id], "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": kind != USER_DEFINED })
        })
        .collect()
}

fn byte_level(file: &GgufFile, tokens: &[String]) -> Result<(Value, Around), TextError> {
    let name = file.text("tokenizer.ggml.pre")?.unwrap_or("default");
    let bytes = |regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex });
    let split = |expression: &str| json!({ "type": "Split", "pattern": { "Regex": expression }, "behavior": "Isolated", "invert": false });
    let (normalizer, steps) = match name {
        "gpt-2" => (Value::Null, vec![bytes(true)]),
        "smollm" => (Value::Null, vec![json!({ "type": "Digits", "individual_digits": true }), bytes(true)]),
        "llama-bpe" | "llama3" | "llama-v3" => (Value::Null, vec![split(LLAMA_3), bytes(false)]),
        "qwen2" | "deepseek-r1-qwen" => (json!({ "type": "NFC" }), vec![split(QWEN_2), bytes(false)]),
        "default" => (Value::Null, DEFAULT.map(split).into_iter().chain([bytes(false)]).collect()),
        other => {
            let expected = "a pre-tokenizer `gpt-2`, `smollm`, `llama-bpe`, `qwen2` or `default`";
            return Err(invalid(file, expected, format!("`{other}`")));
        }
    };
    let merges = file.texts(MERGES)?.ok_or_else(|| file.wrong(MERGES, "a list of texts"))?;
    let pairs: Option<Vec<(&str, &str)>> = merges.iter().map(|merge| pair(merge)).collect();
    let pairs =
        pairs.ok_or_else(|| invalid(file, format!("two tokens in each of `{MERGES}`"), "one".into()))?;
    let around = Around {
        normalizer,
        pre_tokenizer: json!({ "type": "Sequence", "pretokenizers": steps }),
        decoder: bytes(true),
    };
    let whole_words = matches!(name, "llama-bpe" | "llama3" | "llama-v3");
    Ok((bpe(&vocabulary(file, tokens)?, &pairs, None, whole_words), around))
}

/// `left right`; the left one may begin with a space.
fn pair(merge: &str) -> Option<(&str, &str)> {
    let at = merge.char_indices().skip(1).find(|(_, c)| *c == ' ')?.0;
    Some((&merge[..at], &merge[at + 1..]))
}

/// Pieces with scores, spaces as `▁`, bytes for what no piece spells.
fn sentence_piece(file: &GgufFile, tokens: &[String], types: &[i64]) -> Result<(Value, Around), TextError> {
    let scores = file.floats(SCORES)?.ok_or_else(|| file.wrong(SCORES, "a list of numbers"))?;
    if scores.len() != tokens.len() {
        return Err(invalid(
            file,
            format!("a score for each of {} tokens", tokens.len()),
            scores.len().to_string(),
        ));
    }
    let vocabulary = vocabulary(file, tokens)?;
    let pairs = merges(&vocabulary, tokens, types, scores);
    let unknown = file.integer("tokenizer.ggml.unknown_token_id")?.unwrap_or(0);
    let unknown = usize::try_from(unknown).ok().and_then(|id| tokens.get(id));
    let prefix = file.switch("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let spaces = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
    let normalizers: Vec<Value> =
        prefix.then(|| json!({ "type": "Prepend", "prepend": "▁" })).into_iter().chain([spaces]).collect();
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    decoders.extend(prefix.then(|| json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 })));
    let around = Around {
        normalizer: json!({ "type": "Sequence", "normalizers": normalizers }),
        pre_tokenizer: Value::Null,
        decoder: json!({ "type": "Sequence", "decoders": decoders }),
    };
    Ok((bpe(&vocabulary, &pairs, unknown, false), around))
}

/// The merges that pieces and scores say: every way to make a piece of two others, the best score first.
///
/// SentencePiece joins the two neighbours whose piece has the best score, wherever it can be made; a list of merges says
/// the same. Control and byte tokens are no pieces: nothing is merged into them.
fn merges<'a>(
    vocabulary: &HashMap<&str, usize>,
    tokens: &'a [String],
    types: &[i64],
    scores: &[f64],
) -> Vec<(&'a str, &'a str)> {
    let is_piece = |id: usize| types.get(id).is_none_or(|&kind| [NORMAL, USER_DEFINED].contains(&kind));
    let mut merges = Vec::new();
    for (id, token) in tokens.iter().enumerate().filter(|(id, _)| is_piece(*id)) {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if vocabulary.contains_key(left) && vocabulary.contains_key(right) {
                merges.push((id, left, right));
            }
        }
    }
    // Of two ways to the same score, the longer left part first: the order in which transformers writes them.
    merges.sort_by(|a, b| {
        let lengths = |m: &(usize, &str, &str)| Reverse((m.1.chars().count(), m.2.chars().count()));
        scores[b.0].total_cmp(&scores[a.0]).then_with(|| lengths(a).cmp(&lengths(b)))
    });
    merges.into_iter().map(|(_, left, right)| (left, right)).collect()
}

/// The model of `tokenizer.json`. With an unknown token, a character that no token spells becomes bytes.
fn bpe(
    vocabulary: &HashMap<&str, usize>,
    merges: &[(&str, &str)],
    unknown: Option<&String>,
    whole_words: bool,
) -> Value {
    json!({
        "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null, "end_of_word_suffix": null,
        "fuse_unk": unknown.is_some(), "byte_fallback": unknown.is_some(), "ignore_merges": whole_words,
        "vocab": vocabulary, "merges": merges,
    })
}

fn invalid(file: &GgufFile, expected: impl Into<String>, found: String) -> TextError {
    let next = "this tokenizer is not read: fetch the model's folder with its tokenizer.json";
    FileError::invalid(file.path(), expected, found, next).into()
}
