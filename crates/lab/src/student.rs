//! Student's t: how far may a mean of few values lie from the truth? By integrating the density, so that it holds for fractional degrees of
//! freedom, which the approximation of Welch and Satterthwaite gives.

use std::f64::consts::PI;

/// Degrees of freedom from which on t is taken as normal.
const MANY: f64 = 1e4;

/// P(|T| > t) for T with `dof` degrees of freedom, ≥ 1.
pub(crate) fn two_sided_p(t: f64, dof: f64) -> f64 {
    let t = t.abs();
    if !t.is_finite() {
        return if t.is_nan() { f64::NAN } else { 0.0 };
    }
    // x = √dof·tan φ turns the integral into one of cos^(dof − 1) over a bounded range.
    let dof = dof.clamp(1.0, MANY);
    let (low, high) = ((t / dof.sqrt()).atan(), PI / 2.0);
    let density = |phi: f64| phi.cos().max(0.0).powf(dof - 1.0);
    let (tail, half) = (simpson(low, high, density), simpson(0.0, high, density));
    (tail / half).clamp(0.0, 1.0)
}

/// The t beyond which 5 % lie, both sides together.
pub(crate) fn quantile_95(dof: f64) -> f64 {
    let (mut low, mut high) = (1.0, 20.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if two_sided_p(middle, dof) > 0.05 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

fn simpson(a: f64, b: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (n, h) = (2_000, (b - a) / 2_000.0);
    let weight = |i: usize| {
        if i == 0 || i == n {
            1.0
        } else if i % 2 == 1 {
            4.0
        } else {
            2.0
        }
    };
    (0..=n).map(|i| weight(i) * f(a + i as f64 * h)).sum::<f64>() * h / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From tables: 12.706 at 1, 4.303 at 2, 2.776 at 4, 1.960 at ∞.
    #[test]
    fn the_quantiles_are_those_of_tables() {
        for (dof, expected) in [(1.0, 12.706), (2.0, 4.303), (4.0, 2.776), (1e9, 1.960)] {
            assert!((quantile_95(dof) - expected).abs() < 2e-3, "{dof}: {}", quantile_95(dof));
        }
        assert!((two_sided_p(2.776, 4.0) - 0.05).abs() < 1e-4);
        assert_eq!(two_sided_p(0.0, 3.0), 1.0);
    }
}
