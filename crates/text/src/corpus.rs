//! Windows: what the model reads (docs/numerics.md §1).
//!
//! A document's ids are cut into pieces of T − 1, pieces under 2 ids are dropped. A window is BOS + piece. A model without
//! BOS reads the bare piece, and position 0 counts as special. Special positions (BOS, EOS, padding by id) give no rows.

use crate::TextError;
use crate::split::document_hash;
use crate::{Split, Tokenizer, read};
use lapidary_lm::{LmError, Spec};
use std::path::PathBuf;

/// T when nobody says otherwise, if the model has that many positions.
pub const DEFAULT_CONTEXT: usize = 1024;

/// Documents that are encoded together.
const GROUP: usize = 4096;

/// Shortest piece that is kept, in ids.
const MIN_PIECE: usize = 2;

/// A sequence that the model reads alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Index of its document among all read documents, whatever their split.
    pub doc: u32,
    /// Index of its first piece token in the document's tokens.
    pub pos: u32,
    /// BOS + piece, or the bare piece of a model without BOS.
    pub tokens: Vec<u32>,
}

impl Window {
    /// Positions that give rows, ascending: all but special ones, and but position 0 of a model without BOS.
    pub fn row_positions(&self, spec: &Spec) -> impl Iterator<Item = usize> {
        let keep =
            move |&(p, &token): &(usize, &u32)| !spec.is_special(token) && (p > 0 || spec.bos.is_some());
        self.tokens.iter().enumerate().filter(keep).map(|(p, _)| p)
    }

    /// Index in the document's tokens of the token at `position`, which must not be the BOS.
    pub fn document_position(&self, position: usize, spec: &Spec) -> u32 {
        self.pos + (position - usize::from(spec.bos.is_some())) as u32
    }
}

/// The windows of a split, documents in reading order.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    /// All windows, each of one document.
    pub windows: Vec<Window>,
    /// Documents of the split.
    pub documents: usize,
    /// Documents of the text, of all splits.
    pub read: usize,
    /// How many of them are held out.
    pub held_out: usize,
    /// Tokens in windows, BOS not counted.
    pub tokens: u64,
    /// The documents' hash: blake3 (hex) of the 32-byte blake3 digests of the split's stripped documents in reading order.
    pub hash: String,
    /// The same hash of the training documents, whatever the split: it says on which text a dictionary was trained.
    pub train_hash: String,
    /// The same of those that a dictionary was trained on before there was a validation split, [`Split::NotHeldOut`].
    pub not_held_out_hash: String,
    /// Hidden files and sub-folders that were not read.
    pub skipped: Vec<PathBuf>,
}

impl Corpus {
    /// Reads text files (documents separated by `<|endoftext|>`), `-` (standard input) and folders of text files into windows
    /// of at most `context` tokens (see [`resolve_context`]).
    ///
    /// # Errors
    /// A missing or unreadable file, one that is not plain text in UTF-8, a context that the model does not have, a token that it does
    /// not have, or no window at all in the split.
    pub fn read(
        paths: &[PathBuf],
        tokenizer: &Tokenizer,
        spec: &Spec,
        context: usize,
        split: Split,
    ) -> Result<Corpus, TextError> {
        let mut reading = Reading::new(tokenizer, spec, context, split)?;
        let skipped = read::for_each_group(paths, |documents| reading.add(documents))?;
        if reading.corpus.windows.is_empty() {
            return Err(no_text(paths, split, reading.read, reading.corpus.documents));
        }
        Ok(Corpus { skipped, ..reading.finish() })
    }

    /// The same from documents that are at hand, with `name` for messages. The number of documents may be large: they are
    /// taken in groups.
    ///
    /// # Errors
    /// Those of [`Corpus::read`] that are not about files.
    pub fn from_documents(
        name: &str,
        documents: impl IntoIterator<Item = String>,
        tokenizer: &Tokenizer,
        spec: &Spec,
        context: usize,
        split: Split,
    ) -> Result<Corpus, TextError> {
        let mut reading = Reading::new(tokenizer, spec, context, split)?;
        let mut documents = documents.into_iter();
        loop {
            let group: Vec<String> = documents.by_ref().take(GROUP).collect();
            if group.is_empty() {
                break;
            }
            reading.add(&group)?;
        }
        if reading.corpus.windows.is_empty() {
            return Err(no_text(&[name.into()], split, reading.read, reading.corpus.documents));
        }
        Ok(reading.finish())
    }

