//! The file of rows: a line for each feature to sort and filter by, explanations with their words, tokens. SQLite, written once in
//! one transaction from the records, in their order; its version is `user_version`.

use crate::AtlasError;
use crate::edit::Addition;
use crate::error::damaged;
use crate::explain::{GOOD_F1, INDUCED, MATCHED, PEAK};
use crate::pages::{Explanation, FeatureRow};
use rusqlite::{Connection, Row, params};
use std::path::Path;

/// Version of the tables. In version 1 explanations had no rank.
pub const VERSION: u32 = 2;
/// The oldest version that can be brought to this one.
pub const OLDEST: u32 = 1;

const TABLES: &str = "
CREATE TABLE feature (
    dictionary INTEGER NOT NULL, idx INTEGER NOT NULL, count INTEGER NOT NULL, density REAL NOT NULL, max REAL NOT NULL,
    top_token TEXT NOT NULL, f1 REAL, explanation TEXT, PRIMARY KEY (dictionary, idx)) WITHOUT ROWID;
CREATE INDEX by_density ON feature (dictionary, density);
CREATE INDEX by_max ON feature (dictionary, max);
CREATE INDEX by_f1 ON feature (dictionary, f1);
CREATE TABLE explanation (
    id INTEGER PRIMARY KEY, dictionary INTEGER NOT NULL, idx INTEGER NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL,
    method TEXT NOT NULL, score REAL, score_name TEXT NOT NULL, how_measured TEXT NOT NULL,
    rank INTEGER NOT NULL DEFAULT 2);
CREATE INDEX of_feature ON explanation (dictionary, idx);
CREATE VIRTUAL TABLE words USING fts5 (text, content='explanation', content_rowid='id');
CREATE TABLE token (
    text TEXT NOT NULL COLLATE NOCASE, dictionary INTEGER NOT NULL, idx INTEGER NOT NULL, why TEXT NOT NULL,
    PRIMARY KEY (text, dictionary, idx, why)) WITHOUT ROWID;
";

/// Why a feature is found by a token.
pub const FIRES: &str = "fires at";
/// The same.
pub const PROMOTES: &str = "promotes";

/// A file of rows that is being written.
pub struct Writer {
    connection: Connection,
    path: String,
}

impl Writer {
    /// Begins a new file.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(path: &Path) -> Result<Writer, AtlasError> {
        let shown = path.display().to_string();
        let begin = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")?;
            connection.execute_batch(TABLES)?;
            connection.pragma_update(None, "user_version", VERSION)?;
            Ok(connection)
        };
        let connection = begin().map_err(sql(&shown))?;
        Ok(Writer { connection, path: shown })
    }

    /// Adds a feature of dictionary number `dictionary`, what is said of it, and the tokens by which it is found.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(
        &self,
        dictionary: usize,
        count: u64,
        row: &FeatureRow,
        explanations: &[Explanation],
        tokens: &[(String, &str)],
    ) -> Result<(), AtlasError> {
        let add = || -> rusqlite::Result<()> {
            let mut line = self.connection.prepare_cached("INSERT INTO feature VALUES (?,?,?,?,?,?,?,?)")?;
            let FeatureRow { index, density, max, explanation, top_token, f1 } = row;
            line.execute(params![
                dictionary as i64,
                index,
                count as i64,
                density,
                max,
                top_token,
                f1,
                explanation
            ])?;
            explanations.iter().try_for_each(|e| insert(&self.connection, dictionary, *index, e))?;
            let mut line = self.connection.prepare_cached("INSERT OR IGNORE INTO token VALUES (?,?,?,?)")?;
            tokens.iter().try_for_each(|(text, why)| {
                line.execute(params![text, dictionary as i64, index, why]).map(|_| ())
            })
        };
        add().map_err(sql(&self.path))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(self) -> Result<(), AtlasError> {
        self.connection.execute_batch("COMMIT").map_err(sql(&self.path))?;
        self.connection.close().map_err(|(_, e)| sql(&self.path)(e))
    }
}

