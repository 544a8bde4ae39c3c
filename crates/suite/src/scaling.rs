//! What more rows, or a wider dictionary, would buy: a guide by what was measured at one site of one real model.
//!
//! 8.res of SmolLM2-135M (D 576) on 764,967 rows of the King James Bible, preset `short`, target L0 40, one seed, held-out FVU at
//! L0 43 to 45 (LOG.md, 29 November 2026):
//!
//!   width 2,048, by steps of 2,048 rows   250: .0934   1,000: .0752   4,000: .0674
//!   1,000 steps, by width                 1,024: .0896   2,048: .0752   4,096: .0642
//!
//! Fitted: FVU = .0616·(1 + 15.1·steps^−.611), three numbers through three points, and FVU ∝ width^−.240, by least squares.

/// Of FVU = a·(1 + B·steps^−R).
const B: f64 = 15.1;
const R: f64 = 0.611;
/// Of FVU ∝ width^−W.
const W: f64 = 0.240;

/// FVU after `times` as many steps, as a share of what it is after `steps`.
pub fn by_steps(steps: u64, times: f64) -> f64 {
    let of = |steps: f64| 1.0 + B * steps.powf(-R);
    of(steps as f64 * times) / of(steps as f64)
}

/// FVU of a dictionary that is `times` as wide, as a share.
pub fn by_width(times: f64) -> f64 {
    times.powf(-W)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The six measurements above, which were rounded to three digits.
    #[test]
    fn the_fit_goes_through_what_was_measured() {
        let near = |found: f64, expected: f64, off: f64| {
            assert!((found / expected - 1.0).abs() < off, "{found} {expected}")
        };
        near(by_steps(250, 4.0), 0.0752 / 0.0934, 0.003);
        near(by_steps(250, 16.0), 0.0674 / 0.0934, 0.003);
        near(by_width(2.0), 0.0752 / 0.0896, 0.02);
        near(by_width(4.0), 0.0642 / 0.0896, 0.003);
    }
}
