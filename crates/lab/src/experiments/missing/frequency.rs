//! What is found, against how often it occurs: bins, the frequency at which half is found, its prediction, and Chao's estimate of how many
//! there are at all.

use super::BINS;

/// Frequency at which half of the variables are found, log10, by a logistic line; none where that lies outside of the frequencies that occur.
pub(super) fn half(frequency: &[f64], found: &[bool]) -> Option<f64> {
    let x: Vec<f64> = frequency.iter().map(|f| f.log10()).collect();
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let points: Vec<(f64, f64)> =
        x.iter().zip(found).map(|(x, &y)| (x - mean, f64::from(u8::from(y)))).collect();
    let line = logistic(&points);
    let half = mean - line[0] / line[1];
    let (low, high) = x.iter().fold((f64::MAX, f64::MIN), |(low, high), &x| (low.min(x), high.max(x)));
    (line[1] > 0.0 && (low..=high).contains(&half)).then_some(half)
}

/// a, b of P(y = 1) = 1/(1 + e^−(a + bx)), by Newton's steps, halved until the likelihood rises. A little ridge on the slope keeps separable data finite.
fn logistic(points: &[(f64, f64)]) -> [f64; 2] {
    const RIDGE: f64 = 1e-3;
    let value = |[a, b]: [f64; 2]| {
        let one = |&(x, y): &(f64, f64)| {
            let z = a + b * x;
            y * z - z.max(0.0) - (-z.abs()).exp().ln_1p()
        };
        points.iter().map(one).sum::<f64>() - RIDGE * b * b / 2.0
    };
    let mut line = [0.0, 0.0];
    for _ in 0..50 {
        let (mut ga, mut gb, mut haa, mut hab, mut hbb) = (0.0, -RIDGE * line[1], 1e-9, 0.0, RIDGE);
        for &(x, y) in points {
            let p = 1.0 / (1.0 + (-(line[0] + line[1] * x)).exp());
            let (e, w) = (y - p, p * (1.0 - p));
            (ga, gb) = (ga + e, gb + e * x);
            (haa, hab, hbb) = (haa + w, hab + w * x, hbb + w * x * x);
        }
        let determinant = haa * hbb - hab * hab;
        let step = [(hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant];
        let shorter = (0..30).map(|k| 0.5f64.powi(k)).map(|t| [line[0] + t * step[0], line[1] + t * step[1]]);
        let before = value(line);
        match shorter.into_iter().find(|&next| value(next) > before) {
            Some(next) => line = next,
            None => break,
        }
    }
    line
}

/// Completeness by bins of equally many variables: (geometric mean frequency, share found).
pub(super) fn binned(frequency: &[f64], found: &[bool]) -> Vec<(f64, f64)> {
    let mut order: Vec<usize> = (0..frequency.len()).collect();
    order.sort_by(|&i, &j| frequency[i].total_cmp(&frequency[j]));
    let of = |bin: usize| {
        let part = &order[bin * order.len() / BINS..(bin + 1) * order.len() / BINS];
        let n = part.len().max(1) as f64;
        let log = part.iter().map(|&v| frequency[v].log10()).sum::<f64>() / n;
        (10f64.powf(log), part.iter().filter(|&&v| found[v]).count() as f64 / n)
    };
    (0..BINS).map(of).collect()
}

/// The factor by which a line through the narrower widths misses the half-frequency of the widest.
pub(super) fn prediction(widths: &[usize], halves: &[Option<f64>]) -> Option<f64> {
    let points: Vec<(f64, f64)> =
        widths.iter().zip(halves).filter_map(|(&w, h)| Some(((w as f64).log10(), (*h)?))).collect();
    if points.len() < widths.len() || points.len() < 3 {
        return None;
    }
    let (last, before) = points.split_last()?;
    let n = before.len() as f64;
    let (mx, my) = (before.iter().map(|p| p.0).sum::<f64>() / n, before.iter().map(|p| p.1).sum::<f64>() / n);
    let slope = before.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>()
        / before.iter().map(|p| (p.0 - mx).powi(2)).sum::<f64>();
    Some(10f64.powf((my + slope * (last.0 - mx) - last.1).abs()))
}

/// Chao1 of the variables found by some seed: observed + (found once)² / (2 · found twice).
pub(super) fn chao(found: &[&Vec<bool>]) -> f64 {
    let n = found[0].len();
    let times = |v: usize| found.iter().filter(|f| f[v]).count();
    let of = |k: usize| (0..n).filter(|&v| times(v) == k).count() as f64;
    let observed = (0..n).filter(|&v| times(v) > 0).count() as f64;
    observed + of(1).powi(2) / (2.0 * of(2).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found from 10⁻² on, with one error on each side: half is found there.
    #[test]
    fn the_half_frequency_lies_where_it_was_put() {
        let frequency: Vec<f64> = (0..41).map(|i| 10f64.powf(-4.0 + 0.1 * f64::from(i))).collect();
        let mut found: Vec<bool> = (0..41).map(|i| i >= 20).collect();
        (found[17], found[23]) = (true, false);
        let half = half(&frequency, &found).unwrap();
        assert!((half + 2.05).abs() < 0.1, "{half}");
    }

    /// Three lists of four: one variable in all, one in two, one in one, one in none: 3 + 1²/(2·1).
    #[test]
    fn chao_adds_what_was_seen_once_over_what_was_seen_twice() {
        let lists =
            [vec![true, true, true, false], vec![true, true, false, false], vec![true, false, false, false]];
        assert_eq!(chao(&lists.iter().collect::<Vec<_>>()), 3.5);
    }

    /// Halves fall by a decade per decade of width: the last is predicted exactly; half a decade off is √10.
    #[test]
    fn a_ladder_predicts_its_last_step() {
        let widths = [100, 1_000, 10_000];
        assert!((prediction(&widths, &[Some(-1.0), Some(-2.0), Some(-3.0)]).unwrap() - 1.0).abs() < 1e-9);
        assert!(
            (prediction(&widths, &[Some(-1.0), Some(-2.0), Some(-3.5)]).unwrap() - 10f64.sqrt()).abs() < 1e-9
        );
        assert_eq!(prediction(&widths, &[None, Some(-2.0), Some(-3.0)]), None);
    }
}
