//! `lapidary`: train, measure, release and inspect sparse autoencoders of language models.
//!
//! Verbs are pipeline stages, one file each under `commands/`; they are the only places where stages meet. Results go to
//! stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 bad usage.

#![forbid(unsafe_code)]

mod commands;
mod global;
mod machine;
mod output;
mod terminal;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use global::GlobalFlags;
use std::any::TypeId;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: lapidary_kernels::HugePages = lapidary_kernels::HugePages;

/// Sparse autoencoders for every layer and sub-layer of a language model: train, measure, release.
#[derive(Parser)]
#[command(name = "lapidary", version, max_term_width = 100, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    global: GlobalFlags,
}

/// Each verb's manual stands on its arguments.
#[derive(Subcommand)]
enum Verb {
    Demo(commands::demo::DemoArgs),
    /// Look into a language model: info, logits, tap, generate
    #[command(subcommand)]
    Lm(commands::lm::LmCommand),
    Harvest(commands::harvest::HarvestArgs),
    Train(commands::train::TrainArgs),
    Evaluate(commands::evaluate::EvaluateArgs),
    Features(commands::features::FeaturesArgs),
    Steer(commands::steer::SteerArgs),
    Serve(commands::serve::ServeArgs),
    Release(commands::release::ReleaseArgs),
    /// Every feature of a suite in one folder: build, query
    #[command(subcommand)]
    Atlas(commands::atlas::AtlasCommand),
    Lab(commands::lab::LabArgs),
    Convert(commands::convert::ConvertArgs),
    Encode(commands::encode::EncodeArgs),
    Verify(commands::verify::VerifyArgs),
    /// The ground-truth language: text, truth, pairs, vocab, variables, score; and planted dictionaries with their rows
    #[command(subcommand)]
    World(commands::world::WorldCommand),
    Doctor(commands::doctor::DoctorArgs),
    /// Speed: a training step, the encoder; with this machine's roofline
    #[command(subcommand)]
    Bench(commands::bench::BenchCommand),
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let global = cli.global.resolve()?;
    match cli.verb {
        Verb::Demo(args) => commands::demo::run(args, &global),
        Verb::Lm(command) => commands::lm::run(command, &global),
        Verb::Harvest(args) => commands::harvest::run(args, &global),
        Verb::Train(args) => commands::train::run(args, &global),
        Verb::Evaluate(args) => commands::evaluate::run(args, &global),
        Verb::Features(args) => commands::features::run(args, &global),
        Verb::Serve(args) => commands::serve::run(args, &global),
        Verb::Steer(args) => commands::steer::run(args, &global),
        Verb::Release(args) => commands::release::run(args, &global),
        Verb::Atlas(command) => commands::atlas::run(command, &global),
        Verb::Lab(args) => commands::lab::run(&args, &global),
        Verb::Convert(args) => commands::convert::run(args, &global),
        Verb::Encode(args) => commands::encode::run(args, &global),
        Verb::Verify(args) => commands::verify::run(args, &global),
        Verb::World(command) => commands::world::run(command, &global),
        Verb::Doctor(args) => commands::doctor::run(args, &global),
        Verb::Bench(command) => commands::bench::run(command, &global),
    }
}

fn with_home(command: clap::Command) -> clap::Command {
    let path = PathBufValueParser::new().try_map(global::expand_home);
    let is_path = |arg: &clap::Arg| arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
    let command = command.mut_args(|arg| if is_path(&arg) { arg.value_parser(path.clone()) } else { arg });
    command.mut_subcommands(with_home)
}

/// The chain of causes in one line, without those that the sentence before has already said.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(|cause| cause.to_string().replace('\n', " ")) {
        if !line.contains(&cause) {
            let colon = if line.is_empty() { "" } else { ": " };
            line += &format!("{colon}{cause}");
        }
    }
    line
}

/// The command line, with `~/` understood wherever a path is given; or the manual, which is a result, or what is wrong with it.
fn parse() -> Result<Cli, ExitCode> {
    let matches = with_home(Cli::command()).try_get_matches();
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|answer| {
        let text = answer.render();
        if answer.use_stderr() {
            let colour = std::io::stderr().is_terminal();
            let _ = if colour {
                write!(std::io::stderr(), "{}", text.ansi())
            } else {
                write!(std::io::stderr(), "{text}")
            };
            return ExitCode::from(2);
        }
        let colour = std::io::stdout().is_terminal();
        ended(if colour { terminal::print(text.ansi()) } else { terminal::print(text) })
    })
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if terminal::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::note(format_args!("error: {}", one_line(&error)));
            ExitCode::from(1)
        }
    }
}

fn main() -> ExitCode {
    match parse() {
        Ok(cli) => ended(run(cli)),
        Err(code) => code,
    }
}
