//! Cuts of texts and tokenizers by chance: the pieces' ids are the ids of the whole.

use super::*;
use crate::Tokenizer;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::json;
use std::path::Path;

/// A BPE tokenizer whose merges make each of `words` from its characters, left to right.
fn bpe(space: &str, alphabet: &str, words: &[&str], parts: Value) -> Tokenizer {
    let mut vocab: Vec<String> = ["<unk>", "<s>"].map(String::from).to_vec();
    vocab.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    vocab.extend(alphabet.chars().chain(space.chars()).map(String::from));
    let mut merges: Vec<[String; 2]> = Vec::new();
    for word in words {
        let letters: Vec<String> = word.chars().map(String::from).collect();
        for length in 1..letters.len() {
            let pair = [letters[..length].concat(), letters[length].clone()];
            vocab.extend(letters.iter().cloned().chain([pair.concat()]));
            merges.push(pair);
        }
    }
    let mut ids = serde_json::Map::new();
    for token in vocab {
        let next = ids.len();
        ids.entry(token).or_insert(next.into());
    }
    merges.dedup();
    let mut json = json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": null,
        "model": { "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                   "ignore_merges": parts["ignore_merges"] == true, "vocab": ids, "merges": merges }
    });
    for part in ["added_tokens", "normalizer", "pre_tokenizer"] {
        json[part] = parts.get(part).cloned().unwrap_or(json[part].clone());
    }
    load(&json.to_string())
}

fn load(json: &str) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), json).unwrap();
    Tokenizer::load(dir.path()).unwrap()
}

fn added(id: u32, content: &str, flags: [bool; 4]) -> Value {
    json!({ "id": id, "content": content, "lstrip": flags[0], "rstrip": flags[1], "single_word": flags[2],
            "normalized": flags[3], "special": false })
}

const LETTERS: &str = "abcdeftho.,;!?1234567'\u{e9}\u{6771}\n";
const BYTES: &str = "abcdeftho.,;!?1234567'\u{c3}\u{a9}\u{120}\u{10a}";

/// Every shape of the tokenizers of the families that are read, and the organism's own; with its name.
fn tokenizers() -> Vec<(&'static str, Tokenizer)> {
    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}" });
    let prepend = json!({ "type": "Prepend", "prepend": "\u{2581}" });
    let both = json!({ "type": "Sequence", "normalizers": [prepend, replace] });
    let words = [
        "\u{2581}the",
        "\u{2581}a",
        "\u{2581}\u{2581}\u{2581}",
        "at",
        "the",
        "ab",
        "e.",
        "o\n",
        ",\u{2581}b",
    ];
    let strict = [added(300, "<a>", [false; 4]), added(301, "\n\n", [false; 4]), added(302, "ho", [true; 4])];
    let loose =
        [added(300, "<a>", [true, true, false, false]), added(301, "the", [false, false, true, false])];
    let metaspace = |scheme: &str, split: bool| json!({ "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": split });
    let byte_level = |regex: bool| {
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                                           "use_regex": regex })
    };
    let regex = |at: usize| {
        let split = json!({ "type": "Split", "pattern": { "Regex": KNOWN_EXPRESSIONS[at] }, "behavior": "Isolated",
                            "invert": false });
        json!({ "type": "Sequence", "pretokenizers": [split, byte_level(false)] })
    };
    let digits = json!({ "type": "Digits", "individual_digits": true });
    let gemma = json!({ "type": "Split", "pattern": { "String": " " }, "behavior": "MergedWithPrevious",
                        "invert": false });
    let byte_words =
        ["\u{120}the", "\u{120}a", "\u{120}\u{120}\u{120}", "the", "at", "12", "\u{10a}\u{10a}", ".\u{10a}"];
    let sp = |parts: Value| bpe("\u{2581}", LETTERS, &words, parts);
    let bytes = |parts: Value| bpe("", BYTES, &byte_words, parts);
    let organism = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/organism");
    vec![
        ("llama", sp(json!({ "normalizer": both }))),
        ("llama, added", sp(json!({ "normalizer": both, "added_tokens": strict }))),
        ("llama, loose", sp(json!({ "normalizer": both, "added_tokens": loose }))),
        ("gemma", sp(json!({ "normalizer": replace, "pre_tokenizer": gemma, "added_tokens": strict }))),
        ("gemma, loose", sp(json!({ "normalizer": replace, "pre_tokenizer": gemma, "added_tokens": loose }))),
        (
            "metaspace first",
            sp(json!({ "pre_tokenizer": metaspace("first", false), "added_tokens": strict })),
        ),
        ("metaspace split", sp(json!({ "pre_tokenizer": metaspace("always", true), "added_tokens": loose }))),
        ("metaspace never", sp(json!({ "pre_tokenizer": metaspace("never", false) }))),
        ("gpt-2", bytes(json!({ "pre_tokenizer": byte_level(true), "added_tokens": loose }))),
        (
            "smollm",
            bytes(
                json!({ "pre_tokenizer": { "type": "Sequence", "pretokenizers": [digits, byte_level(true)] },
                                 "added_tokens": strict }),
            ),
        ),
        (
            "llama 3",
            bytes(json!({ "pre_tokenizer": regex(1), "ignore_merges": true, "added_tokens": strict })),
        ),
        (
            "qwen",
            bytes(
                json!({ "normalizer": { "type": "NFC" }, "pre_tokenizer": regex(2), "added_tokens": loose }),
            ),
        ),
        ("organism", Tokenizer::load(&organism).unwrap()),
    ]
}

