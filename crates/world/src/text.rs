//! Documents by number, and their form as text.
//!
//! Document n of a seed is a pure function of (seed, configuration, n). Words are written with single spaces, none before a
//! comma or between the digits of a number; reading the text back gives the same words.

use crate::document::{Config, Document};
use crate::grammar::write_next;
use crate::lexicon::{BOS, Class, EOS, LEXICON, PAD, UNKNOWN, Word, mix};
use crate::trace::{Choice, Mark, Swap, Trace};
use serde_json::{Value, json};

/// Frozen with the organism: any change to grammar, lexicon or facts needs a new number and a new model.
pub const CORPUS_VERSION: u32 = 1;

/// A document's words with the truth about each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Words by id, without BOS.
    pub tokens: Vec<Word>,
    /// Where each token's marks start `[tokens + 1]`.
    pub starts: Vec<u32>,
    /// Variables that hold at a token and their values, the grammar's own first.
    pub marks: Vec<Mark>,
}

impl Sample {
    pub(crate) fn of(trace: Trace) -> Sample {
        let (starts, marks) = trace.truth.unwrap_or_default();
        Sample { tokens: trace.tokens, starts, marks }
    }

    /// What holds at a token.
    pub fn at(&self, token: usize) -> &[Mark] {
        &self.marks[self.starts[token] as usize..self.starts[token + 1] as usize]
    }
}

/// The documents of a seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corpus {
    /// Of everything random.
    pub seed: u64,
    /// Which language.
    pub config: Config,
}

impl Corpus {
    /// Words of document n.
    pub fn tokens(&self, n: u64) -> Vec<Word> {
        self.run(n, &[], false, false).tokens
    }

    /// Document n with its truth.
    pub fn sample(&self, n: u64) -> Sample {
        Sample::of(self.run(n, &[], true, false))
    }

    /// Every draw of document n, in order.
    pub fn choices(&self, n: u64) -> Vec<Choice> {
        self.run(n, &[], false, true).into_choices()
    }

    /// Document n with some draws replaced, everything else that can stay as it was.
    pub fn swapped(&self, n: u64, swaps: &[Swap]) -> Sample {
        Sample::of(self.run(n, swaps, true, false))
    }

    fn run<'a>(&self, n: u64, swaps: &'a [Swap], truth: bool, choices: bool) -> Trace<'a> {
        let key = mix(mix(self.seed ^ 0x1a91_da27) ^ mix((self.config.split as u64) << 56 ^ n));
        let mut trace = Trace::sample(key, swaps, truth, choices);
        let mut document = Document::new(self.config);
        while write_next(&mut document, &mut trace) {}
        trace
    }
}

/// Words as text.
pub fn render(tokens: &[Word]) -> String {
    let (mut text, mut before) = (String::with_capacity(tokens.len() * 6), None);
    for &token in tokens {
        if before.is_some_and(|before| spaced(before, token)) {
            text.push(' ');
        }
        text.push_str(&LEXICON.words[usize::from(token)]);
        before = Some(token);
    }
    text
}

fn spaced(before: Word, after: Word) -> bool {
    let word = |w: Word| LEXICON.words[usize::from(w)].as_str();
    let digit = |w| LEXICON.class(w).0 == Class::Digit;
    let closes = matches!(word(after), "." | "," | ":" | ";" | "?" | "!" | ")" | "]" | "}");
    let opened = matches!(word(before), "(" | "[" | "{");
    !(closes || opened || (digit(before) && digit(after)))
}

/// Text as words; an unknown one becomes [`UNKNOWN`].
pub fn read(text: &str) -> Vec<Word> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let letter = |c: char| c.is_ascii_alphabetic() || c == '\'';
        let end = match first {
            c if c.is_ascii_alphabetic() => rest.find(|c| !letter(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        tokens.push(LEXICON.find(&rest[..end]).unwrap_or(UNKNOWN));
        rest = rest[end..].trim_start();
    }
    tokens
}

/// The vocabulary as a Hugging Face `tokenizer.json`: one id per word, digits single, spaces restored when decoding.
pub fn tokenizer_json() -> Value {
    let vocab: serde_json::Map<String, Value> =
        LEXICON.words.iter().enumerate().map(|(id, word)| (word.clone(), json!(id))).collect();
    let special = |id: Word| {
        json!({ "id": id, "content": LEXICON.words[usize::from(id)], "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true })
    };
    let split = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(PAD), special(BOS), special(EOS), special(UNKNOWN)],
        "normalizer": null,
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "WhitespaceSplit" }, split("[A-Za-z][A-Za-z']*|[^A-Za-z]"),
        ] },
        "post_processor": null,
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "WordPiece", "prefix": "##", "cleanup": false },
            { "type": "Fuse" },
            { "type": "Replace", "pattern": { "Regex": "(?<=[0-9]) (?=[0-9])| (?=[.,:;?!)\\]}])|(?<=[(\\[{]) " },
              "content": "" },
        ] },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": LEXICON.words[usize::from(UNKNOWN)] },
    })
}
