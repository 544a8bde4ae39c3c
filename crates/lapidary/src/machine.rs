//! This machine: what it has, what it does at best (the roofline beside a bench), and what this process has held of it.

use lapidary_kernels::Device;
use rayon::prelude::*;
use std::path::Path;
use std::time::Instant;

/// Repetitions; the best counts, because a roofline is an upper bound.
const TIMES: usize = 7;

/// Multiply-adds that the processor does in a second on products like ours: the best of some, of milliseconds each, so that
/// one interruption does not double an estimate.
pub fn speed(device: Device) -> f64 {
    let (n, d, m) = (2048, 64, 1024);
    let (x, w, mut out) = (vec![0.5f32; n * d], vec![0.25f32; m * d], vec![0.0f32; n * m]);
    let seconds = (0..6).map(|_| {
        let began = Instant::now();
        device.linear(&x, &w, None, d, &mut out);
        began.elapsed().as_secs_f64()
    });
    (n * d * m) as f64 / seconds.fold(f64::INFINITY, f64::min)
}

/// GFLOP/s of the dense f32 product where everything fits into the caches.
pub fn gemm_gflops(device: Device) -> f64 {
    let (n, d, m) = (1024, 512, 1024);
    let (x, w, mut out) = (vec![0.5f32; n * d], vec![0.25f32; m * d], vec![0.0f32; n * m]);
    let seconds = best(|| device.linear(&x, &w, None, d, &mut out));
    2e-9 * (n * d * m) as f64 / seconds
}

/// GB/s of a ← b + s·c over arrays far larger than a cache: two read, one written (as STREAM counts).
pub fn bandwidth_gb_s() -> f64 {
    const FLOATS: usize = 32 << 20;
    let (mut a, b, c) = (vec![0.0f32; FLOATS], vec![1.0f32; FLOATS], vec![2.0f32; FLOATS]);
    let chunk = FLOATS / 64;
    let triad = |(a, (b, c)): (&mut [f32], (&[f32], &[f32]))| {
        a.iter_mut().zip(b.iter().zip(c)).for_each(|(a, (b, c))| *a = b + 3.0 * c);
    };
    let seconds =
        best(|| a.par_chunks_mut(chunk).zip(b.par_chunks(chunk).zip(c.par_chunks(chunk))).for_each(triad));
    1e-9 * (3 * FLOATS * size_of::<f32>()) as f64 / seconds
}

fn best(mut work: impl FnMut()) -> f64 {
    let once = |_| {
        let began = Instant::now();
        work();
        began.elapsed().as_secs_f64()
    };
    (0..TIMES).map(once).fold(f64::INFINITY, f64::min)
}

/// From here on counts what [`peak_bytes`] says; where the system refuses, it counts from the start.
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that this process has held, where Linux tells.
pub fn peak_bytes() -> Option<u64> {
    let text = lapidary_files::read_string(Path::new("/proc/self/status"), 1 << 20).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Bytes of memory of this machine, as Linux says, or what a container around us allows.
pub fn memory() -> Option<u64> {
    let text = lapidary_files::read_string(Path::new("/proc/meminfo"), 1 << 20).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let allowed = lapidary_files::read_string(Path::new("/sys/fs/cgroup/memory.max"), 1 << 10);
    let allowed = allowed.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
    Some(allowed.min(kib << 10))
}
