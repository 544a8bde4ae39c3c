//! `lapidary atlas`: build, ask, and exchange a folder that knows every feature of a suite.

mod bars;
mod build;
mod exchange;
mod query;

use crate::global::Global;
pub use bars::Bars;

/// Each manual stands on its arguments.
#[derive(clap::Subcommand)]
pub enum AtlasCommand {
    Build(build::BuildArgs),
    Query(query::QueryArgs),
    Export(exchange::ExportArgs),
    Import(exchange::ImportArgs),
    Upgrade(exchange::UpgradeArgs),
}

pub fn run(command: AtlasCommand, global: &Global) -> anyhow::Result<()> {
    match command {
        AtlasCommand::Build(args) => build::run(args, global),
        AtlasCommand::Query(args) => query::run(args, global),
        AtlasCommand::Export(args) => exchange::export(args, global),
        AtlasCommand::Import(args) => exchange::import(args, global),
        AtlasCommand::Upgrade(args) => exchange::upgrade(args, global),
    }
}
