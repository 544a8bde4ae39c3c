//! Planted dictionaries at everyday size: the rates, exclusions, parents and circles that the table promises are those that
//! the rows show, and a row's bytes depend on nothing but the seed and its number.

use lapidary_world::planted::*;
use std::sync::OnceLock;

const N: usize = 200_000;

fn planted() -> &'static Planted {
    static PLANTED: OnceLock<Planted> = OnceLock::new();
    PLANTED.get_or_init(|| Planted::new(42, Size::Everyday.config()))
}

/// The true coefficients of the first N rows.
fn sample() -> &'static Coefficients {
    static SAMPLE: OnceLock<Coefficients> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let mut out = vec![0.0; N * planted().config.d];
        let mut coefficients = Coefficients::default();
        planted().rows(0, N, &mut out, Some(&mut coefficients));
        coefficients
    })
}

fn row(c: &Coefficients, i: usize) -> impl Iterator<Item = (usize, f32)> + Clone + '_ {
    (c.starts[i]..c.starts[i + 1]).map(|at| (c.indices[at] as usize, c.values[at]))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// How often each feature fires in the sample `[M]`.
fn counts() -> Vec<f64> {
    let mut counts = vec![0.0; planted().config.features];
    sample().indices.iter().for_each(|&f| counts[f as usize] += 1.0);
    counts
}

#[test]
fn the_table_has_the_promised_shape() {
    let (p, c) = (planted(), planted().config);
    assert_eq!(c.tree_features(), 16 * (1 + 4 + 16 + 64));
    for (i, f) in p.features.iter().enumerate() {
        assert_eq!(f.parent.is_some(), (16..16 * 85).contains(&i), "feature {i}");
        assert_eq!(f.circle.is_some(), i >= 2048 - 16, "feature {i}");
        assert!(f.rate > 0.0 && f.rate <= f.asked && f.spread >= 0.0, "feature {i}");
    }
    for parent in 0..c.parents() {
        let siblings = &p.features[c.children(parent)];
        assert!(siblings.iter().all(|s| s.group == Some(parent as u32) && s.group == s.parent));
        let (given, asked) = (p.features[parent].rate, siblings.iter().map(|s| s.asked).sum::<f64>());
        let rate: f64 = siblings.iter().map(|s| s.rate).sum();
        assert!((rate - asked.min(given)).abs() < 1e-12, "children of {parent}");
    }
    assert_eq!((p.features[0].asked, p.features[0].mean), (0.4, 5.0));
    let before_circles = &p.features[2048 - 17]; // Zipf: 5e-4 + (0.4 − 5e-4) (2032^−½ − 2048^−½)/(1 − 2048^−½)
    let (rank, last) = (1.0 / 2032f64.sqrt(), 1.0 / 2048f64.sqrt());
    assert!((before_circles.asked - 5e-4 - 0.3995 * (rank - last) / (1.0 - last)).abs() < 1e-12);
}

#[test]
fn directions_have_norm_one_and_circles_right_angles() {
    let (p, d) = (planted(), planted().config.d);
    p.directions().chunks_exact(d).for_each(|v| assert!((dot(v, v) - 1.0).abs() < 1e-6));
    for circle in p.directions()[(2048 - 16) * d..].chunks_exact(2 * d) {
        assert!(dot(&circle[..d], &circle[d..]).abs() < 1e-6);
    }
    assert!((dot(&p.bias, &p.bias).sqrt() - 0.5).abs() < 1e-6);
}

/// Largest |cos|, mean over features of the largest, and the sum of all squared cosines over the least possible one, M²/D.
fn overlap(p: &Planted) -> (f64, f64, f64) {
    let (m, d) = (p.config.features, p.config.d);
    let (mut largest, mut mean, mut squares) = (0f64, 0.0, 0.0);
    for (i, v) in p.directions().chunks_exact(d).enumerate() {
        let mut own = 0f32;
        for (j, u) in p.directions().chunks_exact(d).enumerate() {
            let cos = v.iter().zip(u).map(|(a, b)| a * b).sum::<f32>();
            squares += f64::from(cos * cos);
            own = if i == j { own } else { own.max(cos.abs()) };
        }
        largest = largest.max(f64::from(own));
        mean += f64::from(own) / m as f64;
    }
    (largest, mean, squares / ((m * m) as f64 / d as f64))
}

#[test]
fn directions_are_more_orthogonal_than_drawn() {
    let drawn = Planted::new(42, PlantedConfig { orthogonal_steps: 0, ..planted().config });
    let (before, after) = (overlap(&drawn), overlap(planted()));
    assert!(after.0 < before.0 && after.1 < before.1, "{before:?} {after:?}");
    assert!(before.2 > 1.05 && after.2 < 1.005, "squares over Welch's bound: {before:?} {after:?}");
}

