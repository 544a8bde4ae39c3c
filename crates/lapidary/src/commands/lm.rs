//! `lapidary lm` (being written).

use crate::global::Global;

#[derive(clap::Subcommand)]
pub enum LmCommand {
    Info,
}

pub fn run(_args: LmCommand, _global: &Global) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