    /// Are these documents, of whatever split, those of the text that a dictionary with this hash was trained on?
    pub fn trained_on(&self, hash: &str) -> bool {
        hash == self.train_hash || hash == self.not_held_out_hash
    }

    /// Cuts one document of the split into windows.
    fn push(&mut self, doc: u32, ids: &[u32], spec: &Spec, context: usize) -> Result<(), TextError> {
        if let Some(&token) = ids.iter().find(|&&id| id as usize >= spec.vocab) {
            return Err(LmError::Token { token, vocab: spec.vocab }.into());
        }
        self.documents += 1;
        for (i, piece) in ids.chunks(context - 1).enumerate().filter(|(_, p)| p.len() >= MIN_PIECE) {
            let tokens = spec.bos.into_iter().chain(piece.iter().copied()).collect();
            self.windows.push(Window { doc, pos: (i * (context - 1)) as u32, tokens });
            self.tokens += piece.len() as u64;
        }
        Ok(())
    }

    /// Rows of each window `[W]`.
    pub fn window_rows(&self, spec: &Spec) -> Vec<u32> {
        self.windows.iter().map(|w| w.row_positions(spec).count() as u32).collect()
    }
}

/// A corpus on the way.
struct Reading<'a> {
    tokenizer: &'a Tokenizer,
    spec: &'a Spec,
    context: usize,
    split: Split,
    corpus: Corpus,
    /// Documents so far, of all splits.
    read: u32,
    hasher: blake3::Hasher,
    /// Over the training documents.
    train: blake3::Hasher,
    /// Over all that are not held out.
    not_held_out: blake3::Hasher,
}

impl<'a> Reading<'a> {
    fn new(
        tokenizer: &'a Tokenizer,
        spec: &'a Spec,
        context: usize,
        split: Split,
    ) -> Result<Reading<'a>, TextError> {
        let context = resolve_context(spec, Some(context))?;
        let [hasher, train, not_held_out] = [(); 3].map(|()| blake3::Hasher::new());
        let corpus = Corpus::default();
        Ok(Reading { tokenizer, spec, context, split, corpus, read: 0, hasher, train, not_held_out })
    }

    /// Adds the documents of the split, which are stripped already.
    fn add(&mut self, documents: &[String]) -> Result<(), TextError> {
        let (mut indices, mut chosen) = (Vec::new(), Vec::new());
        for (index, document) in (self.read..).zip(documents) {
            let hash = document_hash(document);
            self.corpus.held_out += usize::from(Split::HeldOut.contains(&hash));
            for (split, hasher) in
                [(Split::Train, &mut self.train), (Split::NotHeldOut, &mut self.not_held_out)]
            {
                if split.contains(&hash) {
                    hasher.update(hash.as_bytes());
                }
            }
            if self.split.contains(&hash) {
                self.hasher.update(hash.as_bytes());
                indices.push(index);
                chosen.push(document.as_str());
            }
        }
        for (doc, ids) in indices.into_iter().zip(self.tokenizer.encode_all(&chosen)?) {
            self.corpus.push(doc, &ids, self.spec, self.context)?;
        }
        self.read += documents.len() as u32;
        Ok(())
    }

    fn finish(self) -> Corpus {
        let hex = |hasher: blake3::Hasher| hasher.finalize().to_hex().to_string();
        let [hash, train_hash, not_held_out_hash] = [self.hasher, self.train, self.not_held_out].map(hex);
        Corpus { hash, train_hash, not_held_out_hash, read: self.read as usize, ..self.corpus }
    }
}

/// T: what was asked for, or min(the model's context, [`DEFAULT_CONTEXT`]).
///
/// # Errors
/// More than the model has, or too little for a BOS and a piece.
pub fn resolve_context(spec: &Spec, asked: Option<usize>) -> Result<usize, TextError> {
    let context = asked.unwrap_or(spec.context.min(DEFAULT_CONTEXT));
    let range = MIN_PIECE + 1..=spec.context;
    if range.contains(&context) {
        return Ok(context);
    }
    Err(TextError::Context { asked: context, least: MIN_PIECE + 1, model: spec.context })
}

