//! `lapidary convert` (being written).

use crate::global::Global;

#[derive(clap::Args)]
pub struct ConvertArgs {}

pub fn run(_args: ConvertArgs, _global: &Global) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