/// Where an explanation stands among those of its feature: 0 a variable that it matches well, 1 what people and models say, and a
/// rule that holds, 2 the rest.
fn rank(e: &Explanation) -> u32 {
    let is_good = e.score >= Some(GOOD_F1);
    match e.method.as_str() {
        MATCHED if is_good => 0,
        MATCHED | PEAK => 2,
        INDUCED if !is_good => 2,
        _ => 1,
    }
}

/// Adds an explanation and its words.
pub(crate) fn insert(
    connection: &Connection,
    dictionary: usize,
    index: u32,
    e: &Explanation,
) -> rusqlite::Result<()> {
    let mut line = connection.prepare_cached("INSERT INTO explanation VALUES (NULL,?,?,?,?,?,?,?,?,?)")?;
    let (d, rank) = (dictionary as i64, rank(e));
    line.execute(params![d, index, e.text, e.author, e.method, e.score, e.score_name, e.how_measured, rank])?;
    let id = connection.last_insert_rowid();
    connection
        .prepare_cached("INSERT INTO words (rowid, text) VALUES (?,?)")?
        .execute(params![id, e.text])?;
    Ok(())
}

/// Removes an explanation and its words.
pub(crate) fn remove(connection: &Connection, id: i64, text: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM explanation WHERE id = ?")?.execute([id])?;
    // The index holds no text of its own: it is told which words go.
    connection
        .prepare_cached("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)")?
        .execute(params![id, text])?;
    Ok(())
}

/// What an author wrote in a way, with its id, by dictionary and feature.
pub(crate) fn written_by(
    connection: &Connection,
    author: &str,
    method: &str,
) -> rusqlite::Result<Vec<(i64, Addition)>> {
    let mut all = connection.prepare(
        "SELECT text, author, method, score, score_name, how_measured, id, dictionary, idx FROM explanation
         WHERE author = ? AND method = ? ORDER BY dictionary, idx, id",
    )?;
    all.query_map([author, method], |row| {
        let (dictionary, index) = (row.get::<_, i64>(7)? as usize, row.get(8)?);
        Ok((row.get(6)?, Addition { dictionary, index, explanation: explanation(row)? }))
    })?
    .collect()
}

/// The first six columns of such a row.
pub(crate) fn explanation(row: &Row<'_>) -> rusqlite::Result<Explanation> {
    Ok(Explanation {
        text: row.get(0)?,
        author: row.get(1)?,
        method: row.get(2)?,
        score: row.get(3)?,
        score_name: row.get(4)?,
        how_measured: row.get(5)?,
    })
}

/// Adds an explanation if it is not there; was it added?
pub(crate) fn add_once(
    connection: &Connection,
    dictionary: usize,
    index: u32,
    e: &Explanation,
) -> rusqlite::Result<bool> {
    let mut known = connection.prepare_cached(
        "SELECT 1 FROM explanation WHERE dictionary = ? AND idx = ? AND text = ? AND author = ? AND method = ?",
    )?;
    let known = known.exists(params![dictionary as i64, index, e.text, e.author, e.method])?;
    if !known {
        insert(connection, dictionary, index, e)?;
    }
    Ok(!known)
}

/// Gives every feature the first of its explanations.
pub(crate) fn headline(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "UPDATE feature SET explanation = (SELECT text FROM explanation e
         WHERE e.dictionary = feature.dictionary AND e.idx = feature.idx ORDER BY rank, id LIMIT 1)",
    )
}

