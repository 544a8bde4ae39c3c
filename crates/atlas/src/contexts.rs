//! Where every feature fires most, and how often it fires: one pass of the model, all dictionaries at once.
//!
//! A feature keeps its strongest firings, one for each document, so that one text that says a thing ten times does not fill the
//! list. Equal values go by the order of the text, so that the lists depend on nothing but model, text and dictionary.

use crate::AtlasError;
use lapidary_dictionary::Dictionary;
use lapidary_harvest::FusedRows;
use lapidary_kernels::Csr;
use lapidary_lm::{Model, Site};
use lapidary_store::{RowDtype, RowSource};
use lapidary_text::Corpus;

/// Windows that run through the model and are encoded together.
pub(crate) const WINDOWS: usize = 32;

/// A dictionary whose features are looked at.
pub struct Subject<'a> {
    /// How errors call it.
    pub name: &'a str,
    /// What it reads.
    pub site: Site,
    /// Its features; D = the site's width.
    pub dictionary: &'a Dictionary,
}

/// A place where a feature fires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Context {
    /// How strongly, in the dictionary's units.
    pub value: f32,
    /// Its document, among all that were read.
    pub document: u32,
    /// Window of the corpus.
    pub window: u32,
    /// Index of the token in the window.
    pub position: u32,
}

/// What was seen of a feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feature {
    /// Rows in which it fires.
    pub fires: u64,
    /// Where it fires most, the strongest first, one for each document.
    pub contexts: Vec<Context>,
}

/// What was seen of a dictionary.
#[derive(Clone, Debug, PartialEq)]
pub struct Contexts {
    /// N, rows that were looked at.
    pub rows: u64,
    /// [F]
    pub features: Vec<Feature>,
}

