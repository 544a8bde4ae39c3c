//! A context, token by token: the text around the place where a feature fires, and how strongly it fires at each token.
//!
//! Tokens are shown with their bytes exact: a character that the tokenizer cuts in two is shown whole, at its last piece.

use crate::AtlasError;
use crate::contexts::{Context, Subject};
use lapidary_harvest::FusedRows;
use lapidary_lm::Model;
use lapidary_store::{RowDtype, RowSource};
use lapidary_text::{Corpus, TextStream, Tokenizer, Window};
use std::ops::Range;

/// Tokens that are decoded before an excerpt.
const LEAD: usize = 8;

/// A token of an excerpt.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// As it is written, with the space before it if it has one.
    pub text: String,
    /// How strongly the feature fires there; 0: it does not, or the token is special.
    pub value: f32,
}

/// The text around a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Excerpt {
    /// In the order of the text.
    pub pieces: Vec<Piece>,
    /// Which of them the context is about.
    pub at: usize,
}

/// The contexts of one feature of a dictionary, with `around.0` tokens before the place and `around.1` after it.
///
/// # Errors
/// The model cannot read the text, or a token has no text.
pub fn excerpts(
    model: &Model,
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    subject: &Subject<'_>,
    feature: u32,
    contexts: &[Context],
    around: (usize, usize),
) -> Result<Vec<Excerpt>, AtlasError> {
    let mut source = FusedRows::new(model, corpus, &[subject.site], RowDtype::F32)?;
    let mut out = Vec::with_capacity(contexts.len());
    for context in contexts {
        let window = &corpus.windows[context.window as usize];
        let mut rows = [Vec::new()];
        source.read(&[context.window], &mut rows).map_err(AtlasError::Rows)?;
        let values = values(model, window, subject, &rows[0], feature);
        let at = context.position as usize;
        let first = usize::from(model.spec.bos.is_some());
        let shown =
            at.saturating_sub(around.0).max(first.min(at))..(at + around.1 + 1).min(window.tokens.len());
        // A few tokens before the first one that is shown: a character may have begun in them.
        let from = shown.start.saturating_sub(LEAD).max(first.min(at));
        let texts = texts(tokenizer, &window.tokens[from..shown.end])?;
        let pieces = texts.into_iter().skip(shown.start - from).zip(&values[shown.clone()]);
        let pieces = pieces.map(|(text, &value)| Piece { text, value }).collect();
        out.push(Excerpt { pieces, at: at - shown.start });
    }
    Ok(out)
}

/// The feature's value at every token of the window [T]; x `[N, D]` are the rows.
fn values(model: &Model, window: &Window, subject: &Subject<'_>, x: &[f32], feature: u32) -> Vec<f32> {
    let mut values = vec![0.0; window.tokens.len()];
    let features = subject.dictionary.encode(model.device, x);
    for (n, position) in window.row_positions(&model.spec).enumerate() {
        let (index, value) = features.row(n);
        if let Ok(at) = index.binary_search(&feature) {
            values[position] = value[at];
        }
    }
    values
}

/// What each token adds to the text; together they are the text.
fn texts(tokenizer: &Tokenizer, tokens: &[u32]) -> Result<Vec<String>, AtlasError> {
    let mut stream = TextStream::new(tokenizer);
    let mut texts = Vec::with_capacity(tokens.len());
    for &token in tokens {
        texts.push(stream.push(&[token])?);
    }
    let rest = stream.finish()?;
    if let Some(last) = texts.last_mut() {
        *last += &rest;
    }
    Ok(texts)
}

/// Where a string of at most `most` characters is cut out of the pieces around `at`: whole pieces, as many as fit.
pub fn fitting(excerpt: &Excerpt, most: usize) -> Range<usize> {
    let width = |piece: &Piece| piece.text.chars().count();
    let mut range = excerpt.at..excerpt.at + 1;
    let mut left = most.saturating_sub(excerpt.pieces.get(excerpt.at).map_or(0, width));
    loop {
        let before = range.start.checked_sub(1).filter(|&i| width(&excerpt.pieces[i]) <= left);
        if let Some(i) = before {
            left -= width(&excerpt.pieces[i]);
            range.start = i;
        }
        let after = excerpt.pieces.get(range.end).filter(|piece| width(piece) <= left);
        if let Some(piece) = after {
            left -= width(piece);
            range.end += 1;
        }
        if before.is_none() && after.is_none() {
            return range;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pieces_that_fit_are_shown() {
        let piece = |text: &str| Piece { text: text.into(), value: 0.0 };
        let pieces = ["ab", "cde", "f", "ghij", "k"].map(piece).to_vec();
        let excerpt = Excerpt { pieces, at: 2 };
        assert_eq!(fitting(&excerpt, 100), 0..5);
        assert_eq!(fitting(&excerpt, 8), 1..4);
        assert_eq!(fitting(&excerpt, 4), 1..3);
        assert_eq!(fitting(&excerpt, 0), 2..3, "the token itself is always shown");
    }
}