/// Brings tables of an older version to this one.
pub(crate) fn migrate(connection: &Connection, from: u32) -> rusqlite::Result<()> {
    if from < 2 {
        connection.execute_batch("ALTER TABLE explanation ADD COLUMN rank INTEGER NOT NULL DEFAULT 2")?;
        connection.execute(
            "UPDATE explanation SET rank = CASE WHEN method = ?1 AND score >= ?2 THEN 0 WHEN method IN (?1, ?3) THEN 2
             ELSE 1 END",
            params![MATCHED, GOOD_F1, PEAK],
        )?;
        headline(connection)?;
    }
    connection.pragma_update(None, "user_version", VERSION)
}

/// Why tables of another version are not read.
pub(crate) fn other_version(path: &Path, found: u32) -> AtlasError {
    let next = match found {
        OLDEST..VERSION => "bring it to this version with `lapidary atlas upgrade`",
        _ => "use the version that wrote it, or build the atlas again",
    };
    damaged(format!("{}: expected rows of version {VERSION}, found {found}; {next}", path.display()))
}

/// Says which file an error is of.
pub(crate) fn sql(path: &str) -> impl FnOnce(rusqlite::Error) -> AtlasError {
    let path = path.to_string();
    move |source| AtlasError::Sql { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of version 1, as they were written.
    const TABLES_1: &str = "
        CREATE TABLE feature (
            dictionary INTEGER NOT NULL, idx INTEGER NOT NULL, count INTEGER NOT NULL, density REAL NOT NULL, max REAL NOT NULL,
            top_token TEXT NOT NULL, f1 REAL, explanation TEXT, PRIMARY KEY (dictionary, idx)) WITHOUT ROWID;
        CREATE TABLE explanation (
            id INTEGER PRIMARY KEY, dictionary INTEGER NOT NULL, idx INTEGER NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL,
            method TEXT NOT NULL, score REAL, score_name TEXT NOT NULL, how_measured TEXT NOT NULL);
        CREATE VIRTUAL TABLE words USING fts5 (text, content='explanation', content_rowid='id');
        INSERT INTO feature VALUES (0, 7, 3, 0.1, 2.5, 'dog', 0.9, 'old');
        INSERT INTO explanation VALUES (1, 0, 7, 'a peak', 'lapidary', 'most frequent peak token', 0.4, 'share', 'so');
        INSERT INTO explanation VALUES (2, 0, 7, 'somebody says', 'somebody', 'by hand', NULL, '', '');
        INSERT INTO explanation VALUES (3, 0, 7, 'a match', 'lapidary', 'matched variable', 0.9, 'F1', 'so');
        INSERT INTO words (rowid, text) SELECT id, text FROM explanation;
        PRAGMA user_version = 1;";

    #[test]
    fn tables_of_version_1_become_those_of_this_one() {
        let c = Connection::open_in_memory().unwrap();
        c.execute_batch(TABLES_1).unwrap();
        migrate(&c, 1).unwrap();
        let text = |sql: &str| c.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(
            text("SELECT group_concat(text, '|') FROM (SELECT text FROM explanation ORDER BY rank, id)"),
            "a match|somebody says|a peak"
        );
        assert_eq!(text("SELECT explanation FROM feature"), "a match");
        assert_eq!(text("SELECT CAST(user_version AS TEXT) FROM pragma_user_version"), VERSION.to_string());
        assert_eq!(text("SELECT text FROM words WHERE words MATCH 'somebody'"), "somebody says");
        let new = Explanation {
            text: "somebody says".into(),
            author: "somebody".into(),
            method: "by hand".into(),
            score: None,
            score_name: String::new(),
            how_measured: String::new(),
        };
        assert!(!add_once(&c, 0, 7, &new).unwrap(), "it is there");
        assert!(add_once(&c, 0, 7, &Explanation { author: "another".into(), ..new }).unwrap());
        let columns = |c: &Connection| -> Vec<String> {
            let mut of = c.prepare("SELECT name FROM pragma_table_info('explanation')").unwrap();
            of.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
        };
        let fresh = Connection::open_in_memory().unwrap();
        fresh.execute_batch(TABLES).unwrap();
        assert_eq!(columns(&c), columns(&fresh));
    }
}
