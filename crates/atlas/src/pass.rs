//! The streaming pass: every window goes through the model once, every dictionary encodes its rows, and every feature takes what
//! it fires at. Memory grows with features, not with tokens. After each shard of rows all that was seen is published, so that a
//! killed build goes on from there.

use crate::contexts::{WINDOWS, sites};
use crate::seen::{InWindow, Seen};
use crate::together::{self, Partners};
use crate::truth::{self, Both, Truth};
use crate::{AtlasError, Subject};
use lapidary_dictionary::Encoder;
use lapidary_files as files;
use lapidary_harvest::FusedRows;
use lapidary_kernels::Csr;
use lapidary_lm::{Model, Site};
use lapidary_store::{RowDtype, RowSource};
use lapidary_text::Corpus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Features that one task takes.
const FEATURES: usize = 32;
/// Rows of activations that are held at a time, bytes, a window at least.
const HELD_BYTES: usize = 512 << 20;
/// Largest state that is read back, bytes.
const MAX_BYTES: u64 = 1 << 36;

/// What was seen of a dictionary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DictionarySeen {
    /// [F]
    pub features: Vec<FeatureSeen>,
    /// Rows over which features were correlated.
    pub correlated_rows: u64,
}

/// What was seen of a feature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureSeen {
    /// Where it fires, and how strongly.
    pub seen: Seen,
    /// With which others.
    pub partners: Partners,
    /// And with which truth.
    pub both: Both,
}

/// All that a pass has seen so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Of what: the hash of all inputs.
    pub key: String,
    /// Windows that are done, the first of the corpus.
    pub windows: u32,
    /// Rows of these.
    pub rows: u64,
    /// In the order of the subjects.
    pub dictionaries: Vec<DictionarySeen>,
}

/// What a pass looks at.
pub struct Pass<'a> {
    /// The model.
    pub model: &'a Model,
    /// The text.
    pub corpus: &'a Corpus,
    /// The dictionaries.
    pub subjects: &'a [Subject<'a>],
    /// What is known of every row, if it is.
    pub truth: Option<&'a Truth>,
    /// Hash of all inputs.
    pub key: &'a str,
    /// Rows after which all that was seen is published.
    pub shard_rows: u64,
}

impl Pass<'_> {
    /// Looks at every window, from where the state in the file `at` ends; `progress` is told how many windows are done.
    ///
    /// # Errors
    /// A site that the model does not have, a dictionary of another width, or a file that cannot be read or written.
    pub fn run(&self, at: &Path, progress: &mut dyn FnMut(u64)) -> Result<State, AtlasError> {
        let mut state = self.begin(at)?;
        let sites = sites(self.model, self.subjects)?;
        let mut source = FusedRows::new(self.model, self.corpus, &sites, RowDtype::F32)?;
        let mut rows = vec![Vec::new(); sites.len()];
        let (all, mut published): (Vec<u32>, u64) =
            ((0..self.corpus.windows.len() as u32).collect(), state.rows);
        progress(u64::from(state.windows));
        let total: usize = self.corpus.window_rows(&self.model.spec).iter().map(|&n| n as usize).sum();
        let mut encoders: Vec<Encoder<'_>> = Vec::new();
        for windows in all[state.windows as usize..].chunks(self.windows_at_once(&sites)) {
            source.read(windows, &mut rows).map_err(AtlasError::Rows)?;
            let here = self.here(windows, state.rows as usize);
            let of = |s: &Subject<'_>| sites.iter().position(|site| *site == s.site).expect("it was listed");
            if encoders.is_empty() {
                let ready = self
                    .subjects
                    .iter()
                    .map(|s| s.dictionary.encoder(self.model.device, &rows[of(s)], total));
                encoders = ready.collect();
            }
            for ((subject, encoder), seen) in self.subjects.iter().zip(&encoders).zip(&mut state.dictionaries)
            {
                seen.see(&encoder.encode(&rows[of(subject)]), &here, self.corpus, self.truth);
            }
            state.windows += windows.len() as u32;
            state.rows += here.places.len() as u64;
            if state.rows - published >= self.shard_rows {
                published = state.rows;
                state.publish(at)?;
            }
            progress(u64::from(state.windows));
        }
        Ok(state)
    }

    /// Windows that run together: their rows at all sites must not fill the memory.
    fn windows_at_once(&self, sites: &[Site]) -> usize {
        let widths: usize = sites.iter().map(|site| self.model.spec.width(*site)).sum();
        let longest = self.corpus.windows.iter().map(|w| w.tokens.len()).max().unwrap_or(1);
        (HELD_BYTES / (4 * widths * longest).max(1)).clamp(1, WINDOWS)
    }

    /// The state of a build of the same inputs, or nothing yet.
    fn begin(&self, at: &Path) -> Result<State, AtlasError> {
        if at.is_file() {
            let bytes = files::read(at, MAX_BYTES)?;
            let state: Option<State> = postcard::from_bytes(&bytes).ok();
            if let Some(state) = state.filter(|state| state.key == self.key) {
                return Ok(state);
            }
        }
        let new = |s: &Subject<'_>| DictionarySeen::new(s.dictionary.width(), self.truth);
        let dictionaries = self.subjects.iter().map(new).collect();
        Ok(State { key: self.key.into(), windows: 0, rows: 0, dictionaries })
    }

    fn here(&self, windows: &[u32], first_row: usize) -> Here {
        let spec = &self.model.spec;
        let of = |&w: &u32| self.corpus.windows[w as usize].row_positions(spec).map(move |p| (w, p as u32));
        let places = windows.iter().flat_map(of).collect();
        Here { places, first_row, first_token: usize::from(spec.bos.is_some()) }
    }
}

