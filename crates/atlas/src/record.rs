//! What is kept of each feature and of each window that is shown: the records of an atlas's files, and how they become pages.

use crate::effects::{Effects, Ends};
use crate::levels::{Levels, edge};
use crate::neighbours::Neighbour;
use crate::pages::{
    Context, Contexts, Correlation, Correlations, HeadShare, Histogram, Logits, Quantile, TokenEffect,
    TokenEffects, TruthMatch,
};
use crate::seen::{Place, Seen, shown};
use crate::together::MostCorrelated;
use crate::truth::Match;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// Bands of a feature's values, at most.
const BANDS: usize = 5;
/// Places that are kept of a band.
const OF_A_BAND: usize = 5;
/// What is left out of direct effects.
const NOTE: &str = "direct effect of the decoder row on the logits, with the final norm's gain; the norm's scale, the soft-cap \
                    and whatever later layers do are left out";

/// A feature, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureRecord {
    /// Rows in which it fires.
    pub count: u64,
    /// Its largest value.
    pub max: f32,
    /// Its values above 0.
    pub levels: Levels,
    /// Direct logit effects, where it has any.
    pub effects: Option<Effects>,
    /// Of its own dictionary.
    pub same: Vec<Neighbour>,
    /// Of others.
    pub across: Vec<Neighbour>,
    /// With which it fires.
    pub correlated: MostCorrelated,
    /// Shares of the heads [H].
    pub heads: Option<Vec<f32>>,
    /// What it says.
    pub truth: Option<Match>,
    /// Strongest first.
    pub top: Vec<Place>,
    /// The strongest first.
    pub bands: Vec<Band>,
}

/// Part of a feature's values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Its first level, and the one after its last.
    pub levels: (i32, i32),
    /// Values in it.
    pub count: u64,
    /// Some of them.
    pub places: Vec<Place>,
}

/// A window of the text, as it is kept; a page reads dozens of them, so that its many small parts are borrowed or in place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowRecord<'a> {
    /// Number in the document of its first piece token.
    pub start: u32,
    /// Its first token that is text.
    pub first: u32,
    /// What each token adds to the text.
    #[serde(borrow)]
    pub pieces: Vec<&'a str>,
    /// What is true of each, where it is known.
    pub truth: Option<Vec<Numbers>>,
}

/// Numbers of what is true of a token.
pub type Numbers = SmallVec<[u32; 8]>;

/// Bands of the sample: the first places of each by hash, of different documents as far as there are.
pub fn bands(seen: &Seen) -> Vec<Band> {
    let of = |(places, count): (std::ops::Range<usize>, u64)| {
        let levels = (seen.levels.first + places.start as i32, seen.levels.first + places.end as i32);
        let inside = |p: &&Place| (edge(levels.0)..edge(levels.1)).contains(&p.value);
        let mut documents = BTreeSet::new();
        let own: Vec<&Place> = seen.sample.iter().map(|(_, place)| place).filter(inside).collect();
        let (mut first, again): (Vec<&Place>, Vec<&Place>) =
            own.into_iter().partition(|place| documents.insert(place.document));
        first.extend(again);
        Band { levels, count, places: first.into_iter().take(OF_A_BAND).cloned().collect() }
    };
    seen.levels.bands(BANDS).into_iter().rev().map(of).collect()
}

/// Shares of the heads in a decoder row [H · A].
pub fn head_shares(row: &[f32], heads: usize) -> Vec<f32> {
    let length = |part: &[f32]| part.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    let lengths: Vec<f64> = row.chunks_exact(row.len() / heads).map(length).collect();
    let all: f64 = lengths.iter().sum();
    lengths.into_iter().map(|l| if all > 0.0 { (l / all) as f32 } else { 0.0 }).collect()
}

impl FeatureRecord {
    /// Windows that its contexts are of.
    pub fn windows(&self) -> impl Iterator<Item = u32> {
        self.top.iter().chain(self.bands.iter().flat_map(|b| &b.places)).map(|place| place.window)
    }

    /// Its contexts as text.
    pub fn contexts<E>(&self, mut text: impl FnMut(&Place) -> Result<Context, E>) -> Result<Contexts, E> {
        let mut all = |places: &[Place]| places.iter().map(&mut text).collect::<Result<Vec<_>, E>>();
        let top = all(&self.top)?;
        let total = self.levels.total().max(1) as f64;
        let quantile = |band: &Band| {
            Ok(Quantile {
                low: f64::from(edge(band.levels.0)),
                high: f64::from(edge(band.levels.1)),
                share: band.count as f64 / total,
                contexts: all(&band.places)?,
            })
        };
        Ok(Contexts { top, quantiles: self.bands.iter().map(quantile).collect::<Result<_, E>>()? })
    }

    /// Counts of its values.
    pub fn histogram(&self) -> Histogram {
        let edges = self.levels.edges().into_iter().map(f64::from).collect();
        Histogram { edges, counts: self.levels.counts.clone() }
    }

