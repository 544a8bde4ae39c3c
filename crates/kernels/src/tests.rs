//! Tests that every fast kernel returns the bits of its naive twin, for each instruction set that this machine has: odd
//! sizes, ties, signed zeros, denormals, infinities, NaN; and that the number of threads changes nothing.
//!
//! Two NaN count as the same, whatever their payload: neither Rust nor the processors promise one.

mod bf16;

use crate::Encoder;
use crate::cpu::packed::Packed;
use crate::cpu::product;
use crate::strips::Begin;
use crate::{AdamStep, Csr, Device, Isa, Operand, STRIP, Strips, Terms, naive};
use proptest::prelude::*;
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub(crate) fn devices() -> impl Iterator<Item = Device> {
    Isa::available().into_iter().map(Device::Cpu)
}

/// The bits, all NaN made one.
pub(crate) fn bits(v: &[f32]) -> Vec<u32> {
    v.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

fn csr_bits(c: &Csr) -> (usize, &[usize], &[u32], Vec<u32>) {
    (c.columns, &c.row_start, &c.index, bits(&c.value))
}

/// Values that round differently in every order of addition, the same for the same seed.
pub(crate) fn values(n: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next() * [1.0, 1e-3, 1e3][(next().abs() * 2.99) as usize]).collect()
}

