//! `lapidary bench`: speed of a training step and of encoding, on rows made for it, beside what this machine can do.
//!
//! Rows, weights and thresholds follow from the shape and the seed, so that a peer gets the same ones (`--out`). Only ratios
//! of two runs on one machine, interleaved, say anything: see `benches/`. One step is done before the clock counts. The
//! learning rate is so small that the number of active features stays as it was asked for.

mod lm;
mod report;
mod server;

use crate::global::Global;
use crate::terminal::stopwatch::Stopwatch;
use crate::{machine, terminal};
use anyhow::bail;
use lapidary_kernels::{Csr, naive};
use lapidary_suite::estimate::{self, Memory};
use lapidary_trainer::made::Made;
use lapidary_trainer::{
    DictionaryPlan, Phase, Preset, Recipe, Threshold, Training, Workspace, memory, train_step_on,
};
use rayon::prelude::*;
use report::{Exactness, Machine, Report, Seen};
use std::path::PathBuf;
use std::time::Instant;

#[derive(clap::Subcommand)]
pub enum BenchCommand {
    /// Training steps of a JumpReLU dictionary, preset gemma-scope
    ///
    /// Prints tokens per second, the share of each phase, peak memory, and the dense product at this machine's measured peak.
    Train(BenchArgs),
    /// The encoder for inference: which features of each row are active, and their values
    ///
    /// A sample of rows is compared, bit for bit, with the naive product, which is the definition.
    Encode(BenchArgs),
    /// A language model: reading its weights, prefill, decoding
    Lm(lm::LmArgs),
    /// A server that runs: feature pages to many clients, the microscope, the first steered token
    Server(server::ServerArgs),
}

#[derive(clap::Args)]
pub struct BenchArgs {
    /// D, width of the rows
    #[arg(long, value_name = "D", default_value_t = 2_304, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    d_model: u64,
    /// F, features
    #[arg(long, value_name = "F", default_value_t = 16_384, value_parser = clap::value_parser!(u64).range(2..=16_777_216))]
    width: u64,
    /// N, rows of a step
    #[arg(long, value_name = "N", default_value_t = 4_096, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    batch: u64,
    /// Mean active features of a row, at most half of the width; what is measured is printed
    #[arg(long, default_value_t = 70.0)]
    l0: f64,
    /// Steps that are measured, after one that is not
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    steps: u64,
    /// Features fire with frequencies 1/rank (at most 1/2) instead of equal ones
    #[arg(long)]
    zipf: bool,
    /// Seed of rows and weights
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Save x [N, D], w [F, D] (encoder and decoder), theta, b_enc, b_dec as safetensors, for a peer
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(command: BenchCommand, global: &Global) -> anyhow::Result<()> {
    let (args, what) = match &command {
        BenchCommand::Train(args) => (args, "train"),
        BenchCommand::Encode(args) => (args, "encode"),
        BenchCommand::Lm(args) => return lm::run(args, global),
        BenchCommand::Server(args) => return server::run(args, global),
    };
    args.check(global)?;
    if global.dry_run {
        let memory = args.memory();
        let json = serde_json::json!({ "bench": what, "memory_bytes": memory });
        let memory = lapidary_report::number::bytes(memory);
        return global.tell(&json, format_args!("bench {what}: about {memory} of memory"));
    }
    let input = Made::new(&args.plan(), &args.recipe(), args.seed, args.batch as usize, args.l0, args.zipf);
    if let Some(path) = &args.out {
        input.save(path)?;
    }
    let seen = if what == "train" { args.train(input, global) } else { args.encode(input, global) };
    let report = Report::new(what, args, seen, Machine::measure(global.catalog.device));
    if global.json {
        terminal::line(serde_json::to_string_pretty(&report)?)?;
    } else {
        terminal::print(report.table())?;
    }
    match report.exactness {
        Some(Exactness { same_bits: false, .. }) => {
            bail!("the fast product differs from its definition: a bug")
        }
        _ => Ok(()),
    }
}

impl BenchArgs {
    /// Refuses what cannot be done, by name.
    fn check(&self, global: &Global) -> anyhow::Result<()> {
        let most = self.width as f64 / 2.0;
        if !(self.l0 > 0.0 && self.l0 <= most) {
            bail!(
                "--l0: expected a number above 0 and at most {most} (half of the width), found {}",
                self.l0
            );
        }
        self.out.as_ref().map_or(Ok(()), |path| global.output_file(path, &[]))?;
        Ok(estimate::must_fit(self.memory(), machine::memory(), "a smaller --width or --batch")?)
    }

