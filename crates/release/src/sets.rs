//! Named sets of documents, `NAME=FILE`, whose scores stand side by side.

use crate::ReleaseError;
use crate::error::invalid;
use lapidary_catalog::{Catalog, Opened, Text};
use lapidary_text::Split;
use std::path::PathBuf;

/// Texts as they were named: either none has a name, or each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// The files, as they are read one after another.
    pub files: Vec<PathBuf>,
    /// Their names; empty if they have none.
    pub names: Vec<String>,
}

impl Sets {
    /// What stands on the command line. The language, whose settings have `=` too, is no file and has no name.
    ///
    /// # Errors
    /// Some with a name and some without, or one name twice.
    pub fn parse(given: &[PathBuf]) -> Result<Sets, ReleaseError> {
        let mut sets = Sets::default();
        for path in given {
            let named =
                path.to_str().filter(|text| !text.starts_with("world")).and_then(|t| t.split_once('='));
            let named = named.filter(|(name, file)| !name.is_empty() && !file.is_empty());
            match named {
                Some((name, _)) if sets.names.iter().any(|n| n == name) => {
                    invalid!("--text: expected each name once, found {name} again; name every set apart")
                }
                Some((name, file)) => {
                    sets.names.push(name.into());
                    sets.files.push(file.into());
                }
                None => sets.files.push(path.clone()),
            }
        }
        if !sets.names.is_empty() && sets.names.len() < sets.files.len() {
            let without = sets.files.len() - sets.names.len();
            invalid!(
                "--text: expected NAME=FILE of every text, found {without} without a name; name all or none"
            );
        }
        Ok(sets)
    }

    /// Windows of each set, in the order of the text. Each has a document of the split.
    ///
    /// # Errors
    /// A text that cannot be read, or has none.
    pub fn windows(
        &self,
        catalog: &Catalog,
        opened: &Opened,
        context: usize,
        split: Split,
    ) -> Result<Vec<(String, usize)>, ReleaseError> {
        let count = |(name, file): (&String, &PathBuf)| -> Result<(String, usize), ReleaseError> {
            let text = Text::parse(std::slice::from_ref(file), catalog)?;
            Ok((name.clone(), text.corpus(opened, context, split)?.windows.len()))
        };
        self.names.iter().zip(&self.files).map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &[&str]) -> Result<Sets, String> {
        let given: Vec<PathBuf> = given.iter().map(PathBuf::from).collect();
        Sets::parse(&given).map_err(|e| e.to_string())
    }

    #[test]
    fn names_are_all_or_none() {
        let found = parse(&["wiki=a/b.txt", "code=c=d.txt"]).expect("two sets");
        assert_eq!(found.names, ["wiki", "code"]);
        assert_eq!(found.files, [PathBuf::from("a/b.txt"), PathBuf::from("c=d.txt")]);
        let plain = parse(&["a.txt", "world:seed=1,tokens=5"]).expect("no sets");
        assert_eq!((plain.files.len(), plain.names.len()), (2, 0));
        assert!(parse(&["x=a", "b"]).expect_err("mixed").contains("found 1 without a name"));
        assert!(parse(&["x=a", "x=b"]).expect_err("twice").contains("found x again"));
    }
}
