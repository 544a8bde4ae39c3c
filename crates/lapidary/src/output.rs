//! Where verbs write, looked at before anything is read: what is kept, what `--overwrite` replaces, and that no output is an
//! input. How a folder is then written and swapped is `lapidary_files`' matter.

use crate::global::Global;
use anyhow::bail;
use lapidary_files::{
    Content, Kind, Mode, OutFolder, Target, check_folder, check_writable, content, real_folder,
};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What `train` writes.
pub const RUN: Kind = Kind {
    name: "run",
    owns: &[
        "suite.toml",
        "plan.json",
        "places.json",
        "metrics.jsonl",
        "timing.jsonl",
        "evaluation.json",
        "checkpoints/step-*.safetensors",
        "tensorboard/*/events.out.tfevents.*",
        "dictionaries/*/cfg.json",
        "dictionaries/*/sae_weights.safetensors",
        "dictionaries/*/lapidary.json",
        "dictionaries/*/card.md",
    ],
    resumed_by: Some("plan.json"),
};

/// What `harvest` writes.
pub const STORE: Kind = Kind {
    name: "store",
    owns: &["manifest.json", "windows.safetensors", "shard-*.safetensors"],
    resumed_by: None,
};

/// What `release` writes.
pub const RELEASE: Kind = Kind {
    name: "release",
    owns: &[
        "README.md",
        "manifest.json",
        "plan.json",
        "evaluation.json",
        "*/cfg.json",
        "*/sae_weights.safetensors",
        "*/lapidary.json",
        "*/card.md",
    ],
    resumed_by: None,
};

/// What `convert` writes.
pub const DICTIONARY: Kind = Kind {
    name: "dictionary",
    owns: &["cfg.json", "sae_weights.safetensors", "lapidary.json", "card.md", "params.npz"],
    resumed_by: None,
};

/// What `demo` writes; its page says how to make a release beside the run. `train --resume` goes on with the run.
pub const DEMO: Kind = Kind {
    name: "demo",
    owns: &["suite.toml", "page.txt", "run/", "release/"],
    resumed_by: Some("suite.toml"),
};

/// What `world planted` writes.
pub const PLANTED: Kind = Kind {
    name: "planted run",
    owns: &[
        "planted.json",
        "scores.json",
        "metrics.jsonl",
        "checkpoints/step-*.safetensors",
        "dictionaries/*/cfg.json",
        "dictionaries/*/sae_weights.safetensors",
        "dictionaries/*/lapidary.json",
        "dictionaries/*/card.md",
    ],
    resumed_by: Some("planted.json"),
};

impl Global {
    /// A file to write: not there, or one that `--overwrite` may replace; in a folder that can be written to; and none of the
    /// `inputs`, which are files or folders.
    pub fn output_file(&self, path: &Path, inputs: &[&Path]) -> anyhow::Result<()> {
        check_name(path)?;
        let target = Target::of(path)?;
        if let Some(old) = &target.old {
            if let Some(input) = inputs.iter().find_map(|input| same_file(input, old)) {
                bail!(
                    "{}: expected a file apart from what is read, found the input {}; choose another name",
                    path.display(),
                    input.display()
                );
            }
            if !self.overwrite {
                bail!(
                    "{}: expected a new file, found one; choose another name or add --overwrite",
                    path.display()
                );
            }
        }
        self.check_folder_of(&target)
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
        check_name(path)?;
        let mode = match (resume, self.overwrite) {
            (true, _) => Mode::Resume,
            (_, true) => Mode::Replace,
            _ => Mode::New,
        };
        if !resume {
            check_apart(path, inputs)?;
        }
        if mode == Mode::Replace {
            check_replaceable(path, self.catalog.home.as_deref())?;
        }
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

/// `-` is a habit from tools that stream; here it would be a file of that name.
fn check_name(path: &Path) -> anyhow::Result<()> {
    if path == Path::new("-") {
        bail!(
            "-: expected a name to write to, found the sign for standard output; a file of that name is ./-"
        );
    }
    Ok(())
}

/// The file in `input` (or `input` itself) that `of` describes, under whatever name.
fn same_file(input: &Path, of: &Metadata) -> Option<PathBuf> {
    let found = input.metadata().ok()?;
    if found.is_dir() {
        let entries = input.read_dir().ok()?.flatten();
        // A link to a folder may lead in a circle; what is behind it is not looked for.
        let below = |entry: std::fs::DirEntry| {
            let of_link = entry.path().is_dir() && entry.file_type().ok()?.is_symlink();
            if of_link { None } else { same_file(&entry.path(), of) }
        };
        return entries.into_iter().find_map(below);
    }
    ((found.dev(), found.ino()) == (of.dev(), of.ino())).then(|| input.to_path_buf())
}

fn check_apart(out: &Path, inputs: &[&Path]) -> anyhow::Result<()> {
    let real = real_folder(out)?;
    let inside = |input: &&&Path| input.canonicalize().is_ok_and(|input| input.starts_with(&real));
    if let Some(input) = inputs.iter().find(inside) {
        bail!(
            "{}: expected a folder apart from what is read, found the input {} in it; choose another",
            out.display(),
            input.display()
        );
    }
    Ok(())
}

/// Some folders are never replaced, whatever is in them.
fn check_replaceable(out: &Path, home: Option<&Path>) -> anyhow::Result<()> {
    let real = real_folder(out)?;
    if content(&real).is_ok_and(|found| found == Content::Nothing) {
        return Ok(());
    }
    let kept = [("the working directory", Some(Path::new("."))), ("the home folder", home)];
    for (what, kept) in kept {
        if kept.is_some_and(|kept| kept.canonicalize().is_ok_and(|kept| kept.starts_with(&real))) {
            bail!(
                "{}: expected a folder to replace, found {what} or one that holds it; choose another",
                out.display()
            );
        }
    }
    Ok(())
}
