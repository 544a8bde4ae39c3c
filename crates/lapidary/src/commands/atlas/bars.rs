//! How far a build is: a bar for each of its stages.

use crate::global::Global;
use crate::terminal::progress::Progress;
use lapidary_atlas::build::Progress as Stage;

/// The bar of the stage that is under way.
pub struct Bars {
    quiet: bool,
    bar: Option<(&'static str, Progress)>,
}

impl Bars {
    /// None yet.
    pub fn new(global: &Global) -> Bars {
        Bars { quiet: global.quiet, bar: None }
    }

    /// Shows how far it is.
    pub fn show(&mut self, stage: Stage) {
        let (label, unit, done, total) = match stage {
            Stage::Windows(done, total) => ("looking", "windows", done, total),
            Stage::Dictionaries(done, total) => ("writing", "dictionaries", done, total),
        };
        if self.bar.as_ref().is_none_or(|(shown, _)| *shown != label) {
            self.bar = Some((label, Progress::new(self.quiet, label, total, unit)));
        }
        if let Some((_, bar)) = &mut self.bar {
            bar.set(done);
        }
        if done == total
            && let Some((_, bar)) = self.bar.take()
        {
            bar.finish();
        }
    }
}
