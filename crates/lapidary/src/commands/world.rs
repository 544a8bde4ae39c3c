//! `lapidary world`: the ground-truth language as text, truth, minimal pairs and tables; and how well a model knows it.

use crate::commands::planted::{PlantedArgs, PlantedRowsArgs, planted, planted_rows};
use crate::commands::world_score::{ScoreArgs, score};
use crate::global::Global;
use crate::terminal;
use clap::{Args, Subcommand};
use lapidary_catalog::text::World;
use lapidary_files::publish_with;
use lapidary_ground_truth::documents::{write_pairs, write_text, write_truth, write_variables};
use lapidary_report::number::count;
use lapidary_world::tokenizer_json;
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
        WorldCommand::Text(args) => args.write(global, write_text),
        WorldCommand::Truth(args) => args.write(global, write_truth),
        WorldCommand::Pairs(args) => args.write(global, write_pairs),
        WorldCommand::Vocab => terminal::line(format_args!("{:#}", tokenizer_json())),
        WorldCommand::Variables(args) => args.write(global, write_variables),
        WorldCommand::Score(args) => score(&args, global),
        WorldCommand::Planted(args) => planted(&args, global),
        WorldCommand::PlantedRows(args) => planted_rows(&args, global),
    }
}
