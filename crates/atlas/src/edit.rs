//! An atlas whose rows change after it was built: explanations are added, or its tables are of an older version. The file of rows is
//! copied, changed and published under a new name, then `atlas.json` names it: an atlas is the old one or the new one.

use crate::AtlasError;
use crate::build::publish_rows;
use crate::error::damaged;
use crate::manifest::{self, Manifest};
use crate::pages::Explanation;
use crate::rows::{self, OLDEST, VERSION, sql};
use lapidary_files::{self as files, FileError, Lock};
use rusqlite::Connection;
use std::fs::File;
use std::path::Path;

/// Brings the tables of an atlas to this version; says from which it came.
///
/// # Errors
/// The folder is no whole atlas, or its tables are of a version that is not known.
pub fn upgrade(folder: &Path) -> Result<u32, AtlasError> {
    let (mut manifest, _lock) = take(folder)?;
    let path = folder.join(&manifest.rows);
    let found = version(&path)?;
    if found == VERSION {
        return Ok(found);
    }
    if !(OLDEST..VERSION).contains(&found) {
        let path = path.display();
        return Err(damaged(format!(
            "{path}: expected rows of version {OLDEST} to {VERSION}, found {found}; use the version that wrote it"
        )));
    }
    change(folder, &mut manifest, &mut |c| rows::migrate(c, found))?;
    Ok(found)
}

/// Version of a file of rows.
fn version(path: &Path) -> Result<u32, AtlasError> {
    let shown = path.display().to_string();
    let ask = || Connection::open(path)?.pragma_query_value(None, "user_version", |row| row.get(0));
    ask().map_err(sql(&shown))
}

/// An explanation of a feature, to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct Addition {
    /// Number of the dictionary.
    pub dictionary: usize,
    /// Of the feature.
    pub index: u32,
    /// What is said of it.
    pub explanation: Explanation,
}

/// Adds explanations; one that is there with the same text, author and method stays as it is. How many are new.
///
/// # Errors
/// The folder is no whole atlas of this version, or cannot be written.
pub fn add_explanations(folder: &Path, additions: &[Addition]) -> Result<usize, AtlasError> {
    let (mut manifest, _lock) = take_of_this_version(folder)?;
    let mut new = 0;
    change(folder, &mut manifest, &mut |c| {
        new = 0;
        for Addition { dictionary, index, explanation } in additions {
            new += usize::from(rows::add_once(c, *dictionary, *index, explanation)?);
        }
        rows::headline(c)
    })?;
    Ok(new)
}

/// Puts `new` in the place of all explanations that an author wrote in this way of these dictionaries; did anything change? Nothing is
/// written if not.
///
/// # Errors
/// As [`add_explanations`].
pub fn replace_explanations(
    folder: &Path,
    (author, method): (&str, &str),
    dictionaries: &[usize],
    new: &[Addition],
) -> Result<bool, AtlasError> {
    let (mut manifest, _lock) = take_of_this_version(folder)?;
    let path = folder.join(&manifest.rows);
    let shown = path.display().to_string();
    let by = |c: &Connection| rows::written_by(c, author, method);
    let old = Connection::open(&path).and_then(|c| by(&c)).map_err(sql(&shown))?;
    let is_ours = |(_, a): &(i64, Addition)| dictionaries.contains(&a.dictionary);
    let old: Vec<(i64, Addition)> = old.into_iter().filter(is_ours).collect();
    if old.iter().map(|(_, addition)| addition).eq(new) {
        return Ok(false);
    }
    change(folder, &mut manifest, &mut |c| {
        old.iter().try_for_each(|(id, a)| rows::remove(c, *id, &a.explanation.text))?;
        new.iter().try_for_each(|a| rows::insert(c, a.dictionary, a.index, &a.explanation))?;
        rows::headline(c)
    })?;
    Ok(true)
}

/// An atlas for one process at a time. What it holds is read once nobody else can change it; before, only whether it is one.
fn take(folder: &Path) -> Result<(Manifest, Lock), AtlasError> {
    Manifest::read_alone(folder)?;
    let lock = Lock::take(&folder.join(manifest::FILE), folder)?;
    Ok((Manifest::read(folder)?, lock))
}

fn take_of_this_version(folder: &Path) -> Result<(Manifest, Lock), AtlasError> {
    let (manifest, lock) = take(folder)?;
    let path = folder.join(&manifest.rows);
    match version(&path)? {
        VERSION => Ok((manifest, lock)),
        found => Err(rows::other_version(&path, found)),
    }
}

fn change(
    folder: &Path,
    manifest: &mut Manifest,
    change: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>,
) -> Result<(), AtlasError> {
    let (old, part) = (manifest.rows.clone(), folder.join("rows.part"));
    let mut from = File::open(folder.join(&old)).map_err(FileError::io(&part, "copy to"))?;
    files::publish_with(&part, |out| std::io::copy(&mut from, out).map(|_| ()))?;
    let shown = part.display().to_string();
    let mut all = || -> rusqlite::Result<()> {
        let connection = Connection::open(&part)?;
        connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")?;
        change(&connection)?;
        connection.execute_batch("COMMIT")?;
        connection.close().map_err(|(_, e)| e)
    };
    all().map_err(sql(&shown))?;
    let new = publish_rows(folder, &part)?;
    manifest.files.remove(&old);
    manifest.rows = new.clone();
    manifest.publish(folder, std::slice::from_ref(&new))?;
    if old != new {
        let old = folder.join(old);
        std::fs::remove_file(&old).map_err(FileError::io(&old, "remove"))?;
    }
    Ok(())
}
