//! What one streaming pass remembers of a feature: counts, levels, its strongest places (one for each document) and a uniform
//! sample of all its firings.
//!
//! Nothing depends on the order in which windows come: equal values go by the order of the text, and the sample keeps the firings
//! with the smallest hash of (feature, window, position). Each place keeps the feature's values around it, so that no second
//! pass is needed.

use crate::levels::Levels;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Strongest places that are kept.
pub const TOP: usize = 20;
/// Sampled firings that are kept, for all quantiles together.
pub const SAMPLE: usize = 64;
/// Tokens of a context, at most.
pub const SHOWN: usize = 128;
/// Of these before the place, where the window is longer.
const BEFORE: usize = 95;

/// A firing, with the feature's values around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// How strongly it fires there.
    pub value: f32,
    /// Its document, among all that were read.
    pub document: u32,
    /// Window of the corpus.
    pub window: u32,
    /// Index of the token in the window.
    pub position: u32,
    /// Every firing among the tokens that are shown: index in the window, value.
    pub around: Vec<(u32, f32)>,
}

/// The firings of a feature in one window.
pub struct InWindow<'a> {
    /// The document.
    pub document: u32,
    /// Which window, and its number of tokens.
    pub window: u32,
    /// Tokens of the window.
    pub tokens: usize,
    /// Its first token that is text.
    pub first: usize,
    /// Positions, ascending, and values.
    pub firings: &'a [(u32, f32)],
}

/// The tokens that are shown around a position of a window of `tokens` tokens, the first of which to be shown is `first`.
pub fn shown(position: usize, tokens: usize, first: usize) -> Range<usize> {
    if tokens - first <= SHOWN {
        return first..tokens;
    }
    let start = position.saturating_sub(BEFORE).max(first).min(tokens - SHOWN);
    start..start + SHOWN
}

/// What was seen of a feature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Rows in which it fires.
    pub count: u64,
    /// Its largest value.
    pub max: f32,
    /// Its values above 0.
    pub levels: Levels,
    /// Strongest first.
    pub top: Vec<Place>,
    /// By hash.
    pub sample: Vec<(u64, Place)>,
}

impl Seen {
    /// Takes the firings of feature number `feature` in one window, of which there is one at least.
    pub fn see(&mut self, feature: u64, here: &InWindow<'_>) {
        self.count += here.firings.len() as u64;
        let mut best = here.firings[0];
        for &(position, value) in here.firings {
            if value > 0.0 {
                self.levels.add(value);
            }
            if value > best.1 {
                best = (position, value);
            }
            self.draw(feature, here, (position, value));
        }
        self.max = self.max.max(best.1);
        self.rank(here, best);
    }

    /// Keeps the firing if its hash is among the smallest.
    fn draw(&mut self, feature: u64, here: &InWindow<'_>, firing: (u32, f32)) {
        let key = hash(feature, here.window, firing.0);
        if self.sample.len() == SAMPLE && self.sample[SAMPLE - 1].0 < key {
            return;
        }
        let at = self.sample.partition_point(|(other, _)| *other < key);
        self.sample.insert(at, (key, here.place(firing)));
        self.sample.truncate(SAMPLE);
    }

    /// Keeps the strongest firing of the window if it is among the strongest of all documents.
    fn rank(&mut self, here: &InWindow<'_>, best: (u32, f32)) {
        let before =
            |p: &Place| (p.value, std::cmp::Reverse(p.window)) >= (best.1, std::cmp::Reverse(here.window));
        if let Some(old) = self.top.iter().position(|p| p.document == here.document) {
            if before(&self.top[old]) {
                return;
            }
            self.top.remove(old);
        }
        let at = self.top.partition_point(before);
        if at < TOP {
            self.top.insert(at, here.place(best));
            self.top.truncate(TOP);
        }
    }
}

impl InWindow<'_> {
    fn place(&self, (position, value): (u32, f32)) -> Place {
        let shown = shown(position as usize, self.tokens, self.first);
        let inside = |(at, _): &&(u32, f32)| shown.contains(&(*at as usize));
        Place {
            value,
            document: self.document,
            window: self.window,
            position,
            around: self.firings.iter().filter(inside).copied().collect(),
        }
    }
}

/// splitmix64 of a firing's name.
fn hash(feature: u64, window: u32, position: u32) -> u64 {
    let mix = |x: u64| {
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    mix(mix(feature.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ (u64::from(window) << 32 | u64::from(position)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A window, its document, and where in it the feature fires.
    type Window = (u32, u32, Vec<(u32, f32)>);

    fn see(windows: &[Window]) -> Seen {
        let mut seen = Seen::default();
        for (window, document, firings) in windows {
            let here = InWindow { document: *document, window: *window, tokens: 40, first: 1, firings };
            seen.see(7, &here);
        }
        seen
    }

    proptest! {
        /// Windows in another order give the same, and the sample is that of a sort by hash.
        #[test]
        fn the_order_of_windows_does_not_matter(
            windows in prop::collection::vec((0u32..30, prop::collection::vec((0u32..40, 1u8..5), 1..12)), 1..40),
            turn in 0usize..40,
        ) {
            let windows: Vec<Window> = (0u32..).zip(windows).map(|(window, (document, firings))| {
                let mut firings: Vec<(u32, f32)> = firings.into_iter().map(|(p, v)| (p, f32::from(v))).collect();
                firings.sort_by_key(|f| f.0);
                firings.dedup_by_key(|f| f.0);
                (window, document, firings)
            }).collect();
            let mut turned = windows.clone();
            turned.rotate_left(turn % windows.len());
            let seen = see(&windows);
            prop_assert_eq!(&seen, &see(&turned));
            let mut all: Vec<(u64, u32, u32)> = windows.iter()
                .flat_map(|(w, _, f)| f.iter().map(|(p, _)| (hash(7, *w, *p), *w, *p))).collect();
            all.sort_unstable();
            all.truncate(SAMPLE);
            let sampled: Vec<_> = seen.sample.iter().map(|(key, p)| (*key, p.window, p.position)).collect();
            prop_assert_eq!(sampled, all);
            let mut documents: Vec<u32> = seen.top.iter().map(|p| p.document).collect();
            prop_assert!(seen.top.windows(2).all(|pair| pair[0].value >= pair[1].value));
            documents.sort_unstable();
            documents.dedup();
            prop_assert_eq!(documents.len(), seen.top.len());
            prop_assert_eq!(seen.top[0].value, seen.max);
        }
    }

    /// A sample is uniform: of two halves of the text that fire alike, each gives about half of it.
    #[test]
    fn the_sample_is_of_all_the_text() {
        let windows: Vec<_> = (0..2_000).map(|w| (w, w, vec![(3, 1.0f32), (9, 2.0)])).collect();
        let late = see(&windows).sample.iter().filter(|(_, p)| p.window >= 1_000).count();
        assert!((SAMPLE / 4..SAMPLE * 3 / 4).contains(&late), "{late} of {SAMPLE}");
    }

    #[test]
    fn a_long_window_is_shown_in_part() {
        assert_eq!(shown(5, 100, 1), 1..100);
        assert_eq!(shown(5, 1_000, 1), 1..129);
        assert_eq!(shown(500, 1_000, 1), 405..533);
        assert_eq!(shown(999, 1_000, 1), 872..1_000);
    }
}
