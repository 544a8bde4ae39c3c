//! `lapidary atlas`: build, and ask, a folder that knows every feature of a suite.

mod bars;
mod build;
mod query;

use crate::global::Global;
pub use bars::Bars;

/// Each manual stands on its arguments.
#[derive(clap::Subcommand)]
pub enum AtlasCommand {
    Build(build::BuildArgs),
    Query(query::QueryArgs),
}

pub fn run(command: AtlasCommand, global: &Global) -> anyhow::Result<()> {
    match command {
        AtlasCommand::Build(args) => build::run(args, global),
        AtlasCommand::Query(args) => query::run(args, global),
    }
}
