//! `lapidary release` (being written).

use crate::global::Global;

#[derive(clap::Args)]
pub struct ReleaseArgs {}

pub fn run(_args: ReleaseArgs, _global: &Global) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