/// Looks at every row of the corpus and keeps at most `most` contexts of each feature. `progress` is told how many windows are done.
///
/// # Errors
/// A site that the model does not have, or a dictionary of another width.
pub fn contexts(
    model: &Model,
    corpus: &Corpus,
    subjects: &[Subject<'_>],
    most: usize,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Contexts>, AtlasError> {
    let sites = sites(model, subjects)?;
    let mut source = FusedRows::new(model, corpus, &sites, RowDtype::F32)?;
    let none =
        |s: &Subject<'_>| Contexts { rows: 0, features: vec![Feature::default(); s.dictionary.width()] };
    let mut seen: Vec<Contexts> = subjects.iter().map(none).collect();
    let mut rows = vec![Vec::new(); sites.len()];
    let all: Vec<u32> = (0..corpus.windows.len() as u32).collect();
    for windows in all.chunks(WINDOWS) {
        source.read(windows, &mut rows).map_err(AtlasError::Rows)?;
        let places = places(model, corpus, windows);
        for (subject, seen) in subjects.iter().zip(&mut seen) {
            let site = sites.iter().position(|site| *site == subject.site).expect("it was listed");
            seen.see(&subject.dictionary.encode(model.device, &rows[site]), &places, most);
        }
        progress(u64::from(windows[windows.len() - 1]) + 1);
    }
    Ok(seen)
}

/// Each site once; every dictionary fits its own.
pub(crate) fn sites(model: &Model, subjects: &[Subject<'_>]) -> Result<Vec<Site>, AtlasError> {
    for Subject { name, site, dictionary } in subjects {
        let (expected, found) = (model.spec.width(*site), dictionary.d_in);
        if expected != found {
            let (name, site) = (name.to_string(), site.to_string());
            return Err(AtlasError::Width { name, site, expected, found });
        }
    }
    let mut sites: Vec<Site> = subjects.iter().map(|s| s.site).collect();
    sites.sort_by_key(|site| site.rank());
    sites.dedup();
    Ok(sites)
}

/// Where each row of some windows is, in the order of the rows; nothing fires there yet.
fn places(model: &Model, corpus: &Corpus, windows: &[u32]) -> Vec<Context> {
    let of = |&w: &u32| {
        let window = &corpus.windows[w as usize];
        let place = Context { value: 0.0, document: window.doc, window: w, position: 0 };
        window.row_positions(&model.spec).map(move |p| Context { position: p as u32, ..place })
    };
    windows.iter().flat_map(of).collect()
}

impl Contexts {
    fn see(&mut self, features: &Csr, places: &[Context], most: usize) {
        assert_eq!(features.rows(), places.len(), "a place for each row");
        self.rows += places.len() as u64;
        for (n, &place) in places.iter().enumerate() {
            let (index, value) = features.row(n);
            for (&f, &value) in index.iter().zip(value) {
                self.features[f as usize].see(Context { value, ..place }, most);
            }
        }
    }

    /// Some features from frequent to rare: `most`, or as many as there are, evenly by rank among those that have as many contexts
    /// as any has.
    pub fn spread(&self, most: usize) -> Vec<u32> {
        let contexts = self.features.iter().map(|f| f.contexts.len()).max().unwrap_or(0);
        let full = |f: &u32| contexts > 0 && self.features[*f as usize].contexts.len() == contexts;
        let mut ranked: Vec<u32> = (0..self.features.len() as u32).filter(full).collect();
        ranked.sort_by_key(|&f| std::cmp::Reverse(self.features[f as usize].fires));
        let wanted = most.min(ranked.len());
        (0..wanted).map(|i| ranked[(2 * i + 1) * ranked.len() / (2 * wanted)]).collect()
    }

    /// The share of rows in which a feature fires.
    pub fn density(&self, feature: usize) -> f64 {
        self.features[feature].fires as f64 / self.rows.max(1) as f64
    }
}

impl Feature {
    fn see(&mut self, context: Context, most: usize) {
        self.fires += 1;
        if let Some(old) = self.contexts.iter().position(|c| c.document == context.document) {
            if self.contexts[old].value >= context.value {
                return;
            }
            self.contexts.remove(old);
        }
        let at = self.contexts.partition_point(|c| c.value >= context.value);
        if at < most {
            self.contexts.insert(at, context);
            self.contexts.truncate(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All firings at once: the best of each document, the strongest first, equal ones in the order of the text.
    fn twin(all: &[Context], most: usize) -> Vec<Context> {
        let mut sorted = all.to_vec();
        sorted.sort_by(|a, b| b.value.total_cmp(&a.value)); // stable
        let mut documents = Vec::new();
        sorted.retain(|c| {
            !documents.contains(&c.document) && {
                documents.push(c.document);
                true
            }
        });
        sorted.truncate(most);
        sorted
    }

    /// By hand: ten features with a context each fire 10, 9, … 1 times, and one never; of three wanted, the ranks are 1, 5 and 8.
    #[test]
    fn features_are_spread_from_frequent_to_rare() {
        let context = Context { value: 1.0, document: 0, window: 0, position: 0 };
        let feature = |fires| Feature { fires, contexts: vec![context] };
        let mut features: Vec<Feature> = (1..=10).rev().map(feature).collect();
        features.push(Feature::default());
        let seen = Contexts { rows: 100, features };
        assert_eq!(seen.spread(3), [1, 5, 8]);
        assert_eq!(seen.spread(50), (0..10).collect::<Vec<u32>>());
        assert!(Contexts { rows: 0, features: vec![Feature::default()] }.spread(3).is_empty());
    }

    proptest! {
        /// Few values and few documents, so that ties and repeats are common.
        #[test]
        fn the_strongest_of_each_document_are_kept(
            firings in prop::collection::vec((1u8..6, 0u32..5), 0..60),
            most in 0usize..6,
        ) {
            let mut documents: Vec<u32> = firings.iter().map(|f| f.1).collect();
            documents.sort_unstable();
            let context = |(position, (&(value, _), document)): (u32, (&(u8, u32), u32))| Context {
                value: f32::from(value), document, window: document, position,
            };
            let all: Vec<Context> = (0..).zip(firings.iter().zip(documents)).map(context).collect();
            let mut feature = Feature::default();
            all.iter().for_each(|&c| feature.see(c, most));
            prop_assert_eq!(feature.fires, all.len() as u64);
            prop_assert_eq!(feature.contexts, twin(&all, most));
        }
    }
}
