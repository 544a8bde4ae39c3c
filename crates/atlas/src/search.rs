//! A search in an atlas: by words of explanations, or by a token. Each feature is found once; nothing of what was typed is an operator,
//! and what finds nothing says why.

use crate::pages::{Found, SearchPage};
use crate::query::{HAS_SCORE, Wanted};
use crate::rows::FIRES;
use crate::{Atlas, AtlasError};
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

/// What a search looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchKind {
    /// Words of explanations, each as the beginning of a word.
    Explanation,
    /// A token at which features fire most, or that they promote.
    Token,
}

/// Explanations with the words ?1; the smaller its place, the better it fits.
const EXPLANATIONS: &str = "
    WITH fits AS MATERIALIZED (SELECT rowid AS id, rank AS place FROM words WHERE words MATCH ?1),
    hit AS (SELECT e.dictionary, e.idx, e.text AS said, e.method AS why, e.score, e.score_name, fits.place
            FROM fits JOIN explanation e USING (id))";
/// Features that have to do with the token ?1: first those that fire at it.
const TOKENS: &str = "
    WITH hit AS (SELECT dictionary, idx, NULL AS said, why, NULL AS score, '' AS score_name, why = 'promotes' AS place
                 FROM token WHERE text = ?1)";

impl Atlas {
    /// Features whose explanations have all these words, or that have to do with this token; of one dictionary or of any.
    ///
    /// # Errors
    /// No such dictionary, or rows that cannot be read.
    pub fn search(
        &self,
        query: &str,
        kind: SearchKind,
        source: Option<&str>,
        wanted: &Wanted,
    ) -> Result<SearchPage, AtlasError> {
        let only = source.map(|source| self.dictionary(source)).transpose()?.map_or(-1, |d| d as i64);
        let words = match kind {
            SearchKind::Explanation => match_words(query),
            SearchKind::Token => query.trim().to_string(),
        };
        if words.is_empty() {
            let note = Some("nothing to search for: type letters or digits".into());
            return Ok(SearchPage { query: query.into(), total: 0, note, results: Vec::new() });
        }
        let asked = [Value::from(words), only.into()];
        let (total, found) = self.hits(kind, &asked, wanted)?;
        let note = match total {
            0 => Some(self.nothing(kind, &asked, source)?),
            _ => None,
        };
        let name = |(d, found): (usize, Found)| {
            let why = match (kind, found.why.as_str()) {
                (SearchKind::Explanation, method) => format!("explanation by {method}"),
                (SearchKind::Token, FIRES) => format!("fires most at “{}”", query.trim()),
                (SearchKind::Token, _) => format!("promotes “{}”", query.trim()),
            };
            Found { source: self.suite().dictionaries[d].source.clone(), why, ..found }
        };
        Ok(SearchPage { query: query.into(), total, note, results: found.into_iter().map(name).collect() })
    }

    /// How many there are, and a page of them.
    fn hits(
        &self,
        kind: SearchKind,
        asked: &[Value; 2],
        wanted: &Wanted,
    ) -> Result<(u64, Vec<(usize, Found)>), AtlasError> {
        let (with, score) = match kind {
            SearchKind::Explanation => (EXPLANATIONS, "hit.score >= ?"),
            SearchKind::Token => (TOKENS, HAS_SCORE),
        };
        let (only, filters) = wanted.filters(score);
        let values: Vec<Value> = asked.iter().cloned().chain(filters).collect();
        let from = format!(
            "FROM hit JOIN feature f USING (dictionary, idx) WHERE (?2 < 0 OR f.dictionary = ?2){only}
             GROUP BY f.dictionary, f.idx"
        );
        let count = format!("{with} SELECT count(*) FROM (SELECT 1 {from})");
        // Of a group SQLite gives the row with the smallest place.
        let list = format!(
            "{with} SELECT f.dictionary, f.idx, f.density, f.max, f.top_token, coalesce(hit.said, f.explanation), hit.why,
             hit.score, hit.score_name, min(hit.place) AS place {from}
             ORDER BY {}, place, f.max DESC, f.dictionary, f.idx {}",
            wanted.order().unwrap_or("place".into()),
            wanted.page()
        );
        self.ask(|c| {
            let total: i64 =
                c.prepare_cached(&count)?.query_row(params_from_iter(&values), |row| row.get(0))?;
            let mut list = c.prepare_cached(&list)?;
            let rows = list.query_map(params_from_iter(&values), found)?;
            Ok((total as u64, rows.collect::<rusqlite::Result<Vec<_>>>()?))
        })
    }

    /// Why nothing was found.
    fn nothing(
        &self,
        kind: SearchKind,
        asked: &[Value; 2],
        source: Option<&str>,
    ) -> Result<String, AtlasError> {
        let (unfiltered, _) = self.hits(kind, asked, &Wanted::default())?;
        let place = source.map_or("this atlas".into(), |source| format!("the dictionary {source}"));
        Ok(match (kind, unfiltered) {
            (_, 1..) => format!("the filters hide all of the {unfiltered} features that were found"),
            (SearchKind::Explanation, _) => format!("no explanation in {place} has these words"),
            (SearchKind::Token, _) => {
                format!("no feature in {place} fires most at this token, or promotes it")
            }
        })
    }
}

/// Every word as the beginning of one.
fn match_words(query: &str) -> String {
    let words = query.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| format!("\"{word}\"*")).collect::<Vec<_>>().join(" ")
}

fn found(row: &Row<'_>) -> rusqlite::Result<(usize, Found)> {
    let found = Found {
        source: String::new(),
        index: row.get(1)?,
        density: row.get(2)?,
        max: row.get(3)?,
        top_token: row.get(4)?,
        explanation: row.get(5)?,
        why: row.get(6)?,
        score: row.get(7)?,
        score_name: row.get(8)?,
    };
    Ok((row.get::<_, i64>(0)? as usize, found))
}