    /// Bytes that a bench needs; that of encoding needs less.
    fn memory(&self) -> u64 {
        let (n, d) = (self.batch as usize, self.d_model as usize);
        let memory = Memory {
            dictionaries: memory::dictionary(&self.plan(), self.recipe().beta1),
            step: memory::step(&self.plan(), n, self.l0),
            rows: 4.0 * n as f64 * d as f64,
            ..Memory::default()
        };
        memory.total()
    }

    fn plan(&self) -> DictionaryPlan {
        DictionaryPlan::new("bench", "bench", self.d_model as usize, self.width as usize)
    }

    /// The preset `gemma-scope` in the midst of a run, but for a learning rate that moves nothing. θ is trained as it is, so
    /// that it may be 0.
    fn recipe(&self) -> Recipe {
        Recipe {
            preset: Preset::GemmaScope,
            batch: self.batch as usize,
            lr: 1e-9,
            lr_warmup: 0,
            lambda_warmup: 0,
            threshold: Threshold::Raw,
            ..Recipe::gemma_scope(self.steps + 1)
        }
    }

    /// By θ itself; a step's screen asks for θ − ε/2.
    fn recheck_share(&self, input: &Made, global: &Global) -> Option<f64> {
        let p = &input.parameters;
        global.catalog.device.recheck_share(
            &input.x,
            &p.w_enc,
            &p.b_enc,
            input.theta(),
            self.d_model as usize,
        )
    }

    fn train(&self, input: Made, global: &Global) -> Seen {
        let (plan, recipe) = (self.plan(), self.recipe());
        let mut seen = Seen { recheck_share: self.recheck_share(&input, global), ..Seen::default() };
        let mut training = Training::new(input.parameters, &plan, recipe.beta1);
        let (mut stopwatch, mut rows) = (Stopwatch::start(), Workspace::default());
        machine::forget_peak();
        for step in 0..=self.steps {
            let began = Instant::now();
            stopwatch.skip();
            let mut phase = |phase: Phase| stopwatch.lap(Some(phase));
            rows.load(input.x.as_slice().into(), &plan);
            let saw = train_step_on(
                &mut training,
                &mut rows,
                &plan,
                &recipe,
                step,
                global.catalog.device,
                &mut phase,
            );
            seen.step_s.push(began.elapsed().as_secs_f64());
            if step == 0 {
                stopwatch = Stopwatch::start();
            }
            (seen.l0, seen.window_share) = (saw.l0, Some(saw.window_share));
            let now = step as u32 + 1;
            seen.touched_rows = training.active_stamp.iter().filter(|&&stamp| stamp == now).count();
        }
        seen.peak_bytes = machine::peak_bytes();
        seen.phases = stopwatch.steps();
        seen
    }

    fn encode(&self, mut input: Made, global: &Global) -> Seen {
        input.parameters.w_dec = Vec::new();
        let (d, p) = (self.d_model as usize, &input.parameters);
        let mut seen = Seen { recheck_share: self.recheck_share(&input, global), ..Seen::default() };
        let mut encoded = Csr::default();
        machine::forget_peak();
        let began = Instant::now();
        let rows = usize::MAX; // as many as there will be batches
        let encoder = global.catalog.device.encoder(&input.x, rows, &p.w_enc, &p.b_enc, input.theta(), d);
        seen.prepare_s = Some(began.elapsed().as_secs_f64());
        for _ in 0..=self.steps {
            let began = Instant::now();
            encoded = encoder.encode(&input.x);
            seen.step_s.push(began.elapsed().as_secs_f64());
        }
        seen.peak_bytes = machine::peak_bytes();
        seen.l0 = encoded.index.len() as f64 / self.batch as f64;
        let mut fires = vec![false; self.width as usize];
        encoded.index.iter().for_each(|&j| fires[j as usize] = true);
        seen.touched_rows = fires.iter().filter(|&&fires| fires).count();
        seen.exactness = Some(exactness(&input, &encoded, d));
        seen
    }
}

/// Multiply-adds that the naive product may take.
const NAIVE_WORK: usize = 300_000_000;

/// Rows from all over the batch, by the naive kernel: indices and bits of values must be the same.
fn exactness(input: &Made, encoded: &Csr, d: usize) -> Exactness {
    let p = &input.parameters;
    let n = encoded.rows();
    let rows = (NAIVE_WORK / p.w_enc.len()).clamp(1, 64).min(n);
    let same = |i: usize| {
        let row = i * n / rows;
        let x = &input.x[row * d..][..d];
        let expected = naive::encode(x, &p.w_enc, &p.b_enc, input.theta(), d);
        let (index, value) = encoded.row(row);
        let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        index == expected.index && bits(value) == bits(&expected.value)
    };
    Exactness { rows, same_bits: (0..rows).into_par_iter().all(same) }
}
