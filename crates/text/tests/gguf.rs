//! Tokenizers out of GGUF files against the ids of SentencePiece itself, and of tokenizers built in Python as the models' own
//! repositories describe them (see `fixtures/gguf/make.py`).

use lapidary_text::Tokenizer;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/gguf").join(name)
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

#[test]
fn ids_are_those_of_the_models_own_tokenizers() {
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(fixture("ids.json")).unwrap()).unwrap();
    let texts = golden["texts"].as_array().unwrap();
    for kind in ["gpt-2", "smollm", "llama-bpe", "qwen2", "default", "pieces", "pieces-bare"] {
        let tokenizer = Tokenizer::load(&fixture(&format!("tokenizer-{kind}.gguf"))).unwrap();
        for (i, text) in texts.iter().map(|text| text.as_str().unwrap()).enumerate() {
            let found = tokenizer.encode(text).unwrap();
            assert_eq!(found, ids(&golden[kind][i]), "{kind}: {text:?}");
            // NFC changes the text, on purpose; and the space before each part between markers stays in it.
            let parts = kind == "pieces" && text.contains("<turn>");
            if kind != "qwen2" && !parts {
                assert_eq!(tokenizer.decode(&found).unwrap(), text, "{kind}");
            }
        }
    }
}

/// A file with one key changed to another text of the same length.
fn changed(dir: &Path, from: &str, to: &str) -> String {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(fixture("tokenizer-smollm.gguf")).unwrap();
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
    bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    let path = dir.join("x.gguf");
    std::fs::write(&path, bytes).unwrap();
    Tokenizer::load(&path).unwrap_err().to_string()
}

#[test]
fn what_is_not_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to, expected) in [
        (
            "smollm",
            "falcon",
            "x.gguf: expected a pre-tokenizer `gpt-2`, `smollm`, `llama-bpe`, `qwen2` or `default`, found `falcon`",
        ),
        ("gpt2", "bert", "x.gguf: expected a tokenizer of llama.cpp's kind `gpt2` or `llama`, found `bert`"),
        (
            "tokenizer.ggml.tokens",
            "tokenizer.ggml.nothin",
            "expected a tokenizer (`tokenizer.ggml.tokens`), found none",
        ),
        (
            "tokenizer.ggml.merges",
            "tokenizer.ggml.nothin",
            "expected `tokenizer.ggml.merges`, a list of texts, found none",
        ),
        ("Ġ t", "Ġ×", "two tokens in each of `tokenizer.ggml.merges`"),
        ("\u{1}\0\0\0\0\0\0\0!", "\u{1}\0\0\0\0\0\0\0?", "each token once, found `?` as 4 and as 34"),
    ] {
        let error = changed(dir.path(), from, to);
        assert!(error.contains(expected), "{error}");
    }
}

/// A real tokenizer on real text and on a page of Unicode, by transformers' reader of GGUF.
#[test]
#[ignore = "needs data/smollm2 with smollm2.gguf and golden/ (fixtures/README.md), which is never committed"]
fn smollm2_has_the_ids_of_transformers() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/smollm2");
    let golden = std::fs::read_to_string(dir.join("golden/ids.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let tokenizer = Tokenizer::load(&dir.join("smollm2.gguf")).unwrap();
    for (text, expected) in golden["texts"].as_array().unwrap().iter().zip(golden["ids"].as_array().unwrap())
    {
        let (text, expected) = (text.as_str().unwrap(), ids(expected));
        let found = tokenizer.encode(text).unwrap();
        let first = (0..found.len().max(expected.len())).find(|&i| found.get(i) != expected.get(i));
        let near = first.map(|i| (i, &found[i.saturating_sub(3)..(i + 3).min(found.len())]));
        assert_eq!(
            near,
            None,
            "of {} and {} ids; {:?}…",
            found.len(),
            expected.len(),
            &text[..text.len().min(60)]
        );
    }
}
