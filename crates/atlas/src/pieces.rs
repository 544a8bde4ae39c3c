//! What each token of a window adds to the text: pieces that joined are the text to the byte. A character that the tokenizer cuts
//! in two is shown whole, at its last piece; the pieces before it are empty.

use crate::AtlasError;
use lapidary_text::{TextStream, Tokenizer};

/// Tokens that are decoded at once; decoding one by one would cost the square of the window.
const CHUNK: usize = 32;
/// Tokens before and after a chunk that are decoded with it: a character may have begun before, and end after it.
const LEAD: usize = 8;

/// A piece for each token.
///
/// # Errors
/// A token has no text.
pub fn pieces(tokenizer: &Tokenizer, tokens: &[u32]) -> Result<Vec<String>, AtlasError> {
    let mut out = Vec::with_capacity(tokens.len());
    for start in (0..tokens.len()).step_by(CHUNK) {
        let (from, end) = (start.saturating_sub(LEAD), (start + CHUNK).min(tokens.len()));
        let to = (end + LEAD).min(tokens.len());
        let mut stream = TextStream::new(tokenizer);
        let mut all = Vec::with_capacity(to - from);
        for &token in &tokens[from..to] {
            all.push(stream.push(&[token])?);
        }
        let rest = stream.finish()?;
        if let (Some(last), true) = (all.last_mut(), to == tokens.len()) {
            *last += &rest;
        }
        out.extend(all.drain(start - from..end - from));
    }
    Ok(out)
}

/// The text of every token id below `vocab`, as it is inside a text; the name of one that has none.
///
/// # Errors
/// The tokenizer's decoder fails.
pub fn vocabulary(tokenizer: &Tokenizer, vocab: usize) -> Result<Vec<String>, AtlasError> {
    // Some decoders strip the space before the first token of a text.
    let lead: Vec<u32> = tokenizer.encode("a")?.into_iter().take(1).collect();
    let before = tokenizer.decode(&lead)?;
    let mut out = Vec::with_capacity(vocab);
    for id in 0..vocab as u32 {
        let both = tokenizer.decode(&[&lead[..], &[id]].concat())?;
        let text = both.strip_prefix(before.as_str()).unwrap_or(&both);
        let part = text.is_empty() || text.contains(char::REPLACEMENT_CHARACTER);
        out.push(if part { tokenizer.name(id).unwrap_or_default() } else { text.to_string() });
    }
    Ok(out)
}