#[test]
fn rates_are_as_promised() {
    let n = N as f64;
    let deviations: Vec<f64> = (counts().iter().zip(&planted().features))
        .map(|(count, f)| (count - n * f.rate) / (n * f.rate * (1.0 - f.rate)).sqrt())
        .collect();
    let worst = deviations.iter().fold(0f64, |w, z| w.max(z.abs()));
    assert!(worst < 5.0, "a rate is {worst} standard errors off");
    let m = deviations.len() as f64;
    let square = deviations.iter().map(|z| z * z).sum::<f64>() / m;
    // Siblings and parents share firings, so the standard error √(2/M) of the mean square is doubled to be safe.
    assert!((square - 1.0).abs() < 5.0 * 2.0 * (2.0 / m).sqrt(), "mean square {square}");
}

#[test]
fn mean_l0_is_the_sum_of_rates() {
    let c = sample();
    let l0: Vec<f64> = c.starts.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
    let mean = l0.iter().sum::<f64>() / N as f64;
    let error = (l0.iter().map(|x| (x - mean).powi(2)).sum::<f64>()).sqrt() / N as f64;
    assert!((mean - planted().mean_l0()).abs() < 4.0 * error, "{mean} {}", planted().mean_l0());
}

/// SAELens 6.54 with the published numbers at this size (and no circles) has 10.90 over 10,000 rows; at full size 34.62.
#[test]
fn mean_l0_is_near_that_of_the_published_generator() {
    let circles: f64 = planted().features.iter().filter(|f| f.circle.is_some()).map(|f| f.rate).sum();
    assert!((planted().mean_l0() - circles - 10.90).abs() < 0.5);
    let quick = PlantedConfig { orthogonal_steps: 0, ..Size::Full.config() };
    let full = Planted::new(1, quick);
    let circles: f64 = full.features.iter().filter(|f| f.circle.is_some()).map(|f| f.rate).sum();
    assert!((full.mean_l0() - circles - 34.62).abs() < 1.0);
}

#[test]
fn siblings_exclude_each_other_and_children_need_their_parent() {
    let p = planted();
    for i in 0..N {
        let fired: Vec<(usize, f32)> = row(sample(), i).collect();
        assert!(fired.windows(2).all(|w| w[0].0 < w[1].0), "row {i} ascends");
        let mut groups: Vec<u32> = fired.iter().filter_map(|&(f, _)| p.features[f].group).collect();
        let all = groups.len();
        groups.dedup(); // ascending, as features are
        assert_eq!(groups.len(), all, "row {i} has two siblings");
        for &parent in &groups {
            assert!(fired.iter().any(|&(f, _)| f == parent as usize), "row {i} lacks parent {parent}");
        }
        assert!(fired.iter().all(|&(f, c)| c > 0.0 || p.features[f].circle.is_some()));
    }
}

/// A child's coefficient over its parent's is its own magnitude over the parent's mean: mean m_child/m_parent.
#[test]
fn children_are_scaled_by_their_parent() {
    let p = planted();
    let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0);
    for i in 0..N {
        for (f, value) in row(sample(), i) {
            let Some(parent) = p.features[f].parent else { continue };
            let above = row(sample(), i).find(|a| a.0 == parent as usize).unwrap().1;
            let expected = p.features[f].mean / p.features[parent as usize].mean;
            let off = f64::from(value / above / expected) - 1.0;
            (sum, squares, n) = (sum + off, squares + off * off, n + 1.0);
        }
    }
    let (mean, error) = (sum / n, (squares / n).sqrt() / f64::sqrt(n));
    assert!(error < 1e-3 && mean.abs() < 5.0 * error, "{mean} ± {error}");
}

#[test]
fn circles_are_uniform() {
    let p = planted();
    let mut sums = [[0f64; 6]; 8]; // per circle: n, Σ cos φ, Σ sin φ, Σ cos 2φ, Σ sin 2φ, Σ cos 4φ
    let mut radii = [0f64; 8];
    for i in 0..N {
        let on: Vec<(usize, f32)> = row(sample(), i).filter(|a| p.features[a.0].circle.is_some()).collect();
        for pair in on.chunks(2) {
            let circle = p.features[pair[0].0].circle.unwrap() as usize;
            assert_eq!((pair[1].0, p.features[pair[1].0].circle), (pair[0].0 + 1, Some(circle as u32)));
            let (x, y) = (f64::from(pair[0].1), f64::from(pair[1].1));
            let r = x.hypot(y);
            let (cos, sin) = (x / r, y / r);
            let twice = cos * cos - sin * sin;
            let terms = [1.0, cos, sin, twice, 2.0 * cos * sin, 2.0 * twice * twice - 1.0];
            sums[circle].iter_mut().zip(terms).for_each(|(s, t)| *s += t);
            radii[circle] += r;
        }
    }
    for (circle, s) in sums.iter().enumerate() {
        let f = &p.features[2048 - 16 + 2 * circle];
        // Each term has mean 0 and variance ½.
        assert!(
            s[0] > 500.0 && s[1..].iter().all(|t| t.abs() < 4.5 * (0.5 * s[0]).sqrt()),
            "{circle}: {s:?}"
        );
        let error = f64::from(f.spread) / s[0].sqrt();
        assert!((radii[circle] / s[0] - f64::from(f.mean)).abs() < 5.0 * error + 1e-3, "radius of {circle}");
    }
}

