//! Documents of the language as JSON lines: their text, the truth about every token, minimal pairs, and the table of variables.

use lapidary_catalog::World;
use lapidary_world::{CORPUS_VERSION, LEXICON, Mark, Word, render, variables};
use serde::Serialize;
use serde_json::json;
use std::io::{self, Write};

fn line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct TextLine {
    document: usize,
    text: String,
}

/// A line for each document: `{"document", "text"}`.
///
/// # Errors
/// Those of `out`.
pub fn write_text(world: &World, out: &mut dyn Write) -> io::Result<()> {
    for (document, tokens) in world.documents().enumerate() {
        line(out, &TextLine { document, text: render(&tokens) })?;
    }
    Ok(())
}

#[derive(Serialize)]
struct TruthLine<'a> {
    corpus_version: u32,
    document: usize,
    tokens: Vec<(&'a str, Marks<'a>)>,
}

/// Written as [[variable, value], …], straight from the sample: a million tokens have ten million marks.
struct Marks<'a>(&'a [Mark]);

impl Serialize for Marks<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|mark| (mark.variable, mark.value)))
    }
}

/// A line for each document, tokens as `[word, [[variable, value], …]]`.
///
/// # Errors
/// Those of `out`.
pub fn write_truth(world: &World, out: &mut dyn Write) -> io::Result<()> {
    for (document, words) in world.documents().enumerate() {
        let sample = world.corpus.sample(document as u64);
        let token =
            |(i, &word): (usize, &Word)| (LEXICON.words[usize::from(word)].as_str(), Marks(sample.at(i)));
        let tokens = words.iter().enumerate().map(token).collect();
        line(out, &TruthLine { corpus_version: CORPUS_VERSION, document, tokens })?;
    }
    Ok(())
}

/// A line for each document, with its twin in which one variable is swapped.
///
/// # Errors
/// Those of `out`.
pub fn write_pairs(world: &World, out: &mut dyn Write) -> io::Result<()> {
    for (document, _) in world.documents().enumerate() {
        let document = document as u64;
        line(out, &world.corpus.random_pair(document).line(document))?;
    }
    Ok(())
}

/// A line for each variable. Frequencies are counted, not quoted: share of tokens at which a binary variable is on or another has a
/// value.
///
/// # Errors
/// Those of `out`.
pub fn write_variables(world: &World, out: &mut dyn Write) -> io::Result<()> {
    let (mut counts, mut tokens) = (vec![0u64; variables::table().len()], 0u64);
    for (document, words) in world.documents().enumerate() {
        tokens += words.len() as u64;
        let sample = world.corpus.sample(document as u64);
        sample.marks.iter().for_each(|mark| counts[usize::from(mark.variable)] += 1);
    }
    for (variable, count) in
        variables::table().iter().zip(counts).filter(|(variable, _)| !variable.name.is_empty())
    {
        let mut row = serde_json::to_value(variable)?;
        row["frequency"] = json!(count as f64 / tokens.max(1) as f64);
        line(out, &row)?;
    }
    Ok(())
}
