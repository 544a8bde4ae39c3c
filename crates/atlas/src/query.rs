//! An atlas is opened and asked. Everything is read by position or by row: an open atlas holds its manifest and no features. It may be
//! edited while it is open.

use crate::build::records_file;
use crate::connections::Connections;
use crate::manifest::Manifest;
use crate::neighbours::Neighbour;
use crate::pages::{
    DictionaryInfo, Explanation, FeatureList, FeatureName, FeaturePage, FeatureRow, Neighbours, Similar,
    SuitePage,
};
use crate::record::{FeatureRecord, WindowRecord};
use crate::rows;
use crate::shard::Shard;
use crate::{AtlasError, error::damaged};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use std::path::{Path, PathBuf};

/// Rows of a list or a search, at most.
pub const MAX_LIMIT: u64 = 1_000;
/// One of the explanations of feature `f` has this score.
pub(crate) const HAS_SCORE: &str = "EXISTS (SELECT 1 FROM explanation x WHERE x.dictionary = f.dictionary AND x.idx = f.idx AND x.score >= ?)";

/// An open atlas; many threads may ask it at once.
pub struct Atlas {
    /// Its folder.
    pub folder: PathBuf,
    /// What it is of.
    pub manifest: Manifest,
    shards: Vec<Shard>,
    text: Shard,
    words: Shard,
    rows: Connections,
}

/// By what a list is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Number.
    Index,
    /// Share of rows in which it fires.
    Density,
    /// Largest value.
    Max,
    /// Of the variable that it matches.
    F1,
}

/// Which features are listed, in which order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// By what they are sorted; if by nothing, a list by number, a search by how well it fits.
    pub sort: Option<Sort>,
    /// The largest first? If nobody says: numbers from the lowest, all else from the largest.
    pub descending: Option<bool>,
    /// Lowest density.
    pub min_density: Option<f64>,
    /// Highest density.
    pub max_density: Option<f64>,
    /// Lowest of the largest values.
    pub min_max: Option<f64>,
    /// Lowest score of the explanation that is found; of a list or a token, of any of the feature's explanations.
    pub min_score: Option<f64>,
    /// Only those that fired?
    pub alive: bool,
    /// How many are skipped.
    pub offset: u64,
    /// How many are listed, at most [`MAX_LIMIT`].
    pub limit: u64,
}

impl Atlas {
    /// Opens an atlas and checks every file of it.
    ///
    /// # Errors
    /// The folder is no atlas, is half built, of another version, or a file is missing or damaged: which one.
    pub fn open(folder: &Path) -> Result<Atlas, AtlasError> {
        let manifest = Manifest::read(folder)?;
        let file = |d: &DictionaryInfo| Shard::open(&folder.join(records_file(&d.source)));
        let shards = manifest.suite.dictionaries.iter().map(file).collect::<Result<_, _>>()?;
        let (text, words) =
            (Shard::open(&folder.join("text.bin"))?, Shard::open(&folder.join("vocabulary.bin"))?);
        let rows = Connections::of(folder, &manifest);
        let atlas = Atlas { folder: folder.to_path_buf(), manifest, shards, text, words, rows };
        atlas.check_version()?;
        Ok(atlas)
    }

    fn check_version(&self) -> Result<(), AtlasError> {
        let found: u32 = self.ask(|c| c.pragma_query_value(None, "user_version", |row| row.get(0)))?;
        if found == rows::VERSION { Ok(()) } else { Err(rows::other_version(&self.rows.path(), found)) }
    }

    /// Asks the rows, on a connection of one's own.
    pub(crate) fn ask<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, AtlasError> {
        self.rows.ask(ask)
    }

    /// What it is of.
    pub fn suite(&self) -> &SuitePage {
        &self.manifest.suite
    }

