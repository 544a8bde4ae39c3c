//! `lapidary train` (being written).

use crate::global::Global;

#[derive(clap::Args)]
pub struct TrainArgs {}

pub fn run(_args: TrainArgs, _global: &Global) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
