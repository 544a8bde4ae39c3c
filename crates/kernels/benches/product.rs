//! Speed of the dense products: GFLOP/s of `linear`, in f32 and in bf16, and of `encode` for a small and a large model's shapes, each instruction
//! set, one thread and two. Median of five runs (of one, where a run takes more than two seconds).
//! `cargo bench -p lapidary-kernels`; one multiply-add counts as two operations. The columns in brackets divide by the
//! seconds that the threads were really running (Linux): they hold on a busy machine too.

#![allow(clippy::print_stdout)] // a benchmark prints

use lapidary_kernels::{Bf16, Device, Isa, Operand};
use std::time::Instant;

/// (N, D, F)
const SHAPES: [(usize, usize, usize); 3] = [(4096, 64, 2048), (2048, 576, 1536), (512, 2304, 16384)];

/// Values in [-1, 1), the same every time.
fn values(n: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Nanoseconds that this process's threads have run, if the system tells.
fn cpu_nanoseconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ran = |task: std::fs::DirEntry| -> Option<f64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(ran).sum()
}

/// Median wall seconds of `work`, and its median thread seconds.
fn seconds(mut work: impl FnMut()) -> (f64, f64) {
    let mut once = || {
        let (start, ran) = (Instant::now(), cpu_nanoseconds());
        work();
        (start.elapsed().as_secs_f64(), 1e-9 * (cpu_nanoseconds() - ran))
    };
    let first = once(); // also warms up
    if first.0 > 2.0 {
        return first;
    }
    let (mut wall, mut cpu): (Vec<f64>, Vec<f64>) = (0..5).map(|_| once()).unzip();
    wall.sort_by(f64::total_cmp);
    cpu.sort_by(f64::total_cmp);
    (wall[2], cpu[2])
}

fn main() {
    let pools = [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    println!("GFLOP/s [per thread second]");
    println!(
        "{:>5} {:>5} {:>6} {:>9} {:>8} {:>15} {:>15} {:>15}",
        "N", "D", "F", "path", "threads", "encode", "linear", "bf16"
    );
    for (n, d, f) in SHAPES {
        let (x, w, b) = (values(n * d, 1), values(f * d, 2), values(f, 3));
        let lo = vec![0.77 * (d as f32).sqrt(); f]; // about one in a hundred passes
        let mut out = vec![0.0; n * f];
        let half: Vec<Bf16> = w.iter().map(|&w| Bf16::round(w)).collect();
        for isa in Isa::available() {
            for (threads, pool) in [1, 2].into_iter().zip(&pools) {
                let device = Device::Cpu(isa);
                let giga = 2e-9 * (n * d * f) as f64;
                let rate = |(wall, cpu): (f64, f64)| format!("{:.1} [{:.1}]", giga / wall, giga / cpu);
                let encode = rate(pool.install(|| seconds(|| drop(device.encode(&x, &w, &b, &lo, d)))));
                let linear = rate(pool.install(|| seconds(|| device.linear(&x, &w, Some(&b), d, &mut out))));
                let bf16 = rate(pool.install(|| {
                    seconds(|| {
                        device.multiply(&x, &device.matrix(Operand::Rounded(&half), d, n), Some(&b), &mut out)
                    })
                }));
                println!(
                    "{n:>5} {d:>5} {f:>6} {:>9} {threads:>8} {encode:>15} {linear:>15} {bf16:>15}",
                    isa.to_string()
                );
            }
        }
    }
}
