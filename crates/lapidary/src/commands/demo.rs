//! `lapidary demo` (being written).

use crate::global::Global;

#[derive(clap::Args)]
pub struct DemoArgs {}

pub fn run(_args: DemoArgs, _global: &Global) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
