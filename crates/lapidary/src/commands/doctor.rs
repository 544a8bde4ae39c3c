//! `lapidary doctor` (being written).

use crate::global::Global;

#[derive(clap::Args)]
pub struct DoctorArgs {}

pub fn run(_args: DoctorArgs, _global: &Global) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