impl State {
    fn publish(&self, at: &Path) -> Result<(), AtlasError> {
        let bytes = postcard::to_allocvec(self).expect("plain data");
        Ok(files::publish(at, &bytes)?)
    }
}

/// The rows of a batch.
struct Here {
    /// Window and position of each.
    places: Vec<(u32, u32)>,
    /// Number of the first of them in the corpus.
    first_row: usize,
    /// The first token of a window that is text.
    first_token: usize,
}

impl DictionarySeen {
    fn new(width: usize, truth: Option<&Truth>) -> DictionarySeen {
        let both = truth::none_yet(truth, width);
        let new = |(i, both)| FeatureSeen { seen: Seen::default(), partners: Partners::new(i, width), both };
        DictionarySeen { features: both.into_iter().enumerate().map(new).collect(), correlated_rows: 0 }
    }

    /// Features in parallel, each by itself and in the order of the rows: any number of threads gives the same.
    fn see(&mut self, batch: &Csr, here: &Here, corpus: &Corpus, truth: Option<&Truth>) {
        let by_feature = batch.transpose();
        let pairs = batch.columns <= together::EXACT || self.correlated_rows < together::ROWS;
        self.features.par_chunks_mut(FEATURES).enumerate().for_each(|(task, features)| {
            for (i, feature) in (task * FEATURES..).zip(features) {
                let (at, values) = by_feature.row(i);
                feature.see(i, at, values, here, corpus);
                if pairs {
                    feature.partners.see(i, at, values, batch);
                }
                if let Some(truth) = truth {
                    truth::see(&mut feature.both, truth, here.first_row, at);
                }
            }
        });
        self.correlated_rows += if pairs { batch.rows() as u64 } else { 0 };
    }
}

impl FeatureSeen {
    fn see(&mut self, i: usize, at: &[u32], values: &[f32], here: &Here, corpus: &Corpus) {
        let all: Vec<(u32, (u32, f32))> = at
            .iter()
            .zip(values)
            .map(|(&n, &value)| (here.places[n as usize].0, (here.places[n as usize].1, value)))
            .collect();
        for firings in all.chunk_by(|a, b| a.0 == b.0) {
            let window = &corpus.windows[firings[0].0 as usize];
            let own: Vec<(u32, f32)> = firings.iter().map(|(_, firing)| *firing).collect();
            self.seen.see(
                i as u64,
                &InWindow {
                    document: window.doc,
                    window: firings[0].0,
                    tokens: window.tokens.len(),
                    first: here.first_token,
                    firings: &own,
                },
            );
        }
    }
}
