//! What a bench says: one struct, printed as a table or as JSON.

use super::BenchArgs;
use crate::machine::{bandwidth_gb_s, gemm_gflops};
use lapidary_kernels::Device;
use lapidary_report::number::{bytes, count, percent, significant};
use lapidary_report::table::{Align, text};
use serde::Serialize;

/// Version of the JSON.
const FORMAT: u32 = 1;

/// What was seen while measuring; the first step is not measured.
#[derive(Default)]
pub struct Seen {
    /// Seconds to make W_enc ready, before the steps; in training each step does it.
    pub prepare_s: Option<f64>,
    /// Seconds of every step.
    pub step_s: Vec<f64>,
    /// Mean active features of a row.
    pub l0: f64,
    /// Features that were active at least once in the last step.
    pub touched_rows: usize,
    /// The most memory held during the steps.
    pub peak_bytes: Option<u64>,
    /// Pre-activations inside the straight-through window, over all N·F.
    pub window_share: Option<f64>,
    /// Entries that the screening product could not decide, over all N·F.
    pub recheck_share: Option<f64>,
    /// Name and seconds of each phase, summed over the measured steps.
    pub phases: Vec<(&'static str, f64)>,
    pub exactness: Option<Exactness>,
}

/// Were the values those of the naive kernel?
#[derive(Clone, Copy, Serialize)]
pub struct Exactness {
    /// Rows that were compared.
    pub rows: usize,
    pub same_bits: bool,
}

/// The machine, as measured in this run.
#[derive(Serialize)]
pub struct Machine {
    isa: String,
    threads: usize,
    /// f32, everything in caches.
    gemm_gflops: f64,
    /// Triad, everything in memory.
    bandwidth_gb_s: f64,
}

impl Machine {
    pub fn measure(device: Device) -> Machine {
        let Device::Cpu(isa) = device;
        Machine {
            isa: isa.to_string(),
            threads: rayon::current_num_threads(),
            gemm_gflops: gemm_gflops(device),
            bandwidth_gb_s: bandwidth_gb_s(),
        }
    }
}

#[derive(Serialize)]
struct Phase {
    name: &'static str,
    /// Per step.
    seconds: f64,
    share: f64,
}

#[derive(Serialize)]
pub struct Report {
    format: u32,
    bench: &'static str,
    d_model: u64,
    width: u64,
    batch: u64,
    asked_l0: f64,
    zipf: bool,
    seed: u64,
    /// Measured.
    l0: f64,
    tokens_per_s: f64,
    /// Median of the measured steps.
    step_s: f64,
    steps_s: Vec<f64>,
    /// Not among them.
    first_step_s: f64,
    /// To make W_enc ready once, where that is not part of a step.
    prepare_s: Option<f64>,
    phases: Vec<Phase>,
    peak_bytes: Option<u64>,
    touched_rows: usize,
    window_share: Option<f64>,
    recheck_share: Option<f64>,
    /// Of the encoder's product, as if the step did nothing else: 2·N·D·F over `step_s`.
    product_gflops: f64,
    pub exactness: Option<Exactness>,
    machine: Machine,
}

impl Report {
    pub fn new(bench: &'static str, args: &BenchArgs, seen: Seen, machine: Machine) -> Report {
        let (first_step_s, steps_s) = (seen.step_s[0], seen.step_s[1..].to_vec());
        let (step_s, total) = (median(&steps_s), steps_s.iter().sum::<f64>());
        let phase =
            |(name, seconds)| Phase { name, seconds: seconds / steps_s.len() as f64, share: seconds / total };
        Report {
            format: FORMAT,
            bench,
            d_model: args.d_model,
            width: args.width,
            batch: args.batch,
            asked_l0: args.l0,
            zipf: args.zipf,
            seed: args.seed,
            l0: seen.l0,
            tokens_per_s: args.batch as f64 / step_s,
            step_s,
            phases: seen.phases.into_iter().map(phase).collect(),
            steps_s,
            first_step_s,
            prepare_s: seen.prepare_s,
            peak_bytes: seen.peak_bytes,
            touched_rows: seen.touched_rows,
            window_share: seen.window_share,
            recheck_share: seen.recheck_share,
            product_gflops: 2e-9 * (args.batch * args.d_model * args.width) as f64 / step_s,
            exactness: seen.exactness,
            machine,
        }
    }

    pub fn table(&self) -> String {
        let mut rows = vec![
            ("shape", self.shape()),
            ("tokens per second", count(self.tokens_per_s.round() as u64)),
            ("step, median", self.steps()),
        ];
        rows.extend(self.prepare_s.map(|s| ("making W_enc ready, once", seconds(s))));
        for phase in &self.phases {
            rows.push((phase.name, format!("{} ({})", seconds(phase.seconds), percent(phase.share))));
        }
        rows.push(("peak memory", self.peak_bytes.map_or("not known".into(), bytes)));
        rows.push((
            "touched features",
            format!("{} of {}", count(self.touched_rows as u64), count(self.width)),
        ));
        let shares = [("inside the window", self.window_share), ("rechecked", self.recheck_share)];
        for (name, share) in shares {
            rows.extend(
                share.map(|share| {
                    (name, format!("{} % of all pre-activations", significant(100.0 * share, 2)))
                }),
            );
        }
        rows.extend(self.exactness.map(|exact| ("against the naive kernel", exact.sentence())));
        rows.push(("roofline", self.roofline()));
        let rows: Vec<Vec<String>> = rows.into_iter().map(|(k, v)| vec![k.to_string(), v]).collect();
        text(&[("bench", Align::Left), (self.bench, Align::Left)], &rows)
    }

    fn shape(&self) -> String {
        let firing = if self.zipf { "Zipf's frequencies" } else { "equal frequencies" };
        let (d, f, n) = (count(self.d_model), count(self.width), count(self.batch));
        format!("D {d}, F {f}, N {n}, L0 {} measured, {firing}", significant(self.l0, 4))
    }

    fn steps(&self) -> String {
        let all: Vec<String> = self.steps_s.iter().map(|s| significant(*s, 3)).collect();
        format!(
            "{} (all: {}; before them {})",
            seconds(self.step_s),
            all.join(", "),
            seconds(self.first_step_s)
        )
    }

    fn roofline(&self) -> String {
        let Machine { isa, threads, gemm_gflops, bandwidth_gb_s } = &self.machine;
        format!(
            "{isa}, {threads} threads: f32 product {} GFLOP/s, memory {} GB/s; the step, as one product: {} GFLOP/s",
            significant(*gemm_gflops, 3),
            significant(*bandwidth_gb_s, 3),
            significant(self.product_gflops, 3),
        )
    }
}

impl Exactness {
    fn sentence(self) -> String {
        let verdict = if self.same_bits { "the same active set and bits" } else { "DIFFERENT" };
        format!("{verdict} on {} rows", count(self.rows as u64))
    }
}

fn seconds(s: f64) -> String {
    format!("{} s", significant(s, 3))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
