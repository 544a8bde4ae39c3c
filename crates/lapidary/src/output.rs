//! Where verbs write, looked at before anything is read: what is kept, what `--overwrite` replaces, and that no output is an
//! input. What may be written, and how a folder is then written and swapped, is `lapidary_files`' matter.

use crate::global::Global;
use lapidary_files::{Kind, Mode, OutFolder, Target, check_folder, check_writable, output};
use std::path::Path;

impl Global {
    /// A file to write: not there, or one that `--overwrite` may replace; in a folder that can be written to; and none of the
    /// `inputs`, which are files or folders.
    pub fn output_file(&self, path: &Path, inputs: &[&Path]) -> anyhow::Result<()> {
        self.check_folder_of(&output::file(path, inputs, self.overwrite)?)
    }

    /// A file of a run that is written anew each time: can it be?
    pub fn rewritten_file(&self, path: &Path) -> anyhow::Result<()> {
        self.check_folder_of(&Target::of(path)?)
    }

    /// A dry run does not try.
    fn check_folder_of(&self, target: &Target) -> anyhow::Result<()> {
        match target.path.parent().filter(|_| !self.dry_run) {
            Some(folder) => Ok(check_writable(folder)?),
            None => Ok(()),
        }
    }

    /// A folder to write, locked; `None` in a dry run, which only looks. None of the `inputs` may be in it.
    pub fn output_folder(
        &self,
        path: &Path,
        kind: &Kind,
        resume: bool,
        inputs: &[&Path],
    ) -> anyhow::Result<Option<OutFolder>> {
        let mode = match (resume, self.overwrite) {
            (true, _) => Mode::Resume,
            (_, true) => Mode::Replace,
            _ => Mode::New,
        };
        output::folder(path, mode, inputs, self.catalog.home.as_deref())?;
        if self.dry_run {
            check_folder(path, kind, mode)?;
            return Ok(None);
        }
        let out = OutFolder::open(path, kind, mode)?;
        if out.replaces() && !self.quiet {
            let (old, new) = (path.display(), out.path.display());
            crate::terminal::note(format_args!("{old} stays as it is until {new} is whole"));
        }
        Ok(Some(out))
    }
}
