//! What a killed evaluation left in its run's folder, `evaluation.partial.json`: sums after so many windows, on the model and
//! on another one, and the other metrics of the dictionaries that were done. It goes when `evaluation.json` is saved. A file that is broken, or of another evaluation, counts as none, and
//! one that cannot be written is no reason to stop.

use crate::metrics::DictionaryMetrics;
use lapidary_evaluation::Saved;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Its name.
pub(crate) const NAME: &str = "evaluation.partial.json";
/// Longest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 30;

/// The file, and what it holds.
pub(crate) struct Partial {
    path: Option<PathBuf>,
    state: State,
}

#[derive(Serialize, Deserialize)]
struct State {
    key: String,
    sums: Option<Saved>,
    /// On another model.
    #[serde(default)]
    elsewhere: Option<Saved>,
    metrics: Vec<DictionaryMetrics>,
}

impl Partial {
    /// Of an evaluation with this key into `run`.
    pub(crate) fn open(run: Option<&Path>, key: &str) -> Partial {
        let path = run.map(|run| run.join(NAME));
        let text = path.as_ref().filter(|p| p.is_file()).map(|p| lapidary_files::read_string(p, MAX_BYTES));
        let found = text.and_then(Result::ok).and_then(|text| serde_json::from_str::<State>(&text).ok());
        let none = State { key: key.into(), sums: None, elsewhere: None, metrics: Vec::new() };
        Partial { path, state: found.filter(|state| state.key == key).unwrap_or(none) }
    }

    pub(crate) fn saved(&self) -> Option<Saved> {
        self.state.sums.clone()
    }

    /// Metrics of the first dictionaries.
    pub(crate) fn metrics(&self) -> &[DictionaryMetrics] {
        &self.state.metrics
    }

    pub(crate) fn keep_sums(&mut self, saved: Saved) {
        self.state.sums = Some(saved);
        self.write();
    }

    pub(crate) fn saved_elsewhere(&self) -> Option<Saved> {
        self.state.elsewhere.clone()
    }

    /// Sums that are not finite would make the whole file unreadable: they are not kept.
    pub(crate) fn keep_elsewhere(&mut self, saved: Saved) {
        let text = serde_json::to_string(&saved).unwrap_or_default();
        if serde_json::from_str::<Saved>(&text).is_ok() {
            self.state.elsewhere = Some(saved);
            self.write();
        }
    }

    pub(crate) fn keep_metrics(&mut self, metrics: DictionaryMetrics) {
        self.state.metrics.push(metrics);
        self.write();
    }

    fn write(&self) {
        let Some(path) = &self.path else { return };
        if let Ok(text) = serde_json::to_string(&self.state) {
            let _ = lapidary_files::publish(path, text.as_bytes());
        }
    }

    /// Removes the file of `run`, if there is one.
    pub(crate) fn remove(run: &Path) {
        let _ = std::fs::remove_file(run.join(NAME));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_evaluation_goes_on() {
        let folder = std::env::temp_dir().join(format!("lapidary-partial-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let metrics = DictionaryMetrics { scores: 3, name: "a".into(), ..DictionaryMetrics::default() };
        Partial::open(Some(&folder), "k").keep_metrics(metrics);
        assert_eq!(Partial::open(Some(&folder), "k").metrics()[0].scores, 3);
        assert!(Partial::open(Some(&folder), "other").metrics().is_empty());
        std::fs::write(folder.join(NAME), "{").expect("written");
        assert!(Partial::open(Some(&folder), "k").metrics().is_empty());
        Partial::remove(&folder);
        assert!(!folder.join(NAME).exists());
        std::fs::remove_dir(&folder).expect("empty");
    }
}