    /// Its direct effects, with the text of tokens.
    pub fn logits<E>(&self, mut token: impl FnMut(u32) -> Result<String, E>) -> Result<Option<Logits>, E> {
        let Some(effects) = &self.effects else { return Ok(None) };
        let mut list = |list: &[(u32, f32)]| -> Result<Vec<TokenEffect>, E> {
            list.iter().map(|&(id, value)| Ok(TokenEffect { token: token(id)?, id, value })).collect()
        };
        let mut both = |ends: &Ends| Ok(TokenEffects { top: list(&ends.top)?, bottom: list(&ends.bottom)? });
        let (with, without_gain) = (both(&effects.with_gain)?, both(&effects.without_gain)?);
        let (low, high, counts) = &effects.histogram;
        let (low, high, bins) = (f64::from(*low), f64::from(*high), counts.len());
        let edge = |n| if n == bins { high } else { low + (high - low) * n as f64 / bins as f64 };
        let histogram = Histogram { edges: (0..=bins).map(edge).collect(), counts: counts.clone() };
        let (top, bottom) = (with.top, with.bottom);
        Ok(Some(Logits { with_gain: true, top, bottom, histogram, without_gain, note: NOTE.into() }))
    }

    /// Features that fire with it.
    pub fn correlations(&self) -> Correlations {
        let of = |c: &crate::together::Correlated| Correlation { index: c.feature, pearson: c.pearson };
        Correlations {
            exact: self.correlated.error_bound.is_none(),
            error_bound: self.correlated.error_bound,
            features: self.correlated.features.iter().map(of).collect(),
        }
    }

    /// The heads, the largest share first.
    pub fn head_list(&self) -> Option<Vec<HeadShare>> {
        let shares = self.heads.as_ref()?.iter().enumerate();
        let mut heads: Vec<HeadShare> = shares.map(|(head, &share)| HeadShare { head, share }).collect();
        heads.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.head.cmp(&b.head)));
        Some(heads)
    }

    /// What it says.
    pub fn truth_match(&self) -> Option<TruthMatch> {
        self.truth.as_ref().map(|m| TruthMatch {
            variable: m.variable.clone(),
            f1: m.f1,
            precision: m.precision,
            recall: m.recall,
            phrase: m.phrase.clone(),
        })
    }
}

impl WindowRecord<'_> {
    /// A place in it; `names` are those of what can be true.
    pub fn context(&self, place: &Place, names: &[String]) -> Context {
        let span = shown(place.position as usize, self.pieces.len(), self.first as usize);
        let mut values = vec![0.0; span.len()];
        for &(at, value) in &place.around {
            if let Some(slot) = (at as usize).checked_sub(span.start).and_then(|at| values.get_mut(at)) {
                *slot = value;
            }
        }
        let name = |v: &u32| names.get(*v as usize).map_or("?", String::as_str);
        let said = |on: &Numbers| on.iter().map(name).collect::<Vec<_>>().join("; ");
        let whole = |(on, value): (&Numbers, &f32)| if *value == 0.0 { String::new() } else { said(on) };
        let truth =
            self.truth.as_ref().map(|rows| rows[span.clone()].iter().zip(&values).map(whole).collect());
        Context {
            document: place.document,
            start: self.start + (span.start - self.first as usize) as u32,
            tokens: self.pieces[span.clone()].iter().copied().map(CompactString::from).collect(),
            values,
            peak: place.position as usize - span.start,
            max: place.value,
            truth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::InWindow;

    #[test]
    fn shares_of_two_heads_by_hand() {
        assert_eq!(head_shares(&[3.0, 4.0, 0.0, 0.0], 2), [1.0, 0.0]);
        assert_eq!(head_shares(&[3.0, 4.0, 0.0, 15.0], 2), [0.25, 0.75]);
        assert_eq!(head_shares(&[0.0; 4], 2), [0.0, 0.0]);
    }

    /// 400 documents with a firing each, of the values 1 to 400: five bands, each with its own places.
    #[test]
    fn bands_hold_their_own_values() {
        let mut seen = Seen::default();
        for n in 0..400u32 {
            let firings = [(1, (n + 1) as f32)];
            seen.see(0, &InWindow { document: n, window: n, tokens: 3, first: 1, firings: &firings });
        }
        let bands = bands(&seen);
        assert_eq!(bands.len(), 5);
        assert_eq!(bands.iter().map(|b| b.count).sum::<u64>(), 400);
        for band in &bands {
            assert!(!band.places.is_empty() && (40..=120).contains(&band.count), "{band:?}");
            assert!(
                band.places.iter().all(|p| p.value >= edge(band.levels.0) && p.value < edge(band.levels.1))
            );
        }
        assert!(
            bands.windows(2).all(|pair| pair[0].levels.0 == pair[1].levels.1),
            "strongest first, without gaps"
        );
    }
}
