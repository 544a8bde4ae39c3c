//! A histogram of activations that is the same whoever counts: eight levels to the octave, with edges 2^(k/8) that every feature of
//! every dictionary shares. A level is half-open, [edge(k), edge(k + 1)).

use serde::{Deserialize, Serialize};

/// Levels of an octave.
pub const PER_OCTAVE: i32 = 8;
/// 2^(k/8) in f32.
const STEPS: [f32; 8] =
    [1.0, 1.0905077, 1.1892071, 1.2968396, std::f32::consts::SQRT_2, 1.5422108, 1.6817929, 1.8340081];
/// Where f32 begins and ends, in octaves.
const OCTAVES: std::ops::RangeInclusive<i32> = -126..=127;

/// The level of a value above 0; what is not normal or not finite counts at the ends.
pub fn level(value: f32) -> i32 {
    let bits = value.to_bits();
    let octave = ((bits >> 23) as i32 - 127).clamp(*OCTAVES.start(), *OCTAVES.end());
    let mantissa = f32::from_bits((bits & 0x7f_ffff) | 0x3f80_0000);
    PER_OCTAVE * octave + STEPS.partition_point(|&step| step <= mantissa) as i32 - 1
}

/// Where a level begins.
pub fn edge(level: i32) -> f32 {
    let (octave, step) = (level.div_euclid(PER_OCTAVE), level.rem_euclid(PER_OCTAVE));
    let power = f32::from_bits(((octave.clamp(*OCTAVES.start(), *OCTAVES.end()) + 127) as u32) << 23);
    if octave > *OCTAVES.end() { f32::MAX } else { STEPS[step as usize] * power }
}

/// How many values at each level.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The level of the first count.
    pub first: i32,
    /// From there on; neither the first nor the last is 0.
    pub counts: Vec<u64>,
}

impl Levels {
    /// Counts a value above 0.
    pub fn add(&mut self, value: f32) {
        let at = level(value);
        if self.counts.is_empty() {
            self.first = at;
        }
        if at < self.first {
            let missing = (self.first - at) as usize;
            self.counts.splice(..0, std::iter::repeat_n(0, missing));
            self.first = at;
        }
        let place = (at - self.first) as usize;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
    }

    /// The edges [n + 1] of the counts [n]; none without any.
    pub fn edges(&self) -> Vec<f32> {
        match self.counts.len() as i32 {
            0 => Vec::new(),
            n => (self.first..=self.first + n).map(edge).collect(),
        }
    }

    /// All counts.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// At most `most` neighbouring bands that hold about as many values each, cut where levels meet: places in `counts`, with the
    /// number of values.
    pub fn bands(&self, most: usize) -> Vec<(std::ops::Range<usize>, u64)> {
        let total = self.total();
        let (mut bands, mut start, mut own, mut seen) = (Vec::new(), 0, 0, 0);
        for (place, &count) in self.counts.iter().enumerate() {
            (own, seen) = (own + count, seen + count);
            let next = self.counts.get(place + 1).copied().unwrap_or(0);
            // The cut that is nearest to the next quantile; f64 is exact for any count of ours.
            let wanted = (bands.len() as u64 + 1) as f64 * total as f64 / most as f64;
            let nearer = wanted - seen as f64 <= (seen + next) as f64 - wanted;
            if own > 0 && (nearer && bands.len() + 1 < most || place + 1 == self.counts.len()) {
                bands.push((start..place + 1, own));
                (start, own) = (place + 1, 0);
            }
        }
        bands
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges_are_powers_of_two_to_the_eighths() {
        for k in -100..100 {
            let exact = 2f64.powf(f64::from(k) / 8.0);
            assert!((f64::from(edge(k)) / exact - 1.0).abs() < 1e-7, "{k}");
            assert_eq!(level(edge(k)), k, "an edge belongs to the level that it begins");
            assert_eq!(level(edge(k).next_down()), k - 1);
        }
        assert_eq!((edge(0), edge(8), edge(-16)), (1.0, 2.0, 0.25));
    }

    #[test]
    fn bands_of_five_levels_by_hand() {
        let levels = Levels { first: 0, counts: vec![10, 10, 10, 10, 10] };
        let ends: Vec<usize> = levels.bands(5).iter().map(|(band, _)| band.end).collect();
        assert_eq!(ends, [1, 2, 3, 4, 5]);
        assert_eq!(Levels { first: 0, counts: vec![96, 1, 1, 1, 1] }.bands(5)[0], (0..1, 96));
        assert!(Levels::default().bands(5).is_empty());
    }

    proptest! {
        #[test]
        fn every_value_is_between_its_edges(value in 1e-30f32..1e30) {
            let at = level(value);
            prop_assert!(edge(at) <= value && value < edge(at + 1));
        }

        #[test]
        fn bands_join_and_hold_everything(counts in prop::collection::vec(0u64..50, 1..40), most in 1usize..7) {
            let levels = Levels { first: -3, counts };
            let bands = levels.bands(most);
            prop_assert!(bands.len() <= most);
            prop_assert_eq!(bands.iter().map(|b| b.1).sum::<u64>(), levels.total());
            for (band, own) in &bands {
                prop_assert_eq!(levels.counts[band.clone()].iter().sum::<u64>(), *own);
            }
            prop_assert!(bands.windows(2).all(|pair| pair[0].0.end == pair[1].0.start));
        }
    }
}
