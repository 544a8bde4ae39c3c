//! `lapidary verify`: is a release, or a dictionary, what it says that it is?

use crate::global::Global;
use crate::terminal;
use anyhow::bail;
use lapidary_release::verify::{Check, dictionaries, verify};
use std::path::PathBuf;

/// Check that a release or a dictionary is what it says
///
/// A release: every file against its blake3 in manifest.json, which names a changed byte anywhere, and then each dictionary. A
/// dictionary of ours: its weights against their hash, cfg.json and the hooks against lapidary.json, its probe rows encoded
/// again and compared to the bit. Somebody else's: shapes, finite numbers, a hook that is known. One line per check; the exit
/// code is 1 if one fails.
#[derive(clap::Args)]
pub struct VerifyArgs {
    /// Release folder, run folder, or dictionary: a folder or a params.npz
    #[arg(value_name = "DIR")]
    path: PathBuf,
}

/// Runs the verb.
pub fn run(args: VerifyArgs, global: &Global) -> anyhow::Result<()> {
    let dictionaries = dictionaries(&args.path)?;
    if global.dry_run {
        let json = serde_json::json!({ "path": args.path, "dictionaries": dictionaries.len() });
        let (many, path) = (dictionaries.len(), args.path.display());
        return global.tell(&json, format_args!("{many} dictionaries in {path}"));
    }
    let checks = verify(&args.path, &dictionaries, global.catalog.device);
    print(&checks, global)?;
    match checks.iter().filter(|check| check.error.is_some()).count() {
        0 => Ok(()),
        failed => bail!("{}: {failed} of {} checks failed", args.path.display(), checks.len()),
    }
}

fn print(checks: &[Check], global: &Global) -> anyhow::Result<()> {
    if global.json {
        let json = |Check { path, what, error }: &Check| serde_json::json!({ "path": path, "check": what, "ok": error.is_none(), "error": error });
        let all: Vec<_> = checks.iter().map(json).collect();
        return terminal::line(serde_json::json!({ "checks": all }));
    }
    terminal::write(|out| {
        checks.iter().try_for_each(|check| match &check.error {
            None => writeln!(out, "ok      {}: {}", check.path.display(), check.what),
            Some(error) => writeln!(out, "FAILED  {error}"),
        })
    })
}
