//! The rows of an open atlas, asked by many threads at once and while others edit it: an edit publishes a new file, names it in
//! `atlas.json` and removes the old one. Whoever asks next finds the old one gone and goes on with the new one.

use crate::error::damaged;
use crate::rows::sql;
use crate::{AtlasError, Manifest};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

/// Edits, one right after the other, that are followed before it counts as damage.
const TRIES: usize = 8;

/// Connections to the file of rows that is the atlas's now.
pub(crate) struct Connections {
    folder: PathBuf,
    /// Of the atlas that was opened.
    key: String,
    now: Mutex<Now>,
}

struct Now {
    path: PathBuf,
    /// Connections that nobody uses.
    idle: Vec<Connection>,
}

impl Connections {
    /// To the rows that a manifest names; none is open yet.
    pub(crate) fn of(folder: &Path, manifest: &Manifest) -> Connections {
        let now = Mutex::new(Now { path: folder.join(&manifest.rows), idle: Vec::new() });
        Connections { folder: folder.to_path_buf(), key: manifest.key.clone(), now }
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.now().path.clone()
    }

    /// Asks on a connection of one's own.
    pub(crate) fn ask<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, AtlasError> {
        let (path, connection) = self.take()?;
        let answer = ask(&connection).map_err(sql(&path.display().to_string()));
        let mut now = self.now();
        if now.path == path {
            now.idle.push(connection);
        }
        answer
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(|broken| broken.into_inner())
    }

    fn take(&self) -> Result<(PathBuf, Connection), AtlasError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut now = self.now();
        for _ in 1..TRIES {
            if !now.path.is_file() {
                self.follow(&mut now)?;
            }
            let idle = now.idle.pop();
            if let Some(connection) = idle.or_else(|| Connection::open_with_flags(&now.path, flags).ok()) {
                return Ok((now.path.clone(), connection));
            }
        }
        let opened = Connection::open_with_flags(&now.path, flags);
        Ok((now.path.clone(), opened.map_err(sql(&now.path.display().to_string()))?))
    }

    /// Goes on with the file that `atlas.json` names by now.
    fn follow(&self, now: &mut Now) -> Result<(), AtlasError> {
        let manifest = Manifest::read_alone(&self.folder)?;
        if manifest.key != self.key {
            return Err(damaged(format!(
                "{}: expected the atlas that was opened, found one that was built since; open it again",
                self.folder.display()
            )));
        }
        now.path = self.folder.join(manifest.rows);
        now.idle.clear();
        Ok(())
    }
}
