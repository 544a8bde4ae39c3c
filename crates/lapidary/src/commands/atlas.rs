//! `lapidary atlas`: build, ask, explain and exchange a folder that knows every feature of a suite.

mod bars;
mod build;
mod exchange;
mod explain;
mod query;
pub mod subject;

use crate::global::Global;
pub use bars::Bars;

/// Each manual stands on its arguments.
#[derive(clap::Subcommand)]
pub enum AtlasCommand {
    Build(build::BuildArgs),
    Query(query::QueryArgs),
    Explain(explain::ExplainArgs),
    Export(exchange::ExportArgs),
    Import(exchange::ImportArgs),
    Upgrade(exchange::UpgradeArgs),
}

pub fn run(command: AtlasCommand, global: &Global) -> anyhow::Result<()> {
    match command {
        AtlasCommand::Build(args) => build::run(args, global),
        AtlasCommand::Query(args) => query::run(args, global),
        AtlasCommand::Explain(args) => explain::run(args, global),
        AtlasCommand::Export(args) => exchange::export(args, global),
        AtlasCommand::Import(args) => exchange::import(args, global),
        AtlasCommand::Upgrade(args) => exchange::upgrade(args, global),
    }
}
