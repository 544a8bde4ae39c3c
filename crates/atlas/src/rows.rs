//! The file of rows: a line for each feature to sort and filter by, explanations with their words, tokens. SQLite, written once in
//! one transaction from the records, in their order; its version is `user_version`.

use crate::AtlasError;
use crate::pages::{Explanation, FeatureRow};
use rusqlite::{Connection, params};
use std::path::Path;

/// Version of the tables.
pub const VERSION: u32 = 1;

const TABLES: &str = "
CREATE TABLE feature (
    dictionary INTEGER NOT NULL, idx INTEGER NOT NULL, count INTEGER NOT NULL, density REAL NOT NULL, max REAL NOT NULL,
    top_token TEXT NOT NULL, f1 REAL, explanation TEXT, PRIMARY KEY (dictionary, idx)) WITHOUT ROWID;
CREATE INDEX by_density ON feature (dictionary, density);
CREATE INDEX by_max ON feature (dictionary, max);
CREATE INDEX by_f1 ON feature (dictionary, f1);
CREATE TABLE explanation (
    id INTEGER PRIMARY KEY, dictionary INTEGER NOT NULL, idx INTEGER NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL,
    method TEXT NOT NULL, score REAL, score_name TEXT NOT NULL, how_measured TEXT NOT NULL);
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

/// Adds an explanation and its words.
pub(crate) fn insert(
    connection: &Connection,
    dictionary: usize,
    index: u32,
    e: &Explanation,
) -> rusqlite::Result<()> {
    let mut line = connection.prepare_cached("INSERT INTO explanation VALUES (NULL,?,?,?,?,?,?,?,?)")?;
    line.execute(params![
        dictionary as i64,
        index,
        e.text,
        e.author,
        e.method,
        e.score,
        e.score_name,
        e.how_measured
    ])?;
    let id = connection.last_insert_rowid();
    connection
        .prepare_cached("INSERT INTO words (rowid, text) VALUES (?,?)")?
        .execute(params![id, e.text])?;
    Ok(())
}

/// Says which file an error is of.
pub(crate) fn sql(path: &str) -> impl FnOnce(rusqlite::Error) -> AtlasError {
    let path = path.to_string();
    move |source| AtlasError::Sql { path, source }
}