/// All that could go wrong at a cut: runs of white space, added tokens and halves of them, digits, accents.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => Just(" "), 3 => Just("\n"), 1 => Just("  "), 1 => Just("\n\n"), 1 => Just("\t"), 1 => Just("\u{a0}"),
        2 => Just("the"), 2 => Just("at"), 1 => Just("ab"), 1 => Just("ho"), 1 => Just("."), 1 => Just(", b"),
        1 => Just("12345"), 1 => Just("<a>"), 1 => Just("<s>"), 1 => Just("'s"), 1 => Just("\u{2581}"),
        1 => Just("\u{6771}"), 1 => Just("e\u{301}"), 1 => Just("\u{301}"), 1 => Just("\u{1f600}"), 1 => Just("."),
    ];
    prop::collection::vec(word, 1..40).prop_map(|words| words.concat().trim().to_string())
}

fn whole(tokenizer: &Tokenizer, pieces: &[&str]) -> Vec<u32> {
    pieces.iter().flat_map(|piece| tokenizer.encode(piece).unwrap()).collect()
}

#[test]
fn pieces_have_the_ids_of_the_whole() {
    let tokenizers: Vec<_> =
        tokenizers().into_iter().map(|(name, t)| (name, Cuts::of(&t.description()), t)).collect();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    // Found by a longer run: a space is put after an added token too.
    let known = "ab\u{6771}\u{1f600}the \n \u{2581}\n .atat".to_string();
    let drawn = (0..1_000).map(|_| text().new_tree(&mut runner).unwrap().current());
    for text in std::iter::once(known).chain(drawn) {
        for (name, cuts, tokenizer) in &tokenizers {
            for least in [1, 5] {
                let pieces = cuts.pieces(&text, least);
                let (found, expected) = (whole(tokenizer, &pieces), tokenizer.encode(&text).unwrap());
                assert_eq!(found, expected, "{name}: {text:?} as {pieces:?}");
            }
        }
    }
}

#[test]
fn ordinary_text_is_cut_into_pieces_of_bounded_size() {
    let text = "the cat sat. \u{6771}\u{6771}\nthat, at the end of a day\n".repeat(100);
    for (name, tokenizer) in tokenizers() {
        let pieces = Cuts::of(&tokenizer.description()).pieces(text.trim(), 100);
        let longest = pieces.iter().map(|p| p.len()).max().unwrap();
        assert!(longest < 160, "{name}: {longest} bytes in one piece");
    }
}

/// Chinese has no spaces; tokenizers that put nothing before a text cut it at its lines.
#[test]
fn text_without_spaces_is_cut_at_its_lines() {
    let text = "\u{6771}\u{6771}\u{6771}.\n".repeat(100);
    for (name, tokenizer) in tokenizers() {
        let pieces = Cuts::of(&tokenizer.description()).pieces(text.trim(), 20).len();
        let prepends = name.contains("llama") && name != "llama 3"
            || ["metaspace first", "metaspace split"].contains(&name);
        assert_eq!(pieces > 20, !prepends, "{name}: {pieces} pieces");
    }
}

#[test]
fn what_is_not_known_is_not_cut() {
    let sp = |parts: Value| bpe("\u{2581}", LETTERS, &["ab"], parts);
    let text = "the cat sat on the mat\nand so on";
    for parts in [
        json!({ "normalizer": { "type": "Lowercase" } }),
        json!({ "pre_tokenizer": { "type": "FixedLength", "length": 5 } }),
        json!({ "pre_tokenizer": { "type": "Split", "pattern": { "Regex": ".{5}" }, "behavior": "Isolated",
                                   "invert": false } }),
        json!({ "ignore_merges": true }),
    ] {
        assert_eq!(Cuts::of(&sp(parts.clone()).description()).pieces(text, 1), [text], "{parts}");
    }
}

#[test]
#[ignore = "needs ../shared/data, which is never committed"]
fn a_real_text_has_the_same_ids_in_pieces() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let text = std::fs::read_to_string(dir.join("tinyshakespeare.txt")).unwrap();
    let tokenizer = Tokenizer::load(&dir.join("stories260k")).unwrap();
    let cuts = Cuts::of(&tokenizer.description());
    let text = text[..60_000].trim();
    for least in [1, 10, 1_000] {
        let pieces = cuts.pieces(text, least);
        assert!(pieces.len() > text.len() / (least + 40), "{}", pieces.len());
        assert_eq!(whole(&tokenizer, &pieces), tokenizer.encode(text).unwrap());
    }
}