    /// Number of a dictionary.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn dictionary(&self, source: &str) -> Result<usize, AtlasError> {
        let all = &self.suite().dictionaries;
        all.iter().position(|d| d.source == source).ok_or_else(|| {
            let known = all.iter().map(|d| d.source.as_str()).collect::<Vec<_>>().join(", ");
            AtlasError::NotFound(format!(
                "{source}: expected a source of the atlas, found none; it has {known}"
            ))
        })
    }

    /// Features of a dictionary, sorted; equal ones by number.
    ///
    /// # Errors
    /// No such dictionary, or rows that cannot be read.
    pub fn features(&self, source: &str, wanted: &Wanted) -> Result<FeatureList, AtlasError> {
        let d = self.dictionary(source)? as i64;
        let (only, filters) = wanted.filters(HAS_SCORE);
        let values: Vec<Value> = [d.into()].into_iter().chain(filters).collect();
        let from = format!("FROM feature f WHERE dictionary = ?1{only}");
        let list = format!(
            "SELECT idx, density, max, explanation, top_token, f1 {from} ORDER BY {}, idx {}",
            wanted.order().unwrap_or("idx".into()),
            wanted.page()
        );
        let count = format!("SELECT count(*) {from}");
        let (total, features) = self.ask(|c| {
            let total: i64 =
                c.prepare_cached(&count)?.query_row(params_from_iter(&values), |row| row.get(0))?;
            let mut list = c.prepare_cached(&list)?;
            let rows = list.query_map(params_from_iter(&values), feature_row)?;
            Ok((total as u64, rows.collect::<rusqlite::Result<Vec<_>>>()?))
        })?;
        Ok(FeatureList { source: source.into(), total, offset: wanted.offset, features })
    }

    /// Some features of a dictionary, in the order in which they are named; those that it does not have are left out.
    ///
    /// # Errors
    /// No such dictionary, or rows that cannot be read.
    pub fn some(&self, source: &str, features: &[u32]) -> Result<Vec<FeatureRow>, AtlasError> {
        let d = self.dictionary(source)? as i64;
        self.ask(|c| {
            let mut one = c.prepare_cached(
                "SELECT idx, density, max, explanation, top_token, f1 FROM feature WHERE dictionary = ? AND idx = ?",
            )?;
            let found = features.iter().map(|f| one.query_row(params![d, f], feature_row).optional());
            Ok(found.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
        })
    }

    /// The share of rows in which each feature of a dictionary fires [F].
    ///
    /// # Errors
    /// No such dictionary, or rows that cannot be read.
    pub fn densities(&self, source: &str) -> Result<Vec<f64>, AtlasError> {
        let d = self.dictionary(source)? as i64;
        self.ask(|c| {
            let mut all =
                c.prepare_cached("SELECT density FROM feature WHERE dictionary = ? ORDER BY idx")?;
            all.query_map([d], |row| row.get(0))?.collect()
        })
    }

    /// What is said of a feature, the best first.
    ///
    /// # Errors
    /// No such dictionary, or rows that cannot be read.
    pub fn explanations(&self, source: &str, index: u32) -> Result<Vec<Explanation>, AtlasError> {
        let d = self.dictionary(source)? as i64;
        self.ask(|c| {
            let mut all = c.prepare_cached(
                "SELECT text, author, method, score, score_name, how_measured FROM explanation
                 WHERE dictionary = ? AND idx = ? ORDER BY rank, id",
            )?;
            all.query_map(params![d, index], rows::explanation)?.collect()
        })
    }

    /// The page of a feature.
    ///
    /// # Errors
    /// No such feature, or a file that cannot be read.
    pub fn feature(&self, source: &str, index: u32) -> Result<FeaturePage, AtlasError> {
        let record = self.record(source, index)?;
        let info = &self.suite().dictionaries[self.dictionary(source)?];
        let contexts = record.contexts(|place| {
            let mut bytes = Vec::new();
            let window: Option<WindowRecord> = self.text.read_into(u64::from(place.window), &mut bytes)?;
            let path = || self.folder.join("text.bin").display().to_string();
            let whole = window.filter(|w| (place.position as usize) < w.pieces.len());
            let window = whole.ok_or_else(|| {
                damaged(format!(
                    "{}: expected window {}, found none; build the atlas again",
                    path(),
                    place.window
                ))
            })?;
            Ok::<_, AtlasError>(window.context(place, &self.manifest.truth_names))
        })?;
        let model = self.suite().model.id.clone();
        Ok(FeaturePage {
            id: format!("{model}/{source}/{index}"),
            model,
            source: source.into(),
            site: info.site.clone(),
            index,
            features: info.features,
            density: record.count as f64 / self.suite().text.rows.max(1) as f64,
            count: record.count,
            max: record.max,
            dead: record.count == 0,
            histogram: record.histogram(),
            logits: record.logits(|token| self.token(token))?,
            contexts,
            neighbours: Neighbours {
                same: self.similar(&record.same)?,
                across: self.similar(&record.across)?,
            },
            correlated: record.correlations(),
            heads: record.head_list(),
            explanations: self.explanations(source, index)?,
            truth: record.truth_match(),
            previous: index.checked_sub(1),
            next: Some(index + 1).filter(|&next| (next as usize) < info.features),
        })
    }

    /// What is kept of a feature.
    ///
    /// # Errors
    /// No such feature, or a file that cannot be read.
    pub fn record(&self, source: &str, index: u32) -> Result<FeatureRecord, AtlasError> {
        let d = self.dictionary(source)?;
        if u64::from(index) >= self.shards[d].len {
            return Err(AtlasError::NotFound(format!(
                "{source}/{index}: expected a feature below {}, found none",
                self.shards[d].len
            )));
        }
        self.shards[d].read(u64::from(index))
    }

    /// The text of a token.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn token(&self, id: u32) -> Result<String, AtlasError> {
        self.words.read(u64::from(id))
    }

    fn similar(&self, list: &[Neighbour]) -> Result<Vec<Similar>, AtlasError> {
        let of = |n: &Neighbour| {
            let source = self.suite().dictionaries[n.dictionary as usize].source.clone();
            let explanation = self.some(&source, &[n.feature])?.pop().and_then(|row| row.explanation);
            Ok(Similar { source, index: n.feature, cosine: n.cosine, explanation })
        };
        list.iter().map(of).collect()
    }

    /// A feature that fires, of one dictionary or of any; `draw` is a random number.
    ///
    /// # Errors
    /// No such dictionary, none of whose features fires, or rows that cannot be read.
    pub fn random(&self, source: Option<&str>, draw: u64) -> Result<FeatureName, AtlasError> {
        let only = source.map(|source| self.dictionary(source)).transpose()?.map_or(-1, |d| d as i64);
        let found = self.ask(|c| {
            let some = "FROM feature WHERE count > 0 AND (dictionary = ?1 OR ?1 < 0)";
            let alive: i64 =
                c.prepare_cached(&format!("SELECT count(*) {some}"))?.query_row([only], |row| row.get(0))?;
            let at = (draw % alive.max(1) as u64) as i64;
            let mut one = c.prepare_cached(&format!("SELECT dictionary, idx {some} LIMIT 1 OFFSET ?2"))?;
            one.query_row(params![only, at], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()
        })?;
        let (d, index) =
            found.ok_or_else(|| AtlasError::NotFound("expected a feature that fires, found none".into()))?;
        Ok(FeatureName { source: self.suite().dictionaries[d as usize].source.clone(), index })
    }
}

