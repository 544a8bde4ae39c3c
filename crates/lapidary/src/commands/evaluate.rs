//! `lapidary evaluate` (being written).

use crate::global::Global;

#[derive(clap::Args)]
pub struct EvaluateArgs {}

pub fn run(_args: EvaluateArgs, _global: &Global) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