/// The same with every kind of odd float sprinkled in.
pub(crate) fn nasty_values(n: usize, seed: u64) -> Vec<f32> {
    const ODD: [f32; 9] =
        [0.0, -0.0, 1e-45, -1e-40, f32::MAX, -1e-30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let mut v = values(n, seed);
    for (i, k) in values(n, seed ^ 77).into_iter().enumerate() {
        if let Some(&odd) = ODD.get((k.abs() * 60.0) as usize) {
            v[i] = odd;
        }
    }
    v
}

/// docs/numerics.md §2 once more, written another way: k mod 16 instead of steps of sixteen, no padding, the tree spelled out.
fn dot_by_hand(a: &[f32], b: &[f32]) -> f32 {
    let mut s = [0.0f32; 16];
    for k in 0..a.len() {
        s[k % 16] = a[k].mul_add(b[k], s[k % 16]);
    }
    let s8: Vec<f32> = (0..8).map(|l| s[l] + s[l + 8]).collect();
    let s4: Vec<f32> = (0..4).map(|l| s8[l] + s8[l + 4]).collect();
    (s4[0] + s4[2]) + (s4[1] + s4[3])
}

#[test]
fn the_naive_dot_is_the_definition() {
    for d in 0..70 {
        let (a, b) = (values(d, 1), values(d, 2));
        assert_eq!(naive::dot(&a, &b).to_bits(), dot_by_hand(&a, &b).to_bits(), "D = {d}");
        let exact: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        let size: f64 = a.iter().zip(&b).map(|(&a, &b)| (f64::from(a) * f64::from(b)).abs()).sum();
        assert!((f64::from(naive::dot(&a, &b)) - exact).abs() <= 1e-6 * size, "D = {d}");
    }
    // The order shows: terms 0 and 16 share a running sum, and term 1 comes to it last.
    let mut a = [0.0f32; 32];
    (a[0], a[16], a[1]) = (1e8, -1e8, 1.0);
    assert_eq!(naive::dot(&a, &[1.0; 32]), 1.0);
    (a[0], a[16], a[1]) = (1e8, 1.0, -1e8);
    assert_eq!(naive::dot(&a, &[1.0; 32]), 0.0);
}

#[test]
fn dot_is_the_naive_one_for_every_width() {
    for device in devices() {
        for d in 0..70 {
            for seed in 0..4 {
                let (a, b) = (nasty_values(d, seed), nasty_values(d, seed + 100));
                assert_eq!(bits(&[device.dot(&a, &b)]), bits(&[naive::dot(&a, &b)]), "{device:?} D = {d}");
            }
        }
    }
}

/// Every public product of one shape against its twin; on nasty values if the seed is odd (most sums are then NaN).
fn check(device: Device, n: usize, d: usize, m: usize, seed: u64) {
    let values_of = if seed.is_multiple_of(2) { values } else { nasty_values };
    let (x, w) = (values_of(n * d, seed), values_of(m * d, seed + 1));
    let (b, mut lo) = (values(m, seed + 2), values_of(m, seed + 3));
    let name = format!("{device:?} N = {n} D = {d} M = {m} seed {seed}");
    let mut expected = vec![7.0; n * m];
    let mut got = vec![8.0; n * m];
    for bias in [None, Some(&b[..])] {
        naive::linear(&x, &w, bias, d, &mut expected);
        device.linear(&x, &w, bias, d, &mut got);
        assert_eq!(bits(&got), bits(&expected), "linear {name}");
        for rows in [1, 1_000] {
            got.fill(8.0);
            device.linear_tile(&x, &device.matrix(Operand::F32(&w), d, rows), bias, &mut got);
            assert_eq!(bits(&got), bits(&expected), "linear_tile {name}, {rows} rows");
        }
    }
    // Ties: every third threshold is exactly the z of some row.
    for f in (0..m).step_by(3) {
        if n > 0 {
            lo[f] = expected[(f % n) * m + f];
        }
    }
    let expected = naive::encode(&x, &w, &b, &lo, d);
    assert_eq!(csr_bits(&device.encode(&x, &w, &b, &lo, d)), csr_bits(&expected), "encode {name}");
    for rows in [n, 1_000] {
        let encoder = device.encoder(&x, rows, &w, &b, &lo, d);
        assert_eq!(csr_bits(&encoder.encode(&x)), csr_bits(&expected), "encoder of {rows} rows {name}");
    }
    let packed = Encoder::packed(device, &w, &b, &lo, d);
    assert_eq!(csr_bits(&packed.encode(&x)), csr_bits(&expected), "packed encode {name}");
    let screened = Encoder::screened(device, &w, &b, &lo, d);
    assert_eq!(csr_bits(&screened.encode(&x)), csr_bits(&expected), "screened encode {name}");
    let rows = product::encode(&x, d, product::PANEL_ROWS, m, |x| device.encode_panel(x, &w, &b, &lo, d));
    assert_eq!(csr_bits(&rows), csr_bits(&expected), "encode by rows {name}");
}

#[test]
fn products_are_the_naive_ones_on_odd_shapes() {
    for device in devices() {
        for d in [1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 48, 64, 65, 69] {
            for (n, m) in [(0, 5), (1, 1), (1, 0), (2, 3), (5, 17), (7, 33), (13, 2)] {
                check(device, n, d, m, 2 * d as u64);
                check(device, n, d, m, 2 * d as u64 + 1);
            }
        }
    }
}

/// Shapes that take each way through `dispatch.rs`: packed, by columns, by rows, wide rows; several blocks and panels.
#[test]
fn products_are_the_naive_ones_on_large_shapes() {
    for device in devices() {
        for (n, d, m) in
            [(131, 33, 70), (128, 16, 15), (1, 530, 700), (5, 513, 391), (47, 600, 130), (261, 230, 90)]
        {
            check(device, n, d, m, 5);
            check(device, n, d, m, 6);
        }
    }
}

#[test]
fn a_tie_is_dropped_and_nan_is_kept() {
    for device in devices() {
        for n in [1, 200] {
            // z of the columns: 1, 2, NaN by w, 0 by −0 · 1; one threshold is NaN: nothing is below that.
            let w = [1.0, 2.0, f32::NAN, -0.0, 1.0];
            let lo = [1.0, 1.999_999_9, f32::INFINITY, 0.0, f32::NAN];
            let got = device.encode(&vec![1.0; n], &w, &[0.0; 5], &lo, 1);
            assert_eq!(got.rows(), n);
            for row in 0..n {
                let (index, value) = got.row(row);
                assert_eq!(index, [1, 2, 4], "{device:?}");
                assert!(value[0] == 2.0 && value[1].is_nan() && value[2] == 1.0, "{device:?}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "linear: x [N, 0]")]
fn rows_without_width_are_a_bug_of_the_caller() {
    Device::detect().linear(&[], &[], None, 0, &mut []);
}

#[test]
#[should_panic(expected = "encode: w [F, 2]")]
fn a_matrix_of_another_width_is_a_bug_of_the_caller() {
    Device::detect().encode(&[1.0; 2], &[1.0; 3], &[0.0], &[0.0], 2);
}

#[test]
#[should_panic(expected = "sizes overflow")]
fn a_stride_beyond_memory_is_a_bug_of_the_caller() {
    Device::detect().dot_rows(&[1.0], &[1.0; 4], usize::MAX / 2 + 1, &mut [0.0; 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(target_arch = "x86_64") { 128 } else { 32 }))]

    #[test]
    fn products_are_the_naive_ones(n in 0usize..60, d in 1usize..70, m in 0usize..60, seed: u64) {
        for device in devices() {
            check(device, n, d, m, seed >> 1);
        }
    }

    #[test]
    fn sums_over_rows_are_the_naive_ones(k in 0usize..70, d in 0usize..70, gap in 0usize..3, seed in 0u64..1 << 60) {
        let (p, q, v) = (nasty_values(k, seed), nasty_values(d, seed + 1), nasty_values(k * (d + gap), seed + 2));
        let (start, step) = (values(d, seed + 3), seed as usize % 11 + 1);
        let index: Vec<u32> = (0..k).map(|i| (i * step % k) as u32).collect();
        for device in devices() {
            for rows in 1..6 {
                let p: Vec<f32> = (0..rows).flat_map(|r| nasty_values(k, seed + r)).collect();
                let (mut expected, mut got) = (vec![7.0; rows as usize * d], vec![8.0; rows as usize * d]);
                for (r, out) in expected.chunks_exact_mut(d.max(1)).enumerate() {
                    naive::weighted_sum(&p[r * k..][..k], &v, d + gap, out);
                }
                device.weighted_sums(rows as usize, &p, &v, d + gap, &mut got);
                prop_assert_eq!(bits(&got), bits(&expected), "weighted_sums {:?}", device);
            }

            let (mut expected, mut got) = (start.clone(), start.clone());
            naive::gather::accumulate(&p, &index, &v, &mut expected);
            device.accumulate(&p, &index, &v, &mut got);
            prop_assert_eq!(bits(&got), bits(&expected), "accumulate {:?}", device);

            let (mut expected, mut got) = (vec![7.0; k], vec![8.0; k]);
            naive::dot_rows(&q, &v, d + gap, &mut expected);
            device.dot_rows(&q, &v, d + gap, &mut got);
            prop_assert_eq!(bits(&got), bits(&expected), "dot_rows {:?}", device);

            let (mut expected, mut got) = (vec![7.0; 3 * k], vec![8.0; 3 * k]);
            let several = [q.clone(), p.clone(), q.clone(), vec![3.0; k], q.clone(), p.clone()].concat();
            for (r, out) in expected.chunks_exact_mut(k.max(1)).enumerate() {
                let step = d + k;
                naive::dot_rows(&several[r * step..][..d], &v, d + gap, out);
            }
            device.dot_block(&several, (d + k).max(1), d, &v, d + gap, &mut got);
            prop_assert_eq!(bits(&got), bits(&expected), "dot_block {:?}", device);

            let (mut expected, mut got) = (vec![7.0; k], vec![8.0; k]);
            naive::gather::gather_dot(&q, &index, &v, &mut expected);
            device.gather_dot(&q, &index, &v, &mut got);
            prop_assert_eq!(bits(&got), bits(&expected), "gather_dot {:?}", device);
        }
    }

    #[test]
    fn sums_over_strips_are_the_naive_ones(r in 1usize..300, d in 1usize..150, sums in 0usize..9, step in 1usize..3, zero: bool, seed in 0u64..1 << 60) {
        let from = if zero { Begin::Zero } else { Begin::Out };
        let v = nasty_values(r * d, seed);
        let (q, start) = (nasty_values(sums * d, seed + 1), values(sums * d, seed + 2));
        let mut terms = Terms::default();
        for s in 0..sums {
            let every = (seed as usize + 3 * s) % 13 + 1;
            terms.index.extend((0..r as u32).filter(|i| s != 1 && (*i as usize).is_multiple_of(every)));
            terms.end.push(terms.index.len() as u32);
        }
        terms.coeff = nasty_values(terms.index.len(), seed + 3);
        let span = |s: usize| if s == 0 { 0 } else { terms.end[s - 1] as usize }..terms.end[s] as usize;
        let strips = Strips::new(&v, d);
        for device in devices() {
            let mut out = Strips::zeros(sums * step, d);
            let list: Vec<(usize, &mut [f32])> = out.strips_mut().collect();
            for (column, out) in list {
                for (to, from) in out.chunks_exact_mut(step * STRIP).zip(start.chunks_exact(d)) {
                    let width = STRIP.min(d - column);
                    to[..width].copy_from_slice(&from[column..column + width]);
                }
                let next = strips.values.get(..seed as usize % 50).unwrap_or_default();
                device.accumulate_strip(&terms, strips.strip(column / STRIP), next, out, step, from);
            }
            let mut running = vec![[0.0; naive::LANES]; terms.index.len()];
            for column in (0..d).step_by(STRIP) {
                device.dot_strip(&terms, &q, d, column, strips.strip(column / STRIP), &mut running);
            }
            let mut dots = vec![7.0; running.len()];
            device.finish_dots(&running, &mut dots);
            for s in 0..sums {
                let (mut expected, mut got) = (start[s * d..][..d].to_vec(), vec![7.0; d]);
                if zero {
                    expected.fill(0.0);
                }
                naive::gather::accumulate(&terms.coeff[span(s)], &terms.index[span(s)], &v, &mut expected);
                out.copy_row(s * step, &mut got);
                prop_assert_eq!(bits(&got), bits(&expected), "accumulate_strip {:?}", device);
                let mut expected = vec![7.0; span(s).len()];
                naive::gather::gather_dot(&q[s * d..][..d], &terms.index[span(s)], &v, &mut expected);
                prop_assert_eq!(bits(&dots[span(s)]), bits(&expected), "dot_strip {:?}", device);
            }
        }
    }

    #[test]
    fn row_updates_are_the_naive_ones(d in 0usize..70, a: f32, seed in 0u64..1 << 60) {
        let (x, y) = (nasty_values(d, seed), nasty_values(d, seed + 1));
        let v: Vec<f32> = values(d, seed + 2).iter().map(|v| v.abs()).collect();
        let step = AdamStep {
            lr: 1e-3, decay1: 0.5, one_minus_beta1: 0.3, decay: 0.9, one_minus_beta2: 1e-3, inv_sqrt_correction: 3.0, epsilon: 1e-8,
        };
        let m = (seed % 2 == 1).then(|| values(d, seed + 3));
        let (mut p1, mut m1, mut v1) = (y.clone(), m.clone(), v.clone());
        naive::adam::adam(&mut p1, &x, m1.as_deref_mut(), &mut v1, step);
        for device in devices() {
            let mut got = y.clone();
            device.axpy(a, &x, &mut got);
            let expected: Vec<f32> = x.iter().zip(&y).map(|(&x, &y)| a.mul_add(x, y)).collect();
            prop_assert_eq!(bits(&got), bits(&expected), "axpy {:?}", device);

            let (mut p2, mut m2, mut v2) = (y.clone(), m.clone(), v.clone());
            device.adam(&mut p2, &x, m2.as_deref_mut(), &mut v2, step);
            let all = |p: &[f32], m: &Option<Vec<f32>>, v: &[f32]| (bits(p), m.as_deref().map(bits), bits(v));
            prop_assert_eq!(all(&p2, &m2, &v2), all(&p1, &m1, &v1), "adam {:?}", device);
        }
    }

    /// Against the entries sorted by (column, row).
    #[test]
    fn transposing_sorts_by_column(rows in 0usize..20, columns in prop_oneof![0usize..20, 1000usize..2100], seed: u64) {
        let z = values(rows * columns, seed);
        let entries = |n: usize| (0..columns).filter(move |c| (n * 7 + c * 3 + seed as usize % 5) % 4 < 2);
        let kept: Vec<Vec<(u32, f32)>> =
            (0..rows).map(|n| entries(n).map(|c| (c as u32, z[n * columns + c])).collect()).collect();
        let csr = Csr::from_rows(columns, &kept);
        let mut expected: Vec<(u32, u32, u32)> = (0..rows)
            .flat_map(|n| kept[n].iter().map(move |&(c, v)| (c, n as u32, v.to_bits())))
            .collect();
        expected.sort_unstable();
        let turned = csr.transpose();
        let got: Vec<(u32, u32, u32)> = (0..turned.rows())
            .flat_map(|c| { let (i, v) = turned.row(c); i.iter().zip(v).map(move |(&n, v)| (c as u32, n, v.to_bits())) })
            .collect();
        prop_assert_eq!(got, expected);
        prop_assert_eq!((turned.columns, turned.rows()), (rows, columns));
        prop_assert_eq!(turned.transpose(), csr);
    }
}

/// Adam in f64: m ← decay₁·m + (1 − β₁)·g, v ← decay·v + (1 − β₂)·g², p ← p − lr·m / (√(v / (1 − β₂^t)) + ε).
#[test]
fn adam_is_the_formula() {
    let (p0, g, v0, m0) = (values(40, 1), values(40, 2), values(40, 3), values(40, 4));
    let correction: f64 = 1.0 - 0.999f64.powi(7);
    let step = AdamStep {
        lr: 3e-4,
        decay1: 0.9,
        one_minus_beta1: 0.1,
        decay: 0.999,
        one_minus_beta2: 1e-3,
        inv_sqrt_correction: (1.0 / correction.sqrt()) as f32,
        epsilon: 1e-8,
    };
    for m0 in [None, Some(m0)] {
        let (mut p, mut m) = (p0.clone(), m0.clone());
        let mut v: Vec<f32> = v0.iter().map(|v| v.abs()).collect();
        naive::adam::adam(&mut p, &g, m.as_deref_mut(), &mut v, step);
        for i in 0..40 {
            let g = f64::from(g[i]);
            let mean = m0.as_ref().map_or(g, |m| 0.9 * f64::from(m[i]) + 0.1 * g);
            let expected_v = 0.999 * f64::from(v0[i].abs()) + 1e-3 * g * g;
            let expected_p = f64::from(p0[i]) - 3e-4 * mean / ((expected_v / correction).sqrt() + 1e-8);
            assert!((f64::from(v[i]) - expected_v).abs() <= 3e-7 * expected_v, "v[{i}]");
            assert!((f64::from(p[i]) - expected_p).abs() <= 1e-6 * (expected_p.abs() + 3e-4), "p[{i}]");
        }
    }
}

/// Waits until a second worker has been seen, so that the test does not depend on who is fast; gives up after a while.
fn seen_with_company(workers: &Mutex<HashSet<usize>>, threads: usize) {
    workers.lock().unwrap().insert(rayon::current_thread_index().expect("inside the pool"));
    let start = Instant::now();
    while threads > 1 && workers.lock().unwrap().len() < 2 && start.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
}

/// The fast screen keeps as many of 64 columns for each row as the readable one does: no more, no fewer.
#[test]
fn the_fast_screen_is_the_readable_one() {
    for (d, seed) in [(1, 1), (17, 2), (33, 3), (200, 4), (777, 5)] {
        let (x, w, b) = (values(9 * d, seed), values(64 * d, seed + 10), values(64, seed + 20));
        let lo: Vec<f32> = values(64, seed + 30).iter().map(|v| v * (d as f32).sqrt()).collect();
        for device in devices() {
            let block = [device.screen_block(&w, &b, &lo, d)];
            for x in x.chunks_exact(d) {
                let columns = w.chunks_exact(d).zip(&lo).zip(&b);
                let expected = columns.filter(|((w, lo), b)| naive::screen::keeps(x, w, **lo, **b)).count();
                assert_eq!(device.count_candidates(x, d, &block), expected, "{device:?}, d {d}");
            }
        }
    }
}

/// Runs `work` in pools of 1, 2, 3 and 7 threads; `work` calls the hook from inside each of its shares. Checks that all
/// results are `expected`, and that more than one worker took part where there is more than one.
fn in_every_pool<T: PartialEq + std::fmt::Debug + Send>(
    expected: &T,
    work: impl Fn(&(dyn Fn() + Sync)) -> T + Sync,
) {
    for threads in [1, 2, 3, 7] {
        let workers = Mutex::new(HashSet::new());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let got = pool.install(|| work(&|| seen_with_company(&workers, threads)));
        assert!(got == *expected, "{threads} threads give other bits");
        let workers = workers.into_inner().unwrap().len();
        assert_eq!(workers > 1, threads > 1, "{workers} workers ran in a pool of {threads}");
    }
}

/// More than three panels of 48 rows, the last one short, each way of sharing the work.
#[test]
fn the_number_of_threads_changes_nothing() {
    let (n, d, m) = (48 * 4 + 5, 33, 45);
    let (x, w, b) = (values(n * d, 1), values(m * d, 2), values(m, 3));
    let lo = vec![0.5; m];
    let mut product = vec![0.0; n * m];
    naive::linear(&x, &w, Some(&b), d, &mut product);
    let (product, code) = (bits(&product), naive::encode(&x, &w, &b, &lo, d));
    for device in devices() {
        let packed = Packed::new(&w, d);
        let encode = |hook: &(dyn Fn() + Sync), panel: &(dyn Fn(&[f32]) -> Csr + Sync)| {
            product::encode(&x, d, product::PANEL_ROWS, m, |x| {
                hook();
                panel(x)
            })
        };
        in_every_pool(&code, |hook| encode(hook, &|x| device.encode_panel(x, &w, &b, &lo, d)));
        in_every_pool(&code, |hook| encode(hook, &|x| device.encode_packed(x, d, &packed, &b, &lo)));
        in_every_pool(&code, |hook| {
            rayon::join(hook, hook);
            Encoder::screened(device, &w, &b, &lo, d).encode(&x)
        });
        in_every_pool(&product, |hook| {
            let mut out = vec![0.0; n * m];
            product::by_rows(&x, d, product::PANEL_ROWS, &mut out, m, |x, out| {
                hook();
                device.linear_panel(x, Operand::F32(&w), Some(&b), d, out);
            });
            bits(&out)
        });
        in_every_pool(&product, |hook| {
            let mut out = vec![0.0; n * m];
            product::by_rows(&x, d, product::PANEL_ROWS, &mut out, m, |x, out| {
                hook();
                device.linear_packed(x, d, &packed, Some(&b), out, m);
            });
            bits(&out)
        });
    }
}

/// Few rows, many columns: shared by columns; and the public doors in every pool.
#[test]
fn the_number_of_threads_changes_nothing_for_few_rows() {
    let (n, d, m) = (3, 700, 128 * 3 + 7);
    let (x, w, b) = (values(n * d, 4), values(m * d, 5), values(m, 6));
    let mut expected = vec![0.0; n * m];
    naive::linear(&x, &w, Some(&b), d, &mut expected);
    let expected = bits(&expected);
    assert!(product::is_wide(n, d, m));
    for device in devices() {
        in_every_pool(&expected, |hook| {
            rayon::join(hook, hook);
            let mut out = vec![0.0; n * m];
            device.linear(&x, &w, Some(&b), d, &mut out);
            bits(&out)
        });
    }
}

#[test]
fn instruction_sets_have_names() {
    for isa in Isa::available() {
        assert_eq!(isa.to_string().parse::<Isa>(), Ok(isa));
    }
    let error = "avx3".parse::<Isa>().unwrap_err();
    assert!(error.contains("`avx3`") && error.contains("portable"), "{error}");
    assert_eq!(Isa::available()[0], Isa::Portable);
    assert!(Isa::available().len() > 1 || !cfg!(target_arch = "aarch64"), "NEON is aarch64's baseline");
}

/// A device for instructions that this processor lacks computes the same bits with those that it has.
#[test]
fn a_missing_instruction_set_is_no_harm() {
    for isa in [Isa::Neon, Isa::Avx2, Isa::Avx512] {
        check(Device::Cpu(isa), 7, 20, 9, 3);
    }
}

/// Parts of columns side by side are the whole.
#[test]
fn parts_side_by_side_are_the_whole() {
    let (n, d, m) = (9, 20, 50);
    let (x, w, b, lo) = (values(n * d, 1), values(m * d, 2), values(m, 3), vec![0.2; m]);
    let whole = naive::encode(&x, &w, &b, &lo, d);
    for at in [1, 7, 49, 50] {
        let part = |w: &[f32], b: &[f32], lo: &[f32]| naive::encode(&x, w, b, lo, d);
        let parts = w.chunks(at * d).zip(b.chunks(at)).zip(lo.chunks(at));
        assert_eq!(Csr::beside(n, parts.map(|((w, b), lo)| part(w, b, lo))), whole, "{at} columns");
    }
}
