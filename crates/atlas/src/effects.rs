//! Which next tokens a feature's direction speaks for and against by itself: the direct logit effects W_U (γ ⊙ d), strongest and
//! weakest, and how they lie over the vocabulary; and without γ, as peers show it.

use lapidary_lm::Model;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Tokens that are listed at each end.
const LISTED: usize = 10;
/// Bins of the histogram.
const BINS: usize = 50;
/// Directions that are multiplied at once.
const BLOCK: usize = 64;

/// Tokens with their effects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ends {
    /// The most raised, the strongest first.
    pub top: Vec<(u32, f32)>,
    /// The most lowered, the strongest first.
    pub bottom: Vec<(u32, f32)>,
}

/// The direct effects of a direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effects {
    /// With the final norm's gain.
    pub with_gain: Ends,
    /// Without it.
    pub without_gain: Ends,
    /// With it, over the vocabulary: the first edge, the last, which no effect reaches, and counts of bins of equal width.
    pub histogram: (f32, f32, Vec<u64>),
}

/// Of every direction [F, D] in the residual stream; nothing for a zero one.
pub fn effects(model: &Model, directions: &[f32]) -> Vec<Option<Effects>> {
    let (d, v) = (model.spec.d_model, model.spec.vocab);
    let mut out = Vec::with_capacity(directions.len() / d);
    for block in directions.chunks(BLOCK * d) {
        let (with, without) = (model.logit_effects(block, true), model.logit_effects(block, false));
        let rows = block.par_chunks(d).zip(with.par_chunks(v)).zip(without.par_chunks(v));
        let of = |((direction, with), without): ((&[f32], &[f32]), &[f32])| {
            let some = direction.iter().any(|&x| x != 0.0) && with.iter().all(|x| x.is_finite());
            some.then(|| Effects {
                with_gain: ends(with),
                without_gain: ends(without),
                histogram: histogram(with),
            })
        };
        out.par_extend(rows.map(of));
    }
    out
}

/// Equal effects go by the token.
fn ends(effects: &[f32]) -> Ends {
    let mut order: Vec<u32> = (0..effects.len() as u32).collect();
    let of = |t: &u32| (*t, effects[*t as usize]);
    let listed = LISTED.min(order.len());
    let by_rise = |a: &u32, b: &u32| effects[*b as usize].total_cmp(&effects[*a as usize]).then(a.cmp(b));
    let by_fall = |a: &u32, b: &u32| effects[*a as usize].total_cmp(&effects[*b as usize]).then(a.cmp(b));
    let mut first = |by: &dyn Fn(&u32, &u32) -> std::cmp::Ordering| {
        if listed < order.len() {
            order.select_nth_unstable_by(listed, by);
        }
        let mut ends: Vec<u32> = order[..listed].to_vec();
        ends.sort_by(by);
        ends.iter().map(of).collect()
    };
    Ends { top: first(&by_rise), bottom: first(&by_fall) }
}

fn histogram(effects: &[f32]) -> (f32, f32, Vec<u64>) {
    let low = effects.iter().copied().fold(f32::INFINITY, f32::min);
    let high = effects.iter().copied().fold(f32::NEG_INFINITY, f32::max).next_up();
    let mut counts = vec![0; BINS];
    let width = (f64::from(high) - f64::from(low)) / BINS as f64;
    for &effect in effects {
        let bin = ((f64::from(effect) - f64::from(low)) / width) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    (low, high, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_histogram_by_hand() {
        let effects: Vec<f32> = (0..100).map(|t| ((t * 37) % 100) as f32).collect();
        let ends = ends(&effects);
        let token = |value: usize| effects.iter().position(|&e| e == value as f32).unwrap() as u32;
        assert_eq!(ends.top, (90..100).rev().map(|v| (token(v), v as f32)).collect::<Vec<_>>());
        assert_eq!(ends.bottom, (0..10).map(|v| (token(v), v as f32)).collect::<Vec<_>>());
        let (low, high, counts) = histogram(&effects);
        assert_eq!((low, high), (0.0, 99.0f32.next_up()));
        assert_eq!(counts.iter().sum::<u64>(), 100);
        assert!(counts.iter().all(|&n| (1..=3).contains(&n)), "{counts:?}");
        assert_eq!(super::ends(&[1.0, 1.0, 1.0]).top, [(0, 1.0), (1, 1.0), (2, 1.0)]);
    }
}
