//! `lapidary encode` (being written).

use crate::global::Global;

#[derive(clap::Args)]
pub struct EncodeArgs {}

pub fn run(_args: EncodeArgs, _global: &Global) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
