//! A thin wrapper over the `tokenizers` crate: text to ids without special tokens, and back.
//!
//! `tokenizer.json` may ask for truncation, padding and a BOS of its own: all are switched off here, since windows add the
//! BOS and cut pieces (docs/numerics.md §1). A marker such as `<s>` that stands in a text is text, not a special token.

use crate::TextError;
use crate::cuts::{Added, Cuts, Description};
use crate::gguf;
use crate::panics::caught;
use lapidary_files::{FileError, read_string};
use lapidary_gguf::{GgufFile, is_gguf};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokenizers::ModelWrapper;

/// Largest `tokenizer.json` that is read; Gemma's has 17–34 MB.
const MAX_BYTES: u64 = 512 << 20;

/// Text that is encoded at once, about: the library takes some hundred bytes of memory per byte.
const PIECE_BYTES: usize = 256 << 10;

/// A model's tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// Where it came from, for messages.
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    /// Found out when the first long document comes.
    cuts: Arc<OnceLock<Cuts>>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` from a model's folder, or what a GGUF file holds in its place.
    ///
    /// # Errors
    /// No such file, not a tokenizer, or one that cuts words at random (BPE dropout).
    pub fn load(dir: &Path) -> Result<Tokenizer, TextError> {
        if is_gguf(dir) {
            return Tokenizer::of(dir, &gguf::tokenizer_json(&GgufFile::open(dir)?)?);
        }
        let path = dir.join("tokenizer.json");
        if let Some(other) =
            ["tokenizer.model", "vocab.json"].into_iter().find(|o| !path.exists() && dir.join(o).exists())
        {
            let next = "load it with transformers' AutoTokenizer and save it with `save_pretrained`, which writes \
                        tokenizer.json";
            return Err(FileError::invalid(
                dir,
                "a file tokenizer.json in it",
                format!("only {other}"),
                next,
            )
            .into());
        }
        Tokenizer::of(&path, &read_string(&path, MAX_BYTES)?)
    }

    fn of(path: &Path, json: &str) -> Result<Tokenizer, TextError> {
        let broken = |problem: String| TextError::Tokenizer {
            path: path.to_path_buf(),
            problem,
            next: "fetch it again from the model's own repository",
        };
        let mut inner = caught(|| json.parse::<tokenizers::Tokenizer>())
            .map_err(|e| broken(format!("not a tokenizer (its library fails: {e})")))?
            .map_err(|e| broken(format!("not a tokenizer ({e})")))?;
        if let ModelWrapper::BPE(bpe) = inner.get_model()
            && bpe.dropout.is_some_and(|p| p > 0.0)
        {
            return Err(broken("expected `dropout` null, found a tokenizer that draws at random".into()));
        }
        inner.with_truncation(None).map_err(|e| broken(e.to_string()))?;
        inner.with_padding(None);
        inner.set_encode_special_tokens(true);
        Ok(Tokenizer { path: path.to_path_buf(), inner, cuts: Arc::default() })
    }

    /// The ids of a text, without special tokens. A long text is encoded in pieces where that gives the same ids, so that
    /// memory does not grow with it beyond the ids.
    ///
    /// # Errors
    /// The tokenizer has no id for some of the text and no token for the unknown, or its library fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::new();
        for piece in self.pieces(text) {
            ids.extend(self.encode_piece(piece)?);
        }
        Ok(ids)
    }

    /// The text of ids; special tokens are left out.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        self.run("decode", || self.inner.decode(ids, true))
    }

    /// How the tokenizer's file writes a token, `▁the` or `<0x0A>`, if it has it.
    pub fn name(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Is it a token of one byte, `<0x0A>`, for what no other token spells?
    pub(crate) fn is_byte(&self, id: u32) -> bool {
        let name = self.inner.id_to_token(id);
        let digits = name.as_deref().and_then(|n| n.strip_prefix("<0x")?.strip_suffix('>'));
        digits.is_some_and(|d| d.len() == 2 && u8::from_str_radix(d, 16).is_ok())
    }

    /// [`Tokenizer::encode`] of many documents on all threads, results in their order. Every worker has a clone: one
    /// shared tokenizer would queue at its cache.
    pub(crate) fn encode_all(&self, documents: &[&str]) -> Result<Vec<Vec<u32>>, TextError> {
        let pieces: Vec<Vec<&str>> = documents.iter().map(|document| self.pieces(document)).collect();
        let all: Vec<&str> = pieces.iter().flatten().copied().collect();
        let mut ids = self.encode_pieces(&all).into_iter();
        pieces.iter().map(|own| join(ids.by_ref().take(own.len()))).collect()
    }

    fn encode_pieces(&self, pieces: &[&str]) -> Vec<Result<Vec<u32>, TextError>> {
        let next = AtomicUsize::new(0);
        let work = |_| {
            let (own, mut done) = (self.clone(), Vec::new());
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(piece) = pieces.get(i) else { return done };
                done.push((i, own.encode_piece(piece)));
            }
        };
        let workers = rayon::current_num_threads().min(pieces.len());
        let mut all: Vec<_> = (0..workers).into_par_iter().flat_map_iter(work).collect();
        all.sort_by_key(|&(i, _)| i);
        all.into_iter().map(|(_, ids)| ids).collect()
    }

    fn encode_piece(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let encoding = self.run("encode", || self.inner.encode_fast(text, false))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text itself, or what it is cut into.
    fn pieces<'a>(&self, text: &'a str) -> Vec<&'a str> {
        match text.len() > PIECE_BYTES {
            true => self.cuts.get_or_init(|| Cuts::of(&self.description())).pieces(text, PIECE_BYTES),
            false => vec![text],
        }
    }

    pub(crate) fn description(&self) -> Description {
        let json = |part: Option<serde_json::Result<_>>| match part {
            None => serde_json::Value::Null,
            Some(part) => part.unwrap_or(serde_json::json!("not known")),
        };
        let added = self.inner.get_added_tokens_decoder();
        let added = added.into_values().map(|token| Added {
            content: token.content,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            single_word: token.single_word,
            normalized: token.normalized,
        });
        Description {
            normalizer: json(self.inner.get_normalizer().map(serde_json::to_value)),
            pre_tokenizer: json(self.inner.get_pre_tokenizer().map(serde_json::to_value)),
            vocabulary: match self.inner.get_model() {
                ModelWrapper::BPE(bpe) if is_plain(bpe) => Some(bpe.get_vocab().into_keys().collect()),
                _ => None,
            },
            added: added.collect(),
        }
    }

    /// What the library says; that it fails or panics is an error that names the file.
    fn run<T>(&self, verb: &str, work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, TextError> {
        match caught(work) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(verb, &error.to_string())),
            Err(panic) => Err(self.failed(verb, &panic)),
        }
    }

    fn failed(&self, verb: &str, error: &str) -> TextError {
        TextError::Tokenizer {
            path: self.path.clone(),
            problem: format!("cannot {verb}: {error}"),
            next: "is this the model's own tokenizer?",
        }
    }
}

/// Do merges alone say what becomes of a word?
fn is_plain(bpe: &tokenizers::models::bpe::BPE) -> bool {
    let affixes = bpe.get_continuing_subword_prefix().is_some() || bpe.end_of_word_suffix.is_some();
    !affixes && !bpe.ignore_merges
}

/// The ids of pieces as those of their text. A lone piece is not copied.
fn join(mut pieces: impl Iterator<Item = Result<Vec<u32>, TextError>>) -> Result<Vec<u32>, TextError> {
    let mut ids = pieces.next().unwrap_or(Ok(Vec::new()))?;
    for piece in pieces {
        ids.extend(piece?);
    }
    Ok(ids)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tokenizer of single characters (a = 4, b = 5, …), with `<s>` (1), `</s>` (2) and one ordinary marker `<turn>` (3); it asks
    /// for a BOS, truncation and padding of its own.
    pub(crate) fn letters(dir: &Path) -> Tokenizer {
        let characters = "abcdefghijklmnopqrstuvwxyz <>/.";
        let mut vocab = serde_json::json!({ "<unk>": 0, "<s>": 1, "</s>": 2, "<turn>": 3 });
        for (i, c) in characters.chars().enumerate() {
            vocab[c.to_string()] = (4 + i).into();
        }
        let added = |id: u32, content: &str, special: bool| {
            serde_json::json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                                "normalized": false, "special": special })
        };
        let bos = serde_json::json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } });
        let sequence = serde_json::json!({ "Sequence": { "id": "A", "type_id": 0 } });
        let json = serde_json::json!({
            "version": "1.0",
            "truncation": { "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0 },
            "padding": { "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 2,
                         "pad_type_id": 0, "pad_token": "</s>" },
            "added_tokens": [added(1, "<s>", true), added(2, "</s>", true), added(3, "<turn>", false)],
            "normalizer": null, "pre_tokenizer": null,
            "post_processor": { "type": "TemplateProcessing", "single": [bos, sequence], "pair": [sequence],
                                "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } } },
            "decoder": null,
            "model": { "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                       "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                       "vocab": vocab, "merges": [] }
        });
        std::fs::write(dir.join("tokenizer.json"), json.to_string()).unwrap();
        Tokenizer::load(dir).unwrap()
    }

    #[test]
    fn a_literal_marker_is_text() {
        let dir = tempfile::tempdir().unwrap();
        let tokenizer = letters(dir.path());
        let (a, b, s, open, close, slash) = (4, 5, 22, 31, 32, 33);
        let ids = tokenizer.encode("a<s>b</s>").unwrap();
        assert_eq!(ids, [a, open, s, close, b, open, slash, s, close]);
        assert_eq!(tokenizer.encode("a<turn>b").unwrap(), [4, 3, 5]); // an ordinary marker stays one token
        assert_eq!(tokenizer.encode("abcdefgh").unwrap().len(), 8); // neither cut to 3 nor padded, no BOS
        assert_eq!(tokenizer.encode("").unwrap(), [0u32; 0]);
    }

    #[test]
    fn many_documents_keep_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let tokenizer = letters(dir.path());
        let documents: Vec<String> = (0..100usize).map(|i| "ab".repeat(i % 7)).collect();
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        let expected: Vec<_> = documents.iter().map(|d| tokenizer.encode(d).unwrap()).collect();
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| tokenizer.encode_all(&documents)).unwrap(), expected);
        }
    }

    #[test]
    fn broken_tokenizers_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Tokenizer::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json"), "{error}");
        letters(dir.path());
        let path = dir.path().join("tokenizer.json");
        let json = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, json.replace("\"dropout\":null", "\"dropout\":0.1")).unwrap();
        let error = Tokenizer::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("`dropout` null"), "{error}");
        std::fs::write(&path, "{}").unwrap();
        let error = Tokenizer::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("not a tokenizer"), "{error}");
    }

    /// The library subtracts 1 from nothing there.
    #[test]
    fn a_decoder_that_panics_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        letters(dir.path());
        let path = dir.path().join("tokenizer.json");
        let json = std::fs::read_to_string(&path).unwrap();
        let strip = r#""decoder":{"type":"Strip","content":"a","start":0,"stop":3}"#;
        std::fs::write(&path, json.replace(r#""decoder":null"#, strip)).unwrap();
        let tokenizer = Tokenizer::load(dir.path()).unwrap();
        let error = tokenizer.decode(&[4]).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json: cannot decode"), "{error}");
        assert_eq!(tokenizer.encode("ab").unwrap(), [4, 5]);
    }

    #[test]
    fn long_documents_have_the_ids_of_their_parts() {
        let dir = tempfile::tempdir().unwrap();
        let tokenizer = letters(dir.path());
        let text = "abc de\n".repeat(PIECE_BYTES);
        let pieces = tokenizer.pieces(text.trim());
        assert!(pieces.len() > 6 && pieces.iter().all(|piece| piece.len() < PIECE_BYTES + 8));
        let (whole, many) =
            (tokenizer.encode(text.trim()).unwrap(), tokenizer.encode_all(&["b", text.trim()]).unwrap());
        assert_eq!(many, [vec![5], whole.clone()]);
        assert_eq!(whole.len(), 7 * PIECE_BYTES - 1);
        assert_eq!(whole[7 * 60_000..][..8], tokenizer.encode("abc de\na").unwrap());
    }

    /// On a real tokenizer, and there and back.
    #[test]
    #[ignore = "needs ../shared/data/stories260k, which is never committed"]
    fn stories260k_reads_markers_as_text() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/stories260k");
        let tokenizer = Tokenizer::load(&dir).unwrap();
        let ids = tokenizer.encode("a <s> b </s> <unk>").unwrap();
        assert!(ids.iter().all(|&id| id > 2), "{ids:?}");
        assert_eq!(tokenizer.decode(&ids).unwrap(), "a <s> b </s> <unk>");
        let text = "Once upon a time, there was a little girl named Lily.";
        assert_eq!(tokenizer.decode(&[&[1], &tokenizer.encode(text).unwrap()[..]].concat()).unwrap(), text);
    }
}