fn no_text(paths: &[PathBuf], split: Split, read: u32, documents: usize) -> TextError {
    let names: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    let next = match (read, documents) {
        (0, _) => "is the text empty?",
        (_, 0) => SEPARATE,
        _ => "give more text",
    };
    TextError::NoText { paths: names.join(", "), split, read, documents, next }
}

/// What to do about a text whose documents all fell into the other split.
const SEPARATE: &str = "each document falls into one split, by its hash, whole: separate documents by `<|endoftext|>`, or give a \
                        folder with one in each file";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::tests::letters;
    use lapidary_lm::spec::{Activation, Family, NormKind, QkNorm};
    use std::path::Path;

    /// A model of which only the context, the vocabulary and the special tokens matter here.
    fn spec(bos: Option<u32>) -> Spec {
        Spec {
            family: Family::Llama,
            n_layers: 1,
            d_model: 8,
            vocab: 64,
            context: 16,
            heads: 1,
            kv_heads: 1,
            d_head: 8,
            d_mlp: 8,
            norm: NormKind::Rms,
            norm_eps: 1e-5,
            norm_offset: 0.0,
            embed_scale: None,
            pre_norms: true,
            post_norms: false,
            parallel: false,
            gated: true,
            activation: Activation::Silu,
            qk_norm: QkNorm::None,
            attn_scale: 1.0,
            attn_cap: None,
            final_cap: None,
            windows: vec![None],
            rope: None,
            local_rope: None,
            tied_head: true,
            qkv_bias: false,
            out_bias: false,
            mlp_bias: false,
            bos,
            eos: vec![2],
            stops: vec![2],
            pad: Some(5), // the letter b
        }
    }

    fn read(text: &str, spec: &Spec, context: usize, split: Split) -> Result<Corpus, TextError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.txt");
        std::fs::write(&path, text).unwrap();
        Corpus::read(&[path], &letters(dir.path()), spec, context, split)
    }

    #[test]
    fn documents_become_bos_and_pieces() {
        let corpus = read(
            " acdefg \n<|endoftext|>a<|endoftext|> ca<|endoftext|>cdefghi",
            &spec(Some(1)),
            4,
            Split::All,
        );
        let corpus = corpus.unwrap();
        let window = |doc, pos, tokens: &[u32]| Window { doc, pos, tokens: tokens.to_vec() };
        // T − 1 = 3 ids per piece; "a" alone and the last "i" are too short
        let expected = [
            window(0, 0, &[1, 4, 6, 7]),
            window(0, 3, &[1, 8, 9, 10]),
            window(2, 0, &[1, 6, 4]),
            window(3, 0, &[1, 6, 7, 8]),
            window(3, 3, &[1, 9, 10, 11]),
        ];
        assert_eq!(corpus.windows, expected);
        assert_eq!((corpus.documents, corpus.tokens), (4, 14));
        let digests: Vec<u8> = ["acdefg", "a", "ca", "cdefghi"]
            .iter()
            .flat_map(|d| *blake3::hash(d.as_bytes()).as_bytes())
            .collect();
        assert_eq!(corpus.hash, blake3::hash(&digests).to_hex().to_string());
        assert_eq!(corpus.windows[1].document_position(2, &spec(Some(1))), 4);
    }

    #[test]
    fn special_positions_give_no_rows() {
        let rows = |w: &Window, spec: &Spec| w.row_positions(spec).collect::<Vec<_>>();
        let (with, without) = (spec(Some(1)), spec(None));
        let corpus = read("acbda", &with, 16, Split::All).unwrap();
        assert_eq!(corpus.windows[0].tokens, [1, 4, 6, 5, 7, 4]); // b is this model's padding
        assert_eq!(rows(&corpus.windows[0], &with), [1, 2, 4, 5]);
        assert_eq!(corpus.window_rows(&with), [4]);
        let corpus = read("acbda", &without, 4, Split::All).unwrap();
        assert_eq!(corpus.windows[0].tokens, [4, 6, 5]); // T − 1 ids without a BOS too
        assert_eq!(rows(&corpus.windows[0], &without), [1]);
        assert_eq!(corpus.windows[1].document_position(1, &without), 4);
    }

    #[test]
    fn splits_are_disjoint_and_keep_document_numbers() {
        let text: Vec<String> =
            (0..64u32).map(|i| format!("document {}", "a".repeat(i as usize + 1))).collect();
        let text = text.join("<|endoftext|>");
        let read = |split| read(&text, &spec(Some(1)), 16, split).unwrap();
        let (train, held, all) = (read(Split::Train), read(Split::HeldOut), read(Split::All));
        let (validation, old) = (read(Split::Validation), read(Split::NotHeldOut));
        assert_eq!(train.documents + validation.documents + held.documents, 64);
        assert_eq!((train.held_out, held.held_out), (held.documents, held.documents));
        assert!(held.documents > 0 && validation.documents > 0);
        assert!(all.not_held_out_hash == old.hash && old.documents == train.documents + validation.documents);
        let mut both = [train.windows.clone(), validation.windows, held.windows.clone()].concat();
        both.sort_by_key(|w| (w.doc, w.pos));
        assert_eq!(both, all.windows);
        assert!(train.hash != held.hash && train.hash != all.hash);
        assert!([&train, &held, &all].iter().all(|corpus| corpus.train_hash == train.hash));
    }

    #[test]
    fn bad_requests_are_explained() {
        let spec = spec(Some(1));
        let error = |text: &str, context, split| read(text, &spec, context, split).unwrap_err().to_string();
        let empty = error(" \n<|endoftext|> ", 8, Split::All);
        assert!(empty.contains("text.txt") && empty.contains("found 0 documents"), "{empty}");
        let short = error("a", 8, Split::All);
        assert!(short.contains("found 1 document"), "{short}");
        let absent = if Split::Train.contains(&document_hash("aa")) { Split::HeldOut } else { Split::Train };
        let other = error("aa", 8, absent);
        assert!(other.contains("0 of them in the") && other.contains("separate documents by"), "{other}");
        let long = error("aaaa", 17, Split::All);
        assert!(long.contains("17") && long.contains("16"), "{long}");
        assert!(error("aaaa", 2, Split::All).contains("3"));
        let small = Spec { vocab: 6, ..spec.clone() };
        let outside = read("az", &small, 8, Split::All).unwrap_err().to_string();
        assert!(outside.contains("token id 29"), "{outside}");
        assert_eq!(resolve_context(&spec, None).unwrap(), 16);
        assert_eq!(resolve_context(&Spec { context: 4096, ..spec.clone() }, None).unwrap(), 1024);
    }

    /// The real corpus. Numbers by a script of its own in Python (packages `tokenizers` and `blake3`).
    #[test]
    #[ignore = "needs ../shared/data/stories260k, which is never committed"]
    fn stories260k_has_its_documents() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/stories260k");
        let spec = Spec { vocab: 512, context: 512, pad: None, ..spec(Some(1)) };
        let tokenizer = Tokenizer::load(&dir).unwrap();
        let read = |split| Corpus::read(&[dir.join("samples.txt")], &tokenizer, &spec, 256, split).unwrap();
        let numbers = |c: &Corpus| (c.documents, c.windows.len(), c.window_rows(&spec).iter().sum::<u32>());
        let (train, held) = (read(Split::Train), read(Split::HeldOut));
        assert_eq!(numbers(&train), (2711, 5088, 816_407));
        assert_eq!(numbers(&held), (360, 670, 107_238));
        assert_eq!(train.hash, "52063745efa4980ed3eb7d74eb0679d7eb77e6ef5679c1db5b3d2051b3fc6c69");
        assert_eq!(held.hash, "2e8027d45e812ac5692f3fe2b433ad7c0d10d3c93da61c6870fe98c95f5b4e57");
        assert!(held.windows.iter().all(|w| w.tokens[0] == 1 && (3..=256).contains(&w.tokens.len())));
    }
}