impl Wanted {
    /// Conditions on the feature `f`, each after an AND, and their values; the one on scores is `score`.
    pub(crate) fn filters(&self, score: &str) -> (String, Vec<Value>) {
        let limits = [
            ("f.density >= ?", self.min_density),
            ("f.density <= ?", self.max_density),
            ("f.max >= ?", self.min_max),
            (score, self.min_score),
        ];
        let mut only = if self.alive { " AND f.count > 0".to_string() } else { String::new() };
        let mut values = Vec::new();
        for (condition, value) in limits.into_iter().filter_map(|(c, v)| Some((c, v?))) {
            only += &format!(" AND {condition}");
            values.push(value.into());
        }
        (only, values)
    }

    /// By what SQL sorts, if it was asked for.
    pub(crate) fn order(&self) -> Option<String> {
        let sort = self.sort?;
        let order = if self.descending.unwrap_or(sort != Sort::Index) { "DESC" } else { "ASC" };
        Some(format!("f.{} {order} NULLS LAST", sort.column()))
    }

    /// Which of the rows SQL gives.
    pub(crate) fn page(&self) -> String {
        format!("LIMIT {} OFFSET {}", self.limit.min(MAX_LIMIT), self.offset.min(i64::MAX as u64))
    }
}

impl Sort {
    /// By the name that people write.
    pub fn named(name: &str) -> Option<Sort> {
        [Sort::Index, Sort::Density, Sort::Max, Sort::F1].into_iter().find(|sort| match sort {
            Sort::Index => name == "index",
            other => name == other.column(),
        })
    }

    fn column(self) -> &'static str {
        match self {
            Sort::Index => "idx",
            Sort::Density => "density",
            Sort::Max => "max",
            Sort::F1 => "f1",
        }
    }
}

fn feature_row(row: &Row<'_>) -> rusqlite::Result<FeatureRow> {
    Ok(FeatureRow {
        index: row.get(0)?,
        density: row.get(1)?,
        max: row.get(2)?,
        explanation: row.get(3)?,
        top_token: row.get(4)?,
        f1: row.get(5)?,
    })
}
