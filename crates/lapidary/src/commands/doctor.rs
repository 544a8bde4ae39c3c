//! `lapidary doctor`: what this machine offers, and which kernels will run.

use crate::global::Global;
use crate::terminal;
use lapidary_kernels::{Device, Isa};
use lapidary_report::table::{Align, text};

/// What this machine offers to Lapidary
///
/// LAPIDARY_ISA=portable (or another that is listed) overrides the instruction set; all give the same bits.
#[derive(clap::Args)]
pub struct DoctorArgs {}

pub fn run(_args: DoctorArgs, global: &Global) -> anyhow::Result<()> {
    let Device::Cpu(isa) = global.catalog.device;
    let available: Vec<String> = Isa::available().iter().map(Isa::to_string).collect();
    let threads = rayon::current_num_threads();
    if global.json {
        let report = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"), "isa": isa.to_string(), "available": available, "threads": threads,
        });
        return terminal::line(report);
    }
    let rows = [
        ("version", env!("CARGO_PKG_VERSION").to_string()),
        ("instruction set", isa.to_string()),
        ("available", available.join(", ")),
        ("threads", threads.to_string()),
        ("GPU", "not used by this version".into()),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(k, v)| vec![k.to_string(), v]).collect();
    terminal::line(text(&[("lapidary", Align::Left), ("", Align::Left)], &rows))
}
