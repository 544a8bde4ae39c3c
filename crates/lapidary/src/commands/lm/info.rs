//! `lapidary lm info`: everything that a model's config resolves to, and what its files hold by their headers. Reads no
//! weights; a folder with a config alone will do.

use super::InfoArgs;
use crate::global::Global;
use crate::terminal;
use lapidary_catalog::describe::{Head, json, table};
use lapidary_lm::{LmError, ModelFolder, load_spec};

pub fn info(args: InfoArgs, global: &Global) -> anyhow::Result<()> {
    let folder = args.model.folder(global)?;
    let ignored = &global.catalog.ignore_config_keys;
    let (spec, stored, against) = match ModelFolder::open(&folder, ignored) {
        Ok(files) => (files.spec.clone(), true, files.own_head_against_config),
        Err(LmError::NoWeights { .. }) => (load_spec(&folder, ignored)?, false, false),
        Err(e) => return Err(e.into()),
    };
    let head = match (spec.tied_head, against) {
        (true, _) => Head::Tied,
        (false, false) => Head::Own,
        (false, true) => Head::OwnAgainstConfig,
    };
    if global.json {
        return terminal::line(format_args!("{:#}", json(&spec, stored, head)));
    }
    let rows = table(&spec, stored, head);
    terminal::write(|out| rows.iter().try_for_each(|(name, value)| writeln!(out, "{name:<15} {value}")))
}