/// Φ(x) by its series, to be independent of the quantiles under test.
fn normal_cdf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for k in 1..60 {
        term *= x * x / f64::from(2 * k + 1);
        sum += term;
    }
    0.5 + density(x) * sum
}

fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

fn quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-6.0, 6.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if normal_cdf(middle) < p { low = middle } else { high = middle }
    }
    low
}

/// Roots fire together as a bivariate normal with correlation ρ = w·w' says: P(both) − p p' = φ(t) φ(t') (ρ + ρ² t t'/2 + …).
#[test]
fn roots_correlate_as_the_copula_says() {
    let (p, rank, roots) = (planted(), planted().config.correlation_rank, planted().config.roots);
    let mut together = vec![0f64; roots * roots];
    for i in 0..N {
        let fired = row(sample(), i).map(|a| a.0).take_while(|&f| f < roots);
        fired.clone().for_each(|a| fired.clone().for_each(|b| together[a * roots + b] += 1.0 / N as f64));
    }
    let (mut product, mut square) = (0.0, 0.0);
    for a in 0..roots {
        for b in 0..a {
            let (pa, pb) = (p.features[a].rate, p.features[b].rate);
            let (ta, tb) = (quantile(1.0 - pa), quantile(1.0 - pb));
            let rho = dot(&p.loadings[a * rank..][..rank], &p.loadings[b * rank..][..rank]);
            let expected = density(ta) * density(tb) * (rho + 0.5 * rho * rho * ta * tb);
            product += (together[a * roots + b] - pa * pb) * expected;
            square += expected * expected;
        }
    }
    assert!((product / square - 1.0).abs() < 0.05, "slope {}", product / square);
}

#[test]
fn rows_are_bias_plus_coefficients_times_directions() {
    let (p, d) = (planted(), planted().config.d);
    let mut out = vec![0.0; 50 * d];
    let mut c = Coefficients::default();
    p.rows(1_000, 50, &mut out, Some(&mut c));
    for (i, x) in out.chunks_exact(d).enumerate() {
        let mut expected = p.bias.clone();
        for (f, value) in row(&c, i) {
            (0..d).for_each(|k| expected[k] += value * p.directions()[f * d + k]);
        }
        assert_eq!(x, expected, "row {i}");
    }
}

#[test]
fn a_row_depends_on_seed_and_number_alone() {
    let (p, d) = (planted(), planted().config.d);
    let mut whole = vec![0.0; 60 * d];
    let mut all = Coefficients::default();
    p.rows(u64::MAX / 2, 60, &mut whole, Some(&mut all));
    assert!(whole.chunks_exact(d).zip(whole[d..].chunks_exact(d)).all(|(a, b)| a != b));
    for (first, n) in [(59, 1), (0, 0), (13, 30), (0, 1), (7, 2)] {
        let mut part = vec![0.0; n * d];
        let mut c = Coefficients::default();
        p.rows(u64::MAX / 2 + first as u64, n, &mut part, Some(&mut c));
        assert_eq!(part, whole[first * d..][..n * d]);
        (0..n).for_each(|i| assert!(row(&c, i).eq(row(&all, first + i))));
        let mut silent = vec![0.0; n * d];
        p.rows(u64::MAX / 2 + first as u64, n, &mut silent, None);
        assert_eq!(silent, part);
    }
    let other = Planted::new(43, PlantedConfig { orthogonal_steps: 0, ..p.config });
    let mut another = vec![0.0; d];
    other.rows(u64::MAX / 2, 1, &mut another, None);
    assert_ne!(another, whole[..d]);
}

/// Not from outside: it holds the bytes fast, between versions and between machines.
#[test]
fn bytes_are_frozen() {
    let mut out = vec![0.0; 1_000 * planted().config.d];
    planted().rows(0, 1_000, &mut out, None);
    let hash = out
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |h, x| (h ^ u64::from(x.to_bits())).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(hash, 0x76e2_915f_1ee9_a5e5, "{hash:#x}");
}
