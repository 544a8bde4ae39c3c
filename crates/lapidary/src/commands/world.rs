//! `lapidary world`: the ground-truth language as text, truth, minimal pairs and tables; and how well a model knows it.

use crate::commands::planted::{PlantedArgs, PlantedRowsArgs, planted, planted_rows};
use crate::commands::world_score::{ScoreArgs, score};
use crate::global::Global;
use crate::terminal;
use clap::{Args, Subcommand};
use lapidary_catalog::text::World;
use lapidary_files::publish_with;
use lapidary_report::number::count;
use lapidary_world::{CORPUS_VERSION, LEXICON, Mark, Word, render, tokenizer_json, variables};
use serde::Serialize;
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum WorldCommand {
    /// Documents, one JSON line each: {"document", "text"}
    Text(TextArgs),
    /// Documents with the truth about every token, one JSON line each: tokens as [word, [[variable, value], …]]
    Truth(TextArgs),
    /// Minimal pairs, one JSON line each: a document, its twin with one variable swapped, and the tokens that must change
    Pairs(TextArgs),
    /// The vocabulary as a Hugging Face tokenizer.json
    Vocab,
    /// The table of variables, one JSON line each, with its measured share of tokens
    Variables(TextArgs),
    /// Loss of a model over the oracle's, and its accuracy by task
    Score(ScoreArgs),
    Planted(PlantedArgs),
    PlantedRows(PlantedRowsArgs),
}

#[derive(Args)]
pub struct TextArgs {
    /// Seed of the documents
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Documents are written until they have this many tokens
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    tokens: u64,
    /// train, eval, templates (word orders unseen in training), entities or compositions (held out of training)
    #[arg(long, default_value = "train")]
    split: String,
    /// base: the bot answers everything; chat: it refuses forbidden topics
    #[arg(long, default_value = "base")]
    policy: String,
    /// Planted correlation of the formal style with cheerful feelings, 0 to 1
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    spurious: f64,
    /// File to write [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl TextArgs {
    fn world(&self) -> anyhow::Result<World> {
        let TextArgs { seed, tokens, split, policy, spurious, .. } = self;
        Ok(format!("world:seed={seed},tokens={tokens},split={split},policy={policy},spurious={spurious}")
            .parse()?)
    }

    /// Where `write` writes is stdout, or a file that appears whole or not at all.
    fn write(
        &self,
        global: &Global,
        write: impl FnOnce(&World, &mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let world = self.world()?;
        self.out.as_ref().map_or(Ok(()), |path| global.output_file(path, &[]))?;
        if global.dry_run {
            let to = self.out.as_ref().map_or("stdout".into(), |path| path.display().to_string());
            let json = serde_json::json!({ "tokens": self.tokens, "to": to, "text": world.to_string() });
            let tokens = count(self.tokens);
            return global.tell(&json, format_args!("about {tokens} tokens, to {to}: {world}"));
        }
        match &self.out {
            Some(path) => Ok(publish_with(path, |out| write(&world, out))?),
            None => terminal::write(|out| write(&world, out)),
        }
    }
}

pub fn run(command: WorldCommand, global: &Global) -> anyhow::Result<()> {
    match command {
        WorldCommand::Text(args) => args.write(global, text),
        WorldCommand::Truth(args) => args.write(global, truth),
        WorldCommand::Pairs(args) => args.write(global, pairs),
        WorldCommand::Vocab => terminal::line(format_args!("{:#}", tokenizer_json())),
        WorldCommand::Variables(args) => args.write(global, variable_table),
        WorldCommand::Score(args) => score(&args, global),
        WorldCommand::Planted(args) => planted(&args, global),
        WorldCommand::PlantedRows(args) => planted_rows(&args, global),
    }
}

fn line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct TextLine {
    document: usize,
    text: String,
}

fn text(world: &World, out: &mut dyn Write) -> io::Result<()> {
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

fn truth(world: &World, out: &mut dyn Write) -> io::Result<()> {
    for (document, words) in world.documents().enumerate() {
        let sample = world.corpus.sample(document as u64);
        let token =
            |(i, &word): (usize, &Word)| (LEXICON.words[usize::from(word)].as_str(), Marks(sample.at(i)));
        let tokens = words.iter().enumerate().map(token).collect();
        line(out, &TruthLine { corpus_version: CORPUS_VERSION, document, tokens })?;
    }
    Ok(())
}

fn pairs(world: &World, out: &mut dyn Write) -> io::Result<()> {
    for (document, _) in world.documents().enumerate() {
        let document = document as u64;
        line(out, &world.corpus.random_pair(document).line(document))?;
    }
    Ok(())
}

/// Frequencies are counted, not quoted: share of tokens at which a binary variable is on or another has a value.
fn variable_table(world: &World, out: &mut dyn Write) -> io::Result<()> {
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
