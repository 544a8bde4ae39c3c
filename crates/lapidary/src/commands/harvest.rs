//! `lapidary harvest` (being written).

use crate::global::Global;

#[derive(clap::Args)]
pub struct HarvestArgs {}

pub fn run(_args: HarvestArgs, _global: &Global) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
