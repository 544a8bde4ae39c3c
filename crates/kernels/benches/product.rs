//! Speed of the dense products: GFLOP/s of `linear` and `encode` for a small and a large model's shapes, each instruction
//! set, one thread and two. Median of five runs (of one, where a run takes more than two seconds).
//! `cargo bench -p lapidary-kernels`; one multiply-add counts as two operations.

use lapidary_kernels::{Device, Isa};
use std::time::Instant;

/// (N, D, F)
const SHAPES: [(usize, usize, usize); 2] = [(4096, 64, 2048), (512, 2304, 16384)];

/// Values in [-1, 1), the same every time.
fn values(n: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Median seconds of `work`.
fn seconds(mut work: impl FnMut()) -> f64 {
    let mut once = || {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let first = once(); // also warms up
    if first > 2.0 {
        return first;
    }
    let mut times: Vec<f64> = (0..5).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    times[2]
}

fn main() {
    println!("{:>5} {:>5} {:>6} {:>9} {:>8} {:>8} {:>8}  GFLOP/s", "N", "D", "F", "path", "threads", "encode", "linear");
    for (n, d, f) in SHAPES {
        let (x, w, b) = (values(n * d, 1), values(f * d, 2), values(f, 3));
        let lo = vec![0.77 * (d as f32).sqrt(); f]; // about one in a hundred passes
        let mut out = vec![0.0; n * f];
        for isa in Isa::available() {
            for threads in [1, 2] {
                let device = Device::Cpu(isa);
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let giga = 2e-9 * (n * d * f) as f64;
                let encode = giga / pool.install(|| seconds(|| drop(device.encode(&x, &w, &b, &lo, d))));
                let linear = giga / pool.install(|| seconds(|| device.linear(&x, &w, Some(&b), d, &mut out)));
                println!("{n:>5} {d:>5} {f:>6} {isa:>9} {threads:>8} {encode:>8.1} {linear:>8.1}", isa = isa.to_string());
            }
        }
    }
}
