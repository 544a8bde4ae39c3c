//! AUROC: the chance that a positive scores higher than a negative, ties counting one half (the Mann–Whitney U, scaled).
//!
//!   AUROC = (#{(p, q): s_p > s_q} + ½·#{(p, q): s_p = s_q}) / (P·Q)     p over P positives, q over Q negatives
//!
//! Only the positives are sorted; every score is then looked up among them, so the cost is N·log P. Counts are integers:
//! the result is exact up to the last division.

/// `scores` [N], no NaN; `positives` are indices into it, distinct. NaN if there are no positives or no negatives.
pub fn auroc(scores: &[f32], positives: &[u32]) -> f64 {
    let (p, q) = (positives.len() as u64, (scores.len() - positives.len()) as u64);
    let mut sorted: Vec<f32> = positives.iter().map(|&n| scores[n as usize]).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let doubled: u64 = scores.iter().map(|&score| wins(&sorted, score)).sum();
    // Positives were looked up among themselves too: each ordered pair and its reverse add 2, so all of them P².
    (doubled - p * p) as f64 / (2 * p * q) as f64
}

/// Twice the positives above `score`, and once those that equal it.
fn wins(sorted: &[f32], score: f32) -> u64 {
    let below = sorted.partition_point(|&s| s < score);
    let from = &sorted[below..];
    let equal = if from.first() == Some(&score) { from.partition_point(|&s| s == score) } else { 0 };
    (2 * from.len() - equal) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, pair by pair.
    fn naive(scores: &[f32], is_positive: &[bool]) -> f64 {
        let (mut won, mut pairs) = (0.0, 0.0);
        for (&p, _) in scores.iter().zip(is_positive).filter(|(_, is)| **is) {
            for (&q, _) in scores.iter().zip(is_positive).filter(|(_, is)| !**is) {
                pairs += 1.0;
                won += if p > q {
                    1.0
                } else if p == q {
                    0.5
                } else {
                    0.0
                };
            }
        }
        won / pairs
    }

    proptest! {
        #[test]
        fn is_the_share_of_pairs(rows in prop::collection::vec((-4i8..4, any::<bool>()), 1..40)) {
            let scores: Vec<f32> = rows.iter().map(|r| f32::from(r.0) * 0.5).collect();
            let is_positive: Vec<bool> = rows.iter().map(|r| r.1).collect();
            let positives: Vec<u32> = (0..rows.len() as u32).filter(|&n| is_positive[n as usize]).collect();
            let (fast, slow) = (auroc(&scores, &positives), naive(&scores, &is_positive));
            prop_assert!(fast == slow || (fast.is_nan() && slow.is_nan()), "{fast} is not {slow}");
        }
    }

    #[test]
    fn by_hand() {
        assert_eq!(auroc(&[0.1, 0.4, 0.35, 0.8], &[2, 3]), 0.75);
        assert_eq!(auroc(&[1.0, 1.0, 1.0], &[0]), 0.5);
        assert_eq!(auroc(&[0.0, -0.0], &[0]), 0.5);
    }
}
